//! Where the demo is shown.

use std::io::{self, IsTerminal as _};

use super::board::{Frame, News};
use super::live::Live;
use super::plain::Plain;

/// A terminal or a pipe.
pub(super) enum Screen {
    /// A picture, repainted.
    Live(Box<Live>),
    /// Lines.
    Plain(Plain),
}

impl Screen {
    /// The picture if standard output is a terminal that can show it, else lines.
    pub(super) fn open() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if !dumb && io::stdout().is_terminal() {
            // A terminal that cannot be asked for its cursor can still show lines.
            if let Ok(Some(live)) = Live::new() {
                return Self::Live(Box::new(live));
            }
        }
        Self::Plain(Plain::default())
    }

    pub(super) fn news(&mut self, news: &News) -> io::Result<()> {
        match self {
            Self::Live(live) => live.news(news),
            Self::Plain(plain) => plain.news(news),
        }
    }

    pub(super) fn frame(&mut self, frame: &Frame) -> io::Result<()> {
        match self {
            Self::Live(live) => live.frame(frame),
            Self::Plain(plain) => plain.frame(frame),
        }
    }

    /// Whether whoever watches has asked for the end by a key.
    pub(super) fn wants_end(&self) -> bool {
        match self {
            Self::Live(live) => live.wants_end(),
            Self::Plain(_) => false,
        }
    }
}
