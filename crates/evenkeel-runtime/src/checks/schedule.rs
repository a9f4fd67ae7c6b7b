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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::CheckKind;

    fn settings(interval: u64) -> Option<Arc<CheckSettings>> {
        Some(Arc::new(CheckSettings {
            kind: CheckKind::Tcp,
            interval: Duration::from_millis(interval),
            timeout: Duration::from_secs(1),
            jitter: 0.1,
            port: None,
        }))
    }

    fn targets(n: u16) -> Vec<(InstanceId, SocketAddr)> {
        let target = |port| {
            let id = InstanceId::new(&format!("i{port}")).unwrap();
            (id, SocketAddr::from(([127, 0, 0, 1], port)))
        };
        (1..=n).map(target).collect()
    }

    /// Runs checks that take no time and returns, by key, when each instance was checked, in
    /// milliseconds.
    fn run(schedule: &mut Schedule, start: Instant, length: Duration) -> HashMap<Key, Vec<f64>> {
        let mut times: HashMap<Key, Vec<f64>> = HashMap::new();
        while let Some(now) = schedule.next_due().filter(|due| *due < start + length) {
            while let Some((key, ..)) = schedule.take_due(now) {
                times
                    .entry(key)
                    .or_default()
                    .push((now - start).as_secs_f64() * 1e3);
                assert!(schedule.ended(key, now, false, now).is_some());
            }
        }
        times
    }

    #[test]
    fn ten_thousand_are_spread_and_never_later_than_the_interval() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Rng::new(1));
        schedule.replace(settings(5000), &targets(10_000), start);
        let times = run(&mut schedule, start, Duration::from_secs(60));
        assert_eq!(times.len(), 10_000);
        let mut per_second = [0u32; 60];
        let mut gaps = HashSet::new();
        for times in times.values() {
            assert!(times[0] < 1000.0, "the first round is made at once");
            for (n, gap) in times.windows(2).map(|pair| pair[1] - pair[0]).enumerate() {
                assert!(gap <= 5000.01 && (n == 0 || gap >= 4499.9), "{n}: {gap}");
                if n > 0 {
                    gaps.insert(gap.round() as u32);
                }
            }
            for time in times {
                per_second[(time / 1000.0) as usize] += 1;
            }
        }
        assert!(
            gaps.len() > 400,
            "waits differ, not only the first: {}",
            gaps.len()
        );
        // 10,000 checks per 4.75 s on average are 2105 per second.
        let steady = &per_second[6..];
        assert!(steady.iter().all(|n| (1800..2600).contains(n)), "{per_second:?}");
    }

    #[test]
    fn a_small_fleet_is_checked_within_milliseconds() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Rng::new(1));
        schedule.replace(settings(5000), &targets(6), start);
        let times = run(&mut schedule, start, Duration::from_millis(7));
        assert_eq!(times.len(), 6);
    }

    #[tokio::test]
    async fn a_replacement_keeps_times_and_ends_checks_of_the_removed() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Rng::new(1));
        let all = targets(3);
        schedule.replace(settings(5000), &all, start);
        let now = start + Duration::from_millis(10);
        let mut checks = Vec::new();
        while let Some((key, _, address, _)) = schedule.take_due(now) {
            let check = tokio::spawn(std::future::pending::<()>());
            schedule.started(key, check.abort_handle());
            checks.push((key, address, check));
        }
        assert_eq!(checks.len(), 3);
        // The second goes, the third moves; the first is still being checked.
        let moved = (all[2].0.clone(), SocketAddr::from(([127, 0, 0, 1], 9)));
        schedule.replace(settings(5000), &[all[0].clone(), moved.clone()], now);
        let later = now + Duration::from_secs(60);
        let (_, _, address, _) = schedule.take_due(later).unwrap();
        assert_eq!(address, moved.1, "one that is being checked is not due");
        assert!(schedule.take_due(later).is_none());
        for (key, address, check) in checks {
            if address == all[0].1 {
                assert_eq!(schedule.ended(key, now, false, now), Some(all[0].clone()));
                check.abort();
            } else {
                assert_eq!(schedule.ended(key, now, false, now), None, "a late result");
                let ended = tokio::time::timeout(Duration::from_secs(30), check)
                    .await
                    .unwrap();
                assert!(ended.unwrap_err().is_cancelled());
            }
        }
    }

    #[test]
    fn a_shorter_interval_holds_at_once_and_no_check_ends_all() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Rng::new(1));
        let all = targets(50);
        schedule.replace(settings(3_600_000), &all, start);
        run(&mut schedule, start, Duration::from_secs(1));
        schedule.replace(settings(100), &all, start);
        let times = run(&mut schedule, start, Duration::from_secs(1));
        assert!(times.values().all(|times| times[0] <= 100.0 && times.len() >= 9));
        schedule.replace(None, &all, start);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn slowness_is_remembered_until_an_answer() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Rng::new(1));
        schedule.replace(settings(100), &targets(1), start);
        let mut now = start;
        let mut lanes = Vec::new();
        for timed_out in [false, true, true, false, false] {
            now += Duration::from_millis(200);
            let (key, _, _, slow) = schedule.take_due(now).unwrap();
            lanes.push(slow);
            schedule.ended(key, now, timed_out, now);
        }
        assert_eq!(lanes, [false, false, true, true, false]);
    }
}
