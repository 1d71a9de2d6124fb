//! What is deleted, and who wanted that.

use super::Story;
use super::audits::{deleted, done, fleeting, put, story};
use super::expiries::leased;
use crate::audit::{Account, Errand, Seen};
use crate::history::{Call, Outcome};

/// A client asks for a removal, and hears this.
fn removes(story: Story, number: u32, key: &str, outcome: Outcome) -> Story {
    story.asks(1, number, key, Call::Delete).hears(1, number, outcome, None)
}

#[test]
fn what_nobody_wanted_to_be_deleted_is_found() {
    let sees =
        |story: Story, changes: &[Seen]| story.sees_from(1, 9, 1, changes, changes.last().unwrap().revision);
    let alarms = |story: Story| story.alarms("asked-deletes", "requests wanted that");
    let gone = || [put(1, 0, "a", "1"), deleted(2, "a")];
    alarms(sees(story(), &gone()));
    alarms(sees(removes(story(), 0, "b", Outcome::Unknown), &gone()));
    alarms(sees(removes(story(), 0, "a", Outcome::Failed), &gone()));
    // It turns out only later that the one request that wanted it was not done.
    let story_of_late = sees(story().asks(1, 0, "a", Call::Delete), &gone());
    alarms(story_of_late.hears(1, 0, Outcome::Failed, None));
    sees(removes(story(), 0, "a", Outcome::Unknown), &gone()).passes();
    let twice = || [put(1, 0, "a", "1"), deleted(2, "a"), put(3, 0, "a", "2"), deleted(4, "a")];
    alarms(sees(removes(story(), 0, "a", Outcome::Unknown), &twice()));
    sees(removes(removes(story(), 0, "a", Outcome::Unknown), 1, "a", Outcome::Unknown), &twice()).passes();
    // What goes by itself expires, and is not deleted.
    let written = story().audits(1, 1, fleeting()).learns(1, 1, done(1)).waits_for_ms(5_000);
    alarms(sees(written, &[put(1, 0, "f", "v"), deleted(2, "f")]));
    let watched = story().watches(1).watched(1, &[put(1, 0, "a", "1"), put(2, 0, "b", "2"), deleted(3, "a")]);
    alarms(watched);
}

#[test]
fn keys_of_a_lease_are_deleted_only_when_it_is_ended() {
    let sees = |story: Story| story.sees_from(1, 5, 2, &[deleted(2, "l")], 2);
    let revoked = |account| sees(leased().audits(1, 4, Errand::Revoke { lease: 7 }).learns(1, 4, account));
    sees(leased()).alarms("asked-deletes", "nobody has ended its lease 7");
    revoked(Account::Failed).alarms("asked-deletes", "nobody has ended its lease 7");
    revoked(Account::Unknown).passes();
    revoked(Account::Revoked { revision: 2 }).passes();
}

#[test]
fn keys_that_outlive_the_end_of_their_lease_are_found() {
    let ended = |revision| {
        leased().audits(1, 4, Errand::Revoke { lease: 7 }).learns(1, 4, Account::Revoked { revision })
    };
    ended(1).alarms("asked-deletes", "its lease 7 is ended");
    ended(2).sees_from(1, 5, 2, &[put(2, 0, "b", "1")], 2).alarms("asked-deletes", "its lease 7 is ended");
    // Nobody has seen all of what happened up to then.
    ended(3).sees_from(1, 5, 2, &[put(2, 0, "b", "1")], 2).passes();
    let again = Errand::Leased { key: "l".to_owned(), value: "w".to_owned(), lease: 7 };
    let story = ended(2).sees_from(1, 5, 2, &[deleted(2, "l")], 2).audits(1, 6, again);
    let story = story.learns(1, 6, Account::Unknown).sees_from(1, 7, 3, &[put(3, 0, "l", "w")], 3);
    story.alarms("asked-deletes", "revision 2 ended its lease");
}
