//! Watches over real sockets: through the leader and followers, over its change, slow clients, the end.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use quorate_node::kv::{Action, Expiry, Op, Put, Revision, Settings, Txn};
use quorate_node::{Reply, Request};
use serde_json::{Value, json};

use super::cluster::{Cluster, HISTORY, soon};
use super::contract::check_event;
use crate::handle;
use crate::net::{Net, read_some, write_all};
use crate::real::{RealNet, RealRuntime};
use crate::runtime::Runtime;

/// One event, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

/// A watch: its head has arrived.
struct Stream {
    stream: <RealNet as Net>::Stream,
    head: String,
    /// What came and was not looked at, without the framing of chunks.
    text: String,
    raw: Vec<u8>,
    ended: bool,
}

impl Stream {
    async fn open(cluster: &Cluster, at: usize, query: &str, headers: &str) -> Stream {
        Stream::open_method(cluster, at, "GET", query, headers).await
    }

    async fn open_method(cluster: &Cluster, at: usize, method: &str, query: &str, headers: &str) -> Stream {
        soon(async {
            let mut stream = RealNet.dial(&cluster.addresses[at]).await.unwrap();
            let request = format!("{method} /watch?{query} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
            write_all(&mut stream, request.as_bytes()).await.unwrap();
            let mut opened =
                Stream { stream, head: String::new(), text: String::new(), raw: Vec::new(), ended: false };
            while opened.head.is_empty() {
                opened.receive().await;
                if let Some(end) = opened.raw.windows(4).position(|part| part == b"\r\n\r\n") {
                    opened.head = String::from_utf8(opened.raw.drain(..end + 4).collect()).unwrap();
                }
            }
            opened
        })
        .await
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    async fn receive(&mut self) {
        let mut bytes = [0; 4096];
        match read_some(&mut self.stream, &mut bytes).await {
            Ok(count) if count > 0 => self.raw.extend_from_slice(&bytes[..count]),
            _ => self.ended = true,
        }
    }

    /// Takes whole chunks, or, where the length was declared, all there is.
    fn unframe(&mut self) {
        if self.header("content-length").is_some() {
            self.text.push_str(std::str::from_utf8(&self.raw).unwrap());
            self.raw.clear();
            return;
        }
        while let Some(end) = self.raw.windows(2).position(|part| part == b"\r\n") {
            let length = usize::from_str_radix(std::str::from_utf8(&self.raw[..end]).unwrap(), 16).unwrap();
            let Some(chunk) = self.raw.get(end + 2..end + 2 + length) else { return };
            self.text.push_str(std::str::from_utf8(chunk).unwrap());
            self.ended |= length == 0;
            self.raw.drain(..(end + 4 + length).min(self.raw.len()));
        }
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        soon(async {
            loop {
                self.unframe();
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let field = |name: &str| {
                        event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
                    };
                    let found = field("event: ").map(|name| Event {
                        id: field("id: ").unwrap(),
                        name,
                        data: serde_json::from_str(&field("data: ").unwrap()).unwrap(),
                    });
                    self.text = rest.to_owned();
                    if let Some(event) = &found {
                        check_event(&event.name, &event.id, &event.data);
                        return found;
                    }
                } else if self.ended {
                    return None;
                } else {
                    self.receive().await;
                }
            }
        })
        .await
    }

    async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.next().await.expect("the stream goes on"));
        }
        events
    }

    async fn ids(&mut self, count: usize) -> Vec<String> {
        self.events(count).await.into_iter().map(|event| event.id).collect()
    }
}

/// Has the leader do something; the revision after it.
async fn order(cluster: &Cluster, action: Action) -> Revision {
    soon(async {
        loop {
            let leader = cluster.leader().await;
            let context = &cluster.servers[leader].context;
            let deadline = context.deadline_in(Duration::from_secs(5));
            match context.handle.request(Request::write(action.clone()), deadline).await {
                handle::Answer::Reply(Reply::Written { revision, .. }) => return revision,
                handle::Answer::Reply(Reply::NotLeader { .. } | Reply::Refused(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await
}

fn put(key: &str, value: &[u8]) -> Action {
    Action::Put(Put::for_good(key.as_bytes().into(), value.into()))
}

fn delete(key: &str) -> Action {
    Action::Delete { key: key.as_bytes().into() }
}

#[tokio::test]
async fn every_node_tells_what_happens_in_order() {
    let cluster = Cluster::start(3).await;
    let mut streams = Vec::new();
    for at in 0..3 {
        let stream = Stream::open(&cluster, at, "prefix=a&previous", "").await;
        assert!(stream.head.starts_with("HTTP/1.1 200 "), "{}", stream.head);
        assert_eq!(stream.header("content-type"), Some("text/event-stream"));
        assert_eq!(stream.header("cache-control"), Some("no-store"));
        assert_eq!(stream.header("quorate-revision"), Some("0"));
        assert_eq!(stream.header("quorate-history"), Some(&*HISTORY.to_string()));
        streams.push(stream);
    }
    cluster.ask(0, Method::PUT, "/key/ab", b"one").await;
    cluster.ask(1, Method::PUT, "/key/b", b"other").await;
    let success = vec![
        Op::Delete { key: b"ab".as_slice().into() },
        Op::Put(Put::for_good(b"c".as_slice().into(), b"".as_slice().into())),
        Op::Put(Put::for_good(b"a".as_slice().into(), b"".as_slice().into())),
    ];
    order(&cluster, Action::Txn(Txn { success, ..Txn::default() })).await;
    let entry = |key: &str, value: &str, at: u64| {
        let (create_revision, mod_revision) = (at, at);
        json!({
            "key": key, "value": value, "create_revision": create_revision, "mod_revision": mod_revision, "version": 1
        })
    };
    let with = |mut entry: Value, more: Value| {
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    };
    let expected = [
        ("1-0", "put", with(entry("ab", "b25l", 1), json!({ "revision": 1, "previous": null }))),
        (
            "3-0",
            "delete",
            json!({ "key": "ab", "revision": 3, "reason": "deleted", "previous": entry("ab", "b25l", 1) }),
        ),
        ("3-2", "put", with(entry("a", "", 3), json!({ "revision": 3, "previous": null }))),
    ];
    for stream in &mut streams {
        for (id, name, data) in &expected {
            let expected = Event { id: (*id).to_owned(), name: (*name).to_owned(), data: data.clone() };
            assert_eq!(stream.next().await, Some(expected));
        }
    }
}

#[tokio::test]
async fn a_watch_begins_where_it_is_told_to() {
    let cluster = Cluster::start(3).await;
    let follower = cluster.follower().await;
    for value in 0..5_u8 {
        order(&cluster, put("a", &[value])).await;
    }
    order(&cluster, delete("a")).await;
    let seen = cluster.ask(follower, Method::GET, "/key/a", b"").await;
    assert_eq!(seen.header("quorate-revision"), Some("6"));

    let mut all = Stream::open(&cluster, follower, "key=a&from=0", "").await;
    assert_eq!(all.header("quorate-revision"), Some("6"));
    assert_eq!(all.ids(6).await, ["1-0", "2-0", "3-0", "4-0", "5-0", "6-0"]);
    let mut some = Stream::open(&cluster, follower, "key=a&from=4&events=put", "").await;
    assert_eq!(some.ids(2).await, ["4-0", "5-0"]);
    // The id counts before the revision: a browser sends the query of the first time again.
    let mut again = Stream::open(&cluster, follower, "key=a&from=1", "last-event-id: 5-0\r\n").await;
    assert_eq!(again.ids(1).await, ["6-0"]);
    // What has not happened yet is waited for.
    let mut future = Stream::open(&cluster, follower, "key=a&from=8", "").await;
    let mut deletes = Stream::open(&cluster, follower, "key=a&events=delete", "").await;
    for value in 0..2_u8 {
        order(&cluster, put("a", &[value])).await;
    }
    order(&cluster, delete("a")).await;
    assert_eq!(future.ids(2).await, ["8-0", "9-0"]);
    assert_eq!(deletes.ids(1).await, ["9-0"]);
    assert_eq!(all.ids(3).await, ["7-0", "8-0", "9-0"]);

    let head = Stream::open_method(&cluster, follower, "HEAD", "key=a", "").await;
    assert_eq!((head.header("quorate-revision"), &*head.text), (Some("9"), ""));
    assert_eq!(cluster.servers[follower].context.watches.counts().watchers, 5);
}

#[tokio::test]
async fn bad_watches_are_refused() {
    let cluster = Cluster::start(1).await;
    let cases = [
        ("/watch", 400, "bad_query"),
        ("/watch?key=a&consistency=stale", 400, "bad_query"),
        ("/watch?key=a&from=now", 400, "bad_query"),
        ("/watch?key=", 400, "key_empty"),
    ];
    for (target, status, code) in cases {
        let answer = cluster.ask(0, Method::GET, target, b"").await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{target}");
    }
    let answer = cluster.ask_with(0, Method::GET, "/watch?key=a", &[("last-event-id", "x")], b"").await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (400, "malformed"));
    let answer = cluster.ask_with(0, Method::GET, "/watch?key=a", &[("quorate-history", "x")], b"").await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (400, "malformed"));
    let answer = cluster.ask(0, Method::POST, "/watch?key=a", b"").await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn what_expires_is_told_as_such() {
    let cluster = Cluster::start(3).await;
    let follower = cluster.follower().await;
    let mut stream = Stream::open(&cluster, follower, "prefix=", "").await;
    let (key, value) = (b"a".as_slice().into(), b"v".as_slice().into());
    order(&cluster, Action::Put(Put { key, value, expiry: Expiry::After { ttl_ms: 20 } })).await;
    assert_eq!(stream.next().await.unwrap().name, "put");
    let event = stream.next().await.unwrap();
    assert_eq!((&*event.id, &*event.name), ("2-0", "delete"));
    assert_eq!(event.data, json!({ "key": "a", "revision": 2, "reason": "expired" }));
}

/// A client that is cut off again and again goes on at another node each time, while leaders change and writes go on.
#[tokio::test]
async fn over_leader_changes_and_reconnects_nothing_is_missed_or_repeated() {
    let cluster = Cluster::start(3).await;
    let mut expected = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let mut steady = Stream::open(&cluster, 0, "prefix=k", "").await;
    for round in 0..6 {
        let resume = seen.last().map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
        let mut stream = Stream::open(&cluster, round % 3, "prefix=k&from=1", &resume).await;
        for number in 0..20_u8 {
            let revision = order(&cluster, put(&format!("k{number}"), &[number])).await;
            expected.push(format!("{revision}-0"));
            if number == 10 {
                let answer = cluster.ask(0, Method::POST, "/raft/transfer", b"{}").await;
                assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
            }
        }
        // It takes a part only before it is cut off.
        seen.extend(stream.ids(15).await);
    }
    let resume = format!("last-event-id: {}\r\n", seen.last().unwrap());
    let mut rest = Stream::open(&cluster, 1, "prefix=k", &resume).await;
    seen.extend(rest.ids(expected.len() - seen.len()).await);
    assert_eq!(seen, expected);
    assert_eq!(steady.ids(expected.len()).await, expected);
}

/// Of so many revisions all but so many are forgotten.
async fn forget(cluster: &Cluster, revisions: u64, history_revisions: u64) {
    // A command forgets sixteen at most. The leader brings its own limits back in between.
    for _ in 0..=revisions / 16 {
        order(cluster, Action::Configure(Settings { history_revisions, ..Settings::default() })).await;
    }
}

#[tokio::test]
async fn a_past_that_is_gone_is_told_and_ends_the_stream() {
    let cluster = Cluster::start(1).await;
    for value in 0..5_u8 {
        order(&cluster, put("a", &[value])).await;
    }
    forget(&cluster, 5, 2).await;
    let mut gone = Stream::open(&cluster, 0, "key=a&from=3", "").await;
    let event = gone.next().await.unwrap();
    assert_eq!((&*event.id, &*event.name), ("5-4294967295", "reset"));
    assert_eq!(event.data, json!({ "revision": 5, "reason": "compacted" }));
    assert_eq!(gone.next().await, None);
    // The id of the last word is where it goes on.
    let mut on = Stream::open(&cluster, 0, "key=a", &format!("last-event-id: {}\r\n", event.id)).await;
    order(&cluster, put("a", b"")).await;
    assert_eq!(on.ids(1).await, ["6-0"]);
    let mut kept = Stream::open(&cluster, 0, "key=a&from=4", "").await;
    assert_eq!(kept.ids(3).await, ["4-0", "5-0", "6-0"]);
    assert_eq!(cluster.servers[0].context.watches.counts().resets, 1);
}

#[tokio::test]
async fn what_was_seen_of_another_history_is_worth_nothing() {
    let cluster = Cluster::start(1).await;
    order(&cluster, put("a", b"1")).await;
    let own = format!("quorate-history: {HISTORY}\r\n");
    let mut same = Stream::open(&cluster, 0, "key=a&from=1", &own).await;
    assert_eq!(same.ids(1).await, ["1-0"]);
    let other = format!("quorate-history: {:032x}\r\nlast-event-id: 900-0\r\n", 7);
    let mut stream = Stream::open(&cluster, 0, "key=a", &other).await;
    let event = stream.next().await.unwrap();
    assert_eq!((&*event.name, event.data), ("reset", json!({ "revision": 1, "reason": "restored" })));
}

/// Fills the system's buffers of a client that reads nothing; another client is told everything meanwhile.
async fn stall(cluster: &Cluster, stuck: &str) -> (Stream, u64) {
    let stuck = Stream::open(cluster, 0, stuck, "").await;
    let mut quick = Stream::open(cluster, 0, "prefix=", "").await;
    let value = vec![b'v'; 64 << 10];
    let mut written = 0;
    let watches = Arc::clone(&cluster.servers[0].context.watches);
    while watches.counts().overflows == 0 {
        order(cluster, put("a", &value)).await;
        written += 1;
        assert_eq!(quick.next().await.unwrap().id, format!("{written}-0"));
        assert!(written < 2_000, "the buffers are too large for this test");
    }
    assert_eq!(watches.counts().behind, 1);
    (stuck, written)
}

#[tokio::test]
async fn a_slow_watcher_misses_nothing_while_the_past_is_kept() {
    let cluster = Cluster::start(1).await;
    let (mut stuck, written) = stall(&cluster, "key=a").await;
    let expected: Vec<_> = (1..=written).map(|revision| format!("{revision}-0")).collect();
    assert_eq!(stuck.ids(expected.len()).await, expected);
    order(&cluster, put("a", b"")).await;
    assert_eq!(stuck.ids(1).await, [format!("{}-0", written + 1)]);
    assert_eq!(cluster.servers[0].context.watches.counts().behind, 0);
}

#[tokio::test]
async fn a_slow_watcher_is_told_when_the_past_is_gone() {
    let cluster = Cluster::start(1).await;
    let (mut stuck, mut written) = stall(&cluster, "key=a").await;
    // So much more that the hub has let go of the first that the client lacks.
    for _ in 0..100 {
        order(&cluster, put("a", &[b'v'; 64 << 10])).await;
        written += 1;
    }
    forget(&cluster, written, 0).await;
    let mut last = None;
    for revision in 1.. {
        let event = stuck.next().await.unwrap();
        if event.name == "reset" {
            last = Some(event.data);
            break;
        }
        assert_eq!(event.id, format!("{revision}-0"));
    }
    assert_eq!(last, Some(json!({ "revision": written, "reason": "slow" })));
    assert_eq!(stuck.next().await, None);
}

#[tokio::test]
async fn a_client_that_leaves_is_forgotten() {
    let cluster = Cluster::start(1).await;
    let stream = Stream::open(&cluster, 0, "key=a", "").await;
    let watches = &cluster.servers[0].context.watches;
    assert_eq!(watches.counts().watchers, 1);
    drop(stream);
    soon(async {
        while watches.counts().watchers > 0 {
            RealRuntime::start().sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Watchers that listen and one that takes nothing do not hold up the end of their node.
#[tokio::test]
async fn streams_end_with_their_node() {
    let cluster = Cluster::start(1).await;
    let (mut stuck, written) = stall(&cluster, "key=a").await;
    let mut stream = Stream::open(&cluster, 0, "prefix=", "").await;
    order(&cluster, put("b", b"")).await;
    let runtime = RealRuntime::start();
    let begun = runtime.now();
    let stop = async { cluster.servers[0].stop().await };
    let listen = async {
        assert_eq!(stream.ids(1).await, [format!("{}-0", written + 1)]);
        assert_eq!(stream.next().await, None, "the stream ends, and well");
        assert!(stream.text.is_empty() && stream.raw.is_empty());
        runtime.now()
    };
    let (ended, told) = tokio::join!(soon(stop), listen);
    assert_eq!(ended, crate::driver::DriverEnd::Stopped);
    assert!(told.since(begun) < Duration::from_secs(5), "{:?}", told.since(begun));
    let whole = runtime.now().since(begun);
    assert!(whole < Duration::from_secs(8), "the stuck one held it up for {whole:?}");
    while stuck.next().await.is_some() {}
}
