//! `cargo xtask sanitize [address|thread]`: the tests under the compiler's sanitizers.
//!
//! AddressSanitizer finds memory that is used after its end, or beyond its bounds;
//! ThreadSanitizer finds accesses of two threads that nothing orders. Our code has no `unsafe`, so what they
//! look at is our dependencies as we use them, and orderings that a safe program can still get wrong.
//! They exist on nightly compilers only. ThreadSanitizer has to see all that orders: the standard library is built with it,
//! from its source. As it is shipped, every `thread::scope`, every channel of the test harness and the last owner of every
//! `Arc` would be a report (an `Arc` orders that by a fence, of which ThreadSanitizer knows nothing; built for it, by a load).
//! What is ordered by the kernel stands in `thread.supp`, with its reason.
//!
//! Absent on purpose: miri, which cannot run the event loop; leaks, which are safe, and which tests make.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::repo;

/// The compiler that has sanitizers.
const TOOLCHAIN: &str = "nightly";
/// What has threads, foreign bytes, or both. Admin, configuration and command line are made of these.
const PACKAGES: &[&str] = &[
    "evenkeel-core",
    "evenkeel-h1",
    "evenkeel-runtime",
    "evenkeel",
    "evenkeel-proxy",
];
/// Those without a clock.
const PURE: &[&str] = &["evenkeel-core", "evenkeel-h1"];
/// The component with the source of the standard library.
const SOURCES: &str = "rust-src";
/// Tests that take minutes under ThreadSanitizer and have one thread, where there is nothing for it to find; `cargo xtask
/// test` leaves them out there.
const ONE_THREAD: &[&str] = &[
    "adaptive::",
    "service::common::",
    "service::detectors::",
    "service::dry_runs::",
    "service::quiet::",
    "service::room::",
    "service::tails::",
    "service::weak::",
    "statistics::",
];
/// Random cases of each property: a sanitizer is about the code that they reach, not about their results, and makes
/// them several times slower.
const CASES: &str = "16";

/// What to look for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sanitizer {
    /// Memory used after its end, or beyond its bounds
    Address,
    /// Accesses of two threads that nothing orders
    Thread,
}

impl Sanitizer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Thread => "thread",
        }
    }

    fn flags(self) -> &'static str {
        match self {
            Self::Address => "-Zsanitizer=address",
            Self::Thread => "-Zsanitizer=thread",
        }
    }
}

/// Runs the tests under `only`, or under one sanitizer after the other, and says whether all passed.
pub(crate) fn run(only: Option<Sanitizer>) -> Result<bool> {
    let host = host()?;
    ensure!(
        only == Some(Sanitizer::Address) || has_sources()?,
        "ThreadSanitizer needs the source of the standard library; install it: rustup component add {SOURCES} --toolchain \
         {TOOLCHAIN}"
    );
    let mut fine = true;
    for sanitizer in Sanitizer::value_variants() {
        if only.is_none_or(|only| only == *sanitizer) {
            println!("==> {}", sanitizer.name());
            let status = tests(*sanitizer, PACKAGES, &host).status();
            let passed = status.context("cannot start rustup")?.success();
            println!(
                "==> {}: {}",
                sanitizer.name(),
                if passed { "ok" } else { "FAILED" }
            );
            fine &= passed;
        }
    }
    Ok(fine)
}

/// The tests of the pure crates under `sanitizer`, for `cargo xtask test`: no clock decides about them, so a sanitizer may
/// slow them down as it likes. `None` without a compiler that has it.
pub(crate) fn of_pure_crates(sanitizer: Sanitizer) -> Option<Command> {
    let host = host().ok()?;
    if sanitizer == Sanitizer::Thread && !has_sources().ok()? {
        return None;
    }
    let mut command = tests(sanitizer, PURE, &host);
    if sanitizer == Sanitizer::Thread {
        for test in ONE_THREAD {
            command.args(["--skip", test]);
        }
    }
    Some(command)
}

/// Gets the source of the standard library for the nightly compiler, if that is here.
pub(crate) fn install() -> Result<()> {
    if host().is_err() || has_sources()? {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    let status = add
        .args(["component", "add", SOURCES, "--toolchain", TOOLCHAIN])
        .status();
    ensure!(
        status.context("cannot start rustup")?.success(),
        "rustup could not add {SOURCES} to {TOOLCHAIN}"
    );
    Ok(())
}

/// Whether the nightly compiler has the source of the standard library.
fn has_sources() -> Result<bool> {
    let mut ask = Command::new("rustup");
    let sysroot = repo::output(ask.args(["run", TOOLCHAIN, "rustc", "--print", "sysroot"]))?;
    let lock = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
    Ok(lock.exists())
}

/// The machine that nightly compiles for when nobody says otherwise.
fn host() -> Result<String> {
    let version = Command::new("rustup")
        .args(["run", TOOLCHAIN, "rustc", "--version", "--verbose"])
        .output();
    let version = version.context("cannot start rustup (https://rustup.rs), which chooses the compiler")?;
    ensure!(
        version.status.success(),
        "sanitizers need a nightly compiler; install it: rustup toolchain install nightly --profile minimal"
    );
    let text = String::from_utf8_lossy(&version.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host
        .context("`rustc --version --verbose` names no host")?
        .to_owned())
}

/// The command that runs the tests. With `--target`, as build scripts and macros run in the compiler, which has no
/// sanitizer; in a folder of its own, as nothing there can be shared with other builds.
fn tests(sanitizer: Sanitizer, packages: &[&str], host: &str) -> Command {
    let mut command = Command::new("rustup");
    command.current_dir(repo::root());
    command.args(["run", TOOLCHAIN, "cargo", "test"]);
    if sanitizer == Sanitizer::Thread {
        command.arg("-Zbuild-std");
    }
    command.args(["--tests", "--no-fail-fast", "--target", host]);
    for package in packages {
        command.args(["--package", package]);
    }
    command.args(["--", "--skip", "peers::"]);
    let suppressions = repo::root().join("xtask/src/sanitize/thread.supp");
    command
        .env("RUSTFLAGS", sanitizer.flags())
        .env(
            "CARGO_TARGET_DIR",
            repo::target_dir().join("sanitize").join(sanitizer.name()),
        )
        // Overflow checks and debug assertions stay; without any optimization tests with a deadline miss it.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("PROPTEST_CASES", CASES)
        // Tests make texts that live for ever.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .env("TSAN_OPTIONS", format!("suppressions={}", suppressions.display()));
    command
}
