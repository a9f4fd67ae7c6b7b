//! Recorded requests, read from their file line by line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use evenkeel_sim::{Recorded, Scenario, TraceReader};

use super::free_memory;
use crate::exit::Failed;

/// The longest line. Those of an access log are a tenth of it at most.
const LONGEST: u64 = 256 * 1024;
/// After how many lines is looked whether there is memory for more.
const LOOKS: u64 = 1 << 16;

/// The requests in `path`; of an access log those of `service`.
pub(super) fn read(path: &Path, service: Option<&str>) -> Result<Vec<Recorded>, Failed> {
    let unreadable =
        |error: std::io::Error| Failed::input(format!("cannot read {}: {error}", path.display()));
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(unreadable)?);
    let mut reader = TraceReader::new(&path.display().to_string(), service);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = file.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        if read.map_err(unreadable)? == 0 {
            break;
        }
        let whole = line.ends_with(b"\n");
        if !whole && line.len() as u64 == LONGEST {
            let help = "name an access log of `evenkeel serve`, or a file with the header `time,work_ms,key`";
            return Err(Failed::input(reader.wrong_line("this line never ends", help)));
        }
        let text = std::str::from_utf8(&line)
            .map_err(|_| Failed::input(reader.wrong_line("this is no text", "the file must be UTF-8")))?;
        reader.line(text, whole).map_err(Failed::input)?;
        if number % LOOKS == 0 && free_memory().is_some_and(|free| reader.memory() > free) {
            let help = "cut the file, as with `head -n 1000000`";
            return Err(Failed::input(
                reader.wrong_line("there is no memory for the requests from here on", help),
            ));
        }
    }
    reader.finish().map_err(Failed::input)
}

/// Says what was found, and how it fits the servers: what they cannot do at all shows nothing but that.
pub(super) fn tell(path: &Path, scenario: &Scenario) {
    let load = scenario.offered().map_or_else(String::new, |load| {
        format!(", {load:.3} of what the servers of {} can do", scenario.name())
    });
    eprintln!(
        "{}: {} requests in {:.1} s{load}",
        path.display(),
        scenario.requests(),
        scenario.duration().as_secs_f64(),
    );
    let late = scenario.late_faults();
    if late > 0 {
        eprintln!(
            "warning: servers of {} have faults that begin only after the last of these requests: {late}\n = let them begin before {}",
            scenario.name(),
            scenario.duration(),
        );
    }
}
