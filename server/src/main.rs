//! The `quorate` binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_server::main()
}
