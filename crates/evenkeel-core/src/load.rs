//! Requests in flight per instance: exact, shared by all workers, dense.
//!
//! Counters of neighbouring instances share cache lines on purpose. Every worker sends to every
//! instance, so an instance's line moves between cores anyway; dense counters let a strategy that
//! compares many instances read sixteen per line (4 KB for a thousand instances instead of 64).
//! Two counters share one atomic word, because a scan is bound by the number of atomic reads: they
//! cannot be made vector reads. The lower counter could only spill into the upper one by ending more
//! requests than it started, which the ownership of leases excludes, or by 2^32 requests in flight.
//! Blocks are never moved or copied: a view that grows adds blocks, and a lease made under an older
//! view still counts in the same place.

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering};

/// Counters of [`LoadBlock::LEN`] consecutive slots.
#[derive(Debug)]
pub struct LoadBlock(CachePadded<[AtomicU64; Self::LEN / 2]>);

impl LoadBlock {
    /// Slots in a block.
    pub const LEN: usize = 64;

    /// The counters of the first `N` slots; `N` is even and at most [`Self::LEN`].
    #[inline]
    pub fn first<const N: usize>(&self) -> [u32; N] {
        let mut counters = [0; N];
        for (pair, word) in counters.as_chunks_mut().0.iter_mut().zip(self.0.iter()) {
            // Relaxed: a load is a hint for ranking; exactness is the sum of increments and decrements.
            let word = word.load(Ordering::Relaxed);
            *pair = [word as u32, (word >> 32) as u32];
        }
        counters
    }

    #[inline]
    fn get(&self, index: usize) -> u32 {
        (self.0[index / 2].load(Ordering::Relaxed) >> shift(index)) as u32
    }
}

/// Where the counter of slot `index` begins in its word.
#[inline]
const fn shift(index: usize) -> u32 {
    (index as u32 % 2) * 32
}

impl Default for LoadBlock {
    fn default() -> Self {
        Self(CachePadded::new(std::array::from_fn(|_| AtomicU64::new(0))))
    }
}

/// The blocks of a service; slot `s` is counter `s % 64` of block `s / 64`. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Loads {
    blocks: Arc<[Arc<LoadBlock>]>,
}

impl Loads {
    /// The same counters, with room for at least `slots`.
    #[must_use]
    pub fn with_room_for(&self, slots: usize) -> Self {
        let want = slots.div_ceil(LoadBlock::LEN);
        if want <= self.blocks.len() {
            return self.clone();
        }
        let mut blocks = self.blocks.to_vec();
        blocks.resize_with(want, Arc::default);
        Self {
            blocks: blocks.into(),
        }
    }

    /// All blocks, in slot order.
    #[inline]
    #[must_use]
    pub fn blocks(&self) -> &[Arc<LoadBlock>] {
        &self.blocks
    }

    /// Requests in flight at `slot`; 0 for a slot beyond the last block.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: u32) -> u32 {
        let (block, index) = split(slot);
        self.blocks.get(block).map_or(0, |b| b.get(index))
    }

    /// Requests in flight at the slots whose bits are set; `masks` has one word per block. O(slots), a
    /// fraction of a nanosecond each.
    #[must_use]
    pub fn sum(&self, masks: &[u64]) -> u64 {
        let mut sum = 0;
        for (block, mask) in self.blocks.iter().zip(masks) {
            let mut mask = *mask;
            let words = (u64::BITS - mask.leading_zeros()).div_ceil(2) as usize;
            for word in &block.0[..words] {
                // Relaxed: as for [`Self::get`].
                let word = word.load(Ordering::Relaxed);
                sum += (word & 0xFFFF_FFFF) * (mask & 1) + (word >> 32) * (mask >> 1 & 1);
                mask >>= 2;
            }
        }
        sum
    }

    /// The counter of `slot`, to be owned by the member that has the slot. `None` beyond the last.
    #[must_use]
    pub fn slot(&self, slot: u32) -> Option<LoadSlot> {
        let (block, index) = split(slot);
        self.blocks.get(block).map(|b| LoadSlot {
            block: Arc::clone(b),
            index: index as u32,
        })
    }
}

#[inline]
const fn split(slot: u32) -> (usize, usize) {
    (slot as usize / LoadBlock::LEN, slot as usize % LoadBlock::LEN)
}

/// One instance's counter.
#[derive(Debug, Clone)]
pub struct LoadSlot {
    block: Arc<LoadBlock>,
    index: u32,
}

impl LoadSlot {
    #[inline]
    fn word(&self) -> &AtomicU64 {
        &self.block.0[self.index as usize % LoadBlock::LEN / 2]
    }

    #[inline]
    const fn one(&self) -> u64 {
        1 << shift(self.index as usize)
    }

    /// Counts a request that starts.
    #[inline]
    pub fn start(&self) {
        self.word().fetch_add(self.one(), Ordering::Relaxed);
    }

    /// Counts a request that ends. Call once per [`Self::start`].
    #[inline]
    pub fn end(&self) {
        let before = self.word().fetch_sub(self.one(), Ordering::Relaxed);
        debug_assert!(
            (before >> shift(self.index as usize)) as u32 > 0,
            "a lease ended twice"
        );
    }

    /// Requests in flight.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u32 {
        self.block.get(self.index as usize % LoadBlock::LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_count_apart_and_growth_keeps_counts() {
        let loads = Loads::default().with_room_for(1);
        let slots: Vec<LoadSlot> = (0..64).filter_map(|s| loads.slot(s)).collect();
        assert!(loads.slot(64).is_none());
        for (count, slot) in slots.iter().enumerate() {
            (0..count).for_each(|_| slot.start());
        }
        let grown = loads.with_room_for(65);
        slots[7].end();
        slots[8].end();
        for slot in 0..64 {
            let ended = u32::from(slot == 7 || slot == 8);
            assert_eq!(grown.get(slot), slot - ended);
            assert_eq!(slots[slot as usize].get(), slot - ended);
        }
        assert_eq!(loads.sum(&[!0]), 63 * 32 - 2);
        assert_eq!(grown.sum(&[0b1001_0010, !0]), 1 + 4 + 6);
        assert_eq!((grown.get(64), grown.get(1 << 20)), (0, 0));
    }
}
