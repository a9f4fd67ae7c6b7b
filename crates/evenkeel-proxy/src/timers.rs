//! Deadlines of a worker's connections.
//!
//! A connection changes its deadline several times per request and almost never reaches it. A timer
//! wheel would pay for every change; here a change is one store, and a sweep, which happens every
//! [`TICK`] if any deadline can have passed, looks at all of them (some ten nanoseconds each). Deadlines
//! are therefore late by up to one tick.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use evenkeel_core::Nanos;

/// Time between two sweeps.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// The deadlines of one worker.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    slots: RefCell<Vec<Rc<Slot>>>,
    now: Cell<Nanos>,
    /// No deadline is before this one: ten thousand idle clients need no look until the first is due.
    earliest: Cell<Nanos>,
}

#[derive(Debug)]
struct Slot {
    deadline: Cell<Nanos>,
    fired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    index: Cell<usize>,
}

/// One connection's deadline; gone when dropped.
#[derive(Debug)]
pub(crate) struct Timer {
    slot: Rc<Slot>,
    timers: Weak<Timers>,
}

impl Timers {
    /// A timer that is not armed.
    pub(crate) fn add(self: &Rc<Self>) -> Timer {
        let mut slots = self.slots.borrow_mut();
        let slot = Rc::new(Slot {
            deadline: Cell::new(Nanos::MAX),
            fired: Cell::new(false),
            waker: RefCell::new(None),
            index: Cell::new(slots.len()),
        });
        slots.push(Rc::clone(&slot));
        Timer {
            slot,
            timers: Rc::downgrade(self),
        }
    }

    /// The time as of the last clock read on this worker; at most one tick old.
    pub(crate) fn now(&self) -> Nanos {
        self.now.get()
    }

    /// Notes a clock read.
    pub(crate) fn set_now(&self, now: Nanos) {
        self.now.set(now);
    }

    /// Wakes the owners of all deadlines that have passed. O(timers), or O(1) when none can have.
    pub(crate) fn sweep(&self, now: Nanos) {
        self.set_now(now);
        if now < self.earliest.get() {
            return;
        }
        let mut earliest = Nanos::MAX;
        for slot in self.slots.borrow().iter().filter(|slot| !slot.fired.get()) {
            let deadline = slot.deadline.get();
            if deadline <= now {
                slot.fired.set(true);
                slot.wake();
            } else {
                earliest = earliest.min(deadline);
            }
        }
        self.earliest.set(earliest);
    }

    /// Wakes every owner, so that it looks at the state of the worker.
    pub(crate) fn wake_all(&self) {
        self.slots.borrow().iter().for_each(|slot| slot.wake());
    }
}

impl Slot {
    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl Timer {
    /// Sets the deadline to `after` from now.
    pub(crate) fn arm(&self, timers: &Timers, after: Duration) {
        let deadline = timers.now() + Nanos::from(after);
        self.slot.deadline.set(deadline);
        self.slot.fired.set(false);
        if deadline < timers.earliest.get() {
            timers.earliest.set(deadline);
        }
    }

    /// Whether the deadline has passed. The task of `cx` is woken when it does.
    pub(crate) fn poll_expired(&self, cx: &Context<'_>) -> bool {
        let mut waker = self.slot.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.slot.fired.get()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some(timers) = self.timers.upgrade() else {
            return;
        };
        let mut slots = timers.slots.borrow_mut();
        let index = self.slot.index.get();
        slots.swap_remove(index);
        if let Some(moved) = slots.get(index) {
            moved.index.set(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_fires_what_is_due_and_a_new_deadline_clears_it() {
        let timers = Rc::new(Timers::default());
        let (a, b) = (timers.add(), timers.add());
        let cx = Context::from_waker(Waker::noop());
        a.arm(&timers, Duration::from_secs(1));
        b.arm(&timers, Duration::from_secs(5));
        timers.sweep(Nanos::from_secs(2));
        assert!(a.poll_expired(&cx) && !b.poll_expired(&cx));
        a.arm(&timers, Duration::from_secs(1));
        assert!(!a.poll_expired(&cx));
        timers.sweep(Nanos::from_secs(3));
        assert!(a.poll_expired(&cx) && !b.poll_expired(&cx));
        timers.sweep(Nanos::from_secs(5));
        assert!(b.poll_expired(&cx));
    }

    #[test]
    fn a_sweep_before_the_first_deadline_looks_at_none_and_a_nearer_one_is_seen() {
        let timers = Rc::new(Timers::default());
        let (a, b) = (timers.add(), timers.add());
        let cx = Context::from_waker(Waker::noop());
        a.arm(&timers, Duration::from_secs(60));
        timers.sweep(Nanos::from_secs(1));
        assert_eq!(timers.earliest.get(), Nanos::from_secs(60));
        b.arm(&timers, Duration::from_secs(1));
        assert_eq!(timers.earliest.get(), Nanos::from_secs(2));
        timers.sweep(Nanos::from_secs(2));
        assert!(b.poll_expired(&cx) && !a.poll_expired(&cx));
        assert_eq!(timers.earliest.get(), Nanos::from_secs(60));
        timers.sweep(Nanos::from_secs(60));
        assert!(a.poll_expired(&cx));
        assert_eq!(timers.earliest.get(), Nanos::MAX);
    }

    #[test]
    fn dropped_timers_leave_the_others_in_place() {
        let timers = Rc::new(Timers::default());
        let mut all: Vec<_> = (0..10).map(|_| timers.add()).collect();
        for index in [0, 7, 3] {
            drop(all.remove(index));
        }
        all.iter().for_each(|t| t.arm(&timers, Duration::from_secs(1)));
        timers.sweep(Nanos::from_secs(1));
        let cx = Context::from_waker(Waker::noop());
        assert!(all.iter().all(|t| t.poll_expired(&cx)));
        drop(all);
        assert!(timers.slots.borrow().is_empty());
    }
}
