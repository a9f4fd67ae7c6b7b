//! Processes that end with the value that holds them, and what they cost.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::folder;
use crate::repo;

/// The core of the proxies.
pub(super) const PROXY_CORE: &str = "0";
/// The core of the load generator and the backends.
pub(super) const LOAD_CORE: &str = "1";
/// Enough files for a proxy with 10 000 clients, and for their clients.
const FILES: u64 = 12_000;
const START: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(3);

/// A child process on a core of its own; ended by its id when dropped, or when we die.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` on `core`; its output goes to a log. Each has a session of its own, as HAProxy
    /// takes one by itself: Linux shares a core between sessions before it does between processes.
    pub(super) fn start(name: &'static str, core: &str, command: &Command) -> Result<Self> {
        let log = folder().join(format!("{name}.log"));
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "setsid", "taskset", "--cpu-list", core])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(folder())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log })
    }

    /// Waits until `path` is answered with 200.
    pub(super) fn wait_until_ready(&self, address: &str, path: &str) -> Result<()> {
        let deadline = Instant::now() + START;
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
        while Instant::now() < deadline {
            let answered = || -> std::io::Result<bool> {
                let mut stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(START))?;
                stream.write_all(request.as_bytes())?;
                let mut start = [0; 12];
                stream.read_exact(&mut start)?;
                Ok(&start == b"HTTP/1.1 200")
            };
            if answered().unwrap_or(false) {
                return Ok(());
            }
            pause(Duration::from_millis(20));
        }
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        bail!(
            "{} does not answer on {address} after {START:?}; it said:\n{}",
            self.name,
            log.trim_end()
        )
    }

    /// User and system time of the process and its children so far.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let mut ticks = 0;
        for id in self.family()? {
            let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
            let fields = after_name(&stat).context("unknown format of /proc/PID/stat")?;
            // Fields 14 and 15 of the file; the first after the name is field 3.
            ticks += fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        }
        // A tick is 10 ms on every Linux that Debian builds.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory of the process and its children in bytes. Pages they share count for each.
    pub(super) fn resident(&self) -> Result<u64> {
        let mut kib = 0;
        for id in self.family()? {
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = line
                .and_then(|line| line.split_whitespace().next())
                .context("no VmRSS in /proc/PID/status")?;
            kib += number.parse::<u64>()?;
        }
        Ok(kib << 10)
    }

    /// Ids of the process and all its descendants.
    fn family(&self) -> Result<Vec<u32>> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(id) = entry?.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            // A process may end while we look.
            let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else {
                continue;
            };
            if let Some(parent) = after_name(&stat).and_then(|fields| fields[1].parse::<u32>().ok()) {
                parents.push((id, parent));
            }
        }
        let mut family = vec![self.child.id()];
        let mut at = 0;
        while at < family.len() {
            let parent = family[at];
            family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
            at += 1;
        }
        Ok(family)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM first: a master process must end its workers. Whatever fails here, nothing is left to do.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            pause(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fields of `/proc/PID/stat` after the name, which may hold spaces and brackets.
fn after_name(stat: &str) -> Option<Vec<&str>> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    (fields.len() > 12).then_some(fields)
}

/// A loopback address nobody listens on right now.
pub(super) fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Lets this process, and the proxies it starts, hold 10 000 clients.
pub(super) fn raise_file_limit() -> Result<()> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    if soft
        .and_then(|soft| soft.parse::<u64>().ok())
        .is_some_and(|soft| soft < FILES)
    {
        let this = std::process::id().to_string();
        repo::output(
            Command::new("prlimit")
                .args(["--pid", &this])
                .arg(format!("--nofile={FILES}:")),
        )
        .with_context(|| format!("cannot raise the limit of open files to {FILES}; raise the hard limit"))?;
    }
    Ok(())
}

/// Waits a moment for another process.
#[expect(
    clippy::disallowed_methods,
    reason = "a program outside is polled; there is no event to wait for"
)]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Runs `command` on `core` and returns what it printed.
pub(super) fn output_on(core: &str, command: &Command) -> Result<String> {
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "taskset", "--cpu-list", core])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(folder())
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}
