//! What is told of strategies that go by time is what they go by.

use super::*;
use crate::Rng;

fn stats(state: &ServiceState, id: &str) -> Arc<crate::Stats> {
    let mut members = state.view().members();
    let found = members.find(|(_, member, _)| member.instance().id.as_str() == id);
    Arc::clone(found.unwrap().1.stats())
}

fn ended(state: &ServiceState, id: &str, status: u16, ms: u64, now: Nanos) {
    let stats = stats(state, id);
    stats.on_start(now);
    let _ = stats.on_end(&Outcome::from_status(status, Nanos::from_millis(ms)), now);
}

fn lost(state: &ServiceState, id: &str, now: Nanos) -> String {
    let explanation = Explanation::new(state.view(), &Question::default(), now, 1);
    explanation.instance(id).unwrap().lost.clone().unwrap_or_default()
}

fn pair(strategy: StrategyName) -> ServiceState {
    service(by(strategy), vec![instance("a", 1), instance("b", 2)])
}

#[test]
fn the_shortest_response_time_fades_by_its_own_half_life_and_not_by_another() {
    let state = pair(StrategyName::least_response_time);
    ended(&state, "a", 200, 10, NOW);
    ended(&state, "b", 200, 900, NOW);
    assert_eq!(
        lost(&state, "b", NOW),
        "its cost is 900.00 (idle, it takes 900.0 ms), and a's 10.00 (idle, it takes 10.0 ms)"
    );
    // One half-life of this strategy; of the estimates that others go by it is more than two.
    let later = NOW + Nanos::from_secs(5);
    ended(&state, "a", 200, 10, later);
    assert_eq!(
        lost(&state, "b", later),
        "its cost is 450.00 (idle, it takes 900.0 ms, and it had no request for 5.0 s), and a's 10.00 (idle, it takes \
         10.0 ms)"
    );
    // Its floor.
    let due = NOW + Nanos::from_secs(31);
    ended(&state, "a", 200, 10, due);
    let words = lost(&state, "a", due);
    assert!(
        words.ends_with("and b's 0.00 (it had no request for 31.0 s, so a trial is due)"),
        "{words}"
    );
    // Failures count by the share of successes, and not as so much time.
    ended(&state, "b", 500, 1, due);
    let words = lost(&state, "b", due);
    assert!(
        words.starts_with("its cost is 960.00 (idle, it takes 900.0 ms, and 94 % of its requests succeed)"),
        "{words}"
    );
}

#[test]
fn a_peak_counts_where_the_strategy_goes_by_peaks() {
    let state = pair(StrategyName::peak_ewma);
    for id in ["a", "b"] {
        (0..20).for_each(|_| ended(&state, id, 200, 10, NOW));
    }
    ended(&state, "b", 200, 2000, NOW);
    assert_eq!(
        lost(&state, "b", NOW),
        "its cost is 2000.00 (idle, its peak time is 2000.0 ms), and a's 10.00 (idle, its peak time is 10.0 ms)"
    );
    let words = lost(&state, "b", NOW + Nanos::from_secs(2));
    assert!(
        words.starts_with(
            "its cost is 500.00 (idle, its peak time is 500.0 ms after 2.0 s without a request)"
        ),
        "{words}"
    );
}

#[test]
fn two_choices_tell_of_time_only_where_somebody_is_slow_or_fails() {
    let mut state = service(by(StrategyName::power_of_two), fleet());
    for _ in 0..20 {
        ended(&state, "a", 200, 10, NOW);
        ended(&state, "b", 200, 10, NOW);
        ended(&state, "c", 200, 39, NOW);
    }
    let soon = NOW + Nanos::from_secs(2);
    state.tick(soon);
    let all = Explanation::new(state.view(), &Question::default(), soon, 1);
    for one in &all.instances {
        assert!(one.odds > 0.25, "{all}");
        let words = one.lost.as_deref().unwrap_or("nothing that");
        assert!(words.starts_with("nothing that"), "{words}");
    }
    (0..20).for_each(|_| ended(&state, "c", 200, 80, soon));
    let later = soon + Nanos::from_secs(1);
    state.tick(later);
    let all = Explanation::new(state.view(), &Question::default(), later, 1);
    let slow = all.instance("c").unwrap();
    assert_eq!(slow.odds, 0.0, "{all}");
    let words = slow.lost.clone().unwrap();
    assert!(
        words.starts_with("its cost is 10.") && words.contains("where 10.0 ms are typical: counts 7."),
        "{words}"
    );
}

#[test]
fn within_regions_it_is_the_inner_strategy_that_is_told() {
    use crate::strategy::Geographical;
    let settings = ServiceSettings {
        strategy: crate::StrategySettings::geographical(Geographical {
            within: Box::new(StrategyName::least_connections.into()),
            ..Geographical::default()
        }),
        ..ServiceSettings::new("web")
    };
    let state = service(settings, vec![instance("a", 1), instance("b", 2)]);
    ended(&state, "a", 200, 10, NOW);
    ended(&state, "b", 200, 900, NOW);
    let view = Arc::clone(state.view());
    let _held = view.lease(Slot(0), NOW).unwrap();
    assert_eq!(
        lost(&state, "a", NOW),
        "1 in flight, 1.00 per weight, where b has 0, 0.00"
    );
}

/// Of two candidates both are compared, so one that costs less never loses. This is where the rules that are told are held
/// against those that pick.
#[test]
fn who_loses_to_the_only_other_costs_no_less() {
    for strategy in [
        StrategyName::least_response_time,
        StrategyName::peak_ewma,
        StrategyName::power_of_two,
    ] {
        let mut told = 0;
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let mut instances = vec![instance("a", 1), instance("b", 2)];
            instances[0].weight = Weight::new(u64::from(1 + rng.below(3))).unwrap();
            let mut state = service(by(strategy), instances);
            let mut now = NOW;
            for _ in 0..rng.below(40) {
                now = now + Nanos::from_millis(u64::from(rng.below(2000)));
                let id = ["a", "b"][rng.below(2) as usize];
                let status = if rng.below(4) == 0 { 500 } else { 200 };
                let slow = if rng.below(3) == 0 { 20 } else { 1 };
                ended(&state, id, status, u64::from(1 + rng.below(50)) * slow, now);
            }
            now = now + Nanos::from_secs(u64::from(rng.below(40)));
            state.tick(now);
            let view = Arc::clone(state.view());
            let slots = view.candidates().slots().to_vec();
            let _held: Vec<_> = (0..rng.below(4))
                .map(|_| {
                    view.lease(slots[rng.below(slots.len() as u32) as usize], now)
                        .unwrap()
                })
                .collect();
            let all = Explanation::new(&view, &Question::default(), now, seed);
            for words in all.instances.iter().filter_map(|one| one.lost.as_deref()) {
                told += usize::from(words.starts_with("its cost is"));
                assert!(!words.contains("costs less"), "{strategy}, seed {seed}: {all}");
            }
        }
        assert!(told > 25, "{strategy}: {told}");
    }
}
