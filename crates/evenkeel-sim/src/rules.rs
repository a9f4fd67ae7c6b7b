//! Published rules to compare with that are no strategies of the balancer: they ask servers, or know more than a
//! balancer can. They see no health.

use evenkeel_core::{Nanos, Rng};

use crate::server::Report;

mod c3;
mod envoy_least_request;
mod least_loaded;
mod peak_ewma;
mod prequal;
mod shortest;
mod turns;
mod yarp;

/// The most draws of a rule.
const MOST_DRAWS: usize = 4;

/// What a rule may use for a pick.
pub(crate) struct RuleContext<'a> {
    pub(crate) now: Nanos,
    pub(crate) rng: &'a mut Rng,
    /// The servers that are registered.
    pub(crate) servers: &'a [u32],
    /// Those that had this request before.
    pub(crate) tried: &'a [u32],
    /// Requests at a server now: what no balancer can know.
    pub(crate) in_flight: &'a dyn Fn(u32) -> u32,
    /// Servers to ask how they are.
    pub(crate) probes: &'a mut Vec<u32>,
}

impl RuleContext<'_> {
    /// One of the servers that had not this request before, if there is one.
    fn any(&mut self) -> Option<u32> {
        for _ in 0..4 {
            let server = *self
                .servers
                .get(self.rng.below(self.servers.len() as u32) as usize)?;
            if !self.tried.contains(&server) {
                return Some(server);
            }
        }
        let untried = self.servers.iter().find(|server| !self.tried.contains(server));
        untried.or(self.servers.first()).copied()
    }

    /// Of `draws` distinct servers that had not this request before the one with the least cost; the first of equals.
    fn best_of(&mut self, draws: usize, mut cost: impl FnMut(u32) -> f64) -> Option<u32> {
        let mut drawn = [u32::MAX; MOST_DRAWS];
        let mut best: Option<(f64, u32)> = None;
        for place in 0..draws.min(self.servers.len()) {
            let server = loop {
                let server = self.any()?;
                // With few untried left, the same ones come again.
                if !drawn[..place].contains(&server) || self.tried.len() + place >= self.servers.len() {
                    break server;
                }
            };
            drawn[place] = server;
            let cost = cost(server);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, server));
            }
        }
        best.map(|(_, server)| server)
    }
}

/// A server's answer to a probe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProbeAnswer {
    pub(crate) in_flight: u32,
    /// The usual time of requests that met as many.
    pub(crate) usual_time: Option<Nanos>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) server: u32,
    pub(crate) now: Nanos,
    pub(crate) took: Nanos,
    pub(crate) report: Option<Report>,
}

/// A rule of one client.
pub(crate) trait Rule: std::fmt::Debug {
    /// Chooses a server; `None` when there is none.
    fn pick(&mut self, cx: &mut RuleContext<'_>) -> Option<u32>;

    /// A request went to `server`.
    fn started(&mut self, server: u32) {
        let _ = server;
    }

    /// A request ended.
    fn ended(&mut self, ended: &Ended) {
        let _ = ended;
    }

    /// A server answered a probe.
    fn answered(&mut self, server: u32, answer: ProbeAnswer, now: Nanos, rng: &mut Rng) {
        let _ = (server, answer, now, rng);
    }

    /// How often it asks all servers.
    fn polls_every(&self) -> Option<Nanos> {
        None
    }
}

macro_rules! rules {
    ($($name:ident => $new:path, $summary:literal;)+) => {
        /// A rule that only the simulator has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(non_camel_case_types, reason = "the variants are the names users write")]
        pub enum RuleName {
            $(#[doc = $summary] $name,)+
        }

        impl RuleName {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name users write.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it does, in one sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$name => $summary,)+ }
            }

            /// The rule of one client of `clients`, over `servers`.
            pub(crate) fn rule(self, servers: usize, clients: usize) -> Box<dyn Rule> {
                match self { $(Self::$name => Box::new($new(servers, clients)),)+ }
            }
        }
    };
}

rules! {
    turns => turns::Turns::new, "each server in its turn, whatever its state: `round_robin` minds health";
    envoy_least_request => envoy_least_request::LeastRequest::new, "two servers drawn, with replacement, the one with fewer requests of this client (Envoy)";
    yarp => yarp::Yarp::new, "two servers drawn, the one with fewer requests of all clients when last asked, every 500 ms (YARP)";
    p2c_least_loaded => least_loaded::LeastLoaded::new, "two distinct servers drawn, the one with fewer requests of this client (Finagle, tower)";
    p2c_peak_ewma => peak_ewma::PeakEwma::best_of_2, "two distinct servers drawn, the one with the lower peak EWMA of response times, times its requests of this client (Finagle, Linkerd, tower)";
    p4c_peak_ewma => peak_ewma::PeakEwma::best_of_4, "the same of four draws (brpc with choices=4)";
    c3 => c3::C3::new, "the server with the least response time plus cube of the estimated queue (C3, NSDI 2015)";
    prequal => prequal::Prequal::new, "of the servers that answered probes lately those that are not hot, and of these the fastest (Prequal, NSDI 2024)";
    shortest => shortest::Shortest::new, "the server with the fewest requests of all clients, known without delay: no balancer can know that";
}
