//! Slots that the disk has lost.

use super::{Trace, followed, settled};

/// Server 2 has 2/2 and 2/3, which server 3 never had; it has lost 2/3, and begins term 3 to ask.
fn doubting() -> Trace {
    settled().then(
        "1: appends slot=2/3
        2: appends slot=2/3
        2: verifies index=3 members_at=1/1
        2: writes id=3 first=2/3 last=2/3
        2: written id=3
        2: learns index=2
        1: opens term=2 vote=1 runs=1/1,2/2 last=2 commit=2 configurations=0/0:-|-|-;1/1:1,2,3|-|-
        2: loses slot=2/3",
    )
}

const ASKED: &str = "
    2: doubts term=3 slot=2/3
    2: enters term=3
    2: writes id=4 term=3 vote=-
    2: written id=4";

/// Server 1 says that it never had it.
const NEVER: &str = "
    1: enters term=3
    1: writes id=1 term=3 vote=-
    1: written id=1
    1: tells to=2 term=3 leads_to=- committed=2/2 never=2/3";

const NEVER_EITHER: &str = "
    3: enters term=3
    3: writes id=1 term=3 vote=-
    3: written id=1
    3: tells to=2 term=3 leads_to=- committed=0/0 never=2/3";

#[test]
fn what_is_lost_was_there_and_comes_back_as_what_it_was() {
    followed().but_not("2: loses slot=2/3", "its log has None there");
    followed().but_not("2: mends slot=2/2", "that slot is not lost");
    followed().then("2: loses slot=2/2\n2: mends slot=2/2");
    followed().then("2: loses slot=2/2").but_not("2: mends slot=1/2", "that slot is not lost");
}

#[test]
fn a_term_to_ask_in_is_begun_by_who_has_lost_something() {
    doubting().then(ASKED);
    doubting().but_not("2: doubts term=4 slot=2/3", "term 4 is not the one after 2");
    doubting().then("2: loses slot=2/2").then(ASKED);
    settled().but_not("2: doubts term=3 slot=2/2", "its lowest lost slot above the commit is None");
    settled().then("1: loses slot=2/2").but_not("1: doubts term=3 slot=2/2", "it leads");
}

#[test]
fn a_slot_is_given_up_that_a_majority_never_had() {
    let drops = "2: drops slot=2/3 never=1,3\n2: truncates from=3";
    doubting().then(ASKED).then(NEVER).then(NEVER_EITHER).then(drops);
    doubting().then(ASKED).then(NEVER).but_not("2: drops slot=2/3 never=1", "are no majority of");
    doubting().then(ASKED).then(NEVER).but_not("2: drops slot=2/3 never=1,3", "3 did not say in term 3");
    doubting()
        .then(ASKED)
        .then(NEVER)
        .but_not("2: drops slot=2/3 never=1,2", "2 did not say in term 3 that it never had the slot");
    let other = "2: drops slot=2/2 never=1,3";
    doubting().then(ASKED).then(NEVER).then(NEVER_EITHER).but_not(other, "its lowest lost slot");
    doubting()
        .then(ASKED)
        .then(NEVER)
        .then(NEVER_EITHER)
        .then("2: drops slot=2/3 never=1,3")
        .but_not("2: truncates from=2", "all up to 2 is committed");
}

#[test]
fn a_slot_is_given_up_in_a_term_that_is_new_to_it() {
    doubting().but_not("2: drops slot=2/3 never=1,3", "it follows, runs or leads");
    let back = "2: opens term=2 vote=1 runs=1/1,2/2 last=3 damaged=2/3 commit=2 \
                configurations=0/0:-|-|-;1/1:1,2,3|-|-";
    doubting().then(back).but_not("2: drops slot=2/3 never=1,3", "acknowledged the slot in term 2");
}

#[test]
fn nothing_is_said_before_what_was_given_up_is_gone() {
    let given_up = || {
        doubting()
            .then(ASKED)
            .then(NEVER)
            .then(NEVER_EITHER)
            .then("2: drops slot=2/3 never=1,3\n2: truncates from=3")
    };
    given_up().but_not("2: says to=1 term=3", "it speaks before what it gave up is durably gone");
    given_up().then("2: writes id=5 truncate=3").but_not("2: says to=1 term=3", "durably gone");
    given_up().then("2: writes id=5 truncate=3\n2: written id=5\n2: says to=1 term=3");
}

#[test]
fn never_is_not_said_by_who_may_have_had_it() {
    let end = "
        1: opens term=2 vote=1 runs=1/1 last=1 unknown=2 commit=1 configurations=0/0:-|-|-;1/1:1,2,3|-|-";
    settled().then(end).but_not(
        "1: tells to=2 term=2 leads_to=- committed=0/0 never=2/3",
        "it may have lost that slot with the end of its log",
    );
    settled()
        .then("1: applies last=2/2\n1: stores last=2/2 own=yes\n1: compacts to=2/2\n1: resigns term=2")
        .but_not("1: tells to=2 term=2 leads_to=- committed=0/0 never=1/1", "its log begins after");
}

/// Server 2 has lost the end of its log, and what stood there.
fn forgetful() -> Trace {
    settled().then(
        "2: opens term=2 vote=1 runs=1/1 last=1 unknown=2 configurations=0/0:-|-|-;1/1:1,2,3|-|-
        2: follows leader=1",
    )
}

#[test]
fn who_has_lost_the_end_of_its_log_does_not_vote_or_run() {
    forgetful().but_not("2: asks to=1 term=3 last=1/1", "it has lost what it would need as a leader");
    forgetful()
        .then("2: counts asking=yes votes=2")
        .but_not("2: campaigns term=3 transfer=no", "it has lost the end of its log");
    let runs = "
        1: resigns term=2
        1: asks to=3 term=3 last=2/2
        3: would to=1 term=3
        1: counts asking=yes votes=1,3
        1: campaigns term=3 transfer=no";
    forgetful()
        .then(runs)
        .then("2: enters term=3")
        .but_not("2: votes candidate=1", "lost the end of its log");
    forgetful()
        .then("1: resigns term=2\n1: asks to=2 term=3 last=2/2")
        .but_not("2: would to=1 term=3", "it has lost the end of its log");
}

#[test]
fn the_end_is_known_again_when_a_leader_said_how_far_to_go() {
    let told = "1: tells to=2 term=2 leads_to=2/2 committed=2/2 never=-";
    let filled = "
        2: appends slot=2/2
        2: verifies index=2 members_at=1/1
        2: writes id=1 first=2/2 last=2/2
        2: written id=1";
    forgetful().then(told).then(filled).then("2: recalls end=2");
    forgetful()
        .then(filled)
        .but_not("2: recalls end=2", "leaders' logs went so far when they were asked: []");
    forgetful().then(told).but_not("2: recalls end=2", "it has verified its log up to 0");
    let unwritten = "2: appends slot=2/2\n2: verifies index=2 members_at=1/1";
    forgetful().then(told).then(unwritten).but_not("2: recalls end=2", "it does not hold 2 durably");
    let short = "1: appends slot=2/3\n1: tells to=2 term=2 leads_to=2/3 committed=2/2 never=-";
    forgetful().then(short).then(filled).but_not("2: recalls end=2", "when they were asked: [(2, 3)]");
    settled().but_not("2: recalls end=2", "it has lost nothing");
}
