//! What the numbers were measured on, and with.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

/// Prints the machine and the versions of all programs.
pub(super) fn describe(programs: Vec<(&str, Command)>) -> Result<()> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("machine: {model}, {cores} cores, Linux {}", kernel.trim());
    println!(
        "load average before: {}",
        load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
    );
    for (name, mut version) in programs {
        println!("{name}: {}", first_line(&mut version)?);
    }
    Ok(())
}

/// First line of what a command prints, on whichever stream.
fn first_line(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned())
}
