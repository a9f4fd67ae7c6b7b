//! Requests that were recorded: comma-separated, with a header.
//!
//! ```text
//! time,work_ms,key
//! 0.000,8.1,alice
//! 0.003,2.4,bob
//! ```
//!
//! `time` is in seconds from any origin and never goes backwards. `work_ms` is what the request cost a server of
//! speed 1, and `key` what it asked for; both may be left out, as columns or for single requests, and are drawn as the
//! scenario says then.

use evenkeel_core::Nanos;

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

/// The longest record, a day.
const LONGEST: f64 = 86_400.0;

/// Reads a record; `name` stands for the file in errors.
///
/// # Errors
/// When a line cannot be read, time goes backwards, or there is no request.
pub fn read_trace(name: &str, text: &str) -> Result<Vec<Recorded>, TraceError> {
    let wrong = |line: usize, message: String, help: &str| TraceError {
        file: name.to_owned(),
        line,
        message,
        help: help.to_owned(),
    };
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(place, line)| (place + 1, line.trim()));
    let mut lines = lines
        .by_ref()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let Some((at, header)) = lines.next() else {
        return Err(wrong(
            1,
            "the file is empty".to_owned(),
            "begin it with the header `time,work_ms,key`",
        ));
    };
    let names: Vec<&str> = header.split(',').map(str::trim).collect();
    let column = |name: &str| names.iter().position(|found| *found == name);
    let Some(time) = column("time") else {
        let message = format!("there is no column `time` in `{header}`");
        return Err(wrong(
            at,
            message,
            "begin the file with the header `time,work_ms,key`; the last two may be left out",
        ));
    };
    if let Some(unknown) = names
        .iter()
        .find(|name| !["time", "work_ms", "key"].contains(name))
    {
        return Err(wrong(
            at,
            format!("unknown column `{unknown}`"),
            "columns are `time`, `work_ms` and `key`",
        ));
    }
    let (work, key) = (column("work_ms"), column("key"));
    let mut trace: Vec<Recorded> = Vec::new();
    let mut first = None;
    let mut before = f64::NEG_INFINITY;
    for (at, line) in lines {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |column: Option<usize>| {
            column
                .and_then(|column| cells.get(column))
                .copied()
                .filter(|cell| !cell.is_empty())
        };
        let text = cell(Some(time)).unwrap_or_default();
        let seconds: f64 = match text.parse() {
            Ok(seconds) if f64::is_finite(seconds) => seconds,
            _ => {
                return Err(wrong(
                    at,
                    format!("`{text}` is no time"),
                    "write seconds, such as `12.345`",
                ));
            }
        };
        if seconds < before {
            let message = format!("time goes backwards: {seconds} s after {before} s");
            return Err(wrong(
                at,
                message,
                "sort the file by time, as with `sort -t, -k1 -g`",
            ));
        }
        before = seconds;
        let since = seconds - *first.get_or_insert(seconds);
        if since > LONGEST {
            return Err(wrong(
                at,
                format!("this is {since:.0} s after the first request"),
                "cut the file to a day at most",
            ));
        }
        let work = match cell(work) {
            None => None,
            Some(text) => match text.parse::<f64>() {
                Ok(ms) if (0.0..=LONGEST * 1000.0).contains(&ms) => Some(ms * 1e6),
                _ => {
                    return Err(wrong(
                        at,
                        format!("`{text}` is no amount of work"),
                        "write milliseconds, such as `8.1`",
                    ));
                }
            },
        };
        trace.push(Recorded {
            at: Nanos((since * 1e9) as u64),
            work,
            key: cell(key).map(hash),
        });
    }
    if trace.is_empty() {
        return Err(wrong(
            at,
            "there is no request after the header".to_owned(),
            "add a line for each request",
        ));
    }
    Ok(trace)
}

/// FNV-1a, finished as `Rng` does: the same everywhere.
fn hash(text: &str) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let folded = text.bytes().fold(0xCBF2_9CE4_8422_2325, fold);
    evenkeel_core::Rng::new(folded).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_with_what_is_known_of_them() {
        let trace = read_trace(
            "t",
            "time,work_ms,key\n10.0,8,alice\n# later\n\n10.5,,alice\n12, 1.5 ,\n",
        )
        .unwrap();
        assert_eq!(
            trace.iter().map(|r| r.at).collect::<Vec<_>>(),
            [0, 500, 2000].map(Nanos::from_millis)
        );
        assert_eq!(
            trace.iter().map(|r| r.work).collect::<Vec<_>>(),
            [Some(8e6), None, Some(1.5e6)]
        );
        assert!(trace[0].key.is_some() && trace[0].key == trace[1].key && trace[2].key.is_none());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, part) in [
            ("", 1, "empty"),
            ("a,b\n", 1, "no column `time`"),
            ("time,wrok_ms\n", 1, "unknown column `wrok_ms`"),
            ("time\n", 1, "no request"),
            ("time\n1\nx\n", 3, "`x` is no time"),
            ("time\n1\nNaN\n", 3, "`NaN` is no time"),
            ("time\n2\n\n1\n", 4, "backwards"),
            ("time\n0\n86401\n", 3, "after the first"),
            ("time,work_ms\n0,-1\n", 2, "no amount of work"),
        ] {
            let error = read_trace("t.csv", text).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(
                error.to_string().contains(part) && error.to_string().contains("t.csv:"),
                "{error}"
            );
        }
    }
}
