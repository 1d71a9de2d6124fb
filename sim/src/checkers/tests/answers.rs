//! What clients are told.

use super::{Story, append, append_request, found, name, replace};
use crate::history::{Call, Outcome};
use crate::observe::{Ended, Observation};

/// One server commits these requests, a slot each from index 1 on.
fn committing(story: Story, requests: &[(u8, u32)]) -> Story {
    let commit = |(story, index): (Story, u64), of: &(u8, u32)| {
        (story.holds(1, append_request(index, (1, index), *of)).commits(1, 1, index), index + 1)
    };
    requests.iter().fold((story, 1), commit).0
}

#[test]
fn an_ordinary_conversation_is_fine() {
    let story = Story::cluster(1).puts(1, 0, "a").puts(2, 0, "b");
    committing(story, &[(1, 0), (2, 0), (1, 1)])
        .written(2, 0, 3)
        .written(1, 0, 2)
        .gets(2, 1, "a")
        .puts(1, 1, "a")
        .reads(2, 1, (1, 0), 2)
        .written(1, 1, 4)
        .gets(2, 2, "a")
        .reads(2, 2, (1, 1), 4)
        .passes();
}

#[test]
fn a_key_that_is_deleted_is_gone_and_may_come_back() {
    let story = Story::cluster(1).puts(1, 0, "a").puts(1, 2, "a");
    committing(story, &[(1, 0), (1, 2)])
        .written(1, 0, 2)
        .asks(1, 1, "a", Call::Delete)
        .deleted(1, 1)
        .gets(2, 0, "a")
        .reads_nothing(2, 0)
        .written(1, 2, 4)
        .gets(2, 1, "a")
        .reads(2, 1, (1, 2), 4)
        .passes();
}

#[test]
fn a_write_of_unknown_outcome_may_show_up_late() {
    let story = Story::cluster(1).puts(1, 0, "a").hears(1, 0, Outcome::Unknown, None).gets(2, 0, "a");
    committing(story.reads_nothing(2, 0), &[(1, 0)]).gets(2, 1, "a").reads(2, 1, (1, 0), 2).passes();
}

#[test]
fn a_value_that_nobody_wrote_is_found() {
    Story::cluster(1)
        .puts(1, 0, "a")
        .gets(2, 0, "b")
        .reads(2, 0, (1, 0), 2)
        .alarms("oracle", "request 2.0 on b read \"1.0\", which nobody ever wrote there");
    Story::cluster(1)
        .gets(2, 0, "a")
        .reads(2, 0, (9, 9), 2)
        .alarms("oracle", "which nobody ever wrote there");
}

#[test]
fn a_revision_with_two_values_is_found() {
    let two = || Story::cluster(1).puts(1, 0, "a").puts(1, 1, "a").puts(1, 2, "b");
    two().written(1, 0, 2).gets(2, 0, "a").reads(2, 0, (1, 1), 2).alarms("oracle", "revision 2 is \"1.1\"");
    two().written(1, 0, 2).written(1, 2, 2).alarms("oracle", "another was told \"1.0\"");
}

#[test]
fn an_answer_behind_what_was_told_before_is_found() {
    let newer = || {
        let story = Story::cluster(1).puts(1, 0, "a").puts(1, 1, "a");
        committing(story, &[(1, 0), (1, 1)]).written(1, 0, 2).written(1, 1, 3)
    };
    newer().gets(2, 0, "a").reads(2, 0, (1, 0), 2).alarms("oracle", "was told revision 2, though 3");
    newer().asks_stale(2, 0, "a").reads(2, 0, (1, 0), 2).passes();
    newer().puts(2, 0, "a").written(2, 0, 1).alarms("oracle", "was told revision 1, though 3");
    let story = Story::cluster(1).puts(1, 0, "a").puts(1, 1, "a").gets(2, 0, "a");
    committing(story, &[(1, 0), (1, 1)]).written(1, 0, 2).written(1, 1, 3).reads(2, 0, (1, 0), 2).passes();
}

#[test]
fn what_a_stale_read_has_shown_is_no_news_to_later_reads() {
    let story = Story::cluster(1).puts(1, 0, "a").puts(1, 1, "a");
    committing(story, &[(1, 0), (1, 1)])
        .written(1, 0, 2)
        .asks_stale(2, 0, "a")
        .reads(2, 0, (1, 1), 3)
        .gets(3, 0, "a")
        .reads(3, 0, (1, 0), 2)
        .alarms("oracle", "request 3.0 on a was told revision 2, though 3");
}

#[test]
fn a_stale_read_may_not_make_things_up_either() {
    Story::cluster(1)
        .asks_stale(2, 0, "a")
        .reads(2, 0, (1, 0), 2)
        .alarms("oracle", "nobody ever wrote there");
}

#[test]
fn a_second_try_is_the_same_request() {
    let story = Story::cluster(1).puts(1, 0, "a").puts(1, 0, "a");
    committing(story, &[(1, 0)]).written(1, 0, 2).passes();
}

#[test]
fn a_request_that_is_committed_twice_is_found() {
    let story = Story::cluster(1).puts(1, 0, "a").puts(1, 0, "a").puts(1, 1, "a");
    committing(story, &[(1, 0), (1, 1), (1, 0)])
        .alarms("exactly-once", "request 1.0 was committed twice: at 1/1 and at 1/3");
}

#[test]
fn a_slot_of_which_two_servers_hear_is_one_commit() {
    let story = Story::cluster(3).puts(1, 0, "a");
    story
        .holds(1, append_request(1, (1, 1), (1, 0)))
        .holds(2, append_request(1, (1, 1), (1, 0)))
        .commits(1, 1, 1)
        .follows(2, 1, 1)
        .written(1, 0, 2)
        .passes();
}

#[test]
fn a_write_that_failed_for_sure_may_have_stood_in_a_log() {
    let story =
        || Story::cluster(3).puts(1, 0, "a").puts(1, 1, "b").holds(1, append_request(1, (1, 1), (1, 0)));
    let other = |story: Story| {
        let others = [2, 3].into_iter();
        others
            .fold(story, |story, host| story.holds(host, append_request(1, (2, 1), (1, 1))))
            .commits(2, 2, 1)
    };
    other(story()).hears(1, 0, Outcome::Failed, None).passes();
    // Another server could have had the entry, too.
    story()
        .hears(1, 0, Outcome::Failed, None)
        .alarms("honest-errors", "its entry 1/1 may still be committed");
}

/// Jepsen's analysis of Redis-Raft; the commit may come long after the answer, or before.
#[test]
fn a_write_that_failed_for_sure_and_is_committed_is_found() {
    let lie = "request 1.0 was answered as failed for sure, and was committed at 1/1";
    let failed = Story::cluster(1).puts(1, 0, "a").hears(1, 0, Outcome::Failed, None);
    committing(failed, &[(1, 0)]).alarms("honest-errors", lie);
    committing(Story::cluster(1).puts(1, 0, "a"), &[(1, 0)])
        .hears(1, 0, Outcome::Failed, None)
        .alarms("honest-errors", lie);
}

#[test]
fn a_first_try_that_failed_for_sure_and_a_second_that_did_not_is_fine() {
    let story = Story::cluster(1).puts(1, 0, "a").holds(1, append_request(1, (1, 1), (1, 1))).puts(1, 0, "a");
    story.holds(1, append_request(2, (1, 2), (1, 0))).commits(1, 1, 2).written(1, 0, 2).passes();
}

#[test]
fn an_acknowledged_write_that_nobody_committed_is_found() {
    Story::cluster(1)
        .puts(1, 0, "a")
        .holds(1, append_request(1, (1, 1), (1, 0)))
        .written(1, 0, 2)
        .alarms("durability", "request 1.0 was acknowledged, and no server ever committed it");
}

#[test]
fn an_acknowledged_write_in_whose_place_another_was_committed_is_found() {
    let story = Story::cluster(1).puts(1, 0, "a").written(1, 0, 2).puts(1, 1, "b");
    committing(story, &[(1, 1)]).written(1, 1, 3).alarms("durability", "request 1.0 was acknowledged");
}

/// Both keys read well, and yet one write took the other's place.
#[test]
fn revisions_against_the_order_of_time_are_found() {
    let story = Story::cluster(1).puts(1, 0, "a").puts(1, 1, "b");
    let story =
        committing(story, &[(1, 0), (1, 1), (2, 0)]).written(1, 0, 7).puts(2, 0, "c").written(2, 0, 6);
    story.written(1, 1, 8).alarms("revisions", "revision 6 was given after 7 had been acknowledged");
}

/// The oracle can't see this: an absent key has no revision (etcd-io/etcd#741 ends so).
#[test]
fn a_read_that_misses_an_acknowledged_write_is_found() {
    committing(Story::cluster(1).puts(1, 0, "a"), &[(1, 0)])
        .written(1, 0, 2)
        .gets(2, 0, "a")
        .reads_nothing(2, 0)
        .alarms("linearizability", "key \"a\" is not linearizable");
}

#[test]
fn a_stale_read_may_miss_it() {
    committing(Story::cluster(1).puts(1, 0, "a"), &[(1, 0)])
        .written(1, 0, 2)
        .asks_stale(2, 0, "a")
        .reads_nothing(2, 0)
        .passes();
}

#[test]
fn a_write_that_failed_for_sure_is_read_by_nobody() {
    let read = Outcome::Read { at_nanoseconds: 9_000, value: Some(name(1, 0)) };
    Story::cluster(1)
        .puts(1, 0, "a")
        .hears(1, 0, Outcome::Failed, None)
        .gets(2, 0, "a")
        .hears(2, 0, read, None)
        .alarms("linearizability", "not linearizable");
}

/// A slot that was cut off and came back after a crash is known for what it was.
#[test]
fn a_write_that_came_back_in_a_crash_is_no_stranger() {
    let first = || append_request(1, (1, 1), (1, 0));
    Story::cluster(3)
        .puts(1, 0, "a")
        .holds(1, first())
        .writes(2, first())
        .writes(2, replace(2, &[(2, 1)]))
        .ends(2, Ended::PowerLost)
        .starts(2, found(2, &[1]))
        .leads(2, 3)
        .holds(2, append(1, &[(3, 2)]))
        .holds(1, append(2, &[(3, 2)]))
        .commits(2, 3, 2)
        .written(1, 0, 2)
        .passes();
}

#[test]
fn a_request_is_passed_on_by_one_node_only() {
    let passed_on =
        |by: &[&str]| Observation::PassedOn { to: 9, by: by.iter().map(|&via| via.into()).collect() };
    Story::cluster(3).sees(passed_on(&["1.1 a"])).sees(passed_on(&["1.1 b"])).passes();
    Story::cluster(3)
        .sees(passed_on(&["1.1 a", "1.1 b"]))
        .alarms("passed-on-once", "had been passed on 2 times: 1.1 a, 1.1 b");
}
