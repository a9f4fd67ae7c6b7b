//! What speaks against an instance: the findings of the detectors.
//!
//! | detector | finds |
//! |---|---|
//! | run | so many failures in a row |
//! | burst | more failures than chance gives ([`crate::health::burst`]): any share, any rate of requests |
//! | rate | in ten seconds, a share of failures that is too much, and more than the fleet's own rate explains |
//! | silence | requests that wait, or waited until their clients left, and no answer at all ([`crate::health::silence`]) |
//! | slow | responses that take much longer than those of the peers ([`crate::health::latency`]) |
//!
//! Each is enforced, in dry run, or off. Whether what was found may be acted on is for [`super::passive`].

use super::entry::Entry;
use crate::health::burst::Level;
use crate::health::vitals::slowness;
use crate::{EjectionSettings, Mode};

/// What a detector found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// So many failures in a row.
    Run(u32),
    /// Failures beyond chance.
    Burst,
    /// So many failures of so many requests in ten seconds.
    Rate(u64, u64),
    /// So many requests that nobody answered.
    Silence(u64),
    /// Slow responses.
    Slow,
}

impl Finding {
    /// What is done about it.
    pub(super) fn mode(self, settings: &EjectionSettings) -> Mode {
        match self {
            Self::Run(_) => settings.on_consecutive,
            Self::Burst => settings.on_burst,
            Self::Rate(..) => settings.on_error_rate,
            Self::Silence(_) => settings.on_silence,
            Self::Slow => settings.on_slow,
        }
    }

    /// Its bit among those that dry runs have said.
    pub(super) const fn bit(self) -> u8 {
        match self {
            Self::Run(_) => 1,
            Self::Burst => 2,
            Self::Rate(..) => 4,
            Self::Slow => 8,
            Self::Silence(_) => 16,
        }
    }

    /// In words and numbers.
    pub(super) fn tell(self, entry: &Entry) -> String {
        match self {
            Self::Run(1) => "a request failed".to_owned(),
            Self::Run(n) => format!("{n} requests failed in a row"),
            Self::Burst => {
                let (bad, all) = entry.vitals.window.failures_of();
                let suspicion = entry.member.stats().suspicion().get();
                format!(
                    "more requests failed than chance explains: {bad} of {all} in the last 10 s, suspicion \
                     {suspicion:.1}"
                )
            }
            Self::Rate(bad, all) => format!("{bad} of {all} requests failed in the last 10 s"),
            Self::Silence(waited) => {
                let silence = &entry.vitals.silence;
                format!(
                    "it does not answer: {waited} requests since its last answer waited for {:.1} s or longer",
                    silence.patience(entry.member.stats()).as_secs_f64()
                )
            }
            Self::Slow => {
                let (time, reference, samples) = entry.vitals.latency.figures();
                slowness(time, reference, samples)
            }
        }
    }
}

/// All that speaks against `entry`, the surest first.
pub(super) fn findings(
    entry: &Entry,
    settings: &EjectionSettings,
    level: Level,
) -> impl Iterator<Item = Finding> {
    let stats = entry.member.stats();
    let run = stats.consecutive_failures();
    let limit = entry.ejection.limit(settings);
    let (bad, all) = entry.vitals.window.failures_of();
    let enough = all >= u64::from(settings.error_rate_requests.max(1));
    let too_many = bad as f64 > 0.0
        && bad as f64 >= f64::from(settings.error_rate.max(level.high)) * all as f64
        && settings.on_error_rate != Mode::Off;
    let silent = entry
        .vitals
        .silence
        .found()
        .filter(|_| settings.on_silence != Mode::Off);
    let slow = settings.on_slow != Mode::Off && entry.vitals.latency.is_slow();
    [
        (limit > 0 && run >= limit).then_some(Finding::Run(run)),
        stats.suspicion().is_over().then_some(Finding::Burst),
        (enough && too_many).then_some(Finding::Rate(bad, all)),
        silent.map(Finding::Silence),
        slow.then_some(Finding::Slow),
    ]
    .into_iter()
    .flatten()
}
