//! `evenkeel sim`: scenarios in virtual time.

mod output;
mod trace;

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use evenkeel_config::{nearest, read_text};
use evenkeel_core::{Nanos, StrategyName};
use evenkeel_sim::{
    BUILT_IN, Comparison, Policy, Recorded, Run, Scenario, Source, Summary, built_in, built_in_text,
};

use crate::args::{ReportFormat, Sim, SimRun};
use crate::exit::Failed;
use crate::inspect::print;
use output::Output;

pub(crate) fn run(arguments: Sim) -> Result<(), Failed> {
    match arguments {
        Sim::List => list(),
        Sim::Show { name } => match built_in_text(&name) {
            Some(text) => print(text),
            None if Path::new(&name).is_file() => Err(Failed::input(format!(
                "`{name}` is a file, and `sim show` prints scenarios that come with it\n = run yours with `evenkeel sim run \
                 --scenario {name}`"
            ))),
            None => Err(unknown(&name)),
        },
        Sim::Run(arguments) => compare(&arguments),
    }
}

fn list() -> Result<(), Failed> {
    let width = BUILT_IN.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for name in BUILT_IN {
        let scenario = scenario(name)?;
        text.push_str(&format!("{name:width$}  {}\n", scenario.about()));
    }
    print(&text)
}

fn unknown(name: &str) -> Failed {
    let close = BUILT_IN
        .iter()
        .filter(|_| !name.is_empty())
        .filter(|known| known.contains(name) || name.contains(**known));
    let mut close: Vec<&str> = close.copied().collect();
    if close.is_empty() {
        close.extend(nearest(name, BUILT_IN));
    }
    let hint = if close.is_empty() {
        "`evenkeel sim list` shows those that come with it".to_owned()
    } else {
        format!("did you mean {}?", close.join(" or "))
    };
    Failed::input(format!("there is no scenario and no file `{name}`\n = {hint}"))
}

/// By name, or from a file.
fn scenario(name: &str) -> Result<Scenario, Failed> {
    if let Some(found) = built_in(name) {
        return found.map_err(Failed::input);
    }
    let path = Path::new(name);
    if !path.exists() {
        return Err(unknown(name));
    }
    let text = read_text(path).map_err(Failed::input)?;
    Scenario::from_str(name, &text).map_err(Failed::input)
}

/// Each name once, in the order written.
fn once(names: &[String]) -> impl Iterator<Item = &String> {
    let before = |place: usize| &names[..place];
    let firsts = names.iter().enumerate();
    firsts
        .filter(move |(place, name)| !before(*place).contains(name))
        .map(|(_, name)| name)
}

fn compare(arguments: &SimRun) -> Result<(), Failed> {
    let mut scenarios = Vec::new();
    for name in once(&arguments.scenario) {
        scenarios.push(scenario(name)?);
    }
    if arguments.seed.checked_add(arguments.reps.into()).is_none() {
        return Err(Failed::input(format!(
            "there are no {} seeds from {} on\n = `--seed` is {} at most with as many `--reps`",
            arguments.reps,
            arguments.seed,
            u64::MAX - u64::from(arguments.reps)
        )));
    }
    if let Some(path) = &arguments.trace {
        let trace: Arc<[Recorded]> = trace::read(path, arguments.service.as_deref())?.into();
        scenarios = scenarios
            .into_iter()
            .map(|scenario| {
                scenario.with_trace(Arc::clone(&trace)).recorded_in(Source {
                    file: path.display().to_string(),
                    service: arguments.service.clone(),
                })
            })
            .inspect(|scenario| trace::tell(path, scenario))
            .collect();
    }
    let named: Result<Vec<Policy>, _> = once(&arguments.strategy).map(|name| name.parse()).collect();
    let named = named.map_err(Failed::input)?;
    let policies = |scenario: &Scenario| match named.is_empty() {
        true => usual(scenario),
        false => named.clone(),
    };
    let output = arguments.output.as_deref().map(Output::new).transpose()?;
    let threads = match arguments.threads {
        Some(threads) => threads as usize,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let threads = |policies: &[Policy]| threads.min(policies.len() * arguments.reps as usize);
    let mut comparisons = Vec::new();
    // A table is printed before the next scenario, all else at the end.
    let at_once = arguments.format == ReportFormat::Table && output.is_none();
    let mut kept = 0;
    for scenario in &scenarios {
        let policies = policies(scenario);
        let before = if at_once { 0 } else { kept };
        kept = before + kept_of(scenario, policies.len(), arguments.reps);
        fits(scenario, threads(&policies), kept)?;
    }
    for scenario in scenarios {
        let began = Instant::now();
        let policies = policies(&scenario);
        let threads = threads(&policies);
        let comparison = runs(scenario, &policies, arguments, threads)?;
        eprintln!("{}", speed(&comparison, began.elapsed().as_secs_f64(), threads));
        comparisons.push(comparison);
        if at_once && let Some(comparison) = comparisons.pop() {
            print(&format!("{}\n", evenkeel_sim::table(&comparison)))?;
        }
    }
    let text = match arguments.format {
        ReportFormat::Table => comparisons
            .iter()
            .map(evenkeel_sim::table)
            .collect::<Vec<_>>()
            .join("\n"),
        ReportFormat::Json => evenkeel_sim::json(&comparisons) + "\n",
        ReportFormat::Html => evenkeel_sim::html(&comparisons),
    };
    match &output {
        None => print(&text),
        Some(output) => output.write(&text),
    }
}

/// The strategy of the scenario, and what every other is compared with.
fn usual(scenario: &Scenario) -> Vec<Policy> {
    let mut all = vec![Policy::Strategy(scenario.strategy())];
    for name in [
        StrategyName::adaptive,
        StrategyName::least_connections,
        StrategyName::round_robin,
    ] {
        let policy = Policy::Strategy(name);
        if !all.contains(&policy) {
            all.push(policy);
        }
    }
    all
}

/// How fast that was.
fn speed(comparison: &Comparison, seconds: f64, threads: usize) -> String {
    let runs = || comparison.summaries.iter().flat_map(|summary| &summary.runs);
    let requests: u64 = runs().map(|run| run.requests).sum();
    format!(
        "{}: {requests} requests in {seconds:.1} s on {threads} thread{}, {:.2} million a second",
        comparison.scenario.name(),
        if threads == 1 { "" } else { "s" },
        requests as f64 / seconds.max(1e-9) / 1e6
    )
}

/// What is kept of all runs of a scenario until their report.
fn kept_of(scenario: &Scenario, policies: usize, reps: u32) -> u64 {
    let runs = scenario.kept().saturating_mul(reps.into());
    (scenario.time_line() + runs).saturating_mul(policies as u64)
}

/// Refuses what needs more memory than there is, before it starts; `kept` is what is kept of runs that are over.
fn fits(scenario: &Scenario, threads: usize, kept: u64) -> Result<(), Failed> {
    let needed = scenario
        .memory()
        .saturating_mul(threads as u64)
        .saturating_add(kept);
    let Some(free) = free_memory() else { return Ok(()) };
    if needed <= free {
        return Ok(());
    }
    Err(Failed::input(format!(
        "scenario {} would need about {} MiB, and {} MiB are free\n = make it smaller: fewer servers or clients, fewer `--reps`, a lower \
         rate, shorter runs or deadlines, \
         `works_on: false`, or a `queue` with `workers`",
        scenario.name(),
        needed >> 20,
        free >> 20
    )))
}

/// Bytes that can be had without swapping; `None` where the system does not tell.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib << 10)
}

/// All runs, over all cores.
fn runs(
    scenario: Scenario,
    policies: &[Policy],
    arguments: &SimRun,
    threads: usize,
) -> Result<Comparison, Failed> {
    let reps = arguments.reps as usize;
    let jobs = policies.len() * reps;
    let progress = Progress::new(scenario.name(), jobs, scenario.duration());
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Run>>> = Mutex::new(vec![None; jobs]);
    let failed: Mutex<Option<String>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (scenario, progress, next, done, failed) = (&scenario, &progress, &next, &done, &failed);
            scope.spawn(move || {
                loop {
                    let job = next.fetch_add(1, Relaxed);
                    if job >= jobs {
                        return;
                    }
                    let seed = arguments.seed + (job % reps) as u64;
                    let mut tell = |now: Nanos| {
                        progress.tell(thread == 0, now);
                        true
                    };
                    match evenkeel_sim::run(scenario, &policies[job / reps], seed, &mut tell) {
                        Ok(mut run) => {
                            progress.finished();
                            // Time lines are drawn of the first run alone.
                            if let Some(run) = run.as_mut().filter(|_| job % reps > 0) {
                                run.points = Vec::new();
                            }
                            if let Ok(mut done) = done.lock() {
                                done[job] = run;
                            }
                        }
                        Err(error) => {
                            if let Ok(mut failed) = failed.lock() {
                                *failed = Some(error.to_string());
                            }
                            return;
                        }
                    }
                }
            });
        }
    });
    progress.clear();
    if let Ok(Some(error)) = failed.into_inner() {
        return Err(Failed::input(format!("scenario {}: {error}", scenario.name())));
    }
    let mut done = done.into_inner().unwrap_or_default().into_iter().flatten();
    let summaries = policies.iter().map(|policy| Summary {
        policy: policy.name().to_owned(),
        runs: done.by_ref().take(reps).collect(),
    });
    Ok(Comparison {
        seed: arguments.seed,
        summaries: summaries.collect(),
        scenario,
    })
}

/// A line on a terminal that says how far it is.
struct Progress<'a> {
    name: &'a str,
    jobs: usize,
    duration: Nanos,
    finished: AtomicUsize,
    shown: bool,
    last: AtomicUsize,
    /// When it was told last where nobody looks at a terminal.
    told: Mutex<Instant>,
}

/// Without a terminal, how far it is is told this often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

impl<'a> Progress<'a> {
    fn new(name: &'a str, jobs: usize, duration: Nanos) -> Self {
        Self {
            name,
            jobs,
            duration,
            finished: AtomicUsize::new(0),
            shown: std::io::stderr().is_terminal(),
            last: AtomicUsize::new(usize::MAX),
            told: Mutex::new(Instant::now()),
        }
    }

    fn tell(&self, first: bool, now: Nanos) {
        if !self.shown {
            if self.due(Instant::now()) {
                eprintln!("{}", self.line(now));
            }
            return;
        }
        let percent = self.percent(now);
        if first && self.last.swap(percent, Relaxed) != percent {
            eprint!("\r{} ", self.line(now));
        }
    }

    /// Whether a line is due where nobody looks at a terminal: its thread writes it.
    fn due(&self, at: Instant) -> bool {
        let Ok(mut told) = self.told.lock() else {
            return false;
        };
        let due = at.saturating_duration_since(*told) >= TOLD_EVERY;
        if due {
            *told = at;
        }
        due
    }

    fn percent(&self, now: Nanos) -> usize {
        (100.0 * now.as_secs_f64() / self.duration.as_secs_f64().max(1e-9)) as usize
    }

    fn line(&self, now: Nanos) -> String {
        format!(
            "{}: {} of {} runs done, {:3} % of this one",
            self.name,
            self.finished.load(Relaxed),
            self.jobs,
            self.percent(now)
        )
    }

    fn finished(&self) {
        self.finished.fetch_add(1, Relaxed);
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_a_line_is_due_every_ten_seconds() {
        let progress = Progress::new("own", 4, Nanos::from_secs(60));
        let began = Instant::now();
        let seconds = [9, 11, 12, 20, 22].map(|s| progress.due(began + Duration::from_secs(s)));
        assert_eq!(seconds, [false, true, false, false, true]);
        progress.finished();
        let line = progress.line(Nanos::from_secs(15));
        assert_eq!(line, "own: 1 of 4 runs done,  25 % of this one");
    }
}
