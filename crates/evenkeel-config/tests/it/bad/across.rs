//! Values that only together are wrong.

use super::Case;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case {
        name: "check of two kinds",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    health_check: { http: {}, tcp: {} }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: a health check has one kind, and this has two
 --> bad.yaml:4:36
  |
4 |     health_check: { http: {}, tcp: {} }
  |                                    ^
  = remove `http` or `tcp`

1 error in bad.yaml
"#,
    },
    Case {
        name: "check of no kind",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    health_check: { interval: 5s }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: this health check does not say how to check
 --> bad.yaml:4:19
  |
4 |     health_check: { interval: 5s }
  |                   ^
  = add `http: { path: / }` or `tcp: {}`

1 error in bad.yaml
"#,
    },
    Case {
        name: "check longer than its interval",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    health_check: { tcp: {}, interval: 1s, timeout: 2s }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: a check of `web` may take 2s but starts every 1s
 --> bad.yaml:4:53
  |
4 |     health_check: { tcp: {}, interval: 1s, timeout: 2s }
  |                                                     ^^
  = make `timeout` no longer than `interval`

1 error in bad.yaml
"#,
    },
    Case {
        name: "check from defaults longer than its interval",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    health_check: { tcp: {} }
    instances: [{ address: 127.0.0.1:9001 }]
defaults: { health_check: { timeout: 6s } }
"#,
        shown: r#"
error: a check of `web` may take 6s but starts every 5s
 --> bad.yaml:6:38
  |
6 | defaults: { health_check: { timeout: 6s } }
  |                                      ^^
  = make `timeout` no longer than `interval`

1 error in bad.yaml
"#,
    },
    Case {
        name: "ejection longer than the longest",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    circuit_breaker: { base_ejection: 10m }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: the first ejection of `web` would last longer than the longest
 --> bad.yaml:4:39
  |
4 |     circuit_breaker: { base_ejection: 10m }
  |                                       ^^^
  = make `base_ejection` (10m) no longer than `recovery_window` (300s)

1 error in bad.yaml
"#,
    },
    Case {
        name: "route host with port",
        input: r#"
listeners:
  - { name: web, bind: 127.0.0.1:8080, routes: [{ host: 'a.example:80', service: web }] }
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: a route's host has no port: write `a.example`
 --> bad.yaml:2:57
  |
2 |   - { name: web, bind: 127.0.0.1:8080, routes: [{ host: 'a.example:80', service: web }] }
  |                                                         ^^^^^^^^^^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "route host with a star inside",
        input: r#"
listeners:
  - { name: web, bind: 127.0.0.1:8080, routes: [{ host: 'a.*.example', service: web }] }
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: `*` can only stand for the first labels: write `*.example.com`
 --> bad.yaml:2:57
  |
2 |   - { name: web, bind: 127.0.0.1:8080, routes: [{ host: 'a.*.example', service: web }] }
  |                                                         ^^^^^^^^^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "path prefix",
        input: r#"
listeners:
  - { name: web, bind: 127.0.0.1:8080, routes: [{ path_prefix: v2, service: web }] }
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: a path prefix starts with `/`: write `/v2`
 --> bad.yaml:2:64
  |
2 |   - { name: web, bind: 127.0.0.1:8080, routes: [{ path_prefix: v2, service: web }] }
  |                                                                ^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "route to an unknown service",
        input: r#"
listeners:
  - { name: web, bind: 127.0.0.1:8080, routes: [{ service: wbe }] }
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: there is no service `wbe`: did you mean `web`?
 --> bad.yaml:2:60
  |
2 |   - { name: web, bind: 127.0.0.1:8080, routes: [{ service: wbe }] }
  |                                                            ^^^
  = known here: `web`

1 error in bad.yaml
"#,
    },
    Case {
        name: "route that never matches",
        input: r#"
listeners:
  - name: web
    bind: 127.0.0.1:8080
    routes:
      - { host: '*.example.com', service: web }
      - { host: api.example.com, path_prefix: /v2, service: web }
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: this route never matches: an earlier one takes all its requests
 --> bad.yaml:6:9
  |
6 |       - { host: api.example.com, path_prefix: /v2, service: web }
  |         ^
  = put it before that one, or remove it
  = the earlier one is at bad.yaml:5:9

1 error in bad.yaml
"#,
    },
    Case {
        name: "several services and no routes",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - { name: a, instances: [{ address: 127.0.0.1:9001 }] }
  - { name: b, instances: [{ address: 127.0.0.1:9002 }] }
"#,
        shown: r#"
error: `web` has no routes, and there are 2 services to choose from
 --> bad.yaml:1:13
  |
1 | listeners: [{ name: web, bind: 127.0.0.1:8080 }]
  |             ^
  = add `routes: [{ service: a }]`

1 error in bad.yaml
"#,
    },
    Case {
        name: "repeated service",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080, routes: [{ service: a }] }]
services:
  - { name: a, instances: [{ address: 127.0.0.1:9001 }] }
  - { name: a, instances: [{ address: 127.0.0.1:9002 }] }
"#,
        shown: r#"
error: a second service is called `a`
 --> bad.yaml:4:13
  |
4 |   - { name: a, instances: [{ address: 127.0.0.1:9002 }] }
  |             ^
  = give each its own name
  = the first is at bad.yaml:3:13

1 error in bad.yaml
"#,
    },
    Case {
        name: "weights that are too much for the strategy",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: consistent_hash, compatibility: ketama }
    instances: [{ address: 127.0.0.1:9001, weight: 52428 }, { address: 127.0.0.1:9002 }]
"#,
        shown: r#"
error: `consistent_hash` does not suit the instances of `web`
 --> bad.yaml:4:15
  |
4 |     strategy: { name: consistent_hash, compatibility: ketama }
  |               ^
  = weights add up to 52429, and ketama has 160 points in memory per unit of weight: divide the weights by a common number, so that they add up to 52428 at most (nginx needs the same ones)

1 error in bad.yaml
"#,
    },
    Case {
        name: "weights that are too much for the strategy of the defaults",
        input: r#"
defaults: { strategy: { name: geographical, within: { name: consistent_hash, compatibility: ketama } } }
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances: [{ address: 127.0.0.1:9001, weight: 50000 }, { address: 127.0.0.1:9002, weight: 5000 }]
"#,
        shown: r#"
error: `geographical` does not suit the instances of `web`
 --> bad.yaml:1:23
  |
1 | defaults: { strategy: { name: geographical, within: { name: consistent_hash, compatibility: ketama } } }
  |                       ^
  = weights add up to 55000, and ketama has 160 points in memory per unit of weight: divide the weights by a common number, so that they add up to 52428 at most (nginx needs the same ones)

1 error in bad.yaml
"#,
    },
    Case {
        name: "repeated listener and bind",
        input: r#"
listeners:
  - { name: web, bind: 127.0.0.1:8080 }
  - { name: web, bind: 127.0.0.1:8080 }
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: a second listener is called `web`
 --> bad.yaml:3:13
  |
3 |   - { name: web, bind: 127.0.0.1:8080 }
  |             ^^^
  = give each its own name
  = the first is at bad.yaml:2:13

error: `127.0.0.1:8080` is listened on twice
 --> bad.yaml:3:24
  |
3 |   - { name: web, bind: 127.0.0.1:8080 }
  |                        ^^^^^^^^^^^^^^
  = give each listener its own address or port
  = the first is at bad.yaml:2:24

2 errors in bad.yaml
"#,
    },
    Case {
        name: "listener on the admin address",
        input: r#"
admin: { listen: 127.0.0.1:8080 }
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: `127.0.0.1:8080` is listened on twice
 --> bad.yaml:2:32
  |
2 | listeners: [{ name: web, bind: 127.0.0.1:8080 }]
  |                                ^^^^^^^^^^^^^^
  = give each listener its own address or port
  = the first is at bad.yaml:1:18

1 error in bad.yaml
"#,
    },
    Case {
        name: "repeated instance id",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { id: a, address: 127.0.0.1:9001 }
      - { id: b, address: 127.0.0.1:9002 }
      - id: a
        address: 127.0.0.1:9003
"#,
        shown: r#"
error: a second instance of `web` has the id `a`
 --> bad.yaml:7:13
  |
7 |       - id: a
  |             ^
  = give each its own `id`
  = the first is at bad.yaml:5:15

1 error in bad.yaml
"#,
    },
    Case {
        name: "repeated address without id",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances: [{ address: 127.0.0.1:9001 }, { address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: a second instance of `web` has the id `127.0.0.1:9001`
 --> bad.yaml:4:57
  |
4 |     instances: [{ address: 127.0.0.1:9001 }, { address: 127.0.0.1:9001 }]
  |                                                         ^^^^^^^^^^^^^^
  = give each its own `id`
  = the first is at bad.yaml:4:28

1 error in bad.yaml
"#,
    },
    Case {
        name: "service without instances",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances: []
"#,
        shown: r#"
error: the service `web` has no instances, so every request would be answered with 503
 --> bad.yaml:3:11
  |
3 |   - name: web
  |           ^^^
  = add `instances: [{ address: 127.0.0.1:9001 }]`, or remove the service

1 error in bad.yaml
"#,
    },
    Case {
        name: "no services",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: []
"#,
        shown: r#"
error: there is no service to send requests to
 --> bad.yaml:2:11
  |
2 | services: []
  |           ^
  = add `services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]`

1 error in bad.yaml
"#,
    },
    Case {
        name: "all at once, after a value that failed",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    pool: { idle_per_instance: many }
    instances:
      - { id: a, address: nowhere }
      - { id: b, address: 127.0.0.1:9001 }
      - { id: b, address: 127.0.0.1:9002 }
      - { id: c/d, address: 127.0.0.1:9003 }
"#,
        shown: r#"
error: wrong kind of value
 --> bad.yaml:4:32
  |
4 |     pool: { idle_per_instance: many }
  |                                ^^^^
  = write a whole number from 0 to 100000

error: `nowhere` has no port: write `nowhere:80` with the port the instance listens on
 --> bad.yaml:6:27
  |
6 |       - { id: a, address: nowhere }
  |                           ^^^^^^^

error: a second instance of `web` has the id `b`
 --> bad.yaml:8:15
  |
8 |       - { id: b, address: 127.0.0.1:9002 }
  |               ^
  = give each its own `id`
  = the first is at bad.yaml:7:15

error: "c/d" is not a name: write 1 to 255 ASCII letters, digits and any of .-_~:@%+=[], such as `web` or `api-v2`
 --> bad.yaml:9:15
  |
9 |       - { id: c/d, address: 127.0.0.1:9003 }
  |               ^^^

4 errors in bad.yaml
"#,
    },
    Case {
        name: "JSON",
        input: r#"
{"listeners": [{"name": "web", "bind": "127.0.0.1:8080"}],
 "services": [{"name": "web", "instances": [{"address": 9001}]}]}
"#,
        shown: r#"
error: `9001` has no host: write `127.0.0.1:9001` for an instance on this machine
 --> bad.yaml:2:57
  |
2 |  "services": [{"name": "web", "instances": [{"address": 9001}]}]}
  |                                                         ^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "value from an alias",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    timeouts: { connect: &t 5, idle: *t }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `5` has no unit: write `5s` for seconds or `5ms` for milliseconds
 --> bad.yaml:4:29
  |
4 |     timeouts: { connect: &t 5, idle: *t }
  |                             ^

error: `5` has no unit: write `5s` for seconds or `5ms` for milliseconds
 --> bad.yaml:4:38
  |
4 |     timeouts: { connect: &t 5, idle: *t }
  |                                      ^^

2 errors in bad.yaml
"#,
    },
];
