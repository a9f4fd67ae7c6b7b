//! What is told of strategies that are asked beside the one that picks.

use serde_json::json;

use crate::client::{Reply, get};
use crate::fleet::{Fleet, usual};
use crate::writes::{problem, served};

#[test]
fn a_shadow_is_set_and_taken_away() {
    let fleet = Fleet::new(usual());
    let patch = |body: &str| served(&fleet, "PATCH", "/api/v1/services/web", body);
    let shadow = |reply: Reply| {
        assert_eq!(reply.status, 200);
        let written = reply.json();
        (
            written["effect"].clone(),
            written["service"]["shadow"]["strategy"].clone(),
        )
    };
    let set = patch(r#"{"shadow":{"name":"maglev","key":"path"}}"#);
    assert_eq!(shadow(set), (json!("changed"), json!("maglev")));
    let again = patch(r#"{"shadow":{"name":"maglev","key":"path"}}"#);
    assert_eq!(shadow(again), (json!("unchanged"), json!("maglev")));
    // A strategy that it does not go with is set all the same: then it is idle, and says why.
    let other = patch(r#"{"strategy":"rendezvous"}"#).json();
    let idle = &other["service"]["shadow"]["idle"];
    assert!(
        idle.as_str().unwrap().contains("give both the same `key`"),
        "{other}"
    );
    let back = patch(r#"{"strategy":"random"}"#).json();
    assert_eq!(back["service"]["shadow"]["idle"], json!(null));
    let refused = problem(&patch(r#"{"shadow":"auto"}"#), 409);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("auto is several strategies"),
        "{refused}"
    );
    let none = patch(r#"{"shadow":null}"#);
    assert_eq!(shadow(none), (json!("changed"), json!(null)));
    let wrong = problem(&patch(r#"{"strategy":"random","shadow":"random"}"#), 400);
    assert!(
        wrong["detail"].as_str().unwrap().contains("two requests"),
        "{wrong}"
    );
}

#[test]
fn auto_is_chosen_pinned_and_shown() {
    let fleet = Fleet::new(usual());
    let patch = |body: &str| {
        let reply = served(&fleet, "PATCH", "/api/v1/services/web", body);
        assert_eq!(reply.status, 200);
        reply.json()["service"]["auto"].clone()
    };
    let auto = patch(r#"{"strategy":"auto"}"#);
    assert_eq!(
        (&auto["current"], &auto["pinned"]),
        (&json!("adaptive"), &json!(false))
    );
    assert_eq!(
        (&auto["changes_over"], &auto["switches"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(auto["veto"], json!(null));
    let candidates = auto["candidates"].as_array().unwrap();
    let names: Vec<_> = candidates
        .iter()
        .map(|one| one["strategy"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["adaptive", "least_connections", "peak_ewma", "round_robin"]
    );
    assert_eq!(
        (
            &candidates[1]["gain"],
            &candidates[1]["judged_seconds_ago"],
            &candidates[1]["picks"]
        ),
        (&json!(null), &json!(null), &json!(0))
    );
    let auto = patch(r#"{"strategy":{"name":"auto","pin":"round_robin"}}"#);
    assert_eq!(
        (&auto["current"], &auto["pinned"]),
        (&json!("round_robin"), &json!(true))
    );
    let metrics = get(fleet.address(), "/metrics").body;
    let has = |line: &str| assert!(metrics.contains(line), "{line}");
    has("evenkeel_auto_choice{service=\"web\",strategy=\"round_robin\"} 1\n");
    has("evenkeel_auto_choice{service=\"web\",strategy=\"adaptive\"} 0\n");
    has("evenkeel_auto_switches_total{service=\"web\"} 0\n");
    has("evenkeel_auto_vetoed_total{service=\"web\"} 0\n");
    let body = r#"{"strategy":{"name":"auto","pin":"random"}}"#;
    let wrong = problem(&served(&fleet, "PATCH", "/api/v1/services/web", body), 400);
    assert_eq!(wrong["errors"][0]["field"], "strategy.pin", "{wrong}");
    assert_eq!(patch(r#"{"strategy":"random"}"#), json!(null));
}
