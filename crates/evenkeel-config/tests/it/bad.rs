//! Bad input, each with everything the operator sees.

use evenkeel_config::Config;

struct Case {
    name: &'static str,
    /// The file; a newline at its start is not part of it, so that line 1 is the line after it.
    input: &'static str,
    shown: &'static str,
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case {
        name: "empty file",
        input: "",
        shown: r#"
error: there is no listener, so no client can connect
 --> bad.yaml
  = add `listeners: [{ name: web, bind: 127.0.0.1:8080 }]`

error: there is no service to send requests to
 --> bad.yaml
  = add `services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]`

2 errors in bad.yaml
"#,
    },
    Case {
        name: "not a mapping",
        input: r#"
hello
"#,
        shown: r#"
error: wrong kind of value
 --> bad.yaml:1:1
  |
1 | hello
  | ^^^^^
  = write a mapping with keys out of workers, admin, drain_timeout, trusted_proxies, limits, listeners, services, defaults

1 error in bad.yaml
"#,
    },
    Case {
        name: "syntax error ends the reading",
        input: r#"
listeners:
  - name: web
   bind: [
"#,
        shown: r#"
error: this is not YAML: while parsing a block collection, did not find expected '-' indicator
 --> bad.yaml:3:4
  |
3 |    bind: [
  |    ^

1 error in bad.yaml
"#,
    },
    Case {
        name: "second document",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
---
workers: 1
"#,
        shown: r#"
error: a second document starts here
 --> bad.yaml:4:1
  |
4 | workers: 1
  | ^
  = remove the `---`: a configuration is one document

1 error in bad.yaml
"#,
    },
    Case {
        name: "unknown key with a near miss",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strateggy: round_robin
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: unknown key `strateggy`: did you mean `strategy`?
 --> bad.yaml:4:5
  |
4 |     strateggy: round_robin
  |     ^^^^^^^^^
  = allowed here: circuit_breaker, health, health_check, instances, name, pool, retry, strategy, timeouts

1 error in bad.yaml
"#,
    },
    Case {
        name: "unknown key of a later version",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
state_dir: ./state
"#,
        shown: r#"
error: unknown key `state_dir`
 --> bad.yaml:3:1
  |
3 | state_dir: ./state
  | ^^^^^^^^^
  = allowed here: admin, defaults, drain_timeout, limits, listeners, services, trusted_proxies, workers

1 error in bad.yaml
"#,
    },
    Case {
        name: "unknown keys in several groups",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
limits: { heads: 1KiB }
admin: { port: 1 }
"#,
        shown: r#"
error: unknown key `heads`: did you mean `head`?
 --> bad.yaml:3:11
  |
3 | limits: { heads: 1KiB }
  |           ^^^^^
  = allowed here: body, chunk_line, connections, fields, head, trailers

error: unknown key `port`
 --> bad.yaml:4:10
  |
4 | admin: { port: 1 }
  |          ^^^^
  = allowed here: listen

2 errors in bad.yaml
"#,
    },
    Case {
        name: "repeated key",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
workers: 1
workers: 2
"#,
        shown: r#"
error: the key `workers` stands here twice
 --> bad.yaml:4:1
  |
4 | workers: 2
  | ^^^^^^^
  = remove one of the two

1 error in bad.yaml
"#,
    },
    Case {
        name: "wrong kinds of value",
        input: r#"
workers: two
limits: 5
trusted_proxies: 10.0.0.0/8
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: wrong kind of value
 --> bad.yaml:1:10
  |
1 | workers: two
  |          ^^^
  = write a whole number from 1 to 1024

error: wrong kind of value
 --> bad.yaml:2:9
  |
2 | limits: 5
  |         ^
  = write a mapping with keys out of head, fields, body, chunk_line, trailers, connections

error: wrong kind of value
 --> bad.yaml:3:18
  |
3 | trusted_proxies: 10.0.0.0/8
  |                  ^^^^^^^^^^
  = write a list

3 errors in bad.yaml
"#,
    },
    Case {
        name: "number out of range",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
workers: 0
"#,
        shown: r#"
error: `0` is not a whole number from 1 to 1024
 --> bad.yaml:3:10
  |
3 | workers: 0
  |          ^

1 error in bad.yaml
"#,
    },
    Case {
        name: "duration without unit",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
drain_timeout: 30
"#,
        shown: r#"
error: `30` has no unit: write `30s` for seconds or `30ms` for milliseconds
 --> bad.yaml:3:16
  |
3 | drain_timeout: 30
  |                ^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "zero duration",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    timeouts: { connect: 0s, idle: -1s }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `0s` is no time at all: the shortest duration is `1ms`
 --> bad.yaml:4:26
  |
4 |     timeouts: { connect: 0s, idle: -1s }
  |                          ^^

error: `-1s` is not a duration: write a duration with its unit, such as `250ms`, `5s` or `1m30s`
 --> bad.yaml:4:36
  |
4 |     timeouts: { connect: 0s, idle: -1s }
  |                                    ^^^

2 errors in bad.yaml
"#,
    },
    Case {
        name: "ambiguous size",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
limits: { head: 64K, body: 0, trailers: lots }
"#,
        shown: r#"
error: `64K` is ambiguous: write `64KiB` (1024 bytes each)
 --> bad.yaml:3:17
  |
3 | limits: { head: 64K, body: 0, trailers: lots }
  |                 ^^^

error: `0` would allow nothing: the smallest size is `1`, or `none` for no limit
 --> bad.yaml:3:28
  |
3 | limits: { head: 64K, body: 0, trailers: lots }
  |                            ^

error: `lots` is not a size: write a size such as `512`, `64KiB` or `10MiB`
 --> bad.yaml:3:41
  |
3 | limits: { head: 64K, body: 0, trailers: lots }
  |                                         ^^^^

3 errors in bad.yaml
"#,
    },
    Case {
        name: "percentage",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    retry: { budget: 20% }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `20%` is a percentage: write `0.2`
 --> bad.yaml:4:22
  |
4 |     retry: { budget: 20% }
  |                      ^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "threshold zero",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    health_check: { tcp: {}, unhealthy_threshold: 0 }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `0` is not a whole number from 1 to 1000
 --> bad.yaml:4:51
  |
4 |     health_check: { tcp: {}, unhealthy_threshold: 0 }
  |                                                   ^

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
  = known here: `round_robin`, `weighted_round_robin`, `random`, `weighted_random`, `least_connections`, `power_of_two`, `least_response_time`

1 error in bad.yaml
"#,
    },
    Case {
        name: "unknown strategy in a mapping",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    strategy: { name: peak_ewma }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: there is no strategy `peak_ewma`
 --> bad.yaml:4:23
  |
4 |     strategy: { name: peak_ewma }
  |                       ^^^^^^^^^
  = known here: `round_robin`, `weighted_round_robin`, `random`, `weighted_random`, `least_connections`, `power_of_two`, `least_response_time`

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
error: unknown key `key`
 --> bad.yaml:4:36
  |
4 |     strategy: { name: round_robin, key: x }
  |                                    ^^^
  = allowed here: name

1 error in bad.yaml
"#,
    },
    Case {
        name: "protocol of a later version",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080, protocol: tcp }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: `tcp` is not possible here
 --> bad.yaml:1:58
  |
1 | listeners: [{ name: web, bind: 127.0.0.1:8080, protocol: tcp }]
  |                                                          ^^^
  = write `http`

1 error in bad.yaml
"#,
    },
    Case {
        name: "bind without address",
        input: r#"
listeners: [{ name: web, bind: ':8080' }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: `:8080` names no address: write `0.0.0.0:8080` for all interfaces or `127.0.0.1:8080` for this machine only
 --> bad.yaml:1:32
  |
1 | listeners: [{ name: web, bind: ':8080' }]
  |                                ^^^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "bind to a name",
        input: r#"
listeners: [{ name: web, bind: 'localhost:8080' }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
"#,
        shown: r#"
error: `localhost:8080` is not an address to listen on: write an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`
 --> bad.yaml:1:32
  |
1 | listeners: [{ name: web, bind: 'localhost:8080' }]
  |                                ^^^^^^^^^^^^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "address as URL",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { address: 'http://web-1:9001/' }
"#,
        shown: r#"
error: `http://web-1:9001/` is a URL: write `web-1:9001`, without `http://`
 --> bad.yaml:5:20
  |
5 |       - { address: 'http://web-1:9001/' }
  |                    ^^^^^^^^^^^^^^^^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "address without port",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { address: web-1 }
"#,
        shown: r#"
error: `web-1` has no port: write `web-1:80` with the port the instance listens on
 --> bad.yaml:5:20
  |
5 |       - { address: web-1 }
  |                    ^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "address with port 0",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { address: 127.0.0.1:0 }
"#,
        shown: r#"
error: port 0 cannot be connected to: write a number from 1 to 65535
 --> bad.yaml:5:20
  |
5 |       - { address: 127.0.0.1:0 }
  |                    ^^^^^^^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "mistyped IPv4 address",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { address: 127.0.0.300:80 }
"#,
        shown: r#"
error: `127.0.0.300:80` is not an address: write `host:port`, such as `10.0.0.7:9001`, `[fd00::7]:9001` or `web-1.internal:9001`
 --> bad.yaml:5:20
  |
5 |       - { address: 127.0.0.300:80 }
  |                    ^^^^^^^^^^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "weight 0",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { address: 127.0.0.1:9001, weight: 0 }
"#,
        shown: r#"
error: `0` is not a whole number from 1 to 65535
 --> bad.yaml:5:44
  |
5 |       - { address: 127.0.0.1:9001, weight: 0 }
  |                                            ^

1 error in bad.yaml
"#,
    },
    Case {
        name: "weight too large",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { address: 127.0.0.1:9001, weight: 65536 }
"#,
        shown: r#"
error: `65536` is not a whole number from 1 to 65535
 --> bad.yaml:5:44
  |
5 |       - { address: 127.0.0.1:9001, weight: 65536 }
  |                                            ^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "missing address, once",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { id: web-1, adress: 127.0.0.1:9001 }
"#,
        shown: r#"
error: unknown key `adress`: did you mean `address`?
 --> bad.yaml:5:22
  |
5 |       - { id: web-1, adress: 127.0.0.1:9001 }
  |                      ^^^^^^
  = allowed here: address, id, metadata, priority, region, weight, zone

1 error in bad.yaml
"#,
    },
    Case {
        name: "missing address",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { id: web-1 }
"#,
        shown: r#"
error: the key `address` is missing here
 --> bad.yaml:5:9
  |
5 |       - { id: web-1 }
  |         ^

1 error in bad.yaml
"#,
    },
    Case {
        name: "instance id unfit for labels",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { id: web 1, address: 127.0.0.1:9001 }
"#,
        shown: r#"
error: "web 1" is not a name: write 1 to 255 characters without white space and `/`, such as `web` or `api-v2`
 --> bad.yaml:5:15
  |
5 |       - { id: web 1, address: 127.0.0.1:9001 }
  |               ^^^^^

1 error in bad.yaml
"#,
    },
    Case {
        name: "invalid network",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
trusted_proxies: [10.0.0.1/8, 10.0.0.0/33, proxy]
"#,
        shown: r#"
error: `10.0.0.1/8` has bits set behind its prefix: write `10.0.0.0/8` for the network or `10.0.0.1` for the one address
 --> bad.yaml:3:19
  |
3 | trusted_proxies: [10.0.0.1/8, 10.0.0.0/33, proxy]
  |                   ^^^^^^^^^^

error: `10.0.0.0/33` has no valid prefix length: write a number from 0 to 32 after the `/`
 --> bad.yaml:3:31
  |
3 | trusted_proxies: [10.0.0.1/8, 10.0.0.0/33, proxy]
  |                               ^^^^^^^^^^^

error: `proxy` is not a network such as `10.0.0.0/8`, or a single IP address
 --> bad.yaml:3:44
  |
3 | trusted_proxies: [10.0.0.1/8, 10.0.0.0/33, proxy]
  |                                            ^^^^^

3 errors in bad.yaml
"#,
    },
    Case {
        name: "status codes",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    health_check: { http: { expected_statuses: [200, 399-200, 2xx] } }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: `399-200` is an empty range: write `200-399`
 --> bad.yaml:4:54
  |
4 |     health_check: { http: { expected_statuses: [200, 399-200, 2xx] } }
  |                                                      ^^^^^^^

error: `2xx` is not a status code such as `200`, or a range such as `200-399` (codes go from 100 to 599)
 --> bad.yaml:4:63
  |
4 |     health_check: { http: { expected_statuses: [200, 399-200, 2xx] } }
  |                                                               ^^^

2 errors in bad.yaml
"#,
    },
    Case {
        name: "no status code",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    health_check: { http: { expected_statuses: [] } }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: an empty list matches nothing: name at least one, or leave the key out
 --> bad.yaml:4:48
  |
4 |     health_check: { http: { expected_statuses: [] } }
  |                                                ^

1 error in bad.yaml
"#,
    },
    Case {
        name: "check path",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    health_check: { http: { path: healthz } }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: a path starts with `/`: write `/healthz`
 --> bad.yaml:4:35
  |
4 |     health_check: { http: { path: healthz } }
  |                                   ^^^^^^^

1 error in bad.yaml
"#,
    },
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

error: "c/d" is not a name: write 1 to 255 characters without white space and `/`, such as `web` or `api-v2`
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

#[test]
fn every_error_is_shown_with_its_place_and_a_remedy() {
    let mut wrong = Vec::new();
    for case in CASES {
        let shown = match Config::from_str("bad.yaml", case.input.strip_prefix('\n').unwrap_or(case.input)) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        if shown != case.shown.trim_matches('\n') {
            wrong.push(format!(
                "=== {} ===\n{shown}\n--- expected ---{}",
                case.name, case.shown
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
