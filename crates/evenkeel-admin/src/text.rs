//! The Prometheus text format, version 0.0.4, written by hand: a family is opened once with its help
//! and type, then its samples follow. Escaping and number formatting live here and nowhere else.
//!
//! Absent on purpose: OpenMetrics, exemplars, native histograms and compression. Every scraper reads
//! this format, and the admin port is next door to the scraper.

use std::fmt::Write as _;

/// The media type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Counts in cumulative buckets; written with [`MetricsText::histogram`].
    Histogram,
}

impl MetricKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricValue {
    /// A count.
    Whole(u64),
    /// A measure.
    Real(f64),
}

impl From<u64> for MetricValue {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for MetricValue {
    fn from(value: u32) -> Self {
        Self::Whole(u64::from(value))
    }
}

impl From<usize> for MetricValue {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for MetricValue {
    fn from(value: bool) -> Self {
        Self::Whole(u64::from(value))
    }
}

impl From<f64> for MetricValue {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// Writes its metrics when `/metrics` is read. Implemented by whoever holds counters that the admin
/// crate does not know, such as those of the listeners.
pub trait MetricsSource: Send + Sync {
    /// Writes whole families, each name once over all sources. Runs on the admin thread: read
    /// atomics, do not wait.
    fn write(&self, out: &mut MetricsText);
}

impl<F: Fn(&mut MetricsText) + Send + Sync> MetricsSource for F {
    fn write(&self, out: &mut MetricsText) {
        self(out);
    }
}

/// An exposition in the making.
#[derive(Debug, Default)]
pub struct MetricsText {
    out: String,
    name: &'static str,
    seen: Vec<&'static str>,
}

impl MetricsText {
    /// Opens a family; the samples that follow belong to it. `help` is one sentence.
    ///
    /// A name is a valid metric name, used once, and ends in `_total` exactly when it is a counter;
    /// debug builds panic otherwise.
    pub fn family(&mut self, name: &'static str, kind: MetricKind, help: &str) {
        debug_assert!(is_name(name), "{name:?} is not a metric name");
        debug_assert!(!self.seen.contains(&name), "the family {name} is written twice");
        debug_assert_eq!(name.ends_with("_total"), kind == MetricKind::Counter, "{name}");
        self.seen.push(name);
        self.name = name;
        let _ = write!(self.out, "# HELP {name} ");
        escape(help, false, &mut self.out);
        let _ = writeln!(self.out, "\n# TYPE {name} {}", kind.as_str());
    }

    /// One sample of the family opened last.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<MetricValue>) {
        self.line("", labels, None, value.into());
    }

    /// One histogram of the family opened last. `buckets` are pairs of an upper bound and the count
    /// of values up to it, both ascending; the bucket `+Inf` is added from `count`.
    pub fn histogram(&mut self, labels: &[(&str, &str)], buckets: &[(f64, u64)], sum: f64, count: u64) {
        for (bound, below) in buckets {
            self.line("_bucket", labels, Some(*bound), MetricValue::Whole(*below));
        }
        self.line("_bucket", labels, Some(f64::INFINITY), MetricValue::Whole(count));
        self.line("_sum", labels, None, MetricValue::Real(sum));
        self.line("_count", labels, None, MetricValue::Whole(count));
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], le: Option<f64>, value: MetricValue) {
        let out = &mut self.out;
        out.push_str(self.name);
        out.push_str(suffix);
        let mut separator = '{';
        for (name, text) in labels {
            out.push(separator);
            separator = ',';
            out.push_str(name);
            out.push_str("=\"");
            escape(text, true, out);
            out.push('"');
        }
        if let Some(bound) = le {
            out.push(separator);
            separator = ',';
            out.push_str("le=\"");
            real(bound, out);
            out.push('"');
        }
        if separator == ',' {
            out.push('}');
        }
        out.push(' ');
        match value {
            MetricValue::Whole(count) => drop(write!(out, "{count}")),
            MetricValue::Real(measure) => real(measure, out),
        }
        out.push('\n');
    }

    /// Bytes written since the last [`Self::take`].
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// What was written since the last call.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn real(value: f64, out: &mut String) {
    if value.is_finite() {
        let _ = write!(out, "{value}");
    } else if value.is_nan() {
        out.push_str("NaN");
    } else {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
}

fn escape(text: &str, quoted: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_samples_and_escapes() {
        let mut text = MetricsText::default();
        text.family("evenkeel_x_total", MetricKind::Counter, "Back\\slash and\nline.");
        text.sample(&[("a", "q\"b\\n\n")], 3u64);
        text.sample(&[], 4u64);
        assert_eq!(
            text.take(),
            "# HELP evenkeel_x_total Back\\\\slash and\\nline.\n# TYPE evenkeel_x_total counter\n\
             evenkeel_x_total{a=\"q\\\"b\\\\n\\n\"} 3\nevenkeel_x_total 4\n"
        );
    }

    #[test]
    fn numbers_that_are_not_finite_have_their_own_spelling() {
        let mut text = MetricsText::default();
        text.family("evenkeel_x", MetricKind::Gauge, "X.");
        text.take();
        for (value, want) in [
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (0.25, "0.25"),
            (1e-9, "0.000000001"),
        ] {
            text.sample(&[], value);
            assert_eq!(text.take(), format!("evenkeel_x {want}\n"));
        }
    }

    #[test]
    fn a_histogram_ends_with_the_infinite_bucket() {
        let mut text = MetricsText::default();
        text.family("evenkeel_d_seconds", MetricKind::Histogram, "D.");
        text.take();
        text.histogram(&[("service", "web")], &[(0.5, 1), (1.0, 2)], 1.25, 3);
        assert_eq!(
            text.take(),
            "evenkeel_d_seconds_bucket{service=\"web\",le=\"0.5\"} 1\n\
             evenkeel_d_seconds_bucket{service=\"web\",le=\"1\"} 2\n\
             evenkeel_d_seconds_bucket{service=\"web\",le=\"+Inf\"} 3\n\
             evenkeel_d_seconds_sum{service=\"web\"} 1.25\n\
             evenkeel_d_seconds_count{service=\"web\"} 3\n"
        );
    }
}
