//! What there is to see at a moment: read from published views and counters, as the admin API does,
//! so that looking slows nothing down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use evenkeel_core::{Event, EventKind, InstanceState, Nanos, StrategyName};
use evenkeel_runtime::{Balancer, Service};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::script;
use super::site::Site;
use super::stage::Stage;
use super::tally::Tally;

/// Shares are of the picks of this long.
pub(super) const RECENT: Duration = Duration::from_secs(3);

/// One instance at a moment.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: InstanceState,
    pub(super) score: f32,
    /// Picks in the last [`RECENT`], and those of the whole service.
    pub(super) picks: (u64, u64),
    pub(super) in_flight: u32,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
    pub(super) errors: u64,
}

/// What the clients of one balancer have seen so far.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    pub(super) strategy: StrategyName,
    pub(super) requests: u64,
    pub(super) in_flight: u64,
    pub(super) errors: u64,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
}

/// Everything at a moment.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) now: SystemTime,
    pub(super) elapsed: Duration,
    pub(super) duration: Duration,
    pub(super) caption: String,
    pub(super) rows: Vec<Row>,
    /// Of the balancer that is shown, then of the one it is compared with.
    pub(super) clients: Vec<Clients>,
}

impl Frame {
    /// What goes on: the script's doing, then the wait for the last answers.
    pub(super) fn activity(&self) -> String {
        let left: u64 = self.clients.iter().map(|clients| clients.in_flight).sum();
        match left {
            _ if self.elapsed < self.duration => self.caption.clone(),
            0 => "done".to_owned(),
            1 => "waiting for the last request".to_owned(),
            _ => format!("waiting for the last {left} requests"),
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) struct News {
    pub(super) at: SystemTime,
    pub(super) text: String,
    pub(super) source: Source,
}

/// Whose doing it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A backend changed because the script says so. The balancer is not told.
    Script,
    /// The balancer took note.
    Balancer(EventKind),
}

/// Where clients are counted.
pub(super) type Clientele = (StrategyName, Arc<Mutex<Tally>>);

/// Looks at a site.
pub(super) struct Board {
    stage: Stage,
    balancer: Balancer,
    service: Arc<Service>,
    events: broadcast::Receiver<Arc<Event>>,
    clienteles: Vec<Clientele>,
    told: f64,
    /// Picks per member at past moments, oldest first.
    past: VecDeque<(Duration, Vec<u64>)>,
}

impl Board {
    pub(super) fn new(stage: &Stage, site: &Site, clienteles: Vec<Clientele>) -> Self {
        Self {
            stage: stage.clone(),
            balancer: site.balancer.clone(),
            service: Arc::clone(&site.service),
            events: site.balancer.subscribe(),
            clienteles,
            told: -1.0,
            past: VecDeque::new(),
        }
    }

    /// What happened since the last call, in order of time.
    pub(super) fn news(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        let (part, now) = (self.stage.part(), SystemTime::now());
        let changes = script::changes(self.told, part);
        self.told = part;
        news.extend(changes.into_iter().map(|(at, text)| News {
            at: now - self.stage.duration().mul_f64(part - at),
            text,
            source: Source::Script,
        }));
        loop {
            match self.events.try_recv() {
                Ok(event) if is_news(event.kind) => news.push(News {
                    at: self.balancer.clock().wall(event.at),
                    text: event.to_string(),
                    source: Source::Balancer(event.kind),
                }),
                Ok(_) | Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        news.sort_by_key(|one| one.at);
        news
    }

    /// The present moment.
    pub(super) fn frame(&mut self) -> Frame {
        let elapsed = self.stage.elapsed();
        let view = self.service.view_full();
        let picks: Vec<u64> = view.members().map(|(_, m, _)| m.stats().picks()).collect();
        let before = self.remember(elapsed, picks.clone());
        let recent: Vec<u64> = picks.iter().zip(before).map(|(now, then)| now - then).collect();
        let total = recent.iter().sum();
        let rows = view.members().zip(recent).map(|((_, member, status), recent)| {
            let stats = member.stats();
            let quantile = |q| stats.response_times().quantile(q).map(Nanos::as_duration);
            Row {
                name: member.instance().id.to_string(),
                state: status.state,
                score: stats.health(),
                picks: (recent, total),
                in_flight: member.load().get(),
                p50: quantile(0.5),
                p99: quantile(0.99),
                errors: stats.failures(),
            }
        });
        Frame {
            now: SystemTime::now(),
            elapsed,
            duration: self.stage.duration(),
            caption: script::caption(self.stage.part()),
            rows: rows.collect(),
            clients: self.clienteles.iter().map(clients).collect(),
        }
    }

    /// Notes the picks of now and returns those of [`RECENT`] ago, or of the begin.
    fn remember(&mut self, now: Duration, picks: Vec<u64>) -> Vec<u64> {
        let long_ago = now.saturating_sub(RECENT);
        while self.past.get(1).is_some_and(|(at, _)| *at <= long_ago) {
            self.past.pop_front();
        }
        let then = self.past.front().map(|(_, picks)| picks.clone());
        let then = then.unwrap_or_else(|| vec![0; picks.len()]);
        self.past.push_back((now, picks));
        then
    }
}

fn clients((strategy, tally): &Clientele) -> Clients {
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    Clients {
        strategy: *strategy,
        requests: tally.requests(),
        in_flight: tally.in_flight(),
        errors: tally.errors(),
        p50: tally.quantile(0.5),
        p99: tally.quantile(0.99),
    }
}

/// Registrations are part of the start.
fn is_news(kind: EventKind) -> bool {
    !matches!(
        kind,
        EventKind::Registered | EventKind::Deregistered | EventKind::Changed
    )
}

impl News {
    /// As a line, with or without the mark that tells the script from the balancer.
    pub(super) fn line(&self) -> String {
        let time = super::text::hms(self.at);
        match self.source {
            Source::Script => format!("{time} script: {}", self.text),
            Source::Balancer(_) => format!("{time} {}", self.text),
        }
    }
}

/// A moment for the tests of those who show it.
#[cfg(test)]
pub(super) mod sample {
    use super::*;

    fn clients(strategy: StrategyName) -> Clients {
        Clients {
            strategy,
            requests: 1_234_567,
            in_flight: 12_345,
            errors: 12_345,
            p50: Some(Duration::from_micros(5_340)),
            p99: Some(Duration::from_millis(1_250)),
        }
    }

    /// A moment of a demo of 30 s.
    pub(in super::super) fn frame(elapsed: u64) -> Frame {
        let row = |name: &str, state| Row {
            name: name.to_owned(),
            state,
            score: 1.0,
            picks: (60, 400),
            in_flight: 3,
            p50: Some(Duration::from_micros(5_340)),
            p99: None,
            errors: 7,
        };
        let until = Nanos::from_secs(1);
        Frame {
            now: SystemTime::UNIX_EPOCH,
            elapsed: Duration::from_secs(elapsed),
            duration: Duration::from_secs(30),
            caption: "web-4 fails fast".to_owned(),
            rows: (1..=script::INSTANCES)
                .map(|n| match n {
                    4 => row("web-4", InstanceState::Ejected { until }),
                    _ => row(&format!("web-{n}"), InstanceState::Healthy),
                })
                .collect(),
            clients: super::super::STRATEGIES.map(clients).to_vec(),
        }
    }
}
