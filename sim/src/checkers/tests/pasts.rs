//! What is read of the past, and what is gone of it.

use super::Story;
use super::audits::{KEPT, deleted, differs, found, moved, put, story, transfer};
use crate::audit::{Account, BEHIND_ALL, Errand, Found, Seen, Watched};
use crate::history::{Call, Outcome};
use crate::observe::Observation;
use crate::plan::{Fault, Timed};

#[test]
fn a_past_that_never_was_is_found() {
    let known = || story().sees_from(1, 1, 1, &[put(1, 0, "a", "1"), put(2, 0, "b", "2")], 2);
    let alarms = |story: Story| story.alarms("past-reads", "but changes say");
    alarms(known().looks_back(2, "a", 2, None));
    alarms(known().looks_back(2, "a", 2, Some(found("2", [1, 1, 1]))));
    alarms(known().looks_back(2, "a", 2, Some(found("1", [1, 1, 2]))));
    alarms(known().looks_back(2, "b", 1, Some(found("2", [2, 2, 1]))));
    alarms(known().looks_back(2, "c", 2, Some(found("3", [2, 2, 1]))));
    let untold = Found { since: None, ..found("1", [1, 1, 1]) };
    known().looks_back(2, "a", 2, Some(untold)).passes();
    let unseen = || story().sees_from(1, 1, 1, &[put(1, 0, "a", "1")], 1);
    unseen().looks_back(2, "a", 3, None).passes();
    alarms(unseen().looks_back(2, "a", 3, Some(found("0", [1, 1, 1]))));
    alarms(unseen().looks_back(2, "b", 3, Some(found("0", [1, 1, 1]))));
    alarms(unseen().looks_back(2, "b", 3, Some(found("0", [4, 4, 1]))));
}

#[test]
fn what_a_transaction_reads_beside_the_store_is_found() {
    story()
        .sees_from(1, 1, 1, &moved(), 1)
        .audits(1, 2, transfer())
        .learns(1, 2, differs(1, Some("y")))
        .alarms("past-reads", "a at revision 1 was read as");
}

#[test]
fn what_is_said_to_have_been_there_before_and_was_not_is_found() {
    let replaced = |previous| {
        let second =
            Seen { found: Some(found("2", [1, 2, 2])), previous: Some(previous), ..put(2, 0, "a", "2") };
        story().sees_from(1, 1, 1, &[put(1, 0, "a", "1"), second], 2)
    };
    replaced(Some(found("1", [1, 1, 1]))).passes();
    replaced(Some(found("0", [1, 1, 1]))).alarms("past-reads", "a at revision 1");
    replaced(None).alarms("past-reads", "a at revision 1");
}

/// Lists keys with `k` behind `after`, at most two.
fn lists(after: Option<&str>, revision: u64, keys: &[(&str, &str, u64)], more: bool) -> Story {
    let all = [put(1, 0, "k1", "1"), put(2, 0, "k2", "2"), put(3, 0, "k3", "3"), put(4, 0, "x", "4")];
    let after = after.map(str::to_owned);
    let errand = Errand::List { prefix: "k".to_owned(), after, limit: 2, revision: Some(3), fresh: false };
    let key = |(key, value, at): &(&str, &str, u64)| ((*key).to_owned(), found(value, [*at, *at, 1]));
    let account = Account::Listed { revision, keys: keys.iter().map(key).collect(), more };
    story().sees_from(1, 1, 1, &all, 4).audits(1, 2, errand).learns(1, 2, account)
}

#[test]
fn lists_that_are_not_of_one_moment_are_found() {
    lists(None, 3, &[("k1", "1", 1), ("k2", "2", 2)], true).passes();
    lists(Some("k2"), 3, &[("k3", "3", 3)], false).passes();
    let alarms = |story: Story, gist| story.alarms("past-reads", gist);
    alarms(lists(None, 3, &[("k1", "1", 1)], false), "k2 was there at revision 3");
    alarms(lists(None, 3, &[("k1", "1", 1), ("k3", "3", 3)], false), "k2 was there at revision 3");
    alarms(lists(Some("k2"), 3, &[], false), "k3 was there at revision 3");
    alarms(lists(None, 3, &[("k1", "0", 1), ("k2", "2", 2)], true), "k1 at revision 3 was read as");
    alarms(lists(None, 4, &[("k1", "1", 1), ("k2", "2", 2)], true), "was answered");
    alarms(lists(None, 3, &[("k2", "2", 2), ("k1", "1", 1)], true), "was answered");
    alarms(lists(None, 3, &[("k1", "1", 1), ("k2", "2", 2), ("k3", "3", 3)], false), "was answered");
    alarms(lists(Some("k1"), 3, &[("k1", "1", 1), ("k2", "2", 2)], true), "was answered");
    alarms(lists(None, 3, &[("k1", "1", 1), ("x", "4", 4)], true), "was answered");
}

fn past(revision: u64) -> Errand {
    Errand::Past { key: "a".to_owned(), revision }
}

#[test]
fn a_past_that_went_too_soon_is_found() {
    let gone = |errand, oldest, newest| {
        story().audits(1, 1, errand).learns(1, 1, Account::Gone { oldest, newest: Some(newest) })
    };
    let alarms = |story: Story, gist| story.alarms("past-kept", gist);
    alarms(gone(past(4), 5, 5 + KEPT - 1), "though 20 revisions are kept");
    alarms(gone(past(4), 4, 4 + KEPT), "4 is said to be gone, and 4 to be there");
    alarms(gone(Errand::Follow { from: 5 }, 5, 5 + KEPT - 1), "though 20 revisions are kept");
    alarms(gone(Errand::Follow { from: 6 }, 5, 5 + KEPT), "5 is said to be gone");
    gone(past(4), 5, 5 + KEPT).passes();
    let ahead = |newest| story().audits(1, 1, past(40)).learns(1, 1, Account::Ahead { newest: Some(newest) });
    ahead(39).passes();
    alarms(ahead(40), "40 is said not to be there yet");
    let full = Timed { at_ms: 0, fault: Fault::FullDisk { host: 1, spare_bytes: 0, for_ms: 1 } };
    let story = Story::under(&[full]).audits(1, 1, past(4));
    story.learns(1, 1, Account::Gone { oldest: 5, newest: Some(5) }).passes();
}

#[test]
fn how_new_a_server_may_be_is_known_from_what_all_have_applied() {
    let gone = |revision| {
        let index = quorate_node::raft::Index(1);
        let applied = Observation::Applied { host: 1, index, state_hash: 1, revision };
        story().sees(applied).audits(1, 1, past(4)).learns(1, 1, Account::Gone { oldest: 5, newest: None })
    };
    gone(5 + KEPT - 1).alarms("past-kept", "though 20 revisions are kept");
    gone(5 + KEPT).passes();
}

#[test]
fn a_watch_that_lost_its_place_too_soon_is_found() {
    let reset = |revision| {
        let watch = Errand::Watch { after: (4, BEHIND_ALL), watched: Watched::all() };
        let account = Account::Reset { revision, reason: "slow".to_owned() };
        story().audits(1, 1, watch).learns(1, 1, Account::Saw(put(5, 0, "a", "1"))).learns(1, 1, account)
    };
    reset(5 + KEPT - 1).alarms("past-kept", "though 20 revisions are kept");
    reset(5 + KEPT).passes();
}

#[test]
fn numbers_that_do_not_follow_from_what_was_there_are_found() {
    let first = || put(1, 0, "a", "1");
    let written = |numbers| Seen { found: Some(found("2", numbers)), ..put(2, 0, "a", "2") };
    let alarms = |changes: &[Seen], gist| {
        let upto = changes.last().unwrap().revision;
        story().sees_from(1, 1, 1, changes, upto).alarms("versions", gist);
        let next = put(upto + 1, 0, "z", "9");
        story().watches(1).watched(1, &[changes, &[next]].concat()).alarms("versions", gist);
    };
    alarms(&[first(), written([1, 1, 2])], "names another revision");
    alarms(&[first(), written([2, 2, 1])], "is the version (2, 1), and not (1, 2)");
    alarms(&[first(), written([1, 2, 3])], "is the version (1, 3), and not (1, 2)");
    alarms(
        &[Seen { found: Some(found("1", [1, 1, 2])), ..first() }],
        "is the version (1, 2), and not (1, 1)",
    );
    let again = |numbers| Seen { found: Some(found("3", numbers)), ..put(3, 0, "a", "3") };
    let deletes = || story().asks(1, 0, "a", Call::Delete).hears(1, 0, Outcome::Unknown, None);
    let comes_back = |numbers| deletes().sees_from(1, 1, 1, &[first(), deleted(2, "a"), again(numbers)], 3);
    comes_back([1, 3, 2]).alarms("versions", "is the version (1, 2), and not (3, 1)");
    comes_back([3, 3, 1]).passes();
    story().sees_from(1, 1, 1, &[first(), written([1, 2, 2]), again([1, 3, 3])], 3).passes();
    // What was there before nobody knows until later.
    let late = |numbers| story().sees_from(1, 1, 2, &[written(numbers)], 2).sees_from(1, 2, 1, &[first()], 1);
    late([2, 2, 1]).alarms("versions", "and not (1, 2)");
    late([1, 2, 2]).passes();
}
