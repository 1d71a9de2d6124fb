//! What may count as committed, and be applied.

use super::{Trace, elected, followed, settled};

#[test]
fn a_majority_that_said_so_commits() {
    followed().then("1: commits index=2 matches=1:2,2:2,3:0");
    followed().but_not("1: commits index=2 matches=1:2,2:0,3:0", "is no majority of");
    followed().but_not("1: commits index=2 matches=1:2,2:0,3:2", "3 did not say in term 2");
    settled().but_not("1: commits index=2 matches=1:2,2:2,3:0", "it has committed up to 2");
    followed().but_not("2: commits index=2 matches=1:2,2:2,3:0", "it does not lead");
}

/// etcd-io/etcd#14370.
#[test]
fn a_leader_counts_itself_when_its_disk_has_it() {
    followed()
        .then("1: appends slot=2/3")
        .but_not("1: commits index=3 matches=1:3,2:3", "1 did not say in term 2");
    let written = "1: appends slot=2/3\n1: writes id=3 first=2/3 last=2/3";
    followed().then(written).but_not("1: commits index=3 matches=1:3", "1 did not say in term 2");
}

/// etcd-io/etcd#10563.
#[test]
fn a_leader_that_is_removed_does_not_count() {
    let removed = "
        1: configures slot=2/3 configuration=2,3|-|1
        2: configures slot=2/3 configuration=2,3|-|1
        1: writes id=3 first=2/3 last=2/3
        1: written id=3
        2: verifies index=3 members_at=2/3
        2: writes id=3 first=2/3 last=2/3
        2: written id=3
        2: acks to=1 term=2 matched=3";
    settled().then(removed).but_not("1: commits index=3 matches=1:3,2:3,3:0", "is no majority of");
}

/// openraft 6c0ccaf3.
#[test]
fn a_joint_configuration_needs_both_halves() {
    let joint = "
        1: configures slot=2/3 configuration=1,2,4|1,3,5|-
        2: configures slot=2/3 configuration=1,2,4|1,3,5|-
        1: writes id=3 first=2/3 last=2/3
        1: written id=3
        2: verifies index=3 members_at=2/3
        2: writes id=3 first=2/3 last=2/3
        2: written id=3
        2: acks to=1 term=2 matched=3";
    // Nobody may leap so far from 1, 2, 3; the joint configuration is put in their place first.
    settled()
        .then(&joint.replace("1,2,4|1,3,5", "1,2,4|1,2,3"))
        .then("1: commits index=3 matches=1:3,2:3,3:0,4:0");
    let other = joint.replace("1,2,4|1,3,5", "2,4|1,2,3");
    settled().then(&other).but_not("1: commits index=3 matches=1:3,2:3,3:0,4:0", "is no majority of");
}

/// logcabin#44.
#[test]
fn entries_of_earlier_terms_are_not_committed_by_counting() {
    let again = "
        2: asks to=1 term=3 last=2/2
        1: resigns term=2
        1: would to=2 term=3
        2: counts asking=yes votes=1,2
        2: campaigns term=3 transfer=no
        2: writes id=3 term=3 vote=2
        2: written id=3
        1: enters term=3
        1: votes candidate=2
        1: writes id=3 term=3 vote=2
        1: written id=3
        1: grants to=2 term=3
        2: counts asking=no votes=1,2
        2: leads term=3
        2: appends slot=3/3
        1: follows leader=2
        1: verifies index=2 members_at=1/1
        1: acks to=2 term=3 matched=2";
    followed().then(again).but_not(
        "2: commits index=2 matches=1:2,2:2,3:0",
        "a leader of term 3 does not commit Some(Slot { term: 2, index: 2 }) by counting",
    );
}

/// copycat#265.
#[test]
fn a_follower_commits_what_it_has_verified_and_its_leader_has_committed() {
    settled().then("2: learns index=2");
    followed().but_not("2: learns index=2", "its leader has committed up to 0");
    let behind = "
        3: enters term=2
        3: follows leader=1
        3: configures slot=1/1 configuration=1,2,3|-|-
        3: appends slot=2/2
        3: verifies index=1 members_at=1/1";
    settled().then(behind).then("3: learns index=1").but_not("3: learns index=2", "verified its log up to 1");
    settled().but_not("1: learns index=2", "it leads");
}

#[test]
fn what_is_said_to_be_committed_counts_for_who_holds_it() {
    settled().then("2: hears slot=2/2");
    followed().but_not("2: hears slot=2/2", "that slot is not committed");
    settled().but_not("3: hears slot=2/2", "it does not hold that slot");
    settled().but_not("1: hears slot=2/2", "a leader counts for itself");
}

#[test]
fn what_is_applied_is_committed_and_durable_here() {
    settled().then("1: applies last=2/2").but_not("1: applies last=2/2", "it has applied up to 2");
    settled().but_not("2: applies last=2/2", "it has committed up to 0");
    settled().but_not("1: applies last=1/2", "its log has Some(Slot { term: 2, index: 2 })");
    settled().then("1: loses slot=1/1").but_not("1: applies last=2/2", "slot 1 is lost");
    settled().then("1: loses slot=1/1\n1: mends slot=1/1").but_not("1: applies last=2/2", "slot 1 is lost");
    let slow = elected().then(
        "2: follows leader=1
        2: configures slot=1/1 configuration=1,2,3|-|-
        2: appends slot=2/2
        2: verifies index=2 members_at=1/1
        3: enters term=2
        3: follows leader=1
        3: configures slot=1/1 configuration=1,2,3|-|-
        3: appends slot=2/2
        3: verifies index=2 members_at=1/1",
    );
    let others = "
        2: writes id=2 first=1/1 last=2/2
        2: written id=2
        2: acks to=1 term=2 matched=2
        3: writes id=1 term=2 vote=- first=1/1 last=2/2
        3: written id=1
        3: acks to=1 term=2 matched=2
        1: commits index=2 matches=1:1,2:2,3:2";
    let unwritten: Trace = slow.then(others);
    unwritten.then("1: applies last=1/1").but_not("1: applies last=2/2", "its disk has None");
}
