//! `cargo zoo`: sends the simulator after known bugs.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_sim::hunt()
}
