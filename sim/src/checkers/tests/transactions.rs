//! Transactions, repetitions, and real time.

use super::Story;
use super::audits::{differs, done, fleeting, found, guarded, moved, put, replayed, story, transfer};
use crate::audit::{Account, Errand, Seen};
use crate::history::{Call, Outcome};

fn taken(revision: u64, there: Option<u64>) -> Account {
    Account::Taken { revision, there, is_replay: false }
}

#[test]
fn a_write_that_is_done_twice_is_found() {
    let again = Seen { found: Some(found("1", [1, 2, 2])), ..put(2, 0, "a", "1") };
    story()
        .sees_from(1, 1, 1, &[put(1, 0, "a", "1"), again.clone()], 2)
        .alarms("exactly-once", "1 was written to a by revision 1 and by 2");
    story().watches(1).watched(1, &[put(1, 0, "a", "1"), again]).alarms("exactly-once", "1 was written to a");
    let twice = |second| {
        story().audits(1, 1, transfer()).learns(1, 1, done(1)).audits(1, 1, transfer()).learns(1, 1, second)
    };
    twice(done(1)).alarms("exactly-once", "a repetition to");
    twice(replayed(2)).alarms("exactly-once", "a repetition to");
    twice(differs(1, None)).alarms("exactly-once", "a repetition to");
    twice(Account::Failed).passes();
    twice(replayed(1)).passes();
    let grant = || Errand::Grant { ttl_ms: 1_000 };
    let leases = |second| {
        let story = story().audits(1, 1, grant()).learns(1, 1, Account::Lives { lease: 7 });
        story.audits(1, 1, grant()).learns(1, 1, Account::Lives { lease: second })
    };
    leases(8).alarms("exactly-once", "a repetition to");
    leases(7).passes();
    let finds_its_own = |first| {
        let story = story().audits(1, 1, grant()).learns(1, 1, first);
        story.audits(1, 1, grant()).learns(1, 1, Account::LeaseTaken)
    };
    finds_its_own(Account::Unknown).alarms("exactly-once", "it was carried out twice");
    finds_its_own(Account::Lives { lease: 7 }).alarms("exactly-once", "it was carried out twice");
}

#[test]
fn a_transaction_that_is_done_in_part_or_on_other_terms_is_found() {
    let carried_out = |changes: &[Seen], revision| {
        let story = story().audits(1, 1, transfer()).learns(1, 1, done(revision));
        story.sees_from(1, 2, 1, changes, changes.last().unwrap().revision)
    };
    carried_out(&moved(), 1).passes();
    carried_out(&moved()[..1], 1).alarms("transactions", "which is");
    let third = put(1, 2, "c", "z");
    carried_out(&[moved(), vec![third]].concat(), 1).alarms("transactions", "which is");
    let before = Seen { found: Some(found("y", [1, 1, 1])), ..put(1, 0, "b", "y") };
    let rewritten = Seen { found: Some(found("x=2", [1, 2, 2])), ..put(2, 1, "b", "x=2") };
    carried_out(&[before, put(2, 0, "a", "x=1"), rewritten], 2).alarms("transactions", "and b was");
    let refused = Account::Differs { revision: 0, found: vec![None, None], is_replay: false };
    story().audits(1, 1, transfer()).learns(1, 1, refused).alarms("transactions", "all is as it expected");
}

#[test]
fn a_guarded_write_on_other_terms_is_found() {
    let tries = |seen, account| {
        story()
            .sees_from(1, 1, 1, &[put(1, 0, "g", "x")], 1)
            .audits(1, 2, guarded(seen))
            .learns(1, 2, account)
    };
    let rewritten = Seen { found: Some(found("y", [1, 2, 2])), ..put(2, 0, "g", "y") };
    let wrote = |seen| tries(seen, done(2)).sees_from(1, 3, 2, std::slice::from_ref(&rewritten), 2);
    wrote(1).passes();
    wrote(0).alarms("transactions", "and g was");
    tries(0, taken(1, Some(1))).passes();
    tries(1, taken(1, Some(1))).alarms("transactions", "though 1 wrote the key last");
    tries(0, taken(1, None)).alarms("transactions", "though 0 wrote the key last");
    tries(2, taken(1, None)).alarms("transactions", "was told that None wrote g last");
}

#[test]
fn what_was_refused_and_is_done_all_the_same_is_found() {
    let refused = |errand: Errand, account: Account, changes: &[Seen]| {
        story().audits(1, 1, errand).learns(1, 1, account).sees_from(1, 2, 1, changes, 1)
    };
    let alarms = |story: Story| story.alarms("honest-errors", "was refused, and done by revision 1");
    let differs = || {
        let found = vec![None, Some(found("y", [3, 3, 1]))];
        Account::Differs { revision: 5, found, is_replay: false }
    };
    alarms(refused(transfer(), differs(), &moved()));
    // One of its values is too many.
    alarms(refused(transfer(), differs(), &moved()[..1]));
    alarms(refused(guarded(1), taken(5, Some(3)), &[put(1, 0, "g", "y")]));
    let leased = || Errand::Leased { key: "l".to_owned(), value: "v".to_owned(), lease: 7 };
    alarms(refused(leased(), Account::NoLease, &[put(1, 0, "l", "v")]));
    refused(leased(), Account::NoLease, &[put(1, 0, "l", "w")]).passes();
    refused(transfer(), differs(), &[put(1, 0, "a", "x=0")]).passes();
}

#[test]
fn what_a_client_was_refused_and_is_done_all_the_same_is_found() {
    let swaps = |outcome: Outcome, value: &str| {
        let call = Call::Swap { from: Some("0.0".to_owned()), to: "1.0".to_owned() };
        let story = story().asks(1, 0, "a", call).hears(1, 0, outcome, None);
        story.sees_from(1, 1, 1, &[put(1, 0, "a", value)], 1)
    };
    let refused = || Outcome::Refused { at_nanoseconds: 1_000 };
    swaps(refused(), "1.0").alarms("honest-errors", "request 1.0 was answered as not done");
    swaps(Outcome::Failed, "1.0").alarms("honest-errors", "request 1.0 was answered as not done");
    swaps(Outcome::Unknown, "1.0").passes();
    swaps(refused(), "1.1").passes();
}

#[test]
fn an_order_against_real_time_is_found() {
    let after = |errand, account| {
        let story = story().audits(1, 1, transfer()).learns(1, 1, done(5));
        story.audits(2, 1, errand).learns(2, 1, account)
    };
    let alarms = |errand, account| after(errand, account).alarms("real-time", "5 had been told before");
    let list = |fresh| Errand::List { prefix: "k".to_owned(), after: None, limit: 2, revision: None, fresh };
    let listed = |revision| Account::Listed { revision, keys: Vec::new(), more: false };
    alarms(fleeting(), done(5));
    alarms(transfer(), differs(4, Some("y")));
    alarms(guarded(0), taken(4, Some(3)));
    alarms(Errand::Revoke { lease: 7 }, Account::Revoked { revision: 4 });
    alarms(list(true), listed(4));
    after(fleeting(), done(6)).passes();
    after(list(true), listed(5)).passes();
    after(list(false), listed(4)).passes();
}

#[test]
fn writes_that_overlap_may_be_done_in_any_order() {
    story()
        .audits(1, 1, transfer())
        .audits(2, 1, fleeting())
        .learns(1, 1, done(5))
        .learns(2, 1, done(4))
        .passes();
}
