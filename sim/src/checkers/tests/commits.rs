//! What is committed or acknowledged is durable.

use super::{Story, append, found, install, replace};
use crate::observe::{Ended, FoundLog, MessageKind};
use crate::plan::Host;
use quorate_node::raft::{Event, LogId};

/// These hosts hold slot 1 durably.
fn held_by(hosts: &[Host], of: Host) -> Story {
    hosts.iter().fold(Story::cluster(of), |story, host| story.holds(*host, append(1, &[(1, 1)])))
}

#[test]
fn a_majority_has_what_is_committed() {
    held_by(&[1, 2], 3).commits(1, 1, 1).passes();
    held_by(&[2, 3], 3).writes(1, append(1, &[(1, 1)])).commits(1, 1, 1).passes();
    held_by(&[1], 1).commits(1, 1, 1).passes();
}

/// openraft d60f1e85.
#[test]
fn half_is_no_majority() {
    held_by(&[1, 2], 4).commits(1, 1, 1).alarms("commit-durable", "only 2 of 4 voters had it durably");
    held_by(&[1, 2], 5).commits(1, 1, 1).alarms("commit-durable", "only 2 of 5 voters had it durably");
}

/// etcd-io/etcd#14370.
#[test]
fn a_leader_counts_itself_only_when_its_own_copy_is_durable() {
    held_by(&[2], 3)
        .writes(1, append(1, &[(1, 1)]))
        .commits(1, 1, 1)
        .alarms("commit-durable", "host 1 committed 1/1 while only 1 of 3");
    Story::cluster(1)
        .writes(1, append(1, &[(1, 1)]))
        .commits(1, 1, 1)
        .alarms("commit-durable", "only 0 of 1");
}

#[test]
fn a_slot_that_was_lost_in_a_crash_no_longer_counts() {
    held_by(&[1], 3)
        .writes(2, append(1, &[(1, 1)]))
        .ends(2, Ended::PowerLost)
        .starts(2, found(1, &[]))
        .commits(1, 1, 1)
        .alarms("commit-durable", "only 1 of 3");
}

#[test]
fn a_slot_that_survived_a_crash_counts_though_nobody_was_told() {
    held_by(&[1], 3)
        .writes(2, append(1, &[(1, 1)]))
        .ends(2, Ended::Killed)
        .starts(2, found(1, &[1]))
        .commits(1, 1, 1)
        .passes();
}

#[test]
fn another_slot_at_that_index_does_not_count() {
    held_by(&[1], 3).holds(2, append(1, &[(0, 1)])).commits(1, 1, 1).alarms("commit-durable", "only 1 of 3");
    held_by(&[1], 3)
        .holds(2, append(1, &[(0, 1)]))
        .writes(2, replace(2, &[(1, 1)]))
        .commits(1, 1, 1)
        .alarms("commit-durable", "only 1 of 3");
}

#[test]
fn a_snapshot_counts_for_what_it_covers() {
    held_by(&[1, 2], 3)
        .commits(1, 1, 1)
        .holds(1, append(2, &[(1, 2)]))
        .stored(3, 1, 2)
        .commits(1, 1, 2)
        .passes();
    let found = FoundLog { base: LogId::new(1, 1), snapshot: LogId::new(1, 1), ..found(1, &[1]) };
    held_by(&[1], 3).starts(3, found).holds(1, append(2, &[(1, 2)])).commits(1, 1, 2).passes();
}

#[test]
fn a_learner_does_not_count_and_a_promoted_one_does() {
    held_by(&[1, 3], 3)
        .members(1, &[1, 2], &[])
        .waits()
        .commits(1, 1, 1)
        .alarms("commit-durable", "only 1 of 2 voters");
    held_by(&[1, 3], 3)
        .members(1, &[1, 2], &[])
        .waits()
        .members(1, &[1, 2, 3], &[])
        .commits(1, 1, 1)
        .passes();
}

/// etcd-io/etcd#10563.
#[test]
fn a_removed_leader_does_not_count_itself() {
    held_by(&[1, 2], 3)
        .members(1, &[2, 3], &[])
        .waits()
        .commits(1, 1, 1)
        .alarms("commit-durable", "only 1 of 2 voters");
}

/// openraft 6c0ccaf3.
#[test]
fn both_halves_of_a_joint_configuration_need_a_majority() {
    let joint = |hosts: &[Host]| held_by(hosts, 5).members(1, &[3, 4, 5], &[1, 2, 3]).waits();
    joint(&[1, 3, 4]).commits(1, 1, 1).passes();
    joint(&[1, 2, 3]).commits(1, 1, 1).alarms("commit-durable", "only 1 of 3");
    joint(&[3, 4, 5])
        .writes(1, append(1, &[(1, 1)]))
        .commits(1, 1, 1)
        .alarms("commit-durable", "only 1 of 3");
}

#[test]
fn a_commit_under_the_old_configuration_may_come_with_the_new_one() {
    let alone =
        || Story::new().starts(1, found(0, &[])).members(1, &[1], &[]).waits().holds(1, append(1, &[(1, 1)]));
    alone().members(1, &[1, 2], &[]).commits(1, 1, 1).passes();
    alone().members(1, &[1, 2], &[]).waits().commits(1, 1, 1).alarms("commit-durable", "only 1 of 2");
}

fn appended(story: Story, matched: u64) -> Story {
    story.says(2, 1, 1, MessageKind::Appended, [matched, 0, 0])
}

fn heard(story: Story, matched: u64) -> Story {
    story.says(2, 1, 1, MessageKind::HeartbeatReply, [9, 9, matched])
}

#[test]
fn what_is_durable_may_be_acknowledged() {
    let two = || Story::cluster(2).holds(2, append(1, &[(1, 1), (1, 2)])).writes(2, append(2, &[(1, 3)]));
    for acknowledge in [appended, heard] {
        acknowledge(acknowledge(two(), 1), 2).passes();
    }
}

/// tikv/tikv#994.
#[test]
fn what_is_not_durable_may_not_be_acknowledged() {
    let two = || Story::cluster(2).holds(2, append(1, &[(1, 1), (1, 2)])).writes(2, append(2, &[(1, 3)]));
    for acknowledge in [appended, heard] {
        acknowledge(two(), 3).alarms("ack-durable", "up to 3; it is up to 2");
    }
}

#[test]
fn what_took_the_place_of_something_durable_may_not_be_acknowledged_before_it_is_durable() {
    let replaced =
        || Story::cluster(2).holds(2, append(1, &[(1, 1), (1, 2)])).writes(2, replace(2, &[(2, 2)]));
    for acknowledge in [appended, heard] {
        acknowledge(replaced(), 1).passes();
        acknowledge(replaced().durable(2, 2), 2).passes();
        acknowledge(replaced(), 2).alarms("ack-durable", "slot 2/2");
    }
}

#[test]
fn an_end_that_was_durable_before_a_crash_counts_only_when_it_is_found() {
    let before = || {
        Story::cluster(2)
            .holds(2, append(1, &[(1, 1)]))
            .writes(2, append(2, &[(1, 2)]))
            .ends(2, Ended::PowerLost)
    };
    appended(before().starts(2, found(1, &[1, 1])), 2).passes();
    appended(before().starts(2, found(1, &[1])), 2).alarms("ack-durable", "up to 2; it is up to 1");
}

#[test]
fn a_snapshot_may_be_acknowledged_once_it_is_stored() {
    let behind = || Story::cluster(2).holds(2, append(1, &[(1, 1)]));
    appended(behind().stored(2, 1, 9), 9).passes();
    appended(behind().stored(2, 1, 9).writes(2, install(2, 1, 9)), 9).passes();
    appended(behind(), 9).alarms("ack-durable", "up to 9; it is up to 1");
    let found = FoundLog { snapshot: LogId::new(1, 9), ..found(1, &[1]) };
    appended(behind().ends(2, Ended::Killed).starts(2, found), 9).passes();
}

/// logcabin/logcabin#44, seen at once and not only when the slot is lost.
#[test]
fn a_leader_commits_by_counting_only_in_its_own_term() {
    let counted = |commit: u64| {
        let story = [1, 2]
            .iter()
            .fold(Story::cluster(3), |story, host| story.holds(*host, append(1, &[(1, 1), (2, 2)])));
        story.leads(1, 4).commits(1, 4, 0).commits(1, 4, commit)
    };
    counted(2).alarms("commit-rule", "leader of term 4, committed up to slot 2/2 of an earlier term");
    let both =
        |story: Story, slot: (u64, u64)| story.holds(1, append(2, &[slot])).holds(2, append(2, &[slot]));
    both(counted(0), (4, 3)).commits(1, 4, 3).passes();
    counted(0).follows(1, 5, 2).passes();
}

#[test]
fn a_damaged_slot_does_not_count_until_it_is_mended() {
    let slot = LogId::new(1, 1);
    let damaged = || held_by(&[1, 2], 3).event(2, Event::Damaged { slot });
    damaged().commits(1, 1, 1).alarms("commit-durable", "only 1 of 3");
    damaged().says(2, 1, 1, MessageKind::Appended, [1, 0, 0]).alarms("ack-durable", "it is up to 0");
    damaged().event(2, Event::Repaired { slot }).commits(1, 1, 1).passes();
}
