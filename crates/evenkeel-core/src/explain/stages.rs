//! What the stages said, in words and numbers.

use super::Finding;
use crate::candidates::Panic;
use crate::health::burst::LEVELS;
use crate::view::{Member, Status, View};
use crate::{Exclusion, InstanceState, Share};

/// What holds for the service as a whole.
pub(super) fn notes(view: &View) -> Vec<String> {
    let mut notes = Vec::new();
    let (settings, findings) = (&view.settings, &view.findings);
    let minimum = findings.minimum;
    if minimum.fallback {
        let then = match settings.panic {
            Panic::Fail => "requests are refused, as its panic setting says",
            _ if minimum.last_resort => "none of them answers either, so all are used, the ejected too",
            _ => "all that are not ejected are used, whatever checks, scores and priorities say",
        };
        notes.push(format!(
            "{}, at least {} must be: {then}",
            minimum.census(),
            minimum.wanted
        ));
    }
    if findings.put_aside > 0 {
        notes.push(format!(
            "{} instances score below the threshold {:.2}; that is more than half, so it is put aside",
            findings.put_aside, settings.ejection.threshold
        ));
    }
    let thresholds = view.counters().thresholds();
    if thresholds.burst[0] > LEVELS[0].rate {
        notes.push(format!(
            "most instances fail {} of their requests or more, so what counts against one is {} failures in a row, {} of the \
             requests of ten seconds, or more than {} for longer",
            percent(thresholds.usual_failures.into()),
            thresholds.run,
            percent(thresholds.error_rate.into()),
            percent(thresholds.burst[0].into()),
        ));
    }
    if findings.loads.len() > 1 {
        notes.push(format!("{} of the requests", priorities(view)));
    }
    notes
}

/// `priority 0 takes 70 %, priority 1 30 %`.
fn priorities(view: &View) -> String {
    let loads = view.findings.loads.iter();
    let parts = loads.map(|(priority, load)| format!("priority {priority} takes {}", percent(*load)));
    parts.collect::<Vec<_>>().join(", ")
}

/// What each stage made of one instance; `candidate` is its index among the candidates.
pub(super) fn findings(
    view: &View,
    member: &Member,
    status: &Status,
    candidate: Option<usize>,
) -> Vec<Finding> {
    match (status.excluded, candidate) {
        (Some(excluded), _) => vec![Finding {
            stage: excluded.as_str(),
            left: 0.0,
            reason: removed(view, member, status, excluded),
        }],
        (None, Some(index)) => overruled(view, status)
            .into_iter()
            .chain(reduced(view, member, index))
            .collect(),
        (None, None) => Vec::new(),
    }
}

fn removed(view: &View, member: &Member, status: &Status, excluded: Exclusion) -> String {
    let (instance, minimum) = (member.instance(), view.findings.minimum);
    match excluded {
        Exclusion::Region => {
            let regions = &view.settings.regions;
            match instance.region.as_deref() {
                Some(region) if regions.deny.contains(region) => format!("its region {region} is denied"),
                region => {
                    let allowed: Vec<&str> = regions.allow.iter().map(|region| &**region).collect();
                    let its = region.map_or("it has no region".to_owned(), |region| {
                        format!("its region {region} is not among them")
                    });
                    format!("only the regions {} are allowed, and {its}", allowed.join(", "))
                }
            }
        }
        Exclusion::Priority => {
            let own = instance.priority;
            format!("its priority is {own}, and {} of the requests", priorities(view))
        }
        Exclusion::Minimum if minimum.fallback => format!(
            "{}, at least {} must be, and the panic setting refuses requests until then",
            minimum.census(),
            minimum.wanted
        ),
        Exclusion::Minimum => format!(
            "fewer than {} instances of its priority {} are healthy, so the priority is passed over",
            view.settings.min_healthy.max(1),
            instance.priority
        ),
        // The state is the stage.
        Exclusion::Draining | Exclusion::Down | Exclusion::Ejected | Exclusion::BelowThreshold => {
            status.reason.to_string()
        }
    }
}

/// What speaks against a candidate and has no say.
fn overruled(view: &View, status: &Status) -> Option<Finding> {
    let (stage, why) = match status.state {
        InstanceState::Down => (Exclusion::Down, "too few instances are healthy"),
        InstanceState::Ejected { .. } => (
            Exclusion::Ejected,
            "too few instances are healthy, and none answers",
        ),
        InstanceState::Weak if view.is_fallback() => {
            (Exclusion::BelowThreshold, "too few instances are healthy")
        }
        InstanceState::Weak => (
            Exclusion::BelowThreshold,
            "more than half are below the threshold",
        ),
        InstanceState::Healthy | InstanceState::Draining => return None,
    };
    Some(Finding {
        stage: stage.as_str(),
        left: 1.0,
        reason: format!("{}; used all the same: {why}", status.reason),
    })
}

/// What leaves a candidate less than its weight. Shares count beside the greatest: who has that is not reduced, even
/// if all begin with a tenth.
fn reduced(view: &View, member: &Member, index: usize) -> Vec<Finding> {
    if view.candidates().share(index) == Share::FULL {
        return Vec::new();
    }
    let settings = &view.settings;
    let mut found = Vec::new();
    let mut tell = |stage, left: f64, reason: String| {
        if left < 1.0 {
            found.push(Finding { stage, left, reason });
        }
    };
    if let Some(parts) = view.findings.parts.get(index) {
        let window = settings.slow_start.window.as_secs_f64();
        tell(
            "slow_start",
            parts.started,
            format!(
                "it is new or came back lately: {} so far, all after {window:.0} s",
                percent(parts.started)
            ),
        );
        tell(
            "recovery",
            parts.recovered,
            format!(
                "it came back lately: {} so far, more as it answers",
                percent(parts.recovered)
            ),
        );
        let score = member.stats().health();
        tell(
            "score",
            parts.score,
            format!(
                "its score, {score:.2} now, leaves {} of its share",
                percent(parts.score)
            ),
        );
        let predictions = &view.findings.predictions;
        let slot = view.candidates().slots()[index];
        if let Ok(place) = predictions.binary_search_by_key(&slot, |(slot, _)| *slot) {
            tell("predicted", parts.predicted, predictions[place].1.to_string());
        }
    }
    let loads = &view.findings.loads;
    if let Some(load) = loads.get(&member.instance().priority).filter(|_| loads.len() > 1) {
        let own = member.instance().priority;
        tell(
            "priority",
            *load,
            format!("priority {own} takes {} of the requests", percent(*load)),
        );
    }
    found
}

pub(crate) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if percent > 0.0 && percent < 1.0 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}
