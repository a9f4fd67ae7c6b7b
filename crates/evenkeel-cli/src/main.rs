//! The binary `evenkeel`: parsing and wiring only.

mod args;
mod demo;
mod exit;
mod inspect;
mod limits;
mod logging;
mod metrics;
mod resolve;
mod secrets;
mod serve;
mod sim;
mod token;
mod warnings;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Serve(serve) => logging::init(arguments.log_format).and_then(|()| serve::run(&serve)),
        Command::Demo(demo) => demo::run(&demo),
        Command::Check(check) => inspect::check(&check),
        Command::Schema => inspect::schema(),
        Command::Strategies { format } => inspect::strategies(format),
        Command::Sim(arguments) => sim::run(arguments),
        Command::Completions { shell } => inspect::completions(shell),
    };
    exit::code(result)
}
