//! What a server remembers, the least recently used first to go.

use std::collections::{BTreeMap, VecDeque};

use evenkeel_config::CacheFile;

#[derive(Debug)]
pub(super) struct Cache {
    entries: usize,
    miss: f64,
    /// The last use of each key.
    used: BTreeMap<u64, u64>,
    /// Uses in order; those that are not the last of their key are void.
    order: VecDeque<(u64, u64)>,
    uses: u64,
    hits: u64,
}

impl Cache {
    pub(super) fn new(file: CacheFile) -> Self {
        Self {
            entries: file.entries.into(),
            miss: file.miss.0,
            used: BTreeMap::new(),
            order: VecDeque::new(),
            uses: 0,
            hits: 0,
        }
    }

    /// How often it was asked, and how often it knew.
    pub(super) fn uses(&self) -> (u64, u64) {
        (self.uses, self.hits)
    }

    /// How many times the usual work a request for `key` takes; it is remembered from now on.
    pub(super) fn factor(&mut self, key: u64) -> f64 {
        self.uses += 1;
        self.order.push_back((self.uses, key));
        let known = self.used.insert(key, self.uses).is_some();
        while self.used.len() > self.entries || self.order.len() > 4 * self.entries + 16 {
            let Some((use_, key)) = self.order.pop_front() else {
                break;
            };
            if self.used.get(&key) != Some(&use_) {
                continue;
            }
            if self.used.len() > self.entries {
                self.used.remove(&key);
            } else {
                // Its last use, and not to be forgotten: behind the others, which were used before or are void.
                self.order.push_front((use_, key));
                self.order.retain(|(use_, key)| self.used.get(key) == Some(use_));
                break;
            }
        }
        self.hits += u64::from(known);
        if known { 1.0 } else { self.miss }
    }

    pub(super) fn clear(&mut self) {
        self.used.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_config::{Amount, CacheFile};

    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = Cache::new(CacheFile {
            entries: 2u32.into(),
            miss: Amount(10.0),
        });
        let factors: Vec<f64> = [1, 2, 1, 3, 1, 2].iter().map(|key| cache.factor(*key)).collect();
        assert_eq!(factors, [10.0, 10.0, 1.0, 10.0, 1.0, 10.0]);
        (0..1000).for_each(|_| assert_eq!(cache.factor(2), 1.0));
        assert!(cache.order.len() <= 4 * 2 + 16);
        assert_eq!(cache.factor(1), 1.0);
    }
}
