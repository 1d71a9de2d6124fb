//! Plans as text: printed, saved, loaded.
//!
//! The text is TOML. A field that is not known is refused: a plan with a typing error would silently test something
//! else.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{MOST_SERVERS, Plan};

/// Why a plan can't be run.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file can't be read.
    #[error("can't read the plan {path}: {source}; give the path of a file that `cargo sim` has printed")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not TOML, or lacks something.
    #[error("the plan can't be understood: {0}")]
    NotAPlan(#[from] toml::de::Error),
    /// It says something that nobody reads.
    #[error("the plan has {0}, which nothing reads: is it spelled right?")]
    UnknownField(String),
    /// It can't be run.
    #[error("the plan makes no sense: {0}")]
    Nonsense(String),
}

impl Plan {
    /// Reads a plan from a file.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn load(path: &Path) -> Result<Plan, PlanError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PlanError::Unreadable { path: path.to_owned(), source })?;
        Plan::parse(&text)
    }

    /// Reads a plan from its text.
    ///
    /// # Errors
    /// [`PlanError`], but for [`PlanError::Unreadable`].
    pub fn parse(text: &str) -> Result<Plan, PlanError> {
        let plan: Plan = toml::from_str(text)?;
        let given: toml::Value = toml::from_str(text)?;
        let understood =
            toml::Value::try_from(&plan).map_err(|error| PlanError::Nonsense(error.to_string()))?;
        if let Some(field) = unread(&given, &understood, "") {
            return Err(PlanError::UnknownField(field));
        }
        plan.check()?;
        Ok(plan)
    }
}

/// The first field of `given` that has no counterpart in `understood`.
fn unread(given: &toml::Value, understood: &toml::Value, at: &str) -> Option<String> {
    match (given, understood) {
        (toml::Value::Table(given), toml::Value::Table(understood)) => {
            given.iter().find_map(|(name, value)| {
                let here = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                match understood.get(name) {
                    None => Some(format!("the field {here} = {value}")),
                    Some(other) => unread(value, other, &here),
                }
            })
        }
        (toml::Value::Array(given), toml::Value::Array(understood)) => given
            .iter()
            .zip(understood)
            .enumerate()
            .find_map(|(number, (value, other))| unread(value, other, &format!("{at}[{number}]"))),
        _ => None,
    }
}

/// The text that [`Plan::parse`] reads, a fault a line.
impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calm = Plan { faults: Vec::new(), ..self.clone() };
        let mut head = toml::Table::try_from(&calm).map_err(|_| fmt::Error)?;
        head.remove("faults");
        let mut tables = Vec::new();
        for (name, value) in head {
            match value {
                toml::Value::Table(table) => tables.push((name, table)),
                value => writeln!(formatter, "{name} = {value}")?,
            }
        }
        writeln!(formatter, "faults = [")?;
        for timed in &self.faults {
            let line = toml::Value::try_from(timed).map_err(|_| fmt::Error)?;
            writeln!(formatter, "  {line},")?;
        }
        writeln!(formatter, "]")?;
        for (name, table) in tables {
            write!(formatter, "\n[{name}]\n")?;
            for (name, value) in table {
                writeln!(formatter, "{name} = {value}")?;
            }
        }
        Ok(())
    }
}

impl Plan {
    /// Whether every number of the plan is one that a run can go by.
    ///
    /// # Errors
    /// [`PlanError::Nonsense`], naming the first that is not.
    pub fn check(&self) -> Result<(), PlanError> {
        super::check::fault_of(self).map_or(Ok(()), |what| Err(PlanError::Nonsense(what)))
    }

    /// How many servers there are at most.
    pub(super) const SERVERS: std::ops::RangeInclusive<u8> = 1..=MOST_SERVERS;
}

#[cfg(test)]
mod tests {
    use crate::plan::{Fault, Order, Scenario, Timed};

    use super::*;

    #[test]
    fn every_plan_that_is_drawn_can_be_printed_and_read_again() {
        for scenario in Scenario::ALL {
            for seed in 0..40 {
                let plan = Plan::new(scenario, seed);
                let text = plan.to_string();
                let read = Plan::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
                assert_eq!(read, plan, "{text}");
            }
        }
    }

    #[test]
    fn a_field_that_nobody_reads_is_named() {
        let text = Plan::from_seed(1).to_string();
        let error = |text: &str| Plan::parse(text).unwrap_err().to_string();
        assert!(error(&format!("color = \"red\"\n{text}")).contains("color"), "{}", error(&text));
        let typo = text.replace("[cluster]\n", "[cluster]\nservant = 5\n");
        assert!(error(&typo).contains("cluster.servant = 5"), "{}", error(&typo));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_value() {
        let refused = |change: &dyn Fn(&mut Plan)| {
            let mut plan = Plan::from_seed(1);
            change(&mut plan);
            Plan::parse(&plan.to_string()).unwrap_err().to_string()
        };
        assert!(refused(&|plan| plan.cluster.servers = 9).contains('9'));
        assert!(refused(&|plan| plan.cluster.core = vec![1]).contains("core"));
        assert!(refused(&|plan| plan.workload.keys = 0).contains("keys"));
        assert!(refused(&|plan| plan.knobs.segment_bytes = 1000).contains("1000"));
    }

    #[test]
    fn the_core_stays_a_majority_whatever_operators_do() {
        let refused = |faults: &[Fault], cleanup_after_ms: u64| {
            let mut plan = Plan::new(Scenario::Calm, 1);
            (plan.cluster.servers, plan.cluster.core) = (3, vec![1, 2]);
            plan.knobs.cleanup_after_ms = cleanup_after_ms;
            plan.faults = faults.iter().map(|fault| Timed { at_ms: 1, fault: fault.clone() }).collect();
            plan.check().err().map(|error| error.to_string())
        };
        let member = |host, order| Fault::Member { host, order };
        let change = |voters: &[u8]| Fault::Change { voters: voters.to_vec(), learners: Vec::new() };
        let wipe = |host| Fault::Wipe { host, for_ms: 1 };
        assert_eq!(refused(&[member(3, Order::Remove), member(3, Order::Add), wipe(3)], 0), None);
        assert_eq!(refused(&[change(&[1, 2, 3]), change(&[1])], 0), None);
        for faults in [
            &[member(2, Order::Demote)][..],
            &[change(&[1]), member(3, Order::Promote)],
            &[change(&[1]), wipe(3)],
            &[change(&[1, 3])],
        ] {
            assert!(refused(faults, 0).is_some_and(|why| why.contains("must be a majority")), "{faults:?}");
        }
        assert!(refused(&[wipe(1)], 0).is_some_and(|why| why.contains("host 1 of the core")));
        assert!(refused(&[(); 10].map(|()| wipe(3)), 0).is_some_and(|why| why.contains("10 times")));
        assert!(refused(&[], 2_000).is_some_and(|why| why.contains("2000, and host 3")));
    }
}
