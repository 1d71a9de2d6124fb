//! Checkpoints, taken and received.

use super::{Trace, founded, settled};

/// Server 1 has a checkpoint up to 2/2, and nothing before it; server 3 has received it.
fn checkpointed() -> Trace {
    settled().then(
        "1: applies last=2/2
        1: stores last=2/2 own=yes
        1: compacts to=2/2
        3: enters term=2
        3: writes id=1 term=2 vote=-
        3: written id=1
        3: follows leader=1
        3: stores last=2/2 own=no",
    )
}

#[test]
fn a_checkpoint_is_of_what_is_committed_and_applied() {
    settled().but_not("1: stores last=2/2 own=yes", "it has applied up to 0");
    settled().but_not("3: stores last=2/3 own=no", "that slot is not committed");
    founded().but_not("3: stores last=1/1 own=no", "that slot is not committed");
}

#[test]
fn only_what_a_checkpoint_covers_is_dropped() {
    settled().but_not("1: compacts to=2/2", "its checkpoint ends at Slot { term: 0, index: 0 }");
    checkpointed().but_not("3: compacts to=2/2", "its log has None there");
}

#[test]
fn a_checkpoint_may_be_whole_when_nobody_leads() {
    let leaderless = || {
        checkpointed().then("1: hands to=2 term=2\n2: campaigns term=3 transfer=yes\n3: enters term=3\n3: installs last=2/2 members_at=1/1")
    };
    leaderless().then("3: verifies index=2 members_at=1/1");
    leaderless().but_not("3: verifies index=3 members_at=1/1", "it follows nobody");
}

#[test]
fn a_checkpoint_takes_the_place_of_the_log() {
    checkpointed().then(
        "3: installs last=2/2 members_at=1/1
        3: verifies index=2 members_at=1/1
        3: acks to=1 term=2 matched=2
        3: writes id=2 install=2/2
        3: written id=2",
    );
    let installed = "3: installs last=2/2 members_at=1/1";
    checkpointed().then(installed).but_not("3: writes id=2", "it is to install Some");
    // openraft ac3e5a89.
    checkpointed().then(installed).but_not(installed, "it has applied up to 2");
    checkpointed().but_not("1: installs last=2/2 members_at=1/1", "it leads");
    checkpointed().but_not("2: installs last=2/2 members_at=1/1", "it has no such checkpoint");
    // async-raft#133.
    checkpointed().but_not("3: installs last=2/2 members_at=0/0", "the configuration there is that of");
    checkpointed().but_not("3: installs last=1/2 members_at=1/1", "that slot is not committed");
}

#[test]
fn a_crash_before_the_log_is_replaced_leaves_the_checkpoint() {
    let back = "
        3: opens term=2 base=2/2 last=2 snapshot=2/2 commit=2 installs=yes configurations=1/1:1,2,3|-|-
        3: installs last=2/2 members_at=1/1";
    checkpointed().then(back).but_not("3: writes id=1", "it is to install Some");
    checkpointed()
        .then("3: installs last=2/2 members_at=1/1\n3: writes id=2 install=2/2")
        .then(back)
        .then(back)
        .then("3: writes id=1 install=2/2\n3: written id=1");
    // One that holds the last slot of the checkpoint keeps its log.
    checkpointed().but_not(
        "2: opens term=2 vote=1 base=2/2 last=2 snapshot=2/2 commit=2 installs=yes configurations=1/1:1,2,3|-|-",
        "nothing that its disk was told leaves this",
    );
}
