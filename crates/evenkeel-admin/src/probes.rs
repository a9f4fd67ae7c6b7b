//! `/livez` and `/readyz`.
//!
//! Alive is whoever answers. Ready is a process whose configuration is loaded, whose listeners are
//! bound, that does not drain, and that has at least one service with enough healthy instances. One
//! sick service among several is told but does not count: every replica sees the same sick service,
//! and taking all of them out of rotation would take the well ones down with it. A replica that has
//! no well service at all serves nobody, and another may still reach its instances.
//! `?exclude=services` leaves instances out of the matter altogether.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use evenkeel_core::{Exclusion, InstanceState, View};

use crate::App;
use crate::readiness::Phase;
use crate::time::rfc3339;

pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

pub(crate) async fn readyz(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let asked = |what: &str| query.split('&').any(|part| part == what);
    let verbose = asked("verbose") || asked("verbose=true") || asked("verbose=1");
    let report = report(&app, !asked("exclude=services"));
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, report.text(verbose)).into_response()
}

#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// As it should be; shown when asked for.
    Good(String),
    /// To be known.
    Degraded(String),
    /// Why the process is not ready.
    Bad(String),
}

#[derive(Debug)]
struct Report {
    ready: bool,
    findings: Vec<Finding>,
}

impl Report {
    fn new(findings: Vec<Finding>) -> Self {
        let ready = !findings.iter().any(|f| matches!(f, Finding::Bad(_)));
        Self { ready, findings }
    }

    /// The answer in the first line, then why.
    fn text(&self, verbose: bool) -> String {
        let mut text = String::from(if self.ready { "ready\n" } else { "not ready\n" });
        for finding in &self.findings {
            let _ = match finding {
                Finding::Good(what) if verbose => writeln!(text, "ok: {what}"),
                Finding::Good(_) => Ok(()),
                Finding::Degraded(what) => writeln!(text, "degraded: {what}"),
                Finding::Bad(what) => writeln!(text, "failed: {what}"),
            };
        }
        text
    }
}

fn report(app: &App, with_services: bool) -> Report {
    let mut findings = vec![match app.shared.readiness.phase() {
        Phase::Starting => {
            Finding::Bad("starting: the configuration is not loaded or a listener is not bound yet".into())
        }
        Phase::Serving => Finding::Good("configuration loaded, listeners bound, not draining".into()),
        Phase::Draining { since } => Finding::Bad(format!(
            "draining since {}: running requests finish, no new connections",
            rfc3339(since)
        )),
    }];
    if with_services {
        let services: Vec<_> = app
            .shared
            .balancer
            .services()
            .iter()
            .map(|service| judge(service.name(), &service.view_full()))
            .collect();
        let none_well = !services.is_empty() && services.iter().all(Result::is_err);
        findings.extend(services.into_iter().map(|judged| match judged {
            Ok(well) => Finding::Good(well),
            Err(ill) if none_well => Finding::Bad(ill),
            Err(ill) => Finding::Degraded(ill),
        }));
    }
    Report::new(findings)
}

/// How a service is, `Err` when it does not have its minimum of healthy instances.
fn judge(name: &str, view: &View) -> Result<String, String> {
    let mut total = 0;
    let mut healthy = 0;
    let mut forbidden = 0;
    for (_, _, status) in view.members() {
        if status.excluded == Some(Exclusion::Region) {
            // However healthy, no help.
            forbidden += 1;
            continue;
        }
        total += 1;
        healthy += usize::from(status.state == InstanceState::Healthy);
    }
    let others = match forbidden {
        0 => String::new(),
        more => format!(" ({more} more not permitted by `locality`)"),
    };
    let count = format!("service {name}: {healthy} of {total} instances healthy{others}");
    if total + forbidden == 0 {
        Err(format!("service {name}: it has no instances"))
    } else if view.is_fallback() {
        let used = view.candidates().len();
        Err(format!(
            "{count}, fewer than its minimum; {used} are used, whatever checks say"
        ))
    } else if view.candidates().is_empty() {
        Err(format!("{count}, none of them may be used"))
    } else {
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_degraded_service_is_told_and_a_failed_check_decides() {
        let good = || Finding::Good("a".into());
        let report = Report::new(vec![good(), Finding::Degraded("b".into())]);
        assert!(report.ready);
        assert_eq!(report.text(false), "ready\ndegraded: b\n");
        assert_eq!(report.text(true), "ready\nok: a\ndegraded: b\n");
        let report = Report::new(vec![good(), Finding::Bad("c".into())]);
        assert!(!report.ready);
        assert_eq!(report.text(false), "not ready\nfailed: c\n");
    }
}
