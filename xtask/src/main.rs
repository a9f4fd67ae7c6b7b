//! Chores of the workspace: `cargo xtask tidy`, `cargo xtask test`, `cargo xtask sanitize`, `cargo xtask bench`.
//!
//! Parsing of the command line only; each chore is a module. Absent on purpose: anything a user of
//! Evenkeel needs, which belongs to the `evenkeel` binary.

mod bench;
mod repo;
mod sanitize;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Chores of the workspace",
    disable_version_flag = true
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check the rules of the repository that neither the compiler nor clippy can see
    Tidy,
    /// Run every check and test; the last lines say what ran, how long, and what was left out
    Test {
        /// Install the programs that tests run beside (nginx, HAProxy, ...), and fail if one is missing
        #[arg(long)]
        with_peers: bool,
    },
    /// Run the tests under the compiler's sanitizers, of which there are two; needs a nightly compiler
    Sanitize {
        /// Only this one
        #[arg(value_enum)]
        sanitizer: Option<sanitize::Sanitizer>,
    },
    /// Measure
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Subcommand)]
enum Bench {
    /// Compare Evenkeel with nginx and HAProxy: CPU per request, rate, latency, memory
    Proxy(bench::Options),
    /// Compare what clients see of a sick fleet behind Evenkeel, nginx, HAProxy and Traefik
    Fleet(bench::FleetOptions),
    /// The backends of the comparison; it starts them itself
    #[command(hide = true)]
    Backend {
        #[arg(required = true)]
        addresses: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Tidy => tidy::run(),
        Chore::Test { with_peers } => test::run(with_peers),
        Chore::Sanitize { sanitizer } => sanitize::run(sanitizer),
        Chore::Bench(Bench::Proxy(options)) => bench::run(&options),
        Chore::Bench(Bench::Fleet(options)) => bench::run_fleet(&options),
        Chore::Bench(Bench::Backend { addresses }) => bench::serve_backend(&addresses),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
