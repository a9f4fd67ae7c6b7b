//! Which resource tells how long requests take, learnt from the fleet's reports.
//!
//! Once a second, each instance that has reported anew is a witness: `x`, its use of processors and memory and its requests
//! in flight; `y = ln(response time / share of successes)`, about the time until a request succeeds. Both count as
//! deviations from what is usual *for this instance* (its means over the last half minute), so that a machine that is slow
//! or always full says nothing about resources; and from those of the others in the same second, because a wave that meets
//! all, of requests or of a database, is one event and not as many as there are witnesses. Over all witnesses, with a half-life of two minutes, `y` is regressed on
//! `x` (ridge, in units of standard deviations), and what a resource contributes to the explained part is `β × r`
//! (Pratt 1987), where both are positive. Then
//!
//! `weight = prior + g × (total × contribution / sum of contributions − prior)`, `g = n R² / (n R² + 100)`
//!
//! over the resources that vary at all; the others keep their prior, the weight that is configured. `n R²` is about 3
//! where nothing explains anything, however long that is watched, so that noise leaves the weights where they were. A weight
//! stays between a tenth and seven tenths of their sum, or where it was configured, if that is further out; one that is
//! configured as 0 stays 0.
//!
//! **Who lies** counts for little: who reports the same digits twice (frozen, or made up), or what is older than three
//! seconds, is no witness; deviations are cut off; and a weight has its bounds. The worst that remains are bad weights
//! within bounds, which [`super::BELIEVED`] makes harmless for shares.
//!
//! O(instances) a second, in the writer alone; only the weights are read by others.

use crate::math::{AtomicF32, AtomicF64, exp2_neg, minus_ln};
use crate::{Nanos, Stats};

/// Processors, memory, requests in flight.
pub(super) const RESOURCES: usize = 3;

/// After this long a witness counts half.
const HALF_LIFE: f64 = 120.0;
/// Old reports explain old times.
const FRESH: Nanos = Nanos::from_secs(3);
/// The part of a mean that a new sample is.
const MEAN: f32 = 1.0 / 32.0;
/// Samples after which a mean is one.
const SETTLED: f32 = 8.0;
/// Greatest deviations that count: of what is used, and of `y` (about seven times slower).
const FAR: [f32; RESOURCES + 1] = [0.5, 0.5, 0.5, 2.0];
/// A variance below this says nothing: a standard deviation of a tenth of a percent, or a tenth of a request in flight.
const STILL: f64 = 1e-6;
/// Evidence, as `n R²`, that moves a weight halfway.
const HALFWAY: f64 = 100.0;
/// Ridge, as a part of the variances.
const RIDGE: f64 = 0.05;
/// The least and the greatest part of the sum that a weight is.
const LEAST: f64 = 0.1;
const MOST: f64 = 0.7;

/// What is remembered of one instance.
#[derive(Debug)]
pub(super) struct Witness {
    /// The time that the last report spoke of, when it was taken in.
    observed: AtomicF64,
    /// What it said.
    said: [AtomicF32; 2],
    /// When the response time was updated that was taken in.
    answered: AtomicF64,
    samples: AtomicF32,
    /// Of `x` and `y`.
    means: [AtomicF32; RESOURCES + 1],
}

impl Default for Witness {
    fn default() -> Self {
        Self {
            observed: AtomicF64::new(-1.0),
            said: std::array::from_fn(|_| AtomicF32::new(f32::NAN)),
            answered: AtomicF64::new(-1.0),
            samples: AtomicF32::new(0.0),
            means: std::array::from_fn(|_| AtomicF32::new(0.0)),
        }
    }
}

impl Witness {
    /// Deviations from the usual, if there is something new: of `x`, then of `y`. `connections` are its requests in flight in
    /// the units of the score.
    fn testify(&self, stats: &Stats, connections: f32, now: Nanos) -> Option<[f64; RESOURCES + 1]> {
        let observed = stats.reported().observed()?;
        let (report, _) = stats.reported().get(now)?;
        let said = [report.cpu(), report.memory()].map(|value| value.unwrap_or(f32::NAN));
        let same = (0..2).all(|resource| said[resource].to_bits() == self.said[resource].get().to_bits());
        let known = self.observed.get() == observed.0 as f64;
        self.observed.set(observed.0 as f64);
        for (before, value) in self.said.iter().zip(said) {
            before.set(value);
        }
        let (time, at) = stats.response_time()?;
        let answered = self.answered.get() != at.0 as f64;
        self.answered.set(at.0 as f64);
        if same || known || !answered || now.since(observed) > FRESH {
            return None;
        }
        let success = f64::from(stats.success_share()).max(0.05);
        let slow = -minus_ln(time.0.max(1) as f64 / success) as f32;
        let samples = self.samples.get();
        let fresh = [said[0], said[1], connections, slow];
        let mut deviations = [0.0; RESOURCES + 1];
        for (index, value) in fresh.into_iter().enumerate() {
            // What is not reported does not vary.
            if value.is_finite() {
                let mean = self.means[index].get();
                let off = if samples == 0.0 { 0.0 } else { value - mean };
                let part = MEAN.max(1.0 / (samples + 1.0));
                self.means[index].set(if samples == 0.0 { value } else { mean + part * off });
                deviations[index] = f64::from(off.clamp(-FAR[index], FAR[index]));
            }
        }
        self.samples.set((samples + 1.0).min(1e6));
        (samples >= SETTLED).then_some(deviations)
    }
}

/// The regression, and the weights that it makes.
#[derive(Debug)]
pub(super) struct Learner {
    /// As configured.
    priors: [f64; RESOURCES],
    /// When witnesses were last heard, in seconds.
    at: AtomicF64,
    witnesses: AtomicF64,
    /// Sums of products of deviations: row by row, `y` last.
    products: [AtomicF64; (RESOURCES + 1) * (RESOURCES + 1)],
    weights: [AtomicF64; RESOURCES],
    /// `g`.
    trust: AtomicF64,
}

/// Matrix of sums of products.
type Products = [[f64; RESOURCES + 1]; RESOURCES + 1];

impl Learner {
    pub(super) fn new(priors: [f64; RESOURCES]) -> Self {
        Self {
            priors,
            at: AtomicF64::new(0.0),
            witnesses: AtomicF64::new(0.0),
            products: std::array::from_fn(|_| AtomicF64::new(0.0)),
            weights: priors.map(AtomicF64::new),
            trust: AtomicF64::new(0.0),
        }
    }

    /// The weights in force.
    pub(super) fn weights(&self) -> [f64; RESOURCES] {
        std::array::from_fn(|resource| self.weights[resource].get())
    }

    /// How far the weights follow the evidence, from 0, not at all, below 1.
    pub(super) fn trust(&self) -> f64 {
        self.trust.get()
    }

    /// Hears all witnesses, each with its counters and its requests in flight.
    pub(super) fn hear<'w>(
        &self,
        witnesses: impl Iterator<Item = (&'w Witness, &'w Stats, f32)>,
        now: Nanos,
    ) {
        let seconds = now.as_secs_f64();
        // A clock that steps back fades nothing.
        let fade = exp2_neg((seconds - self.at.get()).max(0.0) / HALF_LIFE);
        self.at.set(seconds);
        let mut sums: Products = [[0.0; RESOURCES + 1]; RESOURCES + 1];
        let mut common = [0.0; RESOURCES + 1];
        let mut heard = 0.0;
        for (witness, stats, connections) in witnesses {
            let Some(deviations) = witness.testify(stats, connections, now) else {
                continue;
            };
            heard += 1.0;
            for (sum, one) in common.iter_mut().zip(deviations) {
                *sum += one;
            }
            for (row, one) in sums.iter_mut().zip(deviations) {
                for (sum, other) in row.iter_mut().zip(deviations) {
                    *sum += one * other;
                }
            }
        }
        // Beside their mean, which takes one of them: Σ (x − x̄)(y − ȳ) = Σ xy − Σx Σy / n.
        for (row, one) in sums.iter_mut().zip(common) {
            for (sum, other) in row.iter_mut().zip(common) {
                *sum -= one * other / f64::max(heard, 1.0);
            }
        }
        let count = self.witnesses.get() * fade + f64::max(heard - 1.0, 0.0);
        self.witnesses.set(count);
        for (before, sum) in self.products.iter().zip(sums.as_flattened()) {
            before.set(before.get() * fade + sum);
        }
        let whole: Products = std::array::from_fn(|row| {
            std::array::from_fn(|column| self.products[row * (RESOURCES + 1) + column].get())
        });
        let (weights, trust) = weigh(self.priors, &whole, count);
        self.trust.set(trust);
        for (weight, value) in self.weights.iter().zip(weights) {
            weight.set(value);
        }
    }
}

/// The weights that the evidence makes of `priors`, and how much it is believed.
fn weigh(priors: [f64; RESOURCES], products: &Products, count: f64) -> ([f64; RESOURCES], f64) {
    const Y: usize = RESOURCES;
    let total: f64 = priors.iter().sum();
    let spread = |index: usize| products[index][index].max(0.0).sqrt();
    let speaks = |index: usize| priors[index] > 0.0 && products[index][index] > STILL * count.max(1.0);
    let correlation = |one: usize, other: usize| products[one][other] / (spread(one) * spread(other));
    if products[Y][Y] <= STILL * count.max(1.0) {
        return (priors, 0.0);
    }
    // Those that do not speak are equations of their own, with the solution 0.
    let mut matrix = [[0.0; RESOURCES]; RESOURCES];
    let mut right = [0.0; RESOURCES];
    for (index, row) in matrix.iter_mut().enumerate() {
        row[index] = 1.0 + RIDGE;
        if !speaks(index) {
            continue;
        }
        right[index] = correlation(index, Y);
        for (other, cell) in row.iter_mut().enumerate() {
            if other != index && speaks(other) {
                *cell = correlation(index, other);
            }
        }
    }
    let slopes = solve(matrix, right);
    let parts: [f64; RESOURCES] = std::array::from_fn(|index| slopes[index].max(0.0) * right[index].max(0.0));
    let explained = parts.iter().sum::<f64>().min(1.0);
    if !explained.is_finite() || explained <= 0.0 {
        return (priors, 0.0);
    }
    let trust = count * explained / (count * explained + HALFWAY);
    let open: f64 = (0..RESOURCES)
        .filter(|index| speaks(*index))
        .map(|index| priors[index])
        .sum();
    let mut weights = priors;
    for index in (0..RESOURCES).filter(|index| speaks(*index)) {
        let learnt = open * parts[index] / explained;
        let learnt = learnt.min(open);
        weights[index] += trust * (learnt - priors[index]);
    }
    (bounded(weights, priors, total), trust)
}

/// `weights` within their bounds, with the same sum.
fn bounded(mut weights: [f64; RESOURCES], priors: [f64; RESOURCES], total: f64) -> [f64; RESOURCES] {
    // Whoever is moved to a bound leaves the difference to the others, who are pushed to theirs at most.
    for _ in 0..RESOURCES {
        for (weight, prior) in weights.iter_mut().zip(priors) {
            *weight = weight.clamp(prior.min(LEAST * total), prior.max(MOST * total));
        }
        let left = total - weights.iter().sum::<f64>();
        let room = |index: usize, weights: &[f64; RESOURCES]| {
            let (weight, prior) = (weights[index], priors[index]);
            if left > 0.0 {
                prior.max(MOST * total) - weight
            } else {
                weight - prior.min(LEAST * total)
            }
        };
        let rooms: [f64; RESOURCES] = std::array::from_fn(|index| {
            if priors[index] > 0.0 {
                room(index, &weights)
            } else {
                0.0
            }
        });
        let sum: f64 = rooms.iter().sum();
        if sum <= 0.0 {
            break;
        }
        for (weight, room) in weights.iter_mut().zip(rooms) {
            *weight += left * room / sum;
        }
    }
    weights
}

/// By elimination; the matrix is a correlation matrix with a ridge, so that no pivot is 0.
fn solve(mut matrix: [[f64; RESOURCES]; RESOURCES], mut right: [f64; RESOURCES]) -> [f64; RESOURCES] {
    for pivot in 0..RESOURCES {
        for row in pivot + 1..RESOURCES {
            let factor = matrix[row][pivot] / matrix[pivot][pivot];
            let above = matrix[pivot];
            for (cell, above) in matrix[row].iter_mut().zip(above) {
                *cell -= factor * above;
            }
            right[row] -= factor * right[pivot];
        }
    }
    let mut solution = [0.0; RESOURCES];
    for row in (0..RESOURCES).rev() {
        let known: f64 = (row + 1..RESOURCES)
            .map(|column| matrix[row][column] * solution[column])
            .sum();
        solution[row] = (right[row] - known) / matrix[row][row];
    }
    solution
}

#[cfg(test)]
mod tests;
