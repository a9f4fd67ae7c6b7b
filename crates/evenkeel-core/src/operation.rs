//! What operators, registrants and instances ask of a running service, and what is wrong with it.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::report::Written;
use crate::{Evidence, Instance, InstanceId, LoadReport, Nanos, StrategyName, StrategySettings, Weight};

/// A change of a service from outside its configuration. All of them travel the same way as evidence does:
/// in order, to the one writer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Operation {
    /// Adds an instance. One with its id at the same address takes over the weight, priority and labels;
    /// counters and health stay. Another address is refused ([`OperationError::IdTaken`]): whoever may
    /// register must not be able to take an id over by mistake.
    Register(Instance),
    /// Removes an instance. Its requests in flight end as they would have.
    Deregister(InstanceId),
    /// Changes a weight.
    SetWeight {
        /// Of which instance.
        id: InstanceId,
        /// To what.
        weight: Weight,
    },
    /// Gives an instance no new requests, except such as belong to it ([`crate::View::takes_its_own`]).
    Drain {
        /// Which.
        id: InstanceId,
        /// Why, in the words of whoever asked.
        why: Arc<str>,
    },
    /// Ends a drain.
    Undrain(InstanceId),
    /// What somebody who should know says of an instance's health. Holds until there is a newer word, and fades as
    /// load reports do.
    ReportHealth {
        /// Of which instance.
        id: InstanceId,
        /// How well it is.
        score: Score,
        /// Which time the score speaks of.
        observed: Nanos,
    },
    /// What an instance says of its load.
    ReportLoad {
        /// Of which instance.
        id: InstanceId,
        /// What it says.
        report: LoadReport,
        /// Which time the report speaks of.
        observed: Nanos,
    },
    /// Picks by another strategy from now on. What is known of the instances is kept.
    SetStrategy(StrategySettings),
    /// The same, with the settings that the configuration has when it declares a strategy of this name, else with its
    /// defaults.
    SetStrategyByName(StrategyName),
    /// Asks another strategy beside the one that picks, from now on; `None` asks nobody.
    SetShadow(Option<StrategySettings>),
    /// The same, with the settings that the configuration has when it declares a shadow or a strategy of this name, else
    /// with its defaults.
    SetShadowByName(StrategyName),
}

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// There is an instance more.
    Registered,
    /// What was asked for is in force.
    Changed,
    /// It was so already.
    Unchanged,
    /// The observation is older than the newest one and was dropped.
    Stale,
}

/// Why an operation was refused; nothing changed then. The text names the field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// There is no instance with this id.
    #[error("id: the service has no instance {0}; register it first")]
    UnknownInstance(InstanceId),
    /// The id belongs to an instance elsewhere.
    #[error("id: {id} is registered at {address}; deregister it there before it moves")]
    IdTaken {
        /// The id.
        id: InstanceId,
        /// Where its owner is.
        address: SocketAddr,
    },
    /// A score is not a number from 0 to 1.
    #[error("score: {} is not a number from 0 (out of order) to 1 (well)", Written(*.0))]
    Score(f64),
    /// The strategy could not choose among the instances as they would be.
    #[error("strategy: {strategy} does not suit the service as it would be: {why}")]
    Unsuitable {
        /// Which.
        strategy: StrategyName,
        /// Why not, and what to do.
        why: String,
    },
    /// The shadow strategy could not choose among the instances, or does not go with the strategy.
    #[error("shadow: {shadow} does not suit the service as it would be: {why}")]
    UnsuitableShadow {
        /// Which.
        shadow: StrategyName,
        /// Why not, and what to do.
        why: String,
    },
}

/// How well an instance is, from 0 (out of order) to 1 (well).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Score(f32);

impl Score {
    /// Checks and wraps `score`.
    ///
    /// # Errors
    /// When it is not a number from 0 to 1.
    pub fn new(score: f64) -> Result<Self, OperationError> {
        if (0.0..=1.0).contains(&score) {
            // A zero with a sign is zero.
            Ok(Self(score as f32 + 0.0))
        } else {
            Err(OperationError::Score(score))
        }
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> f32 {
        self.0
    }
}

/// What a writer takes in, in order.
#[derive(Debug, Clone)]
pub enum Input {
    /// Something was observed.
    Evidence(Evidence),
    /// Something is asked for.
    Operation(Operation),
}

impl From<Evidence> for Input {
    fn from(evidence: Evidence) -> Self {
        Self::Evidence(evidence)
    }
}

impl From<Operation> for Input {
    fn from(operation: Operation) -> Self {
        Self::Operation(operation)
    }
}

/// Who declared an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The configuration: every new one decides over it.
    Configuration,
    /// A registration at runtime: it stays until it is deregistered, or until the configuration declares
    /// its id.
    Registration,
}

impl Source {
    /// A word for tables and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Registration => "registration",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_numbers_from_0_to_1() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.01, 1.01] {
            let error = Score::new(bad).unwrap_err();
            assert!(error.to_string().starts_with("score: "), "{error}");
        }
        assert!(
            Score::new(1e308)
                .unwrap_err()
                .to_string()
                .starts_with("score: 1e308 is not")
        );
        assert_eq!(Score::new(0.25).map(Score::get), Ok(0.25));
        assert!(Score::new(0.0).is_ok() && Score::new(1.0).is_ok() && Score::new(-0.0).is_ok());
    }
}
