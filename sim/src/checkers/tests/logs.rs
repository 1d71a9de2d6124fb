//! Log matching, commits that stay, one state for one index.

use quorate_node::raft::LogId;

use super::{Story, append, found, install, replace, write};
use crate::observe::{Ended, LogWrite};

#[test]
fn logs_that_share_a_slot_share_what_is_before() {
    Story::cluster(3)
        .writes(1, append(1, &[(1, 1), (1, 2), (2, 3)]))
        .writes(2, append(1, &[(1, 1)]))
        .writes(2, append(2, &[(1, 2), (2, 3)]))
        .writes(3, append(1, &[(1, 1), (1, 2), (1, 3)]))
        .writes(3, replace(2, &[(2, 3)]))
        .passes();
}

#[test]
fn a_log_that_begins_with_a_snapshot_matches_by_its_last_slot() {
    let appended = LogWrite { append: append(0, &[(2, 3)]).append, ..install(2, 1, 2) };
    Story::cluster(2).writes(1, append(1, &[(1, 1), (1, 2), (2, 3)])).writes(2, appended).passes();
    let appended = LogWrite { append: append(0, &[(2, 3)]).append, ..install(2, 2, 2) };
    Story::cluster(2)
        .writes(1, append(1, &[(1, 1), (1, 2), (2, 3)]))
        .writes(2, appended)
        .alarms("log-matching", "after a slot of term 2; in another log one of term 1");
}

#[test]
fn two_contents_in_one_slot_are_found() {
    Story::cluster(2)
        .writes(1, append(1, &[(1, 1)]))
        .writes(2, LogWrite { append: vec![(LogId::new(1, 1), 7)], ..write(1) })
        .alarms("log-matching", "host 2 wrote slot 1/1 with a content");
}

#[test]
fn two_slots_before_one_slot_are_found() {
    Story::cluster(2)
        .writes(1, append(1, &[(1, 1), (1, 2), (3, 3)]))
        .writes(2, append(1, &[(1, 1), (2, 2)]))
        .writes(2, append(2, &[(3, 3)]))
        .alarms("log-matching", "host 2 wrote slot 3/3 after a slot of term 2");
}

#[test]
fn two_slots_before_one_slot_are_found_across_a_restart() {
    Story::cluster(2)
        .writes(1, append(1, &[(1, 1), (2, 2)]))
        .holds(2, append(1, &[(1, 1)]))
        .ends(2, Ended::Killed)
        .starts(2, found(1, &[1]))
        .writes(2, append(1, &[(2, 2)]))
        .writes(1, append(2, &[(2, 3)]))
        .passes();
    Story::cluster(2)
        .writes(1, append(1, &[(1, 1), (2, 2)]))
        .holds(2, append(1, &[(1, 1), (1, 2)]))
        .ends(2, Ended::Killed)
        .starts(2, found(1, &[1, 1]))
        .writes(2, append(1, &[(2, 3)]))
        .writes(1, append(2, &[(2, 3)]))
        .alarms("log-matching", "host 1 wrote slot 2/3 after a slot of term 2");
}

/// Slots 1 and 2 of term 1 on hosts 1 and 2, and committed by host 1.
fn two_committed() -> Story {
    let both = |story: Story, host| story.holds(host, append(1, &[(1, 1), (1, 2)]));
    [1, 2].into_iter().fold(Story::cluster(3), both).commits(1, 1, 2)
}

#[test]
fn all_commit_the_same() {
    let caught_up = append(1, &[(1, 1), (1, 2)]);
    two_committed().follows(2, 1, 1).follows(2, 1, 2).holds(3, caught_up).follows(3, 1, 2).passes();
}

#[test]
fn what_a_snapshot_covers_counts_as_committed() {
    two_committed().stored(3, 1, 2).holds(3, install(1, 1, 2)).follows(3, 1, 2).passes();
}

#[test]
fn a_server_that_starts_commits_again_what_it_had_committed() {
    two_committed()
        .ends(1, Ended::Killed)
        .starts(1, found(1, &[1, 1]))
        .follows(1, 1, 1)
        .follows(1, 1, 2)
        .passes();
}

/// A follower takes the leader's commit index for a slot of its own (atomix/copycat#265).
#[test]
fn another_slot_at_a_committed_index_is_found() {
    two_committed()
        .holds(3, append(1, &[(1, 1), (2, 2)]))
        .follows(3, 1, 1)
        .follows(3, 1, 2)
        .alarms("commit-stable", "host 3 committed 2/2 where host 1 had committed 1/2");
}

#[test]
fn another_slot_at_a_committed_index_is_found_after_a_restart() {
    two_committed()
        .follows(2, 1, 2)
        .writes(2, replace(2, &[(2, 2)]))
        .ends(2, Ended::Killed)
        .starts(2, found(2, &[1, 2]))
        .follows(2, 2, 2)
        .alarms("commit-stable", "host 2 committed 2/2 where host 1 had committed 1/2");
}

#[test]
fn servers_with_one_index_have_one_state() {
    Story::cluster(3).applies(1, 5, 0xabc, 4).applies(2, 5, 0xabc, 4).applies(1, 6, 0xdef, 5).passes();
}

#[test]
fn a_restarted_server_comes_to_the_same_state() {
    Story::cluster(3)
        .applies(1, 5, 0xabc, 4)
        .starts(1, found(0, &[]))
        .applies(1, 3, 1, 2)
        .applies(1, 5, 0xabc, 4)
        .passes();
}

/// Whoever reads the local clock while applying (databend#7325) ends here.
#[test]
fn two_states_after_one_index_are_found() {
    let one = || Story::cluster(3).applies(1, 5, 0xabc, 4);
    one().applies(2, 5, 0xabd, 4).alarms("state-machine", "host 2 has state 0000000000000abd");
    one().applies(2, 5, 0xabc, 5).alarms("state-machine", "at revision 5, and host 1 has");
}

#[test]
fn a_slot_is_mended_with_what_it_had() {
    let mended = |content: u64| {
        let repair = vec![(LogId::new(1, 1), content)];
        Story::cluster(2)
            .holds(1, LogWrite { append: vec![(LogId::new(1, 1), 7)], ..write(1) })
            .writes(2, LogWrite { repair, ..write(1) })
    };
    mended(7).passes();
    mended(8).alarms("log-matching", "mended slot 1/1 with a content that it never had");
}
