//! Settings that would change nothing, as they are about a time after the run, and loads that bring no request or more
//! than time can hold.

use evenkeel_core::Nanos;

use super::{FaultFile, ScenarioFile, Span, WorkFile};
use crate::check::Finding;
use crate::path::{Path, at};

/// Requests per second, at most; as many as can be written as a `rate`.
const MOST: f64 = 1e7;

/// All findings of a file that is complete, with servers and some time.
pub(super) fn check(file: &ScenarioFile, found: &mut Vec<Finding>) {
    for (i, group) in file.servers.iter().enumerate() {
        let at = at!["servers", i];
        let times = [
            ("joins", group.joins, "the servers join"),
            ("leaves", group.leaves, "the servers leave"),
        ];
        for (key, time, what) in times {
            let late = late(file, at.then(key), time, what, "let them do so before");
            if late.is_some() {
                found.extend(late);
                break;
            }
        }
    }
    let clients = file.clients.as_ref();
    let hot = clients.and_then(|clients| clients.keys.as_ref()?.hot);
    let from = hot.map(|hot| hot.from);
    let at = at!["clients", "keys", "hot", "from"];
    found.extend(late(file, at, from, "the key gets hot", "let it begin before"));
    let n = file.servers.iter().map(super::ServersFile::servers).sum();
    for (i, fault) in file.faults.iter().enumerate() {
        let at = at!["faults", i];
        let begins = late(
            file,
            at.then("from"),
            fault.from,
            "the fault begins",
            "let it begin before",
        );
        found.extend(begins.or_else(|| never_begins(file, fault, n, &at)));
    }
    load(file, found);
}

/// A `time` that the run does not reach.
fn late(file: &ScenarioFile, at: Path, time: Option<Span>, what: &str, remedy: &str) -> Option<Finding> {
    let time = time.filter(|time| *time >= file.duration)?;
    let text = format!(
        "{what} at {}, and the run ends at {}\n{remedy}, or make `duration` longer",
        time.0, file.duration.0
    );
    Some(Finding::new(at, text).with("the duration is", at!["duration"]))
}

/// A fault of `n` servers that some of them get only when the run is over.
fn never_begins(file: &ScenarioFile, fault: &FaultFile, n: usize, at: &Path) -> Option<Finding> {
    let stagger = fault.stagger?;
    // Told already.
    if fault.servers.greatest().is_some_and(|last| last >= n) {
        return None;
    }
    let servers = fault.servers.below(n).len() as u64;
    let from = fault.from.unwrap_or(Span(Nanos::ZERO)).0;
    let last = from + Nanos(stagger.0.0.saturating_mul(servers.saturating_sub(1)));
    if last < file.duration.0 {
        return None;
    }
    let text = format!(
        "the fault begins at {last} at the last of its {servers} servers, and the run ends at {}\n\
         make it shorter, or make `duration` longer",
        file.duration.0
    );
    Some(Finding::new(at.then("stagger"), text).with("the duration is", at!["duration"]))
}

/// Whether what comes is something, and can be.
fn load(file: &ScenarioFile, found: &mut Vec<Finding>) {
    let mean = file.work.unwrap_or(WorkFile::USUAL).mean();
    let there = file
        .servers
        .iter()
        .filter(|group| group.joins.is_none_or(|joins| joins.0 == Nanos::ZERO));
    let cores = |group: &super::ServersFile| {
        let one = group.cores.map_or(1.0, |cores| cores.0) * group.speed.map_or(1.0, |speed| speed.0);
        one * group.servers() as f64
    };
    let capacity = there.map(cores).sum::<f64>() * 1e9 / mean;
    // What is wrong with these was told already.
    if !(capacity.is_finite() && capacity > 0.0) || file.duration.0 == Nanos::ZERO {
        return;
    }
    let arrivals = &file.arrivals;
    let at = at!["arrivals"];
    let (key, rates): (&str, Vec<f64>) = match (arrivals.rate, arrivals.load, &arrivals.steps) {
        (Some(rate), None, None) => ("rate", vec![rate.0]),
        (None, Some(load), None) => ("load", vec![load.0 * capacity]),
        (None, None, Some(steps)) if !steps.is_empty() => {
            ("steps", steps.iter().map(|step| step.0 * capacity).collect())
        }
        _ => return,
    };
    let most = rates.iter().copied().fold(0.0, f64::max);
    if most > MOST {
        let text = format!(
            "this is {most:.3e} requests a second, and 10 million are the most there can be\n\
             make it lower, or let there be fewer servers or more `work`"
        );
        found.push(Finding::new(at.then(key), text));
        return;
    }
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let expected = mean * file.duration.0.as_secs_f64();
    if expected < 1.0 {
        let text = format!(
            "{expected:.2} requests are to be expected, and a run without any shows nothing\n\
             make it higher, or make `duration` longer"
        );
        found.push(Finding::new(at.then(key), text).with("the duration is", at!["duration"]));
    }
}
