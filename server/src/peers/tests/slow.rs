//! Links that are slow, or stand still: what waits, for how long, and in how much memory.

use std::sync::Weak;

use super::*;
use crate::slow_relay::SlowRelay;

const MIB: usize = 1 << 20;

fn append(index: u64, value: Arc<[u8]>) -> Envelope {
    let entries = vec![Entry { id: LogId::new(3, index), payload: Payload::Command(value) }];
    let message = Message::Append { prev: LogId::new(3, index - 1), entries, commit: Index(0) };
    Envelope { from: A, to: B, term: Term(3), message }
}

/// Sends `count` appends of `bytes` at once over a slow link, and beside them heartbeats, until all have arrived. How
/// long the heartbeats took, from the shortest on.
async fn beside(count: u64, bytes: usize) -> Vec<Duration> {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut b = Station::start(B, "127.0.0.1:0").await;
    a.links.follow(&knowing(B, &SlowRelay::start(b.address.clone()).address));
    a.links.send(heartbeat(A, B, 0));
    b.message().await;
    for index in 1..=count {
        a.links.send(append(index, vec![7; bytes].into()));
    }
    let (mut sent, mut waits, mut appends) = (vec![a.runtime.now()], Vec::new(), 0);
    while appends < count {
        a.links.send(heartbeat(A, B, sent.len() as u64));
        sent.push(a.runtime.now());
        let next = a.runtime.now() + Duration::from_millis(50);
        while let Ok(envelope) = timeout_at(&a.runtime, next, b.message()).await {
            match envelope.message {
                Message::Append { .. } => {
                    appends += 1;
                    assert_eq!(envelope, append(appends, vec![7; bytes].into()), "whole, and in order");
                }
                Message::Heartbeat { round, .. } => {
                    waits.push(a.runtime.now().since(sent[usize::try_from(round).unwrap()]));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(a.runtime.now().since(sent[0]) < Duration::from_secs(30), "the link stands still");
    }
    waits.sort();
    waits
}

#[tokio::test]
async fn a_heartbeat_does_not_wait_for_megabytes() {
    for (count, bytes) in [(3, MIB), (100, 30_000)] {
        let waits = beside(count, bytes).await;
        let (usual, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        assert!(waits.len() > 30, "all of them arrive: {waits:?}");
        assert!(longest < Duration::from_millis(400), "usually {usual:?}, at the longest {longest:?}");
    }
}

#[tokio::test]
async fn a_peer_that_reads_nothing_costs_a_bounded_amount_of_memory() {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let mut listener = RealNet.listen("127.0.0.1:0").await.unwrap();
    a.links.follow(&knowing(B, &listener.local_address().unwrap().to_string()));
    a.links.send(heartbeat(A, B, 0));
    let _unread = accept_as_b(&mut listener).await;
    let held = |values: &[Weak<[u8]>]| values.iter().filter(|value| value.strong_count() > 0).count();
    let mut values: Vec<Weak<[u8]>> = Vec::new();
    for index in 1..=100 {
        let value: Arc<[u8]> = vec![7; MIB].into();
        values.push(Arc::downgrade(&value));
        a.links.send(append(index, value));
        for round in 0..100 {
            a.links.send(heartbeat(A, B, round));
        }
        assert!(held(&values) <= 17, "{} MiB are held for a peer that reads nothing", held(&values));
        a.runtime.sleep(Duration::from_millis(1)).await;
    }
    assert!(a.inbound.counters.dropped_messages.total() > 80);
    until(|| held(&values) == 0).await;
}

/// A driver that takes nothing: what arrives waits in bounded memory, and the rest at its sender.
#[tokio::test]
async fn a_driver_that_lags_is_not_buried() {
    let mut a = Station::start(A, "127.0.0.1:0").await;
    let b = Station::start(B, "127.0.0.1:0").await;
    a.links.follow(&knowing(B, &b.address));
    let mut pushed = 0;
    // Until the sender has no room either, which it would always have if the receiver did not hold back.
    soon(async {
        while a.inbound.counters.dropped_messages.total() == 0 {
            pushed += 1;
            a.links.send(append(pushed, vec![7; MIB].into()));
            a.runtime.sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    // The connection is an event too.
    assert!(b.inbound.events.len() <= 32 + 1, "{} MiB wait for the driver", b.inbound.events.len());
    assert!(pushed < 32 + 16 + 16, "{pushed} MiB are under way");
}
