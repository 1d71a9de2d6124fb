//! What a node answers before it belongs to a cluster.

use quorate_node::raft::NodeId;

use super::cluster::{Line, ask_raw, listen, soon};
use crate::http::serve_joining;
use crate::real::RealRuntime;
use crate::runtime::{Either, race};
use crate::shutdown::Shutdown;

#[tokio::test]
async fn a_node_that_waits_to_join_lives_and_says_so() {
    let (mut listener, address) = listen().await;
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
            ("GET /nowhere HTTP/1.1\r\n\r\n", "404", "route_not_found"),
            (&large, "503", r#""code":"no_leader""#),
        ];
        for (request, status, expected) in cases {
            let head = request.lines().next().unwrap();
            let answer = ask_raw(&address, request.as_bytes()).await;
            assert_eq!(&answer[9..12], status, "{head}");
            assert!(answer.contains(expected) && answer.contains("connection: close"), "{head}: {answer}");
        }
        // One that has not asked yet when the node has joined is sent away, to be served for real.
        let mut idle = Line::open(&address).await;
        over.begin();
        idle.closes().await;
    };
    match race(soon(asks), serve_joining(&runtime, &mut listener, &over, None)).await {
        Either::Left(()) => {}
        Either::Right(never) => match never {},
    }
}

#[tokio::test]
async fn a_node_that_lost_its_state_says_who_it_was() {
    let (mut listener, address) = listen().await;
    let (runtime, over) = (RealRuntime::start(), Shutdown::default());
    let former = NodeId(7);
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
    match race(soon(asks), serve_joining(&runtime, &mut listener, &over, Some(former))).await {
        Either::Left(()) => {}
        Either::Right(never) => match never {},
    }
}
