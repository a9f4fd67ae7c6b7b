//! Beside outside programs.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::client::get;
use crate::fleet::{Fleet, service, usual};
use crate::metrics::listeners;

#[test]
fn promtool_has_nothing_to_say() {
    if std::env::var_os("EVENKEEL_PEERS").is_none_or(|value| value != "1") {
        println!("left out, as EVENKEEL_PEERS is not 1: promtool check metrics");
        return;
    }
    let mut specs = usual();
    specs.push(service("empty", Vec::new()));
    let fleet = Fleet::with_sources(specs, listeners());
    fleet.request("web", |_| 200);
    let text = get(fleet.address(), "/metrics").body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("EVENKEEL_PEERS=1, but promtool cannot be started");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}
