//! What a failure leaves for whoever looks into it: a smaller plan, a page, and the line that shows it again.

use std::io;
use std::path::PathBuf;

use super::arguments::Arguments;
use crate::plan::Plan;
use crate::run::{Report, Stack, run_plan};
use crate::shrink::shrink;
use crate::timeline::{Scene, Subject, page};
use crate::verdict::Verdict;

/// Where smaller plans are put.
const DIRECTORY: &str = "target/sim";

/// How many plans are run to find a smaller one.
fn most_runs(stack: Stack) -> usize {
    match stack {
        Stack::Core => 600,
        Stack::Full => 150,
    }
}

/// Makes a failing plan smaller, prints it, and says how to run it again.
pub(super) fn explain(plan: &Plan, verdict: &Verdict, arguments: &Arguments) {
    let options = arguments.options(false);
    let shrunk = shrink(plan, verdict, &options, most_runs(arguments.stack));
    println!(
        "\na smaller plan that fails too, {} faults and requests instead of {} (found in {} runs):\n\n{}",
        shrunk.plan.size(),
        plan.size(),
        shrunk.runs,
        shrunk.plan
    );
    println!("{}", shrunk.verdict);
    match save(&shrunk.plan, arguments) {
        Ok(path) => {
            println!(
                "to see it again: cargo sim --stack {} --replay {}",
                arguments.stack.name(),
                path.display()
            );
        }
        Err(error) => eprintln!("the smaller plan could not be saved in {DIRECTORY}: {error}"),
    }
}

fn save(plan: &Plan, arguments: &Arguments) -> io::Result<PathBuf> {
    std::fs::create_dir_all(DIRECTORY)?;
    let name = format!("{}-{}-{}.plan", arguments.stack.name(), plan.scenario.name(), plan.seed);
    let path = PathBuf::from(DIRECTORY).join(name);
    std::fs::write(&path, plan.to_string())?;
    Ok(path)
}

/// Writes the page of a run, if one was asked for; runs the plan again when its trace was not kept.
pub(super) fn write_trace(plan: &Plan, report: &Report, arguments: &Arguments) -> io::Result<()> {
    let Some(path) = &arguments.trace else { return Ok(()) };
    let again;
    let report = if report.trace.is_empty() {
        again = run_plan(plan, &arguments.options(true));
        &again
    } else {
        report
    };
    let scene = Scene {
        subject: Subject::Plan(plan),
        trace: &report.trace,
        verdict: report.verdict.to_string(),
        violated_at: report.broken_at,
        trace_hash: report.trace_hash,
        again: arguments.again(plan),
        stack: arguments.stack.name(),
    };
    std::fs::write(path, page(&scene))?;
    println!("what happened, as a page: {}", path.display());
    Ok(())
}
