//! Many seeds, several at once.

use std::process::ExitCode;
use std::time::Instant;

use super::arguments::{Arguments, Output};
use super::one::list;
use super::progress::Progress;
use super::{FALLS_SHORT, USAGE, failure, json};
use crate::campaign::{Campaign, Totals, run_campaign};
use crate::plan::Plan;
use crate::run::Report;
use crate::verdict::Verdict;

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let seeds = match seeds(arguments) {
        Ok(seeds) => seeds,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let campaign = campaign(arguments, seeds);
    let mut progress = Progress::new(arguments.seeds);
    let mut first_failure: Option<(Plan, Report)> = None;
    let totals = run_campaign(&campaign, |plan, report| {
        let failed = report.verdict != Verdict::Passed;
        if arguments.output == Output::Json {
            progress.say(&json::line(plan, arguments.stack, report));
        } else if failed {
            progress.say(&format!(
                "seed {}: {}\n  to see it again: {}",
                plan.seed,
                report.verdict,
                arguments.again(plan)
            ));
        }
        if failed && first_failure.is_none() {
            first_failure = Some((plan.clone(), report.clone()));
        }
        progress.step(failed);
    });
    progress.end();
    let wall_seconds = started.elapsed().as_secs_f64();
    if arguments.output == Output::Text {
        let failure = first_failure.as_ref();
        failure.inspect(|(plan, report)| failure::explain(plan, &report.verdict, arguments));
        print_totals(&totals, wall_seconds);
    }
    if let Some((plan, report)) = &first_failure
        && let Err(error) = failure::write_trace(plan, report, arguments)
    {
        eprintln!("error: the page could not be written: {error}");
        return ExitCode::from(USAGE);
    }
    if arguments.output == Output::Text {
        println!(
            "simulated {} seeds: {} passed, {} failed; {} events, {} virtual s, {} wall s",
            totals.seeds,
            totals.seeds - totals.failed,
            totals.failed,
            totals.events,
            totals.virtual_time.as_secs(),
            wall_seconds.round()
        );
    }
    let falls_short = totals.falls_short_of();
    if !falls_short.is_empty() {
        eprintln!(
            "error: in {} seeds nothing of these kinds struck: {}",
            totals.seeds,
            falls_short.join(", ")
        );
    }
    let otherwise = if falls_short.is_empty() { 0 } else { FALLS_SHORT };
    ExitCode::from(first_failure.map_or(otherwise, |(_, report)| report.verdict.exit_code()))
}

fn campaign(arguments: &Arguments, seeds: Vec<u64>) -> Campaign {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Campaign {
        scenario: arguments.scenario,
        stack: arguments.stack,
        seeds,
        jobs: arguments.jobs.map_or(cores, usize::from),
        jury: arguments.jury(),
    }
}

/// The seeds that are asked for.
fn seeds(arguments: &Arguments) -> Result<Vec<u64>, String> {
    let Arguments { start, seeds, servers, scenario, .. } = *arguments;
    let end = start
        .checked_add(seeds)
        .ok_or_else(|| format!("--start {start} with --seeds {seeds} goes beyond the last seed"))?;
    let Some(servers) = servers else { return Ok((start..end).collect()) };
    // The rarest size is one seed in twenty: who finds none in so many will find none.
    let within = start..start.saturating_add(seeds.saturating_mul(100));
    let fits = |seed: &u64| Plan::new(scenario, *seed).cluster.servers == servers;
    let found: Vec<u64> = within.filter(fits).take(usize::try_from(seeds).unwrap_or(usize::MAX)).collect();
    if u64::try_from(found.len()) == Ok(seeds) {
        return Ok(found);
    }
    Err(format!("--servers {servers}: {} seeds of scenario {} have so many", found.len(), scenario.name()))
}

fn print_totals(totals: &Totals, wall_seconds: f64) {
    println!("faults that had an effect: {}", list(&totals.fired));
    println!("rare states: {}", list(&totals.rare));
    for (what, missing) in [("fault", &totals.missing_faults()), ("rare state", &totals.missing_states())] {
        if !missing.is_empty() {
            println!("no {what} of these kinds occurred: {}", missing.join(", "));
        }
    }
    let (events, years) = (totals.events as f64, totals.virtual_time.as_secs_f64() / (365.25 * 86_400.0));
    println!(
        "in the median: {} requests acknowledged, {} kinds of faults, {} leader changes",
        totals.median(|seed| seed.acknowledged),
        totals.median(|seed| seed.fault_kinds),
        totals.median(|seed| seed.leader_changes)
    );
    println!(
        "{:.1} seeds/s, {:.0} events/s, {:.2} cluster-years a day",
        totals.seeds as f64 / wall_seconds,
        events / wall_seconds,
        years / wall_seconds * 86_400.0
    );
}
