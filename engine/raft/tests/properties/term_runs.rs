//! The run-length code of the log's terms against the plain list that it stands for.

use crate::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_raft::{Index, LogId, Term, TermRuns};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many slots, of a term so much higher.
    Push { count: u64, rise: u64 },
    /// Drops so many slots from the end.
    Truncate(u64),
    /// Drops so many slots from the beginning.
    Compact(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..5_u64, 0..3_u64).prop_map(|(count, rise)| Step::Push { count, rise }),
        1 => (0..6_u64).prop_map(Step::Truncate),
        1 => (0..6_u64).prop_map(Step::Compact),
    ]
}

/// The ids from the base on, base included.
struct Plain(Vec<LogId>);

impl Plain {
    fn last(&self) -> LogId {
        self.0[self.0.len() - 1]
    }

    fn id(&self, index: Index) -> Option<LogId> {
        self.0.iter().find(|id| id.index == index).copied()
    }

    fn last_not_above(&self, index: Index, term: Term) -> LogId {
        let fitting = self.0.iter().skip(1).rev().find(|id| id.index <= index && id.term <= term);
        *fitting.unwrap_or(&self.0[0])
    }
}

fn perform(runs: &mut TermRuns, plain: &mut Plain, step: Step) {
    let (base, last) = (plain.0[0].index.0, plain.last());
    match step {
        Step::Push { count, rise } => {
            for index in last.index.0 + 1..=last.index.0 + count {
                let id = LogId::new(last.term.0 + rise, index);
                runs.push(id);
                plain.0.push(id);
            }
        }
        Step::Truncate(count) => {
            let from = Index(last.index.0.saturating_sub(count).max(base) + 1);
            runs.truncate(from);
            plain.0.retain(|id| id.index < from);
        }
        Step::Compact(count) => {
            let to = Index((base + count).min(last.index.0));
            runs.compact(to);
            plain.0.retain(|id| id.index >= to);
        }
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn it_agrees_with_a_plain_list(
        base in (0..4_u64, 0..9_u64),
        steps in vec(step(), 1..40),
    ) {
        let base = LogId::new(base.0, base.1);
        let (mut runs, mut plain) = (TermRuns::new(base), Plain(vec![base]));
        for step in steps {
            perform(&mut runs, &mut plain, step);
            prop_assert_eq!(runs.base(), plain.0[0]);
            prop_assert_eq!(runs.last(), plain.last());
            for index in (0..plain.last().index.0 + 3).map(Index) {
                prop_assert_eq!(runs.id(index), plain.id(index), "{:?} {}", step, index);
                for term in (0..plain.last().term.0 + 2).map(Term) {
                    prop_assert_eq!(runs.last_not_above(index, term), plain.last_not_above(index, term));
                }
            }
        }
        // However it came about, the same log is the same value: the core is compared and hashed.
        let mut anew = TermRuns::new(plain.0[0]);
        plain.0.iter().skip(1).for_each(|id| anew.push(*id));
        prop_assert_eq!(runs, anew);
    }
}
