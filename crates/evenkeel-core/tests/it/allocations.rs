//! A pick allocates nothing, nor does the life of its lease.

use evenkeel_core::testing::{candidates, lease};
use evenkeel_core::{
    Instance, LoadReport, Nanos, Outcome, PickContext, PickRequest, ServiceSettings, ServiceState,
    SessionKey, SessionTag, Slot, StrategyName,
};

use crate::conformance::build;

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(7))));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn picks_and_leases_allocate_nothing() {
    let wide: Vec<u32> = (0..300).map(|i| 1 + i * 211).collect();
    for name in StrategyName::ALL {
        for weights in [vec![1; 10], vec![2; 200], (1..=100).collect(), wide.clone()] {
            let service = candidates(&weights).unwrap();
            let picker = build(*name, &service, 1);
            let mut cx = PickContext::new(1);
            let used = allocation_counter::measure(|| {
                for step in 0..1000 {
                    cx.now = Nanos::from_millis(step);
                    let request = PickRequest {
                        key: (step % 2 == 0).then_some((step << 40).into()),
                        region: None,
                        tried: &[Slot(0), Slot(3)][..step as usize % 3],
                    };
                    let slot = picker.pick(&request, &mut cx).unwrap();
                    let lease = lease(&service, slot, cx.now).unwrap();
                    if step % 3 > 0 {
                        let outcome = Outcome::from_status(200 + 300 * (step % 2) as u16, cx.now);
                        let _ = lease.finish(&outcome, cx.now);
                    }
                }
            });
            assert_eq!(used.count_total, 0, "{name} with {} instances", weights.len());
        }
    }
}

#[test]
fn the_way_back_of_a_session_allocates_nothing() {
    let key = SessionKey::new(b"0123456789abcdef", "web");
    let settings = ServiceSettings {
        sessions: Some(key),
        ..ServiceSettings::new("web")
    };
    let instances: Vec<_> = (0..300)
        .map(|n| Instance::new(&format!("i-{n}"), ([127, 0, 0, 1], 1 + n).into()).unwrap())
        .collect();
    let ids: Vec<_> = instances.iter().map(|instance| instance.id.clone()).collect();
    let state = ServiceState::new(settings, instances, 1, Nanos::ZERO).unwrap();
    let view = state.view();
    let used = allocation_counter::measure(|| {
        for id in &ids {
            // Out of a cookie, and back to the instance.
            let text = key.tag(id).to_text();
            let slot = view.session(SessionTag::from_text(&text).unwrap()).unwrap();
            let lease = view.lease(slot, Nanos::ZERO).unwrap();
            assert_eq!(lease.member().instance().id, *id);
        }
    });
    assert_eq!(used.count_total, 0);
}

#[test]
fn reading_a_load_report_allocates_nothing() {
    let used = allocation_counter::measure(|| {
        for value in [
            "TEXT cpu_utilization=0.5,mem_utilization=0.25,named_metrics.queue=3",
            "JSON {\"cpuUtilization\": 0.5, \"utilization\": {\"disk\": [1, 2]}}",
            "BIN CQAAAAAAAOA/EQAAAAAAANA/",
            "TEXT cpu_utilization=NaN",
        ] {
            let _ = std::hint::black_box(LoadReport::from_orca(value.as_bytes()));
        }
    });
    assert_eq!(used.count_total, 0);
}
