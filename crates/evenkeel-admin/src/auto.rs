//! What the strategy `auto` does, and what speaks for its candidates: in the API, and in metrics. A service with another strategy
//! is absent.

use evenkeel_core::{AutoSnapshot, EventKind, RivalSnapshot, View};

use crate::text::MetricKind::{Counter, Gauge};
use crate::text::MetricsText;
use crate::time::Calendar;
use crate::wire;

pub(crate) fn describe(auto: &AutoSnapshot, calendar: &Calendar) -> wire::Auto {
    let candidates = auto.candidates.iter().map(|candidate| wire::AutoCandidate {
        strategy: candidate.strategy.to_string(),
        picks: candidate.counts.asked,
        gain: candidate.gain,
        least_gain: candidate.least_gain,
        judged_seconds_ago: candidate.judged.map(|at| calendar.seconds_since(at)),
        windows_in_a_row: candidate.windows_in_a_row,
        unsuitable: candidate.unsuitable.map(str::to_owned),
    });
    let switches = auto.switches.iter().map(|switch| wire::AutoSwitch {
        time: calendar.date(switch.at),
        seconds_ago: calendar.seconds_since(switch.at),
        from: switch.from.to_string(),
        to: switch.to.to_string(),
        reason: switch.reason.to_string(),
    });
    wire::Auto {
        current: auto.current.to_string(),
        since: calendar.date(auto.since),
        since_seconds: calendar.seconds_since(auto.since),
        pinned: auto.pinned,
        changes_over: auto.changes_over,
        regime: auto.regime.map(|regime| regime.as_str().to_owned()),
        veto: auto.veto.map(|veto| veto.as_str().to_owned()),
        candidates: candidates.collect(),
        switches: switches.collect(),
    }
}

/// Writes the families of the services, by name.
pub(crate) fn write(services: &[(&str, &View)], text: &mut MetricsText) {
    let autos: Vec<(&str, AutoSnapshot, &View)> = services
        .iter()
        .filter_map(|(service, view)| Some((*service, view.auto()?, *view)))
        .collect();
    let mut by_candidate = |name, help, of: fn(&AutoSnapshot, &RivalSnapshot) -> Option<f64>| {
        text.family(name, Gauge, help);
        for (service, auto, _) in &autos {
            for candidate in &auto.candidates {
                if let Some(value) = of(auto, candidate) {
                    let strategy = candidate.strategy.as_str();
                    text.sample(&[("service", service), ("strategy", strategy)], value);
                }
            }
        }
    };
    by_candidate(
        "evenkeel_auto_choice",
        "1 for the candidate of the strategy auto that is in force, 0 for the others.",
        |auto, candidate| Some(f64::from(u8::from(candidate.strategy == auto.current))),
    );
    by_candidate(
        "evenkeel_auto_gain_ratio",
        "By how much less the expected times of a candidate of auto were in its last window, as a part of the actual ones.",
        |_, candidate| candidate.gain,
    );
    by_candidate(
        "evenkeel_auto_least_gain_ratio",
        "The lower end of the 95 % interval of that.",
        |_, candidate| candidate.least_gain,
    );
    for (name, kind, help) in [
        (
            "evenkeel_auto_switches_total",
            EventKind::Switched,
            "Changes of the strategy auto from one candidate to another.",
        ),
        (
            "evenkeel_auto_vetoed_total",
            EventKind::SwitchVetoed,
            "Times that something spoke for a change of the strategy auto, and then the fleet's state allowed none.",
        ),
    ] {
        text.family(name, Counter, help);
        for (service, _, view) in &autos {
            text.sample(&[("service", service)], view.counters().of(kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use evenkeel_core::strategy::Auto;
    use evenkeel_core::{
        Instance, Nanos, Outcome, PickContext, PickRequest, ServiceSettings, ServiceState, StrategyName,
        StrategySettings,
    };

    use super::*;

    #[test]
    fn what_speaks_for_and_against_candidates_is_told() {
        let auto = Auto {
            pin: Some(StrategyName::round_robin),
            ..Auto::default()
        };
        let settings = ServiceSettings {
            strategy: StrategySettings::auto(auto),
            ..ServiceSettings::new("web")
        };
        let instance =
            |i: u16| Instance::new(&format!("web-{i}"), ([127, 0, 0, 1], 9000 + i).into()).unwrap();
        let mut now = Nanos::from_secs(1);
        let mut state = ServiceState::new(settings, (0..8).map(instance).collect(), 1, now).unwrap();
        let mut cx = PickContext::new(1);
        // A quarter takes twice as long as the others; 1000 requests a second, of which none meet.
        for _ in 0..60_000 {
            now = now + Nanos::from_millis(1);
            cx.now = now;
            let lease = state.view().pick(&PickRequest::default(), &mut cx).unwrap();
            let took = Nanos::from_millis(if lease.slot().0 < 2 { 20 } else { 10 });
            let _ = lease.finish(&Outcome::from_status(200, took), now);
            if now >= state.next_deadline() {
                state.tick(now);
            }
        }
        let view = state.view();
        let told = describe(&view.auto().unwrap(), &Calendar::new(SystemTime::now(), now));
        assert_eq!((told.regime.as_deref(), told.veto), (Some("uneven"), None));
        let of = |name: &str| told.candidates.iter().find(|one| one.strategy == name).unwrap();
        let why = of("least_connections").unsuitable.as_deref().unwrap();
        assert!(why.contains("response times"), "{why}");
        assert!(of("round_robin").unsuitable.is_some() && of("peak_ewma").unsuitable.is_none());
        let (gain, least) = (of("peak_ewma").gain.unwrap(), of("peak_ewma").least_gain.unwrap());
        assert!(least > 0.05 && gain > least, "{gain} {least}");
        let mut text = MetricsText::default();
        write(&[("web", view), ("other", view)], &mut text);
        let text = text.take();
        for line in [
            "evenkeel_auto_choice{service=\"web\",strategy=\"round_robin\"} 1\n".to_owned(),
            "evenkeel_auto_choice{service=\"other\",strategy=\"adaptive\"} 0\n".to_owned(),
            format!("evenkeel_auto_gain_ratio{{service=\"web\",strategy=\"peak_ewma\"}} {gain}\n"),
            format!("evenkeel_auto_least_gain_ratio{{service=\"web\",strategy=\"peak_ewma\"}} {least}\n"),
        ] {
            assert!(text.contains(&line), "{line}{text}");
        }
        let none = "gain_ratio{service=\"web\",strategy=\"round_robin\"}";
        assert!(
            !text.contains(none),
            "the one in force is compared with nobody: {text}"
        );
    }
}
