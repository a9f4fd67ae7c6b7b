//! What is to become of one instance: trends, and the probability that it is bad within twenty seconds.
//!
//! Four things are followed ([`super::trend`]), each beside a limit at which the instance is as good as out:
//!
//! | what | sample | limit |
//! |---|---|---|
//! | errors | the part that failed of the requests of ten seconds, a hundred at least | where the sequential test begins to rise ([`super::burst`]): 4 % while the fleet fails nothing, more where it does |
//! | latency | ln of the response time (less 10 ms) beside that of the peers or the own past, 0 at least; of a hundred requests too | ln of `slow_factor` |
//! | utilization | what it reports above the median of the others, 0 at least | 1.2 less that median, 0.1 at least |
//! | memory | what it reports | 1 |
//!
//! Latency and utilization are compared with the peers, so that a wave of requests that meets all is no trend of anybody.
//! Memory is not: it is used up by oneself. But a heap that fills and is swept is no leak, so the part of it from which it
//! came back by itself is no danger ([`Memory`]).
//!
//! Whoever is beyond a limit already is no matter of prediction: detectors, scores and the rules on who may go judge it, and
//! nothing here comes before those. What it lost before it went there it does not get back while it is there: that what was
//! foreseen came is no reason for more requests.
//!
//! The **hazard** is the greatest of the four probabilities. It is no sum: a worst one can be told in a sentence.
//!
//! Every prediction is looked at again ([`pending`]): once a second one is made, and after twenty seconds, or as soon as
//! the instance is bad, it is known what became of it. Whoever is drained or leaves was right about nothing.
//!
//! Absent on purpose: any say on who is out. A hazard lowers a share ([`Foresight::part`]), and no more.

use std::sync::Arc;

use super::outlook::Outlook;
use super::trend::Trend;
use crate::Nanos;
use crate::math::exp2_neg;

mod pending;
mod samples;

use pending::Pending;
use samples::LEAST;
pub(crate) use samples::{ENOUGH, Samples, Signal, Stand};

/// How far ahead predictions of health look. Long enough to matter beside detectors that take seconds, short enough for a straight line.
pub const HORIZON: Nanos = Nanos::from_secs(20);
/// From this hazard on the share is lowered…
pub(crate) const BEGIN: f32 = 0.5;
/// …and for so many looks on end: what jumps is no trend…
const SUSTAINED: u8 = 3;
/// …until it is below this.
pub(crate) const END: f32 = 0.3;
/// The whole share is left up to this hazard…
const FREE: f32 = 0.4;
/// …and the least from this on.
const SURE: f32 = 0.9;
/// What is left at least.
const FLOOR: f32 = 0.3;
/// The share comes back by this in a second at most.
const RISE: f32 = 0.1;
/// Steps of a share from nothing to all.
const STEPS: f32 = 16.0;
/// So far may its level be off.
const LAG: f32 = 0.02;
/// Falling by so much, it was swept.
const SWEPT: f32 = 0.1;

/// What is known of one instance.
#[derive(Debug, Clone)]
pub(crate) struct Foresight {
    trends: [Trend; 4],
    memory: Memory,
    pending: Pending,
    /// Its hazard, and by which signal; `None` while nothing is known.
    hazard: Option<(f32, Signal)>,
    /// What is beyond its limit.
    beyond: Option<Signal>,
    /// Beside what it was measured last.
    stand: Stand,
    /// What that leaves of its share, before the bounds of the service.
    part: f32,
    /// Of its share, as it is in force.
    left: f32,
    /// How many looks in a row its hazard was great.
    likely: u8,
    /// It is foreseen to be bad, since then.
    since: Option<Nanos>,
    /// And that was told, in these words.
    told: Option<Arc<str>>,
}

impl Foresight {
    /// Nothing is known.
    pub(crate) fn new() -> Self {
        Self {
            trends: Default::default(),
            memory: Memory::default(),
            pending: Pending::default(),
            hazard: None,
            beyond: None,
            stand: Stand::default(),
            part: 1.0,
            left: 1.0,
            likely: 0,
            since: None,
            told: None,
        }
    }

    /// Takes in samples of an instance that is in, and finds its hazard. While it is not `bad` already that is a prediction,
    /// which is remembered; else its memory alone is looked at. Returns a prediction from twenty seconds ago that did not come
    /// true, if there was one.
    pub(crate) fn observe(
        &mut self,
        samples: &Samples,
        stand: Stand,
        bad: bool,
        elapsed: Nanos,
        now: Nanos,
    ) -> Option<f32> {
        for (trend, signal) in self.trends.iter_mut().zip(Signal::ALL) {
            if let Some((value, at, _)) = samples.of(signal) {
                trend.observe(value, at);
            }
        }
        if let Some((value, ..)) = samples.of(Signal::Memory) {
            self.memory.observe(value);
        }
        if bad {
            let memory = self.trends[Signal::Memory as usize];
            self.trends = Default::default();
            self.trends[Signal::Memory as usize] = memory;
        }
        self.stand = stand;
        (self.hazard, self.beyond) = self.worst(samples, stand.limits(), now);
        let hazard = self.hazard();
        self.likely = if hazard >= BEGIN {
            self.likely.saturating_add(1)
        } else {
            0
        };
        if self.likely >= SUSTAINED {
            self.since.get_or_insert(now);
        }
        let target = match self.since {
            Some(_) if hazard >= END => {
                1.0 - (1.0 - FLOOR) * ((hazard - FREE) / (SURE - FREE)).clamp(0.0, 1.0)
            }
            _ => 1.0,
        };
        let rise = match bad || self.beyond.is_some() {
            true => 0.0,
            false => RISE * elapsed.as_secs_f64() as f32,
        };
        self.part = target.min(self.part + rise);
        if hazard < END && self.part >= 1.0 {
            self.since = None;
        }
        if bad {
            return None;
        }
        self.pending.push(self.hazard.map(|(hazard, _)| hazard))
    }

    /// The greatest hazard, of what is not beyond its limit; and what is.
    fn worst(
        &self,
        samples: &Samples,
        limits: [f32; 4],
        now: Nanos,
    ) -> (Option<(f32, Signal)>, Option<Signal>) {
        let (mut worst, mut over): (Option<(f32, Signal)>, _) = (None, None);
        for signal in Signal::ALL {
            let (trend, i) = (&self.trends[signal as usize], signal as usize);
            let scatter = samples.of(signal).map_or(LEAST[i], |(.., scatter)| scatter);
            let Some(hazard) = trend.beyond(limits[i], scatter, HORIZON, now) else {
                continue;
            };
            let level = trend.figures().0;
            let survived = signal == Signal::Memory && level <= self.memory.survived + LAG;
            if level >= limits[i] {
                // That is no prediction any more, and others judge it.
                over = over.or(Some(signal).filter(|_| !survived));
                continue;
            }
            let hazard = if survived { 0.0 } else { hazard };
            if worst.is_none_or(|(worst, _)| hazard > worst) {
                worst = Some((hazard, signal));
            }
        }
        (worst, over)
    }

    /// It is bad: what was predicted of it came true.
    pub(crate) fn resolve(&mut self) -> impl Iterator<Item = f32> + use<> {
        std::mem::take(&mut self.pending).all()
    }

    /// The probability that it is bad within [`HORIZON`]; 0 while nothing is known.
    pub(crate) fn hazard(&self) -> f32 {
        self.hazard.map_or(0.0, |(hazard, _)| hazard)
    }

    /// Whether and since when it is foreseen to be bad.
    pub(crate) fn since(&self) -> Option<Nanos> {
        self.since
    }

    /// What its hazard leaves of its share, before the bounds of the service.
    pub(crate) fn part(&self) -> f32 {
        self.part
    }

    /// What is left of its share.
    pub(crate) fn left(&self) -> f32 {
        self.left
    }

    /// Leaves it `left` of its share, in steps of a sixteenth. True when that is something else than before.
    pub(crate) fn leave(&mut self, left: f32) -> bool {
        let left = (left * STEPS).round() / STEPS;
        left != std::mem::replace(&mut self.left, left)
    }

    /// For whoever looks at it; `None` while there is nothing to tell.
    pub(crate) fn outlook(&self) -> Option<Outlook> {
        let probability = self.hazard.map(|(hazard, _)| hazard);
        (probability.is_some() || self.left < 1.0).then(|| Outlook::new(probability, self.left))
    }

    /// What was told of it, if anything is in force.
    pub(crate) fn told(&self) -> Option<&Arc<str>> {
        self.told.as_ref()
    }

    /// Remembers what was told.
    pub(crate) fn tell(&mut self, told: Option<Arc<str>>) {
        self.told = told;
    }

    /// Its hazard, or what is beyond its limit, and why, in words and numbers.
    pub(crate) fn explain(&self) -> String {
        if let Some(signal) = self.beyond {
            return format!("it is where it was foreseen to be: {}", self.figures(signal));
        }
        match self.hazard {
            Some((hazard, signal)) => format!(
                "with {:.0} % it is bad within {:.0} s: {}",
                100.0 * hazard,
                HORIZON.as_secs_f64(),
                self.figures(signal)
            ),
            None => "nothing is known of what is to come".to_owned(),
        }
    }

    fn figures(&self, signal: Signal) -> String {
        let (level, slope) = self.trends[signal as usize].figures();
        match signal {
            Signal::Errors => format!(
                "{:.1} % of its requests fail, {:+.2} % a second",
                100.0 * level,
                100.0 * slope
            ),
            Signal::Latency => format!(
                "responses take {:.1} times those of its peers or its own past, {:+.1} % a second",
                1.0 / exp2_neg(f64::from(level) * std::f64::consts::LOG2_E),
                100.0 * slope
            ),
            Signal::Utilization => format!(
                "it reports a utilization of {:.2} where its peers have {:.2}, {slope:+.3} a second",
                level + self.stand.usage,
                self.stand.usage,
            ),
            Signal::Memory => format!(
                "it uses {:.0} % of its memory, {:+.2} % a second",
                100.0 * level,
                100.0 * slope
            ),
        }
    }

    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.trends.iter_mut().for_each(|trend| trend.shift(back));
        self.since = self.since.map(|since| since.since(back));
    }
}

/// How much memory an instance had in use and gave back by itself.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    peak: f32,
    survived: f32,
}

impl Memory {
    fn observe(&mut self, used: f32) {
        if used < self.peak - SWEPT {
            self.survived = self.survived.max(self.peak);
            self.peak = used;
        }
        self.peak = self.peak.max(used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAND: Stand = Stand {
        failures: 0.04,
        slow: 5.0,
        usage: 0.5,
    };
    const SECOND: Nanos = Nanos::from_secs(1);

    /// One sample a second of `signal`, from second `from` on.
    fn run(
        foresight: &mut Foresight,
        signal: Signal,
        from: u64,
        values: impl IntoIterator<Item = f32>,
    ) -> Vec<f32> {
        let each = values.into_iter().zip(from..).filter_map(|(value, second)| {
            let now = Nanos::from_secs(second);
            let mut samples = Samples::default();
            samples.set(signal, value, now);
            foresight.observe(&samples, STAND, false, SECOND, now)
        });
        each.collect()
    }

    #[test]
    fn what_creeps_towards_its_limit_is_foreseen_and_what_stays_is_not() {
        for (signal, steady, step, words) in [
            (Signal::Errors, 0.0, 0.001, "% of its requests fail, +0."),
            (
                Signal::Latency,
                0.0,
                0.05,
                "times those of its peers or its own past, +",
            ),
            (Signal::Utilization, 0.1, 0.02, "where its peers have 0.50, +0.0"),
            (Signal::Memory, 0.4, 0.01, "of its memory, +"),
        ] {
            let mut foresight = Foresight::new();
            run(&mut foresight, signal, 100, [steady; 60]);
            assert!(foresight.hazard() < 0.05, "{signal:?}: {}", foresight.hazard());
            assert_eq!((foresight.since(), foresight.part()), (None, 1.0), "{signal:?}");
            let limit = STAND.limits()[signal as usize];
            let steps = ((limit - steady) / step) as u16;
            let rising = (0..steps - 5).map(|n| steady + step * f32::from(n));
            run(&mut foresight, signal, 160, rising);
            assert!(foresight.hazard() > 0.85, "{signal:?}: {}", foresight.hazard());
            let since = foresight.since().unwrap();
            let early = Nanos::from_secs(160 + u64::from(steps))
                .since(since)
                .as_secs_f64();
            assert!((5.0..24.0).contains(&early), "{signal:?}: {early} s before");
            assert!(
                foresight.part() < FLOOR + 0.05,
                "{signal:?}: {}",
                foresight.part()
            );
            assert!(foresight.explain().contains(words), "{}", foresight.explain());
        }
    }

    #[test]
    fn a_heap_that_is_swept_is_no_leak() {
        let mut foresight = Foresight::new();
        let saw = |n: u16| 0.5 + 0.01 * f32::from(n % 45);
        run(&mut foresight, Signal::Memory, 0, (0..45).map(saw));
        assert!(
            foresight.hazard() > BEGIN,
            "the first time nobody knows: {}",
            foresight.hazard()
        );
        for n in 45..450 {
            run(&mut foresight, Signal::Memory, n.into(), [saw(n)]);
            assert!(n < 70 || foresight.hazard() < 0.1, "{n}: {}", foresight.hazard());
        }
        run(
            &mut foresight,
            Signal::Memory,
            450,
            (0..49).map(|n| 0.5 + 0.01 * n as f32),
        );
        assert!(
            foresight.hazard() > BEGIN,
            "more than ever: {}",
            foresight.hazard()
        );
    }

    #[test]
    fn every_prediction_is_looked_at_once() {
        let mut foresight = Foresight::new();
        // Nothing is known for seven seconds, so nothing is said of those.
        let untrue = run(&mut foresight, Signal::Memory, 0, [0.5; 100]);
        assert_eq!(untrue.len(), 100 - 20 - 7);
        assert_eq!(foresight.resolve().count(), 20);
        assert_eq!(foresight.resolve().count(), 0);
        let mut foresight = Foresight::new();
        run(
            &mut foresight,
            Signal::Memory,
            200,
            (0..30).map(|n| 0.7 + 0.01 * n as f32),
        );
        let (left, hazard) = (foresight.part(), foresight.hazard());
        let true_: Vec<f32> = foresight.resolve().collect();
        assert!((true_[19] - hazard).abs() < 1.0 / pending::FINE && left == FLOOR);
    }

    #[test]
    fn the_share_comes_back_by_degrees() {
        let mut foresight = Foresight::new();
        run(
            &mut foresight,
            Signal::Memory,
            0,
            (0..30).map(|n| 0.69 + 0.01 * n as f32),
        );
        assert_eq!(foresight.part(), FLOOR);
        let mut last = FLOOR;
        for second in 30..60 {
            run(&mut foresight, Signal::Memory, second, [0.3]);
            let part = foresight.part();
            assert!(part >= last && part - last < RISE + 1e-6, "{second}: {part}");
            last = part;
        }
        assert_eq!((last, foresight.since()), (1.0, None));
    }

    #[test]
    fn who_passes_its_limit_does_not_get_back_what_it_lost() {
        for (signal, from, step) in [
            (Signal::Errors, 0.0, 0.001),
            (Signal::Latency, 0.0, 0.05),
            (Signal::Utilization, 0.1, 0.02),
            (Signal::Memory, 0.4, 0.01),
        ] {
            let mut foresight = Foresight::new();
            run(&mut foresight, signal, 0, [from; 20]);
            let limit = STAND.limits()[signal as usize];
            let steps = ((limit - from) / step) as u16;
            let rising = (0..steps + 20).map(|n| from + step * f32::from(n));
            run(&mut foresight, signal, 20, rising);
            let before = foresight.part();
            assert!(before < FLOOR + 0.05, "{signal:?}: {before}");
            let second = 40 + u64::from(steps);
            run(&mut foresight, signal, second, [limit + 20.0 * step; 60]);
            assert_eq!(foresight.part(), before, "{signal:?}");
            assert!(foresight.since().is_some(), "{signal:?}");
            assert!(
                foresight.explain().starts_with("it is where it was foreseen"),
                "{signal:?}: {}",
                foresight.explain()
            );
            assert_eq!(foresight.outlook(), None, "{signal:?}");
            foresight.leave(0.5);
            assert_eq!(foresight.outlook(), Some(Outlook::new(None, 0.5)), "{signal:?}");
            // Nobody is stuck.
            run(&mut foresight, signal, second + 60, [from; 60]);
            assert_eq!((foresight.part(), foresight.since()), (1.0, None), "{signal:?}");
        }
    }

    #[test]
    fn who_is_bad_does_not_get_back_what_it_lost_until_it_is_not() {
        let mut foresight = Foresight::new();
        run(
            &mut foresight,
            Signal::Latency,
            0,
            (0..50).map(|n| 0.03 * n as f32),
        );
        let before = foresight.part();
        assert!(before < 0.5, "{before}");
        let mut look = |second, bad| {
            foresight.observe(&Samples::default(), STAND, bad, SECOND, Nanos::from_secs(second));
            foresight.part()
        };
        let held = (50..80).map(|second| look(second, true)).last();
        assert_eq!(held, Some(before));
        assert!(look(80, false) > before);
        assert_eq!((81..100).map(|second| look(second, false)).last(), Some(1.0));
    }

    #[test]
    fn what_jumps_for_two_looks_is_no_trend() {
        let (mut foresight, mut great) = (Foresight::new(), 0);
        for second in 0..80u16 {
            let value = if great < 2 {
                0.5 + 0.01 * f32::from(second)
            } else {
                0.2
            };
            run(&mut foresight, Signal::Memory, second.into(), [value]);
            great += u32::from(foresight.hazard() >= BEGIN);
            assert_eq!((foresight.since(), foresight.part()), (None, 1.0), "{second}");
        }
        assert_eq!(great, 2);
    }

    #[test]
    fn memory_that_was_used_up_and_given_back_once_holds_nobody() {
        let mut foresight = Foresight::new();
        let fills = || (0..70).map(|n| 0.4 + 0.01 * n as f32).chain([1.1; 60]);
        let level = |foresight: &Foresight| foresight.trends[Signal::Memory as usize].figures().0;
        run(&mut foresight, Signal::Memory, 0, fills());
        assert!(level(&foresight) > 1.0 && foresight.beyond == Some(Signal::Memory));
        run(&mut foresight, Signal::Memory, 130, [0.4; 60]);
        run(&mut foresight, Signal::Memory, 190, fills());
        assert!(level(&foresight) > 1.0 && foresight.beyond.is_none());
    }
}
