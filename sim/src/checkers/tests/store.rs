//! What auditors see and are told.

use super::Story;
use crate::audit::{Account, Errand, Found, Seen};
use crate::observe::Observation;
use crate::plan::{Fault, Plan, Scenario, Timed};

/// The past is kept this far back.
const KEPT: u64 = 20;

fn story() -> Story {
    let mut plan = Plan::new(Scenario::Swarm, 1);
    plan.faults = Vec::new();
    plan.knobs.history_revisions = KEPT;
    Story::of(&plan)
}

fn found(value: &str, numbers: [u64; 3]) -> Found {
    Found { value: value.to_owned(), numbers }
}

/// A key that was written for the first time.
fn put(revision: u64, ordinal: u32, key: &str, value: &str) -> Seen {
    let found = Some(found(value, [revision, revision, 1]));
    Seen { revision, ordinal, key: key.to_owned(), expired: false, found }
}

fn expired(revision: u64, key: &str) -> Seen {
    Seen { revision, ordinal: 0, key: key.to_owned(), expired: true, found: None }
}

fn transfer() -> Errand {
    let texts = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Errand::Transfer {
        expected: vec![("a".to_owned(), None), ("b".to_owned(), None)],
        writes: vec![texts("a", "x=1"), texts("b", "x=2")],
    }
}

fn done(revision: u64) -> Account {
    Account::Done { revision, is_replay: false }
}

fn replayed(revision: u64) -> Account {
    Account::Done { revision, is_replay: true }
}

/// All that the transfer changes, as revision 1.
fn moved() -> Vec<Seen> {
    vec![put(1, 0, "a", "x=1"), put(1, 1, "b", "x=2")]
}

impl Story {
    fn audits(self, auditor: u8, number: u64, errand: Errand) -> Self {
        self.sees(Observation::Errand { auditor, number, errand }).waits()
    }

    fn is_told(self, auditor: u8, number: u64, account: Account) -> Self {
        self.sees(Observation::Account { auditor, number, account }).waits()
    }

    /// An auditor follows, and sees this.
    fn sees_from(self, auditor: u8, number: u64, from: u64, changes: &[Seen], upto: u64) -> Self {
        let account = Account::Followed { changes: changes.to_vec(), upto };
        self.audits(auditor, number, Errand::Follow { from }).is_told(auditor, number, account)
    }

    /// An auditor reads what a key was.
    fn looks_back(self, number: u64, key: &str, revision: u64, found: Option<Found>) -> Self {
        let errand = Errand::Past { key: key.to_owned(), revision };
        self.audits(1, number, errand).is_told(1, number, Account::Was { found })
    }
}

#[test]
fn what_is_followed_read_and_repeated_agrees() {
    story()
        .audits(1, 1, transfer())
        .is_told(1, 1, done(1))
        .audits(1, 1, transfer())
        .is_told(1, 1, replayed(1))
        .sees_from(1, 2, 1, &moved(), 1)
        .sees_from(2, 1, 1, &[], 0)
        .sees_from(2, 2, 1, &moved(), 1)
        .looks_back(3, "a", 1, Some(found("x=1", [1, 1, 1])))
        .looks_back(4, "a", 0, None)
        .audits(1, 5, transfer())
        .is_told(1, 5, differs(1, Some("x=1")))
        .passes();
}

fn differs(revision: u64, first: Option<&str>) -> Account {
    let of = |value: &str| found(value, [1, 1, 1]);
    Account::Differs { revision, found: vec![first.map(of), Some(of("x=2"))], is_replay: false }
}

#[test]
fn changes_that_come_in_disorder_are_found() {
    story()
        .sees_from(1, 1, 1, &[put(2, 0, "b", "2"), put(1, 0, "a", "1")], 2)
        .alarms("store", "come out of order");
    story()
        .sees_from(1, 1, 1, &[put(1, 0, "a", "1"), put(1, 0, "a", "1")], 1)
        .alarms("store", "come out of order");
}

#[test]
fn changes_that_are_left_out_are_found() {
    story().sees_from(1, 1, 1, &[put(2, 0, "b", "2")], 2).alarms("store", "are those of the revisions [2]");
    story().sees_from(1, 1, 1, &[put(1, 0, "a", "1")], 2).alarms("store", "are those of the revisions [1]");
    story()
        .sees_from(1, 1, 1, &[put(1, 1, "a", "1")], 1)
        .alarms("store", "changes of revision 1 are left out");
    story()
        .sees_from(1, 1, 1, &moved(), 1)
        .sees_from(2, 1, 1, &moved()[..1], 1)
        .alarms("store", "another was told");
}

#[test]
fn changes_before_those_that_were_asked_for_are_found() {
    story().sees_from(1, 1, 2, &[put(1, 0, "a", "1")], 1).alarms("store", "are those of the revisions [1]");
}

#[test]
fn a_revision_with_two_contents_is_found() {
    story()
        .sees_from(1, 1, 1, &[put(1, 0, "a", "1")], 1)
        .sees_from(2, 1, 1, &[put(1, 0, "a", "other")], 1)
        .alarms("store", "another was told");
}

#[test]
fn a_write_that_is_done_twice_is_found() {
    let again = Seen { found: Some(found("1", [1, 2, 2])), ..put(2, 0, "a", "1") };
    story().sees_from(1, 1, 1, &[put(1, 0, "a", "1"), again], 2).alarms("store", "written to a twice");
    let twice = |second| {
        story().audits(1, 1, transfer()).is_told(1, 1, done(1)).audits(1, 1, transfer()).is_told(1, 1, second)
    };
    twice(done(1)).alarms("store", "anew");
    twice(replayed(2)).alarms("store", "a repetition says by 2");
    twice(differs(1, None)).alarms("store", "a repetition says that it was not");
}

#[test]
fn an_order_against_real_time_is_found() {
    let after = |errand, account| {
        let story = story().audits(1, 1, transfer()).is_told(1, 1, done(5));
        story.audits(2, 1, errand).is_told(2, 1, account)
    };
    let write = || Errand::Fleeting { key: "f".to_owned(), value: "v".to_owned(), ttl_ms: 1_000 };
    after(write(), done(5)).alarms("store", "though 5 had been told before it was asked");
    after(transfer(), differs(4, Some("y"))).alarms("store", "though 5 had been told before it was asked");
    after(write(), done(6)).passes();
}

#[test]
fn writes_that_overlap_may_be_done_in_any_order() {
    let write = Errand::Fleeting { key: "f".to_owned(), value: "v".to_owned(), ttl_ms: 1_000 };
    story()
        .audits(1, 1, transfer())
        .audits(2, 1, write)
        .is_told(1, 1, done(5))
        .is_told(2, 1, done(4))
        .passes();
}

#[test]
fn a_transaction_that_is_done_in_part_or_on_other_terms_is_found() {
    let carried_out = |changes: &[Seen], revision| {
        let story = story().audits(1, 1, transfer()).is_told(1, 1, done(revision));
        story.sees_from(1, 2, 1, changes, changes.last().unwrap().revision)
    };
    carried_out(&moved()[..1], 1).alarms("store", "which is");
    let before = Seen { found: Some(found("y", [1, 1, 1])), ..put(1, 0, "b", "y") };
    let rewritten = Seen { found: Some(found("x=2", [1, 2, 2])), ..put(2, 1, "b", "x=2") };
    carried_out(&[before, put(2, 0, "a", "x=1"), rewritten], 2).alarms("store", "took b for None");
    let refused = Account::Differs { revision: 0, found: vec![None, None], is_replay: false };
    story().audits(1, 1, transfer()).is_told(1, 1, refused).alarms("store", "all is as it expected");
}

#[test]
fn what_a_transaction_reads_beside_the_store_is_found() {
    story()
        .sees_from(1, 1, 1, &moved(), 1)
        .audits(1, 2, transfer())
        .is_told(1, 2, differs(1, Some("y")))
        .alarms("store", "a at revision 1 was read as");
}

#[test]
fn a_past_that_never_was_is_found() {
    let known = || story().sees_from(1, 1, 1, &[put(1, 0, "a", "1"), put(2, 0, "b", "2")], 2);
    known().looks_back(2, "a", 2, None).alarms("store", "a at revision 2 was read as None");
    known().looks_back(2, "a", 2, Some(found("2", [1, 1, 1]))).alarms("store", "changes say");
    known().looks_back(2, "b", 1, Some(found("2", [2, 2, 1]))).alarms("store", "that this was later");
    known().looks_back(2, "c", 2, Some(found("3", [2, 2, 1]))).alarms("store", "c at revision 2");
    let unseen = story().sees_from(1, 1, 1, &[put(1, 0, "a", "1")], 1);
    unseen.looks_back(2, "a", 3, None).passes();
}

#[test]
fn a_past_that_went_too_soon_is_found() {
    let gone =
        |errand, oldest, newest| story().audits(1, 1, errand).is_told(1, 1, Account::Gone { oldest, newest });
    let past = |revision| Errand::Past { key: "a".to_owned(), revision };
    gone(past(4), 5, 5 + KEPT - 1).alarms("store", "can't be read");
    gone(past(4), 4, 4 + KEPT).alarms("store", "can't be read");
    gone(Errand::Follow { from: 5 }, 5, 5 + KEPT - 1).alarms("store", "can't be read");
    gone(Errand::Follow { from: 6 }, 5, 5 + KEPT).alarms("store", "can't be read");
    gone(past(4), 5, 5 + KEPT).passes();
    gone(past(40), 5, 39).passes();
    let full = Timed { at_ms: 0, fault: Fault::FullDisk { host: 1, spare_bytes: 0, for_ms: 1 } };
    let story = Story::under(&[full]).audits(1, 1, past(4));
    story.is_told(1, 1, Account::Gone { oldest: 5, newest: 5 }).passes();
}

/// A key that lives for a second is written, and somebody sees it gone so many milliseconds later.
fn gone_after_ms(story: Story, milliseconds: u64) -> Story {
    let write = Errand::Fleeting { key: "f".to_owned(), value: "v".to_owned(), ttl_ms: 1_000 };
    let story =
        story.audits(1, 1, write).is_told(1, 1, done(1)).sees_from(1, 2, 1, &[put(1, 0, "f", "v")], 1);
    story.waits_for_ms(milliseconds).sees_from(1, 3, 2, &[expired(2, "f")], 2)
}

#[test]
fn what_expires_early_is_found() {
    gone_after_ms(story(), 900).alarms("store", "f has expired after");
    // Clocks may run five in a hundred fast.
    gone_after_ms(story(), 960).passes();
    gone_after_ms(story(), 5_000).passes();
    let drift = Timed { at_ms: 0, fault: Fault::ClockDrift { host: 1, per_mille: 500, for_ms: 1 } };
    gone_after_ms(Story::under(&[drift]), 700).passes();
}

#[test]
fn what_was_to_stay_and_what_was_not_there_does_not_expire() {
    story()
        .sees_from(1, 1, 1, &[put(1, 0, "a", "1"), expired(2, "a")], 2)
        .alarms("store", "which was to stay");
    story().sees_from(1, 1, 1, &[expired(1, "a")], 1).alarms("store", "which was not there");
}

#[test]
fn a_lease_that_was_kept_alive_keeps_its_keys() {
    let kept = |milliseconds| {
        let put_with = Errand::Leased { key: "l".to_owned(), value: "v".to_owned(), lease: 7 };
        story()
            .audits(1, 1, Errand::Grant { lease: 7, ttl_ms: 1_000 })
            .is_told(1, 1, Account::Lives)
            .audits(1, 2, put_with)
            .is_told(1, 2, done(1))
            .sees_from(1, 3, 1, &[put(1, 0, "l", "v")], 1)
            .waits_for_ms(800)
            .audits(1, 4, Errand::KeepAlive { lease: 7 })
            .is_told(1, 4, Account::Lives)
            .waits_for_ms(milliseconds)
            .sees_from(1, 5, 2, &[expired(2, "l")], 2)
    };
    kept(400).alarms("store", "l has expired after");
    kept(1_000).passes();
}
