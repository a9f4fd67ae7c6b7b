//! Who is picked and why.

use evenkeel_admin::wire;
use evenkeel_core::{ServiceSettings, StrategyName};
use evenkeel_runtime::ServiceSpec;

use crate::client::get;
use crate::fleet::{Fleet, instance, service, usual};
use crate::writes::{problem, send, send_with, served};

const EXPLAIN: &str = "/api/v1/services/web/explain";
const PICK: &str = "/api/v1/services/web/pick";

fn by(strategy: StrategyName) -> Vec<ServiceSpec> {
    let web = service(
        "web",
        (1..=3).map(|i| instance(&format!("web-{i}"), 9000 + i)).collect(),
    );
    vec![ServiceSpec {
        settings: ServiceSettings {
            strategy: strategy.into(),
            ..web.settings
        },
        ..web
    }]
}

fn explained(fleet: &Fleet, query: &str) -> wire::Explanation {
    let reply = get(fleet.address(), &format!("{EXPLAIN}{query}"));
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json")),
        "{}",
        reply.body
    );
    serde_json::from_str(&reply.body).unwrap()
}

fn one<'e>(explanation: &'e wire::Explanation, id: &str) -> &'e wire::ExplainedInstance {
    explanation.instances.iter().find(|one| one.id == id).unwrap()
}

#[test]
fn every_instance_has_its_stages_its_score_and_its_odds() {
    let fleet = Fleet::new(by(StrategyName::least_connections));
    served(
        &fleet,
        "PUT",
        "/api/v1/services/web/instances/web-1/health",
        r#"{"score": 0.65}"#,
    );
    served(
        &fleet,
        "POST",
        "/api/v1/services/web/instances/web-2/drain",
        r#"{"reason": "a new release"}"#,
    );
    let explanation = explained(&fleet, "");
    assert_eq!(explanation.strategy, "least_connections");
    assert_eq!(explanation.rule, StrategyName::least_connections.summary());
    let ids: Vec<_> = explanation.instances.iter().map(|one| &*one.id).collect();
    assert_eq!(ids, ["web-1", "web-2", "web-3"]);

    let weak = one(&explanation, "web-1");
    assert!((weak.score_parts["reported"] - 0.65).abs() < 0.001, "{weak:?}");
    assert_eq!(weak.share, 0.625);
    let [finding] = &weak.stages[..] else {
        panic!("{weak:?}")
    };
    assert_eq!(
        (&*finding.stage, &*finding.effect, finding.left),
        ("score", "reduced", 0.625)
    );
    assert_eq!(finding.reason, "its score, 0.65 now, leaves 62 % of its share");

    let drained = one(&explanation, "web-2");
    let [finding] = &drained.stages[..] else {
        panic!("{drained:?}")
    };
    assert_eq!((&*finding.stage, &*finding.effect), ("draining", "removed"));
    assert!(finding.reason.contains("a new release"), "{finding:?}");
    assert_eq!(
        (drained.candidate, drained.odds, &drained.lost),
        (false, 0.0, &None)
    );

    // Shares of 1 and 0.625. The draws are a thousand of a random seed: within six standard deviations but once in 500 million runs.
    let (odds, expected) = (one(&explanation, "web-3").odds, 1.0 / 1.625);
    let deviation = (expected * (1.0 - expected) / 1000.0_f64).sqrt();
    assert!(
        (odds - expected).abs() < 6.0 * deviation,
        "idle ones are split by share: {odds}"
    );
    let chosen = one(&explanation, explanation.choice.as_deref().unwrap());
    assert_eq!((chosen.candidate, &chosen.lost), (true, &None));
    let other = if chosen.id == "web-1" { "web-3" } else { "web-1" };
    assert!(one(&explanation, other).lost.is_some());
}

#[test]
fn a_question_has_a_key_and_who_was_tried() {
    let fleet = Fleet::new(by(StrategyName::rendezvous));
    let keyed = explained(&fleet, "?key=al%20ice");
    let owner = keyed.choice.unwrap();
    assert_eq!(
        explained(&fleet, "?key=al+ice").choice.as_ref(),
        Some(&owner),
        "another way to write it"
    );
    assert_eq!(keyed.notes, [] as [&str; 0]);
    let next = explained(&fleet, &format!("?key=al+ice&tried={owner}"));
    assert_ne!(next.choice.as_ref(), Some(&owner));
    assert_eq!(
        one(&next, &owner).lost.as_deref(),
        Some("it was tried for this request already")
    );
    assert!(explained(&fleet, "").notes[0].contains("no key was given"));

    // What is picked is what was explained.
    let picked = served(&fleet, "POST", PICK, r#"{"key": "al ice"}"#);
    let picked: wire::Picked = serde_json::from_str(&picked.body).unwrap();
    assert_eq!(
        (picked.instance.id, &*picked.strategy),
        (owner.clone(), "rendezvous")
    );
    let picked = served(
        &fleet,
        "POST",
        PICK,
        &format!(r#"{{"key": "al ice", "tried": ["{owner}"]}}"#),
    );
    let picked: wire::Picked = serde_json::from_str(&picked.body).unwrap();
    assert_eq!(Some(picked.instance.id), next.choice);
}

#[test]
fn what_is_asked_wrongly_is_told() {
    let fleet = Fleet::new(usual());
    let ask = |query: &str| get(fleet.address(), &format!("{EXPLAIN}{query}"));
    let detail = problem(&ask("?keys=a"), 400)["detail"].to_string();
    assert!(
        detail.contains("keys") && detail.contains("key, region, tried"),
        "{detail}"
    );
    let missing = problem(&ask("?tried=web-4"), 404);
    assert_eq!(missing["did_you_mean"], "web-1");
    problem(&get(fleet.address(), "/api/v1/services/wib/explain"), 404);
    problem(&served(&fleet, "POST", PICK, r#"{"tried": ["web-9"]}"#), 404);
    let unknown = problem(&served(&fleet, "POST", PICK, r#"{"keys": "a"}"#), 400);
    assert_eq!(unknown["errors"][0]["field"], "keys");
    for reply in [ask("?region="), served(&fleet, "POST", PICK, r#"{"region": ""}"#)] {
        let empty = problem(&reply, 400);
        assert_eq!(empty["errors"][0]["field"], "region");
    }
}

#[test]
fn a_pick_without_a_request_takes_turns_and_counts_nothing() {
    let fleet = Fleet::new(usual());
    let pick = || -> wire::Picked {
        let reply = send(fleet.address(), "POST", PICK, "");
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    };
    let first = pick();
    assert_eq!(first.strategy, "round_robin");
    // Asking meanwhile takes no turn.
    let turns: Vec<String> = (0..5)
        .map(|_| {
            explained(&fleet, "");
            pick().instance.id
        })
        .collect();
    assert_eq!(turns[2], first.instance.id);
    assert_eq!(turns[..2], turns[3..]);
    assert_ne!(turns[0], turns[1]);
    for one in explained(&fleet, "").instances {
        assert_eq!((one.in_flight, one.successes), (0, 0));
    }
    let web = get(fleet.address(), "/api/v1/services/web/instances/web-1").json();
    assert_eq!(web["counts"]["picks"], 0);
    problem(&send_with(fleet.address(), "POST", PICK, "", ""), 401);
}

#[test]
fn nobody_to_pick_is_a_problem_and_an_explanation() {
    let fleet = Fleet::new(vec![service("web", Vec::new())]);
    let detail = problem(&send(fleet.address(), "POST", PICK, ""), 503)["detail"].to_string();
    assert!(detail.contains("no instances"), "{detail}");
    let explanation = explained(&fleet, "");
    assert_eq!(explanation.choice, None);
    assert_eq!(
        explanation.no_choice.as_deref(),
        Some("the service has no instances")
    );
    assert_eq!(explanation.instances, []);
}

#[test]
fn a_large_service_is_explained_in_pieces() {
    let instances = (0..2000u16)
        .map(|i| instance(&format!("i{i}"), 10_000 + i))
        .collect();
    let fleet = Fleet::new(vec![service("web", instances)]);
    let explanation = explained(&fleet, "");
    assert_eq!(explanation.instances.len(), 2000);
    assert_eq!(explanation.draws, 100);
    let odds: f64 = explanation.instances.iter().map(|one| one.odds).sum();
    assert!((odds - 1.0).abs() < 1e-9);
}

const PICKS: &str = "/api/v1/services/web/picks";

fn picks(fleet: &Fleet) -> wire::Picks {
    let reply = get(fleet.address(), PICKS);
    assert_eq!(reply.status, 200, "{}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

#[test]
fn picks_are_recorded_for_a_time_and_read() {
    let fleet = Fleet::new(usual());
    fleet.request("web", |_| 200);
    let before = picks(&fleet);
    assert_eq!((before.share, before.seen, &*before.picks), (0.0, 0, &[][..]));

    let on = send(fleet.address(), "PUT", PICKS, r#"{"share": 1, "for": "10m"}"#);
    let on: wire::Picks = serde_json::from_str(&on.body).unwrap();
    assert_eq!(on.share, 1.0);
    assert!(on.until.is_some_and(|until| until.ends_with('Z')));
    for _ in 0..3 {
        fleet.request("web", |_| 200);
    }
    let recorded = picks(&fleet);
    assert_eq!(
        (
            recorded.seen,
            recorded.recorded,
            recorded.overwritten,
            recorded.dropped
        ),
        (3, 3, 0, 0)
    );
    let mut chosen: Vec<_> = recorded.picks.iter().map(|pick| pick.chosen.as_deref()).collect();
    chosen.sort_unstable();
    assert_eq!(chosen, [Some("web-1"), Some("web-2"), Some("web-3")]);
    let newest = &recorded.picks[0];
    assert_eq!(
        (&*newest.strategy, newest.candidates, newest.score),
        ("round_robin", 3, 1.0)
    );
    assert!(newest.seconds_ago >= 0.0 && newest.seconds_ago <= recorded.picks[2].seconds_ago);

    assert_eq!(send(fleet.address(), "DELETE", PICKS, "").status, 204);
    fleet.request("web", |_| 200);
    let after = picks(&fleet);
    assert_eq!(
        (after.share, after.until, after.recorded),
        (0.0, None, 3),
        "what was recorded stays"
    );
}

#[test]
fn a_recording_needs_the_token_and_an_end() {
    let fleet = Fleet::new(usual());
    for (body, field) in [
        (r#"{"share": 1.5}"#, "share"),
        (r#"{"share": 1, "for": "2h"}"#, "for"),
        (r#"{"share": 1, "for": "soon"}"#, "for"),
        (r#"{"shore": 1}"#, "shore"),
    ] {
        let refused = problem(&send(fleet.address(), "PUT", PICKS, body), 400);
        let fields = refused["errors"].as_array().unwrap();
        assert!(fields.iter().any(|fault| fault["field"] == field), "{refused}");
    }
    problem(
        &send_with(fleet.address(), "PUT", PICKS, "", r#"{"share": 1}"#),
        401,
    );
    problem(&send_with(fleet.address(), "DELETE", PICKS, "", ""), 401);
    assert_eq!(picks(&fleet).share, 0.0);
}
