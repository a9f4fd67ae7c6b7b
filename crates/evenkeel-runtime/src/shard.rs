//! Counters that threads do not pass to and fro: each counts in a shard of its own.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Threads that count without sharing a line; more of them share, and stay exact.
pub(crate) const SHARDS: usize = 16;

/// The shard of the calling thread: threads take them in turn.
#[inline]
pub(crate) fn shard_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(NEXT.fetch_add(1, Relaxed) % SHARDS);
        }
        shard.get() % SHARDS
    })
}
