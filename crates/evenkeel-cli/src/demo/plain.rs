//! The demo on a pipe: lines and nothing else.

use std::io::{self, Write as _};
use std::time::Duration;

use evenkeel_core::InstanceState;

use super::board::{Frame, News};
use super::text;

/// Between two lines that say how it goes.
const EVERY: Duration = Duration::from_secs(2);

/// Lines on standard output.
#[derive(Debug)]
pub(super) struct Plain {
    /// When the next line on how it goes is due.
    next: Duration,
}

impl Default for Plain {
    fn default() -> Self {
        Self { next: EVERY }
    }
}

impl Plain {
    pub(super) fn news(&mut self, news: &News) -> io::Result<()> {
        line(&news.line())
    }

    pub(super) fn frame(&mut self, frame: &Frame) -> io::Result<()> {
        if frame.elapsed < self.next {
            return Ok(());
        }
        while self.next <= frame.elapsed {
            self.next += EVERY;
        }
        line(&status(frame))
    }
}

fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// How it goes, in one line.
fn status(frame: &Frame) -> String {
    let clients = &frame.clients[0];
    let mut line = format!(
        "{} {} of {} | {} requests, {} errors, p50 {}, p99 {}",
        text::hms(frame.now),
        text::seconds(Duration::from_secs(frame.elapsed.min(frame.duration).as_secs())),
        text::seconds(frame.duration),
        clients.requests,
        clients.errors,
        text::time_or_dash(clients.p50),
        text::time_or_dash(clients.p99),
    );
    let out: Vec<_> = frame
        .rows
        .iter()
        .filter(|row| row.state != InstanceState::Healthy)
        .map(|row| format!("{} {}", row.name, row.state.as_str()))
        .collect();
    if !out.is_empty() {
        line += &format!(" | {}", out.join(", "));
    }
    line + " | " + &frame.activity()
}

#[cfg(test)]
mod tests {
    use super::super::board::sample::frame;
    use super::*;

    #[test]
    fn one_line_tells_how_it_goes() {
        assert_eq!(
            status(&frame(12)),
            "00:00:00 12 s of 30 s | 1234567 requests, 12345 errors, p50 5.3 ms, p99 1.25 s | web-4 ejected | \
             web-4 fails fast"
        );
        assert!(status(&frame(31)).ends_with("| web-4 ejected | waiting for the last 37035 requests"));
    }
}
