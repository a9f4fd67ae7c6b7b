//! What part of its weight each candidate gets.
//!
//! An instance's own part is the product of four: how far it has started ([`super::SlowStart`]), how far it has
//! come back from an ejection, what its score costs it, and what is foreseen of it. Within a priority, requests are split by weight
//! times own part; between priorities, as [`super::priority`] says. Everything is relative to the greatest, whose
//! share is full, and in 256ths, of which everybody keeps at least one. (A later priority of more than a hundred
//! times the weight therefore gets somewhat more than its part, where strategies go by these shares.)
//!
//! Where several priorities get requests, each pick draws its priority first ([`crate::levels`]), by the same parts, and the
//! strategy sees the shares within that. Those over all are for who asks what an instance gets.

use super::priority::Loads;
use super::{Parts, Prospect, candidates, score};
use crate::levels::Part;
use crate::{Mode, Nanos, ServiceSettings, Share};

/// Shares of the candidates, in slot order.
pub(super) struct Shared {
    pub(super) shares: Vec<Share>,
    /// What they are made of; empty when all are full.
    pub(super) parts: Box<[Parts]>,
    /// Where several priorities get requests: what each gets, and the shares within it.
    pub(super) levels: Vec<Part>,
    /// Time alone changes them.
    pub(super) moves: bool,
}

/// Nobody is spared.
pub(super) fn full(all: &[Prospect<'_>]) -> Shared {
    Shared {
        shares: candidates(all).map(|_| Share::FULL).collect(),
        parts: Box::default(),
        levels: Vec::new(),
        moves: false,
    }
}

/// By what is known of each, and by the part of the requests that its priority gets.
pub(super) fn of(all: &[Prospect<'_>], loads: &Loads, settings: &ServiceSettings, now: Nanos) -> Shared {
    let threshold = f64::from(settings.ejection.threshold);
    let recovery = f64::from(settings.ejection.recovery_threshold).max(threshold);
    let scored = settings.ejection.on_score == Mode::Enforce;
    let mut moves = false;
    let parts: Vec<Parts> = candidates(all)
        .map(|prospect| {
            let (started, grows) = settings.slow_start.part(prospect, now);
            moves |= grows || prospect.recovery != Share::FULL;
            Parts {
                started,
                recovered: prospect.recovery.as_f64(),
                score: match scored {
                    true => score::part(prospect.score, threshold, recovery).min(score::told(prospect.told)),
                    false => 1.0,
                },
                predicted: prospect.predicted,
            }
        })
        .collect();
    let mut weights = Loads::new();
    for (prospect, part) in candidates(all).zip(&parts) {
        *weights.entry(prospect.priority).or_default() += f64::from(prospect.weight) * part.product();
    }
    let levels = levels(all, loads, &parts);
    let density = |priority: u8| Some(loads.get(&priority)? / weights.get(&priority)?);
    let shares = candidates(all)
        .zip(&parts)
        .map(|(prospect, part)| part.product() * density(prospect.priority).unwrap_or(1.0));
    let shares: Vec<f64> = shares.collect();
    let greatest = shares.iter().copied().fold(0.0, f64::max);
    let parts = Parts::told(parts);
    Shared {
        shares: shares
            .into_iter()
            .map(|share| Share::of(share / greatest))
            .collect(),
        parts,
        levels,
        moves,
    }
}

/// The parts of the priorities, and the shares within each; none when one gets everything.
fn levels(all: &[Prospect<'_>], loads: &Loads, parts: &[Parts]) -> Vec<Part> {
    if loads.len() < 2 {
        return Vec::new();
    }
    let mut sum = 0.0;
    let last = loads.keys().next_back();
    let level = |(priority, load): (&u8, &f64)| {
        sum += load;
        let whole = (1u64 << 32) as f64;
        let of_it = candidates(all)
            .zip(parts)
            .enumerate()
            .filter(|(_, (prospect, _))| prospect.priority == *priority);
        let (indexes, own): (Vec<usize>, Vec<f64>) =
            of_it.map(|(index, (_, part))| (index, part.product())).unzip();
        let greatest = own.iter().copied().fold(0.0, f64::max);
        Part {
            priority: *priority,
            until: if last == Some(priority) {
                1 << 32
            } else {
                (sum * whole) as u64
            },
            shares: own.iter().map(|own| Share::of(own / greatest)).collect(),
            indexes,
        }
    };
    loads.iter().map(level).collect()
}
