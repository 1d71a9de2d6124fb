//! What can be asked of `cargo sim`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use crate::checkers::known;
use crate::plan::{Plan, PlanError, Scenario};
use crate::recorded::is_recording;
use crate::run::{Jury, Options, Stack};

/// Runs simulated clusters, one a seed, and breaks them.
///
/// Exit codes: 0 all passed, 10 a promise was broken, 11 no progress, 12 a panic, 13 all passed and some kind of fault
/// never struck, 2 nonsense asked.
#[derive(Debug, Parser)]
#[command(name = "sim", bin_name = "cargo sim")]
pub(super) struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    pub(super) start: u64,
    /// Run only seeds that have a cluster of this many servers; passes over the others.
    #[arg(long, conflicts_with_all = ["seed", "replay"], value_parser = clap::value_parser!(u8).range(1..=7))]
    pub(super) servers: Option<u8>,
    /// How many to run at once; as many as there are cores when it is not given. A single seed runs alone.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// What the plans are drawn for.
    #[arg(long, value_enum, default_value_t = Scenario::Swarm)]
    pub(super) scenario: Scenario,
    /// What runs: the whole server on madsim, or nodes and storage alone, which is faster.
    #[arg(long, value_enum, default_value_t = Stack::Full)]
    pub(super) stack: Stack,
    /// Run this seed only, and print its plan, its verdict and its trace hash.
    #[arg(long, conflicts_with_all = ["seeds", "start"])]
    pub(super) seed: Option<u64>,
    /// Run the plan in this file, or replay the recording of a real node.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds", "start", "scenario"])]
    pub(super) replay: Option<PathBuf>,
    /// Write what happened as a page to look at; of a campaign, its first failure.
    #[arg(long, value_name = "FILE.html")]
    pub(super) trace: Option<PathBuf>,
    /// Print everything that was observed; with --seed or --replay.
    #[arg(long)]
    pub(super) events: bool,
    /// Ask this checker alone, as if there were no other: the name that a failure bears.
    #[arg(long, value_name = "CHECKER", value_parser = checker)]
    pub(super) only: Option<&'static str>,
    /// Ask all checkers but this one.
    #[arg(long, value_name = "CHECKER", value_parser = checker, conflicts_with = "only")]
    pub(super) without: Option<&'static str>,
    /// How results are printed; `json` is a line a seed.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
    /// List the scenarios.
    #[arg(long)]
    pub(super) list: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Text,
    /// For programs, a line a seed.
    Json,
}

fn checker(name: &str) -> Result<&'static str, String> {
    known(name).ok_or_else(|| "no checker has that name: docs/SIMULATION.md lists them".to_owned())
}

impl Arguments {
    /// How plans are run.
    pub(super) fn options(&self, keep_trace: bool) -> Options {
        Options { stack: self.stack, keep_trace, jury: self.jury() }
    }

    /// Which checkers are asked.
    pub(super) fn jury(&self) -> Jury {
        match (self.only, self.without) {
            (Some(only), _) => Jury::Only(only),
            (None, Some(other)) => Jury::AllBut(other),
            (None, None) => Jury::All,
        }
    }

    /// The one plan that is asked for, if it is one.
    pub(super) fn plan(&self) -> Result<Option<Plan>, PlanError> {
        match (&self.replay, self.seed) {
            (Some(path), _) => Plan::load(path).map(Some),
            (None, Some(seed)) => Ok(Some(Plan::new(self.scenario, seed))),
            (None, None) => Ok(None),
        }
    }
}

impl Arguments {
    /// The recording that is to be replayed, if it is one.
    pub(super) fn recording(&self) -> Option<(&Path, Vec<u8>)> {
        let path = self.replay.as_deref()?;
        // A file that can't be read is no plan either, which is told then.
        let mut first = [0; 8];
        File::open(path).and_then(|mut file| file.read_exact(&mut first)).ok()?;
        let file = is_recording(&first).then(|| std::fs::read(path))?.ok()?;
        Some((path, file))
    }

    /// The command that shows this plan again.
    pub(super) fn again(&self, plan: &Plan) -> String {
        let only = match self.jury() {
            Jury::All => String::new(),
            Jury::Only(only) => format!(" --only {only}"),
            Jury::AllBut(other) => format!(" --without {other}"),
        };
        let scenario = match plan.scenario {
            Scenario::Swarm => String::new(),
            other => format!(" --scenario {}", other.name()),
        };
        match &self.replay {
            Some(path) => {
                format!("cargo sim --stack {}{only} --replay {}", self.stack.name(), path.display())
            }
            None => format!("cargo sim --stack {}{only}{scenario} --seed {}", self.stack.name(), plan.seed),
        }
    }
}
