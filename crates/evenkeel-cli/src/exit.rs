//! How a command ends: 0 ok, 1 the input is wrong, 2 usage (clap's own), 3 could not start, 128 and the
//! number of the signal (143 for SIGTERM, 130 for SIGINT) when a signal cut it off.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use tokio::signal::unix::SignalKind;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The input is wrong.
    Input(String),
    /// The input is right, but the process could not start.
    Start(String),
    /// This signal cut it off.
    Signal(SignalKind, String),
}

impl Failed {
    pub(crate) fn input(error: impl Display) -> Self {
        Self::Input(error.to_string())
    }

    pub(crate) fn start(error: impl Display) -> Self {
        Self::Start(error.to_string())
    }

    pub(crate) fn signal(signal: SignalKind, error: impl Display) -> Self {
        Self::Signal(signal, error.to_string())
    }
}

impl Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Input(text) | Self::Start(text) | Self::Signal(_, text)) = self;
        f.write_str(text)
    }
}

pub(crate) fn code(result: Result<(), Failed>) -> ExitCode {
    let Err(failed) = result else {
        return ExitCode::SUCCESS;
    };
    let text = failed.to_string();
    let prefix = if text.starts_with("error") { "" } else { "error: " };
    // A reader that has gone is no error, and changes nothing about this one.
    let _ = writeln!(io::stderr(), "{prefix}{}", text.trim_end());
    ExitCode::from(match failed {
        Failed::Input(_) => 1,
        Failed::Start(_) => 3,
        Failed::Signal(signal, _) => u8::try_from(128 + signal.as_raw_value()).unwrap_or(u8::MAX),
    })
}
