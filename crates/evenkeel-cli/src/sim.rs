//! `evenkeel sim`: scenarios in virtual time.

mod trace;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use evenkeel_config::read_text;
use evenkeel_core::Nanos;
use evenkeel_sim::{BUILT_IN, Comparison, Policy, Recorded, Run, Scenario, Summary, built_in, built_in_text};

use crate::args::{ReportFormat, Sim, SimRun};
use crate::exit::Failed;
use crate::inspect::print;

pub(crate) fn run(arguments: Sim) -> Result<(), Failed> {
    match arguments {
        Sim::List => list(),
        Sim::Show { name } => match built_in_text(&name) {
            Some(text) => print(text),
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
        .filter(|known| known.contains(name) || name.contains(**known));
    let close: Vec<&str> = close.copied().collect();
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

fn compare(arguments: &SimRun) -> Result<(), Failed> {
    let mut scenarios = Vec::new();
    for name in &arguments.scenario {
        scenarios.push(scenario(name)?);
    }
    if let Some(path) = &arguments.trace {
        let trace: Arc<[Recorded]> = trace::read(path, arguments.service.as_deref())?.into();
        scenarios = scenarios
            .into_iter()
            .map(|scenario| scenario.with_trace(Arc::clone(&trace)))
            .inspect(|scenario| trace::tell(path, scenario))
            .collect();
    }
    let policies: Result<Vec<Policy>, _> = arguments.strategy.iter().map(|name| name.parse()).collect();
    let policies = policies.map_err(Failed::input)?;
    // What is written at the end can be written: better known before an hour of work.
    let mut output = match &arguments.output {
        Some(path) => Some(
            std::fs::File::create(path)
                .map_err(|error| Failed::input(format!("cannot write {}: {error}", path.display())))?,
        ),
        None => None,
    };
    let threads = match arguments.threads {
        Some(threads) => threads as usize,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut comparisons = Vec::new();
    for scenario in scenarios {
        fits(&scenario, threads)?;
        let began = Instant::now();
        let comparison = runs(scenario, &policies, arguments, threads)?;
        eprintln!("{}", speed(&comparison, began.elapsed().as_secs_f64(), threads));
        comparisons.push(comparison);
        if arguments.format == ReportFormat::Table
            && output.is_none()
            && let Some(comparison) = comparisons.pop()
        {
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
    match &mut output {
        None => print(&text),
        Some(file) => file
            .write_all(text.as_bytes())
            .map_err(|error| Failed::start(format!("cannot write the report: {error}"))),
    }
}

/// How fast that was.
fn speed(comparison: &Comparison, seconds: f64, threads: usize) -> String {
    let runs = || comparison.summaries.iter().flat_map(|summary| &summary.runs);
    let requests: u64 = runs().map(|run| run.requests).sum();
    let threads = threads.min(runs().count());
    format!(
        "{}: {requests} requests in {seconds:.1} s on {threads} thread{}, {:.2} million a second",
        comparison.scenario.name(),
        if threads == 1 { "" } else { "s" },
        requests as f64 / seconds.max(1e-9) / 1e6
    )
}

/// Refuses what needs more memory than there is, before it starts.
fn fits(scenario: &Scenario, threads: usize) -> Result<(), Failed> {
    let needed = scenario.memory().saturating_mul(threads as u64);
    let Some(free) = free_memory() else { return Ok(()) };
    if needed <= free {
        return Ok(());
    }
    Err(Failed::input(format!(
        "scenario {} would need about {} MiB, and {} MiB are free\n = make it smaller: fewer servers or clients, a lower \
         rate or a shorter deadline",
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
        for thread in 0..threads.min(jobs) {
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
                        Ok(run) => {
                            progress.finished();
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
}

impl<'a> Progress<'a> {
    fn new(name: &'a str, jobs: usize, duration: Nanos) -> Self {
        Self {
            name,
            jobs,
            duration,
            finished: AtomicUsize::new(0),
            shown: std::io::stderr().is_terminal(),
            last: AtomicUsize::new(usize::MAX),
        }
    }

    fn tell(&self, first: bool, now: Nanos) {
        if !self.shown || !first {
            return;
        }
        let run = now.as_secs_f64() / self.duration.as_secs_f64().max(1e-9);
        let percent = (100.0 * run) as usize;
        if self.last.swap(percent, Relaxed) != percent {
            eprint!(
                "\r{}: {} of {} runs done, {percent:3} % of this one ",
                self.name,
                self.finished.load(Relaxed),
                self.jobs
            );
        }
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
