//! What goes only forward, and what is found again.

use quorate_node::raft::{Index, LogId, Role};

use super::{Story, append, found, hard, hard_write, install, replace};
use crate::observe::{Ended, FoundLog, MessageKind, Observation};
use crate::plan::{Damage, Fault, Host, Place, Timed};

#[test]
fn everything_may_go_forward_and_most_begins_anew_with_a_start() {
    Story::cluster(1)
        .writes(1, hard_write(1, 2, None))
        .writes(1, hard_write(2, 2, Some(1)))
        .writes(1, hard_write(3, 2, Some(1)))
        .writes(1, hard_write(4, 5, Some(1)))
        .follows(1, 5, 0)
        .applies(1, 3, 0xa, 2)
        .applies(1, 4, 0xb, 2)
        .ends(1, Ended::Killed)
        .starts(1, FoundLog { hard: hard(5, Some(1)), ..found(5, &[]) })
        .follows(1, 5, 0)
        .applies(1, 1, 0xc, 1)
        .passes();
}

#[test]
fn a_term_that_was_never_told_to_anybody_may_be_forgotten() {
    Story::cluster(2)
        .writes(1, hard_write(1, 7, Some(1)))
        .says(1, 2, 7, MessageKind::PreVote, [0, 0, 0])
        .says(1, 2, 7, MessageKind::PreVoteReply, [1, 0, 0])
        .ends(1, Ended::PowerLost)
        .starts(1, found(0, &[]))
        .passes();
}

#[test]
fn a_term_in_which_a_server_has_spoken_is_found_again() {
    let spoke =
        || Story::cluster(2).says(1, 2, 7, MessageKind::Heartbeat, [1, 0, 0]).ends(1, Ended::PowerLost);
    spoke().starts(1, found(7, &[])).passes();
    spoke().starts(1, found(6, &[])).alarms("monotonic", "starts in term 6, but it has spoken in term 7");
}

#[test]
fn a_term_is_not_forgotten_by_the_second_start_either() {
    Story::cluster(2)
        .says(1, 2, 7, MessageKind::Heartbeat, [1, 0, 0])
        .ends(1, Ended::Killed)
        .starts(1, found(7, &[]))
        .ends(1, Ended::PowerLost)
        .starts(1, found(3, &[]))
        .alarms("monotonic", "starts in term 3");
}

#[test]
fn a_term_that_goes_back_is_found() {
    Story::cluster(1)
        .follows(1, 3, 0)
        .follows(1, 2, 0)
        .alarms("monotonic", "the term of host 1 went back from 3 to 2");
    Story::cluster(1)
        .writes(1, hard_write(1, 3, None))
        .writes(1, hard_write(2, 2, None))
        .alarms("monotonic", "the term of host 1 went back from 3 to 2");
    Story::new()
        .starts(1, found(3, &[]))
        .writes(1, hard_write(1, 2, None))
        .alarms("monotonic", "the term of host 1 went back from 3 to 2");
}

#[test]
fn a_vote_that_changes_is_found() {
    let changed = "changed its vote in term 2";
    let voted = || Story::cluster(3).writes(1, hard_write(1, 2, Some(2)));
    voted().writes(1, hard_write(2, 2, Some(3))).alarms("monotonic", changed);
    voted().writes(1, hard_write(2, 2, None)).alarms("monotonic", changed);
    Story::new()
        .starts(1, FoundLog { hard: hard(2, Some(2)), ..found(2, &[]) })
        .writes(1, hard_write(1, 2, Some(3)))
        .alarms("monotonic", changed);
}

#[test]
fn a_commit_index_that_goes_back_is_found() {
    Story::cluster(1)
        .holds(1, append(1, &[(1, 1), (1, 2)]))
        .commits(1, 1, 2)
        .stands(1, Role::Follower, 1, 1)
        .alarms("monotonic", "the commit index of host 1 went back from 2 to 1");
}

/// etcd-io/etcd#13766.
#[test]
fn a_state_that_goes_back_is_found() {
    let at_five = || Story::cluster(1).applies(1, 5, 0xa, 4);
    at_five().applies(1, 4, 0xb, 4).alarms("monotonic", "the applied index of host 1 went back from 5 to 4");
    at_five().applies(1, 6, 0xb, 3).alarms("monotonic", "the revision of host 1 went back from 4 to 3");
}

/// Host 1 has slots 1 to 3 durably, and asks for a fourth.
fn three_durable(faults: &[Timed]) -> Story {
    Story::under(faults)
        .starts(1, found(0, &[]))
        .holds(1, append(1, &[(1, 1), (1, 2), (1, 3)]))
        .writes(1, append(2, &[(1, 4)]))
        .ends(1, Ended::PowerLost)
}

fn faults_of(fault: Fault) -> Vec<Timed> {
    vec![Timed { at_ms: 1, fault }]
}

/// Every fault that hurts what is at rest.
fn hurts(host: Host) -> Vec<Fault> {
    vec![
        Fault::Rot { host, place: Place::Log, damage: Damage::Flip, pick: 1 },
        Fault::ReadError { host, nth: 0 },
        Fault::MisdirectedRead { host, nth: 0 },
        Fault::MisdirectedWrite { host, nth: 0 },
        Fault::LoseDisk { host },
    ]
}

#[test]
fn what_was_durable_is_found_and_what_was_under_way_may_be() {
    three_durable(&[]).starts(1, found(1, &[1, 1, 1])).passes();
    three_durable(&[]).starts(1, found(1, &[1, 1, 1, 1])).passes();
}

#[test]
fn a_checkpoint_stands_for_what_it_covers() {
    let snapshot = LogId::new(1, 2);
    three_durable(&[]).starts(1, FoundLog { base: snapshot, snapshot, ..found(1, &[1]) }).passes();
    three_durable(&[]).starts(1, FoundLog { snapshot, ..found(1, &[1, 1, 1]) }).passes();
    let snapshot = LogId::new(2, 9);
    three_durable(&[]).starts(1, FoundLog { base: snapshot, snapshot, ..found(2, &[]) }).passes();
}

/// What a start finds in the system's memory is durable when its recovery has ended, and not before.
#[test]
fn what_a_recovery_found_that_did_not_end_counts_for_nothing() {
    let more = |story: Story| story.sees(Observation::Started { host: 1, found: found(1, &[1, 1, 1, 1]) });
    more(three_durable(&[])).starts(1, found(1, &[1, 1, 1])).passes();
    more(three_durable(&[])).starts(1, found(1, &[1, 1])).alarms("recovery", "had slot 1/3 durably");
    let recovered = more(three_durable(&[])).sees(Observation::Recovered { host: 1 });
    recovered.starts(1, found(1, &[1, 1, 1])).alarms("recovery", "had slot 1/4 durably");
}

/// A sync that was answered and did not happen (cockroachdb#37102), a segment that was not synced
/// (yugabyte-db#3490), a name that was not (baidu/braft#254): all end here.
#[test]
fn a_durable_slot_that_is_gone_is_found() {
    three_durable(&[])
        .starts(1, found(1, &[1, 1]))
        .alarms("recovery", "host 1 had slot 1/3 durably before it ended; now its log ends at 2");
    three_durable(&[]).starts(1, found(1, &[])).alarms("recovery", "had slot 1/1 durably");
    three_durable(&[]).starts(1, found(2, &[1, 1, 2])).alarms("recovery", "had slot 1/3 durably");
}

/// camunda#6098: on a disk that is known to be hurt the end may be unknown, but not silently gone.
#[test]
fn a_damaged_end_is_not_the_end_of_the_log() {
    for fault in hurts(1) {
        let faults = faults_of(fault);
        let cut = found(1, &[1, 1]);
        three_durable(&faults).starts(1, FoundLog { unknown: Some(Index(3)), ..cut.clone() }).passes();
        three_durable(&faults)
            .starts(1, FoundLog { unknown: Some(Index(4)), ..cut.clone() })
            .alarms("recovery", "had slot 1/3 durably");
        three_durable(&faults).starts(1, cut).alarms("recovery", "had slot 1/3 durably");
    }
}

#[test]
fn damage_is_found_only_where_a_disk_was_hurt() {
    let damaged = FoundLog { damaged: vec![LogId::new(1, 2)], ..found(1, &[1, 1, 1]) };
    let unknown = FoundLog { unknown: Some(Index(4)), ..found(1, &[1, 1, 1]) };
    let refused = Ended::Refused("both files are bad".to_owned());
    for fault in hurts(1) {
        let faults = faults_of(fault);
        three_durable(&faults).starts(1, damaged.clone()).passes();
        three_durable(&faults).starts(1, unknown.clone()).passes();
        three_durable(&faults).ends(1, refused.clone()).passes();
    }
    let elsewhere =
        [hurts(2), vec![Fault::SyncError { host: 1, nth: 0 }, Fault::Kill { host: 1, for_ms: 1 }]];
    for fault in elsewhere.concat() {
        let faults = faults_of(fault);
        three_durable(&faults).starts(1, damaged.clone()).alarms("recovery", "found slot 1/2 damaged");
        three_durable(&faults)
            .starts(1, unknown.clone())
            .alarms("recovery", "found the slots from 4 on lost");
        three_durable(&faults).ends(1, refused.clone()).alarms("recovery", "host 1 will not start");
    }
}

/// tigerbeetle#2711: a checksum that does not cover the place lets bytes of another one pass.
#[test]
fn bytes_of_another_place_are_worth_as_much_as_garbage() {
    let damaged = || FoundLog { damaged: vec![LogId::new(1, 2)], ..found(1, &[1, 1, 1]) };
    let weighs = |with_stray| {
        let astray = Observation::Astray { host: 1, with_stray, with_garbage: Some(damaged()) };
        Story::new().sees(astray)
    };
    weighs(Some(damaged())).passes();
    weighs(Some(FoundLog { unknown: Some(Index(2)), ..found(1, &[1]) }))
        .alarms("recovery", "host 1 believes bytes that belong elsewhere");
    weighs(Some(found(1, &[1, 1, 1]))).alarms("recovery", "host 1 believes");
    weighs(None).alarms("recovery", "host 1 believes");
}

#[test]
fn a_disk_fails_only_where_it_refuses_something() {
    let fails = |fault: Fault| three_durable(&faults_of(fault)).ends(1, Ended::DiskFailed);
    let full = Fault::FullDisk { host: 1, spare_bytes: 0, for_ms: 1 };
    let refused = [full, Fault::SyncError { host: 1, nth: 0 }, Fault::WriteError { host: 1, nth: 0 }];
    [hurts(1), refused.to_vec()].concat().into_iter().for_each(|fault| fails(fault).passes());
    for fault in [Fault::SyncError { host: 2, nth: 0 }, Fault::Kill { host: 1, for_ms: 1 }] {
        fails(fault).alarms("recovery", "host 1 ends because its disk failed");
    }
}

/// A server was killed before it heard that its last write was done.
#[test]
fn a_truncation_that_was_under_way_may_have_happened() {
    let truncates = || {
        Story::new()
            .starts(1, found(0, &[]))
            .holds(1, append(1, &[(1, 1), (1, 2), (1, 3)]))
            .writes(1, replace(2, &[(2, 2)]))
            .ends(1, Ended::Killed)
    };
    truncates().starts(1, found(2, &[1, 2])).passes();
    truncates().starts(1, found(1, &[1, 1, 1])).passes();
    truncates().starts(1, found(2, &[1])).alarms("recovery", "had slot 1/2 durably");
    truncates().starts(1, found(2, &[2, 2])).alarms("recovery", "had slot 1/1 durably");
}

#[test]
fn a_truncation_that_was_lost_in_a_crash_excuses_nothing_after_the_next_one() {
    Story::new()
        .starts(1, found(0, &[]))
        .holds(1, append(1, &[(1, 1), (1, 2), (1, 3)]))
        .writes(1, replace(2, &[(2, 2)]))
        .ends(1, Ended::PowerLost)
        .starts(1, found(1, &[1, 1, 1]))
        .ends(1, Ended::PowerLost)
        .starts(1, found(2, &[1, 2]))
        .alarms("recovery", "had slot 1/2 durably");
}

#[test]
fn an_installation_that_was_under_way_may_have_happened() {
    let installs = || {
        Story::new()
            .starts(1, found(0, &[]))
            .holds(1, append(1, &[(1, 1), (1, 2), (1, 3)]))
            .stored(1, 2, 2)
            .writes(1, install(2, 2, 2))
            .ends(1, Ended::Killed)
    };
    let snapshot = LogId::new(2, 2);
    installs().starts(1, FoundLog { base: snapshot, snapshot, ..found(2, &[]) }).passes();
    installs().starts(1, FoundLog { snapshot, ..found(1, &[1, 1, 1]) }).passes();
    installs().starts(1, found(1, &[])).alarms("recovery", "had slot 1/1 durably");
}
