//! What the writer knows of one instance's health, and the score it makes of it.
//!
//! Once a second, and on an alarm, the writer takes in what the exact counters beside the instance gained since
//! ([`Vitals::observe`]), compares it with its peers ([`Vitals::judge`]) and publishes the parts
//! ([`Vitals::parts`]). Requests pay for none of this.

use std::fmt::Write;

use super::latency::Latency;
use super::requests::Requests;
use super::score::{HealthPart, HealthParts};
use super::silence::{Silence, patience};
use super::window::Window;
use super::{EjectionSettings, Mark};
use crate::{Nanos, REPORT_EXPIRY, REPORT_FRESH, Stats};

/// Utilization up to which an instance has nothing to fear, and at which its load part is at the bottom, 0.5. It
/// goes no deeper, nor below the threshold: being busy is no illness, and taking out the busiest makes the next one the
/// busiest.
const BUSY: f32 = 0.8;
pub(crate) const OVERLOADED: f32 = 1.2;

/// Requests that are remembered whatever their age, to compare with the others of the fleet.
const MEMORY: f32 = 200.0;
/// For so long the rate of requests is remembered.
const RATE_MEMORY: Nanos = Nanos::from_secs(30);
/// Weight of one answer in what answers take that are no refusals.
const FLOOR_GAIN: f32 = 1.0 / 64.0;

/// Knowledge of one instance.
#[derive(Debug)]
pub(crate) struct Vitals {
    /// What of the counters was taken in.
    seen: [u64; 3],
    declined: u64,
    /// What its answers take that are no refusals, if it ever gave such.
    floors: Option<[f32; 2]>,
    requests: Requests,
    pub(crate) window: Window,
    /// Failures and all of about the last [`MEMORY`] requests, however old.
    memory: [f32; 2],
    pub(crate) latency: Latency,
    pub(crate) silence: Silence,
    judged: Nanos,
    /// When there was no run of failures last.
    sound_at: Nanos,
    /// Requests and seconds, of late, in which there was no such run.
    sound: [f64; 2],
    looked_at: Nanos,
    /// Since when and why its score is below the threshold.
    below: Option<Mark>,
}

impl Vitals {
    /// Nothing is known.
    pub(crate) fn new(now: Nanos) -> Self {
        Self {
            seen: [0; 3],
            declined: 0,
            floors: None,
            requests: Requests::new(now),
            window: Window::default(),
            memory: [0.0; 2],
            latency: Latency::default(),
            silence: Silence::new(now),
            judged: now,
            sound_at: now,
            sound: [0.0; 2],
            looked_at: now,
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
        self.memory[0] += bad as f32;
        self.memory[1] += (good + throttled + bad) as f32;
        let kept = (MEMORY / self.memory[1].max(1.0)).min(1.0);
        self.memory = self.memory.map(|count| count * kept);
        self.latency.fold(stats.usual_time(), good, now);
        self.find_floors(stats, good);
        let elapsed = now.since(std::mem::replace(&mut self.looked_at, now));
        if stats.consecutive_failures() == 0 {
            self.sound_at = now;
            let kept = RATE_MEMORY.as_secs_f64() / (RATE_MEMORY + elapsed).as_secs_f64();
            self.sound[0] = self.sound[0] * kept + (good + bad + throttled) as f64;
            self.sound[1] = self.sound[1] * kept + elapsed.as_secs_f64();
        }
        bad > 0
    }

    /// Successes that were taken in so far.
    pub(crate) fn good(&self) -> u64 {
        self.seen[0]
    }

    /// What its answers take that are no refusals is what it usually takes while at least half of them are none; `good`
    /// are the latest. On average: a moment's luck must not stay for as long as it only refuses.
    fn find_floors(&mut self, stats: &Stats, good: u64) {
        let declined = stats.declined();
        let refusals = declined - self.declined.min(declined);
        self.declined = declined;
        if good == 0 || 2 * refusals > good {
            return;
        }
        if let (Some((smoothed, _)), Some(usual)) = (stats.response_time(), stats.usual_time()) {
            let present = [smoothed.0 as f32, usual.0 as f32];
            self.floors = match self.floors {
                Some(known) => {
                    let gain = (good as f32 * FLOOR_GAIN).min(0.5);
                    Some([0, 1].map(|i| known[i] + (present[i] - known[i]) * gain))
                }
                None => Some(present),
            };
        }
    }

    /// Failures and all of about the last two hundred requests, however old.
    pub(crate) fn memory(&self) -> [f32; 2] {
        self.memory
    }

    /// They say nothing of the present.
    pub(crate) fn forget_memory(&mut self) {
        self.memory = [0.0; 2];
    }

    /// Failures and all requests that were taken in so far.
    pub(crate) fn seen(&self) -> [u64; 2] {
        [self.seen[1], self.seen.iter().sum()]
    }

    /// When the last look found no failure since the last success.
    pub(crate) fn sound_at(&self) -> Nanos {
        self.sound_at
    }

    /// The time between two requests, of late, while there was no run of failures; `None` where there were hardly any.
    pub(crate) fn gap(&self) -> Option<Nanos> {
        let [requests, seconds] = self.sound;
        (requests >= 1.0).then(|| Nanos((seconds / requests * 1e9) as u64))
    }

    /// What its answers take that are no refusals: smoothed and usual, in ns.
    pub(crate) fn floors(&self) -> Option<[f32; 2]> {
        self.floors
    }

    /// Compares with the median response time of its peers, in ns.
    pub(crate) fn judge(
        &mut self,
        peers: Option<f64>,
        stats: &Stats,
        settings: &EjectionSettings,
        now: Nanos,
    ) {
        let elapsed = now.since(self.judged);
        self.judged = now;
        self.latency.judge(
            peers,
            settings.slow_factor,
            settings.adaptive,
            stats,
            elapsed,
            now,
        );
        if let Some(usual) = peers {
            self.silence.set_patience(patience(usual));
        }
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
            .with(HealthPart::Requests, self.requests.part(settings.threshold))
            .with(HealthPart::Latency, self.latency.part().max(settings.threshold))
            .with(HealthPart::Load, load(stats, now).max(settings.threshold))
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
        self.forget_memory();
        self.latency.forget();
        self.silence.forget();
        self.below = None;
        self.publish(stats);
    }

    /// It comes back from an ejection: evidence up to now does not count, but it starts only just where one
    /// returns, so that a single failure shows.
    pub(crate) fn come_back(&mut self, stats: &Stats, settings: &EjectionSettings, now: Nanos) {
        self.forgive(stats);
        self.sound_at = now;
        self.requests
            .restart_at(settings.recovery_threshold.max(settings.threshold));
        self.publish(stats);
    }

    /// Publishes what was forgiven at once: readers and the threshold must not go by what was before.
    fn publish(&self, stats: &Stats) {
        let parts = stats
            .health_parts()
            .with(HealthPart::Requests, self.requests.part(0.0))
            .with(HealthPart::Latency, 1.0);
        stats.set_health_parts(parts);
    }

    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.requests.shift(back);
        self.window.shift(back);
        self.latency.shift(back);
        self.silence.shift(back);
        self.judged = self.judged.since(back);
        self.sound_at = self.sound_at.since(back);
        self.looked_at = self.looked_at.since(back);
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
        vitals.come_back(&stats, &EjectionSettings::default(), NOW);
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
