//! What a host sees of the past, of time, and of requests that are repeated.

use crate::host::{Host, put};
use quorate_node::kv::{
    Action, ClusterTime, EventKind, Expiry, LeaseId, Once, Outcome, Put, Revision, Settings,
};
use quorate_node::raft::{Done, Index, LogId, Role, Room, Time};
use quorate_node::{Input, List, Query, ReadLevel, Reply, Request};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

const LEASE: LeaseId = LeaseId(7);

fn bytes(text: &str) -> Arc<[u8]> {
    Arc::from(text.as_bytes())
}

fn with_ttl(key: &str, ttl_ms: u64) -> Request {
    Request::write(Action::Put(Put { key: bytes(key), value: bytes("v"), expiry: Expiry::After { ttl_ms } }))
}

impl Host {
    fn leading(settings: Settings) -> Host {
        let mut host = Host::start_with(100_000, settings);
        host.elect();
        host
    }

    fn written(&mut self, request: Request) -> Outcome {
        self.ask(1_000, request);
        self.sync();
        match self.replies.pop() {
            Some((1_000, Reply::Written { outcome, .. })) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, query: Query) -> Reply {
        self.ask(1_001, Request::Read { query, level: ReadLevel::Stale });
        self.replies.pop().unwrap().1
    }

    fn has(&self, key: &str) -> bool {
        self.node.kv().get(key.as_bytes()).is_some()
    }

    /// Time passes as it does for a host that sleeps until the next deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.node.deadline().map_or(end, |due| due.clamp(self.now, end));
            let before = self.node.raft().applied();
            self.feed(Input::Timeout);
            self.sync();
            let is_idle = self.node.raft().applied() == before;
            let is_due = self.node.deadline().is_some_and(|due| due <= self.now);
            assert!(!is_idle || !is_due, "it is due again at once, at {:?}", self.now);
        }
    }
}

#[test]
fn a_key_goes_when_its_time_is_over_and_an_idle_leader_says_so() {
    let mut host = Host::leading(Settings::default());
    host.written(with_ttl("a", 30_000));
    let last = host.node.raft().status().last.index;
    host.pass(Duration::from_millis(29_999));
    assert!(host.has("a"));
    assert_eq!(host.node.raft().status().last.index, last, "nothing was written while nothing was due");
    host.pass(Duration::from_millis(2));
    assert!(!host.has("a"));
    assert_eq!(host.node.raft().status().last.index, Index(last.0 + 1));
    let Reply::Changes { changes, upto } = host.read(Query::Changes { from: Revision(1), limit: 100 }) else {
        panic!()
    };
    let kinds: Vec<EventKind> = changes.iter().map(|change| change.kind).collect();
    assert_eq!((kinds, upto), (vec![EventKind::Put, EventKind::Expired], Revision(2)));
}

#[test]
fn a_lease_that_is_kept_alive_lives_and_its_keys_go_with_it() {
    let mut host = Host::leading(Settings::default());
    let granted = host.written(Request::write(Action::Grant { lease: LEASE, ttl_ms: 10_000 }));
    assert_eq!(granted, Outcome::Lease { lease: LEASE, ttl_ms: 10_000 });
    let key = Put { key: bytes("a"), value: bytes("v"), expiry: Expiry::With(LEASE) };
    host.written(Request::write(Action::Put(key)));
    for _ in 0..5 {
        host.pass(Duration::from_millis(9_000));
        host.written(Request::write(Action::KeepAlive { lease: LEASE }));
    }
    host.pass(Duration::from_millis(4_000));
    let Reply::Lease { lease: Some(lease), now, .. } = host.read(Query::Lease(LEASE)) else { panic!() };
    assert_eq!((lease.ttl_ms, lease.ends.0 - now.0, lease.keys.len()), (10_000, 6_000, 1));
    assert!(host.has("a"));
    host.pass(Duration::from_millis(6_001));
    assert!(!host.has("a"));
    let gone = host.written(Request::write(Action::KeepAlive { lease: LEASE }));
    assert_eq!(gone, Outcome::LeaseNotFound { lease: LEASE });
}

/// The process is stopped for an hour: nobody could keep anything alive meanwhile.
#[test]
fn a_leader_that_slept_expires_nothing_for_it() {
    let mut host = Host::leading(Settings::default());
    host.written(with_ttl("a", 30_000));
    host.now = host.now + Duration::from_secs(3600);
    host.feed(Input::Timeout);
    host.sync();
    assert!(host.has("a"));
    assert!(host.node.kv().time() < ClusterTime(2_000));
}

#[test]
fn many_keys_that_are_due_at_once_go_in_steps() {
    let mut host = Host::leading(Settings::default());
    for number in 0..600 {
        host.written(with_ttl(&format!("{number}"), 5_000));
    }
    let before = host.node.raft().status().last.index;
    host.pass(Duration::from_secs(6));
    assert!(host.node.kv().is_empty());
    assert_eq!(host.node.raft().status().last.index.0 - before.0, 3, "256 at a time");
}

#[test]
fn a_leader_proposes_the_limits_that_it_was_started_with() {
    let settings = Settings { history_revisions: 3, ..Settings::default() };
    let mut host = Host::leading(settings);
    host.pass(Duration::from_millis(100));
    assert_eq!(host.node.kv().settings(), settings);
    for number in 0..10 {
        host.written(put("a", &number.to_string()));
    }
    let key = |revision| Query::Key { key: bytes("a"), revision: Some(Revision(revision)) };
    let Reply::Read { entry: Some(entry), .. } = host.read(key(8)) else { panic!() };
    assert_eq!((&*entry.value, entry.version), (b"7".as_slice(), 8));
    let out = |oldest, newest| Reply::OutOfReach { oldest: Revision(oldest), newest: Revision(newest) };
    assert_eq!(host.read(key(6)), out(7, 10));
    assert_eq!(host.read(key(11)), out(7, 10));
}

#[test]
fn pages_of_a_list_stay_at_one_revision_while_the_past_goes() {
    let mut host = Host::leading(Settings { history_revisions: 2, ..Settings::default() });
    host.pass(Duration::from_millis(100));
    for number in 0..10 {
        host.written(put(&format!("{number}"), "old"));
    }
    let mut list =
        List { start: Bound::Included(bytes("1")), end: Some(bytes("8")), limit: 3, revision: None };
    let mut keys = Vec::new();
    loop {
        let Reply::Listed(page) = host.read(Query::List(list.clone())) else { panic!() };
        assert_eq!(page.revision, Revision(10));
        assert!(page.entries.iter().all(|(_, entry)| &*entry.value == b"old"));
        keys.extend(page.entries.iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()));
        list.start = Bound::Excluded(page.entries.last().unwrap().0.clone());
        list.revision = Some(page.revision);
        if !page.more {
            break;
        }
        for number in 0..10 {
            host.written(put(&format!("{number}"), "new"));
        }
        host.written(Request::write(Action::Delete { key: bytes("7") }));
        host.pass(Duration::from_secs(20));
    }
    assert_eq!(keys, ["1", "2", "3", "4", "5", "6", "7"]);
    host.pass(Duration::from_secs(31));
    list.start = Bound::Unbounded;
    assert!(matches!(host.read(Query::List(list)), Reply::OutOfReach { .. }), "nobody came back");
}

#[test]
fn changes_come_in_pieces_and_never_part_of_a_revision() {
    let mut host = Host::leading(Settings::default());
    let pair = |key: &str| (bytes(key), bytes("v"));
    host.written(Request::write(Action::Import { entries: vec![pair("a"), pair("b"), pair("c")] }));
    host.written(put("a", "w"));
    let mut piece = |from, limit| match host.read(Query::Changes { from: Revision(from), limit }) {
        Reply::Changes { changes, upto } => (changes.len(), upto.0),
        other => panic!("{other:?}"),
    };
    assert_eq!((piece(1, 1), piece(2, 1), piece(3, 1)), ((3, 1), (1, 2), (0, 2)));
    assert_eq!((piece(1, 4), piece(0, 2), piece(9, 9)), ((4, 2), (3, 1), (0, 2)));
}

#[test]
fn a_repeated_request_is_answered_and_not_done_again() {
    let mut host = Host::leading(Settings::default());
    let once = |hash: u8| Some(Once { principal: bytes(""), key: bytes("k"), request: [hash; 32] });
    let write = |hash, value: &str| {
        let action = Action::Put(Put::for_good(bytes("a"), bytes(value)));
        Request::Write { action, once: once(hash) }
    };
    let replies: Vec<Reply> = [write(1, "1"), put("a", "2"), write(1, "1"), write(2, "3")]
        .into_iter()
        .map(|request| {
            host.ask(5, request);
            host.sync();
            host.replies.pop().unwrap().1
        })
        .collect();
    let written =
        |outcome, is_replay, revision| Reply::Written { outcome, is_replay, revision: Revision(revision) };
    let put = |revision| Outcome::Put { revision: Revision(revision) };
    assert_eq!(replies[0], written(put(1), false, 1));
    assert_eq!(replies[2], written(put(1), true, 2));
    assert_eq!(replies[3], written(Outcome::AnotherRequest, false, 2));
    assert_eq!(&*host.node.kv().get(b"a").unwrap().value, b"2");
}

/// What is deleted on a full disk would stand in the past, where it takes as much room as before.
#[test]
fn a_full_disk_lets_go_of_the_past() {
    let mut host = Host::leading(Settings::default());
    for key in ["a", "b", "c"] {
        host.written(put(key, "value"));
    }
    let room = Room { spare_segments: 1, rest_bytes: 100_000, segment_bytes: 100_000, ..little_room() };
    host.feed(Input::Done(Done::Room(Some(room))));
    host.sync();
    assert_eq!(host.node.kv().oldest_revision(), Revision(3), "it goes by itself");
    host.written(Request::write(Action::Delete { key: bytes("a") }));
    assert_eq!(host.node.kv().oldest_revision(), Revision(4));
    assert_eq!(host.node.kv().history_bytes(), (0, 0));
    let last = host.node.raft().status().last;
    host.pass(Duration::from_secs(5));
    assert_eq!(host.node.raft().status().last, last, "there is nothing more to let go of");
    assert_eq!((host.node.view().role, last), (Role::Leader, LogId::new(2, last.index.0)));
}

fn little_room() -> Room {
    Room { segment_bytes: 100_000, rest_bytes: 0, spare_segments: 0, newest_segment: 1, is_reserved: false }
}

#[test]
fn time_means_nothing_to_a_follower() {
    let mut host = Host::start_with(100_000, Settings::default());
    let before = host.node.deadline();
    assert!(before.is_some_and(|at| at > Time(0)));
    host.feed(Input::Timeout);
    assert_eq!(host.node.kv().time(), ClusterTime(0));
}
