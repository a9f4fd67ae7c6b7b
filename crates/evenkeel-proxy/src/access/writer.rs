//! The thread that writes the access log.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::counters::Counters;

/// Buffers that may wait for the writer. With [`super::lines::MOST`] each, 8 MiB at most.
const WAITING: usize = 32;
/// How often trouble is told.
const TOLD: Duration = Duration::from_secs(60);
/// Whom the file is for: its owner, and a group that reads logs.
const MODE: u32 = 0o640;

/// What the thread is handed.
enum Message {
    Lines(Batch),
    /// Look at what is shared.
    Look,
}

/// Whole lines.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

/// What is left at the end when the queue is full, and what cannot wait in it.
#[derive(Debug, Default)]
struct Shared {
    reopen: AtomicBool,
    /// Of workers that have ended.
    last: Mutex<Vec<Batch>>,
}

/// The thread's handle.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    /// Ends with the thread.
    ended: Mutex<Receiver<Infallible>>,
}

impl Writer {
    /// Opens `file`, standard output for `None`, and starts the thread.
    pub(super) fn start(file: Option<PathBuf>, counters: Arc<Counters>) -> io::Result<Self> {
        let open = open(file.as_deref())?;
        Self::to(open, file, counters)
    }

    /// Starts the thread with a file that is open.
    pub(super) fn to(open: File, path: Option<PathBuf>, counters: Arc<Counters>) -> io::Result<Self> {
        let (queue, inbox) = mpsc::sync_channel(WAITING);
        let (alive, ended) = mpsc::sync_channel(0);
        let shared = Arc::new(Shared::default());
        let mut output = Output {
            path,
            file: open,
            shared: Arc::clone(&shared),
            lost: counters.access_lines_dropped(),
            counters: Arc::clone(&counters),
            torn: false,
            told: None,
            failed: 0,
            error: None,
        };
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                output.run(&inbox);
                drop::<SyncSender<Infallible>>(alive);
            })?;
        Ok(Self {
            queue,
            shared,
            counters,
            ended: Mutex::new(ended),
        })
    }

    /// Hands lines over without waiting; gives them back when too many wait already.
    pub(super) fn hand_over(&self, batch: Batch) -> Result<(), Batch> {
        match self.queue.try_send(Message::Lines(batch)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => match message {
                Message::Lines(batch) => Err(batch),
                Message::Look => Ok(()),
            },
        }
    }

    /// The last lines of a worker, which are written when there is nothing else to write.
    pub(super) fn leave(&self, batch: Batch) {
        if let Ok(mut last) = self.shared.last.lock() {
            last.push(batch);
        }
        let _ = self.queue.try_send(Message::Look);
    }

    pub(super) fn drop_line(&self) {
        self.counters.on_access_line_dropped(1);
    }

    pub(super) fn reopen(&self) {
        self.shared.reopen.store(true, Relaxed);
        // With a full queue the thread is awake anyway.
        let _ = self.queue.try_send(Message::Look);
    }

    /// Ends the thread when everything is written. False when that takes longer than `within`.
    pub(super) fn finish(self, within: Duration) -> bool {
        drop(self.queue);
        let Ok(ended) = self.ended.into_inner() else {
            return false;
        };
        matches!(ended.recv_timeout(within), Err(RecvTimeoutError::Disconnected))
    }
}

/// What the thread has.
struct Output {
    path: Option<PathBuf>,
    file: File,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    /// Whether the file ends within a line.
    torn: bool,
    told: Option<Instant>,
    /// Lines that were dropped when trouble was told last.
    lost: u64,
    /// Lines since then that could not be written, and the last reason. The others came while too many waited.
    failed: u64,
    error: Option<io::Error>,
}

impl Output {
    fn run(&mut self, inbox: &Receiver<Message>) {
        while let Ok(message) = inbox.recv() {
            self.look();
            if let Message::Lines(batch) = message {
                self.write(&batch);
            }
            self.write_last();
        }
        self.write_last();
    }

    fn write_last(&mut self) {
        let last = self.shared.last.lock();
        let last = last
            .map(|mut last| std::mem::take(&mut *last))
            .unwrap_or_default();
        for batch in last {
            self.write(&batch);
        }
    }

    fn look(&mut self) {
        if !self.shared.reopen.swap(false, Relaxed) || self.path.is_none() {
            return;
        }
        match open(self.path.as_deref()) {
            Ok(file) => {
                self.file = file;
                self.torn = false;
            }
            Err(error) => tracing::error!(
                file = self.name(),
                "the access log cannot be opened anew; lines go to the file that was open: {}",
                super::explain(&error, self.path.as_deref().unwrap_or(Path::new("-")))
            ),
        }
    }

    fn name(&self) -> String {
        self.path
            .as_deref()
            .map_or_else(|| "standard output".to_owned(), |path| path.display().to_string())
    }

    /// Writes a batch. What cannot be written is dropped: the next lines have the next chance.
    fn write(&mut self, batch: &Batch) {
        let mut rest = &batch.bytes[..];
        let mut error = None;
        if self.torn {
            // A line of its own, so that a half one spoils no other.
            match self.file.write_all(b"\n") {
                Ok(()) => self.torn = false,
                Err(failed) => error = Some(failed),
            }
        }
        while error.is_none() && !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => error = Some(io::ErrorKind::WriteZero.into()),
                Ok(n) => rest = &rest[n..],
                Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => {}
                Err(failed) => error = Some(failed),
            }
        }
        let written = batch.bytes.len() - rest.len();
        if error.is_some() && written > 0 {
            self.torn = batch.bytes[written - 1] != b'\n';
        }
        let lost = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.counters.on_access_lines(batch.lines - lost.min(batch.lines));
        self.counters.on_access_line_dropped(lost);
        if error.is_some() {
            self.failed += lost;
            self.error = error;
        }
        if let Some((lines, why)) = self.trouble(Instant::now()) {
            tracing::warn!(
                file = self.name(),
                lines,
                "lines of the access log were dropped, requests go on: {why}"
            );
        }
    }

    /// How many lines were dropped since that was told last, and why, once a minute.
    fn trouble(&mut self, now: Instant) -> Option<(u64, String)> {
        let dropped = self.counters.access_lines_dropped();
        let recent = |told| now.saturating_duration_since(told) < TOLD;
        if dropped == self.lost || self.told.is_some_and(recent) {
            return None;
        }
        let lines = dropped - self.lost;
        let failed = std::mem::take(&mut self.failed);
        let slow = (lines > failed).then(|| "it takes lines slower than requests come".to_owned());
        let error = self.error.take().map(|error| error.to_string());
        let why = match (error, slow) {
            (Some(error), Some(slow)) => format!("{error} ({failed}), and {slow} ({})", lines - failed),
            (why, other) => why.or(other).unwrap_or_default(),
        };
        self.lost = dropped;
        self.told = Some(now);
        Some((lines, why))
    }
}

fn open(path: Option<&Path>) -> io::Result<File> {
    let Some(path) = path else {
        return Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    };
    refuse_pipes(path)?;
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}

/// Opening a pipe waits for a reader.
fn refuse_pipes(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(found) if found.file_type().is_fifo() || found.file_type().is_socket() => {
            Err(io::ErrorKind::InvalidInput.into())
        }
        _ => Ok(()),
    }
}

/// Whether `path` could be opened, as far as that shows without making it.
pub(super) fn check(path: &Path) -> io::Result<()> {
    refuse_pipes(path)?;
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = match path.parent() {
                Some(parent) if parent != Path::new("") => parent,
                _ => Path::new("."),
            };
            if directory.metadata()?.is_dir() {
                Ok(())
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        }
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch {
            bytes: b"{}\n{}\n".to_vec(),
            lines: 2,
        }
    }

    #[test]
    fn what_is_told_later_has_the_reason_of_then() {
        let open = |path: &str| OpenOptions::new().write(true).open(path).unwrap();
        let counters = Arc::new(Counters::default());
        let mut output = Output {
            path: Some("access.log".into()),
            file: open("/dev/full"),
            shared: Arc::default(),
            counters: Arc::clone(&counters),
            torn: false,
            // So that the first batch is no time to tell anything.
            told: Some(Instant::now()),
            lost: 0,
            failed: 0,
            error: None,
        };
        output.write(&batch());
        let later = |minutes: u32| Instant::now() + minutes * TOLD;
        // The disk has room again before that was told.
        output.file = open("/dev/null");
        output.write(&batch());
        let (lines, why) = output.trouble(later(1)).unwrap();
        assert_eq!(lines, 2);
        assert!(why.contains("No space left") && !why.contains("slower"), "{why}");
        assert_eq!(output.trouble(later(2)), None);
        // Workers dropped three while the disk was slow.
        counters.on_access_line_dropped(3);
        let (lines, why) = output.trouble(later(3)).unwrap();
        assert_eq!((lines, &*why), (3, "it takes lines slower than requests come"));
        // Both.
        counters.on_access_line_dropped(3);
        output.file = open("/dev/full");
        output.write(&batch());
        let (lines, why) = output.trouble(later(5)).unwrap();
        assert!(
            lines == 5 && why.contains("(2), and it takes") && why.ends_with("(3)"),
            "{why}"
        );
        assert_eq!(counters.access_lines(), 2);
    }
}
