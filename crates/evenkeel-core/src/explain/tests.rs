use std::net::SocketAddr;

use super::*;
use crate::{
    CheckFailure, CheckOutcome, CheckThresholds, Evidence, Instance, Operation, Outcome, Panic, Regions,
    ServiceSettings, ServiceState, Weight,
};

mod time;

const NOW: Nanos = Nanos::from_secs(1000);

fn instance(id: &str, port: u16) -> Instance {
    Instance::new(id, SocketAddr::from(([127, 0, 0, 1], port))).unwrap()
}

fn fleet() -> Vec<Instance> {
    vec![instance("a", 1), instance("b", 2), instance("c", 3)]
}

fn service(settings: ServiceSettings, instances: Vec<Instance>) -> ServiceState {
    ServiceState::new(settings, instances, 7, NOW).unwrap()
}

fn by(strategy: StrategyName) -> ServiceSettings {
    ServiceSettings {
        strategy: strategy.into(),
        ..ServiceSettings::new("web")
    }
}

fn explained(state: &ServiceState, question: &Question<'_>) -> Explanation {
    Explanation::new(state.view(), question, NOW, 1)
}

fn stages(explanation: &Explanation, id: &str) -> Vec<(&'static str, f64, String)> {
    let found = &explanation.instance(id).unwrap().stages;
    found
        .iter()
        .map(|finding| (finding.stage, finding.left, finding.reason.clone()))
        .collect()
}

fn fail_checks(state: &mut ServiceState, id: &str) {
    let evidence = Evidence::Check {
        id: InstanceId::new(id).unwrap(),
        observed: NOW,
        outcome: CheckOutcome::Failed(CheckFailure("connection refused".into())),
        connected: None,
    };
    state.apply(evidence, NOW);
}

/// What a member answered before.
fn answer(state: &ServiceState, id: &str, outcome: &Outcome) {
    let view = state.view();
    let mut members = view.members();
    let (_, member, _) = members
        .find(|(_, member, _)| member.instance().id.as_str() == id)
        .unwrap();
    member.stats().on_start(NOW);
    let _ = member.stats().on_end(outcome, NOW);
}

#[test]
fn whoever_a_stage_removes_has_the_reason_with_its_numbers() {
    let settings = ServiceSettings {
        checks: Some(CheckThresholds::default()),
        regions: Regions {
            allow: ["eu".into()].into(),
            deny: Default::default(),
        },
        ..by(StrategyName::round_robin)
    };
    let located = |id, port, region: &str| Instance {
        region: Some(region.into()),
        ..instance(id, port)
    };
    let instances = vec![
        located("a", 1, "eu"),
        located("down", 2, "eu"),
        located("far", 3, "us"),
        located("drained", 4, "eu"),
        Instance {
            priority: 1,
            ..located("later", 5, "eu")
        },
    ];
    let mut state = service(settings, instances);
    let spare = stages(&explained(&state, &Question::default()), "later");
    let reason = "its priority is 1, and priority 0 takes 100 % of the requests";
    assert_eq!(spare, [("priority", 0.0, reason.to_owned())]);
    state
        .operate(
            Operation::Drain {
                id: InstanceId::new("drained").unwrap(),
                why: "a new release".into(),
            },
            NOW,
        )
        .unwrap();
    let before = explained(&state, &Question::default());
    assert_eq!(stages(&before, "far")[0].0, "region");
    assert_eq!(
        stages(&before, "far")[0].2,
        "only the regions eu are allowed, and its region us is not among them"
    );
    let drained = stages(&before, "drained");
    assert_eq!((drained[0].0, drained[0].1), ("draining", 0.0));
    assert!(drained[0].2.contains("a new release"), "{drained:?}");
    // Two of the three of priority 0 that may be used: 1.4 × 2/3 of it.
    assert_eq!(stages(&before, "a"), [], "all begin alike");
    let later = stages(&before, "later");
    let later = later.last().unwrap();
    assert_eq!(later.0, "priority");
    assert_eq!(later.2, "priority 1 takes 7 % of the requests");
    assert_eq!(
        before.notes,
        ["priority 0 takes 93 %, priority 1 takes 7 % of the requests"]
    );

    fail_checks(&mut state, "down");
    let after = explained(&state, &Question::default());
    let down = stages(&after, "down");
    assert_eq!((down.len(), down[0].0, down[0].1), (1, "down", 0.0));
    assert!(down[0].2.contains("connection refused"), "{down:?}");
    assert_eq!(after.instance("down").unwrap().odds, 0.0);
    assert_eq!(after.instance("down").unwrap().lost, None, "it did not take part");
}

/// They are as healthy as anybody, and no help.
#[test]
fn who_may_not_be_used_is_not_counted_among_the_healthy() {
    let settings = ServiceSettings {
        checks: Some(CheckThresholds::default()),
        regions: Regions {
            allow: Default::default(),
            deny: ["us".into()].into(),
        },
        ..by(StrategyName::random)
    };
    let mut instances = fleet();
    for (id, port) in [("far-1", 4), ("far-2", 5), ("far-3", 6)] {
        instances.push(Instance {
            region: Some("us".into()),
            ..instance(id, port)
        });
    }
    let mut state = service(settings, instances);
    let drain = Operation::Drain {
        id: InstanceId::new("a").unwrap(),
        why: "a new release".into(),
    };
    state.operate(drain, NOW).unwrap();
    for id in ["b", "c"] {
        fail_checks(&mut state, id);
    }
    let all = explained(&state, &Question::default());
    assert_eq!(
        all.notes,
        [
            "0 of 2 instances are healthy (3 more are not permitted by `locality`, 1 more drains), at least 1 must be: \
             all that are not ejected are used, whatever checks, scores and priorities say"
        ]
    );
}

#[test]
fn a_smaller_share_says_what_it_is_made_of() {
    let mut state = service(by(StrategyName::weighted_random), fleet());
    let later = NOW + Nanos::from_secs(60);
    state.tick(later);
    let register = Operation::Register(instance("new", 9));
    state.operate(register, later).unwrap();
    let explanation = Explanation::new(state.view(), &Question::default(), later, 1);
    let new = explanation.instance("new").unwrap();
    assert_eq!(new.stages[0].stage, "slow_start");
    assert!((new.stages[0].left - 0.1).abs() < 0.002, "{new:?}");
    assert!(
        new.stages[0].reason.contains("10 % so far, all after 10 s"),
        "{explanation}"
    );
    assert!((new.odds - 0.1 / 3.1).abs() < 0.03, "{}", new.odds);
    let [a, b, c] = ["a", "b", "c"].map(|id| explanation.instance(id).unwrap());
    for one in [a, b, c] {
        assert_eq!(one.stages, [], "{explanation}");
        assert!((one.odds - 1.0 / 3.1).abs() < 0.06, "{}", one.odds);
    }
    let all: f64 = explanation.instances.iter().map(|one| one.odds).sum();
    assert!((all - 1.0).abs() < 1e-9);
}

#[test]
fn who_is_used_against_the_evidence_says_so() {
    let settings = ServiceSettings {
        checks: Some(CheckThresholds::default()),
        ..by(StrategyName::random)
    };
    let mut state = service(settings.clone(), fleet());
    for id in ["a", "b", "c"] {
        fail_checks(&mut state, id);
    }
    let all = explained(&state, &Question::default());
    assert!(all.fallback && all.notes[0].starts_with("0 of 3 instances are healthy, at least 1 must be"));
    let [(stage, left, reason)] = &stages(&all, "a")[..] else {
        panic!("{all}")
    };
    assert_eq!((*stage, *left), ("down", 1.0));
    assert!(
        reason.contains("connection refused; used all the same"),
        "{reason}"
    );

    let settings = ServiceSettings {
        panic: Panic::Fail,
        ..settings
    };
    let mut state = service(settings, fleet());
    for id in ["a", "b", "c"] {
        fail_checks(&mut state, id);
    }
    let none = explained(&state, &Question::default());
    assert_eq!(none.choice, Err(NoPick::NoneEligible));
    assert_eq!((stages(&none, "a")[0].0, none.draws), ("minimum", 0));
}

#[test]
fn the_others_lost_by_what_the_strategy_looks_at_and_nothing_else() {
    let busy = |strategy| {
        let state = service(by(strategy), fleet());
        let view = std::sync::Arc::clone(state.view());
        let held: Vec<_> = (0..3).map(|_| view.lease(Slot(0), NOW).unwrap()).collect();
        answer(&state, "b", &Outcome::from_status(200, Nanos::from_millis(900)));
        answer(&state, "c", &Outcome::from_status(200, Nanos::from_millis(10)));
        (state, held)
    };
    let (state, _held) = busy(StrategyName::least_response_time);
    let explanation = explained(&state, &Question::default());
    assert_eq!(explanation.choice.as_ref().map(InstanceId::as_str), Ok("c"));
    let lost =
        |explanation: &Explanation, id| explanation.instance(id).unwrap().lost.clone().unwrap_or_default();
    assert_eq!(lost(&explanation, "c"), "");
    assert_eq!(
        lost(&explanation, "b"),
        "its cost is 900.00 (idle, it takes 900.0 ms), and c's 10.00 (idle, it takes 10.0 ms)"
    );
    assert!(lost(&explanation, "a").starts_with("its cost is 1820.00 (3 in flight, it has not answered yet"));
    assert_eq!(explanation.instance("c").unwrap().odds, 1.0);

    // The same facts say nothing to a strategy that does not look at them.
    let (state, _held) = busy(StrategyName::round_robin);
    let explanation = explained(&state, &Question::default());
    let chosen = explanation.choice.clone().unwrap();
    for one in explanation
        .instances
        .iter()
        .filter(|one| one.instance.id != chosen)
    {
        assert_eq!(one.lost.as_deref(), Some(&*format!("the turn is {chosen}'s")));
    }
}

#[test]
fn a_key_has_one_owner_and_without_one_all_have_odds() {
    let state = service(by(StrategyName::rendezvous), fleet());
    let question = Question {
        key: Some(b"alice"),
        ..Question::default()
    };
    let keyed = explained(&state, &question);
    let owner = keyed.choice.clone().unwrap();
    assert_eq!(keyed.instance(owner.as_str()).unwrap().odds, 1.0);
    assert_eq!(keyed.notes, [] as [&str; 0]);
    let others = keyed.instances.iter().filter(|one| one.instance.id != owner);
    for one in others {
        assert_eq!(one.lost.as_deref(), Some(&*format!("the key belongs to {owner}")));
    }
    let request = question.request(state.view());
    let picked = state.view().choose(&request, &mut PickContext::new(3)).unwrap();
    assert_eq!(
        id(state.view(), picked),
        Some(owner),
        "it is where requests with the key go"
    );

    let all = explained(&state, &Question::default());
    assert!(all.notes[0].contains("no key was given"), "{:?}", all.notes);
    assert!(all.instances.iter().all(|one| one.odds > 0.2), "{all}");
}

#[test]
fn who_was_tried_already_is_passed_over() {
    let state = service(by(StrategyName::least_connections), fleet());
    let question = Question {
        tried: &[Slot(0), Slot(2)],
        ..Question::default()
    };
    let explanation = explained(&state, &question);
    assert_eq!(explanation.choice.as_ref().map(InstanceId::as_str), Ok("b"));
    assert_eq!(
        explanation.instance("a").unwrap().lost.as_deref(),
        Some("it was tried for this request already")
    );
}

/// Two services that differ only in having been asked pick alike: over all strategies, so also the ones to come.
#[test]
fn asking_changes_no_pick() {
    for &strategy in StrategyName::ALL {
        // More than some strategies look at one by one, so that they have notes.
        let weighted = || {
            let mut instances: Vec<_> = (1..=24).map(|n| instance(&format!("i{n}"), n)).collect();
            instances[0].weight = Weight::new(3).unwrap();
            instances[1].region = Some("eu".into());
            instances
        };
        let [asked, other] = [(); 2].map(|()| service(by(strategy), weighted()));
        let (mut one, mut two) = (PickContext::new(5), PickContext::new(5));
        for round in 0..120u64 {
            let now = NOW + Nanos::from_millis(round);
            (one.now, two.now) = (now, now);
            let explanation = Explanation::new(asked.view(), &Question::default(), now, round);
            assert!(explanation.choice.is_ok(), "{strategy}");
            let request = PickRequest::default();
            let picks = [
                asked.view().pick(&request, &mut one).unwrap(),
                other.view().pick(&request, &mut two).unwrap(),
            ];
            assert_eq!(picks[0].slot(), picks[1].slot(), "{strategy}, round {round}");
            for pick in picks {
                let time = Nanos::from_millis(1 + u64::from(pick.slot().0) % 7);
                let _ = pick.finish(&Outcome::from_status(200, time), now);
            }
        }
        for (_, member, _) in asked.view().members() {
            assert_eq!(member.load().get(), 0, "{strategy}");
        }
    }
}

#[test]
fn a_service_without_instances_has_nobody() {
    for &strategy in StrategyName::ALL {
        let explanation = explained(&service(by(strategy), Vec::new()), &Question::default());
        assert_eq!(
            (&explanation.choice, explanation.draws),
            (&Err(NoPick::Empty), 0),
            "{strategy}"
        );
        assert!(explanation.to_string().contains("would find nobody"));
    }
}

/// What `adaptive` goes by is more than a smoothed time, so it speaks for itself.
#[test]
fn adaptive_says_what_each_candidate_costs_it_and_why() {
    let mut state = service(by(StrategyName::adaptive), fleet());
    let lost = |state: &ServiceState, id: &str, now: Nanos| {
        let explanation = Explanation::new(state.view(), &Question::default(), now, 1);
        explanation.instance(id).unwrap().lost.clone()
    };
    let of = |state: &ServiceState, id: &str| {
        let (slot, member, _) = state
            .view()
            .members()
            .find(|(_, member, _)| member.instance().id.as_str() == id)
            .unwrap();
        (slot, Arc::clone(member.stats()))
    };
    let answer = |id: &str, ms: u64, now: Nanos| {
        let (_, stats) = of(&state, id);
        stats.on_start(now);
        let _ = stats.on_end(&Outcome::from_status(200, Nanos::from_millis(ms)), now);
    };
    // Nobody has answered: the first requests are due to all, and all are equal.
    let explanation = explained(&state, &Question::default());
    let words: Vec<&str> = explanation
        .instances
        .iter()
        .filter_map(|one| one.lost.as_deref())
        .collect();
    assert_eq!(words.len(), 2);
    assert!(
        words[0].contains("it costs as much as") && words[0].contains("its first request is due"),
        "{words:?}"
    );
    for id in ["a", "b"] {
        (0..200).for_each(|_| answer(id, 8, NOW));
    }
    (0..200).for_each(|_| answer("c", 12, NOW));
    state.tick(NOW + Nanos::from_secs(1));
    let soon = NOW + Nanos::from_millis(1500);
    assert_eq!(
        lost(&state, "c", soon).unwrap().split_once(", and ").unwrap().0,
        "its cost is 2.16 (idle, it takes 12.0 ms, where 8.0 ms are typical)"
    );
    // One of two equal ones: the draw.
    let words = lost(&state, "a", soon)
        .or_else(|| lost(&state, "b", soon))
        .unwrap();
    assert!(
        words.contains("costs as much as") && words.contains("nearly as fast as most"),
        "{words}"
    );
    // Twenty seconds later all are due, and after others were asked the slow one is.
    let later = NOW + Nanos::from_secs(40);
    for id in ["a", "b"] {
        let (_, stats) = of(&state, id);
        stats.on_start(later);
        let _ = stats.on_end(&Outcome::from_status(200, Nanos::from_millis(8)), later);
    }
    let explanation = Explanation::new(state.view(), &Question::default(), later, 1);
    assert_eq!(explanation.choice.as_ref().unwrap().as_str(), "c");
    let words = lost(&state, "a", later).unwrap();
    assert!(
        words.starts_with("its cost is 1.00 (idle, ")
            && words.ends_with("and c's 0.00 (it had no request for 40.0 s, so a trial is due)"),
        "{words}"
    );
    // A request that is not answered speaks against it.
    let (slot, _) = of(&state, "a");
    let _held = state.view().lease(slot, later).unwrap();
    let words = lost(&state, "a", later + Nanos::from_secs(2)).unwrap();
    assert!(
        words.contains("1 in flight without an answer for 2.0 s"),
        "{words}"
    );
}
