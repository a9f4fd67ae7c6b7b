//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use evenkeel_config::Address;
use evenkeel_core::StrategyName;

/// Health-aware load balancer.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, about, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// How log lines look; EVENKEEL_LOG sets what is logged (default: info).
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Balance: from a configuration file, or from flags alone.
    ///
    /// SIGHUP reloads the file (a bad one changes nothing); SIGTERM or SIGINT lets running requests
    /// finish, a second one ends at once.
    Serve(Serve),
    /// Show every error of a configuration file with its place and a remedy.
    Check(Check),
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// List the strategies.
    Strategies {
        /// How to print them.
        #[arg(long, value_enum, default_value_t = TableFormat::Text)]
        format: TableFormat,
    },
    /// Print completions for a shell.
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "backends"],
          required_unless_present_all = ["listen", "backends"])]
    pub(crate) config: Option<PathBuf>,
    /// Address to listen on, e.g. 127.0.0.1:8080.
    #[arg(long, value_name = "ADDR", requires = "backends")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address of a backend as host:port; repeat for more. They get a TCP check every 5 s.
    #[arg(long = "backend", id = "backends", value_name = "ADDR", requires = "listen")]
    pub(crate) backends: Vec<Address>,
    /// Strategy; see `evenkeel strategies`.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub(crate) strategy: Option<StrategyName>,
    /// Address of the admin API; overrides the file.
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print the effective configuration: every key with the value in force.
    #[arg(long)]
    pub(crate) print: bool,
}
