//! The `quorate` program, built as a target of the test package so that it is never older than the tests.
//!
//! One thing is added: with `QUORATE_TEST_TIED` set, it ends when its standard input does. The test harness holds
//! the other end, so a test that is killed leaves no server behind.

use std::io::Read;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::var_os("QUORATE_TEST_TIED").is_some() {
        std::thread::spawn(|| {
            let mut unused = [0; 1];
            while std::io::stdin().read(&mut unused).is_ok_and(|count| count > 0) {}
            std::process::abort();
        });
    }
    quorate_server::main()
}
