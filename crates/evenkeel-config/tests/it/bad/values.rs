//! Single values.

use super::Case;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
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
        name: "address in brackets without port",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    instances:
      - { address: '[::1]' }
"#,
        shown: r#"
error: `[::1]` has no port: write `[::1]:80` with the port the instance listens on
 --> bad.yaml:5:20
  |
5 |       - { address: '[::1]' }
  |                    ^^^^^^^

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
error: "web 1" is not a name: write 1 to 255 ASCII letters, digits and any of .-_~:@%+=[], such as `web` or `api-v2`
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
        name: "numbers that are none hide nothing",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    foo: .nan
    retry: { budget: .nan, attempts: 99 }
    health_check: { tcp: {}, jitter: 7, interval: .inf }
    instances: [{ address: 127.0.0.1:9001 }]
limits: { head: .inf, body: 1e400 }
workers: -.inf
"#,
        shown: r#"
error: unknown key `foo`
 --> bad.yaml:4:5
  |
4 |     foo: .nan
  |     ^^^
  = allowed here: circuit_breaker, health, health_check, instances, locality, metrics, name, orca, pool, record_picks, retry, shadow, slow_start, sticky, strategy, timeouts

error: `.nan` is not a ratio from 0 to 1, such as `0.2`
 --> bad.yaml:5:22
  |
5 |     retry: { budget: .nan, attempts: 99 }
  |                      ^^^^

error: `99` is not a whole number from 0 to 7
 --> bad.yaml:5:38
  |
5 |     retry: { budget: .nan, attempts: 99 }
  |                                      ^^

error: `7` is not a ratio from 0 to 1, such as `0.2`
 --> bad.yaml:6:38
  |
6 |     health_check: { tcp: {}, jitter: 7, interval: .inf }
  |                                      ^

error: `.inf` is not a duration: write a duration with its unit, such as `250ms`, `5s` or `1m30s`
 --> bad.yaml:6:51
  |
6 |     health_check: { tcp: {}, jitter: 7, interval: .inf }
  |                                                   ^^^^

error: `.inf` is not a size: write a size such as `512`, `64KiB` or `10MiB`
 --> bad.yaml:8:17
  |
8 | limits: { head: .inf, body: 1e400 }
  |                 ^^^^

error: `1e400` is not a size: write a size such as `512`, `64KiB` or `10MiB`, or `none` for no limit
 --> bad.yaml:8:29
  |
8 | limits: { head: .inf, body: 1e400 }
  |                             ^^^^^

error: `-inf` is not a whole number from 1 to 1024
 --> bad.yaml:9:10
  |
9 | workers: -.inf
  |          ^^^^^

8 errors in bad.yaml
"#,
    },
];
