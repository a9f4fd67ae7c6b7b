//! What clients of a turn saw, and tables of it.

use std::fmt;
use std::time::Duration;

use super::proxies::Proxy;
use crate::bench::table;

/// An answer without error within this is a good one.
const GOOD: Duration = Duration::from_millis(100);

/// Latencies of one turn.
#[derive(Default)]
pub(super) struct Turn {
    latencies: Vec<Duration>,
    errors: usize,
    good: usize,
}

impl Turn {
    /// Counts one request; an error has a latency as well.
    pub(super) fn record(&mut self, latency: Duration, ok: bool) {
        self.latencies.push(latency);
        self.errors += usize::from(!ok);
        self.good += usize::from(ok && latency <= GOOD);
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let merged = Merged::of(std::slice::from_ref(self));
        write!(
            f,
            "p50 {:5.1} ms, p99 {:6.1} ms, {} errors of {}",
            merged.quantile(0.5),
            merged.quantile(0.99),
            self.errors,
            self.latencies.len()
        )
    }
}

/// All turns of a proxy as one.
struct Merged {
    sorted: Vec<Duration>,
    errors: usize,
    good: usize,
}

impl Merged {
    fn of(turns: &[Turn]) -> Self {
        let mut sorted: Vec<Duration> = turns.iter().flat_map(|turn| &turn.latencies).copied().collect();
        sorted.sort_unstable();
        Self {
            sorted,
            errors: turns.iter().map(|turn| turn.errors).sum(),
            good: turns.iter().map(|turn| turn.good).sum(),
        }
    }

    /// In milliseconds.
    fn quantile(&self, part: f64) -> f64 {
        let place = (self.sorted.len() as f64 * part) as usize;
        let found = self.sorted.get(place).or(self.sorted.last());
        found.map_or(0.0, Duration::as_secs_f64) * 1e3
    }

    fn share(&self, count: usize) -> f64 {
        100.0 * count as f64 / self.sorted.len().max(1) as f64
    }
}

/// The 99th percentile over all `turns`, in milliseconds.
pub(super) fn p99(turns: &[Turn]) -> f64 {
    Merged::of(turns).quantile(0.99)
}

/// A row for each proxy; `healthy` are their 99th percentiles in the healthy fleet.
pub(super) fn table(
    title: &str,
    proxies: &[Proxy],
    turns: &[Vec<Turn>],
    healthy: &[f64],
    markdown: bool,
) -> String {
    let headings = [
        "proxy",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "p99/healthy",
        "errors %",
        "good %",
    ];
    let mut lines: Vec<Vec<String>> = vec![headings.map(str::to_owned).to_vec()];
    for (index, (proxy, turns)) in proxies.iter().zip(turns).enumerate() {
        let merged = Merged::of(turns);
        let p99 = merged.quantile(0.99);
        let against = healthy.get(index).map_or(f64::NAN, |healthy| p99 / healthy);
        lines.push(vec![
            proxy.name().to_owned(),
            format!("{:.1}", merged.quantile(0.5)),
            format!("{p99:.1}"),
            format!("{:.1}", merged.quantile(0.999)),
            format!("{against:.2}"),
            format!("{:.3}", merged.share(merged.errors)),
            format!("{:.3}", merged.share(merged.good)),
        ]);
    }
    table::layout(title, &lines, markdown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_merged_and_compared_with_the_healthy_fleet() {
        let mut turns = [Turn::default(), Turn::default()];
        for millis in 1..=100 {
            turns[millis as usize % 2].record(Duration::from_millis(2 * millis), millis != 7);
        }
        let text = table("sick", &[Proxy::Nginx], &[turns.into()], &[100.0], true);
        assert!(
            text.contains("| nginx |  102.0 |  200.0 |    200.0 |        2.00 |    1.000 | 49.000 |"),
            "{text}"
        );
    }
}
