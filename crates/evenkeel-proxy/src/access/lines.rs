//! The lines of one worker on their way to the writer.

use std::cell::{Cell, RefCell};
use std::time::{SystemTime, UNIX_EPOCH};

use evenkeel_core::{Nanos, Rng};

use super::json::Stamp;
use super::writer::Batch;
use super::{AccessLog, Entry, json};

/// Bytes that are worth a message to the writer.
const ENOUGH: usize = 16 * 1024;
/// Bytes that a worker keeps while the writer is behind; a line that comes then is dropped.
pub(crate) const MOST: usize = 256 * 1024;

/// The lines of a worker, and where they go.
#[derive(Debug)]
pub(crate) struct Lines {
    on: Cell<bool>,
    log: RefCell<Option<AccessLog>>,
    batch: RefCell<Batch>,
    /// Draws the sample. Not the generator of picks, which are to be the same with and without a log.
    rng: RefCell<Rng>,
    /// Microseconds of wall time when the worker's clock showed zero.
    origin: Cell<u64>,
    stamp: RefCell<Stamp>,
}

impl Lines {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            on: Cell::new(false),
            log: RefCell::default(),
            batch: RefCell::default(),
            rng: RefCell::new(Rng::new(seed)),
            origin: Cell::new(0),
            stamp: RefCell::default(),
        }
    }

    /// Writes to `log` from now on.
    pub(crate) fn configure(&self, log: Option<AccessLog>) {
        self.leave();
        self.on.set(log.is_some());
        *self.log.borrow_mut() = log;
    }

    /// Whether there is a log.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.get()
    }

    /// Whether this request is one of the sample.
    pub(crate) fn wants(&self) -> bool {
        let log = self.log.borrow();
        let Some(log) = log.as_ref() else { return false };
        log.settings.sample >= 1.0 || self.rng.borrow_mut().unit() < log.settings.sample
    }

    /// Takes note of the wall time, so that no request has to ask for it.
    pub(crate) fn set_wall(&self, wall: SystemTime, now: Nanos) {
        let wall = wall
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_micros() as u64);
        self.origin.set(wall.saturating_sub(now.0 / 1000));
    }

    /// Appends the line of a request that ended `now`.
    pub(crate) fn push(&self, entry: &Entry, client: &str, listener: &str, now: Nanos) {
        let log = self.log.borrow();
        let Some(log) = log.as_ref() else { return };
        let mut batch = self.batch.borrow_mut();
        if batch.bytes.len() >= MOST {
            log.writer.drop_line();
            return;
        }
        if batch.bytes.capacity() == 0 {
            batch.bytes.reserve(ENOUGH + ENOUGH / 4);
        }
        let line = json::Line {
            entry,
            time: self.origin.get() + entry.begun.0 / 1000,
            client,
            listener,
            now,
            settings: &log.settings,
        };
        line.write(&mut batch.bytes, &mut self.stamp.borrow_mut());
        batch.lines += 1;
        if batch.bytes.len() >= ENOUGH {
            hand_over(log, &mut batch);
        }
    }

    /// Hands over what is there.
    pub(crate) fn flush(&self) {
        let mut batch = self.batch.borrow_mut();
        if let Some(log) = self.log.borrow().as_ref()
            && batch.lines > 0
        {
            hand_over(log, &mut batch);
        }
    }

    /// Hands over what is there even when the writer is behind, as nobody comes again.
    fn leave(&self) {
        let batch = std::mem::take(&mut *self.batch.borrow_mut());
        if let Some(log) = self.log.borrow().as_ref()
            && batch.lines > 0
        {
            log.writer.leave(batch);
        }
    }
}

fn hand_over(log: &AccessLog, batch: &mut Batch) {
    if let Err(back) = log.writer.hand_over(std::mem::take(batch)) {
        *batch = back;
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::OwnedFd;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::counters::Counters;

    #[test]
    fn while_nobody_takes_lines_they_are_bounded_and_none_is_torn() {
        let (mut reader, pipe) = std::io::pipe().unwrap();
        let counters = Arc::new(Counters::default());
        let log = AccessLog::to(OwnedFd::from(pipe).into(), &counters);
        let lines = Lines::new(1);
        lines.configure(Some(log.clone()));
        let mut entry = Entry::default();
        const PUSHED: u64 = 20_000;
        for at in 0..PUSHED {
            entry.begin(Nanos(at * 1000));
            lines.push(&entry, "192.0.2.7", "web", Nanos(at * 1000));
        }
        // What the pipe, the queue and the worker hold of some 100 bytes each.
        let dropped = counters.access_lines_dropped();
        assert!((8_000..PUSHED).contains(&dropped), "{dropped}");
        drop(lines);
        let thread = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        assert!(log.finish(Duration::from_secs(20)));
        let text = thread.join().unwrap().unwrap();
        let whole = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert!(text.lines().all(whole) && text.ends_with('\n'));
        assert_eq!(text.lines().count() as u64, PUSHED - dropped);
        assert_eq!(counters.access_lines(), PUSHED - dropped);
    }

    #[test]
    fn a_sample_is_a_part() {
        let counters = Arc::new(Counters::default());
        let file = std::fs::File::options().write(true).open("/dev/null").unwrap();
        let mut log = AccessLog::to(file, &counters);
        let lines = Lines::new(1);
        assert!(!lines.wants() && !lines.is_on());
        // Ten thousand draws: four standard deviations are 160 at most.
        for (sample, expected) in [(0.0, 0..1), (0.2, 1_840..2_160), (1.0, 10_000..10_001)] {
            Arc::make_mut(&mut log.settings).sample = sample;
            lines.configure(Some(log.clone()));
            let wanted = (0..10_000).filter(|_| lines.wants()).count();
            assert!(expected.contains(&wanted), "{sample}: {wanted}");
        }
    }
}
