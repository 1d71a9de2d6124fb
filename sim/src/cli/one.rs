//! One plan: what it says, what came of it.

use std::process::ExitCode;

use quorate_node::raft::Time;
use quorate_node::raft::trace::Line;

use super::arguments::{Arguments, Output};
use super::{USAGE, failure, json};
use crate::counts::Counts;
use crate::identity::node_id;
use crate::observe::Observation;
use crate::plan::Plan;
use crate::run::run_plan;
use crate::verdict::Verdict;

pub(super) fn run(plan: &Plan, arguments: &Arguments) -> ExitCode {
    let keep_trace = arguments.events || arguments.trace.is_some();
    let options = arguments.options(keep_trace);
    let text = arguments.output == Output::Text;
    if text {
        println!("{plan}");
    }
    let report = run_plan(plan, &options);
    if arguments.events {
        report.trace.iter().for_each(|(at, observation)| print(*at, observation));
    }
    if text {
        println!("faults that had an effect: {}", list(&report.fired));
        println!("rare states: {}", list(&report.rare));
        println!(
            "{} requests acknowledged, {} events, {:.1} virtual s",
            report.acknowledged,
            report.events,
            report.virtual_time.as_secs_f64()
        );
        println!("{}", report.verdict);
        if report.verdict != Verdict::Passed {
            println!("to see it again: {}", arguments.again(plan));
            failure::explain(plan, &report.verdict, arguments);
        }
    } else {
        println!("{}", json::line(plan, arguments.stack, &report));
    }
    if let Err(error) = failure::write_trace(plan, &report, arguments) {
        eprintln!("error: the page could not be written: {error}");
        return ExitCode::from(USAGE);
    }
    if text {
        println!("trace hash: {:016x}", report.trace_hash);
    }
    ExitCode::from(report.verdict.exit_code())
}

/// Everything in a line of its own; the steps of a core in the form that a trace has.
fn print(at: Time, observation: &Observation) {
    match observation {
        Observation::Traced { host, steps } => {
            let node = node_id(*host).0;
            steps.0.iter().for_each(|step| println!("{at} trace {}", Line { node, step: step.clone() }));
        }
        observation => println!("{at} {observation:?}"),
    }
}

/// Counts in one line.
pub(super) fn list(counts: &Counts) -> String {
    let each: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}
