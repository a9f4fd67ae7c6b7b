//! Load by wrk, and what came of it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{CONNECTIONS, Case, folder, process};

/// One run of the load generator against one proxy.
#[derive(Clone, Copy)]
pub(super) struct Round {
    pub(super) requests: u64,
    pub(super) took: Duration,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    /// Connections that broke, timeouts, and answers other than 2xx and 3xx.
    pub(super) errors: u64,
    /// CPU time the proxy spent meanwhile.
    pub(super) cpu: Duration,
}

impl Round {
    pub(super) fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    pub(super) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }

    /// Share of its core that the proxy used; far below 1 the load was the bottleneck, not the proxy.
    pub(super) fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.took.as_secs_f64()
    }
}

/// What wrk prints at its end, in whole numbers.
const REPORT: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("bench %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// Loads `address` for `seconds`. The CPU time is for the caller to fill in.
pub(super) fn run(case: Case, address: &str, seconds: u32) -> Result<Round> {
    let script = match case {
        Case::Post => "wrk.method = 'POST'\nwrk.body = string.rep('x', 10240)\n",
        Case::Connect => "wrk.headers['Connection'] = 'close'\n",
        Case::Get | Case::Large | Case::Idle => "",
    };
    let file = folder().canonicalize()?.join("wrk.lua");
    std::fs::write(&file, format!("{script}{REPORT}")).context("cannot write the script for wrk")?;
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--connections", &CONNECTIONS.to_string()]);
    command
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(file);
    command.arg(format!("http://{address}{}", case.path()));
    let text = process::output_on(process::LOAD_CORE, &command)?;
    let round = parse(&text).with_context(|| format!("wrk said something unexpected:\n{text}"))?;
    ensure!(
        round.requests > 0,
        "no request to {address} was answered; wrk said:\n{text}"
    );
    Ok(round)
}

fn parse(text: &str) -> Option<Round> {
    let line = text.lines().find_map(|line| line.strip_prefix("bench "))?;
    let numbers = line
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect::<Option<Vec<u64>>>()?;
    let &[requests, took, p50, p99, errors] = numbers.as_slice() else {
        return None;
    };
    Some(Round {
        requests,
        took: Duration::from_micros(took),
        p50: Duration::from_micros(p50),
        p99: Duration::from_micros(p99),
        errors,
        cpu: Duration::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_read() {
        let mut round = parse("Running 5s test\nbench 500000 5000000 700 1500 2\n").unwrap();
        round.cpu = Duration::from_secs(4);
        assert_eq!(
            (round.rate(), round.cpu_micros(), round.busy()),
            (100_000.0, 8.0, 0.8)
        );
        assert_eq!(
            (round.p50, round.p99, round.errors),
            (Duration::from_micros(700), Duration::from_micros(1500), 2)
        );
        assert!(parse("bench 1 2 3").is_none());
    }
}
