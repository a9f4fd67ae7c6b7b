//! The file of a report. What stood there stays until the new report is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::exit::Failed;

/// A file that can be written.
pub(super) struct Output<'a> {
    path: &'a Path,
    place: Place,
}

enum Place {
    /// Written beside it, and renamed over it. Links are followed.
    Beside { target: PathBuf, fresh: PathBuf },
    /// A device, a pipe, or a file in a folder in which no other can be made.
    Itself,
}

impl<'a> Output<'a> {
    /// Finds out whether it can be written: better known before an hour of work.
    pub(super) fn new(path: &'a Path) -> Result<Self, Failed> {
        let place = place(path)
            .map_err(|error| Failed::input(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self { path, place })
    }

    pub(super) fn write(&self, text: &str) -> Result<(), Failed> {
        let written = match &self.place {
            Place::Itself => OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(self.path)
                .and_then(|mut file| file.write_all(text.as_bytes())),
            Place::Beside { target, fresh } => replace(target, fresh, text),
        };
        written.map_err(|error| Failed::start(format!("cannot write {}: {error}", self.path.display())))
    }
}

fn place(path: &Path) -> io::Result<Place> {
    let existing = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => return Ok(Place::Itself),
        Ok(_) => {
            // Only whoever may write it may replace it.
            OpenOptions::new().write(true).open(path)?;
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let target = if existing {
        fs::canonicalize(path)?
    } else {
        path.to_owned()
    };
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut fresh = name.to_owned();
    fresh.push(format!(".{}.tmp", std::process::id()));
    let fresh = target.with_file_name(fresh);
    match File::create(&fresh).and_then(|_| fs::remove_file(&fresh)) {
        Ok(()) => Ok(Place::Beside { target, fresh }),
        Err(_) if existing => Ok(Place::Itself),
        Err(error) => Err(error),
    }
}

fn replace(target: &Path, fresh: &Path, text: &str) -> io::Result<()> {
    let written = fs::write(fresh, text).and_then(|()| {
        if let Ok(before) = fs::metadata(target) {
            fs::set_permissions(fresh, before.permissions())?;
        }
        fs::rename(fresh, target)
    });
    if written.is_err() {
        // Half a report is of no use; why it is half is told already.
        let _ = fs::remove_file(fresh);
    }
    written
}
