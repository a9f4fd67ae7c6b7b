//! What errors suggest is right, and what is refused is refused for a reason.

use evenkeel_config::{Address, Config};

fn problems(text: &str) -> Vec<String> {
    match Config::from_str("bad.yaml", text) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems().iter().map(|p| p.message.clone()).collect(),
    }
}

/// The text in the first pair of backticks after `write`.
fn suggested(message: &str) -> Option<&str> {
    message.split_once("write `")?.1.split('`').next()
}

#[test]
fn a_suggested_address_is_an_address() {
    for (text, suggestion) in [
        ("web-1", Some("web-1:80")),
        ("9001", Some("127.0.0.1:9001")),
        (":80", Some("127.0.0.1:80")),
        ("fd00::7", Some("[fd00::7]:80")),
        ("::1:80", Some("[::1]:80")),
        ("http://web-1:9001/", Some("web-1:9001")),
        ("http://web-1/x", Some("web-1:80")),
        ("https://web-1", Some("web-1:443")),
        ("", Some("host:port")),
        ("a b", Some("host:port")),
        ("http://", Some("host:port")),
        ("http://a b/", Some("host:port")),
    ] {
        let message = text.parse::<Address>().unwrap_err();
        assert_eq!(suggested(&message), suggestion, "{message}");
        if let Some(suggestion) = suggestion.filter(|it| *it != "host:port") {
            assert!(suggestion.parse::<Address>().is_ok(), "{message}");
        }
    }
}

#[test]
fn a_syntax_error_names_a_remedy() {
    for text in [
        "listeners:\n\t- name: x\n",
        "a: [1, 2\n",
        "a: 'x\n",
        "a: b: c\n",
        "a: *x\n",
        "a: @x\n",
        "- a\nb: c\n",
        "a: {b: 1\nc: 2",
        "a: \"\\q\"",
        "a: !!int x",
        "? [a]\n: b\n",
        "a: &x [*x]",
        "%YAML 3\n--- a",
        "a: !!binary x",
        "a: ]",
        "a: 1\n b: 2",
        "a: \u{1}",
        "a: 1\n--- b",
    ] {
        let error = Config::from_str("bad.yaml", text).unwrap_err();
        let [problem] = error.problems() else {
            panic!("{text:?}: {error}")
        };
        assert!(problem.help.is_some(), "{text:?}: {error}");
        assert!(!problem.message.contains(" at line "), "{text:?}: {error}");
    }
}

fn with_statuses(list: &str) -> String {
    format!(
        "listeners: [{{ name: web, bind: 127.0.0.1:8080 }}]
services:
- name: web
  health_check: {{ http: {{ expected_statuses: {list} }} }}
  instances: [{{ address: 127.0.0.1:9001 }}]
"
    )
}

#[test]
fn a_list_that_nothing_is_left_of_was_not_empty() {
    for (list, count) in [
        ("[99]", 1),
        ("[99, x]", 2),
        ("[200, x]", 1),
        ("[]", 1),
        ("[200]", 0),
    ] {
        let found = problems(&with_statuses(list));
        assert_eq!(found.len(), count, "{list}: {found:?}");
        assert_eq!(
            found.iter().any(|m| m.contains("empty list")),
            list == "[]",
            "{list}: {found:?}"
        );
    }
}

#[test]
fn limits_leave_room_for_messages() {
    for (limits, refused) in [
        ("head: 1", 1),
        ("head: 1023", 1),
        ("head: 1KiB, chunk_line: 32, trailers: 128", 0),
        ("chunk_line: 31, trailers: 127", 2),
        ("body: 1", 0),
    ] {
        let text = format!(
            "listeners: [{{ name: web, bind: 127.0.0.1:8080 }}]
services: [{{ name: web, instances: [{{ address: 127.0.0.1:9001 }}] }}]
limits: {{ {limits} }}
"
        );
        let found = problems(&text);
        assert_eq!(found.len(), refused, "{limits}: {found:?}");
        assert!(
            found
                .iter()
                .all(|m| m.contains("too small for") && suggested(m).is_some()),
            "{found:?}"
        );
    }
}

fn with_route(route: &str) -> String {
    format!(
        "listeners: [{{ name: web, bind: 127.0.0.1:8080, routes: [{{ {route}, service: web }}] }}]
services: [{{ name: web, instances: [{{ address: 127.0.0.1:9001 }}] }}]
"
    )
}

#[test]
fn hosts_are_compared_in_lower_case_without_a_dot_at_the_end() {
    for (written, read) in [
        ("API.Trail.com.", "api.trail.com"),
        ("'*.Example.com.'", "*.example.com"),
        ("'[::1]'", "[::1]"),
    ] {
        let config = Config::from_str("test.yaml", &with_route(&format!("host: {written}"))).unwrap();
        assert_eq!(config.listeners[0].routes[0].host.as_deref(), Some(read));
    }
    for host in ["a..", "a..b", "'.'", "''", "'*.'", "'*'"] {
        assert_eq!(problems(&with_route(&format!("host: {host}"))).len(), 1, "{host}");
    }
    let twice = with_route("host: a.example., service: web }, { host: A.example");
    assert_eq!(
        problems(&twice),
        ["this route never matches: an earlier one takes all its requests"]
    );
}

#[test]
fn path_prefixes_are_normal_paths() {
    for prefix in [
        "/",
        "/v2",
        "/v2/",
        "/a/b",
        "/.well-known",
        "/a b",
        "/caf\u{e9}",
        "/100%",
        "/a..b/...",
        "/a:b;c",
    ] {
        assert_eq!(
            problems(&with_route(&format!("path_prefix: '{prefix}'"))),
            [""; 0],
            "{prefix}"
        );
    }
    for (prefix, suggestion) in [
        ("/a/../b", Some("/b")),
        ("//a", Some("/a")),
        ("/a//", Some("/a/")),
        ("/%61", Some("/a")),
        ("/caf%C3%A9", Some("/caf\u{e9}")),
        ("/a%2Fb", Some("/a/b")),
        ("/a/.", Some("/a/")),
        ("/a/..", Some("/")),
        ("/../..", Some("/")),
        ("v2", Some("/v2")),
        ("", Some("/")),
        ("../%61", Some("/a")),
        ("/%2561", None),
        ("/%ff", None),
        ("/%3F", None),
        ("/a?b", None),
        ("/a#", None),
    ] {
        let found = problems(&with_route(&format!("path_prefix: '{prefix}'")));
        assert_eq!(found.len(), 1, "{prefix}");
        assert_eq!(suggested(&found[0]), suggestion, "{prefix}: {}", found[0]);
        if let Some(suggestion) = suggestion {
            let again = problems(&with_route(&format!("path_prefix: '{suggestion}'")));
            assert_eq!(again, [""; 0], "{prefix}");
        }
    }
}

#[test]
fn routes_that_never_match_are_found() {
    for (first, second, covered) in [
        ("host: a.example", "host: A.Example.", true),
        ("host: '*.example'", "host: a.b.example", true),
        ("host: '*.example'", "host: '*.b.example'", true),
        ("host: '*.b.example'", "host: '*.example'", false),
        ("host: '*.example'", "host: example", false),
        ("host: a.example", "path_prefix: /x", false),
        ("path_prefix: /x", "host: a.example", false),
        ("path_prefix: /x", "host: a.example, path_prefix: /x/y", true),
        ("path_prefix: /x", "path_prefix: /x/", true),
        ("path_prefix: /x/", "path_prefix: /x", false),
        ("path_prefix: /x/", "path_prefix: /x/y/z", true),
        ("path_prefix: /x", "path_prefix: /xy", false),
        ("path_prefix: /", "host: a.example", true),
        ("host: a.example, path_prefix: /", "host: a.example", true),
        ("host: a.example, path_prefix: /x", "host: a.example", false),
    ] {
        let found = problems(&with_route(&format!("{first}, service: web }}, {{ {second}")));
        assert_eq!(!found.is_empty(), covered, "{first} before {second}: {found:?}");
    }
}
