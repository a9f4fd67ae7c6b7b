//! The simulator: the real balancer in virtual time.
//!
//! A [`Scenario`] says which servers there are, who asks them for what, and what goes wrong when. A run of it puts
//! the strategies, the health model and the retry rules of `evenkeel-core` in front of simulated servers; nothing that
//! decides is copied. Time is virtual, randomness seeded, floating point restricted to what is the same everywhere, so
//! a run can be repeated on any platform to the last nanosecond.
//!
//! Absent on purpose: files, clocks and threads. Whoever runs a scenario reads it, writes the report, and shows progress.

mod balancer;
mod builtin;
mod draw;
mod queue;
mod record;
mod report;
mod rules;
mod scenario;
mod server;
mod summary;
mod trace;
mod world;

pub use balancer::{Policy, UnknownPolicy};
pub use builtin::{BUILT_IN, built_in, built_in_text};
pub use record::{Account, Latencies, Point, Run, Told};
pub use report::{Comparison, html, json, table};
pub use rules::RuleName;
pub use scenario::{Scenario, Source};
pub use summary::{Figure, Summary};
pub use trace::{Recorded, TraceError, TraceReader, read_trace};

use evenkeel_core::{InstanceError, Nanos};

/// Runs a scenario once. `progress` is told the virtual time every tenth of a second of it, and ends the run by `false`:
/// it is `None` then.
///
/// # Errors
/// Never for scenarios that were read; the core would refuse an instance that it cannot hold.
pub fn run(
    scenario: &Scenario,
    policy: &Policy,
    seed: u64,
    progress: &mut dyn FnMut(Nanos) -> bool,
) -> Result<Option<Run>, InstanceError> {
    Ok(world::World::new(scenario, policy, seed)?.run(progress))
}
