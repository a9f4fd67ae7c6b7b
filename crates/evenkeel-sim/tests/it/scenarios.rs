//! Scenario files.

use evenkeel_sim::{BUILT_IN, Scenario, built_in, built_in_text, read_trace};

#[test]
fn all_that_come_with_it_can_be_read() {
    for name in BUILT_IN {
        let scenario = built_in(name).unwrap().unwrap_or_else(|error| panic!("{error}"));
        assert!(
            !scenario.about().is_empty() && scenario.requests() > 1000,
            "{name}"
        );
        assert!(
            scenario.memory() < 1 << 30,
            "{name}: {} MiB",
            scenario.memory() >> 20
        );
    }
    assert!(built_in_text("no_such").is_none());
}

#[test]
fn a_backlog_counts_as_memory_and_what_cannot_wait_does_not() {
    let mib = |rest: &str| {
        let text = format!("about: x\n{rest}\n");
        Scenario::from_str("x", &text).unwrap().memory() >> 20
    };
    let clients = "clients: { retries: 3, retry_budget: none, deadline: 1s }";
    let overload = |load: &str, more: &str| {
        mib(&format!(
            "duration: 600s\narrivals: {{ {load} }}\n{clients}\nservers: [{{ count: 20, cores: 4{more} }}]"
        ))
    };
    for (needed, least, most) in [
        // 10000 a second are done of 40000 times four that come, for 600 s, at 256 bytes.
        (overload("load: 4", ""), 21_600, 24_000),
        // Of the steps only the second is too much.
        (overload("steps: [0.1, 4]", ""), 10_600, 12_000),
        // Retries alone make it too much.
        (overload("load: 0.5", ""), 1_440, 1_680),
        (overload("load: 0.2", ""), 0, 20),
        // Servers that drop who gave up have no backlog, nor have those that turn away.
        (overload("load: 4", ", works_on: false"), 0, 120),
        (overload("load: 4", ", workers: 4, queue: 9"), 0, 120),
        // So many wait as there are clients, and what they gave up.
        (
            mib("duration: 2s\narrivals: { concurrency: 100000 }\nservers: [{ count: 2 }]"),
            40,
            70,
        ),
        (
            mib("duration: 60s\narrivals: { concurrency: 1000000 }\nservers: [{ count: 2 }]"),
            3_300,
            3_700,
        ),
    ] {
        assert!(
            (least..most).contains(&needed),
            "{least} <= {needed} < {most} MiB"
        );
    }
}

#[test]
fn what_waits_for_sick_servers_counts_as_memory_as_long_as_they_are() {
    let mib = |servers: &str, fault: &str| {
        let text = format!(
            "about: x\nduration: 600s\narrivals: {{ load: 0.5 }}\nclients: {{ retries: 0, deadline: 1s }}\n\
             servers: [{servers}]\nfaults: [{fault}]\n"
        );
        Scenario::from_str("x", &text).unwrap().memory() >> 20
    };
    let twenty = |fault: &str| mib("{ count: 20, cores: 4 }", fault);
    for (needed, least, most) in [
        // 5000 a second come, 10000 can be done.
        (twenty(""), 0, 20),
        (twenty("{ servers: all, fault: { slow: 1000 } }"), 725, 780),
        (twenty("{ servers: all, fault: hang }"), 730, 785),
        (
            twenty("{ servers: all, from: 100s, until: 160s, fault: hang }"),
            70,
            95,
        ),
        (twenty("{ servers: all, fault: { slow: 0.5 } }"), 0, 20),
        // What one does not do the others could, but not every strategy knows.
        (twenty("{ servers: 0, fault: hang }"), 36, 60),
        // Who refuses has nothing, and the others have more.
        (twenty("{ servers: all, fault: refuse }"), 0, 20),
        (twenty("{ servers: 0-9, fault: crash }"), 0, 20),
        (twenty("{ servers: 0-14, fault: crash }"), 360, 400),
        (twenty("{ servers: 0-14, period: 10s, fault: refuse }"), 0, 20),
        (
            mib(
                "{ count: 5, cores: 4 }, { count: 15, cores: 4, leaves: 200s }",
                "{ servers: 0, fault: { delay: 1ms } }",
            ),
            240,
            280,
        ),
        (
            mib(
                "{ count: 20, cores: 4, works_on: false }",
                "{ servers: all, fault: hang }",
            ),
            0,
            20,
        ),
    ] {
        assert!(
            (least..most).contains(&needed),
            "{least} <= {needed} < {most} MiB"
        );
    }
}

#[test]
fn no_more_requests_of_a_trace_wait_than_come_within_their_patience() {
    let traced = |lines: String| {
        let trace = read_trace("t", &format!("time,work_ms\n{lines}"), None).unwrap();
        Scenario::from_str("x", GOOD).unwrap().with_trace(trace)
    };
    let at_once: String = (0..200)
        .map(|i| format!("{},4000\n", f64::from(i) * 1e-7))
        .collect();
    for few in ["0,5\n".to_owned(), at_once] {
        let few = traced(few);
        let requests = few.memory() - few.kept() - few.time_line();
        assert!(requests < 2 << 20, "{requests}");
        assert_eq!(few.offered(), None);
    }
    // A minute of nothing else does not hide a burst.
    let burst: String = (0..50_000).map(|_| "60,0.01\n").collect();
    let burst = traced(format!("0,5\n{burst}"));
    assert!(burst.memory() > 24 << 20, "{}", burst.memory());
    assert!(burst.offered().is_some_and(|load| load < 0.01));
}

#[test]
fn faults_that_a_trace_does_not_reach_are_counted() {
    let text = format!("{GOOD}faults: [{{ servers: all, from: 5s, fault: refuse }}]\n");
    for (last, late) in [(4, 3), (5, 0), (6, 0)] {
        let trace = read_trace("t", &format!("time\n0\n{last}\n"), None).unwrap();
        let scenario = Scenario::from_str("x", &text).unwrap().with_trace(trace);
        assert_eq!(scenario.late_faults(), late, "{last}");
    }
}

const GOOD: &str = "
about: x
duration: 10s
arrivals: { load: 0.5 }
servers: [{ count: 3 }]
";

#[test]
fn settings_without_effect_are_refused() {
    for (service, key, remedy) in [
        (
            "timeouts: { response: 2s }",
            "response",
            "`deadline` of `clients`",
        ),
        ("timeouts: { connect: 2s }", "connect", "no connections"),
        ("timeouts: { idle: 2s }", "idle", "no connections"),
        ("timeouts: { body_idle: 2s }", "body_idle", "no bodies"),
        ("sticky: {}", "sticky", "no sessions"),
        ("pool: { connections_per_instance: 3 }", "pool", "no connections"),
        ("orca: { strip: false }", "orca", "`reports`"),
        ("metrics: false", "metrics", "remove the key"),
        ("record_picks: { share: 1 }", "record_picks", "remove the key"),
        ("health_check: { tcp: {}, jitter: 0.5 }", "jitter", "by a tenth"),
        (
            "strategy: { name: maglev, hash_secret_file: secret }",
            "hash_secret_file",
            "no secrets",
        ),
        (
            "strategy: { name: geographical, within: { name: maglev, hash_secret_file: secret } }",
            "hash_secret_file",
            "no secrets",
        ),
        (
            "strategy: { name: geographical, warm_connections: 2 }",
            "warm_connections",
            "no connections",
        ),
        (
            "strategy: { name: geographical, levels: [region, rack] }",
            "levels",
            "no labels",
        ),
    ] {
        let text = format!("{GOOD}service:\n  {service}\n");
        let error = Scenario::from_str("bad.yaml", &text).unwrap_err().to_string();
        let what = format!("`{key}` has no effect in a simulation");
        assert!(
            error.contains(&what) && error.contains(remedy) && error.contains("bad.yaml:7:"),
            "{text}\n{error}"
        );
        assert_eq!(error.matches("error: ").count(), 1, "{error}");
    }
    // What is without effect only because it is what is so anyway.
    for service in [
        "timeouts: {}",
        "health_check: { http: { path: /ready }, port: 9000 }",
        "strategy: { name: geographical, levels: [zone], within: maglev }",
    ] {
        let text = format!("{GOOD}service:\n  {service}\n");
        assert!(Scenario::from_str("good.yaml", &text).is_ok(), "{text}");
    }
}

#[test]
fn what_is_impossible_is_refused_with_its_place_and_a_remedy() {
    assert!(Scenario::from_str("good.yaml", GOOD).is_ok());
    let change = |from: &str, to: &str| GOOD.replace(from, to);
    for (text, line, part) in [
        (String::new(), 1, "the file is empty"),
        (change("servers: [{ count: 3 }]", ""), 2, "there are no servers"),
        (change("count: 3", "count: 0"), 5, "from 1 to"),
        (change("count: 3", "cuont: 3"), 5, "did you mean `count`?"),
        (change("load: 0.5", "load: -1"), 4, "above 0"),
        (change("load: 0.5", "rate: 1e8"), 4, "more than 10 million"),
        (change("load: 0.5", "rate: 10, load: 0.5"), 4, "one of"),
        (change("load: 0.5", ""), 4, "one of"),
        (change("load: 0.5", "steps: []"), 4, "one step at least"),
        (change("10s", "10"), 3, "write `10s`"),
        (change("10s", "0s"), 3, "without time"),
        (
            change("about: x", "about: x\nwarm_up: 10s"),
            3,
            "takes the whole run",
        ),
        (
            change("about: x", "about: x\nwork: { exponential: 0ms }"),
            3,
            "without work",
        ),
        (
            change("about: x", "about: x\nwork: { uniform: { min: 2ms, max: 1ms } }"),
            3,
            "not below `max`",
        ),
        (
            GOOD.to_owned() + "faults: [{ servers: 3, fault: hang }]\n",
            6,
            "no server 3",
        ),
        (
            GOOD.to_owned() + "faults: [{ servers: 0, from: 5s, until: 4s, fault: hang }]\n",
            6,
            "ends at",
        ),
        (
            GOOD.to_owned() + "faults: [{ servers: 0, from: 10s, fault: hang }]\n",
            6,
            "the run ends at",
        ),
        (
            GOOD.to_owned() + "faults: [{ servers: 0, fault: { reports: idle } }]\n",
            6,
            "give them `reports: true`",
        ),
        (
            GOOD.to_owned() + "faults: [{ servers: 0, fault: { memory: 1 } }]\n",
            6,
            "give them `reports: true`",
        ),
        (
            GOOD.to_owned() + "faults: [{ servers: all, from: 6s, stagger: 2s, fault: hang }]\n",
            6,
            "begins at 10s at the last of its 3 servers, and the run ends at 10s",
        ),
        (
            GOOD.to_owned() + "faults: [{ servers: 3-99999999999999, stagger: 2h, fault: hang }]\n",
            6,
            "no server 99999999999999",
        ),
        (
            change("count: 3 }", "count: 3 }, { joins: 10s, leaves: 20s }"),
            5,
            "join at 10s, and the run ends at 10s",
        ),
        (
            change("count: 3", "count: 3, leaves: 11s"),
            5,
            "leave at 11s, and the run ends at 10s",
        ),
        (
            GOOD.to_owned()
                + "clients: { keys: { count: 9, hot: { share: 0.5, from: 100s, until: 200s } } }\n",
            6,
            "gets hot at 100s, and the run ends at 10s",
        ),
        (
            GOOD.to_owned() + "clients: { deadline: 0s }\n",
            6,
            "wait for nothing",
        ),
        (
            change("load: 0.5", "rate: 0.09"),
            4,
            "0.90 requests are to be expected",
        ),
        (
            change("load: 0.5", "steps: [1e-9, 1e-9]"),
            4,
            "requests are to be expected",
        ),
        (
            change("load: 0.5", "load: 1e6"),
            4,
            "3.750e8 requests a second, and 10 million are the most",
        ),
        (
            change(
                "about: x",
                "about: x\nwork: { mixture: { usual: 1ms, rare: 0s, share: 1 } }",
            ),
            3,
            "without work",
        ),
        (
            GOOD.to_owned() + "network: { between: [{ regions: [mars, venus], round_trip: 3s }] }\n",
            6,
            "give servers a `region`",
        ),
        (
            change("count: 3", "region: eu-west }, { region: us")
                + "network:\n  between:\n    - { regions: [us, eu-wets], round_trip: 3s }\n",
            8,
            "did you mean `eu-west`?",
        ),
        (
            change("count: 3", "region: eu }, { region: us")
                + "network:\n  between:\n    - { regions: [us, eu], round_trip: 3s }\n    - { regions: [eu, us], round_trip: 3s }\n",
            9,
            "said already",
        ),
        (
            GOOD.to_owned() + "faults: [{ servers: 0, over: 1s, fault: hang }]\n",
            6,
            "can grow",
        ),
        (
            GOOD.to_owned() + "faults: [{ servers: 0, fault: explode }]\n",
            6,
            "`explode` is not possible",
        ),
        (
            GOOD.to_owned() + "service: { retry: { atempts: 1 } }\n",
            6,
            "did you mean `attempts`?",
        ),
        (
            GOOD.to_owned() + "service: { strategy: no_such }\n",
            6,
            "no strategy",
        ),
        (change("count: 3", "count: 3, joins: 2s"), 5, "no server is there"),
        (change("count: 3", "cache: { entries: 5, miss: 3 }"), 5, "no keys"),
        (
            GOOD.to_owned() + "clients: { regions: { eu: 0.5 } }\n",
            6,
            "add up to 0.5",
        ),
        (
            GOOD.to_owned() + "service: { strategy: { name: auto, candidates: [adaptive] } }\n",
            6,
            "`adaptive` is alone",
        ),
        (
            GOOD.to_owned() + "service: { strategy: { name: auto, candidates: [adaptive, maglev] } }\n",
            6,
            "`maglev` hashes",
        ),
        (
            GOOD.to_owned() + "service:\n  strategy:\n    name: auto\n    pin: random\n",
            9,
            "`random` is none of the candidates",
        ),
        (
            GOOD.to_owned() + "service:\n  strategy:\n    name: auto\n    window: 1s\n",
            9,
            "1s is no length for a comparison",
        ),
        (
            GOOD.to_owned() + "service: { strategy: { name: geographical, within: auto } }\n",
            6,
            "`auto` looks at a service as a whole",
        ),
        (
            GOOD.to_owned() + "service: { strategy: { name: adaptive, table_size: 65537 } }\n",
            6,
            "`adaptive` has no setting `table_size`",
        ),
        (
            GOOD.to_owned() + "service: { shadow: { name: random, window: 1s } }\n",
            6,
            "`random` has no setting `window`",
        ),
        (
            change("count: 3", "count: 3, weight: 60000")
                + "service: { strategy: { name: consistent_hash, compatibility: ketama } }\n",
            6,
            "does not suit",
        ),
        (
            GOOD.to_owned() + "service: { health_check: { tcp: {}, interval: 1s, timeout: 2s } }\n",
            6,
            "make `timeout` no longer than `interval`",
        ),
        (
            GOOD.to_owned() + "service: { health_check: { interval: 1s } }\n",
            6,
            "does not say how to check",
        ),
        (
            GOOD.to_owned() + "service: { circuit_breaker: { base_ejection: 10m } }\n",
            6,
            "no longer than `recovery_window`",
        ),
    ] {
        let error = Scenario::from_str("bad.yaml", &text)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        let place = format!("bad.yaml:{line}:");
        let bare = text.is_empty() || part.contains("no servers");
        assert!(
            (bare || error.contains(&place)) && error.contains(part),
            "{text}\n{error}"
        );
        assert_eq!(
            error.matches("error: ").count(),
            1 + usize::from(text.contains("mars")),
            "one mistake, one error: {error}"
        );
    }
}
