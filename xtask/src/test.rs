//! `cargo xtask test`: every check and every test, in one run with a summary at the end.
//!
//! Steps run one after the other and a failing one does not hide the next: the summary names them all.
//! Without `--with-peers` Rust alone is needed; a step whose program is missing is left out, and said so.
//! Absent on purpose: choice of single steps (call cargo directly) and anything that only CI would know.

mod peers;
mod runner;

use std::process::Command;

use anyhow::Result;

use crate::sanitize::{self, Sanitizer};
use crate::{repo, tidy};
use runner::{Outcome, Runner};

/// Tells the tests beside outside programs that those programs are there; without it they skip themselves.
const PEERS_VARIABLE: &str = "EVENKEEL_PEERS";

/// Runs everything and says whether all went well.
pub(crate) fn run(with_peers: bool) -> Result<bool> {
    let mut runner = Runner::new();
    if with_peers {
        runner.step("programs", || {
            sanitize::install()?;
            Ok(peers::install()?.into())
        });
    }
    let missing = peers::missing();
    let beside = missing.is_empty();

    runner.command("fmt", repo::cargo().args(["fmt", "--all", "--check"]));
    runner.command(
        "clippy",
        repo::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    );
    runner.step("tidy", || Ok(tidy::run()?.into()));
    runner.command(
        "doc",
        repo::cargo()
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    );
    match repo::which("cargo-deny") {
        Some(program) => runner.command("deny", deny(Command::new(program).current_dir(repo::root()))),
        None => runner.left_out("deny", "cargo-deny"),
    }
    runner.tests("tests", with_programs(&mut tests(), beside));
    runner.tests(
        "doctests",
        repo::cargo().args(["test", "--workspace", "--doc", "--no-fail-fast"]),
    );
    runner.tests("models", &mut models());
    if with_peers {
        for sanitizer in [Sanitizer::Address, Sanitizer::Thread] {
            match sanitize::of_pure_crates(sanitizer) {
                Some(mut command) => runner.tests(sanitizer.name(), &mut command),
                None => runner.left_out(sanitizer.name(), "a nightly compiler with sanitizers"),
            }
        }
    }
    let packages = peers::packages_with_tests()?;
    if beside && !packages.is_empty() {
        let mut command = repo::cargo();
        command.arg("test");
        for package in &packages {
            command.args(["--package", package]);
        }
        // One at a time: these measure, and they are about to share two cores with what they start.
        command.args([
            "--test",
            "it",
            "--no-fail-fast",
            "--",
            "peers::",
            "--test-threads=1",
        ]);
        runner.tests("beside", with_programs(&mut command, true));
    } else if !beside {
        runner.left_out("beside", &format!("tests beside {}", missing.join(", ")));
    }
    Ok(runner.finish(with_peers))
}

/// Unit and integration tests of all crates, without those beside outside programs.
fn tests() -> Command {
    let mut command = repo::cargo();
    if repo::which("cargo-nextest").is_some() {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
        command.args(["-E", "not test(/(^|::)peers::/)"]);
    } else {
        command.args([
            "test",
            "--workspace",
            "--tests",
            "--no-fail-fast",
            "--",
            "--skip",
            "peers::",
        ]);
    }
    command
}

/// What workers share, run by a model checker in every order. Built apart: its atomics are not the real ones.
fn models() -> Command {
    let mut command = repo::cargo();
    command
        .args([
            "test",
            "--package",
            "evenkeel-core",
            "--test",
            "loom",
            "--release",
        ])
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_TARGET_DIR", repo::target_dir().join("models"));
    command
}

/// Whether licences, sources and banned crates are in order. Advisories need a database that lives outside
/// the registries of a build, so they are looked at by hand.
fn deny(command: &mut Command) -> &mut Command {
    command.args([
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ])
}

fn with_programs(command: &mut Command, beside: bool) -> &mut Command {
    if beside {
        command.env(PEERS_VARIABLE, "1").env("PATH", peers::search_path())
    } else {
        command.env_remove(PEERS_VARIABLE)
    }
}

impl From<bool> for Outcome {
    fn from(fine: bool) -> Self {
        if fine { Self::Ok } else { Self::Failed }
    }
}
