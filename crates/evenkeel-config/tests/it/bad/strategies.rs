//! Strategies and their settings.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "setting of another strategy",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { bounded_load: 1.25, name: power_of_two }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `power_of_two` has no setting `bounded_load`
 --> bad.yaml:4:31
  |
4 |     strategy: { bounded_load: 1.25, name: power_of_two }
  |                               ^^^^
  = it has no settings; `bounded_load` is of `consistent_hash`, `maglev`, `rendezvous`

1 error in bad.yaml
"#,
    },
    Case {
        name: "setting of another strategy that hashes",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: rendezvous, table_size: 65537 }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `rendezvous` has no setting `table_size`
 --> bad.yaml:4:47
  |
4 |     strategy: { name: rendezvous, table_size: 65537 }
  |                                               ^^^^^
  = it has key, bounded_load, regions, hash_secret_file, hash_secret_rotation, from; `table_size` is of `maglev`

1 error in bad.yaml
"#,
    },
    Case {
        name: "setting that a compatible mode fixes",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: consistent_hash, compatibility: ketama, hash_secret_file: secret }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `compatibility` leaves no choice for `hash_secret_file`
 --> bad.yaml:4:81
  |
4 |     strategy: { name: consistent_hash, compatibility: ketama, hash_secret_file: secret }
  |                                                                                 ^^^^^^
  = remove one of the two

1 error in bad.yaml
"#,
    },
    Case {
        name: "regions in a compatible mode",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, compatibility: envoy, regions: spread }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `compatibility` leaves no choice for `regions`
 --> bad.yaml:4:62
  |
4 |     strategy: { name: maglev, compatibility: envoy, regions: spread }
  |                                                              ^^^^^^
  = remove one of the two

1 error in bad.yaml
"#,
    },
    Case {
        name: "near to nothing",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, regions: nearest }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: there is nothing that regions are near to
 --> bad.yaml:4:40
  |
4 |     strategy: { name: maglev, regions: nearest }
  |                                        ^^^^^^^
  = say where this balancer is: `from: { region: NAME }`

1 error in bad.yaml
"#,
    },
    Case {
        name: "a place that is not asked for",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, regions: spread, from: { region: eu } }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: only `regions: nearest` asks where this balancer is
 --> bad.yaml:4:54
  |
4 |     strategy: { name: maglev, regions: spread, from: { region: eu } }
  |                                                      ^
  = write that, or remove `from`

1 error in bad.yaml
"#,
    },
    Case {
        name: "keys in zones",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, from: { region: eu, zone: a } }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: keys stay in regions, and `zone` is none
 --> bad.yaml:4:37
  |
4 |     strategy: { name: maglev, from: { region: eu, zone: a } }
  |                                     ^
  = write `from: { region: NAME }` alone

1 error in bad.yaml
"#,
    },
    Case {
        name: "rotation of no secret",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, hash_secret_rotation: 1h }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: there is no secret to replace
 --> bad.yaml:4:53
  |
4 |     strategy: { name: maglev, hash_secret_rotation: 1h }
  |                                                     ^^
  = name its file in `hash_secret_file`, or remove the key

1 error in bad.yaml
"#,
    },
    Case {
        name: "mode of another table",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, compatibility: ketama }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: ketama is a ring, and `maglev` has none
 --> bad.yaml:4:46
  |
4 |     strategy: { name: maglev, compatibility: ketama }
  |                                              ^^^^^^
  = write `name: consistent_hash`, or `compatibility: envoy`

1 error in bad.yaml
"#,
    },
    Case {
        name: "unknown strategy with a near miss",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: power_of_to
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: there is no strategy `power_of_to`: did you mean `power_of_two`?
 --> bad.yaml:4:15
  |
4 |     strategy: power_of_to
  |               ^^^^^^^^^^^
  = known here: `round_robin`, `weighted_round_robin`, `random`, `weighted_random`, `least_connections`, `power_of_two`, `peak_ewma`, `hot_cold`, `orca_weighted`, `least_response_time`, `adaptive`, `consistent_hash`, `maglev`, `rendezvous`, `health_weighted_round_robin`, `health_aware_least_connections`, `adaptive_health_aware`, `resource_aware`, `geographical`, `auto`

1 error in bad.yaml
"#,
    },
    Case {
        name: "unknown strategy in a mapping",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: the_fastest }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: there is no strategy `the_fastest`
 --> bad.yaml:4:23
  |
4 |     strategy: { name: the_fastest }
  |                       ^^^^^^^^^^^
  = known here: `round_robin`, `weighted_round_robin`, `random`, `weighted_random`, `least_connections`, `power_of_two`, `peak_ewma`, `hot_cold`, `orca_weighted`, `least_response_time`, `adaptive`, `consistent_hash`, `maglev`, `rendezvous`, `health_weighted_round_robin`, `health_aware_least_connections`, `adaptive_health_aware`, `resource_aware`, `geographical`, `auto`

1 error in bad.yaml
"#,
    },
    Case {
        name: "setting a strategy does not have",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: round_robin, key: x }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `x` is not possible here
 --> bad.yaml:4:41
  |
4 |     strategy: { name: round_robin, key: x }
  |                                         ^
  = write `header` or `cookie` or `query` or `path` or `source_address`

1 error in bad.yaml
"#,
    },
    Case {
        name: "factor out of range",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, bounded_load: 0.9 }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `0.9` is not a factor from 1.01 to 10, such as `1.25`
 --> bad.yaml:4:45
  |
4 |     strategy: { name: maglev, bounded_load: 0.9 }
  |                                             ^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "size that is not prime",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, table_size: 65536 }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `65536` is no size of a table
 --> bad.yaml:4:43
  |
4 |     strategy: { name: maglev, table_size: 65536 }
  |                                           ^^^^^
  = write one of these primes: 1021, 2039, 4093, 8191, 16381, 32749, 65537, 131071, 262139, 524287, 655373, 1048573, 2097143, 5000011

1 error in bad.yaml
"#,
    },
    Case {
        name: "key source there is not",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, key: { headr: x-user } }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `headr` is not possible here
 --> bad.yaml:4:38
  |
4 |     strategy: { name: maglev, key: { headr: x-user } }
  |                                      ^^^^^
  = write `header` or `cookie` or `query` or `path` or `source_address`

1 error in bad.yaml
"#,
    },
    Case {
        name: "key source without its name",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, key: header }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: wrong kind of value
 --> bad.yaml:4:36
  |
4 |     strategy: { name: maglev, key: header }
  |                                    ^^^^^^
  = write `path`, `source_address`, `{ header: NAME }`, `{ cookie: NAME }` or `{ query: NAME }`

1 error in bad.yaml
"#,
    },
    Case {
        name: "header that cannot be",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: maglev, key: { header: 'x user' } }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: "x user" cannot be the name: write a name of letters, digits and hyphens, such as `x-user`
 --> bad.yaml:4:46
  |
4 |     strategy: { name: maglev, key: { header: 'x user' } }
  |                                              ^^^^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "too many virtual nodes",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: consistent_hash, virtual_nodes: 0 }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `0` is not a whole number from 1 to 4096
 --> bad.yaml:4:55
  |
4 |     strategy: { name: consistent_hash, virtual_nodes: 0 }
  |                                                       ^

1 error in bad.yaml
"#,
    },
    Case {
        name: "mistyped setting",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: consistent_hash, bounded_laod: 1.25 }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: unknown key `bounded_laod`: did you mean `bounded_load`?
 --> bad.yaml:4:40
  |
4 |     strategy: { name: consistent_hash, bounded_laod: 1.25 }
  |                                        ^^^^^^^^^^^^
  = allowed here: blackout_period, bounded_load, candidates, capacity_per_weight, compatibility, connections_scale, connections_weight, cpu_weight, dwell, error_utilization_penalty, from, hash_secret_file, hash_secret_rotation, health_exponent, key, learn, levels, memory_weight, min_health, name, pin, predict, probe, recovery_preference, regions, spill_at, table_size, trend_weight, virtual_nodes, warm_connections, weight_expiration_period, weight_update_period, window, within

1 error in bad.yaml
"#,
    },
    Case {
        name: "shadow with a setting of another strategy and a file",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    shadow: { name: maglev, virtual_nodes: 100, hash_secret_file: secret }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `maglev` has no setting `virtual_nodes`
 --> bad.yaml:4:44
  |
4 |     shadow: { name: maglev, virtual_nodes: 100, hash_secret_file: secret }
  |                                            ^^^
  = it has key, bounded_load, regions, table_size, compatibility, hash_secret_file, hash_secret_rotation, from; `virtual_nodes` is of `consistent_hash`

error: a shadow hashes under the secret of `strategy`
 --> bad.yaml:4:67
  |
4 |     shadow: { name: maglev, virtual_nodes: 100, hash_secret_file: secret }
  |                                                                   ^^^^^^
  = remove the key

2 errors in bad.yaml
"#,
    },
    Case {
        name: "shadow that is neither a strategy nor off",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
defaults: { shadow: adaptive }
services:
  - name: web
    shadow: none
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: there is no strategy `none`
 --> bad.yaml:5:13
  |
5 |     shadow: none
  |             ^^^^
  = known here: `round_robin`, `weighted_round_robin`, `random`, `weighted_random`, `least_connections`, `power_of_two`, `peak_ewma`, `hot_cold`, `orca_weighted`, `least_response_time`, `adaptive`, `consistent_hash`, `maglev`, `rendezvous`, `health_weighted_round_robin`, `health_aware_least_connections`, `adaptive_health_aware`, `resource_aware`, `geographical`, `auto`; `off` is for none

1 error in bad.yaml
"#,
    },
    Case {
        name: "shadow that hashes something else",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
defaults: { shadow: maglev }
services:
  - name: web
    strategy: { name: rendezvous, key: path }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: rendezvous hashes the path of a request, and maglev hashes the client's address
 --> bad.yaml:2:21
  |
2 | defaults: { shadow: maglev }
  |                     ^^^^^^
  = give both the same `key`

1 error in bad.yaml
"#,
    },
    Case {
        name: "candidate that hashes",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: auto, candidates: [adaptive, maglev] }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `maglev` hashes, and what that is for shows in no comparison
 --> bad.yaml:4:41
  |
4 |     strategy: { name: auto, candidates: [adaptive, maglev] }
  |                                         ^
  = use it as the strategy, or leave it out

1 error in bad.yaml
"#,
    },
    Case {
        name: "candidate that is alone",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: auto, candidates: [adaptive] }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: there is nothing to choose among: `adaptive` is alone
 --> bad.yaml:4:41
  |
4 |     strategy: { name: auto, candidates: [adaptive] }
  |                                         ^
  = add another, or write `strategy: adaptive`

1 error in bad.yaml
"#,
    },
    Case {
        name: "pin that is no candidate",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: auto, pin: random }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `random` is none of the candidates
 --> bad.yaml:4:34
  |
4 |     strategy: { name: auto, pin: random }
  |                                  ^^^^^^
  = add it to them, or pin one of them

1 error in bad.yaml
"#,
    },
    Case {
        name: "comparison that is too short",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: auto, window: 5s }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: 5s is no length for a comparison
 --> bad.yaml:4:37
  |
4 |     strategy: { name: auto, window: 5s }
  |                                     ^^
  = write 10s to 10m

1 error in bad.yaml
"#,
    },
    Case {
        name: "candidate with a setting of another strategy",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: auto, candidates: [{ name: random, key: path }] }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `key`: `random` has no setting `key`
 --> bad.yaml:4:41
  |
4 |     strategy: { name: auto, candidates: [{ name: random, key: path }] }
  |                                         ^
  = it has no settings; `key` is of `consistent_hash`, `maglev`, `rendezvous`

1 error in bad.yaml
"#,
    },
    Case {
        name: "auto within regions, and as a shadow",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: geographical, within: auto }
    shadow: auto
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `auto` looks at a service as a whole
 --> bad.yaml:4:45
  |
4 |     strategy: { name: geographical, within: auto }
  |                                             ^^^^
  = name one of its candidates, or remove the key

error: auto is several strategies
 --> bad.yaml:5:13
  |
5 |     shadow: auto
  |             ^^^^
  = name the one that is to be asked

2 errors in bad.yaml
"#,
    },
];
