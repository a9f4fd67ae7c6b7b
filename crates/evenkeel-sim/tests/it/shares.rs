//! Fair shares: how busy the busiest server was, and how soon faulty ones were avoided and back.

use evenkeel_core::Nanos;
use evenkeel_sim::{Comparison, Policy, Run, Scenario, Summary, json, run, table};

fn scenario(text: &str) -> Scenario {
    Scenario::from_str("x", &format!("about: x\n{text}\n")).unwrap_or_else(|error| panic!("{error}"))
}

fn done(text: &str, policy: &str) -> Run {
    let policy: Policy = policy.parse().unwrap();
    run(&scenario(text), &policy, 1, &mut |_| true).unwrap().unwrap()
}

#[test]
fn a_fair_share_is_one_by_weight() {
    let text = "duration: 40s\narrivals: { rate: 2000 }\nservers: [{ count: 9, weight: 20, cores: 20 }, { cores: 9 }]\n\
                faults: [{ servers: 9, from: 10s, until: 20s, fault: { slow: 1 } }]";
    let run = done(text, "weighted_round_robin");
    assert!((1.0..1.1).contains(&run.max_over_mean), "{}", run.max_over_mean);
    // 11 a second are due to it, and it has them.
    assert_eq!((run.detected_after, run.too_few), (None, (false, false)));
    let back = run.recovered_after.unwrap();
    assert!(back <= Nanos::from_secs(2), "{back}");
    // By turns it has eighteen times its share.
    let turns = done(text, "turns");
    assert!(
        (17.5..18.5).contains(&turns.max_over_mean),
        "{}",
        turns.max_over_mean
    );
}

#[test]
fn who_is_not_registered_has_no_share() {
    for joins in ["59s", "59130ms", "30s"] {
        let text = format!(
            "duration: 60s\narrivals: {{ rate: 2000 }}\nservers: [{{ count: 4, cores: 8 }}, {{ count: 36, joins: {joins} }}]"
        );
        let most = done(&text, "turns").max_over_mean;
        assert!((1.0..1.15).contains(&most), "{joins}: {most}");
    }
    for (text, policy) in [
        ("{ count: 4 }, { count: 2, joins: 59990ms }", "round_robin"),
        ("{ count: 4 }, { count: 2, leaves: 20s }", "turns"),
    ] {
        let text = format!("duration: 60s\narrivals: {{ rate: 300 }}\nservers: [{text}]");
        let most = done(&text, policy).max_over_mean;
        assert!((1.0..1.01).contains(&most), "{text}: {most}");
    }
    // Nothing is told of a fault of one that is not there.
    let absent = "duration: 30s\narrivals: { rate: 300 }\nservers: [{ count: 4 }, { leaves: 5s }]\n\
                  faults: [{ servers: 4, from: 10s, until: 20s, fault: refuse }]";
    assert_eq!(done(absent, "turns").has_faults, (false, false));
}

#[test]
fn too_few_requests_are_no_avoidance() {
    let text = |rate: f64, from: u32, until: u32| {
        format!(
            "duration: 60s\narrivals: {{ rate: {rate} }}\nservers: [{{ count: 4 }}]\n\
             faults: [{{ servers: 1, from: {from}s, until: {until}s, fault: {{ slow: 1 }} }}]"
        )
    };
    // Five in a second are due to each, in its turn: many pieces without any, and none is avoided.
    let turns = done(&text(20.0, 10, 40), "turns");
    assert_eq!((turns.detected_after, turns.too_few), (None, (false, false)));
    assert!(turns.recovered_after.is_some());
    // Two or so in the fault: nobody can tell, neither then nor afterwards.
    let few = done(&text(2.0, 50, 55), "turns");
    assert_eq!((few.detected_after, few.recovered_after), (None, None));
    assert_eq!(few.too_few, (true, true));
    // Who gets nothing is seen to be avoided, though that takes its time.
    let refused = text(20.0, 10, 40).replace("{ slow: 1 }", "refuse");
    let after = done(&refused, "adaptive").detected_after.unwrap();
    assert!(
        (Nanos::from_secs(1)..Nanos::from_secs(10)).contains(&after),
        "{after}"
    );
    // Reports tell the one from the other.
    let shown = |text: &str, run: Run| {
        let comparison = Comparison {
            scenario: scenario(text),
            seed: 1,
            summaries: vec![Summary {
                policy: "turns".to_owned(),
                runs: vec![run],
            }],
        };
        let line = table(&comparison);
        let line = line
            .lines()
            .find(|line| line.starts_with("turns "))
            .unwrap()
            .to_owned();
        (line, json(&[comparison]))
    };
    let (line, document) = shown(&text(2.0, 50, 55), few);
    assert!(line.ends_with("?       ?"), "{line}");
    assert!(document.contains("\"avoided\": true"), "{document}");
    let (line, document) = shown(&text(20.0, 10, 40), turns);
    assert!(!line.contains('?') && line.contains(" -  "), "{line}");
    assert!(document.contains("\"avoided\": false"), "{document}");
}
