//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use evenkeel_config::{Address, DurationText};
use evenkeel_core::StrategyName;

/// Health-aware load balancer.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, disable_help_subcommand = true)]
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
    /// See it work: six embedded backends that misbehave on a script, load, and a live table.
    ///
    /// Ends with a summary that compares the default strategy with `round_robin`, measured side by side.
    /// Needs nothing else; Ctrl-C ends it early.
    Demo(Demo),
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
    /// Try strategies in virtual time, before production does.
    ///
    /// The strategies, the health model and the retry rules are those of the balancer; servers, network and clients are
    /// simulated. The same seed gives the same run.
    #[command(subcommand)]
    Sim(Sim),
    /// Print completions for a shell.
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sim {
    /// List the scenarios that come with it.
    List,
    /// Print the file of a scenario that comes with it, to begin an own one from.
    Show {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Run scenarios and compare strategies in them.
    Run(SimRun),
}

#[derive(Debug, Args)]
pub(crate) struct SimRun {
    /// Scenarios, by name or file; see `evenkeel sim list`.
    #[arg(
        long,
        value_name = "NAME|FILE",
        value_delimiter = ',',
        default_value = "healthy"
    )]
    pub(crate) scenario: Vec<String>,
    /// Strategies, and rules that only the simulator has: envoy_least_request, yarp,
    /// p2c_least_loaded, p2c_peak_ewma, p4c_peak_ewma, turns, c3, prequal, shortest.
    /// Unless given, that of the scenario, then adaptive, least_connections and round_robin.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) strategy: Vec<String>,
    /// Recorded requests instead of those of the scenario: an access log of `evenkeel serve`, or a file with the columns
    /// `time` (seconds), `work_ms` and `key`, the last two if known.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// The service whose requests are taken from an access log that holds several.
    #[arg(long, value_name = "NAME", requires = "trace")]
    pub(crate) service: Option<String>,
    /// The first seed; the same seed gives the same run.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Runs of each strategy, each with the next seed; intervals are shown from two on.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) reps: u32,
    /// Runs at the same time; as many as there are cores unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,
    /// How to report.
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub(crate) format: ReportFormat,
    /// Write the report to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Table,
    Json,
    Html,
}

/// The two ways to serve, which clap cannot tell from the arguments alone.
const SERVE: &str = "evenkeel serve [OPTIONS] --config <FILE>
       evenkeel serve [OPTIONS] --listen <ADDR> --backend <ADDR> [--backend <ADDR>...]";

#[derive(Debug, Clone, Args)]
#[command(override_usage = SERVE)]
pub(crate) struct Serve {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "backends"],
          required_unless_present_any = ["listen", "backends"])]
    pub(crate) config: Option<PathBuf>,
    /// Address to listen on, e.g. 127.0.0.1:8080.
    #[arg(long, value_name = "ADDR", requires = "backends")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address of a backend as host:port; repeat for more. They get a TCP check every 5 s.
    #[arg(long = "backend", id = "backends", value_name = "ADDR", requires = "listen")]
    pub(crate) backends: Vec<Address>,
    /// Strategy; see `evenkeel strategies`.
    #[arg(long, value_name = "NAME", conflicts_with = "config", value_parser = strategies())]
    pub(crate) strategy: Option<StrategyName>,
    /// Address of the admin API; overrides the file.
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How long it runs, at least 3s; the script of troubles stretches to fit.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = demo_duration)]
    pub(crate) duration: Duration,
    /// Requests sent per second, to each of the two balancers that are compared; at most 5000, about half
    /// of what the backends can do when all are well.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub(crate) requests_per_second: u32,
    /// Address the balancer listens on; port 0 takes any free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Address of the admin API; port 0 takes any free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) admin: SocketAddr,
}

/// Names as clap knows them, so that a wrong one is answered with the right ones and shells complete them.
fn strategies() -> impl TypedValueParser<Value = StrategyName> {
    PossibleValuesParser::new(StrategyName::ALL.iter().map(|name| name.as_str()))
        .try_map(|name| name.parse::<StrategyName>())
}

/// Shorter than this, health checks and ejections have no time to show anything.
const SHORTEST_DEMO: Duration = Duration::from_secs(3);

fn demo_duration(text: &str) -> Result<Duration, String> {
    let DurationText(duration) = text.parse()?;
    if duration < SHORTEST_DEMO {
        return Err(format!(
            "the demo needs at least {SHORTEST_DEMO:?} to show its script"
        ));
    }
    Ok(duration)
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
