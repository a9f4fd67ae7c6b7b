//! `evenkeel demo` on a pipe, as a person would redirect it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use evenkeel_core::StrategyName;
use rustix::process::{Pid, Signal, kill_process};

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .arg("demo")
        .args(arguments)
        .output()
        .unwrap()
}

/// The row of a strategy in the summary: requests, then errors.
fn row(text: &str, strategy: &str) -> (u64, u64) {
    let row = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let same = words.next()? == strategy;
        let numbers = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        same.then_some(numbers)
    });
    row.unwrap_or_else(|| panic!("no row of {strategy} in\n{text}"))
}

#[test]
fn on_a_pipe_it_tells_what_happens_and_sums_up() {
    let output = demo(&["--duration", "10s", "--requests-per-second", "150"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(!text.contains('\x1b'), "escape codes on a pipe:\n{text}");
    assert_eq!(errors, "");

    // All are sent the same arrivals: 1500 on average, with a deviation of 39.
    let rows =
        [StrategyName::DEFAULT.as_str(), "least_connections", "round_robin"].map(|name| row(&text, name));
    for (requests, errors) in rows {
        assert_eq!(requests, rows[0].0, "{text}");
        assert!((1200..1800).contains(&requests), "{text}");
        assert!(errors < requests / 2, "{text}");
    }
    // What the demo promises: an instance fails everything and another dies, and clients see nothing of it. How fast that
    // is depends on who else is busy on the machine; whether a request is answered hardly does.
    let (requests, errors) = rows[0];
    assert!(errors * 100 <= requests, "{text}");

    let happened = |what: &str| text.lines().any(|line| line.contains(what));
    assert!(happened("web-5 ejected: ") || happened("web-5 down: "), "{text}");
    assert!(happened("script: web-5 is back"), "{text}");
    assert!(happened(" of 10 s | "), "no line on how it goes:\n{text}");
}

#[test]
fn it_is_never_early_by_itself() {
    // So few requests that the last one is over long before.
    let begin = Instant::now();
    let output = demo(&["--duration", "3s", "--requests-per-second", "1"]);
    assert!(begin.elapsed() >= Duration::from_secs(3), "{:?}", begin.elapsed());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().any(|line| line == "Summary of 3 s"), "{text}");
}

#[test]
fn an_interrupt_ends_it_early_with_what_was_measured() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["demo", "--duration", "1h"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    let mut out = BufReader::new(demo.stdout.take().unwrap());
    // Until it says that requests have been answered.
    let goes = |line: &str| line.contains(" of 3600 s | ") && !line.contains("| 0 requests");
    while !text.lines().any(goes) {
        assert_ne!(
            out.read_line(&mut text).unwrap(),
            0,
            "it ended by itself:\n{text}"
        );
    }
    let pid = Pid::from_child(&demo);
    kill_process(pid, Signal::INT).unwrap();
    out.read_to_string(&mut text).unwrap();
    assert!(demo.wait().unwrap().success(), "{text}");
    assert!(text.contains("script: web-6 starts cold"), "{text}");
    assert!(text.contains(", ended early (planned: 3600 s)"), "{text}");
    assert!(row(&text, StrategyName::DEFAULT.as_str()).0 > 0, "{text}");
}

#[test]
fn an_address_in_use_ends_it_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin"] {
        let output = demo(&[flag, &address]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{errors}");
        assert!(errors.contains(&address) && errors.contains(flag), "{errors}");
    }
}

#[test]
fn a_demo_too_short_to_show_anything_is_refused() {
    let output = demo(&["--duration", "2s"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("at least 3s"), "{errors}");
}
