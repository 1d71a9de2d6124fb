//! `cargo sim`: runs seeds through the simulator.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_sim::main()
}
