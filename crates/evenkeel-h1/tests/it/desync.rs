//! The raw requests of the `http_desync_guardian` package, read from where cargo keeps its source.

use std::path::PathBuf;
use std::process::Command;

use evenkeel_h1::{Limits, RequestHead, Status};
use serde_json::Value;

#[test]
fn desync_corpus() {
    let mut refused = [
        ("Severe", 0, 0),
        ("Ambiguous", 0, 0),
        ("Acceptable", 0, 0),
        ("Compliant", 0, 0),
    ];
    for case in cases() {
        let tier = case["expected"]["tier"].as_str().unwrap();
        let error = refusal(&raw_request(&case));
        let row = refused.iter_mut().find(|row| row.0 == tier).unwrap();
        row.1 += usize::from(error.is_some());
        row.2 += 1;
        let surprising = matches!(
            (tier, &error),
            ("Severe" | "Ambiguous", None) | ("Compliant", Some(_))
        );
        if surprising {
            println!(
                "{tier} {}: {}",
                text(&case["name"]),
                error.as_deref().unwrap_or("accepted")
            );
        }
    }
    for (tier, refused, all) in refused {
        println!("{tier}: {refused} of {all} refused, {} accepted", all - refused);
    }
    let [severe, ambiguous, _, compliant] = refused;
    assert_eq!(
        (severe.2, ambiguous.2, compliant.2),
        (58, 58, 28),
        "the corpus is complete"
    );
    assert!(severe.1 >= 57, "Severe: {} refused", severe.1);
    assert!(ambiguous.1 >= 48, "Ambiguous: {} refused", ambiguous.1);
    assert!(
        compliant.2 - compliant.1 >= 20,
        "Compliant: {} accepted",
        compliant.2 - compliant.1
    );
}

/// Why the head is refused. A head that never ends is not forwarded either: the client is timed out.
fn refusal(request: &[u8]) -> Option<String> {
    match RequestHead::new().parse(request, &Limits::default()) {
        Ok(Status::Complete { .. }) => None,
        Ok(Status::Partial) => Some("never complete".into()),
        Err(error) => Some(error.to_string()),
    }
}

/// The request as it goes over the wire, with a Host when the case has none: the corpus is about framing.
fn raw_request(case: &Value) -> Vec<u8> {
    let mut raw = format!(
        "{} {} {}\r\n",
        text(&case["method"]),
        text(&case["uri"]),
        text(&case["version"])
    );
    let headers = case["headers"].as_array().map_or(&[][..], Vec::as_slice);
    if !headers
        .iter()
        .any(|header| text(&header["name"]).eq_ignore_ascii_case("host"))
    {
        raw.push_str("Host: localhost\r\n");
    }
    for header in headers {
        raw.push_str(&format!(
            "{}: {}\r\n",
            text(&header["name"]),
            text(&header["value"])
        ));
    }
    raw.push_str("\r\n");
    raw.into_bytes()
}

/// A scalar as text, with the corpus's own escapes (they also occur in unquoted YAML) resolved.
fn text(value: &Value) -> String {
    let raw = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut text = String::new();
    let mut chars = raw.chars();
    while let Some(char) = chars.next() {
        text.push(match char {
            '\\' => match chars.next().unwrap() {
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    char::from(u8::from_str_radix(&digits, 16).unwrap())
                }
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            },
            other => other,
        });
    }
    text
}

/// Every case of every file.
fn cases() -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(source().join("tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
        .iter()
        .flat_map(|path| {
            let yaml = std::fs::read_to_string(path).unwrap();
            serde_saphyr::from_str::<Vec<Value>>(&yaml)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

/// Where cargo has put the package. Restricted to this platform: cargo has fetched all of that to build
/// this test, and asks the network for nothing unless another member's packages are still missing.
fn source() -> PathBuf {
    let metadata = cargo_metadata(&["--offline"])
        .or_else(|_| cargo_metadata(&[]))
        .unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == "http_desync_guardian")
        .unwrap();
    PathBuf::from(package["manifest_path"].as_str().unwrap())
        .parent()
        .unwrap()
        .to_owned()
}

fn cargo_metadata(options: &[&str]) -> Result<Value, String> {
    let platform = format!("{}-unknown-{}-gnu", std::env::consts::ARCH, std::env::consts::OS);
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--filter-platform",
            &platform,
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .args(options)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}
