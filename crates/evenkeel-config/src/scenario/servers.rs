//! The servers of a scenario, and what goes wrong with them.

use serde::Deserialize;

use super::{Amount, ServerSet, Span};
use crate::text::Ratio;
use crate::tolerated;
use crate::whole::Whole;

/// Servers that are alike.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServersFile {
    /// How many. 1 unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub count: Option<Whole<1, 100_000>>,
    /// What each has. 1 unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub cores: Option<Amount>,
    /// Work done per second and core; 1 unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub speed: Option<Amount>,
    /// Requests worked on at the same time, the others wait in line: as many as `cores` make a queue with workers.
    /// Without it all share the cores.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub workers: Option<Whole<1, 10_000>>,
    /// Requests that may wait, or share; one more is answered with 503 at once. No limit unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub queue: Option<Whole<0, 1_000_000>>,
    /// Declared to the balancer. 1 unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub weight: Option<Whole<1, 65535>>,
    /// Declared to the balancer. 0 unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub priority: Option<Whole<0, 255>>,
    /// Where they are.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub region: Option<String>,
    /// Where in the region.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub zone: Option<String>,
    /// When they are registered. At the start unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub joins: Option<Span>,
    /// When they drain, to be deregistered when the last request ended.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub leaves: Option<Span>,
    /// They begin slowly.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub cold_start: Option<ColdStartFile>,
    /// Each stands on a machine with others that take their part.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub machine: Option<MachineFile>,
    /// Answers they remember; needs `keys`.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub cache: Option<CacheFile>,
    /// What they do with requests whose client gave up: `true`, the default, lets them work on.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub works_on: Option<bool>,
    /// Whether they report their load with every answer. `false` unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub reports: Option<bool>,
}

impl ServersFile {
    /// How many there are.
    pub(super) fn servers(&self) -> usize {
        self.count.map_or(1, usize::from)
    }
}

/// A slow beginning.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdStartFile {
    /// Part of the speed at first.
    pub speed: Ratio,
    /// Until it has all.
    pub over: Span,
}

/// The machine of a server, and its other tenants: those may take all that the server was not promised.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineFile {
    /// Its cores; `cores` of the server are promised, the others are there for whoever comes.
    pub cores: Amount,
    /// Part of the promised cores that the server really gets while the tenants want all the rest. 1 unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub kept: Option<Ratio>,
    /// What the other tenants take.
    pub tenants: TenantsFile,
}

/// What tenants take, as parts of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TenantsFile {
    /// Drawn anew after exponential times.
    Drawn(DrawnFile),
    /// On and off in turns, beginning at random.
    Square(SquareFile),
}

/// Two draws added: one that changes often, one that stays long. Heavy-tailed, so that some machines are full.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawnFile {
    /// Mean part taken.
    pub mean: Ratio,
    /// Part of machines that are full at a time.
    pub full: Ratio,
    /// Mean time until the quick draw changes.
    pub quick: Span,
    /// Mean time until the slow draw changes.
    pub slow: Span,
}

/// On and off.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SquareFile {
    /// Part taken while on.
    pub taken: Ratio,
    /// On for half of it.
    pub period: Span,
}

/// Answers that a server remembers.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheFile {
    /// How many.
    pub entries: Whole<1, 10_000_000>,
    /// Others take so many times the work.
    pub miss: Amount,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultFile {
    /// Where: `all`, or numbers from 0 in the order of the groups, such as `0-4` or `0, 7, 9`.
    pub servers: ServerSet,
    /// From when. The start unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub from: Option<Span>,
    /// Until when. The end unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub until: Option<Span>,
    /// Each further server has it so much later.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub stagger: Option<Span>,
    /// On for the first half of each such period only.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub period: Option<Span>,
    /// It grows to its full size over this time; for `slow`, `errors` and `memory`.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub over: Option<Span>,
    /// What.
    pub fault: FaultKindFile,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKindFile {
    /// Work takes so many times as long.
    Slow(Amount),
    /// Every answer is so much later, whatever the work.
    Delay(Span),
    /// This part of requests fails after the work.
    Errors(Ratio),
    /// This part of its memory is in use; it says so when it reports. Two fifths are while nothing is wrong.
    Memory(Ratio),
    /// This part of requests fails at once.
    FailFast(Ratio),
    /// So many requests in a row fail, in each `period` anew.
    Burst(Whole<1, 1000>),
    /// Nothing is answered until it is over.
    Hang,
    /// Connections are refused.
    Refuse,
    /// What it works on is lost, and connections are refused.
    Crash,
    /// It drains, goes, and comes back cold when the fault is over.
    Restart,
    /// Its reports say this.
    Reports(ReportsFile),
}

/// What is wrong with reports of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportsFile {
    /// That it has nothing to do.
    Idle,
    /// What was so when the fault began.
    Frozen,
    /// Nothing: they get lost.
    Lost,
    /// What was so ten seconds ago.
    Late,
}
