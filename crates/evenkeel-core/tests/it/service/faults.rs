//! Replays of faults that have a name, request by request in virtual time: every instance fails
//! alike, one dies, one flaps every second, one fails without being checked, a large fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use evenkeel_core::{
    EventKind, Evidence, Instance, InstanceState, Nanos, Outcome, PickContext, PickRequest, ServiceSettings,
    ServiceState, StrategyName,
};

const MS: Nanos = Nanos::from_millis(1);

/// With a strategy that avoids nobody: what is tested is who may be picked.
fn settings() -> ServiceSettings {
    ServiceSettings {
        strategy: StrategyName::random.into(),
        ..ServiceSettings::new("web")
    }
}

fn instances(n: u32) -> Vec<Instance> {
    let addresses = (0..n).map(|i| SocketAddr::from((i.to_be_bytes(), 80)));
    let instances = addresses.enumerate();
    instances
        .map(|(i, address)| Instance::new(&format!("i{i}"), address).unwrap())
        .collect()
}

/// A service under a steady load of one request per millisecond, with a writer that wakes on alarms
/// and at deadlines.
struct Load {
    state: ServiceState,
    cx: PickContext,
    now: Nanos,
    /// Failed and all requests per instance.
    seen: BTreeMap<String, (u64, u64)>,
    /// Time and instance of each return.
    returns: Vec<(Nanos, String)>,
    transitions: u64,
}

impl Load {
    fn on(n: u32) -> Self {
        let state = ServiceState::new(settings(), instances(n), 42, Nanos::ZERO).unwrap();
        Self {
            state,
            cx: PickContext::new(1),
            now: Nanos::ZERO,
            seen: BTreeMap::new(),
            returns: Vec::new(),
            transitions: 0,
        }
    }

    /// Runs for `seconds`; `fails` says which instance fails when.
    fn run(&mut self, seconds: u64, fails: impl Fn(&str, Nanos) -> bool) {
        let end = self.now + Nanos::from_secs(seconds);
        while self.now < end {
            if self.now >= self.state.next_deadline() {
                self.state.tick(self.now);
            }
            self.request(&fails);
            for event in self.state.take_events() {
                self.transitions += u64::from(matches!(event.kind, EventKind::Ejected | EventKind::Returned));
                if event.kind == EventKind::Returned {
                    let id = event.instance.map(|id| id.to_string());
                    self.returns.push((event.at, id.unwrap_or_default()));
                }
            }
            self.now = self.now + MS;
        }
    }

    fn request(&mut self, fails: impl Fn(&str, Nanos) -> bool) {
        self.cx.now = self.now;
        let view = self.state.view();
        let lease = view.pick(&PickRequest::default(), &mut self.cx).unwrap();
        let id = lease.member().instance().id.to_string();
        let failed = fails(&id, self.now);
        let outcome = if failed {
            Outcome::failed(MS)
        } else {
            Outcome::from_status(200, MS)
        };
        let seen = self.seen.entry(id).or_default();
        seen.0 += u64::from(failed);
        seen.1 += 1;
        if lease.finish(&outcome, self.now).is_some() {
            self.state.apply(Evidence::Alarm, self.now);
        }
    }

    fn failed(&self) -> u64 {
        self.seen.values().map(|(failed, _)| failed).sum()
    }

    fn ejected(&self) -> usize {
        let members = self.state.view().members();
        members
            .filter(|(.., status)| matches!(status.state, InstanceState::Ejected { .. }))
            .count()
    }
}

#[test]
fn a_dead_instance_costs_few_requests() {
    let mut load = Load::on(3);
    load.run(300, |id, _| id == "i1");
    // 5 before the first ejection, 2 after each return; returns after 5, 15, 35, 75, 155 s.
    assert!(load.failed() <= 5 + 2 * 6, "{}", load.failed());
    assert!(load.failed() >= 5 + 2 * 4, "{}", load.failed());
    load.run(300, |_, _| false);
    assert_eq!(load.ejected(), 0, "it came back when it worked again");
}

#[test]
fn two_dead_of_three_cost_few_requests() {
    let mut load = Load::on(3);
    load.run(60, |id, _| id != "i1");
    assert!(load.failed() <= 2 * (5 + 2 * 4), "{}", load.failed());
}

#[test]
fn when_all_fail_alike_traffic_goes_on_and_all_return_soon() {
    for n in [1, 2, 3, 4, 10, 101] {
        let mut load = Load::on(n);
        load.run(10, |_, _| false);
        for _ in 0..60 {
            load.run(1, |_, _| true);
            assert!(
                load.ejected() <= (n as usize).div_ceil(2),
                "{} of {n}",
                load.ejected()
            );
            assert!(!load.state.view().is_fallback());
            assert!(!load.state.view().candidates().is_empty());
        }
        assert_eq!(load.failed(), 60_000);
        // A minute of common failure must not leave a minute of ejections behind.
        load.run(25, |_, _| false);
        assert_eq!(load.ejected(), 0, "of {n}");
        assert_eq!(load.failed(), 60_000);
    }
}

#[test]
fn a_partial_failure_of_all_never_ejects_more_than_half() {
    let mut load = Load::on(20);
    let mut most = 0;
    for _ in 0..120 {
        // Every other request fails, whatever the instance.
        load.run(1, |id, now| {
            let mix = now.0 / 1_000_000 * 0x9E37_79B9 + id.len() as u64;
            mix.count_ones().is_multiple_of(2)
        });
        most = most.max(load.ejected());
    }
    assert!(most <= 10, "{most}");
}

#[test]
fn returns_are_staggered() {
    let mut load = Load::on(16);
    let sick = |id: &str, now: Nanos| now < Nanos::from_secs(2) && id.len() == 2 && id != "i9";
    load.run(10, sick);
    assert!(load.returns.len() >= 8, "{:?}", load.returns);
    let times: BTreeSet<u64> = load.returns.iter().map(|(at, _)| at.0 / 1_000_000).collect();
    assert!(times.len() * 10 >= load.returns.len() * 8, "{:?}", load.returns);
    let spread = times.last().unwrap() - times.first().unwrap();
    assert!(spread >= 300, "{spread} ms");
}

#[test]
fn an_instance_that_flaps_every_second_is_held_longer_and_longer() {
    let mut load = Load::on(4);
    load.run(1200, |id, now| id == "i2" && now.as_duration().as_secs() % 2 == 0);
    // Without growth a flap costs two transitions per 6 s: 400 in 20 minutes.
    assert!(load.transitions <= 40, "{}", load.transitions);
    let (failed, all) = load.seen["i2"];
    assert!(failed <= 60, "{failed} of {all}");
}

#[test]
fn a_replaced_service_keeps_counters() {
    let mut load = Load::on(5);
    load.run(5, |_, _| false);
    let picks = |load: &Load| -> u64 {
        load.state
            .view()
            .members()
            .map(|(_, m, _)| m.stats().picks())
            .sum()
    };
    assert_eq!(picks(&load), 5000);
    for _ in 0..200 {
        let mut reversed = instances(5);
        reversed.reverse();
        load.state.replace(settings(), reversed, load.now).unwrap();
    }
    assert_eq!(
        load.state.view().version(),
        1,
        "nothing changed, so nothing was built"
    );
    load.state.replace(settings(), instances(6), load.now).unwrap();
    assert_eq!(picks(&load), 5000);
    load.state.replace(settings(), instances(4), load.now).unwrap();
    assert!(picks(&load) >= 3000);
}

#[test]
fn a_hundred_thousand_instances_work() {
    let mut load = Load::on(100_000);
    assert_eq!(load.state.view().candidates().len(), 100_000);
    load.run(2, |_, _| false);
    assert_eq!(load.seen.values().map(|(_, all)| all).sum::<u64>(), 2000);
}

#[test]
fn a_fleet_that_shrinks_and_grows_reuses_slots() {
    let mut load = Load::on(10_000);
    load.state
        .replace(settings(), instances(5_000), load.now)
        .unwrap();
    assert_eq!(load.state.view().candidates().len(), 5_000);
    load.run(2, |_, _| false);
    load.state
        .replace(settings(), instances(10_000), load.now)
        .unwrap();
    assert_eq!(load.state.counters().of(EventKind::Registered), 5_000);
    assert_eq!(load.state.counters().of(EventKind::Deregistered), 5_000);
    let highest = load.state.view().members().last().map(|(slot, ..)| slot.0);
    assert_eq!(highest, Some(9_999));
}
