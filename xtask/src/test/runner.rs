//! Runs steps, times them, and sums up.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How the closing line of nextest begins.
const NEXTEST: &str = "Summary [";

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Failed,
    LeftOut,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::LeftOut => "left out",
        }
    }
}

struct Step {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
    /// For a step that was left out: what is missing. For tests: the runner's closing lines.
    lines: Vec<String>,
}

/// The steps so far.
pub(super) struct Runner {
    steps: Vec<Step>,
    started: Instant,
}

impl Runner {
    pub(super) fn new() -> Self {
        Self {
            steps: Vec::new(),
            started: Instant::now(),
        }
    }

    /// A step done in this process.
    pub(super) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<Outcome>) {
        self.timed(name, "", || Ok((work()?, Vec::new())));
    }

    /// A step that is a command; its output is passed through.
    pub(super) fn command(&mut self, name: &'static str, command: &mut Command) {
        let shown = shown(command);
        self.timed(name, &shown, || {
            let status = command
                .stdin(Stdio::null())
                .status()
                .with_context(|| format!("cannot start {shown}"))?;
            Ok((status.success().into(), Vec::new()))
        });
    }

    /// A step that runs tests: its output is passed through, its closing lines are kept for the summary.
    pub(super) fn tests(&mut self, name: &'static str, command: &mut Command) {
        let shown = shown(command);
        self.timed(name, &shown, || {
            let mut child = command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .with_context(|| format!("cannot start {shown}"))?;
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let (mut lines, more) = thread::scope(|scope| {
                let out = scope.spawn(|| pass_through(out, &mut std::io::stdout()));
                let more = pass_through(err, &mut std::io::stderr());
                (out.join().unwrap_or_default(), more)
            });
            lines.extend(more);
            if lines.iter().any(|line| line.starts_with(NEXTEST)) {
                // nextest repeats the output of tests that failed, closing lines of libtest among it.
                lines.retain(|line| line.starts_with(NEXTEST));
            }
            Ok((child.wait()?.success().into(), lines))
        });
    }

    /// A step whose program is not here.
    pub(super) fn left_out(&mut self, name: &'static str, what: &str) {
        println!("\n==> {name}: left out, {what} not found");
        self.steps.push(Step {
            name,
            took: Duration::ZERO,
            outcome: Outcome::LeftOut,
            lines: vec![what.to_owned()],
        });
    }

    fn timed(
        &mut self,
        name: &'static str,
        command: &str,
        work: impl FnOnce() -> Result<(Outcome, Vec<String>)>,
    ) {
        println!("\n==> {name} {command}");
        let started = Instant::now();
        let (outcome, lines) = work().unwrap_or_else(|error| {
            eprintln!("{name}: {error:#}");
            (Outcome::Failed, Vec::new())
        });
        let took = started.elapsed();
        println!("==> {name}: {} in {:.1} s", outcome.as_str(), took.as_secs_f64());
        self.steps.push(Step {
            name,
            took,
            outcome,
            lines,
        });
    }

    /// Prints the summary and says whether nothing failed.
    pub(super) fn finish(self, with_peers: bool) -> bool {
        let (text, fine) = self.summary(with_peers);
        print!("{text}");
        fine
    }

    fn summary(&self, with_peers: bool) -> (String, bool) {
        let mut lines = vec![String::new(), "==> what the test runners said".to_owned()];
        let mut sums = [0; 3];
        for step in self.steps.iter().filter(|step| step.outcome != Outcome::LeftOut) {
            for line in &step.lines {
                lines.push(format!("{:<10}{line}", step.name));
                let counts = counts(line);
                sums = std::array::from_fn(|index| sums[index] + counts[index]);
            }
        }
        let [passed, failed, skipped] = sums;
        lines.push(format!(
            "{:<10}{passed} passed; {failed} failed; {skipped} ignored or filtered out",
            "all"
        ));
        lines.push(format!("\n==> summary\n{:<10}{:>8}  result", "step", "seconds"));
        for step in &self.steps {
            let seconds = step.took.as_secs_f64();
            lines.push(format!(
                "{:<10}{seconds:>8.1}  {}",
                step.name,
                step.outcome.as_str()
            ));
        }
        lines.push(format!(
            "{:<10}{:>8.1}",
            "all",
            self.started.elapsed().as_secs_f64()
        ));
        let named = |wanted: &dyn Fn(&Step) -> bool, name: &dyn Fn(&Step) -> String| {
            let steps: Vec<String> = self.steps.iter().filter(|step| wanted(step)).map(name).collect();
            (!steps.is_empty()).then(|| steps.join(", "))
        };
        if let Some(what) = named(&|step| step.outcome == Outcome::LeftOut, &|step| {
            step.lines.join(", ")
        }) {
            lines.push(format!("left out: {what} (install with --with-peers)"));
        }
        // With the programs demanded, a step that had to be left out is a failure.
        let bad = |step: &Step| match step.outcome {
            Outcome::Ok => false,
            Outcome::Failed => true,
            Outcome::LeftOut => with_peers,
        };
        let bad = named(&bad, &|step| step.name.to_owned());
        lines.push(
            bad.as_ref()
                .map_or("all is well\n".to_owned(), |bad| format!("FAILED: {bad}\n")),
        );
        (lines.join("\n"), bad.is_none())
    }
}

fn shown(command: &Command) -> String {
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned());
    let program = std::path::Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    [program.to_string_lossy().into_owned()]
        .into_iter()
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Copies `from` line by line, and returns the closing lines of test runners in it.
fn pass_through(from: Option<impl Read>, to: &mut dyn Write) -> Vec<String> {
    let mut closing = Vec::new();
    let Some(from) = from else { return closing };
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        // A terminal that went away is no reason to stop the tests.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        let text = String::from_utf8_lossy(&line);
        if is_closing(text.trim()) {
            closing.push(text.trim().to_owned());
        }
        line.clear();
    }
    closing
}

/// The last line of a test binary or of nextest, where at least one test ran or was skipped.
fn is_closing(line: &str) -> bool {
    (line.starts_with("test result:") || line.starts_with(NEXTEST)) && counts(line) != [0; 3]
}

/// Tests passed, failed, and ignored or filtered out, from a closing line of either runner.
fn counts(line: &str) -> [u64; 3] {
    let words: Vec<&str> = line.split_whitespace().collect();
    let before = |word: &str| {
        let pairs = words
            .windows(2)
            .filter(|pair| pair[1].trim_end_matches([';', ',', '.']) == word);
        pairs.filter_map(|pair| pair[0].parse::<u64>().ok()).sum::<u64>()
    };
    [
        before("passed"),
        before("failed"),
        before("ignored") + before("skipped") + before("filtered"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_both_runners_are_counted() {
        for (line, expected) in [
            (
                "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 2 filtered out; finished in 0.10s",
                [12, 0, 5],
            ),
            (
                "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
                [1, 2, 0],
            ),
            (
                "Summary [   0.034s] 31 tests run: 30 passed (1 slow), 1 failed, 4 skipped",
                [30, 1, 4],
            ),
        ] {
            assert!(is_closing(line), "{line}");
            assert_eq!(counts(line), expected, "{line}");
        }
        assert!(!is_closing(
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"
        ));
        assert!(!is_closing("test a::b ... ok"));
    }

    #[test]
    fn output_is_passed_through_and_closing_lines_are_kept() {
        let said = "running\ntest result: ok. 1 passed; 0 failed\nmore";
        let mut copy = Vec::new();
        assert_eq!(
            pass_through(Some(said.as_bytes()), &mut copy),
            ["test result: ok. 1 passed; 0 failed"]
        );
        assert_eq!(copy, said.as_bytes());
    }

    #[test]
    fn a_failing_command_fails_the_run_and_the_next_step_still_runs() {
        let mut runner = Runner::new();
        runner.command("first", Command::new("false").arg("x"));
        runner.tests("second", &mut Command::new("true"));
        runner.tests("third", &mut Command::new("a program that is nowhere"));
        let (text, fine) = runner.summary(false);
        assert!(!fine && text.ends_with("FAILED: first, third\n"), "{text}");
    }

    #[test]
    fn what_is_left_out_fails_only_when_it_was_demanded() {
        let mut runner = Runner::new();
        runner.left_out("deny", "cargo-deny");
        let (text, fine) = runner.summary(false);
        assert!(
            fine && text.contains("left out: cargo-deny (install with --with-peers)"),
            "{text}"
        );
        assert!(!runner.summary(true).1);
    }
}
