//! What may be said.

use super::{elected, followed, founded, settled};

/// thesis §3.8.
#[test]
fn nothing_is_said_in_a_term_that_is_not_durable() {
    let voted = || {
        founded().then(
            "1: asks to=2 term=2 last=1/1
        2: would to=1 term=2
        1: counts asking=yes votes=2,1
        1: campaigns term=2 transfer=no
        2: enters term=2
        2: votes candidate=1
        2: writes id=1 term=2 vote=1",
        )
    };
    voted().then("2: written id=1\n2: grants to=1 term=2");
    voted()
        .but_not("2: grants to=1 term=2", "it speaks while Hard { term: 2, vote: Some(1) } is not durable");
    voted().but_not("2: says to=1 term=2", "is not durable");
    voted().but_not("2: says to=1 term=1", "it speaks in term 1 and is in 2");
}

#[test]
fn a_leader_sends_what_it_has() {
    elected().then("1: sends to=2 term=2 prev=1/1 last=2/2 commit=0");
    elected().but_not("1: sends to=2 term=2 prev=1/1 last=2/3 commit=0", "its log has");
    elected().but_not("1: sends to=2 term=2 prev=2/1 last=2/2 commit=0", "its log has");
    elected().but_not("1: sends to=2 term=2 prev=1/1 last=2/2 commit=1", "it has committed up to 0");
    elected().but_not("2: sends to=3 term=2 prev=0/0 last=0/0 commit=0", "it does not lead");
    elected().then("1: beats to=2 term=2 round=1 commit=0");
    elected().but_not("1: beats to=2 term=2 round=1 commit=2", "it has committed up to 0");
    elected().but_not("2: beats to=3 term=2 round=1 commit=0", "it does not lead");
}

/// tikv/tikv#994.
#[test]
fn what_is_acknowledged_is_verified_and_durable() {
    let taken = || {
        elected().then(
            "2: follows leader=1
            2: configures slot=1/1 configuration=1,2,3|-|-
            2: appends slot=2/2
            2: verifies index=1 members_at=1/1",
        )
    };
    let said = "2: acks to=1 term=2 matched=1";
    taken().but_not(said, "its disk None");
    taken().then("2: writes id=2 first=1/1 last=2/2").but_not(said, "its disk None");
    let written = || taken().then("2: writes id=2 first=1/1 last=2/2\n2: written id=2");
    written().then(said);
    written().but_not("2: acks to=1 term=2 matched=2", "it has verified its log up to 1");
    written().but_not("2: acks to=3 term=2 matched=1", "3 does not lead term 2");
    written().then("2: loses slot=1/1").but_not(said, "with {1: 1} lost");
    written().then("2: loses slot=1/1\n2: mends slot=1/1").but_not(said, "its log has");
    written().then("2: loses slot=1/1\n2: mends slot=1/1\n2: writes id=3\n2: written id=3").then(said);
}

#[test]
fn a_heartbeat_is_answered_with_what_is_so() {
    let beaten = || followed().then("1: beats to=2 term=2 round=1 commit=0");
    beaten().then("2: answers to=1 term=2 round=1 verified=2 matched=2");
    beaten().but_not("2: answers to=1 term=2 round=2 verified=2 matched=2", "the leader's last round is 1");
    beaten().but_not("2: answers to=1 term=2 round=1 verified=3 matched=2", "verified its log up to 2");
    beaten().but_not("2: answers to=1 term=2 round=1 verified=2 matched=3", "verified its log up to 2");
    beaten()
        .then("2: loses slot=2/2")
        .but_not("2: answers to=1 term=2 round=1 verified=2 matched=2", "with {2: 2} lost");
    // To a leader of an older term nothing is promised.
    followed().then("2: answers to=3 term=2 round=0 verified=0 matched=0");
    followed().but_not("2: answers to=3 term=2 round=1 verified=0 matched=0", "3 does not lead term 2");
}

#[test]
fn a_slot_is_refused_that_is_not_there() {
    followed().then("2: refuses to=1 term=2 prev=2/3");
    followed().but_not("2: refuses to=1 term=2 prev=2/2", "it has that slot");
}

#[test]
fn a_leader_hands_over_to_a_voter() {
    settled().then("1: hands to=2 term=2");
    settled().but_not("1: hands to=4 term=2", "4 does not vote");
    settled().but_not("2: hands to=3 term=2", "it does not lead");
}

#[test]
fn who_has_lost_something_is_told_what_is_so() {
    settled().then("1: tells to=2 term=2 leads_to=2/2 committed=2/2 never=2/3");
    settled().but_not("1: tells to=2 term=2 leads_to=2/3 committed=2/2 never=-", "its log ends at");
    settled().but_not("2: tells to=1 term=2 leads_to=2/2 committed=0/0 never=-", "it does not lead");
    settled().but_not("2: tells to=1 term=2 leads_to=- committed=2/2 never=-", "it has committed up to 0");
    settled().but_not("1: tells to=2 term=2 leads_to=2/2 committed=1/2 never=-", "it has no such slot");
    settled().but_not("2: tells to=1 term=2 leads_to=- committed=0/0 never=2/2", "it has that slot");
}
