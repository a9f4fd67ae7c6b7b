//! What `/metrics` has of each instance: one row per family. A number that is not known is absent, never a zero.

use evenkeel_core::{HealthPart, InstanceState, LoadReport, Member, Nanos, Slot, Status, View};

use crate::text::{MetricKind, MetricValue};
use MetricKind::{Counter, Gauge};

/// One instance at the moment its sample is written.
pub(super) struct Sight<'a> {
    pub(super) view: &'a View,
    pub(super) slot: Slot,
    pub(super) member: &'a Member,
    pub(super) status: &'a Status,
    /// The beginning of the scrape.
    pub(super) now: Nanos,
}

/// A family with at most one sample per instance.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: MetricKind,
    pub(super) help: &'static str,
    pub(super) value: fn(&Sight<'_>) -> Option<MetricValue>,
}

/// A part of the score while something speaks against the instance: five series for each that is well would only
/// make scrapes larger.
fn part(i: &Sight<'_>, part: HealthPart) -> Option<MetricValue> {
    let value = i.member.stats().health_parts().get(part);
    (value < 1.0).then(|| f64::from(value).into())
}

/// A number of the report of its load, while that is worth something.
fn reported(i: &Sight<'_>, number: fn(&LoadReport) -> Option<f32>) -> Option<MetricValue> {
    let (report, _) = i.member.stats().reported().get(i.now)?;
    number(&report).map(|number| f64::from(number).into())
}

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "evenkeel_instance_active_requests",
        kind: Gauge,
        help: "Requests in flight to the instance.",
        value: |i| Some(i.member.load().get().into()),
    },
    Family {
        name: "evenkeel_instance_up",
        kind: Gauge,
        help: "1 while the instance is healthy, 0 while it is down, ejected, weak or draining.",
        value: |i| Some((i.status.state == InstanceState::Healthy).into()),
    },
    Family {
        name: "evenkeel_instance_ejected",
        kind: Gauge,
        help: "1 while the instance is out because its requests failed.",
        value: |i| Some(i.status.ejected_until.is_some().into()),
    },
    Family {
        name: "evenkeel_instance_candidate",
        kind: Gauge,
        help: "1 while the strategy may choose the instance.",
        value: |i| Some(i.view.is_candidate(i.slot).into()),
    },
    Family {
        name: "evenkeel_instance_health_score",
        kind: Gauge,
        help: "The score of the instance's health, 0 to 1: the worst of its parts.",
        value: |i| Some(f64::from(i.member.stats().health()).into()),
    },
    Family {
        name: "evenkeel_instance_health_checks",
        kind: Gauge,
        help: "The part of the score that comes from active checks; absent while 1.",
        value: |i| part(i, HealthPart::Checks),
    },
    Family {
        name: "evenkeel_instance_health_requests",
        kind: Gauge,
        help: "The part of the score that comes from how requests end; absent while 1.",
        value: |i| part(i, HealthPart::Requests),
    },
    Family {
        name: "evenkeel_instance_health_latency",
        kind: Gauge,
        help: "The part of the score that comes from response times beside those of the peers; absent while 1.",
        value: |i| part(i, HealthPart::Latency),
    },
    Family {
        name: "evenkeel_instance_health_load",
        kind: Gauge,
        help: "The part of the score that comes from the reported load; absent while 1.",
        value: |i| part(i, HealthPart::Load),
    },
    Family {
        name: "evenkeel_instance_health_reported",
        kind: Gauge,
        help: "The part of the score that comes from reported health; absent while 1.",
        value: |i| part(i, HealthPart::Reported),
    },
    Family {
        name: "evenkeel_instance_reported_cpu_utilization",
        kind: Gauge,
        help: "Processors in use as the instance reports it, 1 for all it has; absent without a report of the last 3 minutes.",
        value: |i| reported(i, LoadReport::cpu),
    },
    Family {
        name: "evenkeel_instance_reported_mem_utilization",
        kind: Gauge,
        help: "Memory in use as the instance reports it, 1 for all it has; absent without a report of the last 3 minutes.",
        value: |i| reported(i, LoadReport::memory),
    },
    Family {
        name: "evenkeel_instance_reported_application_utilization",
        kind: Gauge,
        help: "How busy the instance reports to be, 1 for as busy as it should be; absent without a report of the last 3 minutes.",
        value: |i| reported(i, LoadReport::application),
    },
    Family {
        name: "evenkeel_instance_reported_requests_per_second",
        kind: Gauge,
        help: "Requests per second that the instance reports; absent without a report of the last 3 minutes.",
        value: |i| reported(i, LoadReport::requests_per_second),
    },
    Family {
        name: "evenkeel_instance_reported_errors_per_second",
        kind: Gauge,
        help: "Errors per second that the instance reports; absent without a report of the last 3 minutes.",
        value: |i| reported(i, LoadReport::errors_per_second),
    },
    Family {
        name: "evenkeel_instance_reported_age_seconds",
        kind: Gauge,
        help: "How long ago the instance last reported its load; absent after 3 minutes.",
        value: |i| {
            let reported = i.member.stats().reported();
            reported.get(i.now)?;
            Some(i.now.since(reported.observed()?).as_secs_f64().into())
        },
    },
    Family {
        name: "evenkeel_instance_response_time_seconds",
        kind: Gauge,
        help: "Smoothed time from the pick to the head of the response; absent before the first success.",
        value: |i| Some(i.member.stats().response_time()?.0.as_secs_f64().into()),
    },
    Family {
        name: "evenkeel_instance_successes_total",
        kind: Counter,
        help: "Requests that the instance answered without a fault of its own.",
        value: |i| Some(i.member.stats().successes().into()),
    },
    Family {
        name: "evenkeel_instance_failures_total",
        kind: Counter,
        help: "Requests that failed through the instance's fault.",
        value: |i| Some(i.member.stats().failures().into()),
    },
    Family {
        name: "evenkeel_instance_throttled_total",
        kind: Counter,
        help: "Requests that the instance was too busy for (408, 429).",
        value: |i| Some(i.member.stats().throttled().into()),
    },
    Family {
        name: "evenkeel_instance_cancelled_total",
        kind: Counter,
        help: "Requests to the instance that ended without saying anything about it.",
        value: |i| Some(i.member.stats().cancelled().into()),
    },
];

#[cfg(test)]
mod tests {
    use evenkeel_core::{Instance, ServiceSettings, ServiceState};

    use super::*;

    #[test]
    fn a_report_that_expired_is_absent() {
        let at = Nanos::from_secs(1000);
        let instance = Instance::new("a", ([127, 0, 0, 1], 1).into()).unwrap();
        let state = ServiceState::new(ServiceSettings::new("web"), vec![instance], 1, at).unwrap();
        let view = state.view();
        let (slot, member, status) = view.members().next().unwrap();
        let report = LoadReport::default().with_cpu(0.5).unwrap();
        assert!(member.stats().reported().observe(&report, at, at));
        let told = |now: Nanos| {
            let sight = Sight {
                view,
                slot,
                member,
                status,
                now,
            };
            let families = FAMILIES.iter();
            let reported = families.filter(|family| family.name.contains("_instance_reported_"));
            let told = reported.filter(|family| (family.value)(&sight).is_some());
            told.map(|family| family.name).collect::<Vec<_>>()
        };
        let both = [
            "evenkeel_instance_reported_cpu_utilization",
            "evenkeel_instance_reported_age_seconds",
        ];
        assert_eq!(told(at + Nanos::from_secs(179)), both);
        assert_eq!(told(at + Nanos::from_secs(180)), [""; 0]);
    }
}
