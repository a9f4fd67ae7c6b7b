//! What was, for who looks back: response times and requests of late, and the least that response times were.

use super::{IN_A_ROW, Look};
use crate::Nanos;

/// What counts as of late for the least response time: this long at least, and twice as long at most.
const HALF: Nanos = Nanos::from_secs(300);

/// The least response time of late. It is followed whatever else holds, so that no fleet counts as full for ever because it was
/// faster once.
#[derive(Debug)]
pub(super) struct Least {
    began: Nanos,
    /// Since then, and in the time before; infinite where nothing was answered.
    least: [f64; 2],
}

impl Least {
    pub(super) const fn new(now: Nanos) -> Self {
        Self {
            began: now,
            least: [f64::INFINITY; 2],
        }
    }

    pub(super) fn take(&mut self, time: Option<f64>, now: Nanos) {
        if now.since(self.began) >= HALF {
            self.least = [f64::INFINITY, self.least[0]];
            self.began = now;
        }
        self.least[0] = self.least[0].min(time.unwrap_or(f64::INFINITY));
    }

    /// Infinite when nothing was answered.
    pub(super) fn get(&self) -> f64 {
        self.least[0].min(self.least[1])
    }

    pub(super) fn shift(&mut self, back: Nanos) {
        self.began = self.began.since(back);
    }
}

/// How a service did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// Response time per success, in ns.
    pub(super) time: f64,
    /// Requests per second.
    pub(super) rate: f64,
}

/// The last stretches of time without a gap, each as long as a window at least.
#[derive(Debug, Default)]
pub(super) struct Past {
    began: Option<Nanos>,
    times: f64,
    looks: f64,
    requests: u64,
    /// Newest last.
    done: Vec<Pace>,
}

impl Past {
    pub(super) fn take(&mut self, look: &Look, length: Nanos) {
        let Some(began) = self.began else {
            // Its requests were before.
            self.began = Some(look.now);
            return;
        };
        self.requests += look.requests;
        if let Some(time) = look.response_time {
            self.times += time;
            self.looks += 1.0;
        }
        let took = look.now.since(began);
        if took < length {
            return;
        }
        let pace = Pace {
            time: self.times / self.looks,
            rate: self.requests as f64 / took.as_secs_f64(),
        };
        let mut done = std::mem::take(&mut self.done);
        if self.looks == 0.0 {
            done.clear();
        } else {
            done.push(pace);
        }
        if done.len() > IN_A_ROW as usize {
            done.remove(0);
        }
        *self = Self {
            began: Some(look.now),
            done,
            ..Self::default()
        };
    }

    /// Over as many stretches as a change takes windows; `None` while there are fewer.
    pub(super) fn mean(&self) -> Option<Pace> {
        let n = self.done.len() as f64;
        let mean = |of: fn(&Pace) -> f64| self.done.iter().map(of).sum::<f64>() / n;
        (self.done.len() >= IN_A_ROW as usize).then(|| Pace {
            time: mean(|pace| pace.time),
            rate: mean(|pace| pace.rate),
        })
    }
}
