//! What the writer knows of one instance's health, and the score it makes of it.
//!
//! Once a second, and on an alarm, the writer takes in what the exact counters beside the instance gained since
//! ([`Vitals::observe`]), compares it with its peers ([`Vitals::judge`]) and publishes the parts
//! ([`Vitals::parts`]). Requests pay for none of this.

use std::fmt::Write;

use super::latency::Latency;
use super::requests::Requests;
use super::score::{HealthPart, HealthParts};
use super::window::Window;
use super::{EjectionSettings, Mark};
use crate::{Nanos, REPORT_EXPIRY, REPORT_FRESH, Stats};

/// Utilization up to which an instance has nothing to fear, and at which its load part is at the bottom, 0.5. It
/// goes no deeper: being busy is no illness, and taking out the busiest makes the next one the busiest.
const BUSY: f32 = 0.8;
const OVERLOADED: f32 = 1.2;

/// Knowledge of one instance.
#[derive(Debug)]
pub(crate) struct Vitals {
    /// What of the counters was taken in.
    seen: [u64; 3],
    requests: Requests,
    pub(crate) window: Window,
    pub(crate) latency: Latency,
    judged: Nanos,
    /// Since when and why its score is below the threshold.
    below: Option<Mark>,
}

impl Vitals {
    /// Nothing is known.
    pub(crate) fn new(now: Nanos) -> Self {
        Self {
            seen: [0; 3],
            requests: Requests::new(now),
            window: Window::default(),
            latency: Latency::default(),
            judged: now,
            below: None,
        }
    }

    /// Whether the counters gained something.
    pub(crate) fn has_news(&self, stats: &Stats) -> bool {
        [stats.successes(), stats.failures(), stats.throttled()] != self.seen
    }

    /// Takes in what the counters gained. True when that were failures, too.
    pub(crate) fn observe(&mut self, stats: &Stats, now: Nanos) -> bool {
        let counts = [stats.successes(), stats.failures(), stats.throttled()];
        let [good, bad, throttled] = std::array::from_fn(|i| counts[i].saturating_sub(self.seen[i]));
        self.seen = counts;
        self.requests.add(good, bad, throttled, now);
        self.window.add(good + throttled, bad, now);
        let time = stats.response_time().map(|(time, _)| time);
        self.latency.fold(time, good, now);
        bad > 0
    }

    /// Compares with the median response time of its peers, in ns.
    pub(crate) fn judge(&mut self, peers: Option<f64>, settings: &EjectionSettings, now: Nanos) {
        let elapsed = now.since(self.judged);
        self.judged = now;
        self.latency.judge(peers, settings.slow_factor, elapsed, now);
    }

    /// The parts at `now`, with that of the checks, and a word on it from outside.
    pub(crate) fn parts(
        &self,
        checks: f32,
        told: Option<(f32, Nanos)>,
        stats: &Stats,
        settings: &EjectionSettings,
        now: Nanos,
    ) -> HealthParts {
        HealthParts::default()
            .with(HealthPart::Checks, checks)
            .with(HealthPart::Requests, self.requests.part())
            .with(HealthPart::Latency, self.latency.part().max(settings.threshold))
            .with(HealthPart::Load, load(stats, now))
            .with(HealthPart::Reported, reported(told, now))
    }

    /// Why `part` is what it is, in words and numbers.
    pub(crate) fn explain(
        &self,
        part: HealthPart,
        value: f32,
        told: Option<(f32, Nanos)>,
        stats: &Stats,
        now: Nanos,
    ) -> String {
        let mut text = format!("{} {value:.2}: ", part.as_str());
        // Writing to a string does not fail.
        let _ = match part {
            HealthPart::Checks => write!(text, "checks failed"),
            HealthPart::Requests => {
                let (bad, all) = self.requests.bad_of();
                write!(text, "{bad:.1} of the last {all:.1} requests failed")
            }
            HealthPart::Latency => {
                let (time, reference, samples) = self.latency.figures();
                write!(text, "{}", slowness(time, reference, samples))
            }
            HealthPart::Load => {
                let usage = stats.reported().get(now).and_then(|(r, _)| r.utilization());
                write!(
                    text,
                    "it reports a utilization of {:.2}",
                    usage.unwrap_or_default()
                )
            }
            HealthPart::Reported => write!(text, "{:.2} was reported", told.map_or(1.0, |(score, _)| score)),
        };
        text
    }

    /// Since when and why it is below the threshold, if it is.
    pub(crate) fn below(&self) -> Option<&Mark> {
        self.below.as_ref()
    }

    /// Sets that.
    pub(crate) fn set_below(&mut self, below: Option<Mark>) {
        self.below = below;
    }

    /// Evidence up to now does not count any more.
    pub(crate) fn forgive(&mut self, stats: &Stats) {
        self.seen = [stats.successes(), stats.failures(), stats.throttled()];
        self.requests.restart_at(1.0);
        self.window.clear();
        self.latency.forget();
        self.below = None;
        self.publish(stats);
    }

    /// It comes back from an ejection: evidence up to now does not count, but it starts only just where one
    /// returns, so that a single failure shows.
    pub(crate) fn come_back(&mut self, stats: &Stats, settings: &EjectionSettings) {
        self.forgive(stats);
        self.requests
            .restart_at(settings.recovery_threshold.max(settings.threshold));
        self.publish(stats);
    }

    /// Publishes what was forgiven at once: readers and the threshold must not go by what was before.
    fn publish(&self, stats: &Stats) {
        let parts = stats
            .health_parts()
            .with(HealthPart::Requests, self.requests.part())
            .with(HealthPart::Latency, 1.0);
        stats.set_health_parts(parts);
    }

    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.requests.shift(back);
        self.window.shift(back);
        self.latency.shift(back);
        self.judged = self.judged.since(back);
        if let Some(mark) = &mut self.below {
            mark.shift(back);
        }
    }
}

/// "responses take 160ms, 20.0 times the 8ms of its peers or its own past (4000 samples)"
pub(crate) fn slowness(time: Nanos, reference: Nanos, samples: u64) -> String {
    let times = time.0 as f64 / (reference.0 as f64).max(1.0);
    let ms = |t: Nanos| t.0 as f64 / 1e6;
    format!(
        "responses take {:.1} ms, {times:.1} times the {:.1} ms of its peers or its own past ({samples} samples)",
        ms(time),
        ms(reference)
    )
}

/// The part that comes from the reported load: 1 up to [`BUSY`], 0.5 from [`OVERLOADED`] on.
fn load(stats: &Stats, now: Nanos) -> f32 {
    let Some((report, worth)) = stats.reported().get(now) else {
        return 1.0;
    };
    let excess = report
        .utilization()
        .map_or(0.0, |u| ((u - BUSY) / (OVERLOADED - BUSY)).clamp(0.0, 1.0));
    1.0 - 0.5 * excess * worth
}

/// The part that comes from a word on its health: that word while fresh, then fading to 1 as load reports do.
fn reported(told: Option<(f32, Nanos)>, now: Nanos) -> f32 {
    let Some((score, observed)) = told else {
        return 1.0;
    };
    let age = now.since(observed);
    let stale = age.since(REPORT_FRESH).0 as f32 / REPORT_EXPIRY.since(REPORT_FRESH).0 as f32;
    1.0 - (1.0 - score) * (1.0 - stale).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LoadReport, Outcome};

    const NOW: Nanos = Nanos::from_secs(500);

    fn parts(vitals: &Vitals, stats: &Stats, told: Option<(f32, Nanos)>, now: Nanos) -> HealthParts {
        vitals.parts(1.0, told, stats, &EjectionSettings::default(), now)
    }

    #[test]
    fn a_fresh_instance_is_well() {
        let vitals = Vitals::new(NOW);
        assert_eq!(parts(&vitals, &Stats::default(), None, NOW).score(), 1.0);
    }

    #[test]
    fn reported_load_lowers_it_to_a_half_and_fades() {
        let (vitals, stats) = (Vitals::new(NOW), Stats::default());
        for (usage, expected) in [(0.5, 1.0), (0.8, 1.0), (1.0, 0.75), (1.2, 0.5), (99.0, 0.5)] {
            let report = LoadReport::default().with_application(usage).unwrap();
            assert!(stats.reported().observe(&report, NOW, NOW));
            let part = parts(&vitals, &stats, None, NOW).get(HealthPart::Load);
            assert!((part - expected).abs() < 1e-3, "{usage}: {part}");
        }
        let later = parts(&vitals, &stats, None, NOW + Nanos::from_secs(95));
        assert!((later.score() - 0.75).abs() < 1e-3, "{later}");
        let expired = parts(&vitals, &stats, None, NOW + Nanos::from_secs(180));
        assert_eq!(expired.score(), 1.0);
    }

    #[test]
    fn reported_health_is_taken_at_its_word_and_fades() {
        let (vitals, stats) = (Vitals::new(NOW), Stats::default());
        for (age, expected) in [(0, 0.2), (10, 0.2), (95, 0.6), (180, 1.0), (9999, 1.0)] {
            let part = parts(&vitals, &stats, Some((0.2, NOW)), NOW + Nanos::from_secs(age));
            assert!((part.score() - expected).abs() < 1e-3, "{age}: {part}");
        }
        let early = parts(&vitals, &stats, Some((0.2, NOW)), Nanos::ZERO);
        assert!((early.score() - 0.2).abs() < 1e-3, "time backwards");
    }

    #[test]
    fn counters_are_taken_in_once_and_reasons_have_numbers() {
        let (mut vitals, stats) = (Vitals::new(NOW), Stats::default());
        for _ in 0..6 {
            stats.on_end(&Outcome::failed(Nanos::from_millis(1)), NOW);
        }
        vitals.observe(&stats, NOW);
        vitals.observe(&stats, NOW);
        let (part, value) = parts(&vitals, &stats, None, NOW).worst();
        assert_eq!(part, HealthPart::Requests);
        assert!((value - 0.4).abs() < 1e-3);
        assert_eq!(vitals.window.failures_of(), (6, 6));
        assert_eq!(
            vitals.explain(part, value, None, &stats, NOW),
            "requests 0.40: 6.0 of the last 6.0 requests failed"
        );
        vitals.come_back(&stats, &EjectionSettings::default());
        let back = parts(&vitals, &stats, None, NOW).score();
        assert!((back - 0.8).abs() < 1e-3, "{back}");
        vitals.forgive(&stats);
        assert_eq!(parts(&vitals, &stats, None, NOW).score(), 1.0);
        assert_eq!(
            slowness(Nanos::from_millis(160), Nanos::from_millis(8), 400),
            "responses take 160.0 ms, 20.0 times the 8.0 ms of its peers or its own past (400 samples)"
        );
    }
}
