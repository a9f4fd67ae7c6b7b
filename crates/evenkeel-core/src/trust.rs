//! What part of the next requests is believed to succeed, for [`crate::strategy::Adaptive`]. Lives in
//! [`Stats`](crate::Stats), folded by workers at the end of a request.
//!
//! Mostly that is the smoothed share of successes. But who hardly ever failed and then fails twice in a row, three times in
//! a fleet of up to 16, has **fallen**: by chance that happens once in a thousand requests where one in thirty fails, and once in
//! ten thousand where one in a hundred does, while one that is gone fails them all. One of a few does too much of the work
//! to be left alone for less than three. After `k` failures in a row of such a one the next succeeds with `1 / (k + 1)`
//! (Laplace's rule, of those `k` alone: what was before says nothing of now). It rises with one success, and is then believed
//! what it was before, less the failures that began it: an outage is one event, however many asked meanwhile.
//!
//! Whoever fails some of its requests all the time never falls, for it is not trusted that much; nor who is new.
//!
//! Absent on purpose: a say in who is ejected. There are limits for that which an operator sets.

use crate::math::AtomicF32;
use crate::sync::{AtomicU32, Ordering::Relaxed};

/// Weight of one sample: a memory of the last 16 requests.
const GAIN: f32 = 1.0 / 16.0;
/// Who hardly failed: so much of its last requests were good before these failures.
const SOUND: f32 = 0.967;
/// Of so many instances one is worth two failures…
const MANY: usize = 16;
/// …and of fewer three: `RUNS` for many and for few.
const RUNS: [u32; 2] = [2, 3];
/// Of fewer successes one cannot tell.
const KNOWN: u64 = 8;
/// Of whom no more than that is believed, it is not asked but to see whether it is back.
const FALLEN: f32 = 0.34;

/// Updated by load and store, as all that workers fold in.
#[derive(Debug)]
pub(crate) struct Trust {
    /// What is believed.
    now: AtomicF32,
    /// What was, up to its fall if it fell.
    before: AtomicF32,
    /// As many failures in a row are a fall.
    run: AtomicU32,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            now: AtomicF32::new(1.0),
            before: AtomicF32::new(1.0),
            run: AtomicU32::new(RUNS[1]),
        }
    }
}

impl Trust {
    #[inline]
    pub(crate) fn on_success(&self) {
        let before = self.before.get();
        if before < 1.0 {
            let more = before + (1.0 - before) * GAIN;
            self.set(if more > 0.9999 { 1.0 } else { more });
        }
    }

    /// It failed `run` requests in a row, and before them it had so many successes in all.
    pub(crate) fn on_failure(&self, run: u32, successes: u64) {
        let (now, before) = (self.now.get(), self.before.get());
        if now < before {
            self.now.set(now / (1.0 + now));
            return;
        }
        self.set(before * (1.0 - GAIN));
        if run == self.run.load(Relaxed) && successes >= KNOWN {
            let sound = (0..run).fold(SOUND, |share, _| share * (1.0 - GAIN));
            if self.before.get() >= sound {
                self.now.set(1.0 / (run as f32 + 1.0));
            }
        }
    }

    /// It was too busy for one: that is neither.
    pub(crate) fn on_throttled(&self, worth: f32) {
        let (now, before) = (self.now.get(), self.before.get());
        if now == before {
            self.set(before + (worth - before) * GAIN);
        }
    }

    /// It is one of so many. For the writer.
    pub(crate) fn set_peers(&self, instances: usize) {
        let run = RUNS[usize::from(instances <= MANY)];
        if self.run.load(Relaxed) != run {
            self.run.store(run, Relaxed);
        }
    }

    fn set(&self, share: f32) {
        self.before.set(share);
        self.now.set(share);
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> f32 {
        self.now.get()
    }

    /// Whether it is asked for no more than to see whether it is back.
    #[inline(always)]
    pub(crate) fn has_fallen(&self) -> bool {
        self.now.get() < FALLEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_failures_in_a_row_of_one_that_never_failed_are_a_fall_and_one_success_ends_it() {
        let trust = Trust::default();
        trust.set_peers(17);
        trust.on_failure(1, KNOWN);
        assert!(trust.get() > 0.93 && !trust.has_fallen());
        let believed = [2, 3, 4].map(|run| {
            trust.on_failure(run, KNOWN);
            trust.get()
        });
        for (share, expected) in believed.iter().zip([1.0 / 3.0, 0.25, 0.2]) {
            assert!((share - expected).abs() < 1e-6, "{believed:?}");
        }
        // Whatever happened meanwhile: what was forgiven elsewhere, or that it was too busy.
        (0..1000).for_each(|_| trust.on_failure(1, KNOWN));
        trust.on_throttled(0.75);
        assert!(trust.has_fallen());
        trust.on_success();
        assert!((0.88..0.9).contains(&trust.get()), "{}", trust.get());
    }

    #[test]
    fn in_a_small_fleet_it_takes_three() {
        let trust = Trust::default();
        trust.set_peers(16);
        (1..3).for_each(|run| trust.on_failure(run, KNOWN));
        assert!(trust.get() > 0.87);
        trust.on_failure(3, KNOWN);
        assert_eq!(trust.get(), 0.25);
        trust.on_success();
        assert!((0.82..0.84).contains(&trust.get()), "{}", trust.get());
    }

    #[test]
    fn who_failed_before_or_is_new_does_not_fall() {
        let flaky = Trust::default();
        for _ in 0..4 {
            flaky.on_failure(1, KNOWN);
            (0..9).for_each(|_| flaky.on_success());
        }
        (1..4).for_each(|run| flaky.on_failure(run, KNOWN));
        assert!(flaky.get() > 0.65, "{}", flaky.get());
        let new = Trust::default();
        (1..4).for_each(|run| new.on_failure(run, KNOWN - 1));
        assert!(new.get() > 0.8);
        // Who fails nearly all is not trusted either, without a fall.
        (4..40).for_each(|run| new.on_failure(run, KNOWN - 1));
        assert!(new.has_fallen());
        let busy = Trust::default();
        (0..100).for_each(|_| busy.on_throttled(0.75));
        assert!((busy.get() - 0.75).abs() < 1e-3);
    }
}
