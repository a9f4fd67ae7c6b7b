//! Where requests go when the nearest region is taken away before any went elsewhere.

use evenkeel_core::Nanos;
use evenkeel_sim::{Run, Scenario};

use crate::runs::ran;

/// S9, but the nearest region is drained, after eight seconds: one that fails is left by tries elsewhere, which show the way.
/// Here `asia` comes first by name, and `us` is the nearer one. Nobody goes astray to learn.
fn drained(check: &str) -> Vec<Run> {
    let text = format!(
        "about: x\nduration: 20s\nwarm_up: 1s\narrivals: {{ load: 0.05 }}\n\
         clients: {{ count: 6, regions: {{ eu: 1 }} }}\n\
         network: {{ round_trip: 1ms, between: [{{ regions: [eu, us], round_trip: 35ms }}, \
         {{ regions: [us, asia], round_trip: 163ms }}, {{ regions: [eu, asia], round_trip: 163ms }}] }}\n\
         servers: [{{ count: 16, cores: 2, region: eu }}, {{ count: 14, cores: 2, region: us }}, \
         {{ count: 10, cores: 2, region: asia }}]\n\
         faults: [{{ servers: 0-15, from: 8s, fault: restart }}]\n\
         service: {{ strategy: {{ name: geographical, probe: false }}{check} }}\n"
    );
    let scenario = Scenario::from_str("regions", &text).unwrap();
    let policy = "geographical".parse().unwrap();
    (1..=4).map(|seed| ran(&scenario, &policy, seed)).collect()
}

/// Of the requests while the region is gone, the part that took longer than the way to the farther one and back.
fn far(runs: &[Run]) -> Vec<f64> {
    runs.iter()
        .map(|run| run.during.beyond(Nanos::from_millis(155)))
        .collect()
}

#[test]
fn the_next_region_is_right_before_the_first_request_goes_there() {
    let checked = far(&drained(", health_check: { tcp: {}, interval: 1s }"));
    assert!(checked.iter().all(|part| *part < 0.01), "{checked:?}");
    // Without connections nobody knows, and the first by name is the farther one.
    let blind = far(&drained(""));
    assert!(blind.iter().all(|part| *part > 0.3), "{blind:?}");
}

/// S9: part of the requests that fail while the region is away, and the part of its capacity that `us` is used for.
fn lost(load: &str, reports: bool) -> (f64, f64) {
    let text = evenkeel_sim::built_in_text("region_loss").unwrap();
    // Longer work is fewer requests for the same load.
    let text = text.replace("load: 0.6", &format!("load: {load}"));
    let text = text.replace("servers:\n", "work: { exponential: 32ms }\nservers:\n");
    let text = text.replace("120s", "80s");
    let text = text.replace("cores: 2,", &format!("cores: 2, reports: {reports},"));
    let scenario = Scenario::from_str("region_loss", &text).unwrap();
    let run = ran(&scenario, &"geographical".parse().unwrap(), 1);
    let failed = run.during.errors() as f64 / run.during.requests() as f64;
    let interval = run.interval.as_secs_f64();
    let points = &run.points[(45.0 / interval) as usize..];
    let picks = points.iter().flat_map(|point| &point.picks[16..30]);
    let work = 0.032 * f64::from(picks.sum::<u32>());
    (failed, work / (28.0 * interval * points.len() as f64))
}

#[test]
fn survivors_of_a_lost_region_are_used_evenly_and_nobody_waits_in_vain() {
    for reports in [true, false] {
        let (failed, used) = lost("0.45", reports);
        assert!(failed < 0.001 && used < 0.8, "{reports} {failed} {used}");
    }
    // All that is left is full.
    let (failed, used) = lost("0.6", true);
    assert!(failed < 0.001 && (0.97..1.03).contains(&used), "{failed} {used}");
    // Who does not know how full they are leaves some room.
    let (failed, used) = lost("0.6", false);
    assert!(failed < 0.01 && (0.9..1.03).contains(&used), "{failed} {used}");
}
