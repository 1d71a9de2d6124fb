//! Links between real sockets: what arrives, what is refused, and what happens when something breaks.
#![allow(clippy::disallowed_types, reason = "#[tokio::test] makes a runtime")]

mod slow;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use quorate_node::raft::{
    Contact, Entry, Envelope, Index, Learner, LogId, Members, Message, NodeId, Payload, Term,
};
use quorate_node::wire::frame::{FrameDecoder, FrameKind, encode_envelope, encode_frame};
use quorate_node::wire::hello::{Answer, Hello, Purpose, Verdict};
use quorate_node::wire::{ClusterId, HistoryId, codec};

use super::{Inbound, Links, Local, PeerEvent, ProbeError, probe};
use crate::context::Identity;
use crate::net::{Listener, Net, read_some, write_all};
use crate::real::{RealNet, RealRuntime};
use crate::runtime::{Runtime, timeout_at};

const CLUSTER: ClusterId = ClusterId(77);
const HISTORY: HistoryId = HistoryId(78);
const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

const ELECTION_TIMEOUT: Duration = Duration::from_millis(500);

type Stream = <RealNet as Net>::Stream;

/// One node's links, without a node.
struct Station {
    runtime: RealRuntime,
    address: String,
    inbound: Inbound,
    links: Links<RealRuntime, RealNet>,
}

impl Station {
    async fn start(id: NodeId, address: &str) -> Station {
        let runtime = RealRuntime::start();
        let listener = RealNet.listen(address).await.unwrap();
        let address = listener.local_address().unwrap().to_string();
        let inbound = Inbound::start::<_, RealNet>(&runtime, listener, Local::member(identity(id)));
        let (local, deliver) = (Arc::clone(&inbound.local), inbound.deliver.clone());
        let links =
            Links::new(runtime, RealNet, local, deliver, Arc::clone(&inbound.counters), ELECTION_TIMEOUT);
        Station { runtime, address, inbound, links }
    }

    async fn event(&mut self) -> PeerEvent {
        soon(self.inbound.events.recv()).await.unwrap()
    }

    /// The next message, past everything else.
    async fn message(&mut self) -> Envelope {
        loop {
            if let PeerEvent::Message(envelope, _) = self.event().await {
                return envelope;
            }
        }
    }

    /// Dials this station by hand and says hello.
    async fn dial(&self, hello: Hello) -> (Stream, FrameDecoder, Answer) {
        let mut stream = RealNet.dial(&self.address).await.unwrap();
        let mut bytes = Vec::new();
        encode_frame(FrameKind::Hello, &hello.encode(), &mut bytes);
        write_all(&mut stream, &bytes).await.unwrap();
        let mut decoder = FrameDecoder::new();
        let mut bytes = [0; 1024];
        loop {
            if let Some(frame) = decoder.next_frame().unwrap() {
                let answer = Answer::decode(frame.payload).unwrap();
                return (stream, decoder, answer);
            }
            let count = soon(read_some(&mut stream, &mut bytes)).await.unwrap();
            assert_ne!(count, 0, "closed without an answer");
            decoder.push(&bytes[..count]);
        }
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let runtime = RealRuntime::start();
    timeout_at(&runtime, runtime.now() + Duration::from_secs(20), future)
        .await
        .expect("it should happen soon")
}

async fn until(condition: impl Fn() -> bool) {
    let runtime = RealRuntime::start();
    soon(async {
        while !condition() {
            runtime.sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

fn knowing(id: NodeId, address: &str) -> Members {
    let contact = |address: &str| Contact { address: address.to_owned(), ..Contact::default() };
    Members::founder(A, contact("127.0.0.1:1")).with_learner(id, Learner::Joining, contact(address))
}

fn heartbeat(from: NodeId, to: NodeId, round: u64) -> Envelope {
    Envelope { from, to, term: Term(3), message: Message::Heartbeat { round, commit: Index(4) } }
}

fn hello() -> Hello {
    Hello { purpose: Purpose::Peer, cluster: CLUSTER, history: HISTORY, from: A, to: B }
}

fn identity(node: NodeId) -> Identity {
    Identity { node, cluster: CLUSTER, history: HISTORY }
}

/// Accepts a connection and its hello, unread, as B would.
async fn accept_as_b(listener: &mut <RealNet as Net>::Listener) -> Stream {
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let mut bytes = Vec::new();
    let accepted =
        Answer { verdict: Verdict::Accepted, cluster: Some(CLUSTER), history: Some(HISTORY), node: B };
    encode_frame(FrameKind::Answer, &accepted.encode(), &mut bytes);
    write_all(&mut stream, &bytes).await.unwrap();
    stream
}

/// Reads until the other side closes; what it says until then does not matter.
async fn closed(mut stream: Stream) {
    let mut bytes = [0; 1024];
    soon(async { while read_some(&mut stream, &mut bytes).await.is_ok_and(|count| count > 0) {} }).await;
}

#[tokio::test]
async fn messages_arrive_in_order_and_a_new_connection_is_made_when_one_breaks() {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut b = Station::start(B, "127.0.0.1:0").await;
    a.links.follow(&knowing(B, &b.address));
    for round in 0..1000 {
        a.links.send(heartbeat(A, B, round));
    }
    for round in 0..1000 {
        assert_eq!(b.message().await, heartbeat(A, B, round));
    }

    // The peer goes away: its listener, and with it the connection.
    let address = b.address.clone();
    drop(b);
    assert!(matches!(a.event().await, PeerEvent::Unreachable(B)));
    let mut b = loop {
        // Its port is free as soon as the old listener's task has ended.
        if RealNet.listen(&address).await.is_ok() {
            break Station::start(B, &address).await;
        }
        a.runtime.sleep(Duration::from_millis(2)).await;
    };
    let mut round = 0;
    soon(async {
        loop {
            round += 1;
            a.links.send(heartbeat(A, B, round));
            let patience = a.runtime.now() + Duration::from_millis(20);
            if timeout_at(&a.runtime, patience, b.message()).await.is_ok() {
                break;
            }
        }
    })
    .await;
    assert!(a.inbound.counters.broken_links.total() >= 1);
}

#[tokio::test]
async fn who_knows_no_address_replies_on_the_connection_it_was_spoken_to() {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut b = Station::start(B, "127.0.0.1:0").await;
    b.links.send(heartbeat(B, A, 1));
    assert_eq!(b.inbound.counters.dropped_messages.total(), 1, "nobody has dialed yet");

    a.links.follow(&knowing(B, &b.address));
    a.links.send(heartbeat(A, B, 2));
    let PeerEvent::Connected { peer: A, replies } = b.event().await else { panic!("first the connection") };
    b.links.connected(A, replies);
    assert_eq!(b.message().await, heartbeat(A, B, 2));
    b.links.send(heartbeat(B, A, 3));
    assert_eq!(a.message().await, heartbeat(B, A, 3));
}

#[tokio::test]
async fn who_is_known_at_a_wrong_address_is_answered_all_the_same() {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut b = Station::start(B, "127.0.0.1:0").await;
    a.links.follow(&knowing(B, "127.0.0.1:1"));
    a.links.send(heartbeat(A, B, 1));
    assert!(matches!(a.event().await, PeerEvent::Unreachable(B)));

    b.links.follow(&Members::founder(A, Contact { address: a.address.clone(), ..Contact::default() }));
    b.links.send(heartbeat(B, A, 2));
    let PeerEvent::Connected { peer: B, replies } = a.event().await else { panic!("first the connection") };
    a.links.connected(B, replies);
    a.links.send(heartbeat(A, B, 3));
    assert_eq!(b.message().await, heartbeat(A, B, 3));
}

#[tokio::test]
async fn a_member_that_moved_is_dialed_at_its_new_address() {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut b = Station::start(B, "127.0.0.1:0").await;
    a.links.follow(&knowing(B, "127.0.0.1:1"));
    a.links.send(heartbeat(A, B, 1));
    assert!(matches!(a.event().await, PeerEvent::Unreachable(B)));

    a.links.follow(&knowing(B, &b.address));
    a.links.send(heartbeat(A, B, 2));
    assert_eq!(b.message().await, heartbeat(A, B, 2));
}

/// The leader has to tell one that it was removed, on a link that stands or on a new one. A few seconds later it is
/// closed.
async fn speaks_to_one_who_left(was_dialed: bool) {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut b = Station::start(B, "127.0.0.1:0").await;
    a.links.follow(&knowing(B, &b.address));
    if was_dialed {
        a.links.send(heartbeat(A, B, 1));
    }
    let others = knowing(NodeId(9), "127.0.0.1:1");
    let left_at = a.runtime.now();
    a.links.follow(&others);
    a.links.follow(&others);
    a.links.send(heartbeat(A, B, 2));
    let PeerEvent::Connected { replies, .. } = b.event().await else { panic!("first the connection") };
    for round in if was_dialed { 1..=2 } else { 2..=2 } {
        assert_eq!(b.message().await, heartbeat(A, B, round));
    }
    until(|| replies.is_closed()).await;
    assert!(a.runtime.now().since(left_at) >= Duration::from_secs(5));
    let dropped = a.inbound.counters.dropped_messages.total();
    a.links.send(heartbeat(A, B, 4));
    assert_eq!(a.inbound.counters.dropped_messages.total(), dropped + 1);
}

#[tokio::test]
async fn a_member_that_left_can_be_spoken_to_for_a_while() {
    speaks_to_one_who_left(true).await;
}

#[tokio::test]
async fn a_member_that_left_is_dialed_once_more_if_need_be() {
    speaks_to_one_who_left(false).await;
}

#[tokio::test]
async fn a_member_that_left_and_is_back_is_a_member_like_any_other() {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut b = Station::start(B, "127.0.0.1:0").await;
    let (with, without) = (knowing(B, &b.address), knowing(NodeId(9), "127.0.0.1:1"));
    a.links.follow(&with);
    a.links.send(heartbeat(A, B, 1));
    assert_eq!(b.message().await, heartbeat(A, B, 1));
    a.links.follow(&without);
    a.links.follow(&with);
    // Past the farewell to the link that it had.
    let until = a.runtime.now() + Duration::from_millis(5_500);
    let mut round = 1;
    while a.runtime.now() < until {
        round += 1;
        a.links.send(heartbeat(A, B, round));
        assert_eq!(b.message().await, heartbeat(A, B, round));
        a.runtime.sleep(Duration::from_millis(20)).await;
    }
}

/// One that was removed, and has not heard of it, dials: it is answered on its own connection.
#[tokio::test]
async fn a_former_member_that_dials_is_answered() {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut b = Station::start(B, "127.0.0.1:0").await;
    a.links.follow(&knowing(NodeId(9), "127.0.0.1:1"));
    b.links.follow(&Members::founder(A, Contact { address: a.address.clone(), ..Contact::default() }));
    b.links.send(heartbeat(B, A, 1));
    let PeerEvent::Connected { peer: B, replies } = a.event().await else { panic!("first the connection") };
    a.links.connected(B, replies);
    assert_eq!(a.message().await, heartbeat(B, A, 1));
    a.links.send(heartbeat(A, B, 2));
    assert_eq!(b.message().await, heartbeat(A, B, 2));
}

#[tokio::test]
async fn strangers_are_answered_and_sent_away() {
    let mut b = Station::start(B, "127.0.0.1:0").await;
    let other = ClusterId(78);
    let table = [
        (Hello { cluster: other, ..hello() }, Verdict::Cluster),
        (Hello { history: HistoryId(1), ..hello() }, Verdict::History),
        (Hello { to: NodeId(9), ..hello() }, Verdict::Node),
        (Hello { from: B, ..hello() }, Verdict::Dialer),
    ];
    for (hello, verdict) in table {
        let (stream, _, answer) = b.dial(hello).await;
        assert_eq!(answer, Answer { verdict, cluster: Some(CLUSTER), history: Some(HISTORY), node: B });
        closed(stream).await;
    }
    // What is no hello at all gets no answer, or a last one that says so.
    let mut envelope_first = Vec::new();
    encode_envelope(&heartbeat(A, B, 1), &mut envelope_first);
    let mut future_version = Vec::new();
    encode_frame(FrameKind::Hello, &[9, 0, 1], &mut future_version);
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), envelope_first, future_version] {
        let mut stream = RealNet.dial(&b.address).await.unwrap();
        write_all(&mut stream, &bytes).await.unwrap();
        closed(stream).await;
    }
    until(|| b.inbound.counters.refused_handshakes.total() == 7).await;
    assert!(b.inbound.events.try_recv().is_err(), "nothing of it reached the driver");
}

#[tokio::test]
async fn bytes_that_are_no_message_close_the_connection_and_are_counted() {
    let b = Station::start(B, "127.0.0.1:0").await;
    let misdirected = [heartbeat(A, NodeId(9), 1), heartbeat(NodeId(9), B, 1)].map(|envelope| {
        let mut bytes = Vec::new();
        encode_envelope(&envelope, &mut bytes);
        bytes
    });
    let mut not_a_message = Vec::new();
    encode_frame(FrameKind::Envelope, b"zebra", &mut not_a_message);
    let mut second_hello = Vec::new();
    encode_frame(FrameKind::Hello, &hello().encode(), &mut second_hello);
    let mut damaged = misdirected[0].clone();
    *damaged.last_mut().unwrap() ^= 1;
    let garbage = vec![0xff; 4096];

    let cases = misdirected.into_iter().chain([not_a_message, second_hello, damaged, garbage]);
    for (bytes, seen) in cases.zip(1..) {
        let (mut stream, _, answer) = b.dial(hello()).await;
        assert_eq!(answer.verdict, Verdict::Accepted);
        write_all(&mut stream, &bytes).await.unwrap();
        closed(stream).await;
        until(|| b.inbound.counters.malformed_frames.total() == seen).await;
    }
    // And the next peer is served as if nothing had been.
    assert_eq!(b.dial(hello()).await.2.verdict, Verdict::Accepted);
}

#[tokio::test]
async fn a_second_connection_of_a_peer_ends_the_first() {
    let b = Station::start(B, "127.0.0.1:0").await;
    let (first, _, _) = b.dial(hello()).await;
    let (_second, _, _) = b.dial(hello()).await;
    closed(first).await;
}

#[tokio::test]
async fn who_hears_shows_it() {
    let b = Station::start(B, "127.0.0.1:0").await;
    let (mut stream, mut decoder, _) = b.dial(hello()).await;
    let mut bytes = Vec::new();
    encode_envelope(&heartbeat(A, B, 1), &mut bytes);
    write_all(&mut stream, &bytes).await.unwrap();
    let mut bytes = [0; 1024];
    let answer = loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            break Answer::decode(frame.payload).unwrap();
        }
        let count = soon(read_some(&mut stream, &mut bytes)).await.unwrap();
        decoder.push(&bytes[..count]);
    };
    assert_eq!(
        answer,
        Answer { verdict: Verdict::Accepted, cluster: Some(CLUSTER), history: Some(HISTORY), node: B }
    );
}

#[tokio::test]
async fn a_peer_that_takes_everything_and_says_nothing_is_given_up() {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut listener = RealNet.listen("127.0.0.1:0").await.unwrap();
    a.links.follow(&knowing(B, &listener.local_address().unwrap().to_string()));
    a.links.send(heartbeat(A, B, 1));
    let _stream = accept_as_b(&mut listener).await;
    // The connection stays open; only the signs of life are missing.
    assert!(matches!(a.event().await, PeerEvent::Unreachable(B)));
}

#[tokio::test]
async fn what_waited_for_a_connection_that_broke_is_not_sent_on_the_next() {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut listener = RealNet.listen("127.0.0.1:0").await.unwrap();
    a.links.follow(&knowing(B, &listener.local_address().unwrap().to_string()));
    // More than the system's buffers take, so that most of it waits when the connection breaks.
    for index in 1..=15 {
        let payload = Payload::Command(vec![0; 1 << 20].into());
        let entries = vec![Entry { id: LogId::new(3, index), payload }];
        let message = Message::Append { prev: LogId::new(3, index - 1), entries, commit: Index(0) };
        a.links.send(Envelope { from: A, to: B, term: Term(3), message });
    }
    drop(accept_as_b(&mut listener).await);
    assert!(matches!(a.event().await, PeerEvent::Unreachable(B)));

    a.links.send(heartbeat(A, B, 7));
    let mut stream = accept_as_b(&mut listener).await;
    let mut decoder = FrameDecoder::new();
    let mut bytes = vec![0; 1 << 20];
    let first = loop {
        match decoder.next_frame().unwrap() {
            Some(frame) if frame.kind == FrameKind::Envelope => break codec::decode(frame.payload).unwrap(),
            Some(_) => {}
            None => {
                let count = soon(read_some(&mut stream, &mut bytes)).await.unwrap();
                assert_ne!(count, 0, "closed without a message");
                decoder.push(&bytes[..count]);
            }
        }
    };
    assert_eq!(heartbeat(A, B, 7), first);
}

#[tokio::test]
async fn a_probe_tells_who_is_there() {
    let b = Station::start(B, "127.0.0.1:0").await;
    let runtime = b.runtime;
    let local = Local::member(identity(A));
    let deadline = runtime.now() + Duration::from_secs(20);
    let ask = |peer: NodeId, address: String| {
        let local = &local;
        async move { probe(&runtime, &RealNet, local, peer, &address, deadline).await }
    };
    assert!(ask(B, b.address.clone()).await.is_ok());
    assert!(matches!(ask(NodeId(9), b.address.clone()).await, Err(ProbeError::WrongNode { seen: B })));
    assert!(matches!(ask(B, "127.0.0.1:1".to_owned()).await, Err(ProbeError::Unreachable { .. })));

    // One that waits to join answers too; one that belongs elsewhere refuses.
    let stranger = async |local: Local| {
        let listener = RealNet.listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_address().unwrap().to_string();
        (Inbound::start::<_, RealNet>(&runtime, listener, local), address)
    };
    let (_joiner, address) = stranger(Local::joining(B)).await;
    assert!(ask(B, address).await.is_ok());
    let (_foreigner, address) =
        stranger(Local::member(Identity { cluster: ClusterId(5), ..identity(B) })).await;
    assert!(matches!(ask(B, address).await, Err(ProbeError::Refused { .. })));
    let left_behind = Identity { history: HistoryId(5), ..identity(B) };
    let (_left_behind, address) = stranger(Local::member(left_behind)).await;
    let Err(ProbeError::Refused { reason }) = ask(B, address).await else { panic!("it was not refused") };
    assert!(reason.contains("another history") && reason.contains("00000005"), "{reason}");
}
