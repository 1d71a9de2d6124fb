//! Reads by a round of heartbeats, or by lease.

use super::{Trace, followed, settled};

/// Server 2 has asked, a round has begun for that, and server 2 has answered it.
fn answered() -> Trace {
    settled().then(
        "1: asked by=2 batch=7
        1: beats to=2 term=2 round=1 commit=2
        1: rounds round=1 index=2
        2: answers to=1 term=2 round=1 verified=2 matched=2",
    )
}

#[test]
fn an_index_is_named_when_a_majority_has_answered_a_round_that_began_later() {
    answered().then("1: confirms round=1 index=2\n1: names to=2 term=2 batch=7 index=2");
    answered().but_not("1: names to=2 term=2 batch=7 index=2", "neither a round nor a lease");
    answered()
        .then("1: asked by=2 batch=8\n1: confirms round=1 index=2")
        .but_not("1: names to=2 term=2 batch=8 index=2", "neither a round nor a lease");
    answered()
        .then("1: confirms round=1 index=2")
        .but_not("1: names to=2 term=2 batch=7 index=1", "neither a round nor a lease");
}

/// etcd-io/etcd#741, openraft d60f1e85.
#[test]
fn a_round_is_confirmed_by_a_majority() {
    answered().but_not("1: confirms round=2 index=2", "it has not begun that round");
    answered().but_not("1: confirms round=1 index=1", "it has not begun that round");
    answered()
        .then("1: confirms round=1 index=2\n1: beats to=2 term=2 round=2 commit=2\n1: rounds round=2 index=2")
        .but_not("1: confirms round=2 index=2", "is no majority of");
}

/// etcd-io/etcd#7331.
#[test]
fn a_round_begins_when_the_leader_has_committed_in_its_term() {
    followed().but_not("1: rounds round=1 index=0", "it has committed nothing in its term");
    settled().but_not("1: rounds round=1 index=1", "it has committed up to 2");
    answered().but_not("1: rounds round=1 index=2", "round 1 has begun before");
    // What was answered before the question says nothing of the time since.
    answered()
        .then("1: confirms round=1 index=2\n1: asked by=2 batch=8")
        .but_not("1: rounds round=1 index=2", "round 1 is answered already");
    settled().but_not("2: rounds round=1 index=2", "it does not lead");
    settled().but_not("2: asked by=1 batch=1", "it does not lead");
}

#[test]
fn a_lease_ends_when_somebody_was_told_to_run() {
    answered().then("1: leases by=2 index=2\n1: names to=2 term=2 batch=9 index=2");
    answered()
        .then("1: leases by=- index=2")
        .but_not("1: names to=2 term=2 batch=9 index=2", "neither a round nor a lease");
    answered().then("1: hands to=3 term=2").but_not("1: leases by=2 index=2", "it has told {3} to run");
    settled().but_not("1: leases by=2 index=2", "is no majority of");
    followed().but_not("1: leases by=2 index=0", "it has committed nothing in its term");
}
