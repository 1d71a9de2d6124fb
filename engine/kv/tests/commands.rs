//! What each command does, one case at a time.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use quorate_kv::{
    Action, ClusterTime, Command, Compacted, Compare, EventKind, Expiry, Kv, LeaseId, Once, Op, OpResult,
    Operand, Order, Outcome, Put, REMEMBERED_MS, Relation, Revision, Settings, Txn,
};

fn put(key: &str, value: &str) -> Command {
    at(0, Action::Put(Put::for_good(shared(key), shared(value))))
}

fn delete(key: &str) -> Command {
    at(0, Action::Delete { key: shared(key) })
}

fn import(entries: &[(&str, &str)]) -> Command {
    let shared = |text: &str| Arc::from(text.as_bytes());
    at(
        0,
        Action::Import { entries: entries.iter().map(|(key, value)| (shared(key), shared(value))).collect() },
    )
}

fn value<'a>(kv: &'a Kv, key: &str) -> Option<&'a [u8]> {
    kv.get(key.as_bytes()).map(|entry| &*entry.value)
}

/// The seed's TestGetSetDelete.
#[test]
fn test_get_set_delete() {
    let mut kv = Kv::new();
    assert_eq!(value(&kv, "key"), None);
    assert_eq!(kv.apply(&put("key", "value")).outcome, Outcome::Put { revision: Revision(1) });
    assert_eq!(value(&kv, "key"), Some(b"value".as_slice()));
    assert_eq!(kv.apply(&delete("key")).outcome, Outcome::Deleted { count: 1, revision: Revision(2) });
    assert_eq!(value(&kv, "key"), None);
}

/// The seed's TestGet: key1, key2 and key4 are there, key3 is missing.
#[test]
fn test_get() {
    let mut kv = Kv::new();
    kv.apply(&import(&[("key1", "value1"), ("key2", "value2"), ("key4", "")]));
    assert_eq!(value(&kv, "key1"), Some(b"value1".as_slice()));
    assert_eq!(value(&kv, "key2"), Some(b"value2".as_slice()));
    assert_eq!(value(&kv, "key3"), None);
    assert_eq!(value(&kv, "key4"), Some(b"".as_slice()));
}

#[test]
fn a_key_remembers_its_creation_its_last_write_and_how_often() {
    let mut kv = Kv::new();
    for command in [put("a", "1"), put("b", "1"), put("a", "2"), put("a", "3")] {
        kv.apply(&command);
    }
    let entry = kv.get(b"a").unwrap();
    assert_eq!((entry.create_revision, entry.mod_revision, entry.version), (Revision(1), Revision(4), 3));
    kv.apply(&delete("a"));
    kv.apply(&put("a", "again"));
    let entry = kv.get(b"a").unwrap();
    assert_eq!((entry.create_revision, entry.mod_revision, entry.version), (Revision(6), Revision(6), 1));
}

#[test]
fn what_changes_nothing_does_not_raise_the_revision() {
    let mut kv = Kv::new();
    kv.apply(&put("a", "1"));
    let before = kv.clone();
    assert_eq!(kv.apply(&delete("b")).outcome, Outcome::Deleted { count: 0, revision: Revision(1) });
    assert_eq!(kv.apply(&import(&[])).outcome, Outcome::Imported { count: 0, revision: Revision(1) });
    assert_eq!(kv, before);
}

#[test]
fn an_import_is_one_revision_and_the_last_of_a_key_counts() {
    let mut kv = Kv::new();
    kv.apply(&put("a", "old"));
    let outcome = kv.apply(&import(&[("b", "1"), ("a", "2"), ("b", "3"), ("a", "4")])).outcome;
    assert_eq!(outcome, Outcome::Imported { count: 2, revision: Revision(2) });
    assert_eq!((value(&kv, "a"), value(&kv, "b")), (Some(b"4".as_slice()), Some(b"3".as_slice())));
    let versions: Vec<u64> = kv.range(b"", None).map(|(_, entry)| entry.version).collect();
    assert_eq!(versions, [2, 1]);
}

#[test]
fn a_range_is_half_open_and_may_be_empty() {
    let mut kv = Kv::new();
    kv.apply(&import(&[("a", ""), ("b", ""), ("ba", ""), ("c", "")]));
    let keys = |start: &str, end: Option<&str>| -> Vec<Vec<u8>> {
        kv.range(start.as_bytes(), end.map(str::as_bytes)).map(|(key, _)| key.to_vec()).collect()
    };
    assert_eq!(keys("b", Some("c")), vec![b"b".to_vec(), b"ba".to_vec()]);
    assert_eq!(keys("bb", None), vec![b"c".to_vec()]);
    assert!(keys("b", Some("b")).is_empty());
    assert!(keys("c", Some("a")).is_empty());
}

#[test]
fn live_bytes_are_those_of_keys_and_values() {
    let mut kv = Kv::new();
    kv.apply(&put("key", "value"));
    kv.apply(&put("key", "longer value"));
    assert_eq!((kv.live_bytes(), kv.len()), (15, 1));
    kv.apply(&delete("key"));
    assert_eq!((kv.live_bytes(), kv.is_empty()), (0, true));
}

fn shared(text: &str) -> Arc<[u8]> {
    Arc::from(text.as_bytes())
}

fn at(time: u64, action: Action) -> Command {
    Command::Order(Order { time: ClusterTime(time), once: None, forgets_past: false, action })
}

fn once(time: u64, key: &str, request: u8, action: Action) -> Command {
    let once = Once { principal: shared("who"), key: shared(key), request: [request; 32] };
    Command::Order(Order { time: ClusterTime(time), once: Some(once), forgets_past: false, action })
}

fn write(key: &str, expiry: Expiry) -> Action {
    Action::Put(Put { key: shared(key), value: shared("v"), expiry })
}

fn grant(lease: u64, ttl_ms: u64) -> Action {
    Action::Grant { lease: LeaseId(lease), ttl_ms }
}

fn after(ttl_ms: u64) -> Expiry {
    Expiry::After { ttl_ms }
}

fn with(lease: u64) -> Expiry {
    Expiry::With(LeaseId(lease))
}

fn all(commands: &[Command]) -> Kv {
    let mut kv = Kv::new();
    commands.iter().for_each(|command| drop(kv.apply(command)));
    kv
}

#[test]
fn a_key_goes_when_its_time_is_over_and_not_before() {
    let mut kv = all(&[at(100, write("a", after(50)))]);
    kv.apply(&at(149, Action::Tick));
    assert_eq!((value(&kv, "a"), kv.next_end()), (Some(b"v".as_slice()), Some(ClusterTime(150))));
    kv.apply(&at(150, Action::Tick));
    assert_eq!((value(&kv, "a"), kv.next_end(), kv.revision()), (None, None, Revision(2)));
    let change = kv.changes(Revision(2)).unwrap().next().unwrap();
    assert_eq!((change.kind, change.entry, change.previous.unwrap().version), (EventKind::Expired, None, 1));
}

#[test]
fn a_stamp_that_is_behind_means_nothing() {
    let kv = all(&[at(100, Action::Tick), at(10, write("a", after(50)))]);
    assert_eq!((kv.time(), kv.next_end()), (ClusterTime(100), Some(ClusterTime(150))));
}

#[test]
fn a_write_says_anew_when_its_key_goes() {
    let mut kv = all(&[at(0, write("a", after(5))), at(1, write("a", Expiry::Never)), at(9, Action::Tick)]);
    assert!(value(&kv, "a").is_some());
    kv.apply(&at(9, write("a", after(5))));
    kv.apply(&put("a", "unstamped"));
    kv.apply(&at(99, Action::Tick));
    assert!(value(&kv, "a").is_some());
}

#[test]
fn what_is_due_goes_before_the_action_and_under_a_revision_of_its_own() {
    let mut kv = all(&[at(0, write("a", after(5))), at(0, write("b", after(5)))]);
    let outcome = kv.apply(&at(5, Action::Delete { key: shared("a") })).outcome;
    assert_eq!(outcome, Outcome::Deleted { count: 0, revision: Revision(3) });
    kv.apply(&at(5, write("a", after(5))));
    let outcome = kv.apply(&at(10, write("a", Expiry::Never))).outcome;
    assert_eq!(outcome, Outcome::Put { revision: Revision(6) });
    assert_eq!(kv.get(b"a").unwrap().version, 1);
}

#[test]
fn a_command_lets_256_go_and_the_next_the_others() {
    let mut kv = all(&[at(0, grant(1, 5))]);
    (0..300).for_each(|number| drop(kv.apply(&at(0, write(&format!("{number}"), with(1))))));
    kv.apply(&at(5, Action::Tick));
    assert_eq!((kv.len(), kv.leases(), kv.lease(LeaseId(1))), (44, 1, None));
    // It has ended, though it still has keys.
    let not_found = Outcome::LeaseNotFound { lease: LeaseId(1) };
    let mut other = kv.clone();
    assert_eq!(other.apply(&at(5, grant(1, 5))).outcome, Outcome::Lease { lease: LeaseId(1), ttl_ms: 5 });
    assert_eq!(kv.apply(&at(5, Action::KeepAlive { lease: LeaseId(1) })).outcome, not_found);
    assert_eq!((kv.len(), kv.leases(), kv.revision()), (0, 0, Revision(302)));
}

#[test]
fn a_lease_that_is_kept_alive_keeps_its_keys() {
    let mut kv = all(&[at(0, grant(1, 10)), at(1, write("a", with(1)))]);
    let keep = Action::KeepAlive { lease: LeaseId(1) };
    assert_eq!(kv.apply(&at(9, keep.clone())).outcome, Outcome::Lease { lease: LeaseId(1), ttl_ms: 10 });
    kv.apply(&at(18, Action::Tick));
    assert!(value(&kv, "a").is_some());
    assert_eq!(kv.apply(&at(19, keep)).outcome, Outcome::LeaseNotFound { lease: LeaseId(1) });
    assert_eq!((value(&kv, "a"), kv.leases()), (None, 0));
}

#[test]
fn a_key_goes_with_the_lease_of_its_latest_write() {
    let mut kv = all(&[at(0, grant(1, 99)), at(0, grant(2, 99))]);
    kv.apply(&at(0, write("a", with(1))));
    kv.apply(&at(0, write("b", with(1))));
    kv.apply(&at(0, write("a", with(2))));
    let revoke = |lease| at(0, Action::Revoke { lease: LeaseId(lease) });
    let revision = Revision(4);
    assert_eq!(kv.apply(&revoke(1)).outcome, Outcome::Revoked { count: 1, revision });
    assert_eq!((value(&kv, "a"), value(&kv, "b")), (Some(b"v".as_slice()), None));
    assert_eq!(kv.apply(&revoke(1)).outcome, Outcome::LeaseNotFound { lease: LeaseId(1) });
    assert_eq!(kv.apply(&at(0, grant(2, 1))).outcome, Outcome::LeaseExists);
    let outcome = kv.apply(&at(0, write("a", with(1)))).outcome;
    assert_eq!((outcome, kv.revision()), (Outcome::LeaseNotFound { lease: LeaseId(1) }, revision));
}

#[test]
fn a_transaction_does_one_list_under_one_revision() {
    let mut kv = all(&[put("a", "1"), put("b", "1")]);
    let compare =
        |version| Compare { key: shared("a"), relation: Relation::Equal, operand: Operand::Version(version) };
    let get = |key| Op::Get { key: shared(key) };
    let write = Op::Put(Put { key: shared("a"), value: shared("2"), expiry: Expiry::Never });
    let success = vec![get("a"), write, get("a"), Op::Delete { key: shared("b") }];
    let txn =
        |version| Txn { compare: vec![compare(version)], success: success.clone(), failure: vec![get("c")] };
    let Outcome::Txn { succeeded: true, revision: Revision(3), results } =
        kv.apply(&at(0, Action::Txn(txn(1)))).outcome
    else {
        panic!("{kv:?}")
    };
    let versions = results.iter().filter_map(|result| match result {
        OpResult::Got(entry) => entry.as_ref().map(|entry| entry.version),
        _ => None,
    });
    assert_eq!(versions.collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        (&results[1], &results[3]),
        (&OpResult::Put { mod_revision: Revision(3) }, &OpResult::Deleted { count: 1 })
    );
    let ids: Vec<_> = kv.changes(Revision(3)).unwrap().map(|change| change.id.ordinal).collect();
    assert_eq!(ids, [0, 1]);
    let results = vec![OpResult::Got(None)];
    let outcome = kv.apply(&at(0, Action::Txn(txn(1)))).outcome;
    assert_eq!(outcome, Outcome::Txn { succeeded: false, revision: Revision(3), results });
}

#[test]
fn a_transaction_with_an_unknown_lease_or_a_key_written_twice_does_nothing() {
    let mut kv = all(&[put("a", "1")]);
    let before = kv.clone();
    let op = |key: &str, expiry| Op::Put(Put { key: shared(key), value: shared("v"), expiry });
    let txn = |success| at(0, Action::Txn(Txn { success, ..Txn::default() }));
    let outcome = kv.apply(&txn(vec![op("a", Expiry::Never), op("b", with(7))])).outcome;
    assert_eq!(outcome, Outcome::LeaseNotFound { lease: LeaseId(7) });
    let twice = vec![op("a", Expiry::Never), Op::Delete { key: shared("a") }];
    assert_eq!(kv.apply(&txn(twice)).outcome, Outcome::KeyWrittenTwice);
    assert_eq!(kv, before);
}

#[test]
fn a_repeated_request_is_done_once_and_forgotten_after_ten_minutes() {
    let request = |time| once(time, "k", 1, write("a", Expiry::Never));
    let mut kv = all(&[request(1000)]);
    let replay = kv.apply(&request(1000 + REMEMBERED_MS - 1));
    assert_eq!((replay.outcome, replay.is_replay), (Outcome::Put { revision: Revision(1) }, true));
    assert_eq!(kv.apply(&once(0, "k", 2, Action::Tick)).outcome, Outcome::AnotherRequest);
    let fresh = kv.apply(&request(1000 + REMEMBERED_MS));
    assert_eq!((fresh.outcome, fresh.is_replay), (Outcome::Put { revision: Revision(2) }, false));
}

#[test]
fn a_command_forgets_16_answers() {
    let mut kv = Kv::new();
    (0..20).for_each(|number| drop(kv.apply(&once(0, &format!("{number}"), 1, Action::Tick))));
    kv.apply(&at(REMEMBERED_MS - 1, Action::Tick));
    assert_eq!(kv.answers(), 20);
    kv.apply(&at(REMEMBERED_MS, Action::Tick));
    assert_eq!(kv.answers(), 4);
}

#[test]
fn a_new_key_is_refused_when_no_more_answers_fit_and_old_ones_still_count() {
    let settings = Settings { answers: 1, ..Settings::default() };
    let mut kv = all(&[at(0, Action::Configure(settings)), once(0, "k", 1, write("a", Expiry::Never))]);
    assert_eq!(kv.apply(&once(0, "l", 1, write("a", Expiry::Never))).outcome, Outcome::AnswersFull);
    assert!(kv.apply(&once(0, "k", 1, write("a", Expiry::Never))).is_replay);
    assert_eq!(kv.revision(), Revision(1));
}

/// No server makes such commands.
#[test]
fn what_no_server_says_is_survived() {
    let principal: Arc<[u8]> = vec![7; 65_536].into();
    let once = |principal: &[u8]| Once { principal: principal.into(), key: shared("k"), request: [1; 32] };
    let order = |once| {
        Command::Order(Order {
            time: ClusterTime(u64::MAX),
            once: Some(once),
            forgets_past: false,
            action: Action::Tick,
        })
    };
    let mut kv = Kv::new();
    assert_eq!(kv.apply(&order(once(&principal))).outcome, Outcome::AnswersFull);
    assert_eq!(kv.apply(&order(once(&principal[1..]))).outcome, Outcome::Done);
    assert_eq!((kv.time(), kv.answers()), (ClusterTime::MAX, 1));
    let nothing = Settings { history_revisions: 0, history_bytes: 0, answers: 0, answer_bytes: 0 };
    for action in [Action::Configure(nothing), grant(0, u64::MAX), write("a", after(u64::MAX)), grant(1, 0)] {
        kv.apply(&at(u64::MAX, action));
    }
    kv.apply(&at(u64::MAX, Action::KeepAlive { lease: LeaseId(0) }));
    kv.apply(&at(u64::MAX, write("b", with(0))));
    assert_eq!((kv.len(), kv.leases(), kv.oldest_revision()), (2, 1, Revision(2)));
}

#[test]
fn a_lock_is_its_holders_until_it_is_given_back() {
    let mut kv = Kv::new();
    let lock =
        |holder, info| at(0, Action::Lock { name: shared("n"), holder: shared(holder), info: shared(info) });
    let unlock =
        |holder: Option<&str>| at(0, Action::Unlock { name: shared("n"), holder: holder.map(shared) });
    let locked = Outcome::Locked { info: shared("by me") };
    assert_eq!(kv.apply(&lock("me", "me")).outcome, Outcome::Done);
    assert_eq!(kv.apply(&lock("me", "by me")).outcome, Outcome::Done);
    assert_eq!(kv.apply(&lock("you", "by you")).outcome, locked);
    assert_eq!(kv.apply(&unlock(Some("you"))).outcome, locked);
    assert_eq!(kv.apply(&unlock(Some("me"))).outcome, Outcome::Done);
    assert_eq!(kv.apply(&unlock(None)).outcome, Outcome::Done);
    assert_eq!((kv.apply(&lock("you", "")).outcome, kv.revision()), (Outcome::Done, Revision::ZERO));
    assert_eq!((kv.apply(&unlock(None)).outcome, kv.lock(b"n")), (Outcome::Done, None));
}

#[test]
fn the_past_goes_16_at_a_time_and_can_be_held() {
    let mut kv = all(&(0..100).map(|number| put("a", &format!("{number}"))).collect::<Vec<_>>());
    kv.hold(Some(Revision(10)));
    let settings = Settings { history_revisions: 1, ..Settings::default() };
    kv.apply(&at(0, Action::Configure(settings)));
    assert_eq!(kv.oldest_revision(), Revision(16));
    kv.apply(&put("a", "more"));
    assert_eq!(kv.oldest_revision(), Revision(34));
    assert_eq!(kv.get_at(b"a", Revision(10)).unwrap().unwrap().version, 10);
    assert!(kv.history_bytes().1 > 0);
    kv.hold(None);
    assert_eq!(kv.get_at(b"a", Revision(33)).unwrap_err(), Compacted { oldest: Revision(34) });
    assert_eq!((kv.get_at(b"a", Revision(34)).unwrap().unwrap().version, kv.history_bytes().1), (34, 0));
}
