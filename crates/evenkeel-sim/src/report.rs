//! Reports of runs: a table to read, JSON to work with, a page to look at.

mod chart;
mod html;
mod json;
mod paired;
mod table;

pub use html::html;
pub use json::json;
pub use table::table;

use crate::{Scenario, Summary};

/// Whose requests they are, when they were recorded.
fn recorded(scenario: &Scenario) -> Option<String> {
    let source = scenario.source()?;
    let service = source.service.as_deref();
    let of = service.map_or_else(String::new, |service| format!(" of the service {service}"));
    Some(format!(
        "{} requests{of} from {}",
        scenario.requests(),
        source.file
    ))
}

/// The runs of a scenario.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What was run.
    pub scenario: Scenario,
    /// The first seed; each further run has the next.
    pub seed: u64,
    /// One for each policy.
    pub summaries: Vec<Summary>,
}
