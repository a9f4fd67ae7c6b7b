//! Load reports as instances send them with their responses: ORCA (`xds.data.orca.v3.OrcaLoadReport`), in the
//! forms that gRPC and Envoy know.
//!
//! | Field | Value |
//! |---|---|
//! | `endpoint-load-metrics` | `TEXT cpu_utilization=0.3,mem_utilization=0.8` |
//! | | `JSON {"cpu_utilization": 0.3}` |
//! | | `BIN ` and the message in base64 |
//! | `endpoint-load-metrics-bin` | the message in base64 |
//!
//! Strict: a report with a number out of its range, a metric that is given twice, or a byte that does not belong
//! there says nothing at all. Metrics of other names are skipped. Nothing is allocated, and no input takes longer
//! than its length.
//!
//! Absent on purpose: named metrics and costs of requests (no strategy weighs them), and a library for each of
//! base64, JSON and protobuf, of which a few dozen lines are enough for five numbers.

mod base64;
mod json;
mod wire;

use super::{LoadReport, ReportError};

/// The longest value of a field that is read. Five numbers take a tenth of it, the rest is for metrics that
/// other readers want.
const LONGEST: usize = 4096;

/// Why a load report says nothing.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OrcaError {
    /// It is too long.
    #[error("the report has {0} bytes; at most {LONGEST} are read")]
    TooLong(usize),
    /// It does not begin with a word that names its form.
    #[error("the report does not begin with `TEXT `, `JSON ` or `BIN `")]
    UnknownForm,
    /// It does not have the form it should have.
    #[error("the report is no well-formed {0}")]
    Malformed(&'static str),
    /// A metric stands there more than once.
    #[error("{0} is given more than once")]
    Repeated(&'static str),
    /// A number is not acceptable.
    #[error(transparent)]
    Number(#[from] ReportError),
}

impl LoadReport {
    /// The report in an `endpoint-load-metrics` field. Empty when it has none of the numbers that are known
    /// here. O(length).
    ///
    /// # Errors
    /// When it is not one; see [`OrcaError`].
    pub fn from_orca(value: &[u8]) -> Result<Self, OrcaError> {
        bounded(value)?;
        let mut draft = Draft::default();
        if let Some(text) = value.strip_prefix(b"TEXT ") {
            text_form(text, &mut draft)?;
        } else if let Some(json) = value.strip_prefix(b"JSON ") {
            json::read(json, &mut draft)?;
        } else if let Some(base64) = value.strip_prefix(b"BIN ") {
            binary_form(base64, &mut draft)?;
        } else {
            return Err(OrcaError::UnknownForm);
        }
        Ok(draft.report)
    }

    /// The report in an `endpoint-load-metrics-bin` field.
    ///
    /// # Errors
    /// As for [`Self::from_orca`].
    pub fn from_orca_binary(value: &[u8]) -> Result<Self, OrcaError> {
        bounded(value)?;
        let mut draft = Draft::default();
        binary_form(value, &mut draft)?;
        Ok(draft.report)
    }
}

fn bounded(value: &[u8]) -> Result<(), OrcaError> {
    if value.len() > LONGEST {
        return Err(OrcaError::TooLong(value.len()));
    }
    Ok(())
}

/// The metrics that are read: their names in text, in the JSON form of protobuf, and their numbers in the
/// message.
const METRICS: [(&str, &str, u64); 5] = [
    ("cpu_utilization", "cpuUtilization", 1),
    ("mem_utilization", "memUtilization", 2),
    ("rps_fractional", "rpsFractional", 6),
    ("eps", "eps", 7),
    ("application_utilization", "applicationUtilization", 9),
];

/// A report while it is read.
#[derive(Debug, Default)]
struct Draft {
    report: LoadReport,
    seen: [bool; METRICS.len()],
}

impl Draft {
    /// The place in [`METRICS`] of the metric for which `is` holds.
    fn find(is: impl Fn(&(&str, &str, u64)) -> bool) -> Option<usize> {
        METRICS.iter().position(is)
    }

    /// Takes in the metric at `index` of [`METRICS`].
    fn set(&mut self, index: usize, value: f64) -> Result<(), OrcaError> {
        let (name, _, _) = METRICS[index];
        if std::mem::replace(&mut self.seen[index], true) {
            return Err(OrcaError::Repeated(name));
        }
        let report = self.report;
        self.report = match index {
            0 => report.with_cpu(value),
            1 => report.with_memory(value),
            2 => report.with_requests_per_second(value),
            3 => report.with_errors_per_second(value),
            _ => report.with_application(value),
        }?;
        Ok(())
    }
}

/// A number as all forms of text write it. What is no number at all is `None`; NaN and infinity are for the
/// bounds to refuse.
fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn text_form(text: &[u8], draft: &mut Draft) -> Result<(), OrcaError> {
    const MALFORMED: OrcaError = OrcaError::Malformed("list of `name=number`");
    for pair in text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let equals = pair.iter().position(|byte| *byte == b'=').ok_or(MALFORMED)?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let value = number(value).filter(|_| !name.is_empty()).ok_or(MALFORMED)?;
        if let Some(index) = Draft::find(|metric| metric.0.as_bytes() == name) {
            draft.set(index, value)?;
        }
    }
    Ok(())
}

fn binary_form(value: &[u8], draft: &mut Draft) -> Result<(), OrcaError> {
    let mut room = [0; LONGEST / 4 * 3];
    let message = base64::decode(value, &mut room).ok_or(OrcaError::Malformed("base64"))?;
    wire::read(message, draft)
}

#[cfg(test)]
mod tests;
