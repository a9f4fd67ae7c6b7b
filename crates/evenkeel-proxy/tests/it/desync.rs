//! The raw requests of the `http_desync_guardian` package, sent through the proxy: what must not reach
//! an instance does not, and what does has one framing.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::peer::fields;
use crate::support::{Rig, SHORT, Server, Setup};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const TIERS: [&str; 4] = ["Severe", "Ambiguous", "Acceptable", "Compliant"];

#[tokio::test]
async fn what_must_not_reach_an_instance_does_not() {
    let server = Server::start(ANSWER).await;
    let mut setup = Setup::new(&[server.address]);
    setup.listener.client_header = SHORT;
    let rig = setup.start_standing().await;
    let mut passed = [0; 4];
    let mut all = [0; 4];
    for case in cases() {
        let tier = case["expected"]["tier"].as_str().unwrap();
        let tier = TIERS.iter().position(|t| *t == tier).unwrap();
        let before = server.heads().len();
        exchange(&rig, &raw_request(&case)).await;
        let heads = server.heads().split_off(before);
        for head in &heads {
            let framings = fields(head, "content-length").len() + fields(head, "transfer-encoding").len();
            assert!(framings < 2, "{}: {head}", text(&case["name"]));
            let names = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
            for (name, _) in names {
                let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
                let framing = ["contentlength", "transferencoding"].contains(&&*letters.to_lowercase());
                let exact = ["content-length", "transfer-encoding"].contains(&&*name.to_lowercase());
                assert!(!framing || exact, "{}: {head}", text(&case["name"]));
            }
        }
        passed[tier] += usize::from(!heads.is_empty());
        all[tier] += 1;
    }
    let [severe, ambiguous, _, compliant] = passed;
    assert_eq!([all[0], all[1], all[3]], [58, 58, 28], "the corpus is complete");
    assert!(severe <= 1, "Severe: {severe} forwarded");
    assert!(ambiguous <= 10, "Ambiguous: {ambiguous} forwarded");
    assert!(compliant >= 20, "Compliant: {compliant} forwarded");
    rig.settled().await;
}

/// Sends the request and waits for an answer. The instance gives one at once; a head that is not
/// complete times out.
async fn exchange(rig: &Rig, request: &str) {
    let mut client = rig.client().await;
    client.send(request).await;
    rig.passing(client.head()).await;
}

/// The request as it goes over the wire, with a Host when the case has none: the corpus is about framing.
fn raw_request(case: &Value) -> String {
    let headers = case["headers"].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines: Vec<(String, String)> = headers
        .iter()
        .map(|header| (text(&header["name"]), text(&header["value"])))
        .collect();
    if !lines.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        lines.insert(0, ("Host".into(), "localhost".into()));
    }
    let lines: String = lines
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let [method, uri, version] = ["method", "uri", "version"].map(|part| text(&case[part]));
    format!("{method} {uri} {version}\r\n{lines}\r\n")
}

/// A scalar as text, with the corpus's own escapes resolved.
fn text(value: &Value) -> String {
    let raw = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
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
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
        .iter()
        .flat_map(|path| {
            serde_saphyr::from_str::<Vec<Value>>(&std::fs::read_to_string(path).unwrap()).unwrap()
        })
        .collect()
}

/// Where cargo has put the package; it fetched all of this platform's to build this test.
fn source() -> PathBuf {
    let metadata = cargo_metadata(&["--offline"])
        .or_else(|_| cargo_metadata(&[]))
        .unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == "http_desync_guardian");
    let manifest = package.unwrap()["manifest_path"].as_str().unwrap();
    PathBuf::from(manifest).parent().unwrap().to_owned()
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
