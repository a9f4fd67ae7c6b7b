//! The document and its keys.

use super::Case;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
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
  = write a mapping with keys out of workers, state_dir, admin, access_log, drain_delay, drain_timeout, trusted_proxies, limits, listeners, services, defaults

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
  = begin each element of the list with `- `, all at the same indentation

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
  = allowed here: circuit_breaker, health, health_check, instances, locality, metrics, name, orca, pool, record_picks, retry, shadow, slow_start, sticky, strategy, timeouts

1 error in bad.yaml
"#,
    },
    Case {
        name: "unknown key of a later version",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]
cluster: ./etcd
"#,
        shown: r#"
error: unknown key `cluster`
 --> bad.yaml:3:1
  |
3 | cluster: ./etcd
  | ^^^^^^^
  = allowed here: access_log, admin, defaults, drain_delay, drain_timeout, limits, listeners, services, state_dir, trusted_proxies, workers

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
  = allowed here: listen, max_weight, metrics, token_file

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
        name: "tab",
        input: "listeners:\n\t- name: web\n",
        shown: r#"
error: this is not YAML: tabs disallowed within this context (block indentation)
 --> bad.yaml:2:2
  |
2 | →- name: web
  |  ^
  = indent with spaces

1 error in bad.yaml
"#,
    },
    Case {
        name: "alias without anchor",
        input: r#"
listeners: *web
"#,
        shown: r#"
error: this alias has no anchor before it
 --> bad.yaml:1:12
  |
1 | listeners: *web
  |            ^
  = name the anchor with `&`, or put text that begins with `*` in quotes

1 error in bad.yaml
"#,
    },
];
