//! Log lines on standard error.
//!
//! `EVENKEEL_LOG` is read here and not by the library's own filter, which takes a word it does not know for the
//! name of a module and then logs nothing, errors included.

use std::env::VarError;
use std::io::IsTerminal as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::args::LogFormat;
use crate::exit::Failed;

const VARIABLE: &str = "EVENKEEL_LOG";
const LEVELS: &str = "error, warn, info, debug, trace or off";
/// Who writes log lines.
const MODULES: [&str; 4] = ["evenkeel", "evenkeel_admin", "evenkeel_proxy", "evenkeel_runtime"];

/// Sets up logging once for the process.
pub(crate) fn init(format: LogFormat) -> Result<(), Failed> {
    let wanted = match std::env::var(VARIABLE) {
        Ok(text) => text,
        Err(VarError::NotPresent) => String::new(),
        Err(error) => return Err(Failed::input(format!("{VARIABLE}: {error}"))),
    };
    let filter = filter(&wanted).map_err(Failed::input)?;
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second call (in tests) keeps the first.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    Ok(())
}

/// A level, levels of modules, or both: `warn,evenkeel_runtime=debug`. What is not named has level `info`.
fn filter(text: &str) -> Result<Targets, String> {
    let mut filter = Targets::new().with_default(LevelFilter::INFO);
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        filter = match part.split_once('=') {
            None => filter.with_default(level(part)?),
            Some((module, word)) => filter.with_target(known(module.trim())?, level(word.trim())?),
        };
    }
    Ok(filter)
}

fn level(word: &str) -> Result<LevelFilter, String> {
    // The library takes an empty word for `error`.
    let level = word.parse().ok().filter(|_| !word.is_empty());
    level.ok_or_else(|| {
        format!(
            "{VARIABLE}: `{word}` is not a level: use {LEVELS}, or MODULE=LEVEL for a part of the program, \
             such as evenkeel_runtime=debug"
        )
    })
}

/// The module if it is one that writes log lines, or is within one.
fn known(module: &str) -> Result<&str, String> {
    let (part, _) = module.split_once("::").unwrap_or((module, ""));
    if MODULES.contains(&part) {
        return Ok(module);
    }
    Err(format!(
        "{VARIABLE}: no log line comes from `{module}`: use {}, or a module within one of them",
        MODULES.join(", ")
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn what_is_not_named_keeps_the_default() {
        for (text, target, shown) in [
            ("", "evenkeel::serve", Level::INFO),
            ("warn", "evenkeel::serve", Level::WARN),
            ("DEBUG", "evenkeel_proxy::worker", Level::DEBUG),
            ("evenkeel_proxy=debug", "evenkeel_proxy::worker", Level::DEBUG),
            ("evenkeel_proxy=debug", "evenkeel_runtime::log", Level::INFO),
            (
                "warn, evenkeel_runtime::log = trace,",
                "evenkeel_runtime::log",
                Level::TRACE,
            ),
            (
                "warn, evenkeel_runtime::log = trace,",
                "evenkeel_runtime::checks",
                Level::WARN,
            ),
            ("evenkeel=error", "evenkeel_admin", Level::ERROR),
        ] {
            let filter = filter(text).unwrap();
            let most = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
            let most = most.into_iter().find(|level| filter.would_enable(target, level));
            assert_eq!(most, Some(shown), "{text}: {target}");
        }
        assert!(!filter("off").unwrap().would_enable("evenkeel", &Level::ERROR));
    }

    #[test]
    fn what_would_match_nothing_is_refused() {
        for (text, named, remedy) in [
            ("warning", "`warning`", "error, warn, info"),
            ("evenkeel_proxy", "`evenkeel_proxy`", "MODULE=LEVEL"),
            ("evenkeel_proxy=verbose", "`verbose`", "error, warn, info"),
            ("evenkeel_proxy=", "``", "error, warn, info"),
            ("proxy=debug", "`proxy`", "evenkeel_proxy"),
            ("evenkeel_prox=debug", "`evenkeel_prox`", "evenkeel_proxy"),
            ("info,=debug", "``", "evenkeel_proxy"),
        ] {
            let error = filter(text).unwrap_err();
            assert!(error.starts_with("EVENKEEL_LOG: "), "{error}");
            assert!(error.contains(named) && error.contains(remedy), "{text}: {error}");
        }
    }
}
