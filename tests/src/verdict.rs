//! What a recorded history shows.

use std::time::Duration;

use quorate_sim::history::{Operation, Outcome, check_revisions, plant_stale_read};
use quorate_sim::linearizability::check;

/// Demands that no acknowledged write was lost and no read lied; and that the checker would have seen a lie.
///
/// # Panics
/// With what is wrong.
#[track_caller]
pub fn demand_linearizable(history: &[Operation]) {
    check(history).unwrap_or_else(|violation| panic!("{violation}"));
    check_revisions(history).unwrap_or_else(|contradiction| panic!("{contradiction}"));
    let mut with_a_lie = history.to_vec();
    plant_stale_read(&mut with_a_lie).expect("some value was overwritten");
    assert!(check(&with_a_lie).is_err(), "the checker does not see a stale read");
}

/// The longest time without an acknowledged write, of all that reach into the time from `from` to `to`, which are
/// nanoseconds since the start.
pub fn longest_gap(history: &[Operation], from: u64, to: u64) -> Duration {
    let acknowledged = history.iter().filter_map(|operation| match operation.outcome {
        Outcome::Written { at_nanoseconds, .. } => Some(at_nanoseconds),
        _ => None,
    });
    let mut times: Vec<u64> = acknowledged.collect();
    times.sort_unstable();
    let gaps = times.windows(2).filter(|pair| pair[1] >= from && pair[0] <= to).map(|pair| pair[1] - pair[0]);
    Duration::from_nanos(gaps.max().unwrap_or_default())
}

/// How many operations were definitely refused, and how many writes nobody knows of.
pub fn errors(history: &[Operation]) -> (usize, usize) {
    let count = |is: fn(&Outcome) -> bool| history.iter().filter(|operation| is(&operation.outcome)).count();
    (
        count(|outcome| matches!(outcome, Outcome::Failed)),
        count(|outcome| matches!(outcome, Outcome::Unknown)),
    )
}
