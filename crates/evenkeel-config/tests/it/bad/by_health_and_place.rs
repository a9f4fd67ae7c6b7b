//! Settings of strategies that go by health, reports or place.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "health floor out of range",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: health_weighted_round_robin, min_health: 0, health_exponent: 9 }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `0` is not a number from 0.01 to 1
 --> bad.yaml:4:64
  |
4 |     strategy: { name: health_weighted_round_robin, min_health: 0, health_exponent: 9 }
  |                                                                ^

error: `9` is not a whole number from 1 to 8
 --> bad.yaml:4:84
  |
4 |     strategy: { name: health_weighted_round_robin, min_health: 0, health_exponent: 9 }
  |                                                                                    ^

2 errors in bad.yaml
"#,
    },
    Case {
        name: "weights that are no numbers",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: resource_aware, cpu_weight: .nan }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `NaN` is not a number from 0 to 1000
 --> bad.yaml:4:51
  |
4 |     strategy: { name: resource_aware, cpu_weight: .nan }
  |                                                   ^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "weights that are all nothing",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: resource_aware, cpu_weight: 0, memory_weight: 0, connections_weight: 0 }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: with all three weights at 0 nothing decides but health
 --> bad.yaml:4:92
  |
4 |     strategy: { name: resource_aware, cpu_weight: 0, memory_weight: 0, connections_weight: 0 }
  |                                                                                            ^
  = give one of them, or write `name: health_weighted_round_robin`

1 error in bad.yaml
"#,
    },
    Case {
        name: "health setting of a strategy that does not weigh health",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: health_weighted_round_robin, trend_weight: 0.3 }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `health_weighted_round_robin` has no setting `trend_weight`
 --> bad.yaml:4:66
  |
4 |     strategy: { name: health_weighted_round_robin, trend_weight: 0.3 }
  |                                                                  ^^^
  = it has min_health, health_exponent; `trend_weight` is of `adaptive_health_aware`

1 error in bad.yaml
"#,
    },
    Case {
        name: "place that no level has",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: geographical, from: { region: eu, rack: r1 } }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `rack` is not among the levels
 --> bad.yaml:4:43
  |
4 |     strategy: { name: geographical, from: { region: eu, rack: r1 } }
  |                                           ^
  = the levels are region, zone; see `levels`

1 error in bad.yaml
"#,
    },
    Case {
        name: "finer place without the wider",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: geographical, from: { zone: a } }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `zone` is given without `region`, which is wider
 --> bad.yaml:4:43
  |
4 |     strategy: { name: geographical, from: { zone: a } }
  |                                           ^
  = give both

1 error in bad.yaml
"#,
    },
    Case {
        name: "levels twice and a strategy within itself",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: geographical, levels: [region, region], within: geographical }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: the level `region` stands twice
 --> bad.yaml:4:45
  |
4 |     strategy: { name: geographical, levels: [region, region], within: geographical }
  |                                             ^
  = remove one of the two

error: `geographical` cannot choose within itself
 --> bad.yaml:4:71
  |
4 |     strategy: { name: geographical, levels: [region, region], within: geographical }
  |                                                                       ^^^^^^^^^^^^
  = name another strategy, or remove the key

2 errors in bad.yaml
"#,
    },
    Case {
        name: "a setting that the strategy within has not",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: geographical, within: { name: random, key: path } }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `key`: `random` has no setting `key`
 --> bad.yaml:4:45
  |
4 |     strategy: { name: geographical, within: { name: random, key: path } }
  |                                             ^
  = it has no settings; `key` is of `consistent_hash`, `maglev`, `rendezvous`

1 error in bad.yaml
"#,
    },
    Case {
        name: "region full before it is used",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: geographical, spill_at: 1.5, capacity_per_weight: 0, probe: sometimes }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `1.5` is not a number from 0.01 to 0.99
 --> bad.yaml:4:47
  |
4 |     strategy: { name: geographical, spill_at: 1.5, capacity_per_weight: 0, probe: sometimes }
  |                                               ^^^

error: `0` is not a whole number from 1 to 1000000
 --> bad.yaml:4:73
  |
4 |     strategy: { name: geographical, spill_at: 1.5, capacity_per_weight: 0, probe: sometimes }
  |                                                                         ^

error: wrong kind of value
 --> bad.yaml:4:83
  |
4 |     strategy: { name: geographical, spill_at: 1.5, capacity_per_weight: 0, probe: sometimes }
  |                                                                                   ^^^^^^^^^
  = write `true` or `false`

3 errors in bad.yaml
"#,
    },
    Case {
        name: "weights that follow too closely, or reports too old",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: orca_weighted, weight_update_period: 50ms, weight_expiration_period: 5m }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: weights that follow reports so closely cost more than they gain
 --> bad.yaml:4:60
  |
4 |     strategy: { name: orca_weighted, weight_update_period: 50ms, weight_expiration_period: 5m }
  |                                                            ^^^^
  = write `100ms` or more

error: reports are worth nothing after `180s` for any strategy
 --> bad.yaml:4:92
  |
4 |     strategy: { name: orca_weighted, weight_update_period: 50ms, weight_expiration_period: 5m }
  |                                                                                            ^^
  = write that or less

2 errors in bad.yaml
"#,
    },
];
