//! Whoever follows what changes.

use super::Story;
use super::audits::{deleted, fleeting, found, moved, put, story};
use crate::audit::{Account, BEHIND_ALL, Errand, Seen, Watched};

/// A watch of the writes of a prefix.
fn part(after: (u64, u32)) -> Errand {
    let watched =
        Watched { prefix: "a".to_owned(), exact: false, puts: true, deletes: false, previous: false };
    Errand::Watch { after, watched }
}

/// All that is known to be changed, by another watch.
fn known() -> Story {
    let all = [put(1, 0, "a", "1"), put(1, 1, "b", "2"), put(2, 0, "ab", "3"), put(3, 0, "c", "4")];
    story().watches(9).watched(9, &all)
}

#[test]
fn changes_that_come_in_disorder_or_again_are_found() {
    let (one, two) = (put(1, 0, "a", "1"), put(2, 0, "b", "2"));
    let order = |changes: &[Seen]| {
        story().sees_from(1, 1, 1, changes, 2).alarms("watch-order", "when all up to");
        story().watches(1).watched(1, changes).alarms("watch-order", "when all up to");
    };
    order(&[one.clone(), one.clone(), two.clone()]);
    order(&[one.clone(), two, one.clone()]);
    let again = Errand::Watch { after: (1, 0), watched: Watched::all() };
    story().audits(1, 1, again).learns(1, 1, Account::Saw(one.clone())).alarms("watch-order", "(1, 0)");
    story().sees_from(1, 1, 2, &[one], 1).alarms("watch-order", "when all up to");
}

#[test]
fn changes_that_are_left_out_are_found() {
    let found = |changes: &[Seen], upto, gist| {
        story().sees_from(1, 1, 1, changes, upto).alarms("watch-complete", gist);
    };
    found(&[put(2, 0, "b", "2")], 2, "are those of the revisions [2]");
    found(&[put(1, 0, "a", "1")], 2, "are those of the revisions [1]");
    found(&[put(1, 1, "a", "1")], 1, "are left out");
    let watched = |changes: &[Seen], gist| {
        story().watches(1).watched(1, changes).alarms("watch-complete", gist);
    };
    watched(&[put(2, 0, "b", "2")], "are left out");
    watched(&[put(1, 1, "a", "1")], "are left out");
    watched(&[put(1, 0, "a", "1"), put(3, 0, "b", "2")], "between (1, 0) and (3, 0)");
    watched(&[put(1, 0, "a", "1"), put(1, 2, "b", "2")], "between (1, 0) and (1, 2)");
}

#[test]
fn a_revision_that_ends_too_soon_is_found() {
    let half = [put(1, 0, "a", "1"), put(2, 0, "ab", "3")];
    known().watches(1).watched(1, &half).alarms("watch-complete", "behind (1, 0) are left out");
    known().sees_from(1, 1, 1, &half, 2).alarms("watch-complete", "are left out");
    story()
        .watches(1)
        .watched(1, &half)
        .watches(2)
        .watched(2, &[put(1, 0, "a", "1"), put(1, 1, "b", "2")])
        .alarms("watch-complete", "another was told that its revision has Some(1) changes");
}

#[test]
fn a_revision_with_two_contents_is_found() {
    known().sees_from(1, 1, 1, &[put(1, 0, "a", "other")], 1).alarms("watch-complete", "another was told");
    known().watches(1).watched(1, &[put(1, 0, "b", "1")]).alarms("watch-complete", "another was told");
    known().watches(1).watched(1, &[deleted(1, "a")]).alarms("watch-complete", "another was told");
    let untold = Seen {
        found: Some(crate::audit::Found { since: None, ..found("1", [1, 1, 1]) }),
        ..put(1, 0, "a", "1")
    };
    known().watches(1).watched(1, &[untold]).passes();
}

#[test]
fn a_watch_goes_on_where_another_ended() {
    let goes_on = |after, next: &[Seen]| {
        known().audits(1, 1, Errand::Watch { after, watched: Watched::all() }).watched(1, next)
    };
    goes_on((1, 0), &[put(1, 1, "b", "2"), put(2, 0, "ab", "3")]).passes();
    goes_on((1, BEHIND_ALL), &[put(2, 0, "ab", "3")]).passes();
    goes_on((1, 0), &[put(2, 0, "ab", "3")]).alarms("watch-complete", "behind (1, 0) are left out");
    goes_on((1, 0), &[put(3, 0, "c", "4")]).alarms("watch-complete", "between (1, 0) and (3, 0)");
}

#[test]
fn a_watch_of_a_part_that_leaves_out_or_adds_something_is_found() {
    let saw = |changes: &[Seen]| known().audits(1, 1, part((0, BEHIND_ALL))).watched(1, changes);
    let (a, ab) = (put(1, 0, "a", "1"), put(2, 0, "ab", "3"));
    saw(&[a.clone(), ab.clone()]).passes();
    saw(std::slice::from_ref(&a)).passes();
    saw(&[ab]).alarms("watch-complete", "left out");
    saw(&[put(1, 1, "b", "2")]).alarms("watch-complete", "is none of");
    let later = known().audits(1, 1, part((0, BEHIND_ALL))).watched(1, &[a, put(4, 0, "ac", "5")]);
    later.alarms("watch-complete", "left out");
}

#[test]
fn what_was_acknowledged_and_is_not_seen_is_found() {
    let acknowledged = |value: &str| {
        story().audits(1, 2, fleeting()).learns(1, 2, super::audits::done(1)).sees_from(
            1,
            1,
            1,
            &[put(1, 0, "f", value)],
            1,
        )
    };
    acknowledged("v").passes();
    acknowledged("w").alarms("watch-complete", "v was written to f by revision 1");
    let of_client = |key: &str| {
        let story = Story::cluster(1).puts(1, 0, "a");
        let story =
            story.holds(1, super::append_request(1, (1, 1), (1, 0))).commits(1, 1, 1).written(1, 0, 1);
        story.sees_from(1, 1, 1, &[put(1, 0, key, "1.0")], 1)
    };
    of_client("a").passes();
    of_client("b").alarms("watch-complete", "1.0 was written to a by revision 1");
}

#[test]
fn there_is_only_one_history() {
    let reset = |reason: &str| {
        let account = Account::Reset { revision: 30, reason: reason.to_owned() };
        story().watches(1).watched(1, &moved()).learns(1, 1, account)
    };
    reset("compacted").passes();
    reset("restored").alarms("watch-complete", "there is only one");
}

#[test]
fn an_errand_that_failed_each_time_and_was_done_is_found() {
    let failed = |tries: &[Account]| {
        let told =
            |story: Story, account: &Account| story.audits(1, 2, fleeting()).learns(1, 2, account.clone());
        tries.iter().fold(story(), told).sees_from(1, 1, 1, &[put(1, 0, "f", "v")], 1)
    };
    failed(&[Account::Failed, Account::Failed]).alarms("honest-errors", "failed for sure each time");
    failed(&[Account::Unknown, Account::Failed]).passes();
}

/// A watch of everything that has come to revision 3, and one of a part, both of them from the beginning on.
fn late(seen_of_part: &[Seen], told: u64) -> Option<u8> {
    let story = known().audits(1, 1, part((0, BEHIND_ALL))).watched(1, seen_of_part);
    let story = story.audits(2, 1, fleeting()).learns(2, 1, super::audits::done(told));
    story.judge.chronicle().late_watcher()
}

#[test]
fn a_watch_that_does_not_come_to_the_last_that_it_wants_is_late() {
    let (a, ab) = (put(1, 0, "a", "1"), put(2, 0, "ab", "3"));
    assert_eq!(late(&[], 3), Some(1));
    assert_eq!(late(std::slice::from_ref(&a), 3), Some(1));
    assert_eq!(late(&[a.clone(), ab.clone()], 3), None, "nothing behind is wanted");
    assert_eq!(late(&[a, ab], 4), Some(9), "4 has been told, and who watches everything does not know it");
}

#[test]
fn a_watch_that_begins_anywhere_is_told_of_all_behind() {
    let begins_at =
        |revision, next: &[Seen]| known().audits(1, 1, part((revision, BEHIND_ALL))).watched(1, next);
    let last = || put(4, 0, "ac", "5");
    let story = begins_at(1, &[last()]);
    story.alarms("watch-complete", "left out");
    begins_at(2, &[last()]).passes();
    begins_at(2, &[put(2, 0, "ab", "3")]).alarms("watch-order", "when all up to");
}
