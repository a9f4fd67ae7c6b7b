//! Whether this process should get traffic: an orchestrator asks `/readyz`, the commands set it.

use std::time::SystemTime;

use tokio::sync::watch;

/// The life of the process as far as readiness is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The configuration is not loaded or a listener is not bound yet.
    Starting,
    /// Traffic is welcome.
    Serving,
    /// Running requests finish; new ones should go elsewhere.
    Draining {
        /// Since when.
        since: SystemTime,
    },
}

/// Shared by the commands, which set it, and the admin thread, which reports it. Starts as not ready.
#[derive(Debug)]
pub struct Readiness(watch::Sender<Phase>);

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Starting))
    }
}

impl Readiness {
    /// The configuration is loaded and every listener is bound (or no longer so). Draining is final:
    /// later calls change nothing then.
    pub fn set_ready(&self, ready: bool) {
        self.0.send_if_modified(|phase| {
            let next = if ready { Phase::Serving } else { Phase::Starting };
            let change = !matches!(phase, Phase::Draining { .. }) && *phase != next;
            if change {
                *phase = next;
            }
            change
        });
    }

    /// The process is about to end. The first call counts.
    pub fn set_draining(&self) {
        let since = SystemTime::now();
        self.0.send_if_modified(|phase| {
            let change = !matches!(phase, Phase::Draining { .. });
            if change {
                *phase = Phase::Draining { since };
            }
            change
        });
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.0.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draining_is_final_and_keeps_its_beginning() {
        let readiness = Readiness::default();
        assert_eq!(readiness.phase(), Phase::Starting);
        readiness.set_ready(true);
        assert_eq!(readiness.phase(), Phase::Serving);
        readiness.set_draining();
        let first = readiness.phase();
        assert!(matches!(first, Phase::Draining { .. }));
        readiness.set_ready(true);
        readiness.set_draining();
        assert_eq!(readiness.phase(), first);
    }
}
