//! What the process says of itself: version, start, reloads of the configuration, memory, open files.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::text::{MetricKind, MetricsText};
use crate::time::unix_seconds;

/// Counters of the process. All orderings are relaxed: every value stands alone.
#[derive(Debug)]
pub struct ProcessCounters {
    version: &'static str,
    started: SystemTime,
    reloads_ok: AtomicU64,
    reloads_failed: AtomicU64,
    last_reload_ok: AtomicBool,
    /// Of the configuration in force, in ms since 1970.
    loaded_at: AtomicU64,
}

impl ProcessCounters {
    /// To be made when the configuration was loaded for the first time; `version` is the program's.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        let started = SystemTime::now();
        Self {
            version,
            started,
            reloads_ok: AtomicU64::new(0),
            reloads_failed: AtomicU64::new(0),
            last_reload_ok: AtomicBool::new(true),
            loaded_at: AtomicU64::new(unix_millis(started)),
        }
    }

    /// Counts an attempt to reload the configuration: `true` when the new one is in force, `false`
    /// when the old one stayed.
    pub fn record_reload(&self, ok: bool) {
        if ok {
            self.reloads_ok.fetch_add(1, Relaxed);
            self.loaded_at.store(unix_millis(SystemTime::now()), Relaxed);
        } else {
            self.reloads_failed.fetch_add(1, Relaxed);
        }
        self.last_reload_ok.store(ok, Relaxed);
    }

    pub(crate) fn write(&self, out: &mut MetricsText) {
        use MetricKind::{Counter, Gauge};
        out.family(
            "evenkeel_build_info",
            Gauge,
            "Always 1; the version of the program is a label.",
        );
        out.sample(&[("version", self.version)], 1u64);
        out.family(
            "evenkeel_config_reloads_total",
            Counter,
            "Attempts to reload the configuration; after a failed one the old configuration stays in force.",
        );
        out.sample(&[("result", "ok")], self.reloads_ok.load(Relaxed));
        out.sample(&[("result", "failed")], self.reloads_failed.load(Relaxed));
        out.family(
            "evenkeel_config_last_reload_successful",
            Gauge,
            "1 unless the last attempt to reload the configuration failed.",
        );
        out.sample(&[], self.last_reload_ok.load(Relaxed));
        out.family(
            "evenkeel_config_last_reload_timestamp_seconds",
            Gauge,
            "When the configuration in force was loaded, at the start or by the last successful reload.",
        );
        let loaded = UNIX_EPOCH + Duration::from_millis(self.loaded_at.load(Relaxed));
        out.sample(&[], unix_seconds(loaded));
        out.family(
            "process_start_time_seconds",
            Gauge,
            "Start time of the process since the Unix epoch in seconds.",
        );
        out.sample(&[], unix_seconds(self.started));
        write_proc(out);
    }
}

fn unix_millis(time: SystemTime) -> u64 {
    let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// What the kernel counts. A value that cannot be read (another system, a restricted `/proc`) is left
/// out rather than shown as 0.
fn write_proc(out: &mut MetricsText) {
    use MetricKind::{Counter, Gauge};
    if let Some(seconds) = fs::read_to_string("/proc/self/stat")
        .ok()
        .as_deref()
        .and_then(cpu_seconds)
    {
        let name = "process_cpu_seconds_total";
        out.family(name, Counter, "Total user and system CPU time spent in seconds.");
        out.sample(&[], seconds);
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status")
        .ok()
        .as_deref()
        .and_then(resident_bytes)
    {
        let name = "process_resident_memory_bytes";
        out.family(name, Gauge, "Resident memory size in bytes.");
        out.sample(&[], bytes);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        out.family("process_open_fds", Gauge, "Number of open file descriptors.");
        // One of them is the directory being read.
        out.sample(&[], entries.count().saturating_sub(1));
    }
    if let Some(limit) = fs::read_to_string("/proc/self/limits")
        .ok()
        .as_deref()
        .and_then(max_fds)
    {
        out.family(
            "process_max_fds",
            Gauge,
            "Maximum number of open file descriptors.",
        );
        out.sample(&[], limit);
    }
}

/// Fields 14 and 15 of `/proc/self/stat` in ticks of 10 ms (`USER_HZ` is 100 on every Linux port that
/// Rust's standard library supports). Field 2, the name, may hold spaces and parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / 100.0)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn max_fds(limits: &str) -> Option<f64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        soft => soft.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read_as_the_kernel_writes_them() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 3 4 5";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(
            resident_bytes("VmPeak:\t  9 kB\nVmRSS:\t    2048 kB\n"),
            Some(2_097_152)
        );
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024     4096   files\n";
        assert_eq!(max_fds(limits), Some(1024.0));
        for read in [cpu_seconds("nonsense"), max_fds("")] {
            assert_eq!(read, None);
        }
        assert_eq!(resident_bytes("VmRSS: many kB"), None);
    }

    #[test]
    fn a_failed_reload_keeps_the_time_of_the_configuration_in_force() {
        let process = ProcessCounters::new("1");
        process.loaded_at.store(5_000, Relaxed);
        process.record_reload(false);
        let mut out = MetricsText::default();
        process.write(&mut out);
        let text = out.take();
        for line in [
            "evenkeel_config_reloads_total{result=\"failed\"} 1\n",
            "evenkeel_config_last_reload_successful 0\n",
            "evenkeel_config_last_reload_timestamp_seconds 5\n",
            "evenkeel_build_info{version=\"1\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
