//! Requests that were recorded: the access log of `evenkeel serve`, or comma-separated values with a header. A record is
//! read line by line, so that it may be larger than the memory is; what is kept of a request is a few numbers.

mod access_log;
mod csv;

use evenkeel_core::Nanos;

use access_log::AccessLog;
use csv::Columns;

/// One request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorded {
    /// When it came, from the first one on.
    pub at: Nanos,
    /// Nanoseconds of work.
    pub(crate) work: Option<f64>,
    /// What it asked for.
    pub(crate) key: Option<u64>,
}

/// A record that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error: {message}\n --> {file}:{line}\n = {help}\n")]
pub struct TraceError {
    file: String,
    line: usize,
    message: String,
    help: String,
}

/// What is wrong with a line, and what to do.
type Wrong = (String, String);

/// The longest record, a day, in seconds.
const LONGEST: f64 = 86_400.0;

/// Reads a record, a line at a time.
#[derive(Debug)]
pub struct TraceReader {
    file: String,
    service: Option<String>,
    line: usize,
    format: Option<Format>,
    requests: Vec<Recorded>,
}

/// Told by the first line.
#[derive(Debug)]
enum Format {
    Csv(Columns),
    AccessLog(AccessLog),
}

impl TraceReader {
    /// A reader; `file` stands for the record in errors. Of an access log with requests of several services, those of
    /// `service` are taken.
    #[must_use]
    pub fn new(file: &str, service: Option<&str>) -> Self {
        Self {
            file: file.to_owned(),
            service: service.map(ToOwned::to_owned),
            line: 0,
            format: None,
            requests: Vec::new(),
        }
    }

    /// Takes the next line. `whole` when a line end follows: a log that is still written may end within a line.
    ///
    /// # Errors
    /// When the line cannot be read, or its time is too far back.
    pub fn line(&mut self, line: &str, whole: bool) -> Result<(), TraceError> {
        self.line += 1;
        let line = match self.line {
            // A mark of the encoding, as spreadsheets write it.
            1 => line.strip_prefix('\u{feff}').unwrap_or(line),
            _ => line,
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let taken = match &mut self.format {
            None if line.starts_with('{') => {
                let mut log = AccessLog::new(self.service.take());
                let taken = log.line(self.line, line, &mut self.requests);
                self.format = Some(Format::AccessLog(log));
                taken
            }
            None => Columns::of(line, self.service.as_deref()).map(|columns| {
                self.format = Some(Format::Csv(columns));
            }),
            Some(Format::Csv(columns)) => columns.line(line, &mut self.requests),
            Some(Format::AccessLog(log)) => match log.line(self.line, line, &mut self.requests) {
                Err(_) if !whole => Ok(()),
                taken => taken,
            },
        };
        taken.map_err(|wrong| self.wrong(wrong))
    }

    /// What is wrong with the line that was read last, for whoever reads the lines.
    #[must_use]
    pub fn wrong_line(&self, message: &str, help: &str) -> TraceError {
        TraceError {
            file: self.file.clone(),
            line: self.line + 1,
            message: message.to_owned(),
            help: help.to_owned(),
        }
    }

    /// Bytes that the requests take, those included that are needed to sort them.
    #[must_use]
    pub fn memory(&self) -> u64 {
        2 * (self.requests.capacity() * size_of::<Recorded>()) as u64
    }

    /// The requests, in the order in which they came.
    ///
    /// # Errors
    /// When there is none, or it is not clear which are meant.
    pub fn finish(mut self) -> Result<Vec<Recorded>, TraceError> {
        self.line = self.line.max(1);
        let result = match &mut self.format {
            None => Err((
                "the file is empty".to_owned(),
                "begin it with the header `time,work_ms,key`, or name an access log".to_owned(),
            )),
            Some(Format::AccessLog(log)) => log.finish(&mut self.requests),
            Some(Format::Csv(_)) if self.requests.is_empty() => Err((
                "there is no request after the header".to_owned(),
                "add a line for each request".to_owned(),
            )),
            Some(Format::Csv(_)) => Ok(()),
        };
        match result {
            Ok(()) => Ok(self.requests),
            Err(wrong) => Err(self.wrong(wrong)),
        }
    }

    fn wrong(&self, (message, help): Wrong) -> TraceError {
        TraceError {
            file: self.file.clone(),
            line: self.line,
            message,
            help,
        }
    }
}

/// Reads a record that is in memory; see [`TraceReader`].
///
/// # Errors
/// Those of the reader.
pub fn read_trace(name: &str, text: &str, service: Option<&str>) -> Result<Vec<Recorded>, TraceError> {
    let mut reader = TraceReader::new(name, service);
    for line in text.split_inclusive('\n') {
        reader.line(line, line.ends_with('\n'))?;
    }
    reader.finish()
}

/// FNV-1a, finished as `Rng` does: the same everywhere.
fn hash(text: &str) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let folded = text.bytes().fold(0xCBF2_9CE4_8422_2325, fold);
    evenkeel_core::Rng::new(folded).next_u64()
}

#[cfg(test)]
mod tests;
