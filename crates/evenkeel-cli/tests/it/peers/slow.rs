//! Five hundred clients that take their time, beside one that does not.

use std::time::Duration;

use tokio::time::Instant;

use super::{beside, run};
use crate::support::backend::Backend;
use crate::support::load::{Paced, Timed};
use crate::support::process::{Server, text};
use crate::support::until;

const SLOW: u32 = 500;
/// What the load beside asks for. How many requests a closed loop gets done on a machine shared with five
/// hundred attackers says how the processor is shared; whether a load of fixed rate keeps its rate says
/// what clients get, so that is asserted. A debug build carries several times as much.
const PER_SECOND: u32 = 400;
/// The length of what is compared, before and during the attack.
const WINDOW: Duration = Duration::from_secs(3);
/// When an answer counts as in time.
const IN_TIME: Duration = Duration::from_millis(250);

/// The attackers get a backend of their own: the balancer is to be measured, not the thread of a backend.
fn config(beside: &Backend, attacked: &Backend) -> String {
    format!(
        "admin: {{ listen: 127.0.0.1:0 }}
listeners: [{{ name: web, bind: 127.0.0.1:0, routes: [{{ path_prefix: /name, service: web }}, {{ service: attacked }}] }}]
services:
  - name: web
    instances:
{}  - name: attacked
    instances:
{}",
        beside.instance("one"),
        attacked.instance("one")
    )
}

/// Requests due in a window and served in time.
fn kept(seen: &[Timed], from: Instant) -> usize {
    let due = |timed: &&Timed| timed.due >= from && timed.due < from + WINDOW;
    let kept = |timed: &&Timed| timed.failure.is_none() && timed.took <= IN_TIME;
    seen.iter().filter(due).filter(kept).count()
}

/// Runs slowhttptest with `mode` and asserts that the load beside it keeps 95 % of its rate.
async fn attacked(mode: &[&str], path: &str, holds: bool) {
    if !beside(&["slowhttptest"]) {
        return;
    }
    let (beside, attacked) = (Backend::start("beside"), Backend::start("attacked"));
    let server = Server::start(&config(&beside, &attacked)).await;
    let address = server.address("web").await;
    let load = Paced::start(address, 20, PER_SECOND, "/name");
    let accepted = || server.metric("evenkeel_client_connections_accepted_total");
    let open = || server.metric("evenkeel_client_connections");
    until("the load runs", || async {
        (accepted().await >= 20.0).then_some(())
    })
    .await;

    let before = Instant::now();
    tokio::time::timeout_at(before + WINDOW, std::future::pending::<()>())
        .await
        .unwrap_err();
    let url = format!("http://{address}{path}");
    let slow = SLOW.to_string();
    let attack = [
        "-c", &slow, "-r", "300", "-i", "1", "-l", "7", "-p", "3", "-u", &url,
    ];
    let arguments = [mode, &attack].concat();
    let attack = run("slowhttptest", &arguments);
    let watch = async {
        let all = f64::from(SLOW) * 0.95;
        until("the slow clients are there", || async {
            let there = if holds { open().await } else { accepted().await };
            (there >= all).then_some(())
        })
        .await;
        let during = Instant::now();
        tokio::time::timeout_at(during + WINDOW, std::future::pending::<()>())
            .await
            .unwrap_err();
        (during, open().await)
    };
    let (output, (during, still)) = tokio::join!(attack, watch);
    let report = text(&output.stdout);
    let seen = load.stop().await;
    let (before, during) = (kept(&seen, before), kept(&seen, during));
    let failures: Vec<_> = seen.iter().filter_map(|timed| timed.failure.as_ref()).collect();
    let peak = server.memory("VmHWM") >> 20;
    println!(
        "{mode:?}: {before} requests in time before, {during} during; {still} connections open, {peak} MiB"
    );
    assert!(failures.is_empty(), "{failures:?}");
    let due = PER_SECOND as usize * WINDOW.as_secs() as usize;
    assert!(
        before >= due * 9 / 10,
        "this machine is too busy to measure: {before} of {due}"
    );
    assert!(during * 100 >= before * 95, "{during} in time, {before} before");
    assert!(!report.contains("service available:   NO"), "{report}");
}

#[tokio::test]
async fn slow_heads() {
    attacked(&["-H", "-x", "24"], "/heads", true).await;
}

#[tokio::test]
async fn slow_bodies() {
    attacked(&["-B", "-s", "8192", "-x", "10"], "/upload", true).await;
}

#[tokio::test]
async fn overlapping_ranges() {
    attacked(&["-R", "-a", "10", "-b", "3000", "-t", "HEAD"], "/ranges", false).await;
}
