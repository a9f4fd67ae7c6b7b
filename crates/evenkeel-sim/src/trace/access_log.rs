//! The access log of `evenkeel serve`.
//!
//! A line says when its request came and how long it took, and is written when the request ends; each worker hands its
//! lines over by and by. So times are not in order, but ends nearly are: a line may end at most [`LATE`] before one that
//! stands above it, and the requests are sorted by when they came. More means files in the wrong order, or a clock that was
//! set.
//!
//! The work of a request is the time that its last instance took to the head of its response: its queue there and the way
//! to it are part of that, so it is an upper bound, close where instances are not full. Requests that failed have none and
//! get one as the scenario draws it. Keys are those that the service hashed. Requests that came to no service are left out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use evenkeel_config::TimeText;
use evenkeel_core::Nanos;
use serde::Deserialize;

use super::{LONGEST, Recorded, Wrong, hash};

/// How much earlier a request may end than one that is written above it: lines wait up to a tick of 50 ms in their worker,
/// and for a disk that is behind; clocks are corrected.
const LATE: Nanos = Nanos::from_secs(10);
/// Services that are told apart.
const SERVICES: usize = 1000;

/// What is read of a line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    service: Option<Cow<'a, str>>,
    status: u16,
    duration_ms: f64,
    instance_ms: Option<f64>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
}

/// What is known of the lines so far.
#[derive(Debug)]
pub(super) struct AccessLog {
    /// Whose requests are taken; unless it is asked for, that of the first line.
    service: Option<String>,
    asked: bool,
    /// Requests of each service.
    services: BTreeMap<String, u64>,
    /// The latest end, since 1970, and its line.
    latest: (Nanos, usize),
}

impl AccessLog {
    pub(super) fn new(service: Option<String>) -> Self {
        Self {
            asked: service.is_some(),
            service,
            services: BTreeMap::new(),
            latest: (Nanos::ZERO, 0),
        }
    }

    /// Takes line `number`. Times of `requests` are since 1970 until [`Self::finish`].
    pub(super) fn line(
        &mut self,
        number: usize,
        line: &str,
        requests: &mut Vec<Recorded>,
    ) -> Result<(), Wrong> {
        let object = line.starts_with('{');
        let line: Line<'_> = serde_json::from_str(line).map_err(|error| {
            let error = error.to_string();
            let error = match error.split(" at line ").next() {
                Some(error) if object => error,
                _ => "it is not a JSON object",
            };
            (
                format!("this is no line of an access log: {error}"),
                "take the line out if it was cut off, as by a full disk; other logs can be read as `time,work_ms,key`"
                    .to_owned(),
            )
        })?;
        let time = line.time.parse::<TimeText>().map_err(|error| {
            let (what, help) = error.split_once('\n').unwrap_or((&error, "write it as RFC 3339"));
            (what.to_owned(), help.to_owned())
        })?;
        let at = Nanos::from(time.since_1970());
        let millis = |name: &str, ms: f64| {
            if (0.0..=LONGEST * 1000.0).contains(&ms) {
                Ok(ms * 1e6)
            } else {
                let what = format!("`{name}` is {ms}, which is no time that a request takes");
                Err((what, "milliseconds are from 0 to a day".to_owned()))
            }
        };
        let end = at + Nanos(millis("duration_ms", line.duration_ms)? as u64);
        let (latest, above) = self.latest;
        if end + LATE < latest {
            return Err((
                format!(
                    "time goes backwards: this request ended {:.0} s before that of line {above}",
                    latest.since(end).as_secs_f64()
                ),
                "give the files of a rotated log in the order they were written: `cat access.log.1 access.log`".to_owned(),
            ));
        }
        if end > latest {
            self.latest = (end, number);
        }
        let work = line.instance_ms.map(|ms| millis("instance_ms", ms)).transpose()?;
        let Some(service) = line.service else {
            return Ok(());
        };
        if let Some(count) = self.services.get_mut(&*service) {
            *count += 1;
        } else if self.services.len() < SERVICES {
            self.services.insert(service.clone().into_owned(), 1);
        }
        let chosen = self.service.get_or_insert_with(|| service.clone().into_owned());
        if *chosen == *service {
            requests.push(Recorded {
                at,
                work: work.filter(|_| (100..500).contains(&line.status)),
                key: line
                    .key
                    .map(|key| u64::from_str_radix(&key, 16).unwrap_or_else(|_| hash(&key))),
            });
        }
        Ok(())
    }

    /// Puts the requests in order, and counts their times from the first one on.
    pub(super) fn finish(&mut self, requests: &mut [Recorded]) -> Result<(), Wrong> {
        let listed: Vec<String> = self
            .services
            .iter()
            .map(|(service, count)| format!("{service} ({count})"))
            .collect();
        let listed = listed.join(", ");
        if self.services.is_empty() {
            return Err((
                "the log holds no request that came to a service".to_owned(),
                "check that `sample` is above 0 and that a route matches".to_owned(),
            ));
        }
        if requests.is_empty() {
            let service = self.service.as_deref().unwrap_or_default();
            return Err((
                format!("the log holds no request of the service `{service}`"),
                format!("it holds those of {listed}"),
            ));
        }
        if !self.asked && self.services.len() > 1 {
            return Err((
                format!("the log holds requests of several services: {listed}"),
                "choose one with `--service NAME`".to_owned(),
            ));
        }
        // Stable: what came at the same time stays as it was written.
        requests.sort_by_key(|request| request.at);
        let first = requests[0].at;
        let length = requests[requests.len() - 1].at.since(first).as_secs_f64();
        if length > LONGEST {
            return Err((
                format!("the requests are those of {length:.0} s"),
                "cut the log to a day at most".to_owned(),
            ));
        }
        for request in requests {
            request.at = request.at.since(first);
        }
        Ok(())
    }
}
