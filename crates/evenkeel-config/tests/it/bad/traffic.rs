//! What requests get: retries and sessions.

use super::Case;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case {
        name: "reasons to try again",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
services:
  - name: web
    retry: { on: [connect, 200, conect, 5xx, 600] }
    instances: [{ address: 127.0.0.1:9001 }]
  - name: api
    retry: { on: 503 }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: a response with `200` is no failure
 --> bad.yaml:4:28
  |
4 |     retry: { on: [connect, 200, conect, 5xx, 600] }
  |                            ^^^
  = write statuses from 400 to 599

error: `conect` is no reason to try again
 --> bad.yaml:4:33
  |
4 |     retry: { on: [connect, 200, conect, 5xx, 600] }
  |                                 ^^^^^^
  = write `connect`, `no_response`, a status such as `503`, or a class, `5xx`

error: `600` is no reason to try again
 --> bad.yaml:4:46
  |
4 |     retry: { on: [connect, 200, conect, 5xx, 600] }
  |                                              ^^^
  = write `connect`, `no_response`, a status such as `503`, or a class, `5xx`

error: wrong kind of value
 --> bad.yaml:7:18
  |
7 |     retry: { on: 503 }
  |                  ^^^
  = write a list of reasons: `connect`, `no_response`, a status such as `503`, or a class, `5xx`

4 errors in bad.yaml
"#,
    },
    Case {
        name: "cookies",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080 }]
defaults: { sticky: { same_site: none } }
services:
  - name: web
    sticky: { cookie: "a b", ttl: 500ms, path: app, secret_file: "", same_site: always }
    instances: [{ address: 127.0.0.1:9001 }]
  - name: api
    sticky: { cookie: __Host-api, path: /a;b }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: "a b" cannot be the name of a cookie: write 1 to 64 letters, digits, `-`, `_` or `.`
 --> bad.yaml:5:23
  |
5 |     sticky: { cookie: "a b", ttl: 500ms, path: app, secret_file: "", same_site: always }
  |                       ^^^^^

error: a cookie lives for whole seconds, and `500ms` is none: write `1s` or more
 --> bad.yaml:5:35
  |
5 |     sticky: { cookie: "a b", ttl: 500ms, path: app, secret_file: "", same_site: always }
  |                                   ^^^^^

error: a path starts with `/`: write `/app`
 --> bad.yaml:5:48
  |
5 |     sticky: { cookie: "a b", ttl: 500ms, path: app, secret_file: "", same_site: always }
  |                                                ^^^

error: this names no file: write its path, or remove the key
 --> bad.yaml:5:66
  |
5 |     sticky: { cookie: "a b", ttl: 500ms, path: app, secret_file: "", same_site: always }
  |                                                                  ^^

error: `always` is not possible here
 --> bad.yaml:5:81
  |
5 |     sticky: { cookie: "a b", ttl: 500ms, path: app, secret_file: "", same_site: always }
  |                                                                                 ^^^^^^
  = write `strict` or `lax` or `none`

error: a cookie's path has no `;` and no `,`: percent-encode them in "/a;b"
 --> bad.yaml:8:41
  |
8 |     sticky: { cookie: __Host-api, path: /a;b }
  |                                         ^^^^

error: browsers refuse a cookie whose name begins with `__Host-` for some paths only
 --> bad.yaml:8:41
  |
8 |     sticky: { cookie: __Host-api, path: /a;b }
  |                                         ^^^^
  = write `path: /`, or choose another name

7 errors in bad.yaml
"#,
    },
    Case {
        name: "services that take each other's sessions",
        input: r#"
listeners:
  - { name: web, bind: 127.0.0.1:8080, routes: [{ path_prefix: /api, service: api }, { service: web }] }
defaults: { sticky: { ttl: 1h } }
services:
  - name: web
    sticky: { cookie: sid }
    instances: [{ address: 127.0.0.1:9001 }]
  - name: api
    sticky: { cookie: sid }
    instances: [{ address: 127.0.0.1:9002 }]
"#,
        shown: r#"
error: `web` and `api` set the same cookie `sid` to the same clients, so neither keeps its sessions
 --> bad.yaml:9:23
  |
9 |     sticky: { cookie: sid }
  |                       ^^^
  = leave `cookie` out, or give each service its own
  = the other is at bad.yaml:6:23

1 error in bad.yaml
"#,
    },
    Case {
        name: "cookies that browsers refuse",
        input: r#"
listeners: [{ name: web, bind: 127.0.0.1:8080, routes: [{ service: web }] }]
defaults: { sticky: { same_site: none } }
services:
  - name: web
    instances: [{ address: 127.0.0.1:9001 }]
  - name: api
    sticky: { same_site: lax, cookie: __Secure-api }
    instances: [{ address: 127.0.0.1:9001 }]
  - name: good
    sticky: { secure: true, cookie: __Host-good }
    instances: [{ address: 127.0.0.1:9001 }]
"#,
        shown: r#"
error: browsers refuse a cookie for requests of all sites that is not for TLS alone
 --> bad.yaml:2:34
  |
2 | defaults: { sticky: { same_site: none } }
  |                                  ^^^^
  = add `secure: true`, or write `same_site: lax`

error: browsers refuse a cookie with this name that is not for TLS alone
 --> bad.yaml:7:39
  |
7 |     sticky: { same_site: lax, cookie: __Secure-api }
  |                                       ^^^^^^^^^^^^
  = add `secure: true`, or choose another name

2 errors in bad.yaml
"#,
    },
];
