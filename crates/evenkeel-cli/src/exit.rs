//! How a command ends: 0 ok, 1 the input is wrong, 2 usage (clap's own), 3 could not start.

use std::fmt::Display;
use std::process::ExitCode;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The input is wrong.
    Input(String),
    /// The input is right, but the process could not start.
    Start(String),
}

impl Failed {
    pub(crate) fn input(error: impl Display) -> Self {
        Self::Input(error.to_string())
    }

    pub(crate) fn start(error: impl Display) -> Self {
        Self::Start(error.to_string())
    }
}

impl Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Input(text) | Self::Start(text)) = self;
        f.write_str(text)
    }
}

pub(crate) fn code(result: Result<(), Failed>) -> ExitCode {
    let Err(failed) = result else {
        return ExitCode::SUCCESS;
    };
    let text = failed.to_string();
    let prefix = if text.starts_with("error") { "" } else { "error: " };
    eprintln!("{prefix}{}", text.trim_end());
    ExitCode::from(match failed {
        Failed::Input(_) => 1,
        Failed::Start(_) => 3,
    })
}
