//! The simulator's runs against a bug.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::bug::Bug;
use crate::plan::Scenario;

/// So many seeds without faults pass with a bug in the code: until something goes wrong it hides.
const CALM_SEEDS: u64 = 100;

/// It sees a wrong step, whether or not any harm comes of it: no bug of the core hides from it, and it may notice any.
const SEES_STEPS: &str = "specification";

/// One bug, a simulator that has it, and one that does not.
pub(super) struct Chase<'a> {
    pub(super) simulator: &'a Path,
    pub(super) sound: &'a Path,
    pub(super) bug: &'a Bug,
    pub(super) starts: &'a [u64],
    pub(super) seeds: u64,
}

/// When a bug was noticed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caught {
    /// How many seeds it took.
    pub(super) seeds: u64,
    /// The checker; or liveness, crash.
    pub(super) by: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// From each starting point. The last ones are missing when the rest had settled it.
    pub(super) caught: Vec<Option<Caught>>,
    /// What happened without faults.
    pub(super) calm: Option<Caught>,
}

impl Chase<'_> {
    /// Runs seeds from each starting point until one fails.
    ///
    /// # Errors
    /// The simulator could not be started, or a seed that shows the bug fails without it as well.
    pub(super) fn run(&self) -> Result<Outcome, String> {
        let others = ["--without", SEES_STEPS];
        let calm = self.first_failure(self.simulator, Scenario::Calm, &others, 0, CALM_SEEDS)?;
        let mut caught = Vec::new();
        for start in self.starts {
            let failure = self.first_failure(self.simulator, self.bug.scenario, &[], *start, self.seeds)?;
            self.blame(*start, failure.as_ref())?;
            caught.push(failure);
            let missed = caught.iter().filter(|it| it.is_none()).count();
            if missed > self.starts.len() / 2 {
                break;
            }
        }
        Ok(Outcome { caught, calm })
    }

    /// Makes sure that it is the bug that fails.
    fn blame(&self, start: u64, failure: Option<&Caught>) -> Result<(), String> {
        let Some(caught) = failure else { return Ok(()) };
        let seed = start + caught.seeds - 1;
        match self.first_failure(self.sound, self.bug.scenario, &[], seed, 1)? {
            None => Ok(()),
            Some(other) => Err(format!("seed {seed} fails without a bug too: {}", other.by)),
        }
    }

    fn first_failure(
        &self,
        program: &Path,
        scenario: Scenario,
        jury: &[&str],
        start: u64,
        seeds: u64,
    ) -> Result<Option<Caught>, String> {
        let failed = |error| format!("{} could not be run: {error}", program.display());
        let mut simulator = Command::new(program)
            .args(["-o", "json", "--stack", self.bug.stack.name(), "--scenario", scenario.name()])
            .args(jury)
            .args(["--start", &start.to_string(), "--seeds", &seeds.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let lines = simulator.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let (mut passed, mut by) = (0, None);
        for line in lines.into_iter().flatten() {
            by = noticed(&line.map_err(failed)?)?;
            if by.is_some() {
                // Nobody wants to know of the rest.
                simulator.kill().map_err(failed)?;
                break;
            }
            passed += 1;
        }
        let status = simulator.wait().map_err(failed)?;
        // One that is ended by a signal of its own has died of the bug.
        let died = by.is_none() && status.code().is_none();
        let by = by.or_else(|| died.then(|| "crash".to_owned()));
        Ok(by.map(|by| Caught { seeds: passed + 1, by }))
    }
}

/// Who noticed something, in a line of the simulator.
fn noticed(line: &str) -> Result<Option<String>, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("{line:?}: {error}"))?;
    let kind = value["verdict"].as_str().unwrap_or_default();
    let by = value["checker"].as_str().unwrap_or(kind);
    Ok((kind != "passed").then(|| by.to_owned()))
}

impl Outcome {
    /// How many seeds it took in the median; nothing when it was missed from most of the starting points.
    pub(super) fn median(&self) -> Option<u64> {
        let mut seeds: Vec<u64> =
            self.caught.iter().map(|caught| caught.as_ref().map_or(u64::MAX, |it| it.seeds)).collect();
        seeds.sort_unstable();
        seeds.get(seeds.len() / 2).copied().filter(|seeds| *seeds != u64::MAX)
    }

    /// Whether it was noticed from most of the starting points.
    pub(super) fn is_killed(&self) -> bool {
        self.median().is_some()
    }

    /// Who noticed, each once, the most frequent first.
    pub(super) fn checkers(&self) -> Vec<&str> {
        let mut counts: Vec<(usize, &str)> = Vec::new();
        for caught in self.caught.iter().flatten() {
            match counts.iter_mut().find(|(_, by)| *by == caught.by) {
                Some((count, _)) => *count += 1,
                None => counts.push((1, &caught.by)),
            }
        }
        counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        counts.into_iter().map(|(_, by)| by).collect()
    }

    /// How many seeds it took from each starting point, in words.
    pub(super) fn each(&self) -> Vec<String> {
        let words = |caught: &Option<Caught>| {
            caught.as_ref().map_or_else(|| "never".to_owned(), |caught| caught.seeds.to_string())
        };
        self.caught.iter().map(words).collect()
    }

    /// What is not as it should be.
    pub(super) fn complaint(&self, bug: &Bug) -> Option<String> {
        let expected = |by: &str| by == SEES_STEPS || bug.expected.iter().any(|expected| expected == by);
        let unexpected = |by: &&&str| !expected(by);
        if !self.is_killed() {
            return Some("it was not noticed: the simulator has a hole".to_owned());
        }
        if let Some(by) = self.checkers().iter().find(unexpected) {
            return Some(format!("{by} noticed it, and is not expected to: {}", bug.expected.join(", ")));
        }
        match (&self.calm, &bug.calm) {
            (Some(caught), None) => {
                Some(format!("it does not hide: calm seed {} fails, {}", caught.seeds - 1, caught.by))
            }
            (None, Some(_)) => Some("its head says that calm seeds fail, and they pass".to_owned()),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.each();
        match self.median() {
            Some(seeds) => {
                write!(formatter, "{seeds:>5} seeds ({})  {}", each.join(", "), self.checkers().join(", "))
            }
            None => write!(formatter, "survived ({})", each.join(", ")),
        }
    }
}
