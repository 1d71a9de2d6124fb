//! Each story in every order.

#![allow(clippy::print_stdout)]

use quorate_threads::{queues, storage, values};

/// More than one, or nothing was tried.
fn told(orders: usize) {
    println!("{orders} orders");
    assert!(orders > 1);
}

#[test]
fn what_was_asked_for_is_done_before_the_end() {
    told(storage::what_was_asked_for_is_done_before_the_end());
}

#[test]
fn what_is_answered_is_accounted_for() {
    told(storage::what_is_answered_is_accounted_for());
}

#[test]
fn the_storage_is_asked_to_tend_when_it_has_done_so() {
    told(storage::the_storage_is_asked_to_tend_when_it_has_done_so());
}

#[test]
fn who_reads_past_the_node_is_not_left_waiting() {
    told(storage::who_reads_past_the_node_is_not_left_waiting());
}

#[test]
fn a_disk_that_fails_ends_the_line() {
    told(storage::a_disk_that_fails_ends_the_line());
}

#[test]
fn a_change_is_never_missed() {
    told(values::a_change_is_never_missed());
}

#[test]
fn the_end_is_never_missed() {
    told(values::the_end_is_never_missed());
}

#[test]
fn what_is_pushed_is_taken_and_the_end_is_heard() {
    told(queues::what_is_pushed_is_taken_and_the_end_is_heard());
}
