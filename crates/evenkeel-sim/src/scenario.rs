//! A scenario, ready to run.

use std::sync::Arc;

use evenkeel_config::{
    ArrivalsFile, BudgetText, ClientsFile, ConfigError, KeysFile, NetworkFile, ScenarioFile, ServersFile,
    Service, WorkFile,
};
use evenkeel_core::{Nanos, RetryOn, StrategyName};

use crate::server::Fault;
use crate::trace::Recorded;

mod backlog;
mod memory;

const DEADLINE: Nanos = Nanos::from_secs(5);
const ROUND_TRIP: Nanos = Nanos(500_000);
const JITTER: f64 = 0.2;

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Scenario {
    name: String,
    about: String,
    /// Whose requests it has, when they were recorded.
    source: Option<Source>,
    pub(crate) duration: Nanos,
    pub(crate) warm_up: Nanos,
    pub(crate) arrivals: Arrivals,
    pub(crate) clients: usize,
    pub(crate) deadline: Nanos,
    pub(crate) retries: u32,
    pub(crate) retry_on: RetryOn,
    /// Part of requests that may be retries; infinite for no limit.
    pub(crate) retry_budget: f64,
    /// The region of each client; empty when they are nowhere.
    pub(crate) client_regions: Vec<String>,
    pub(crate) keys: Option<KeysFile>,
    pub(crate) work: WorkFile,
    pub(crate) network: Network,
    /// One for each server.
    pub(crate) servers: Vec<ServersFile>,
    /// Of each server.
    pub(crate) faults: Vec<Vec<Fault>>,
    pub(crate) service: Service,
}

/// Where recorded requests come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The record.
    pub file: String,
    /// The service that was chosen among those in it.
    pub service: Option<String>,
}

/// When requests come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arrivals {
    /// At these rates per second, for equal parts of the time after the warm-up; the first holds before too.
    Open(Vec<f64>),
    /// So many clients, each when it has the answer to its last.
    Closed(usize),
    /// As they were recorded.
    Recorded(Arc<[Recorded]>),
}

/// What lies between.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    round_trip: Nanos,
    pub(crate) jitter: f64,
    pub(crate) loss: f64,
    between: Vec<(String, String, Nanos)>,
}

impl Network {
    fn new(file: Option<NetworkFile>) -> Self {
        let file = file.unwrap_or_default();
        let between = file.between.into_iter();
        Self {
            round_trip: file.round_trip.map_or(ROUND_TRIP, |span| span.0),
            jitter: file.jitter.map_or(JITTER, |ratio| ratio.0),
            loss: file.loss.map_or(0.0, |ratio| ratio.0),
            between: between
                .map(|pair| (pair.regions.0, pair.regions.1, pair.round_trip.0))
                .collect(),
        }
    }

    /// There and back, without jitter.
    pub(crate) fn round_trip(&self, from: Option<&str>, to: Option<&str>) -> Nanos {
        let (Some(from), Some(to)) = (from, to) else {
            return self.round_trip;
        };
        let joins = |(a, b, _): &&(String, String, Nanos)| (a == from && b == to) || (a == to && b == from);
        self.between
            .iter()
            .find(joins)
            .map_or(self.round_trip, |pair| pair.2)
    }
}

impl Scenario {
    /// Reads a scenario; `name` is its name, or its file in errors.
    ///
    /// # Errors
    /// When the text is not a valid scenario.
    pub fn from_str(name: &str, text: &str) -> Result<Self, ConfigError> {
        Ok(Self::new(name, ScenarioFile::from_str(name, text)?))
    }

    fn new(name: &str, file: ScenarioFile) -> Self {
        let service = file.service();
        let servers: Vec<ServersFile> = file
            .servers
            .iter()
            .flat_map(|group| {
                let count = group.count.map_or(1, usize::from);
                std::iter::repeat_n(group.clone(), count)
            })
            .collect();
        let mut faults = vec![Vec::new(); servers.len()];
        for fault in &file.faults {
            for (place, server) in fault.servers.below(servers.len()).into_iter().enumerate() {
                faults[server].push(Fault::new(fault, place));
            }
        }
        let work = file.work.unwrap_or(WorkFile::USUAL);
        let clients = file.clients.unwrap_or_default();
        let count = clients.count.map_or(1, usize::from);
        Self {
            name: name.to_owned(),
            about: file.about,
            source: None,
            duration: file.duration.0,
            warm_up: file.warm_up.map_or(Nanos::ZERO, |span| span.0),
            arrivals: arrivals(&file.arrivals, &servers, &work),
            deadline: clients.deadline.map_or(DEADLINE, |span| span.0),
            retries: clients.retries.map_or(service.retry.attempts, u32::from),
            retry_on: (&service.retry.on).into(),
            retry_budget: match clients.retry_budget {
                None => service.retry.budget,
                Some(BudgetText::Part(part)) => part,
                Some(BudgetText::Unlimited) => f64::INFINITY,
            },
            client_regions: client_regions(&clients, count),
            clients: count,
            keys: clients.keys,
            work,
            network: Network::new(file.network),
            servers,
            faults,
            service,
        }
    }

    /// The same fleet with the requests of a record instead of its own.
    #[must_use]
    pub fn with_trace(mut self, trace: impl Into<Arc<[Recorded]>>) -> Self {
        let trace = trace.into();
        let length = trace.last().map_or(Nanos::ZERO, |last| last.at);
        self.duration = length + Nanos(1);
        self.warm_up = Nanos::ZERO;
        self.arrivals = Arrivals::Recorded(trace);
        self
    }

    /// Has reports say whose requests they are.
    #[must_use]
    pub fn recorded_in(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// Where its requests come from, when they were recorded and it is known.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its clients balance by, unless told otherwise.
    #[must_use]
    pub fn strategy(&self) -> StrategyName {
        self.service.strategy.name.0
    }

    /// What happens in it.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The step of the load at `now`.
    pub(crate) fn step(&self, now: Nanos) -> usize {
        let length = self.duration.since(self.warm_up).0.max(1);
        let since = now.since(self.warm_up).0.min(length - 1);
        (u128::from(since) * self.steps() as u128 / u128::from(length)) as usize
    }

    /// How many steps the load has.
    pub(crate) fn steps(&self) -> usize {
        match &self.arrivals {
            Arrivals::Open(rates) => rates.len(),
            Arrivals::Closed(_) | Arrivals::Recorded(_) => 1,
        }
    }

    /// Requests per second at `now`.
    pub(crate) fn rate(&self, now: Nanos) -> f64 {
        match &self.arrivals {
            Arrivals::Open(rates) => rates.get(self.step(now)).copied().unwrap_or(1.0),
            Arrivals::Closed(_) | Arrivals::Recorded(_) => 0.0,
        }
    }

    /// When arrivals end.
    #[must_use]
    pub fn duration(&self) -> Nanos {
        self.duration
    }

    /// About how many requests a run has.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let seconds = self.duration.as_secs_f64();
        match &self.arrivals {
            Arrivals::Open(rates) => (rates.iter().sum::<f64>() / rates.len() as f64 * seconds) as u64,
            Arrivals::Closed(clients) => {
                (*clients as f64 * seconds / (self.work.mean() / 1e9).max(1e-6)) as u64
            }
            Arrivals::Recorded(trace) => trace.len() as u64,
        }
    }

    /// Whether requests ask for what others ask for too.
    pub(crate) fn has_keys(&self) -> bool {
        let recorded = match &self.arrivals {
            Arrivals::Recorded(trace) => trace.iter().any(|request| request.key.is_some()),
            Arrivals::Open(_) | Arrivals::Closed(_) => false,
        };
        recorded || self.keys.is_some()
    }

    /// The rates of the steps of the load.
    pub(crate) fn loads(&self) -> &[f64] {
        match &self.arrivals {
            Arrivals::Open(rates) => rates,
            Arrivals::Closed(_) | Arrivals::Recorded(_) => &[],
        }
    }

    /// From when until when, in seconds, anything is wrong.
    pub(crate) fn fault_spans(&self) -> Vec<(f64, f64)> {
        let mut spans: Vec<(f64, f64)> = Vec::new();
        for fault in self
            .faults
            .iter()
            .flatten()
            .filter(|fault| fault.from > Nanos::ZERO)
        {
            let span = (
                fault.from.as_secs_f64(),
                fault.until.min(self.duration).as_secs_f64(),
            );
            if !spans.contains(&span) {
                spans.push(span);
            }
        }
        spans
    }

    /// Servers with a fault that has a begin, those whose begins first before others.
    pub(crate) fn faulty_servers(&self) -> Vec<usize> {
        let begin = |server: &usize| {
            let begins = self.faults[*server].iter().map(|fault| fault.from);
            begins.filter(|from| *from > Nanos::ZERO).min()
        };
        let mut faulty: Vec<usize> = (0..self.servers.len())
            .filter(|server| begin(server).is_some())
            .collect();
        faulty.sort_by_key(begin);
        faulty
    }

    /// Servers that never have a fault.
    pub(crate) fn sound_servers(&self) -> Vec<usize> {
        (0..self.servers.len())
            .filter(|server| self.faults[*server].is_empty())
            .collect()
    }

    /// How many faults begin only when the run is over: with a trace that is shorter than the scenario.
    #[must_use]
    pub fn late_faults(&self) -> usize {
        let all = self.faults.iter().flatten();
        all.filter(|fault| fault.from >= self.duration && fault.from > Nanos::ZERO)
            .count()
    }

    /// Whether what goes wrong has a beginning or an end within the run.
    pub(crate) fn fault_times(&self) -> Option<(Nanos, Nanos)> {
        let all = self.faults.iter().flatten();
        let from = all.clone().map(|fault| fault.from).min()?;
        let until = all.map(|fault| fault.until.min(self.duration)).max()?;
        Some((from, until))
    }
}

fn arrivals(file: &ArrivalsFile, servers: &[ServersFile], work: &WorkFile) -> Arrivals {
    if let Some(clients) = file.concurrency {
        return Arrivals::Closed(clients.into());
    }
    if let Some(rate) = file.rate {
        return Arrivals::Open(vec![rate.0]);
    }
    let per_second = cores(servers) * 1e9 / work.mean();
    let loads = match (&file.steps, file.load) {
        (Some(steps), _) => steps.iter().map(|step| step.0).collect(),
        (None, load) => vec![load.map_or(0.7, |load| load.0)],
    };
    Arrivals::Open(loads.into_iter().map(|load: f64| load * per_second).collect())
}

/// Cores of speed 1 of the servers that are there from the beginning.
fn cores(servers: &[ServersFile]) -> f64 {
    let cores = |server: &ServersFile| {
        let cores = server.cores.map_or(1.0, |cores| cores.0);
        cores * server.speed.map_or(1.0, |speed| speed.0)
    };
    let present = servers
        .iter()
        .filter(|server| server.joins.is_none_or(|joins| joins.0 == Nanos::ZERO));
    present.map(cores).sum()
}

/// A region for each of `count` clients, by the parts that each region has.
fn client_regions(clients: &ClientsFile, count: usize) -> Vec<String> {
    let Some(parts) = &clients.regions else {
        return Vec::new();
    };
    let mut sum = 0.0;
    let bounds: Vec<(f64, &String)> = parts
        .iter()
        .map(|(name, part)| {
            sum += part.0;
            (sum, name)
        })
        .collect();
    let region = |client: usize| {
        let place = (client as f64 + 0.5) / count as f64;
        let found = bounds.iter().find(|(bound, _)| place < *bound).or(bounds.last());
        found.map(|(_, name)| (*name).clone()).unwrap_or_default()
    };
    (0..count).map(region).collect()
}
