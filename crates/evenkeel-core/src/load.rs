//! Requests in flight per instance: exact, shared by all workers, dense.
//!
//! Counters of neighbouring instances share cache lines on purpose. Every worker sends to every
//! instance, so an instance's line moves between cores anyway; dense counters let a strategy that
//! compares many instances read sixteen per line (4 KB for a thousand instances instead of 64).
//! Blocks are never moved or copied: a view that grows adds blocks, and a lease made under an older
//! view still counts in the same place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_utils::CachePadded;

/// Counters of [`LoadBlock::LEN`] consecutive slots.
#[derive(Debug)]
pub struct LoadBlock(CachePadded<[AtomicU32; Self::LEN]>);

impl LoadBlock {
    /// Slots in a block.
    pub const LEN: usize = 64;

    /// The counters, in slot order.
    #[inline]
    #[must_use]
    pub fn counters(&self) -> &[AtomicU32; Self::LEN] {
        &self.0
    }
}

impl Default for LoadBlock {
    fn default() -> Self {
        Self(CachePadded::new([const { AtomicU32::new(0) }; Self::LEN]))
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
        // Relaxed: a load is a hint for ranking; exactness is the sum of increments and decrements.
        self.blocks
            .get(block)
            .map_or(0, |b| b.0[index].load(Ordering::Relaxed))
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
    fn counter(&self) -> &AtomicU32 {
        &self.block.0[self.index as usize % LoadBlock::LEN]
    }

    /// Counts a request that starts.
    #[inline]
    pub fn start(&self) {
        self.counter().fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that ends. Call once per [`Self::start`].
    #[inline]
    pub fn end(&self) {
        let before = self.counter().fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a lease ended twice");
    }

    /// Requests in flight.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u32 {
        self.counter().load(Ordering::Relaxed)
    }
}
