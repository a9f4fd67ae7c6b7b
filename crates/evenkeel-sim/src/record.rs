//! What is written down of a run.

use evenkeel_core::{Calibration, Event, EventKind, Nanos, ShadowCounts, StrategyName};
use hdrhistogram::Histogram;

use crate::scenario::Scenario;

mod after;
mod fair;
mod ledger;

pub(crate) use after::{AVOIDED, BACK};
use fair::Fair;
pub(crate) use fair::fair_part;
pub use ledger::Account;
use ledger::Ledger;

/// Shares of servers are looked at in pieces of this length.
pub(crate) const PIECE: Nanos = Nanos::from_millis(250);
/// Time lines have so many points…
const POINTS: u64 = 240;
/// …unless they were closer together than that.
const CLOSEST: Nanos = Nanos::from_millis(50);
/// Significant digits of the latencies of a step, and of a point.
const DIGITS: [u8; 2] = [3, 2];
/// The longest time told apart.
const LONGEST: u64 = 3_600_000_000;

/// Microseconds of what was answered, and how much was not.
#[derive(Debug, Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
    errors: u64,
}

impl Latencies {
    fn new(digits: u8) -> Self {
        Self {
            histogram: Histogram::new_with_bounds(1, LONGEST, digits)
                .expect("the bounds are valid constants"),
            errors: 0,
        }
    }

    /// What it has on the heap.
    fn bytes(&self) -> u64 {
        (self.histogram.distinct_values() * size_of::<u64>()) as u64
    }

    fn record(&mut self, latency: Nanos, failed: bool) {
        if failed {
            self.errors += 1;
        } else {
            self.histogram.saturating_record((latency.0 / 1000).max(1));
        }
    }

    fn add(&mut self, other: &Self) {
        // Both have the same bounds and digits.
        let _ = self.histogram.add(&other.histogram);
        self.errors += other.errors;
    }

    /// Answered or not.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.histogram.len() + self.errors
    }

    /// Not answered, or by an error.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Milliseconds within which this part of all requests was answered well; `None` when errors are more than the
    /// rest: an error is slower than any answer.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let all = self.requests();
        let place = (libm::ceil(all as f64 * part) as u64).max(1);
        if all == 0 || place > self.histogram.len() {
            return None;
        }
        let of_answered = place as f64 / self.histogram.len() as f64;
        Some(self.histogram.value_at_quantile(of_answered.min(1.0)) as f64 / 1000.0)
    }

    /// The mean of those answered well, in milliseconds; `None` when there is none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (!self.histogram.is_empty()).then(|| self.histogram.mean() / 1000.0)
    }

    /// Part of requests that were not answered well within `limit`.
    #[must_use]
    pub fn beyond(&self, limit: Nanos) -> f64 {
        let within = self.histogram.count_between(0, limit.0 / 1000);
        1.0 - within as f64 / self.requests().max(1) as f64
    }
}

/// One point of a time line.
#[derive(Debug, Clone)]
pub struct Point {
    /// Of what arrived since the point before.
    pub latencies: Latencies,
    /// Attempts by server.
    pub picks: Vec<u32>,
    /// The score of each server, as the first client has it; NaN when unknown.
    pub scores: Vec<f32>,
    /// Requests in flight at each server, by all clients, on average; NaN when nobody looked.
    pub in_flight: Vec<f32>,
    looks: u32,
}

/// One ejection or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: Nanos,
    /// By which client.
    pub balancer: usize,
    /// What, in words and numbers.
    pub text: String,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Run {
    /// Of each step of the load.
    pub steps: Vec<Latencies>,
    /// All steps.
    pub all: Latencies,
    /// While a fault was on somewhere.
    pub during: Latencies,
    /// The time line, warm-up included.
    pub points: Vec<Point>,
    /// The time between two points.
    pub interval: Nanos,
    /// How evenly, for what, how far away and for which keys servers worked.
    pub account: Account,
    /// Attempts for each request.
    pub attempts: f64,
    /// Attempts at the busiest server, as a multiple of its fair share: the mean, by weight, of those that are registered.
    pub max_over_mean: f64,
    /// The 99th percentile of requests in flight, over servers and time.
    pub in_flight_p99: u32,
    /// Ejections of servers that had no fault.
    pub false_ejections: u64,
    /// Ejections of servers that had one.
    pub true_ejections: u64,
    /// From the begin of a fault until its servers are avoided, the longest; `None` when one never was.
    pub detected_after: Option<Nanos>,
    /// From the end of a fault until its servers are back, the longest; `None` when one never was.
    pub recovered_after: Option<Nanos>,
    /// Whether the two say anything: there is a fault with a begin, or with an end.
    pub has_faults: (bool, bool),
    /// Whether they are `None` because too few requests came to tell.
    pub too_few: (bool, bool),
    /// From the end of the last fault until as much is answered well as comes; `None` when that never was.
    pub goodput_after: Option<Nanos>,
    /// Part of requests whose server remembered the answer; `None` without caches.
    pub cache_hits: Option<f64>,
    /// How good the predictions of all clients were.
    pub calibration: Calibration,
    /// What the writers told, the first of them.
    pub told: Vec<Told>,
    /// Each time that `auto` handed over to another strategy.
    pub switches: Vec<Told>,
    /// Requests in all, those of the warm-up included.
    pub requests: u64,
    /// What the simulator did for them: arrivals, ways over the network, ends, ticks, checks, samples.
    pub events: u64,
    /// The shadow strategy, with what came of asking it at all clients; `None` without one.
    pub shadow: Option<(StrategyName, ShadowCounts)>,
    /// A hash of all requests, in order, with their times and servers: the same for the same run.
    pub trace: u64,
}

fn interval(scenario: &Scenario) -> Nanos {
    Nanos(scenario.duration.0 / POINTS).max(CLOSEST)
}

impl Scenario {
    /// About how many bytes what is kept of a run takes, its time line apart.
    #[must_use]
    pub fn kept(&self) -> u64 {
        // All, and those during faults.
        let latencies = (self.steps() as u64 + 2) * Latencies::new(DIGITS[0]).bytes();
        latencies + (TOLD * 256 + size_of::<Run>()) as u64
    }

    /// And its time line.
    #[must_use]
    pub fn time_line(&self) -> u64 {
        let points = self.duration.0 / interval(self).0 + 1;
        let point = Latencies::new(DIGITS[1]).bytes() + size_of::<Point>() as u64;
        points * (point + self.servers.len() as u64 * 12)
    }
}

/// Most transitions kept for a report.
const TOLD: usize = 400;

#[derive(Debug)]
pub(crate) struct Record {
    steps: Vec<Latencies>,
    during: Latencies,
    fault_times: Option<(Nanos, Nanos)>,
    points: Vec<Point>,
    interval: Nanos,
    /// Attempts by piece and server.
    pieces: Vec<Vec<u32>>,
    fair: Fair,
    servers: usize,
    /// Requests in all…
    ended: u64,
    /// …and those that are counted.
    requests: u64,
    attempts: u64,
    in_flight: Histogram<u64>,
    false_ejections: u64,
    true_ejections: u64,
    told: Vec<Told>,
    switches: Vec<Told>,
    trace: u64,
    warm_up: Nanos,
    /// Uses of caches, and hits, before the warm-up ended.
    cache_before: (u64, u64),
    step: StepOf,
    pub(crate) ledger: Ledger,
}

/// Which step a time is in.
#[derive(Debug)]
struct StepOf {
    begin: Nanos,
    length: u64,
    steps: usize,
}

impl Record {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            steps: vec![Latencies::new(DIGITS[0]); scenario.steps()],
            during: Latencies::new(DIGITS[0]),
            fault_times: scenario.fault_times(),
            points: Vec::new(),
            interval: interval(scenario),
            pieces: Vec::new(),
            fair: Fair::new(scenario),
            servers: scenario.servers.len(),
            ended: 0,
            requests: 0,
            attempts: 0,
            in_flight: Histogram::new_with_bounds(1, 10_000_000, 3).expect("the bounds are valid constants"),
            false_ejections: 0,
            true_ejections: 0,
            told: Vec::new(),
            switches: Vec::new(),
            trace: 0xCBF2_9CE4_8422_2325,
            warm_up: scenario.warm_up,
            cache_before: (0, 0),
            step: StepOf {
                begin: scenario.warm_up,
                length: scenario.duration.since(scenario.warm_up).0.max(1),
                steps: scenario.steps(),
            },
            ledger: Ledger::new(scenario),
        }
    }

    fn point(&mut self, at: Nanos) -> &mut Point {
        let place = (at.0 / self.interval.0) as usize;
        while self.points.len() <= place {
            self.points.push(Point {
                latencies: Latencies::new(DIGITS[1]),
                picks: vec![0; self.servers],
                scores: vec![f32::NAN; self.servers],
                in_flight: vec![0.0; self.servers],
                looks: 0,
            });
        }
        &mut self.points[place]
    }

    pub(crate) fn picked(&mut self, server: u32, now: Nanos) {
        let server = server as usize;
        self.ledger.picked(server, now);
        self.fair.picked(now);
        self.point(now).picks[server] += 1;
        let piece = (now.0 / PIECE.0) as usize;
        while self.pieces.len() <= piece {
            self.pieces.push(vec![0; self.servers]);
        }
        self.pieces[piece][server] += 1;
    }

    pub(crate) fn ended(&mut self, arrived: Nanos, now: Nanos, server: u32, tries: u32, failed: bool) {
        let latency = now.since(arrived);
        self.ended += 1;
        for word in [
            arrived.0,
            latency.0,
            u64::from(server) << 32 | u64::from(tries) << 1 | u64::from(failed),
        ] {
            self.trace = (self.trace ^ word)
                .wrapping_mul(0x0000_0100_0000_01B3)
                .rotate_left(23);
        }
        self.point(arrived).latencies.record(latency, failed);
        if arrived < self.warm_up {
            return;
        }
        self.requests += 1;
        self.attempts += u64::from(tries);
        let since = arrived.since(self.step.begin).0.min(self.step.length - 1);
        let step = (u128::from(since) * self.step.steps as u128 / u128::from(self.step.length)) as usize;
        self.steps[step].record(latency, failed);
        if self
            .fault_times
            .is_some_and(|(from, until)| (from..until).contains(&arrived))
        {
            self.during.record(latency, failed);
        }
    }

    pub(crate) fn in_flight(&mut self, server: usize, requests: u32, now: Nanos) {
        let point = self.point(now);
        point.in_flight[server] += requests as f32;
        point.looks += u32::from(server == 0);
        if now >= self.warm_up {
            // 0 cannot be recorded; 1 more than there are.
            self.in_flight.saturating_record(u64::from(requests) + 1);
        }
    }

    /// Uses of all caches, and hits: what was before the end of the warm-up does not count.
    pub(crate) fn caches(&mut self, uses: (u64, u64), now: Nanos) {
        if now <= self.warm_up {
            self.cache_before = uses;
        }
    }

    pub(crate) fn score(&mut self, server: usize, score: f32, now: Nanos) {
        self.point(now).scores[server] = score;
    }

    pub(crate) fn event(&mut self, balancer: usize, event: &Event, is_faulty: impl Fn(usize) -> bool) {
        let server = event
            .instance
            .as_ref()
            .and_then(|id| id.as_str().strip_prefix("server-")?.parse().ok());
        if event.kind == EventKind::Ejected
            && let Some(server) = server
        {
            if is_faulty(server) {
                self.true_ejections += 1;
            } else {
                self.false_ejections += 1;
            }
        }
        let told = || Told {
            at: event.at,
            balancer,
            text: event.to_string(),
        };
        let switches = event.kind == EventKind::Switched;
        if switches {
            self.switches.push(told());
        }
        // Switches are few and say what the others came from.
        if self.told.len() < TOLD || switches {
            self.told.push(told());
        }
    }

    pub(crate) fn finish(mut self, scenario: &Scenario, events: u64, cache: (u64, u64)) -> Run {
        for point in &mut self.points {
            let looks = point.looks as f32;
            // Nothing over nothing is not known.
            point.in_flight.iter_mut().for_each(|sum| *sum /= looks);
        }
        let mut all = Latencies::new(DIGITS[0]);
        self.steps.iter().for_each(|step| all.add(step));
        let (avoided, back) = self.detection(scenario);
        Run {
            all,
            during: self.during.clone(),
            interval: self.interval,
            account: self.ledger.account(),
            attempts: self.attempts as f64 / self.requests.max(1) as f64,
            max_over_mean: self.max_over_fair(),
            in_flight_p99: self.in_flight.value_at_quantile(0.99).saturating_sub(1) as u32,
            false_ejections: self.false_ejections,
            true_ejections: self.true_ejections,
            detected_after: avoided.after(),
            recovered_after: back.after(),
            has_faults: (avoided.any, back.any),
            too_few: (avoided.is_unknown(), back.is_unknown()),
            goodput_after: self.goodput(scenario),
            cache_hits: {
                let uses = cache.0 - self.cache_before.0;
                (uses > 0).then(|| (cache.1 - self.cache_before.1) as f64 / uses as f64)
            },
            steps: self.steps,
            points: self.points,
            calibration: Calibration::default(),
            told: self.told,
            switches: self.switches,
            requests: self.ended,
            events,
            shadow: None,
            trace: self.trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_takes_is_known_before() {
        for (duration, steps) in [(3, 1), (30, 1), (600, 40)] {
            let text = format!(
                "about: x\nduration: {duration}s\narrivals: {{ steps: {:?} }}\nservers: [{{ count: 30 }}]\n",
                vec![0.001; steps]
            );
            let scenario = Scenario::from_str("x", &text).unwrap();
            let policy = "random".parse().unwrap();
            let run = crate::run(&scenario, &policy, 1, &mut |_| true).unwrap().unwrap();
            let all = [&run.all, &run.during];
            let latencies: u64 = run.steps.iter().chain(all).map(Latencies::bytes).sum();
            let of_point = |point: &Point| point.latencies.bytes() + 4 * 3 * point.picks.len() as u64;
            let points: u64 = run.points.iter().map(of_point).sum();
            for (known, found) in [(scenario.kept(), latencies), (scenario.time_line(), points)] {
                let ratio = known as f64 / found as f64;
                assert!((1.0..1.2).contains(&ratio), "{duration} s: {known} and {found}");
            }
            assert!(scenario.memory() > latencies + points);
        }
    }

    #[test]
    fn switches_are_kept_whatever_else_was_told() {
        let text = "about: x\nduration: 2s\narrivals: { rate: 5 }\nservers: [{ count: 1 }]\n";
        let scenario = Scenario::from_str("x", text).unwrap();
        let mut record = Record::new(&scenario);
        let kinds = std::iter::repeat_n(EventKind::Weakened, 2 * TOLD).chain([EventKind::Switched]);
        for kind in kinds {
            let event = Event {
                at: Nanos(1),
                service: "sim".into(),
                instance: None,
                kind,
                reason: "why".into(),
            };
            record.event(3, &event, |_| false);
        }
        let run = record.finish(&scenario, 0, (0, 0));
        assert_eq!((run.told.len(), run.switches.len()), (TOLD + 1, 1));
        assert_eq!(run.told.last(), run.switches.first());
    }
}
