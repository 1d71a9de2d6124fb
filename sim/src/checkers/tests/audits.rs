//! Auditors in stories: what they ask, and what they are told.

use super::Story;
use crate::audit::{Account, BEHIND_ALL, Errand, Found, Seen, Watched};
use crate::observe::Observation;
use crate::plan::{Plan, Scenario};

/// The past is kept this far back.
pub(super) const KEPT: u64 = 20;

/// A story without faults whose store keeps little of the past.
pub(super) fn story() -> Story {
    let mut plan = Plan::new(Scenario::Swarm, 1);
    plan.faults = Vec::new();
    plan.knobs.history_revisions = KEPT;
    Story::of(&plan)
}

pub(super) fn found(value: &str, numbers: [u64; 3]) -> Found {
    let [created_at, written_at, version] = numbers;
    Found { value: value.to_owned(), written_at, since: Some((created_at, version)) }
}

/// A key that was written for the first time.
pub(super) fn put(revision: u64, ordinal: u32, key: &str, value: &str) -> Seen {
    let found = Some(found(value, [revision, revision, 1]));
    Seen { revision, ordinal, key: key.to_owned(), expired: false, found, previous: None }
}

pub(super) fn expired(revision: u64, key: &str) -> Seen {
    Seen { expired: true, ..deleted(revision, key) }
}

pub(super) fn deleted(revision: u64, key: &str) -> Seen {
    Seen { revision, ordinal: 0, key: key.to_owned(), expired: false, found: None, previous: None }
}

pub(super) fn transfer() -> Errand {
    let texts = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Errand::Transfer {
        expected: vec![("a".to_owned(), None), ("b".to_owned(), None)],
        writes: vec![texts("a", "x=1"), texts("b", "x=2")],
    }
}

/// All that the transfer changes, as revision 1.
pub(super) fn moved() -> Vec<Seen> {
    vec![put(1, 0, "a", "x=1"), put(1, 1, "b", "x=2")]
}

pub(super) fn fleeting() -> Errand {
    Errand::Fleeting { key: "f".to_owned(), value: "v".to_owned(), ttl_ms: 1_000 }
}

pub(super) fn guarded(seen: u64) -> Errand {
    Errand::Guarded { key: "g".to_owned(), value: "y".to_owned(), seen }
}

pub(super) fn done(revision: u64) -> Account {
    Account::Done { revision, is_replay: false }
}

pub(super) fn replayed(revision: u64) -> Account {
    Account::Done { revision, is_replay: true }
}

pub(super) fn differs(revision: u64, first: Option<&str>) -> Account {
    let of = |value: &str| found(value, [1, 1, 1]);
    Account::Differs { revision, found: vec![first.map(of), Some(of("x=2"))], is_replay: false }
}

impl Story {
    pub(super) fn audits(self, auditor: u8, number: u64, errand: Errand) -> Self {
        self.sees(Observation::Errand { auditor, number, errand }).waits()
    }

    pub(super) fn learns(self, auditor: u8, number: u64, account: Account) -> Self {
        self.sees(Observation::Account { auditor, number, account }).waits()
    }

    /// An auditor follows, and sees this.
    pub(super) fn sees_from(self, auditor: u8, number: u64, from: u64, changes: &[Seen], upto: u64) -> Self {
        let account = Account::Followed { changes: changes.to_vec(), upto };
        self.audits(auditor, number, Errand::Follow { from }).learns(auditor, number, account)
    }

    /// A watch of everything from the beginning on.
    pub(super) fn watches(self, auditor: u8) -> Self {
        self.audits(auditor, 1, Errand::Watch { after: (0, BEHIND_ALL), watched: Watched::all() })
    }

    /// What a watch sees next.
    pub(super) fn watched(self, auditor: u8, changes: &[Seen]) -> Self {
        changes.iter().fold(self, |story, seen| story.learns(auditor, 1, Account::Saw(seen.clone())))
    }

    /// An auditor reads what a key was.
    pub(super) fn looks_back(self, number: u64, key: &str, revision: u64, found: Option<Found>) -> Self {
        let errand = Errand::Past { key: key.to_owned(), revision };
        self.audits(1, number, errand).learns(1, number, Account::Was { found })
    }
}

#[test]
fn what_is_followed_watched_read_and_repeated_agrees() {
    let Errand::Transfer { expected, .. } = transfer() else { panic!("a transfer is one") };
    let writes = expected.iter().map(|(key, _)| (key.clone(), "y=3".to_owned())).collect();
    let another = Errand::Transfer { expected, writes };
    story()
        .audits(1, 1, transfer())
        .learns(1, 1, done(1))
        .audits(1, 1, transfer())
        .learns(1, 1, replayed(1))
        .sees_from(1, 2, 1, &moved(), 1)
        .sees_from(2, 1, 1, &[], 0)
        .sees_from(2, 2, 1, &moved(), 1)
        .watches(3)
        .watched(3, &moved())
        .looks_back(3, "a", 1, Some(found("x=1", [1, 1, 1])))
        .looks_back(4, "a", 0, None)
        .audits(1, 5, another)
        .learns(1, 5, differs(1, Some("x=1")))
        .passes();
}
