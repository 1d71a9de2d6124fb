//! `cargo zoo`: known bugs, put into a copy of the code one at a time, and the simulator sent after each.
//!
//! | file | what it holds |
//! |---|---|
//! | `bug.rs` | a bug: a patch below `sim/zoo/`, and what stands at its head |
//! | `scratch.rs` | the copy of the code: brought up to date, patched, built, mended |
//! | `chase.rs` | the simulator's runs against the bug |
//! | `page.rs` | what was found, as a page |
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod bug;
mod chase;
mod page;
mod scratch;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use bug::Bug;
use chase::Chase;
use scratch::Scratch;

/// What was asked for can't be done: as clap has it.
const USAGE: u8 = 2;

/// Where a bug is looked for: what comes first in seeds from one place on is chance.
const STARTS: [u64; 5] = [0, 100_000, 200_000, 300_000, 400_000];

/// Puts known bugs into a copy of the code, one at a time, and runs seeds until the simulator notices.
///
/// Exit codes: 0 every bug was noticed by whom one expects to, 1 one was not, or does not hide from seeds without
/// faults, 2 nonsense asked, a patch that does not apply or build, or a seed that fails without a bug too.
#[derive(Debug, Parser)]
#[command(name = "zoo", bin_name = "cargo zoo")]
struct Arguments {
    /// The numbers of the bugs to try, as in 62 or 87b; all of them when none is given.
    bugs: Vec<String>,
    /// So many seeds are run from each starting point before a bug counts as missed there.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How many starting points there are. A bug is killed when it is noticed from most of them.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=5))]
    starts: u8,
    /// Write a page of what was found; with all bugs and all starting points.
    #[arg(long, value_name = "FILE.md", conflicts_with_all = ["bugs", "starts"])]
    write: Option<PathBuf>,
    /// List the bugs.
    #[arg(long)]
    list: bool,
}

/// Runs the command.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let root = workspace();
    match bug::load_all(&root.join("sim/zoo")).and_then(|bugs| chosen(bugs, &arguments.bugs)) {
        Ok(bugs) if arguments.list => {
            bugs.iter().for_each(|bug| println!("{:<5}{:<40}{}", bug.number, bug.name, bug.source));
            ExitCode::SUCCESS
        }
        Ok(bugs) => run(&root, &bugs, &arguments).unwrap_or_else(|error| {
            eprintln!("error: {error}");
            ExitCode::from(USAGE)
        }),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(USAGE)
        }
    }
}

/// Where this source stands: cargo says so to what it runs.
fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| "sim".into(), PathBuf::from);
    package.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn chosen(bugs: Vec<Bug>, numbers: &[String]) -> Result<Vec<Bug>, String> {
    if let Some(unknown) = numbers.iter().find(|number| !bugs.iter().any(|bug| bug.number == **number)) {
        return Err(format!("there is no bug {unknown}; cargo zoo --list shows those that there are"));
    }
    let is_chosen = |bug: &Bug| numbers.is_empty() || numbers.contains(&bug.number);
    Ok(bugs.into_iter().filter(is_chosen).collect())
}

fn run(root: &Path, bugs: &[Bug], arguments: &Arguments) -> Result<ExitCode, String> {
    let copy = Scratch::of(root)?;
    // Before hours are spent: one that no longer applies has to be written anew.
    bugs.iter().try_for_each(|bug| copy.check(bug))?;
    let starts = &STARTS[..usize::from(arguments.starts)];
    let sound = copy.build_sound()?;
    let mut found = Vec::new();
    let mut code = 0;
    for bug in bugs {
        let began = Instant::now();
        let simulator = copy.build_with(bug)?;
        let built = began.elapsed();
        let outcome =
            Chase { simulator: &simulator, sound: &sound, bug, starts, seeds: arguments.seeds }.run();
        copy.mend(bug)?;
        let took = format!("(built in {} s, {} s in all)", built.as_secs(), began.elapsed().as_secs());
        // Hours may lie ahead: what is wrong is said at once, and the others are tried all the same.
        match outcome {
            Ok(outcome) => {
                println!("{:<5}{:<40}{outcome}  {took}", bug.number, bug.name);
                if let Some(complaint) = outcome.complaint(bug) {
                    eprintln!("bug {}: {complaint}", bug.number);
                    code = code.max(1);
                }
                found.push((bug, outcome));
            }
            Err(error) => {
                eprintln!("error: bug {}: {error}", bug.number);
                code = USAGE;
            }
        }
    }
    if let Some(path) = arguments.write.as_ref().filter(|_| code != USAGE) {
        let text = page::page(&found, arguments.seeds);
        std::fs::write(path, text)
            .map_err(|error| format!("{} can't be written: {error}", path.display()))?;
    }
    let killed = found.iter().filter(|(_, outcome)| outcome.is_killed()).count();
    println!("killed {killed} of {}", bugs.len());
    Ok(ExitCode::from(code))
}
