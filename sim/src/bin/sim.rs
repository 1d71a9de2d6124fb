//! `cargo sim`: runs seeds through the simulator.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use quorate_sim::{Plan, Report, Verdict, run_plan};

/// Runs simulated clusters of the real server, one a seed.
#[derive(Parser)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Run this seed only, and print its plan, its verdict and its trace hash.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: print everything that was observed.
    #[arg(long, requires = "seed")]
    events: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => run_one(seed, arguments.events),
        None => run_many(arguments.start..arguments.start.saturating_add(arguments.seeds)),
    }
}

fn run_one(seed: u64, events: bool) -> ExitCode {
    let plan = Plan::from_seed(seed);
    println!("{plan}");
    let report = run_plan(&plan);
    if events {
        report.trace.iter().for_each(|line| println!("{line}"));
    }
    println!("{}", report.verdict);
    println!("trace hash: {:016x}", report.trace_hash);
    exit_code(&report.verdict)
}

fn run_many(seeds: std::ops::Range<u64>) -> ExitCode {
    let started = Instant::now();
    let count = seeds.end - seeds.start;
    let (mut events, mut virtual_time) = (0, Duration::ZERO);
    let mut failures: Vec<(u64, Report)> = Vec::new();
    for seed in seeds {
        let report = run_plan(&Plan::from_seed(seed));
        events += report.events;
        virtual_time += report.virtual_time;
        if report.verdict != Verdict::Passed {
            println!("seed {seed}: {}\nto see it again: cargo sim --seed {seed} --events", report.verdict);
            failures.push((seed, report));
        }
    }
    let failed = failures.len() as u64;
    println!(
        "simulated {count} seeds: {} passed, {failed} failed; {events} events, {} virtual s, {} wall s",
        count - failed,
        virtual_time.as_secs(),
        started.elapsed().as_secs()
    );
    failures.first().map_or(ExitCode::SUCCESS, |(_, report)| exit_code(&report.verdict))
}

fn exit_code(verdict: &Verdict) -> ExitCode {
    match verdict {
        Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Safety(_) => ExitCode::from(10),
        Verdict::Liveness(_) => ExitCode::from(11),
        Verdict::Crash(_) => ExitCode::from(12),
    }
}
