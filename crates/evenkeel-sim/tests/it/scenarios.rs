//! Scenario files.

use evenkeel_sim::{BUILT_IN, Scenario, built_in, built_in_text};

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

const GOOD: &str = "
about: x
duration: 10s
arrivals: { load: 0.5 }
servers: [{ count: 3 }]
";

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
        (change("load: 0.5", "rate: 10, load: 0.5"), 4, "one of"),
        (change("load: 0.5", ""), 4, "one of"),
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
    }
}
