//! The command line: `quorate COMMAND …`.
//!
//! stdout carries data and stderr talk; the exit code says how it went ([`exit::Exit`]). Commands either run a node
//! (`serve`, `bootstrap`), several as child processes (`dev`), or are clients of a cluster. Only `serve` leads into
//! the simulated part of this crate; the rest of this module is never simulated, and may use tokio itself.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "command line code is never simulated: it may use tokio, clocks and processes directly"
)]

mod arguments;
mod backup;
mod bench;
mod bundle;
mod certs;
mod client;
mod configuration;
mod data;
mod debug;
mod dev;
mod doctor;
mod elect;
mod environment;
mod exit;
mod files;
mod inspect;
mod keys;
mod lease;
mod lines;
mod list;
mod lock;
mod logging;
mod manual;
mod membership;
mod node_flags;
mod output;
mod progress;
mod recover;
mod recover_report;
#[cfg(test)]
mod reference;
mod restore;
mod serve;
mod signals;
mod status;
mod tls_flags;
mod token;
mod txn;
mod verify;
mod version;
mod watch;

use arguments::{Cli, Command};
use exit::Failure;
use std::ffi::OsString;
use std::process::ExitCode;

/// The whole program: reads the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    let variable = |name: &str| std::env::var_os(name);
    match run(std::env::args_os().collect(), &variable) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Vec<OsString>, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<(), Failure> {
    match environment::parse::<Cli>(arguments, variable)?.command {
        Command::Dev(flags) => dev::run(&flags),
        Command::Serve(command) => serve::serve(&command),
        Command::Bootstrap(flags) => serve::bootstrap(&flags),
        Command::Get(command) => keys::get(&command),
        Command::Put(command) => keys::put(command),
        Command::Delete(command) => keys::delete(&command),
        Command::List(command) => list::list(&command),
        Command::Watch(command) => watch::watch(&command),
        Command::Txn(command) => txn::txn(&command),
        Command::Lease(command) => lease::lease(&command),
        Command::Lock(command) => lock::lock(&command),
        Command::Elect(command) => elect::elect(command),
        Command::Status(command) => status::status(&command),
        Command::Members(command) => membership::members(command),
        Command::Add(command) => membership::add(command),
        Command::Remove(command) => membership::remove(&command),
        Command::Promote(command) => membership::promote(&command),
        Command::Transfer(command) => membership::transfer(&command),
        Command::Export(command) => data::export(&command),
        Command::Import(command) => data::import(&command),
        Command::Backup(command) => backup::backup(&command),
        Command::Restore(command) => restore::run(&command),
        Command::Debug(command) => debug::run(&command),
        Command::Bench(flags) => bench::run(&flags),
        Command::Version(output) => version::print(output.output),
        Command::Completions { shell } => arguments::print_completions(shell),
        Command::Man(command) => manual::run(&command),
        Command::Token(command) => token::run(&command),
        Command::Certs(command) => certs::run(&command),
        Command::Config(command) => configuration::run(&command),
        Command::Doctor(command) => doctor::run(&command),
        Command::Inspect(command) => inspect::inspect(&command),
        Command::Verify(command) => verify::verify(&command),
        Command::Recover(command) => recover::run(command),
    }
}
