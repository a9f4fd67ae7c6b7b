//! The access log: one line of JSON for every request, written when it ends.
//!
//! A worker formats lines into a buffer of its own and hands it to the one thread that writes, when it is full enough or
//! at the next tick. It never waits for the disk: while the writer is behind, the buffer grows to [`lines::MOST`], and
//! what comes then is dropped and counted. Nothing is kept of a request that is not logged, and nothing is asked of the
//! clock for it.
//!
//! Absent on purpose: formats of one's own, rotation (the system has programs for it, which send a signal), and headers of
//! requests and responses, in which secrets travel.

mod entry;
mod json;
mod lines;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

pub(crate) use entry::Entry;
pub(crate) use lines::Lines;

use crate::counters::Counters;
use writer::Writer;

/// What is written, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLogSettings {
    /// The file; `None` for standard output.
    pub file: Option<PathBuf>,
    /// The part of the requests that is written, 0..=1.
    pub sample: f64,
    /// Whether queries are written.
    pub query: bool,
}

/// The access log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("access_log: cannot write {}: {}", .file.display(), explain(.source, .file))]
pub struct AccessLogError {
    /// The file.
    pub file: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// What is wrong, and what mends it.
fn explain(error: &io::Error, file: &Path) -> String {
    let parent = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let directory = parent.display();
    match error.kind() {
        io::ErrorKind::NotFound if parent.is_dir() => {
            "it is a symbolic link to a place that is not there; make that, or remove the link".to_owned()
        }
        io::ErrorKind::NotFound => {
            format!("there is no directory {directory}; make it with `mkdir -p {directory}`")
        }
        io::ErrorKind::PermissionDenied if file.exists() => {
            format!(
                "permission denied; let the user that runs evenkeel write it (`ls -l {}` tells whose it is)",
                file.display()
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("permission denied; let the user that runs evenkeel write in {directory}")
        }
        io::ErrorKind::NotADirectory => {
            format!("{directory} is not a directory, or lies in what is none; name one that is")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("{directory} can only be read; name a file where evenkeel may write")
        }
        io::ErrorKind::IsADirectory => "it is a directory; name a file in it".to_owned(),
        io::ErrorKind::InvalidInput => {
            "it is a pipe or a socket; name a file, or `-` for standard output".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Has the file of an [`AccessLog`] opened anew, and keeps nothing open itself.
#[derive(Debug, Clone)]
pub struct Reopen(Weak<Writer>);

impl Reopen {
    /// As [`AccessLog::reopen`], while somebody writes.
    pub fn reopen(&self) {
        if let Some(writer) = self.0.upgrade() {
            writer.reopen();
        }
    }
}

/// An access log that is open. Copies write to the same place, and the last one closes it.
#[derive(Debug, Clone)]
pub struct AccessLog {
    pub(crate) settings: Arc<AccessLogSettings>,
    writer: Arc<Writer>,
}

impl AccessLog {
    /// Opens the log, and starts the thread that writes it. When `former` is in the same place, it goes on with that
    /// thread and its file.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(
        settings: AccessLogSettings,
        former: Option<&Self>,
        counters: &Arc<Counters>,
    ) -> Result<Self, AccessLogError> {
        let writer = match former.filter(|former| former.settings.file == settings.file) {
            Some(former) => Arc::clone(&former.writer),
            None => {
                let started = Writer::start(settings.file.clone(), Arc::clone(counters));
                Arc::new(started.map_err(|source| AccessLogError {
                    file: settings.file.clone().unwrap_or_else(|| "standard output".into()),
                    source,
                })?)
            }
        };
        Ok(Self {
            settings: Arc::new(settings),
            writer,
        })
    }

    /// Whether lines could be appended to `file`, without making it.
    ///
    /// # Errors
    /// When they could not.
    pub fn check(file: &Path) -> Result<(), AccessLogError> {
        writer::check(file).map_err(|source| AccessLogError {
            file: file.to_owned(),
            source,
        })
    }

    /// Has the file opened anew, because somebody moved it away. When that fails, lines go to the old one.
    pub fn reopen(&self) {
        self.writer.reopen();
    }

    /// For who may have the file opened anew until the last line is written, as logs are rotated during a drain, too.
    #[must_use]
    pub fn reopener(&self) -> Reopen {
        Reopen(Arc::downgrade(&self.writer))
    }

    /// One that writes to what is open already.
    #[cfg(test)]
    fn to(file: std::fs::File, counters: &Arc<Counters>) -> Self {
        let settings = AccessLogSettings {
            file: None,
            sample: 1.0,
            query: false,
        };
        let writer = Writer::to(file, None, Arc::clone(counters));
        Self {
            settings: Arc::new(settings),
            writer: Arc::new(writer.unwrap()),
        }
    }

    /// Waits until all lines are written, at most for `within`. False when some are not, or others still write.
    #[must_use]
    pub fn finish(self, within: Duration) -> bool {
        Arc::into_inner(self.writer).is_some_and(|writer| writer.finish(within))
    }
}
