//! Beside outside programs: real clients, real servers, real attackers.
//!
//! They run when `EVENKEEL_PEERS=1` says that the programs are installed, and fail then if one is missing.
//! They measure, so run them one at a time.

mod clients;
mod envoy;
mod hashing;
mod keep_alive;
mod proxies;
mod slow;

use std::process::{Command, Output};

use crate::support::backend::Backend;
use crate::support::one_service;

/// Whether to run beside these programs.
fn beside(programs: &[&str]) -> bool {
    if std::env::var_os("EVENKEEL_PEERS").is_none_or(|value| value != "1") {
        println!(
            "left out, as EVENKEEL_PEERS is not 1: a test beside {}",
            programs.join(", ")
        );
        return false;
    }
    for program in programs {
        assert!(
            is_here(program),
            "EVENKEEL_PEERS=1, but {program} is not installed"
        );
    }
    true
}

fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a program to its end without holding up the test's own clients.
async fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn config(backends: &[&Backend]) -> String {
    let instances = backends.iter().enumerate();
    one_service(
        "",
        instances.map(|(i, backend)| backend.instance(&format!("web-{i}"))),
    )
}
