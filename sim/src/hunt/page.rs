//! What the simulator catches, and how soon, as a page.

use std::fmt::Write;

use super::STARTS;
use super::bug::Bug;
use super::chase::Outcome;

const HEAD: &str = "\
# What the simulator catches

A simulator is worth what it catches. `sim/zoo/` holds bugs that real systems had, or that Quorate's own rules forbid, each
as a small patch with its source. `cargo zoo` puts them into a copy of the code, one at a time, builds the simulator with
it, and runs seeds from five starting points until a checker notices. This page is written by
`cargo zoo --write FILE`.

With a bug in the code 100 seeds without faults still pass, unless it says otherwise: it hides until something goes wrong.
Bug 0 is no bug but an alarm that must go off: one seed in a hundred reads a lie.
";

/// The page.
pub(super) fn page(found: &[(&Bug, Outcome)], seeds: u64) -> String {
    let killed = found.iter().filter(|(_, outcome)| outcome.is_killed()).count();
    let mut page = HEAD.to_owned();
    let starts: Vec<String> = STARTS.iter().map(u64::to_string).collect();
    let mut medians: Vec<u64> = found.iter().filter_map(|(_, outcome)| outcome.median()).collect();
    medians.sort_unstable();
    let middle = medians.get(medians.len() / 2).copied().unwrap_or_default();
    writeln!(
        page,
        "\nKilled {killed} of {}, in {middle} seeds in the median. Seeds needed from {}: their median, and each. At most \
         {seeds} seeds were run from each.\n",
        found.len(),
        starts.join(", ")
    )
    .expect("a string takes everything");
    page.push_str("| bug | source | where | seeds needed | noticed by |\n|---|---|---|---|---|\n");
    for (bug, outcome) in found {
        page.push_str(&row(bug, outcome));
    }
    page
}

fn row(bug: &Bug, outcome: &Outcome) -> String {
    let seeds = outcome.median().map_or_else(|| "**survived**".to_owned(), |seeds| format!("**{seeds}**"));
    let calm = bug.calm.as_ref().map(|why| format!(" Calm seeds fail: {why}.")).unwrap_or_default();
    let mut by: Vec<String> = outcome.checkers().iter().map(|by| format!("`{by}`")).collect();
    by.extend(bug.search.as_ref().map(|name| format!("the exhaustive search `{name}`")));
    format!(
        "| {}: {}{calm} | {} | {}, {} | {seeds} ({}) | {} |\n",
        bug.number,
        bug.about,
        bug.source,
        bug.stack.name(),
        bug.scenario.name(),
        outcome.each().join(" / "),
        by.join(", ")
    )
}
