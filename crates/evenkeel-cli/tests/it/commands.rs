//! Commands that print and end.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::Folder;
use crate::support::process::{BINARY, evenkeel, text};

const GOOD: &str = "
listeners: [{ name: web, bind: 127.0.0.1:0 }]
services:
  - name: web
    instances: [{ address: 127.0.0.1:9001 }, { address: 127.0.0.1:9002, weight: 3 }]
";

const BAD: &str = "
listeners: [{ name: web, bind: 127.0.0.1:0 }]
services:
  - name: web
    strategie: random
    timeouts: { connect: 5 }
    instances: [{ address: 127.0.0.1:9001, weight: 0 }]
";

#[test]
fn check_says_what_a_good_file_holds() {
    let folder = Folder::new();
    let file = folder.write("good.yaml", GOOD);
    let output = evenkeel(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let expected = format!("{}: ok (1 listener, 1 service, 2 instances)\n", file.display());
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_reader_that_has_gone_changes_nothing() {
    let folder = Folder::new();
    for (name, content, code) in [("good.yaml", GOOD, 0), ("bad.yaml", BAD, 1)] {
        let file = folder.write(name, content);
        // Both ends of what is said are closed before it is.
        let gone = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        let status = std::process::Command::new(BINARY)
            .args(["check", "--config", file.to_str().unwrap()])
            .stdout(gone())
            .stderr(gone())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{name}");
    }
}

#[test]
fn check_says_what_is_hardly_meant() {
    let folder = Folder::new();
    let shut = GOOD.replace(
        "  - name: web\n",
        "  - name: web\n    locality: { allow_regions: [typo] }\n",
    );
    let file = folder.write("shut.yaml", &shut);
    let output = evenkeel(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stderr);
    assert!(
        said.contains("warning: service web: `locality` allows no region"),
        "{said}"
    );
    assert!(said.contains("names `typo`, where no instance is"), "{said}");
}

#[test]
fn check_shows_every_error_with_its_place_and_what_would_be_right() {
    let folder = Folder::new();
    let file = folder.write("bad.yaml", BAD);
    for command in ["check", "serve"] {
        let output = evenkeel(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert_eq!(text(&output.stdout), "");
        let errors = text(&output.stderr);
        for expected in [
            format!("{}:5:5", file.display()),
            format!("{}:6:26", file.display()),
            format!("{}:7:52", file.display()),
            "did you mean `strategy`?".to_owned(),
            "strategie: random".to_owned(),
            "3 errors in".to_owned(),
        ] {
            assert!(
                errors.contains(&expected),
                "{command}: no {expected:?} in\n{errors}"
            );
        }
    }
}

#[test]
fn the_effective_configuration_loads_again_and_stays_as_it_is() {
    let folder = Folder::new();
    let file = folder.write("good.yaml", GOOD);
    let print = |file: &std::path::Path| {
        let output = evenkeel(&["check", "--print", "--config", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let first = print(&file);
    assert!(first.contains("strategy: adaptive"), "{first}");
    assert!(first.contains("drain_timeout"), "{first}");
    let again = folder.write("printed.yaml", &first);
    assert_eq!(print(&again), first);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let folder = Folder::new();
    let latin1 = folder.path().join("latin1.yaml");
    std::fs::write(&latin1, b"# caf\xe9\n").unwrap();
    let missing = folder.path().join("missing.yaml");
    let mut cases = vec![
        (missing, "no such file"),
        (folder.path().to_owned(), "it is a directory"),
        (latin1, "line 1 is not UTF-8"),
    ];
    let closed = folder.write("closed.yaml", GOOD);
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&closed).is_err() {
        // The superuser may read everything.
        cases.push((closed, "permission denied"));
    }
    for (path, reason) in cases {
        for command in ["check", "serve"] {
            let output = evenkeel(&[command, "--config", path.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(1), "{command} {}", path.display());
            let error = text(&output.stderr);
            let expected = format!("error: cannot read {}: {reason}", path.display());
            assert!(error.starts_with(&expected), "{command}: {error}");
        }
    }
}

#[test]
fn a_service_without_instances_is_an_error_with_its_place() {
    let folder = Folder::new();
    for instances in ["", "    instances: []\n"] {
        let config =
            format!("listeners: [{{ name: web, bind: 127.0.0.1:0 }}]\nservices:\n  - name: web\n{instances}");
        let file = folder.write("empty.yaml", &config);
        let output = evenkeel(&["serve", "--config", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let error = text(&output.stderr);
        assert!(error.contains("instance"), "{error}");
        assert!(error.contains(&format!("{}:", file.display())), "{error}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_names_the_flags() {
    let cases: [(&[&str], &str); 7] = [
        (&[], "Usage"),
        (&["serve"], "--config <FILE>"),
        (
            &["serve", "--config", "a.yaml", "--listen", "127.0.0.1:0"],
            "cannot be used with",
        ),
        (&["serve", "--listen", "127.0.0.1:0"], "--backend <ADDR>"),
        (
            &["serve", "--listen", "127.0.0.1:0", "--backend", "nonsense"],
            "nonsense",
        ),
        (
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--backend",
                "127.0.0.1:1",
                "--strategy",
                "rond_robin",
            ],
            "round_robin",
        ),
        (&["sevre"], "serve"),
    ];
    for (arguments, expected) in cases {
        let output = evenkeel(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(
            error.contains(expected),
            "{arguments:?}: no {expected:?} in\n{error}"
        );
        let missing = error.split("Usage").next().unwrap_or_default();
        let both = missing.contains("  --config") && missing.contains("  --backend");
        assert!(!both, "{arguments:?}: both are never required\n{error}");
    }
}

#[test]
fn help_names_every_command_and_what_it_is_for() {
    let output = evenkeel(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for command in ["serve", "demo", "check", "schema", "strategies", "completions"] {
        let line = help.lines().find(|line| line.trim_start().starts_with(command));
        let described = line.is_some_and(|line| line.trim().len() > command.len() + 10);
        assert!(described, "{command} in\n{help}");
        let own = evenkeel(&[command, "--help"]);
        assert_eq!(own.status.code(), Some(0));
        assert!(text(&own.stdout).contains("Usage: evenkeel"), "{command}");
    }
    assert!(help.starts_with("Health-aware load balancer"), "{help}");
    let version = text(&evenkeel(&["--version"]).stdout);
    assert_eq!(version.trim(), concat!("evenkeel ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_schema_has_the_keys_of_the_file() {
    let output = evenkeel(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys = schema["properties"].as_object().unwrap();
    for key in [
        "admin",
        "listeners",
        "services",
        "defaults",
        "limits",
        "trusted_proxies",
        "workers",
    ] {
        assert!(keys.contains_key(key), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn strategies_are_the_same_as_text_and_as_json() {
    let table = text(&evenkeel(&["strategies"]).stdout);
    let rows = evenkeel(&["strategies", "--format", "json"]).stdout;
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&rows).unwrap();
    assert_eq!(table.lines().count(), rows.len());
    for (line, row) in table.lines().zip(&rows) {
        assert!(line.starts_with(row["name"].as_str().unwrap()), "{line}");
        assert!(line.contains(row["summary"].as_str().unwrap()), "{line}");
        assert_eq!(line.ends_with("(default)"), row["default"] == true, "{line}");
    }
    assert!(rows.iter().any(|row| row["name"] == "power_of_two"));
}

#[test]
fn completions_are_for_the_shell_asked_for() {
    for (shell, expected) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef evenkeel"),
        ("fish", "complete -c evenkeel"),
    ] {
        let output = evenkeel(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(expected), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let script = format!(
        "{} schema | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}",
        crate::support::process::BINARY
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
