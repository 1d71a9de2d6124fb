//! Who may ask, run, vote and lead.

use super::{Trace, elected, followed, founded, settled};

/// Server 2 has a log and leads nobody any more: it ran in term 3 when server 1 had told it to, and lost.
const HANDED_OVER: &str = "
    1: hands to=2 term=2
    2: campaigns term=3 transfer=yes
    2: writes id=3 term=3 vote=2
    2: written id=3";

/// Server 1 runs in term 2: server 2 would vote for it.
fn runs() -> Trace {
    founded().then(
        "1: asks to=2 term=2 last=1/1
        2: would to=1 term=2
        1: counts asking=yes votes=1,2
        1: campaigns term=2 transfer=no",
    )
}

#[test]
fn a_term_is_entered_upwards_and_only_when_somebody_has_begun_it() {
    elected().then("3: enters term=2");
    elected().but_not("2: enters term=2", "term 2 is not above 2");
    elected().but_not("3: enters term=3", "nobody has begun term 3");
}

/// little-raft#44: a vote counts in its own term. nebula#3415: so does a candidate's own, when it is durable.
#[test]
fn a_vote_that_was_not_said_does_not_count() {
    founded().but_not("1: counts asking=yes votes=2,1", "2 has not said yes to it in term 2");
    runs().but_not("1: counts asking=no votes=1", "1 has not said yes to it in term 2, durably");
    runs()
        .then("1: writes id=1 term=2 vote=1\n1: written id=1")
        .but_not("1: counts asking=no votes=1,2", "2 has not said yes to it in term 2");
    settled()
        .then(HANDED_OVER)
        .but_not("2: counts asking=no votes=2,1", "1 has not said yes to it in term 3");
}

#[test]
fn who_runs_has_asked_a_majority_or_was_told_to() {
    settled().then(HANDED_OVER);
    founded().but_not("1: campaigns term=2 transfer=no", "it has counted no such votes");
    founded()
        .then("1: counts asking=yes votes=1")
        .but_not("1: campaigns term=2 transfer=no", "the votes [1] are no majority");
    settled().but_not("2: campaigns term=3 transfer=yes", "no leader of its term told it to run");
    settled()
        .then("1: hands to=2 term=2\n2: loses slot=2/2")
        .but_not("2: campaigns term=3 transfer=yes", "it has lost what it would need as a leader");
    settled().but_not("1: campaigns term=3 transfer=no", "it leads");
    founded()
        .then("1: counts asking=yes votes=1")
        .but_not("1: campaigns term=3 transfer=no", "term 3 is not the one after 1");
}

/// redpanda#8495.
#[test]
fn who_does_not_vote_does_not_run() {
    founded().but_not("2: asks to=1 term=1 last=0/0", "it votes in no configuration");
    founded()
        .then("2: counts asking=yes votes=2")
        .but_not("2: campaigns term=1 transfer=no", "it votes in no configuration");
}

#[test]
fn one_vote_a_term() {
    let runs = "
        2: asks to=3 term=3 last=2/2
        3: would to=2 term=3
        2: counts asking=yes votes=2,3
        2: campaigns term=3 transfer=no";
    settled().then(runs).but_not("2: votes candidate=2", "its vote in term 3 is given");
    settled().but_not("1: votes candidate=1", "it leads");
    settled().then("3: enters term=2").but_not("3: votes candidate=2", "2 does not run in term 2");
}

/// openraft a48a3282: terms are compared before indices.
#[test]
fn a_vote_goes_to_no_older_log() {
    // Server 1 comes back without what it had not written, and runs with a log that is behind.
    let behind = "
        1: opens term=2 vote=1 runs=1/1 last=1 configurations=0/0:-|-|-;1/1:1,2,3|-|-
        3: would to=1 term=3
        1: counts asking=yes votes=1,3
        1: campaigns term=3 transfer=no
        2: enters term=3";
    let story = |asks: &str| elected().then(asks).then(behind);
    let asks = "1: resigns term=2\n1: asks to=3 term=3 last=2/2";
    story(asks).then("3: enters term=3\n3: votes candidate=1");
    let ahead = "
        2: follows leader=1
        2: configures slot=1/1 configuration=1,2,3|-|-
        2: appends slot=2/2";
    elected()
        .then(ahead)
        .then(asks)
        .then(behind)
        .but_not("2: votes candidate=1", "1's log ends at Slot { term: 1, index: 1 }");
}

#[test]
fn who_leads_has_run_and_won_alone() {
    settled().but_not("1: leads term=2", "it does not run in this term");
    let ran = || runs().then("1: writes id=1 term=2 vote=1\n1: written id=1");
    ran().but_not("1: leads term=2", "it has counted no such votes");
    // xraft#27: an answer that comes twice is one.
    ran().then("1: counts asking=no votes=1").but_not("1: leads term=2", "the votes [1] are no majority");
    ran().then("1: counts asking=no votes=1").but_not("1: leads term=3", "it is in term 2");
}

#[test]
fn who_yields_has_run_and_wins_no_more() {
    founded().but_not("1: yields term=1", "it does not run in this term");
    runs().but_not("1: yields term=1", "it does not run in this term");
    let won = "1: writes id=1 term=2 vote=1\n1: written id=1\n1: counts asking=no votes=1";
    runs().then("1: yields term=2").then(won).but_not("1: leads term=2", "it does not run in this term");
    settled().but_not("1: yields term=2", "it does not run in this term");
}

#[test]
fn only_who_was_elected_is_followed() {
    settled().then("2: follows leader=1").but_not("2: follows leader=3", "3 was not elected in term 2");
    settled().but_not("1: follows leader=2", "it leads");
    settled().but_not("2: resigns term=2", "it does not lead");
}

#[test]
fn what_is_asked_and_answered_before_an_election() {
    founded().but_not("1: asks to=2 term=3 last=1/1", "it asks about 3 in term 1");
    founded().but_not("1: asks to=2 term=2 last=1/2", "its log ends at Slot { term: 1, index: 1 }");
    settled().but_not("1: asks to=2 term=3 last=2/2", "it leads");
    founded().but_not("2: would to=1 term=2", "1 has not asked");
    let asked = "3: opens\n2: asks to=1 term=3 last=2/2";
    settled().then(asked).but_not("1: would to=2 term=3", "it leads");
    settled()
        .then("2: asks to=3 term=3 last=2/2\n3: enters term=2\n3: would to=2 term=3")
        .but_not("3: would to=2 term=2", "it is in term 2 already");
    // A follower that is ahead helps nobody who is behind.
    let behind = "1: resigns term=2\n2: asks to=1 term=3 last=2/2";
    followed()
        .then("1: appends slot=2/3")
        .then(behind)
        .but_not("1: would to=2 term=3", "its own at Slot { term: 2, index: 3 }");
}

#[test]
fn calls_and_grants_are_said_of_ones_own_vote() {
    settled().then(HANDED_OVER).then("2: calls to=3 term=3 last=2/2");
    settled().then(HANDED_OVER).but_not("2: calls to=3 term=3 last=2/3", "it ran with a log that ends at");
    settled().but_not("2: calls to=3 term=2 last=2/2", "its vote is Some(1)");
    settled().but_not("2: grants to=3 term=2", "its vote is Some(1)");
}
