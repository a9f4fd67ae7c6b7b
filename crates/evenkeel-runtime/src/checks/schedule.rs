//! When which instance is due. Pure but for the type of its times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::{InstanceId, Rng};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::spec::CheckSettings;

/// Names a target for as long as it is one; never used again.
pub(crate) type Key = u64;

/// The first checks of many instances are spread over as many milliseconds, up to this.
const LONGEST_SPREAD: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Target {
    id: InstanceId,
    address: SocketAddr,
    due: Instant,
    /// Whether its first check has ended.
    known: bool,
    /// Whether its last check ran into the time-out.
    slow: bool,
    /// The check under way; there is never a second one.
    running: Option<AbortHandle>,
}

/// Due times of a service's instances. Each operation is O(log n), a replacement O(n log n).
#[derive(Debug)]
pub(crate) struct Schedule {
    rng: Rng,
    settings: Option<Arc<CheckSettings>>,
    targets: HashMap<Key, Target>,
    /// Entries whose target is gone or has another due time are skipped.
    heap: BinaryHeap<Reverse<(Instant, Key)>>,
    next_key: Key,
}

impl Schedule {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            rng,
            settings: None,
            targets: HashMap::new(),
            heap: BinaryHeap::new(),
            next_key: 0,
        }
    }

    /// Keeps the times of instances that stay (same id and address), forgets the others and ends
    /// their checks, and plans the first check of the new ones at once.
    pub(crate) fn replace(
        &mut self,
        settings: Option<Arc<CheckSettings>>,
        targets: &[(InstanceId, SocketAddr)],
        now: Instant,
    ) {
        let wanted: HashSet<_> = match &settings {
            Some(_) => targets.iter().collect(),
            None => HashSet::new(),
        };
        let mut present = HashSet::new();
        self.targets.retain(|_, target| {
            let identity = (target.id.clone(), target.address);
            let stays = wanted.contains(&identity);
            if stays {
                present.insert(identity);
            } else if let Some(check) = &target.running {
                check.abort();
            }
            stays
        });
        if let Some(settings) = &settings {
            // A shorter interval holds from now on.
            for target in self.targets.values_mut() {
                target.due = target.due.min(now + settings.interval);
            }
            let new: Vec<_> = targets.iter().filter(|t| !present.contains(*t)).collect();
            let spread = Duration::from_millis(new.len() as u64)
                .min(LONGEST_SPREAD)
                .min(settings.interval);
            for (id, address) in new {
                let target = Target {
                    id: id.clone(),
                    address: *address,
                    due: now + spread.mul_f64(self.rng.unit()),
                    known: false,
                    slow: false,
                    running: None,
                };
                self.targets.insert(self.next_key, target);
                self.next_key += 1;
            }
        }
        self.settings = settings;
        let idle = self.targets.iter().filter(|(_, target)| target.running.is_none());
        self.heap = idle.map(|(key, target)| Reverse((target.due, *key))).collect();
    }

    /// The next instance whose time has come: what to check how, and whether it was slow. The caller
    /// starts the check and says so.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(Key, Arc<CheckSettings>, SocketAddr, bool)> {
        while let Some(Reverse((due, key))) = self.heap.peek().copied() {
            if due > now {
                return None;
            }
            self.heap.pop();
            let Some(target) = self.targets.get(&key) else {
                continue;
            };
            if target.due != due || target.running.is_some() {
                continue;
            }
            return Some((key, self.settings.clone()?, target.address, target.slow));
        }
        None
    }

    /// The check of `key` is under way.
    pub(crate) fn started(&mut self, key: Key, check: AbortHandle) {
        if let Some(target) = self.targets.get_mut(&key) {
            target.running = Some(check);
        }
    }

    /// The check of `key`, sent at `began`, has ended: plans the next. `None` when the instance was
    /// removed.
    pub(crate) fn ended(
        &mut self,
        key: Key,
        began: Instant,
        slow: bool,
        now: Instant,
    ) -> Option<(InstanceId, SocketAddr)> {
        let settings = self.settings.as_ref()?;
        let target = self.targets.get_mut(&key)?;
        let draw = self.rng.unit();
        // All first checks are made at about the same time; a random share of the interval before the
        // second ones spreads the instances over it.
        let share = if target.known {
            1.0 - settings.jitter * draw
        } else {
            draw
        };
        target.due = (began + settings.interval.mul_f64(share)).max(now);
        target.known = true;
        target.slow = slow;
        target.running = None;
        self.heap.push(Reverse((target.due, key)));
        Some((target.id.clone(), target.address))
    }

    /// When [`Self::take_due`] should be called next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }
}
