//! What a run comes to besides latencies: evenness, work for nothing, requests far away, keys that move.

use evenkeel_sim::{Account, Comparison, Run, Scenario, Summary, html, json, table};

use crate::runs::ran;

fn run(policy: &str, more: &str) -> Run {
    let text = format!("about: x\nduration: 20s\nwarm_up: 2s\n{more}");
    let scenario = Scenario::from_str("account", &text).unwrap();
    ran(&scenario, &policy.parse().unwrap(), 1)
}

fn account(policy: &str, more: &str) -> Account {
    run(policy, more).account
}

#[test]
fn evenness_is_that_of_attempts_per_weight_while_up() {
    let of = |policy: &str, servers: &str| {
        let more = format!("arrivals: {{ rate: 500 }}\nservers: [{servers}]\n");
        account(policy, &more).unevenness.unwrap()
    };
    let alike = "{ count: 4, cores: 4 }";
    let turns = of("turns", alike);
    assert!(turns < 0.001, "{turns}");
    // 9000 requests over 4 by chance: 1/√2250 = 0.021 in the mean, with √3 degrees of freedom.
    let random = of("random", alike);
    assert!((0.002..0.06).contains(&random), "{random}");
    // Half of the requests each is 2 and 2/3 of what is fair.
    let weights = "{ cores: 4 }, { cores: 4, weight: 3 }";
    let round_robin = of("turns", weights);
    assert!((round_robin - 0.5).abs() < 0.001, "{round_robin}");
    let weighted = of("weighted_round_robin", weights);
    assert!(weighted < 0.001, "{weighted}");
    // Who is not there, is drained or has crashed has no share to get.
    for absent in [
        "{ cores: 4, joins: 10s }",
        "{ cores: 4, leaves: 10s }",
        "{ cores: 4 }]\nfaults: [{ servers: 4, from: 5s, until: 15s, fault: crash }",
    ] {
        let found = of("turns", &format!("{alike}, {absent}"));
        assert!(found < 0.01, "{absent}: {found}");
    }
    // Nor does the time count before all that is counted: a second together, where the parts are 2 and 2/3 as above, and 17 alone.
    let leaves = of("turns", "{ cores: 4 }, { cores: 4, weight: 3, leaves: 3s }");
    assert!((leaves - 0.078).abs() < 0.01, "{leaves}");
    // Nor has who hangs or restarts, whom a strategy that minds health leaves alone.
    for fault in ["crash", "refuse", "hang", "restart"] {
        let absent = format!("{{ cores: 4 }}]\nfaults: [{{ servers: 4, from: 3s, fault: {fault} }}");
        let found = of("round_robin", &format!("{alike}, {absent}"));
        assert!(found < 0.05, "{fault}: {found}");
    }
}

#[test]
fn work_is_wasted_when_nobody_has_a_good_answer_of_it() {
    let common = |more: &str| {
        format!("arrivals: {{ rate: 20 }}\nwork: {{ fixed: 10ms }}\nnetwork: {{ jitter: 0 }}\n{more}")
    };
    let of = |more: &str| account("turns", &common(more));
    let server = "servers: [{ count: 2, cores: 10 }]";
    // 10 ms for each request after the warm-up.
    let counted = run("turns", &common(&format!("clients: {{ retries: 0 }}\n{server}")));
    let (well, requests) = (counted.account, counted.all.requests() as f64);
    assert_eq!(well.wasted_core_seconds, 0.0);
    assert!(
        (well.core_seconds / 0.01 - requests).abs() < 1.5,
        "{well:?} {requests}"
    );
    let close = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-6;
    // The client has gone: the server works on, or stops after 5 ms less a quarter of one on the way.
    let gone = of(&format!("clients: {{ retries: 0, deadline: 5ms }}\n{server}"));
    assert!(
        close(gone.core_seconds, well.core_seconds) && gone.wasted() == 1.0,
        "{gone:?}"
    );
    let stops =
        of("clients: { retries: 0, deadline: 5ms }\nservers: [{ count: 2, cores: 10, works_on: false }]");
    assert!(
        close(stops.core_seconds, 0.475 * well.core_seconds),
        "{stops:?} {well:?}"
    );
    assert_eq!(stops.wasted(), 1.0);
    // The answer comes too late.
    let late = of(&format!(
        "clients: {{ retries: 0, deadline: 50ms }}\n{server}\nfaults: [{{ servers: 0-1, fault: {{ delay: 60ms }} }}]"
    ));
    assert!(
        close(late.core_seconds, well.core_seconds) && late.wasted() == 1.0,
        "{late:?}"
    );
    // An attempt fails after its work, and that of the other server serves.
    let failed = of(&format!(
        "clients: {{ retries: 1, retry_budget: none }}\n{server}\nfaults: [{{ servers: 0, fault: {{ errors: 1 }} }}]"
    ));
    let good = failed.core_seconds - failed.wasted_core_seconds;
    assert!(close(good, well.core_seconds), "{failed:?}");
    assert!(
        (0.5..=1.0).contains(&(failed.wasted_core_seconds / good)),
        "{failed:?}"
    );
    // Who fails at once does no work, and whoever hangs keeps a core for all of what it was asked, to the end.
    let fast = of(&format!(
        "clients: {{ retries: 0 }}\n{server}\nfaults: [{{ servers: 0-1, fault: {{ fail_fast: 1 }} }}]"
    ));
    assert_eq!((fast.core_seconds, fast.wasted()), (0.0, 0.0));
    let hangs = of(&format!(
        "clients: {{ retries: 0 }}\n{server}\nfaults: [{{ servers: 0-1, from: 15s, fault: hang }}]"
    ));
    // Up to ten cores of two servers for some 10 s, until the last client gave up.
    assert!((90.0..200.0).contains(&hangs.wasted_core_seconds), "{hangs:?}");
    // Whoever crashes has worked for nothing on what it had.
    let crashes = of("clients: { retries: 0 }\nservers: [{ cores: 1 }]\n\
                      faults: [{ servers: 0, from: 4s, until: 5s, fault: { slow: 1000000 } }, { servers: 0, from: 5s, fault: crash }]");
    assert!((0.9..1.0).contains(&crashes.wasted_core_seconds), "{crashes:?}");
}

#[test]
fn requests_that_cross_regions_are_counted() {
    let of = |clients: &str| {
        let more = format!(
            "arrivals: {{ rate: 500 }}\nclients: {{ count: 4{clients} }}\n\
             servers: [{{ count: 1, cores: 4, region: a }}, {{ count: 3, cores: 4, region: b }}]\n"
        );
        account("turns", &more).elsewhere
    };
    assert_eq!(of(""), None);
    let from_a = of(", regions: { a: 1 }").unwrap();
    assert!((from_a - 0.75).abs() < 0.001, "{from_a}");
    // Half of the clients find a quarter in their region, the others three.
    let from_both = of(", regions: { a: 0.5, b: 0.5 }").unwrap();
    assert!((from_both - 0.5).abs() < 0.02, "{from_both}");
}

#[test]
fn keys_that_move_are_counted() {
    let of = |policy: &str, keys: &str, leaves: &str| {
        let more = format!(
            "arrivals: {{ rate: 1000 }}\nclients: {{ count: 2{keys} }}\n\
             servers: [{{ count: 9, cores: 4 }}, {{ cores: 4{leaves} }}]\n"
        );
        account(policy, &more).keys_moved
    };
    let keys = ", keys: { count: 1000 }";
    assert_eq!(of("consistent_hash", "", ""), None);
    assert_eq!(of("consistent_hash", keys, ""), Some(0.0));
    // A tenth of all was where one leaves, within six deviations of shares of 160 virtual nodes.
    let leaves = of("consistent_hash", keys, ", leaves: 10s").unwrap();
    assert!((0.04..0.18).contains(&leaves), "{leaves}");
    // What moved before the end of the warm-up does not count: all were asked for again since it left for good.
    let few = ", deadline: 200ms, keys: { count: 100 }";
    assert_eq!(of("consistent_hash", few, ", leaves: 400ms"), Some(0.0));
    // What is tried again elsewhere has not moved.
    let retried = of(
        "consistent_hash",
        keys,
        " }]\nfaults: [{ servers: 0, fault: { errors: 0.02 }",
    );
    assert_eq!(retried, Some(0.0));
    // Each is asked for some twenty times.
    let random = of("random", keys, "").unwrap();
    assert!(random > 0.99, "{random}");
}

#[test]
fn reports_have_the_account_where_there_is_one() {
    let of = |text: &str| {
        let scenario = Scenario::from_str("account", text).unwrap();
        let runs = vec![ran(&scenario, &"turns".parse().unwrap(), 1)];
        let policy = "turns".to_owned();
        Comparison {
            seed: 1,
            summaries: vec![Summary { policy, runs }],
            scenario,
        }
    };
    let plain = of("about: x\nduration: 2s\narrivals: { rate: 50 }\nservers: [{ count: 2, cores: 4 }]\n");
    let header = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("strategy"))
            .unwrap()
            .to_owned()
    };
    let found = header(&table(&plain));
    assert!(found.contains("  uneven  "), "{found}");
    for absent in ["wasted", "elsewhere", "keys moved"] {
        assert!(!found.contains(absent), "{found}");
    }
    let whole = of("about: x\nduration: 2s\narrivals: { rate: 50 }\n\
                    clients: { retries: 0, keys: { count: 5 }, regions: { a: 1 } }\n\
                    servers: [{ cores: 4, region: a }, { cores: 4, region: b }]\n\
                    faults: [{ servers: 0, fault: { errors: 0.5 } }]\n");
    let found = header(&table(&whole));
    for shown in ["uneven", "wasted %", "elsewhere %", "keys moved %"] {
        assert!(found.contains(shown), "{found}");
        assert!(
            html(std::slice::from_ref(&whole)).contains(&format!("<th>{shown}</th>")),
            "{shown}"
        );
    }
    let json: serde_json::Value = serde_json::from_str(&json(std::slice::from_ref(&whole))).unwrap();
    let run = &json[0]["strategies"][0]["runs"][0];
    let account = &whole.summaries[0].runs[0].account;
    for (name, expected) in [
        ("unevenness", account.unevenness),
        ("core_seconds", Some(account.core_seconds)),
        ("wasted_core_seconds", Some(account.wasted_core_seconds)),
        ("served_elsewhere", account.elsewhere),
        ("keys_moved", account.keys_moved),
    ] {
        assert!(expected.is_some_and(|expected| expected > 0.0), "{name}");
        assert_eq!(run[name].as_f64(), expected, "{name}");
    }
}

#[test]
fn pages_draw_who_falls_first_and_whom_it_spares() {
    let page = |faults: &str| {
        let text = format!(
            "about: x\nduration: 4s\narrivals: {{ rate: 50 }}\nservers: [{{ count: 7, cores: 4 }}]\n{faults}"
        );
        let scenario = Scenario::from_str("drawn", &text).unwrap();
        let runs = vec![ran(&scenario, &"turns".parse().unwrap(), 1)];
        let policy = "turns".to_owned();
        html(&[Comparison {
            seed: 1,
            summaries: vec![Summary { policy, runs }],
            scenario,
        }])
    };
    let drawn = |page: &str| -> Vec<String> {
        let titles = page.split("<figcaption>Share of server-").skip(1);
        let titles = titles.map(|rest| rest.split(", as a multiple").next().unwrap());
        titles.map(str::to_owned).collect()
    };
    let none = page("");
    assert_eq!(drawn(&none), [""; 0]);
    assert!(!none.contains("Drawn are"));
    // All, the last of them first.
    let all = page(
        "faults:\n  - { servers: all, from: 2s, until: 3s, fault: { slow: 2 } }\n  - { servers: 5, from: 1s, fault: crash }\n",
    );
    assert_eq!(drawn(&all), ["5", "0", "1", "2"]);
    assert!(all.contains("4 of 7 servers with a fault, those whose faults begin first"));
    let most = page("faults: [{ servers: 1-6, from: 1s, fault: crash }]\n");
    assert_eq!(drawn(&most), ["1", "2", "3", "4", "0, which has no fault"]);
    assert!(!most.contains("servers without a fault"));
    let few = page("faults: [{ servers: 2, from: 1s, fault: crash }]\n");
    let expected = ["2", "0, which has no fault", "6, which has no fault"];
    assert_eq!(drawn(&few), expected);
    assert!(few.contains("2 of 6 servers without a fault"));
    // Always slow: neither has it a begin, nor is it one to compare with.
    assert_eq!(
        drawn(&page("faults: [{ servers: 2, fault: { slow: 2 } }]\n")),
        [""; 0]
    );
}
