//! The last words: what clients measured under each strategy.

use std::fmt::Write as _;
use std::time::Duration;

use evenkeel_core::StrategyName;
use evenkeel_runtime::Service;

use super::script;
use super::tally::Tally;
use super::text;

/// A part of requests above which the load generator itself is suspected.
const TOO_LATE: f64 = 0.01;

/// One balancer's results.
#[derive(Debug, Clone)]
pub(super) struct Results {
    pub(super) strategy: StrategyName,
    pub(super) tally: Tally,
    /// By instance.
    pub(super) picks: Vec<u64>,
    pub(super) retries: u64,
}

impl Results {
    pub(super) fn new(strategy: StrategyName, tally: Tally, service: &Service) -> Self {
        let view = service.view_full();
        let retries = service.metrics().snapshot().retries;
        Self {
            strategy,
            tally,
            picks: view.members().map(|(_, m, _)| m.stats().picks()).collect(),
            retries: retries.iter().map(|(_, count)| count).sum(),
        }
    }
}

/// The text. `elapsed` is how long requests were sent, `duration` how long was planned.
pub(super) fn summary(results: &[Results], elapsed: Duration, duration: Duration) -> String {
    let mut out = String::new();
    // Writing to a string does not fail, here and below.
    let _ = write!(
        out,
        "\nSummary of {}{}\n\n\
         {:<18}{:>9}{:>9}{:>9}{:>11}{:>11}{:>11}\n",
        text::seconds(elapsed.min(duration)),
        if elapsed < duration {
            format!(", ended early (planned: {})", text::seconds(duration))
        } else {
            String::new()
        },
        "strategy",
        "requests",
        "errors",
        "",
        "p50",
        "p99",
        "p99.9",
    );
    for one in results {
        let tally = &one.tally;
        let quantile = |q| text::time_or_dash(tally.quantile(q));
        let _ = writeln!(
            out,
            "{:<18}{:>9}{:>9}{:>9}{:>11}{:>11}{:>11}",
            one.strategy.as_str(),
            tally.requests(),
            tally.errors(),
            text::percent(tally.errors(), tally.requests(), 2),
            quantile(0.5),
            quantile(0.99),
            quantile(0.999),
        );
    }
    out.push('\n');
    for one in results {
        let _ = writeln!(out, "{}", details(one));
    }
    out.push_str(&shares(results, elapsed, duration));
    out.push_str(
        "\nAll ran at the same time, each with six backends of its own: same script, same\n\
         arrivals, same retries, checks and ejections; only the strategy differs. Errors\n\
         are what clients saw. Times run from when a request was due to the end of its\n\
         answer, so that waiting is never left out.\n",
    );
    let late = results
        .iter()
        .map(|one| one.tally.late_share())
        .fold(0.0, f64::max);
    if late > TOO_LATE {
        let _ = writeln!(
            out,
            "\nThis machine was busy: {:.1} % of the requests were sent more than 10 ms late.\n\
             Trust the times less, or use fewer --requests-per-second.",
            late * 100.0,
        );
    }
    out
}

/// Errors by kind, retries, and what is not counted.
fn details(one: &Results) -> String {
    let kinds: Vec<_> = one
        .tally
        .errors_by_kind()
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let errors = if kinds.is_empty() {
        "none".to_owned()
    } else {
        kinds.join(", ")
    };
    let mut line = format!(
        "{:<18}errors: {errors}; retries: {}",
        one.strategy.as_str(),
        one.retries
    );
    match one.tally.in_flight() {
        0 => {}
        n => {
            let _ = write!(line, "; under way at the end and not counted: {n}");
        }
    }
    line
}

/// Who got how much, and what was wrong with it.
fn shares(results: &[Results], elapsed: Duration, duration: Duration) -> String {
    let mut out = format!("\n{:<8}", "share of");
    for one in results {
        let _ = write!(out, "{:>18}", one.strategy.as_str());
    }
    out.push_str("   script\n");
    for instance in 0..script::INSTANCES {
        let _ = write!(out, "{:<8}", script::name(instance));
        for one in results {
            let picks = one.picks.get(instance).copied().unwrap_or(0);
            let _ = write!(out, "{:>18}", text::percent(picks, one.picks.iter().sum(), 1));
        }
        let _ = writeln!(out, "   {}", script::history(instance, duration, elapsed));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tally::Ending;
    use super::*;

    fn results(strategy: StrategyName, ms: u64) -> Results {
        let mut tally = Tally::default();
        for n in 0..100 {
            tally.start(Duration::ZERO);
            let ending = if n == 99 {
                Ending::TimedOut
            } else {
                Ending::Answered
            };
            tally.end(ending, Duration::from_millis(ms));
        }
        Results {
            strategy,
            tally,
            picks: vec![50, 10, 10, 10, 10, 10],
            retries: 3,
        }
    }

    #[test]
    fn all_strategies_stand_in_one_table() {
        let results = [
            results(StrategyName::power_of_two, 5),
            results(StrategyName::round_robin, 1_500),
        ];
        let half_a_minute = Duration::from_secs(30);
        let text = summary(&results, half_a_minute, half_a_minute);
        for line in [
            "Summary of 30 s",
            "strategy           requests   errors                 p50        p99      p99.9",
            "power_of_two            100        1   1.00 %     5.0 ms     5.0 ms     5.0 ms",
            "round_robin             100        1   1.00 %     1.50 s     1.50 s     1.50 s",
            "power_of_two      errors: 1 given up after 5 s; retries: 3",
            "web-1               50.0 %            50.0 %   well all the time",
            "web-2               10.0 %            10.0 %   40 times slower from 6 s to 13.5 s",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
        assert!(!text.contains("busy"), "{text}");
    }

    #[test]
    fn an_early_end_and_what_is_not_counted_are_told() {
        let mut results = results(StrategyName::power_of_two, 5);
        results.tally.start(Duration::from_secs(1));
        results.tally.start(Duration::from_secs(1));
        let text = summary(&[results], Duration::from_secs(12), Duration::from_secs(30));
        assert!(
            text.contains("Summary of 12 s, ended early (planned: 30 s)"),
            "{text}"
        );
        for line in [
            "web-2               10.0 %   40 times slower from 6 s on",
            "web-5               10.0 %   well so far",
            "web-6               10.0 %   20 times slower at first, warm at 4.5 s",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
        assert!(text.contains("under way at the end and not counted: 2"), "{text}");
        assert!(
            text.contains("This machine was busy: 2.0 % of the requests"),
            "{text}"
        );
    }
}
