//! `cargo sim`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod arguments;
mod campaign;
mod failure;
mod json;
mod one;
mod progress;
mod recorded;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

use crate::plan::Scenario;

/// What was asked for can't be done: as clap has it.
const USAGE: u8 = 2;

/// All seeds passed, and some kind of fault never struck.
const FALLS_SHORT: u8 = 13;

/// Runs the command.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        list();
        return ExitCode::SUCCESS;
    }
    if let Some((path, file)) = arguments.recording() {
        return recorded::run(path, &file, &arguments);
    }
    match arguments.plan() {
        Ok(Some(plan)) => one::run(&plan, &arguments),
        Ok(None) => campaign::run(&arguments),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn list() {
    for scenario in Scenario::ALL {
        println!("{:<12}{}", scenario.name(), scenario.about());
    }
}
