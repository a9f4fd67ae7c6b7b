//! A server: cores that are shared by requests, or worked by so many at a time while the others wait; faults,
//! neighbours on its machine, a cold start, what it remembers and what it reports.
//!
//! Sharing is exact: all requests that run get the same rate, so each ends when the work that every one of them
//! attained reaches what it had attained at the start plus its own. One number grows, and the order of ends is a heap.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use evenkeel_config::ServersFile;
use evenkeel_core::{Nanos, Rng};

mod cache;
mod faults;
mod reports;
mod tenants;

use cache::Cache;
pub(crate) use faults::{Condition, Fault};
pub(crate) use reports::Report;
use reports::Reporter;
use tenants::Tenants;

/// How many steps a speed or a fault that grows is cut into.
const STEPS: u64 = 50;

/// So many of those that nobody waits for are kept for their turn, however few others there are.
const FORGOTTEN: usize = 1024;

/// A request at a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Job {
    pub(crate) request: u32,
    /// Which attempt of the request.
    pub(crate) attempt: u32,
    /// Nanoseconds for one core of speed 1.
    pub(crate) work: f64,
    pub(crate) arrived: Nanos,
    /// Requests that it met here.
    pub(crate) met: u32,
    /// Nanoseconds that it kept a core, once it left.
    pub(crate) took: f64,
}

/// What becomes of a request that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reception {
    Taken,
    /// Too many are here.
    Full,
}

#[derive(Debug)]
struct Running {
    ends_at: f64,
    order: u64,
    /// What `kept` was when it began.
    since: f64,
    job: Job,
}

/// What a change of its condition brought about.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// What it worked on and lost.
    pub(crate) lost: Vec<Job>,
    /// Whether it is being restarted, when that changed.
    pub(crate) restarts: Option<bool>,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Server {
    cores: f64,
    speed: f64,
    workers: usize,
    room: usize,
    works_on: bool,
    cold: Option<(f64, Nanos)>,
    /// When it last began; those that are there from the start are warm.
    began: Nanos,
    faults: Vec<Fault>,
    condition: Condition,
    tenants: Option<Tenants>,
    cache: Option<Cache>,
    reporter: Reporter,
    /// Cores it may use now.
    available: f64,
    running: BinaryHeap<Running>,
    /// Those of `running` that somebody waits for, or that it works on anyway.
    active: usize,
    waiting: VecDeque<Job>,
    /// Work that each running request has attained since the beginning of time.
    attained: f64,
    /// Nanoseconds that each running request kept a core since the beginning of time.
    kept: f64,
    /// Of it, per nanosecond.
    rate: f64,
    at: Nanos,
    order: u64,
    /// Grows with every plan, so that older ones are void.
    version: u32,
    /// Of requests in a row that fail still.
    burst: u32,
}

impl Server {
    pub(crate) fn new(spec: &ServersFile, faults: Vec<Fault>, rng: &mut Rng) -> Self {
        let cores = spec.cores.map_or(1.0, |cores| cores.0);
        Self {
            cores,
            speed: spec.speed.map_or(1.0, |speed| speed.0),
            workers: spec.workers.map_or(usize::MAX, usize::from),
            room: spec.queue.map_or(usize::MAX, usize::from),
            works_on: spec.works_on.unwrap_or(true),
            cold: spec.cold_start.map(|cold| (cold.speed.0, cold.over.0)),
            began: spec.joins.map_or(Nanos::ZERO, |joins| joins.0),
            faults,
            condition: Condition::SOUND,
            tenants: spec.machine.map(|machine| Tenants::new(machine, cores, rng)),
            cache: spec.cache.map(Cache::new),
            reporter: Reporter::new(spec.reports == Some(true)),
            available: cores,
            running: BinaryHeap::new(),
            active: 0,
            waiting: VecDeque::new(),
            attained: 0.0,
            kept: 0.0,
            rate: 0.0,
            at: Nanos::ZERO,
            order: 0,
            version: 0,
            burst: 0,
        }
    }

    /// How it is.
    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Whether any fault is on.
    pub(crate) fn is_faulty(&self, now: Nanos) -> bool {
        self.faults.iter().any(|fault| fault.strength(now) > 0.0)
    }

    /// Whether it takes requests and works on them.
    pub(crate) fn is_up(&self) -> bool {
        let condition = &self.condition;
        !condition.refuses && !condition.restarts && condition.slow.is_finite()
    }

    /// Requests here.
    pub(crate) fn in_flight(&self) -> u32 {
        (self.active + self.waiting.len()) as u32
    }

    /// Whether it works on when the client gave up.
    pub(crate) fn works_on(&self) -> bool {
        self.works_on
    }

    /// Of the present plan.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// Brings it to `now`.
    fn advance(&mut self, now: Nanos) {
        let passed = now.since(self.at).0 as f64;
        self.at = now;
        if passed == 0.0 {
            return;
        }
        self.attained += self.rate * passed;
        let used = (self.active as f64).min(self.available);
        self.reporter.used(used * passed, now);
        self.kept += used / self.active.max(1) as f64 * passed;
    }

    /// A request arrives that asks for `key`.
    pub(crate) fn receive(&mut self, mut job: Job, key: u64, now: Nanos) -> Reception {
        self.advance(now);
        job.met = self.in_flight();
        if job.met as usize >= self.room.saturating_add(self.workers.min(1 << 30)) {
            return Reception::Full;
        }
        if let Some(cache) = &mut self.cache {
            job.work *= cache.factor(key);
        }
        if self.active < self.workers {
            self.start(job);
        } else {
            self.waiting.push_back(job);
        }
        Reception::Taken
    }

    fn start(&mut self, job: Job) {
        self.order += 1;
        self.active += 1;
        self.running.push(Running {
            ends_at: self.attained + job.work,
            order: self.order,
            since: self.kept,
            job,
        });
    }

    /// The first request ends, by the plan of this version; `alive` tells whether anybody waits for one.
    pub(crate) fn finish(&mut self, version: u32, now: Nanos, alive: impl Fn(&Job) -> bool) -> Option<Job> {
        if version != self.version {
            return None;
        }
        self.advance(now);
        let first = self.running.pop()?;
        self.attained = self.attained.max(first.ends_at);
        let counts = self.works_on || alive(&first.job);
        if counts {
            self.active -= 1;
            self.fill(&alive);
        }
        counts.then(|| first.left(self.kept))
    }

    /// Workers that are free take who waits.
    fn fill(&mut self, alive: &impl Fn(&Job) -> bool) {
        while self.active < self.workers
            && let Some(job) = self.waiting.pop_front()
        {
            if self.works_on || alive(&job) {
                self.start(job);
            }
        }
    }

    /// A client gave up on a request that it does not work on then; `alive` tells which still count.
    pub(crate) fn abandon(
        &mut self,
        request: u32,
        attempt: u32,
        now: Nanos,
        alive: impl Fn(&Job) -> bool,
    ) -> Option<Job> {
        self.advance(now);
        let is = |job: &Job| job.request == request && job.attempt == attempt;
        if let Some(place) = self.waiting.iter().position(is) {
            return self.waiting.remove(place);
        }
        // It stays in the heap until its turn, and counts no more.
        self.active = self.active.saturating_sub(1);
        self.fill(&alive);
        let left = self.running.iter().find(|running| is(&running.job));
        let left = left.map(|running| running.left(self.kept));
        // Where nothing ends, as while it hangs, no turn would come.
        if self.running.len() > FORGOTTEN + 2 * self.active {
            self.running.retain(|running| alive(&running.job));
        }
        left
    }

    /// What it has not finished.
    pub(crate) fn unfinished(&mut self, now: Nanos) -> impl Iterator<Item = Job> {
        self.advance(now);
        let kept = self.kept;
        self.running.iter().map(move |running| running.left(kept))
    }

    /// When the first ends, and the version of this plan. Call after every change.
    pub(crate) fn plan(&mut self, now: Nanos) -> Option<(Nanos, u32)> {
        self.advance(now);
        self.version = self.version.wrapping_add(1);
        let each = if self.active as f64 > self.available {
            self.available / self.active as f64
        } else {
            1.0
        };
        self.rate = if self.condition.slow.is_finite() {
            self.speed * self.warmth(now) * each / self.condition.slow
        } else {
            0.0
        };
        let first = self.running.peek()?;
        if self.rate <= 0.0 {
            return None;
        }
        let left = ((first.ends_at - self.attained) / self.rate).max(0.0);
        // A plan further away than a day is as good as none, and another will be made before.
        let at = now + Nanos(libm::ceil(left.min(1e14)) as u64);
        Some((at, self.version))
    }

    /// The part of its speed that it has, cold as it may be.
    fn warmth(&self, now: Nanos) -> f64 {
        let Some((least, over)) = self.cold else {
            return 1.0;
        };
        if over == Nanos::ZERO || self.began == Nanos::ZERO {
            return 1.0;
        }
        let part = now.since(self.began).0 as f64 / over.0 as f64;
        least + (1.0 - least) * part.min(1.0)
    }

    /// Takes in what time changed.
    pub(crate) fn change(&mut self, now: Nanos) -> Changed {
        self.advance(now);
        let before = std::mem::replace(&mut self.condition, Condition::of(&self.faults, now));
        if let Some(tenants) = &mut self.tenants {
            self.available = tenants.left(now);
        }
        let mut changed = Changed::default();
        if self.condition.crashed && !before.crashed {
            let kept = self.kept;
            changed.lost = self.running.drain().map(|running| running.left(kept)).collect();
            changed
                .lost
                .sort_unstable_by_key(|job| (job.request, job.attempt));
            changed.lost.extend(self.waiting.drain(..));
            self.active = 0;
        }
        if self.condition.burst > 0 && before.burst == 0 {
            self.burst = self.condition.burst;
        }
        if self.condition.restarts != before.restarts {
            changed.restarts = Some(self.condition.restarts);
            if before.restarts {
                self.began = now;
                if let Some(cache) = &mut self.cache {
                    cache.clear();
                }
            }
        }
        if self.condition.crashed != before.crashed && before.crashed {
            self.began = now;
        }
        self.reporter.memory = self.condition.memory;
        self.reporter.is(self.condition.reports, now);
        changed
    }

    /// When time changes it next.
    pub(crate) fn next_change(&self, now: Nanos) -> Option<Nanos> {
        let faults = self.faults.iter().filter_map(|fault| fault.next_change(now));
        let tenants = self.tenants.as_ref().map(|tenants| tenants.next_change(now));
        let warmer = self.cold.and_then(|(_, over)| {
            let warm = self.began + over;
            let step = Nanos(over.0 / STEPS).max(Nanos(1));
            (self.began > Nanos::ZERO && now < warm).then(|| (now + step).min(warm))
        });
        faults.chain(tenants).chain(warmer).min()
    }

    /// Whether the answer to a request that ends here is an error: `unit` is drawn for it.
    pub(crate) fn fails(&mut self, unit: f64) -> bool {
        if self.burst > 0 {
            self.burst -= 1;
            return true;
        }
        unit < self.condition.errors
    }

    /// Counts an answer.
    pub(crate) fn answered(&mut self, job: &Job, failed: bool, now: Nanos) {
        self.reporter
            .answered(job.met, now.since(job.arrived), failed, now);
    }

    /// How often its cache was asked, and how often it knew.
    pub(crate) fn cache_uses(&self) -> (u64, u64) {
        self.cache.as_ref().map_or((0, 0), Cache::uses)
    }

    /// What it says of its load; `None` when that gets lost.
    pub(crate) fn report(&mut self, now: Nanos) -> Option<Report> {
        self.advance(now);
        self.reporter.report(self.cores, self.in_flight(), now)
    }

    /// The usual time of requests that met as many as there are here now.
    pub(crate) fn usual_time(&self) -> Option<Nanos> {
        self.reporter.usual_time(self.in_flight())
    }
}

impl Running {
    /// Its job as it leaves, when all have kept a core for so long.
    fn left(&self, kept: f64) -> Job {
        Job {
            took: kept - self.since,
            ..self.job
        }
    }
}

impl Ord for Running {
    /// The greatest ends first.
    fn cmp(&self, other: &Self) -> Ordering {
        let ends = other.ends_at.total_cmp(&self.ends_at);
        ends.then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Running {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Running {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Running {}

#[cfg(test)]
mod tests;
