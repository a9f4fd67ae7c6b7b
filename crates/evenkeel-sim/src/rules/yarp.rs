//! Power of two choices over the number of requests at the servers, which every client asks for now and then. The
//! Prequal paper compares with it under this name, after Microsoft's proxy, with a poll every 500 ms.

use evenkeel_core::{Nanos, Rng};

use super::{ProbeAnswer, Rule, RuleContext};

const EVERY: Nanos = Nanos::from_millis(500);

#[derive(Debug)]
pub(super) struct Yarp {
    in_flight: Vec<u32>,
}

impl Yarp {
    pub(super) fn new(servers: usize, _: usize) -> Self {
        Self {
            in_flight: vec![0; servers],
        }
    }
}

impl Rule for Yarp {
    fn pick(&mut self, cx: &mut RuleContext<'_>) -> Option<u32> {
        let (first, second) = (cx.any()?, cx.any()?);
        let fewer = self.in_flight[second as usize] < self.in_flight[first as usize];
        Some(if fewer { second } else { first })
    }

    fn answered(&mut self, server: u32, answer: ProbeAnswer, _: Nanos, _: &mut Rng) {
        self.in_flight[server as usize] = answer.in_flight;
    }

    fn polls_every(&self) -> Option<Nanos> {
        Some(EVERY)
    }
}
