use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::history::plant_stale_read;
use crate::random::Random;

fn operation(call: Call, invoked_nanoseconds: u64, outcome: Outcome) -> Operation {
    Operation { client: 0, key: "k".to_owned(), call, invoked_nanoseconds, outcome }
}

fn put(value: &str, invoked: u64, answered: u64) -> Operation {
    let outcome = Outcome::Written { at_nanoseconds: answered, revision: None };
    operation(Call::Put(value.to_owned()), invoked, outcome)
}

fn put_unknown(value: &str, invoked: u64) -> Operation {
    operation(Call::Put(value.to_owned()), invoked, Outcome::Unknown)
}

fn delete(invoked: u64, answered: u64) -> Operation {
    operation(Call::Delete, invoked, Outcome::Written { at_nanoseconds: answered, revision: None })
}

fn get(value: Option<&str>, invoked: u64, answered: u64) -> Operation {
    let value = value.map(str::to_owned);
    operation(Call::Get, invoked, Outcome::Read { at_nanoseconds: answered, value })
}

#[track_caller]
fn accepted(history: &[Operation]) {
    assert_eq!(check(history).map(|checked| checked.keys), Ok(1));
}

/// Asserts that the history is refused, and that the refusal names the operation that can't be explained.
#[track_caller]
fn refused(history: &[Operation], culprit: &Operation) {
    match check(history) {
        Err(Violation::NotLinearizable { operation, .. }) => assert_eq!(*operation, *culprit),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn an_empty_history_is_linearizable() {
    assert_eq!(check(&[]), Ok(Checked { keys: 0, operations: 0 }));
}

#[test]
fn reads_see_the_latest_write_before_them() {
    accepted(&[get(None, 0, 1), put("1", 2, 3), get(Some("1"), 4, 5), delete(6, 7), get(None, 8, 9)]);
}

#[test]
fn a_stale_read_is_found() {
    let stale = get(Some("1"), 4, 5);
    refused(&[put("1", 0, 1), put("2", 2, 3), stale.clone()], &stale);
}

#[test]
fn a_lost_write_is_found() {
    let after = get(None, 2, 3);
    refused(&[put("1", 0, 1), after.clone()], &after);
}

#[test]
fn a_deleted_key_that_comes_back_is_found() {
    let after = get(Some("1"), 4, 5);
    refused(&[put("1", 0, 1), delete(2, 3), after.clone()], &after);
}

#[test]
fn a_value_that_nobody_wrote_is_found() {
    let read = get(Some("2"), 2, 3);
    refused(&[put("1", 0, 1), read.clone()], &read);
}

#[test]
fn a_value_read_before_it_was_written_is_found() {
    let read = get(Some("1"), 0, 1);
    refused(&[read.clone(), put_unknown("1", 2)], &read);
}

#[test]
fn overlapping_writes_may_take_effect_in_either_order_but_only_in_one() {
    let writes = [put("1", 0, 10), put("2", 0, 10)];
    accepted(&[&writes[..], &[get(Some("1"), 11, 12), get(Some("1"), 13, 14)]].concat());
    accepted(&[&writes[..], &[get(Some("2"), 11, 12), get(Some("2"), 13, 14)]].concat());
    let flip = get(Some("2"), 13, 14);
    refused(&[&writes[..], &[get(Some("1"), 11, 12), flip.clone()]].concat(), &flip);
}

#[test]
fn two_reads_during_a_write_may_not_go_back() {
    let back = get(None, 4, 5);
    refused(&[put("1", 0, 10), get(Some("1"), 2, 3), back.clone()], &back);
    accepted(&[put("1", 0, 10), get(None, 2, 3), get(Some("1"), 4, 5)]);
}

#[test]
fn a_write_of_unknown_outcome_may_take_effect_late_or_never() {
    accepted(&[put("1", 0, 1), put_unknown("2", 2), get(Some("1"), 3, 4), get(Some("1"), 5, 6)]);
    accepted(&[put("1", 0, 1), put_unknown("2", 2), get(Some("1"), 3, 4), get(Some("2"), 5, 6)]);
    let back = get(Some("1"), 5, 6);
    refused(&[put("1", 0, 1), put_unknown("2", 2), get(Some("2"), 3, 4), back.clone()], &back);
}

#[test]
fn a_delete_of_unknown_outcome_may_take_effect_late_or_never() {
    let unknown_delete = operation(Call::Delete, 2, Outcome::Unknown);
    accepted(&[put("1", 0, 1), unknown_delete.clone(), get(Some("1"), 3, 4), get(Some("1"), 5, 6)]);
    accepted(&[put("1", 0, 1), unknown_delete.clone(), get(Some("1"), 3, 4), get(None, 5, 6)]);
    let back = get(Some("1"), 5, 6);
    refused(&[put("1", 0, 1), unknown_delete, get(None, 3, 4), back.clone()], &back);
}

#[test]
fn a_write_that_failed_for_sure_must_not_be_seen() {
    let failed = operation(Call::Put("1".to_owned()), 0, Outcome::Failed);
    accepted(&[failed.clone(), get(None, 2, 3)]);
    let read = get(Some("1"), 2, 3);
    refused(&[failed, read.clone()], &read);
}

#[test]
fn operations_answered_and_sent_in_the_same_instant_count_as_concurrent() {
    accepted(&[put("1", 0, 5), get(None, 5, 6)]);
}

#[test]
fn a_swap_needs_what_it_takes_the_place_of() {
    let swap = |from: Option<&str>, to: &str, invoked, answered| {
        let outcome = Outcome::Written { at_nanoseconds: answered, revision: None };
        operation(Call::Swap { from: from.map(str::to_owned), to: to.to_owned() }, invoked, outcome)
    };
    accepted(&[put("1", 0, 1), swap(Some("1"), "2", 2, 3), get(Some("2"), 4, 5)]);
    accepted(&[swap(None, "1", 0, 1), swap(Some("1"), "2", 2, 3)]);
    let rejected = |history: &[Operation]| assert!(check(history).is_err(), "{history:?}");
    rejected(&[put("1", 0, 1), put("2", 2, 3), swap(Some("1"), "3", 4, 5)]);
    rejected(&[put("1", 0, 1), swap(None, "2", 2, 3)]);
    rejected(&[put("1", 0, 1), swap(Some("1"), "2", 2, 3), swap(Some("1"), "3", 4, 5)]);
    // What nobody knows of may have been what it needs.
    let mut unknown = put("1", 0, 1);
    unknown.outcome = Outcome::Unknown;
    accepted(&[unknown.clone(), swap(Some("1"), "2", 2, 3), get(Some("2"), 4, 5)]);
    // And so may a swap that nobody knows of, which needs it in its turn.
    let mut second = swap(Some("1"), "2", 2, 3);
    second.outcome = Outcome::Unknown;
    accepted(&[unknown, second, get(Some("2"), 4, 5)]);
}

#[test]
fn a_key_does_not_excuse_another() {
    let mut other = get(Some("1"), 2, 3);
    other.key = "other".to_owned();
    let verdict = check(&[put("1", 0, 1), other]);
    assert!(matches!(verdict, Err(Violation::NotLinearizable { key, .. }) if key == "other"));
}

/// Tries every order, with no memo and no shortcut: too slow to use, too simple to be wrong.
fn brute_force(history: &[Operation]) -> bool {
    let relevant: Vec<&Operation> = history
        .iter()
        .filter(|operation| operation.outcome != Outcome::Failed)
        .filter(|operation| operation.call != Call::Get || operation.outcome != Outcome::Unknown)
        .collect();
    some_order_explains(&relevant, &mut vec![false; relevant.len()], None)
}

fn some_order_explains(operations: &[&Operation], done: &mut [bool], register: Option<&str>) -> bool {
    let required = |number: usize| operations[number].outcome != Outcome::Unknown;
    if (0..operations.len()).all(|number| done[number] || !required(number)) {
        return true;
    }
    for number in 0..operations.len() {
        let operation = operations[number];
        let must_wait = (0..operations.len()).any(|other| {
            let answered = operations[other].answered_nanoseconds();
            !done[other] && answered.is_some_and(|answered| answered < operation.invoked_nanoseconds)
        });
        if done[number] || must_wait {
            continue;
        }
        let after = match (&operation.call, &operation.outcome) {
            (Call::Put(value), _) => Some(value.as_str()),
            (Call::Delete, _) => None,
            (Call::Swap { from, to }, _) if from.as_deref() == register => Some(to.as_str()),
            (Call::Get, Outcome::Read { value, .. }) if value.as_deref() == register => register,
            (Call::Get | Call::Swap { .. }, _) => continue,
        };
        done[number] = true;
        if some_order_explains(operations, done, after) {
            return true;
        }
        done[number] = false;
    }
    false
}

/// Six operations in a small space of times and values, so that ties, overlaps and repeated values are common.
fn small_history() -> impl Strategy<Value = Vec<Operation>> {
    let one = (0..10_u8, 0..10_u64, 0..6_u64, 0..4_u8, 0..8_u8, 0..4_u8).prop_map(
        |(kind, invoked, duration, value, fate, from)| {
            let at_nanoseconds = invoked + duration;
            let written = match fate {
                0 | 1 => Outcome::Unknown,
                2 => Outcome::Failed,
                _ => Outcome::Written { at_nanoseconds, revision: None },
            };
            match kind {
                0 | 1 => operation(Call::Delete, invoked, written),
                2 | 3 => operation(Call::Put(value.to_string()), invoked, written),
                4 | 5 => {
                    let from = (from > 0).then(|| from.to_string());
                    operation(Call::Swap { from, to: value.to_string() }, invoked, written)
                }
                _ => get((value > 0).then(|| value.to_string()).as_deref(), invoked, at_nanoseconds),
            }
        },
    );
    prop::collection::vec(one, 1..7)
}

#[test]
fn the_checker_agrees_with_brute_force() {
    let (good, bad) = (Cell::new(0), Cell::new(0));
    TestRunner::new(Config { cases: 20_000, failure_persistence: None, ..Config::default() })
        .run(&small_history(), |history| {
            let expected = brute_force(&history);
            let tally = if expected { &good } else { &bad };
            tally.set(tally.get() + 1);
            prop_assert_eq!(check(&history).is_ok(), expected, "{:#?}", history);
            Ok(())
        })
        .unwrap();
    // Agreement means something only if both verdicts are common.
    assert!(good.get() > 1_000 && bad.get() > 1_000, "good {}, bad {}", good.get(), bad.get());
}

/// A history as an honest store would give it: each operation takes effect at a random instant between its two
/// ends, and some answers are lost.
fn honest_history(seed: u64, clients: usize, keys: usize, operations: usize) -> Vec<Operation> {
    let mut random = Random::new(seed);
    let mut free_at = vec![0_u64; clients];
    let mut planned: Vec<(u64, Operation)> = (0..operations)
        .map(|number| {
            let client = random.below(clients);
            let invoked_nanoseconds = free_at[client] + random.below(1_000) as u64;
            let effect = invoked_nanoseconds + random.below(2_000) as u64;
            let at_nanoseconds = effect + random.below(2_000) as u64;
            free_at[client] = at_nanoseconds + 1;
            let (call, outcome) = match random.below(100) {
                0..45 => (Call::Get, Outcome::Read { at_nanoseconds, value: None }),
                45..90 => {
                    (Call::Put(number.to_string()), Outcome::Written { at_nanoseconds, revision: None })
                }
                90..97 => (Call::Delete, Outcome::Written { at_nanoseconds, revision: None }),
                97 => (Call::Delete, Outcome::Unknown),
                _ => (Call::Put(number.to_string()), Outcome::Unknown),
            };
            let key = format!("key-{}", random.below(keys));
            (effect, Operation { client, key, call, invoked_nanoseconds, outcome })
        })
        .collect();
    planned.sort_by_key(|(effect, _)| *effect);
    let mut store: BTreeMap<String, String> = BTreeMap::new();
    for (_, operation) in &mut planned {
        match (&operation.call, &mut operation.outcome) {
            (Call::Get, Outcome::Read { value, .. }) => *value = store.get(&operation.key).cloned(),
            (_, Outcome::Unknown) if random.below(2) == 0 => {}
            (Call::Put(value), _) => drop(store.insert(operation.key.clone(), value.clone())),
            (Call::Delete, _) => drop(store.remove(&operation.key)),
            (Call::Get, _) => unreachable!("reads are always answered here"),
            (Call::Swap { .. }, _) => unreachable!("nobody swaps here"),
        }
    }
    planned.into_iter().map(|(_, operation)| operation).collect()
}

#[test]
fn forty_thousand_operations_of_an_honest_store_are_accepted() {
    let history = honest_history(1, 32, 50, 40_000);
    assert_eq!(check(&history).map(|checked| checked.keys), Ok(50));
}

#[test]
fn one_stale_read_among_forty_thousand_operations_is_found() {
    for seed in 2..6 {
        let mut history = honest_history(seed, 32, 50, 40_000);
        let planted = plant_stale_read(&mut history).unwrap();
        assert!(matches!(
            check(&history),
            Err(Violation::NotLinearizable { key, .. }) if key == history[planted].key
        ));
    }
}

#[test]
fn one_hot_key_that_is_never_idle_is_decided() {
    let history = honest_history(7, 8, 1, 20_000);
    assert_eq!(check(&history).map(|checked| checked.keys), Ok(1));
}

/// Puts that are read again, each followed by a delete that nobody answered and that every second time took effect.
fn unanswered_deletes(count: u64) -> Vec<Operation> {
    let mut history = Vec::new();
    for number in 0..count {
        let (at, value) = (number * 10, number.to_string());
        history.push(put(&value, at, at + 1));
        history.push(operation(Call::Delete, at + 2, Outcome::Unknown));
        history.push(get((number % 2 == 1).then_some(&*value), at + 3, at + 4));
    }
    history
}

#[test]
fn many_deletes_of_unknown_outcome_are_decided() {
    let mut history = unanswered_deletes(400);
    accepted(&history);
    history.push(get(Some("7"), 5_000, 5_001));
    assert!(matches!(check(&history), Err(Violation::NotLinearizable { .. })));
}

/// Puts and chains of swaps behind them, all unanswered, of which nobody ever reads anything; and a few that are
/// answered.
fn unanswered_swaps(count: u64) -> Vec<Operation> {
    let mut history = Vec::new();
    for number in 0..count {
        let (at, value) = (number * 10, |step: u64| format!("{number}.{step}"));
        history.push(put_unknown(&value(0), at));
        for step in 1..5 {
            let swap = Call::Swap { from: Some(value(step - 1)), to: value(step) };
            history.push(operation(swap, at + step, Outcome::Unknown));
        }
        history.push(put(&value(9), at, at + 9));
    }
    history
}

#[test]
fn many_swaps_of_unknown_outcome_are_decided() {
    let mut history = unanswered_swaps(400);
    accepted(&history);
    // Whoever sees one sees that those before it have been done.
    history.push(get(Some("399.4"), 4_010, 4_011));
    accepted(&history);
    history.push(get(Some("399.2"), 4_012, 4_013));
    assert!(matches!(check(&history), Err(Violation::NotLinearizable { .. })));
}
