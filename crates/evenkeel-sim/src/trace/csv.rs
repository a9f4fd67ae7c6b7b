//! Comma-separated values.
//!
//! ```text
//! time,work_ms,key
//! 0.000,8.1,alice
//! 0.003,2.4,bob
//! ```
//!
//! `time` is in seconds from any origin and never goes backwards. `work_ms` is what the request cost a server of
//! speed 1, and `key` what it asked for; both may be left out, as columns or for single requests, and are drawn as the
//! scenario says then. Cells have no quotes, so none holds a comma.

use evenkeel_core::Nanos;

use super::{LONGEST, Recorded, Wrong, hash};

/// Which column is which, and how far the record is.
#[derive(Debug)]
pub(super) struct Columns {
    time: usize,
    work: Option<usize>,
    key: Option<usize>,
    first: Option<f64>,
    before: f64,
    /// How many.
    count: usize,
}

/// Quotes are taken for parts of cells by some, and not by others: better not read than misread.
fn unquoted(line: &str) -> Result<(), Wrong> {
    if line.contains('"') {
        return Err((
            "quotes are not read".to_owned(),
            "write cells without quotes, and keys without commas".to_owned(),
        ));
    }
    Ok(())
}

impl Columns {
    /// By the header. No record of this kind knows of services.
    pub(super) fn of(header: &str, service: Option<&str>) -> Result<Self, Wrong> {
        unquoted(header)?;
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let column = |name: &str| names.iter().position(|found| *found == name);
        let Some(time) = column("time") else {
            return Err((
                format!("there is no column `time` in `{header}`"),
                "begin the file with the header `time,work_ms,key`, of which the last two may be left out, or name an \
                 access log of `evenkeel serve`"
                    .to_owned(),
            ));
        };
        if let Some(unknown) = names
            .iter()
            .find(|name| !["time", "work_ms", "key"].contains(name))
        {
            return Err((
                format!("unknown column `{unknown}`"),
                "columns are `time`, `work_ms` and `key`".to_owned(),
            ));
        }
        if let Some(twice) = (1..names.len()).find(|i| names[..*i].contains(&names[*i])) {
            return Err((
                format!("the column `{}` is there twice", names[twice]),
                "leave one of them out, in all lines".to_owned(),
            ));
        }
        if let Some(service) = service {
            return Err((
                format!("this record does not say which requests are those of `{service}`"),
                "leave out `--service`, which is for access logs".to_owned(),
            ));
        }
        Ok(Self {
            time,
            work: column("work_ms"),
            key: column("key"),
            first: None,
            before: f64::NEG_INFINITY,
            count: names.len(),
        })
    }

    /// Takes a line.
    pub(super) fn line(&mut self, line: &str, requests: &mut Vec<Recorded>) -> Result<(), Wrong> {
        let wrong = |message: String, help: &str| Err((message, help.to_owned()));
        let cell = |column: Option<usize>| {
            let cell = line.split(',').nth(column?).map(str::trim);
            cell.filter(|cell| !cell.is_empty())
        };
        unquoted(line)?;
        let cells = line.split(',').count();
        if cells > self.count {
            return wrong(
                format!("the line has {cells} cells, and the header {}", self.count),
                "keys hold no commas: write another character, or leave the last cells out",
            );
        }
        let text = cell(Some(self.time)).unwrap_or_default();
        let seconds: f64 = match text.parse() {
            Ok(seconds) if f64::is_finite(seconds) => seconds,
            _ => return wrong(format!("`{text}` is no time"), "write seconds, such as `12.345`"),
        };
        if seconds < 0.0 {
            return wrong(
                format!("{seconds} s is before 0"),
                "count the seconds from the first request, or from any moment before it",
            );
        }
        if seconds < self.before {
            return wrong(
                format!("time goes backwards: {seconds} s after {} s", self.before),
                "sort the file by time, as with `sort -t, -k1 -g`",
            );
        }
        self.before = seconds;
        let since = seconds - *self.first.get_or_insert(seconds);
        if since > LONGEST {
            return wrong(
                format!("this is {since:.0} s after the first request"),
                "cut the file to a day at most",
            );
        }
        let work = match cell(self.work) {
            None => None,
            Some(text) => match text.parse::<f64>() {
                Ok(ms) if (0.0..=LONGEST * 1000.0).contains(&ms) => Some(ms * 1e6),
                _ => {
                    return wrong(
                        format!("`{text}` is no amount of work"),
                        "write milliseconds, such as `8.1`",
                    );
                }
            },
        };
        requests.push(Recorded {
            at: Nanos((since * 1e9) as u64),
            work,
            key: cell(self.key).map(hash),
        });
        Ok(())
    }
}
