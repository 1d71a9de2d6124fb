//! What goes by itself.

use super::Story;
use super::audits::{done, expired, fleeting, put, story};
use crate::audit::{Account, Errand};
use crate::plan::{Fault, Timed};

/// A key that lives for a second is written, and somebody sees it gone so many milliseconds later.
fn gone_after_ms(story: Story, milliseconds: u64) -> Story {
    let story = story.audits(1, 1, fleeting()).learns(1, 1, done(1));
    let story = story.sees_from(1, 2, 1, &[put(1, 0, "f", "v")], 1);
    story.waits_for_ms(milliseconds).sees_from(1, 3, 2, &[expired(2, "f")], 2)
}

#[test]
fn what_expires_early_is_found() {
    gone_after_ms(story(), 900).alarms("early-expiry", "it is over after");
    // Clocks may run five in a hundred fast.
    gone_after_ms(story(), 960).passes();
    gone_after_ms(story(), 5_000).passes();
    let drift = Timed { at_ms: 0, fault: Fault::ClockDrift { host: 1, per_mille: 500, for_ms: 1 } };
    gone_after_ms(Story::under(&[drift]), 700).passes();
}

#[test]
fn what_counts_is_when_it_went_and_not_when_somebody_saw_it() {
    let went = |milliseconds, revision| {
        let story = story().audits(1, 1, fleeting()).learns(1, 1, done(1)).applies(1, 1, 1, 1);
        let story = story.sees_from(1, 2, 1, &[put(1, 0, "f", "v")], 1).waits_for_ms(milliseconds);
        let story = story.applies(1, 2, 2, revision).waits_for_ms(5_000).applies(2, 2, 2, revision);
        story.sees_from(1, 3, 2, &[expired(2, "f")], 2)
    };
    went(900, 2).alarms("early-expiry", "it is over after 900 ms of 1000");
    // By then a server had come even further.
    went(900, 3).alarms("early-expiry", "it is over after 900 ms of 1000");
    went(960, 2).passes();
    // At that time nothing had gone yet.
    went(900, 1).passes();
}

#[test]
fn a_watch_that_sees_it_go_tells_as_much() {
    let seen_after_ms = |milliseconds| {
        let story = story().audits(1, 2, fleeting()).learns(1, 2, done(1)).watches(3);
        let story = story.watched(3, &[put(1, 0, "f", "v")]).waits_for_ms(milliseconds);
        // Only with the next revision it is known that nothing of the first was left out.
        story.watched(3, &[put(2, 0, "g", "w"), expired(3, "f")])
    };
    seen_after_ms(900).alarms("early-expiry", "it is over after");
    seen_after_ms(960).passes();
}

#[test]
fn what_was_to_stay_and_what_was_not_there_does_not_expire() {
    story()
        .sees_from(1, 1, 1, &[put(1, 0, "a", "1"), expired(2, "a")], 2)
        .alarms("early-expiry", "it was to stay");
    story().sees_from(1, 1, 1, &[expired(1, "a")], 1).alarms("early-expiry", "was not there before");
}

/// A lease of a second, and a key that goes with it, by revision 1.
pub(super) fn leased() -> Story {
    let put_with = Errand::Leased { key: "l".to_owned(), value: "v".to_owned(), lease: 7 };
    story()
        .audits(1, 1, Errand::Grant { ttl_ms: 1_000 })
        .learns(1, 1, Account::Lives { lease: 7 })
        .audits(1, 2, put_with)
        .learns(1, 2, done(1))
        .sees_from(1, 3, 1, &[put(1, 0, "l", "v")], 1)
}

#[test]
fn a_lease_that_was_kept_alive_keeps_its_keys() {
    let kept = |milliseconds| {
        leased()
            .waits_for_ms(800)
            .audits(1, 4, Errand::KeepAlive { lease: 7 })
            .learns(1, 4, Account::Lives { lease: 7 })
            .waits_for_ms(milliseconds)
            .sees_from(1, 5, 2, &[expired(2, "l")], 2)
    };
    kept(400).alarms("early-expiry", "it is over after");
    kept(1_000).passes();
}

#[test]
fn a_lease_that_is_gone_too_soon_is_found() {
    let gone = |milliseconds| {
        let story = leased().waits_for_ms(milliseconds).audits(1, 4, Errand::KeepAlive { lease: 7 });
        story.learns(1, 4, Account::NoLease)
    };
    gone(500).alarms("early-expiry", "it is over after");
    gone(1_000).passes();
}

#[test]
fn a_lease_that_somebody_would_have_ended_goes_no_earlier() {
    let revoked = |account| leased().audits(1, 4, Errand::Revoke { lease: 7 }).learns(1, 4, account);
    revoked(Account::NoLease).alarms("early-expiry", "it is over after");
    let keeps_alive =
        |story: Story| story.audits(1, 5, Errand::KeepAlive { lease: 7 }).learns(1, 5, Account::NoLease);
    keeps_alive(revoked(Account::Failed)).alarms("early-expiry", "it is over after");
    keeps_alive(revoked(Account::Unknown)).passes();
    let expires = |story: Story| story.sees_from(1, 5, 2, &[expired(2, "l")], 2);
    expires(revoked(Account::Unknown)).alarms("early-expiry", "it is over after");
}
