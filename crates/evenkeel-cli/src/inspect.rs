//! Commands that only print.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;
use evenkeel_config::{Config, json_schema};
use evenkeel_core::StrategyName;

use crate::args::{Arguments, Check, TableFormat};
use crate::exit::Failed;
use crate::{warnings, wiring};

/// `evenkeel check`.
pub(crate) fn check(arguments: &Check) -> Result<(), Failed> {
    let config = Config::from_path(&arguments.config).map_err(Failed::input)?;
    wiring::check_access_log(&config)?;
    if arguments.print {
        return print(&config.to_yaml());
    }
    // What is allowed and hardly meant; a reader that has gone is no error.
    let _ = io::stderr().write_all(warnings::of_file(&config).as_bytes());
    let instances: usize = config.services.iter().map(|s| s.instances.len()).sum();
    print(&format!(
        "{}: ok ({}, {}, {})\n",
        arguments.config.display(),
        count(config.listeners.len(), "listener"),
        count(config.services.len(), "service"),
        count(instances, "instance"),
    ))
}

/// `evenkeel schema`.
pub(crate) fn schema() -> Result<(), Failed> {
    print(&format!("{:#}\n", json_schema()))
}

/// `evenkeel strategies`.
pub(crate) fn strategies(format: TableFormat) -> Result<(), Failed> {
    let rows = StrategyName::ALL;
    match format {
        TableFormat::Json => {
            let rows: Vec<_> = rows
                .iter()
                .map(|row| {
                    serde_json::json!({
                        "name": row.as_str(),
                        "summary": row.summary(),
                        "default": *row == StrategyName::DEFAULT,
                    })
                })
                .collect();
            print(&format!("{:#}\n", serde_json::Value::from(rows)))
        }
        TableFormat::Text => {
            let width = rows.iter().map(|row| row.as_str().len()).max().unwrap_or(0);
            let lines: String = rows
                .iter()
                .map(|row| {
                    let default = if *row == StrategyName::DEFAULT {
                        " (default)"
                    } else {
                        ""
                    };
                    format!("{:width$}  {}{default}\n", row.as_str(), row.summary())
                })
                .collect();
            print(&lines)
        }
    }
}

/// `evenkeel completions`.
pub(crate) fn completions(shell: Shell) -> Result<(), Failed> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "evenkeel", &mut out);
    print(&String::from_utf8_lossy(&out))
}

/// Prints to standard output; a reader that has gone (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), Failed> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::start(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
