//! What a candidate costs a strategy that goes by time, by that strategy's own rule.
//!
//! A picker can say so itself ([`crate::Picker::appraise`]), and one that goes by what it alone knows must. For those here
//! the rule is a line over what stands beside the instance anyway. Their constants are named here again; a test compares
//! what is told with whom they pick.

use crate::math::exp2_neg;
use crate::view::{Candidates, View};
use crate::{Appraisal, Nanos, Stats, StrategyName, StrategySettings};

use super::stages::percent;

/// A rule, with what it compares a candidate with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// By the usual time over the share of successes; `mean` of the measured stands in where nothing is measured, in ns.
    LeastResponseTime {
        mean: Option<f64>,
    },
    PeakEwma,
    /// By the median usual time, in ns, and the median share of successes.
    PowerOfTwo {
        time: Option<f64>,
        share: f32,
    },
    Other(StrategyName),
}

/// What a candidate has to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burden {
    pub(super) in_flight: u32,
    /// Weight times share.
    pub(super) weight: f64,
    pub(super) now: Nanos,
}

/// The strategy that chooses in the end, for one that leaves it to another.
pub(super) fn innermost(settings: &StrategySettings) -> &StrategySettings {
    match settings {
        StrategySettings::geographical(outer) => innermost(&outer.within),
        own => own,
    }
}

impl Rule {
    pub(super) fn of(view: &View) -> Self {
        let candidates = view.candidates();
        match innermost(view.deciding()).name() {
            StrategyName::least_response_time => {
                let times: Vec<f64> = usual_times(candidates).map(|time| time.0 as f64).collect();
                let mean = times.iter().sum::<f64>() / times.len() as f64;
                Self::LeastResponseTime {
                    mean: (!times.is_empty()).then_some(mean),
                }
            }
            StrategyName::peak_ewma => Self::PeakEwma,
            StrategyName::power_of_two => {
                let shares = stats(candidates).map(|stats| stats.recent_success_share().to_bits());
                Self::PowerOfTwo {
                    time: median(usual_times(candidates)).map(|time| time.0 as f64),
                    // Nothing below 0 is compared, so the bits have the order of the numbers.
                    share: median(shares).map_or(1.0, f32::from_bits),
                }
            }
            other => Self::Other(other),
        }
    }

    /// The time that the strategy goes by, in ns; 0 where it knows none.
    pub(super) fn time(self, stats: &Stats, now: Nanos) -> f64 {
        match self {
            Self::PeakEwma => stats.peak_time(now),
            Self::Other(StrategyName::hot_cold) => stats.expected_time(now),
            _ => stats.usual_time().map_or(0.0, |time| time.0 as f64),
        }
    }

    /// The share of successes that the strategy goes by.
    pub(super) fn success(self, stats: &Stats) -> f32 {
        match self {
            Self::PowerOfTwo { .. } | Self::Other(StrategyName::orca_weighted | StrategyName::hot_cold) => {
                stats.recent_success_share()
            }
            _ => stats.success_share(),
        }
    }

    /// What a candidate costs, in ms per weight where time is all there is; `None` where the rule has no costs.
    pub(super) fn appraise(self, stats: &Stats, burden: Burden) -> Option<Appraisal> {
        match self {
            Self::LeastResponseTime { mean } => Some(least_response_time(mean, stats, burden)),
            Self::PeakEwma => Some(peak_ewma(stats, burden)),
            Self::PowerOfTwo { time, share } => Some(power_of_two(time, share, stats, burden)),
            Self::Other(_) => None,
        }
    }

    /// Whether the rule looks at requests in flight alone, for want of anything that speaks against the candidate.
    pub(super) fn finds_nothing(self, stats: &Stats, now: Nanos) -> bool {
        matches!(self, Self::PowerOfTwo { time, share } if poor(time, share, stats, now) == 1.0)
    }
}

fn stats(candidates: &Candidates) -> impl Iterator<Item = &Stats> {
    let members = candidates.slots().iter();
    members.filter_map(|slot| Some(&**candidates.member(*slot)?.stats()))
}

fn usual_times(candidates: &Candidates) -> impl Iterator<Item = Nanos> {
    stats(candidates).filter_map(Stats::usual_time)
}

/// The lower median.
fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable(middle).1)
}

impl Burden {
    fn with_one_more(self) -> f64 {
        (f64::from(self.in_flight) + 1.0) / self.weight
    }

    fn words(self) -> String {
        match self.in_flight {
            0 => "idle".to_owned(),
            n => format!("{n} in flight"),
        }
    }
}

fn first_is_due() -> Appraisal {
    Appraisal {
        cost: 0.0,
        why: "it was never used, so its first request is due".to_owned(),
    }
}

fn succeeds(share: f32) -> String {
    if share < 0.995 {
        format!(", and {} of its requests succeed", percent(share.into()))
    } else {
        String::new()
    }
}

/// See `strategy/least_response_time.rs`.
fn least_response_time(mean: Option<f64>, stats: &Stats, burden: Burden) -> Appraisal {
    const HALF_LIFE: f64 = 5e9;
    const FLOOR: Nanos = Nanos::from_secs(30);
    const LEAST_SHARE: f64 = 1.0 / 64.0;
    if stats.picks() == 0 {
        return first_is_due();
    }
    let idle = burden.in_flight == 0;
    let unused = burden.now.since(stats.last_used());
    let paused = format!("it had no request for {:.1} s", unused.as_secs_f64());
    if idle && unused > FLOOR {
        return Appraisal {
            cost: 0.0,
            why: format!("{paused}, so a trial is due"),
        };
    }
    let own = stats.usual_time().map(|time| time.0 as f64);
    let share = stats.success_share();
    let fade = if idle {
        exp2_neg(unused.0 as f64 / HALF_LIFE)
    } else {
        1.0
    };
    let time = own.or(mean).map_or(1.0, |time| time / 1e6);
    let speed = match (own, mean) {
        (Some(own), _) => format!("it takes {:.1} ms", own / 1e6),
        (None, Some(mean)) => format!("it has not answered yet, where {:.1} ms are usual", mean / 1e6),
        (None, None) => "nobody has answered yet".to_owned(),
    };
    let pause = if fade < 0.9 {
        format!(", and {paused}")
    } else {
        String::new()
    };
    Appraisal {
        cost: time / f64::from(share).max(LEAST_SHARE) * burden.with_one_more() * fade,
        why: format!("{}, {speed}{}{pause}", burden.words(), succeeds(share)),
    }
}

/// See `strategy/peak_ewma.rs`.
fn peak_ewma(stats: &Stats, burden: Burden) -> Appraisal {
    if stats.picks() == 0 {
        return first_is_due();
    }
    let time = stats.peak_time(burden.now) / 1e6;
    let answered = stats.usual_time().is_some() || stats.failures() > 0;
    let speed = if answered {
        format!("its peak time is {time:.1} ms")
    } else {
        format!("it has not answered yet, which counts as {time:.1} ms")
    };
    let unused = burden.now.since(stats.last_used()).as_secs_f64();
    let pause = if burden.in_flight == 0 && unused >= 1.0 {
        format!(" after {unused:.1} s without a request")
    } else {
        String::new()
    };
    Appraisal {
        cost: time * burden.with_one_more(),
        why: format!("{}, {speed}{pause}", burden.words()),
    }
}

/// See `strategy/power_of_two.rs`. Its picker looks once a second; this is what it finds when it looks now.
fn power_of_two(time: Option<f64>, share: f32, stats: &Stats, burden: Burden) -> Appraisal {
    let factor = poor(time, share, stats, burden.now);
    let mut why = burden.words();
    if factor > 1.0 {
        if let (Some(own), Some(typical)) = (stats.usual_time(), time) {
            let own = own.0 as f64;
            why += &format!(
                ", it takes {:.1} ms, where {:.1} ms are typical",
                own / 1e6,
                typical / 1e6
            );
        }
        why += &succeeds(stats.recent_success_share());
        why += &format!(": counts {factor:.1} times");
    }
    Appraisal {
        cost: burden.with_one_more() * factor,
        why,
    }
}

/// How many times the load of one counts that is slow, or fails; 1 for others, and for who is due for a trial.
fn poor(typical: Option<f64>, share: f32, stats: &Stats, now: Nanos) -> f64 {
    const SLOW: f64 = 4.0;
    const FAILING: f32 = 0.25;
    const WORST: f64 = 253.0;
    const TRIAL: Nanos = Nanos::from_secs(3);
    const LONGEST: u32 = 4;
    let times = stats
        .usual_time()
        .zip(typical)
        .map_or(1.0, |(own, typical)| own.0 as f64 / typical);
    let success = stats.recent_success_share();
    let mut factor = if times > SLOW { times } else { 1.0 };
    if success < share - FAILING {
        factor *= 1.0 + 4.0 * (1.0 / f64::from(success) - 1.0);
    }
    let failures = stats.consecutive_failures().min(LONGEST - 1);
    let pause = now.since(stats.last_used()).0 / u64::from(failures + 1);
    if pause < TRIAL.0 { factor.min(WORST) } else { 1.0 }
}
