//! Writes, and what a crash leaves of them.

use super::{Trace, elected, followed, founded, settled};

/// What server 2 starts on when it has forgotten nothing.
const BACK: &str = "2: opens term=2 vote=1 runs=1/1,2/2 last=2 configurations=0/0:-|-|-;1/1:1,2,3|-|-";

#[test]
fn a_write_has_what_has_changed() {
    let written = || elected().then("1: writes id=2 first=2/2 last=2/2");
    written().but_not("1: writes id=2", "the write before is 2");
    written().then("1: writes id=3");
    elected().but_not("1: writes id=2", "after this write the disk's does at Slot { term: 1, index: 1 }");
    elected().but_not("1: writes id=2 first=2/2 last=2/3", "its log has Some(Slot { term: 2, index: 2 })");
    elected().but_not("1: writes id=2 install=1/1 first=2/2 last=2/2", "it is to install None");
    elected().but_not("1: writes id=2 truncate=1 first=2/2 last=2/2", "the disk's does at");
    written().but_not("1: written id=3", "the last write is 2");
}

/// nebula#3415: a candidate that does not record its vote.
#[test]
fn a_write_has_the_term_and_vote_when_they_changed() {
    let voted = || elected().then("1: resigns term=2\n3: enters term=2\n3: votes candidate=1");
    voted().then("3: writes id=1 term=2 vote=1");
    voted().but_not("3: writes id=1 term=2 vote=-", "its term and vote are Hard { term: 2, vote: Some(1) }");
    voted().but_not("3: writes id=1", "its term and vote are Hard { term: 2, vote: Some(1) }");
}

#[test]
fn what_is_durable_is_found_again() {
    followed().then(BACK);
    let without = "2: opens term=2 vote=1 runs=1/1 last=1 configurations=0/0:-|-|-;1/1:1,2,3|-|-";
    followed().but_not(without, "nothing that its disk was told leaves this");
    followed().but_not(&BACK.replace("vote=1", "vote=-"), "its term and vote were to be among");
    followed().but_not(&BACK.replace("term=2", "term=1"), "its term and vote were to be among");
    followed().but_not(&BACK.replace("2/2 last=2", "2/2 last=3"), "nothing that its disk was told");
    // Or its loss is told.
    followed().then(&format!("{without} unknown=2"));
    followed().then(&format!("{BACK} damaged=2/2"));
}

#[test]
fn of_a_write_under_way_a_crash_leaves_all_or_the_beginning_or_nothing() {
    let underway = || {
        followed().then(
            "1: appends slot=2/3
            1: appends slot=2/4
            2: appends slot=2/3
            2: appends slot=2/4
            2: writes id=3 first=2/3 last=2/4",
        )
    };
    let back = |last: u64| BACK.replace("last=2", &format!("last={last}"));
    for last in 2..=4 {
        underway().then(&back(last));
    }
    underway().but_not(&back(5), "nothing that its disk was told leaves this");
}

/// Server 2 follows server 3 of term 3, whose entry takes the place of one that it has.
fn replacing(written: bool) -> Trace {
    let lost = "
        1: appends slot=2/3
        2: appends slot=2/3
        2: writes id=3 first=2/3 last=2/3
        2: written id=3
        3: enters term=2
        3: follows leader=1
        3: configures slot=1/1 configuration=1,2,3|-|-
        3: appends slot=2/2
        1: opens term=2 vote=1 runs=1/1,2/2 last=2 commit=2 configurations=0/0:-|-|-;1/1:1,2,3|-|-
        3: asks to=1 term=3 last=2/2
        1: would to=3 term=3
        3: counts asking=yes votes=3,1
        3: campaigns term=3 transfer=no
        3: writes id=1 term=3 vote=3 first=1/1 last=2/2
        3: written id=1
        1: enters term=3
        1: votes candidate=3
        1: writes id=1 term=3 vote=3
        1: written id=1
        1: grants to=3 term=3
        3: counts asking=no votes=3,1
        3: leads term=3
        3: appends slot=3/3
        2: enters term=3
        2: follows leader=3
        2: truncates from=3
        2: appends slot=3/3
        2: writes id=4 term=3 vote=- truncate=3 first=3/3 last=3/3";
    let trace = settled().then(lost);
    if written { trace.then("2: written id=4") } else { trace }
}

/// openraft 9540c904: what is dropped and what takes its place are one.
#[test]
fn what_is_dropped_is_there_until_something_else_is() {
    let old = "2: opens term=2 vote=1 runs=1/1,2/2 last=3 configurations=0/0:-|-|-;1/1:1,2,3|-|-";
    let new = "2: opens term=3 runs=1/1,2/2,3/3 last=3 configurations=0/0:-|-|-;1/1:1,2,3|-|-";
    let neither = "2: opens term=3 runs=1/1,2/2 last=2 configurations=0/0:-|-|-;1/1:1,2,3|-|-";
    replacing(false).then(old);
    replacing(false).then(&old.replace("term=2 vote=1", "term=3 vote=-"));
    replacing(false).then(new);
    replacing(false).but_not(neither, "nothing that its disk was told leaves this");
    // The term is durable before any entry of it is.
    replacing(false).but_not(&new.replace("term=3", "term=2 vote=1"), "its term and vote were to be among");
    replacing(true).but_not(old, "nothing that its disk was told leaves this");
    replacing(true).then(new);
}

#[test]
fn one_server_founds_and_others_begin_with_nothing() {
    founded().but_not("4: opens term=1 runs=1/1 last=1", "it starts with a log that nobody gave it");
    founded().but_not("4: opens term=1", "it has never written");
    founded().but_not("4: opens commit=1", "it has never written");
    founded().but_not(
        "4: opens configurations=0/0:-|-|-;1/2:1,2|-|-",
        "the configuration of Slot { term: 1, index: 2 } is None",
    );
}

#[test]
fn a_start_knows_no_more_than_the_server_did() {
    followed().but_not(&format!("{BACK} commit=2"), "it knew of nothing committed above 0");
    settled().then("2: learns index=2").then(&format!("{BACK} commit=2"));
    followed().but_not(&format!("{BACK} snapshot=2/2"), "its checkpoint is not committed");
    let other = BACK.replace("1/1:1,2,3", "1/1:1,2");
    followed().but_not(&other, "the configuration of Slot { term: 1, index: 1 } is Some");
    let none = BACK.replace(";1/1:1,2,3|-|-", "");
    followed().but_not(&none, "the last configuration of its log is that of Slot { term: 1, index: 1 }");
}
