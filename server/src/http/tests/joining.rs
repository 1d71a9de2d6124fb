//! What a node answers before it belongs to a cluster.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use quorate_node::raft::NodeId;
use quorate_node::wire::{ClusterId, HistoryId};

use super::cluster::{Line, ask_raw, listen, soon};
use crate::context::Identity;
use crate::http::{Lender, Reception, WaitsFor, serve_joining};
use crate::real::RealRuntime;
use crate::runtime::{Either, race};
use crate::shutdown::Shutdown;

#[tokio::test]
async fn a_node_that_waits_to_join_lives_and_says_so() {
    let (listener, address) = listen().await;
    let mut reception = Reception { listener, guard: None };
    let (runtime, over) = (RealRuntime::start(), Shutdown::default());
    let asks = async {
        let large =
            format!("PUT /key/a HTTP/1.1\r\ncontent-length: 4000000\r\n\r\n{}", "a".repeat(4_000_000));
        let cases = [
            ("GET /livez HTTP/1.1\r\n\r\n", "200", r#"{"status":"ok"}"#),
            ("GET /readyz HTTP/1.1\r\n\r\n", "503", r#""membership":"failed""#),
            ("GET /readyz?verbose HTTP/1.1\r\n\r\n", "503", "still joining"),
            ("GET /key/a HTTP/1.1\r\n\r\n", "503", r#""code":"no_leader""#),
            ("GET /raft/status HTTP/1.1\r\n\r\n", "503", "quorate-error: no_leader"),
            ("GET / HTTP/1.1\r\n\r\n", "503", r#""code":"no_leader""#),
            ("GET / HTTP/1.1\r\naccept: text/html\r\n\r\n", "200", "<!doctype html>"),
            ("GET /nowhere HTTP/1.1\r\n\r\n", "404", "route_not_found"),
            (&large, "503", r#""code":"no_leader""#),
        ];
        for (request, status, expected) in cases {
            let head = request.lines().next().unwrap();
            let answer = ask_raw(&address, request.as_bytes()).await;
            assert_eq!(&answer[9..12], status, "{head}");
            assert!(answer.contains(expected) && answer.contains("connection: close"), "{head}: {answer}");
            assert!(answer.contains("x-request-id: "), "{head}: {answer}");
        }
        let named = ask_raw(&address, b"GET /key/a HTTP/1.1\r\nx-request-id: order-17\r\n\r\n").await;
        assert!(named.contains("x-request-id: order-17\r\n"), "{named}");
        // One that has not asked yet when the node has joined is sent away, to be served for real.
        let mut idle = Line::open(&address).await;
        over.begin();
        idle.closes().await;
    };
    match race(soon(asks), serve_joining(&runtime, &mut reception, &over, &WaitsFor::Cluster)).await {
        Either::Left(()) => {}
        Either::Right(never) => match never {},
    }
}

#[tokio::test]
async fn a_node_that_lost_its_state_says_who_it_was() {
    let (listener, address) = listen().await;
    let mut reception = Reception { listener, guard: None };
    let (runtime, over) = (RealRuntime::start(), Shutdown::default());
    let former = NodeId(7);
    let place = tempfile::tempdir().unwrap();
    let identity = Identity { node: former, cluster: ClusterId(8), history: HistoryId(9) };
    let waits = WaitsFor::Successor(lender(identity, place.path()));
    let asks = async {
        for (request, status, expected) in [
            ("GET /livez HTTP/1.1\r\n\r\n", "200", "ok".to_owned()),
            ("GET /readyz?verbose HTTP/1.1\r\n\r\n", "503", format!("this node was {former}")),
            ("GET /raft/status HTTP/1.1\r\n\r\n", "503", format!("quorate-lost: {former}")),
            ("GET /key/a HTTP/1.1\r\n\r\n", "503", r#""code":"no_leader""#.to_owned()),
        ] {
            let answer = ask_raw(&address, request.as_bytes()).await;
            assert_eq!(&answer[9..12], status, "{request}");
            assert!(answer.contains(&expected), "{request}: {answer}");
        }
    };
    match race(soon(asks), serve_joining(&runtime, &mut reception, &over, &waits)).await {
        Either::Left(()) => {}
        Either::Right(never) => match never {},
    }
}

fn lender(identity: Identity, place: &Path) -> Lender {
    Lender { identity, place: place.to_owned(), gets_on: Arc::new(true.into()) }
}

/// What it has not got yet it may have soon, until it gets no further itself.
#[tokio::test]
async fn a_node_that_mends_its_checkpoints_lends_what_is_sound() {
    let (listener, address) = listen().await;
    let mut reception = Reception { listener, guard: None };
    let (runtime, over) = (RealRuntime::start(), Shutdown::default());
    let place = tempfile::tempdir().unwrap();
    let identity = Identity { node: NodeId(7), cluster: ClusterId(8), history: HistoryId(9) };
    let lender = lender(identity, place.path());
    let gets_on = Arc::clone(&lender.gets_on);
    let run = format!("GET /raft/runs/{} HTTP/1.1\r\n\r\n", "ab".repeat(32));
    let asks = async {
        let list = ask_raw(&address, b"GET /raft/checkpoints HTTP/1.1\r\n\r\n").await;
        assert_eq!(&list[9..12], "200", "{list}");
        for header in [
            "quorate-cluster: 00000000000000000000000000000008",
            "quorate-history: 00000000000000000000000000000009",
        ] {
            assert!(list.contains(header), "{list}");
        }
        let later = ask_raw(&address, run.as_bytes()).await;
        assert!(later.contains("503") && later.contains("mends them with pieces from its peers"), "{later}");
        gets_on.store(false, Ordering::Relaxed);
        let never = ask_raw(&address, run.as_bytes()).await;
        assert!(never.contains("404") && never.contains("not_lent"), "{never}");
        let ready = ask_raw(&address, b"GET /readyz?verbose HTTP/1.1\r\n\r\n").await;
        assert!(ready.contains("its checkpoints are damaged"), "{ready}");
    };
    let waits = WaitsFor::Pieces(lender);
    match race(soon(asks), serve_joining(&runtime, &mut reception, &over, &waits)).await {
        Either::Left(()) => {}
        Either::Right(never) => match never {},
    }
}
