//! A run as a line for programs, so that seed ranges spread over machines and merge again.

use serde_json::{Map, Value, json};

use crate::counts::Counts;
use crate::plan::Plan;
use crate::run::{Report, Stack};
use crate::verdict::Verdict;

/// The line of one seed.
pub(super) fn line(plan: &Plan, stack: Stack, report: &Report) -> String {
    let checker = if let Verdict::Safety { checker, .. } = report.verdict { Some(checker) } else { None };
    let what = (report.verdict != Verdict::Passed).then(|| report.verdict.to_string());
    json!({
        "seed": plan.seed,
        "scenario": plan.scenario.name(),
        "stack": stack.name(),
        "servers": plan.cluster.servers,
        "verdict": report.verdict.kind(),
        "checker": checker,
        "what": what,
        "exit_code": report.verdict.exit_code(),
        "trace_hash": format!("{:016x}", report.trace_hash),
        "events": report.events,
        "virtual_seconds": report.virtual_time.as_secs_f64(),
        "acknowledged": report.acknowledged,
        "faults": counts(&report.fired),
        "rare": counts(&report.rare),
    })
    .to_string()
}

fn counts(counts: &Counts) -> Value {
    Value::Object(counts.iter().map(|(name, count)| (name.to_owned(), count.into())).collect::<Map<_, _>>())
}
