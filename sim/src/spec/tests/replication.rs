//! What may be appended and dropped, and changes of members.

use super::{Trace, elected, followed, settled};

#[test]
fn a_leader_makes_entries_of_its_own_term_one_after_the_other() {
    settled().then("1: appends slot=2/3");
    settled().but_not("1: appends slot=1/3", "a leader of term 2 makes no entry of 1");
    settled().but_not("1: appends slot=2/4", "it does not follow");
}

#[test]
fn a_follower_takes_what_its_leader_has() {
    let sent = || settled().then("1: appends slot=2/3");
    sent().then("2: appends slot=2/3");
    sent().but_not("3: appends slot=1/1", "it follows nobody");
    sent().but_not("2: appends slot=1/3", "its leader has Some(Slot { term: 2, index: 3 })");
    sent().but_not("2: appends slot=2/4", "its leader has None at that place");
    sent()
        .then("1: appends slot=2/4")
        .but_not("2: appends slot=2/4", "it does not follow Slot { term: 2, index: 2 }");
}

/// Server 3 was elected in term 3 by server 1, without the entry 2/3 that server 2 has of server 1.
fn conflicting() -> Trace {
    settled().then(
        "1: appends slot=2/3
        2: appends slot=2/3
        3: enters term=2
        3: follows leader=1
        3: configures slot=1/1 configuration=1,2,3|-|-
        3: appends slot=2/2
        3: writes id=1 term=2 vote=- first=1/1 last=2/2
        3: written id=1
        1: opens term=2 vote=1 runs=1/1,2/2 last=2 commit=2 configurations=0/0:-|-|-;1/1:1,2,3|-|-
        3: asks to=1 term=3 last=2/2
        1: would to=3 term=3
        3: counts asking=yes votes=3,1
        3: campaigns term=3 transfer=no
        3: writes id=2 term=3 vote=3
        3: written id=2
        1: enters term=3
        1: votes candidate=3
        1: writes id=1 term=3 vote=3
        1: written id=1
        1: grants to=3 term=3
        3: counts asking=no votes=3,1
        3: leads term=3
        3: appends slot=3/3
        2: enters term=3
        2: follows leader=3",
    )
}

/// akka-raft#66, openraft 9540c904.
#[test]
fn only_a_conflict_truncates() {
    conflicting().then("2: truncates from=3\n2: appends slot=3/3\n2: verifies index=3 members_at=1/1");
    conflicting().but_not("2: truncates from=2", "nothing conflicts");
    let taken = "2: truncates from=3\n2: appends slot=3/3";
    conflicting().then(taken).but_not("2: truncates from=3", "nothing conflicts");
    conflicting().but_not("3: truncates from=3", "a leader never truncates its log");
    conflicting().then("2: hears slot=2/2").but_not("2: truncates from=2", "all up to 2 is committed");
    settled()
        .then("2: verifies index=2 members_at=1/1")
        .but_not("2: truncates from=2", "all up to 2 is the leader's");
    settled().but_not("3: truncates from=1", "it follows nobody");
}

#[test]
fn a_log_is_verified_as_far_as_it_is_the_leaders() {
    conflicting().but_not("2: verifies index=3 members_at=1/1", "at 3 it has");
    settled().but_not("2: verifies index=3 members_at=1/1", "at 3 it has None");
}

/// camunda#57393.
#[test]
fn the_configuration_in_force_is_that_of_the_log() {
    settled().but_not("2: verifies index=2 members_at=2/2", "the last configuration of its log is that of");
    let changed =
        "1: configures slot=2/3 configuration=1,2|-|3\n2: configures slot=2/3 configuration=1,2|-|3";
    settled().then(changed).then("2: verifies index=3 members_at=2/3");
    settled().then(changed).but_not("2: verifies index=3 members_at=1/1", "Slot { term: 2, index: 3 }");
}

/// baidu/braft#182.
#[test]
fn members_change_when_the_leader_has_committed_in_its_term() {
    settled().then("1: configures slot=2/3 configuration=1,2|-|3");
    followed()
        .but_not("1: configures slot=2/3 configuration=1,2|-|3", "it has committed nothing in its term");
}

#[test]
fn members_change_one_by_one_or_by_way_of_a_joint_configuration() {
    settled().but_not("1: configures slot=2/3 configuration=1,4|-|-", "it can't follow");
    settled().then("1: configures slot=2/3 configuration=1,4|1,2,3|-");
    settled().but_not("1: configures slot=2/3 configuration=1,4|1,2|-", "it can't follow");
    settled()
        .then("1: configures slot=2/3 configuration=1,2|-|3")
        .but_not("1: configures slot=2/4 configuration=1|-|-", "is not committed");
}

#[test]
fn an_entry_sets_one_configuration() {
    let changed = "1: configures slot=2/3 configuration=1,2|-|3";
    settled().then(changed).but_not("2: configures slot=2/3 configuration=1,3|-|2", "is Configuration");
    elected().then("2: follows leader=1").but_not("2: configures slot=1/1 configuration=1|-|-", "is Config");
}
