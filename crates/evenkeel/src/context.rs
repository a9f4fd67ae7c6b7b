//! The state that a pick needs of its thread.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use evenkeel_core::{Nanos, PickContext};

/// Runs `pick` with the calling thread's context at the time `now`. Every thread draws from a stream of its own,
/// so that threads pass no memory to and fro.
pub(crate) fn with<R>(now: Nanos, pick: impl FnOnce(&mut PickContext) -> R) -> R {
    thread_local! {
        static CONTEXT: RefCell<PickContext> = RefCell::new(PickContext::new(seed()));
    }
    // Nothing that picks calls back into a pick, so that the borrow is free.
    CONTEXT.with_borrow_mut(|context| {
        context.now = now;
        pick(context)
    })
}

/// Differs from call to call, and from process to process. Nothing secret depends on it.
pub(crate) fn seed() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let call = CALLS.fetch_add(1, Relaxed);
    call.wrapping_mul(0xD1B5_4A32_D192_ED03) ^ u64::from(std::process::id()).rotate_left(32)
}
