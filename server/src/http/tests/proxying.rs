//! What a follower passes on, to leaders good and bad.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Method;
use quorate_node::raft::NodeId;

use super::cluster::{Cluster, HISTORY, Line, listen, read_to_end, soon};
use crate::net::{Listener, Net, read_some, write_all};
use crate::real::{RealNet, RealRuntime};
use crate::runtime::Runtime;

#[tokio::test]
async fn every_node_takes_every_request() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for at in 0..3 {
        let target = format!("/key/from-{at}?timeout=10s");
        let written = cluster.ask(at, Method::PUT, &target, format!("value {at}").as_bytes()).await;
        assert_eq!((written.status.as_u16(), written.text()), (200, r#"{"status":"success"}"#));
        assert_eq!(written.header("content-type"), Some("application/json; charset=utf-8"));
        let revision = written.header("quorate-revision").unwrap();
        assert_eq!(written.header("etag"), Some(&*format!("\"{revision}\"")));
        assert_eq!(written.header("quorate-history"), Some(&*HISTORY.to_string()));
        // What was acknowledged is read on every node, at once.
        for reader in 0..3 {
            let read = cluster.ask(reader, Method::GET, &target, b"").await;
            assert_eq!(read.text(), format!("value {at}"));
        }
    }
    let follower = (leader + 1) % 3;
    assert_eq!(cluster.ask(follower, Method::DELETE, "/key/from-0", b"").await.status, 200);
    assert_eq!(cluster.ask(leader, Method::GET, "/key/from-0", b"").await.status, 404);
    let members: Vec<_> =
        [leader, follower].map(|at| cluster.ask(at, Method::GET, "/raft/members", b"")).into();
    let mut texts = Vec::new();
    for answer in members {
        texts.push(answer.await.text().to_owned());
    }
    assert_eq!(texts[0], texts[1]);
    // The leader's refusals come through as they are.
    let promote = format!(r#"{{"ID":"{}"}}"#, NodeId(9));
    let answer = cluster.ask(follower, Method::POST, "/raft/promote", promote.as_bytes()).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (404, "member_not_found"));
}

#[tokio::test]
async fn a_connection_serves_many_forwarded_requests() {
    let cluster = Cluster::start(3).await;
    let mut line = Line::open(&cluster.addresses[cluster.follower().await]).await;
    for number in 0..100 {
        let value = "v".repeat(number);
        let request = format!(
            "PUT /key/{number} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {number}\r\n\r\n{value}"
        );
        assert_eq!(line.ask(&request).await, (200, r#"{"status":"success"}"#.to_owned()));
        let request = format!("GET /key/{number} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        assert_eq!(line.ask(&request).await, (200, value));
    }
}

#[tokio::test]
async fn a_peer_that_asks_the_wrong_node_is_told_whom_to_ask() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    let (peer, history) = (NodeId(9).to_string(), HISTORY.to_string());
    let forwarded = [("quorate-forwarded", &*peer), ("quorate-history", &*history)];
    let answer = cluster.ask_with(follower, Method::PUT, "/key/a", &forwarded, b"1").await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (421, "not_leader"));
    assert_eq!(answer.header("quorate-leader"), Some(&*format!("http://{}", cluster.addresses[leader])));
    assert_eq!(cluster.ask_with(leader, Method::PUT, "/key/a", &forwarded, b"1").await.status, 200);

    // A peer of another history has come to the wrong cluster.
    let stranger = [("quorate-forwarded", &*peer), ("quorate-history", &*peer)];
    let answer = cluster.ask_with(leader, Method::PUT, "/key/a", &stranger, b"2").await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (421, "not_leader"));
    assert_eq!(cluster.ask(leader, Method::GET, "/key/a", b"").await.text(), "1");
}

#[tokio::test]
async fn without_a_majority_the_deadline_holds_and_says_what_is_known() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let alone = (leader + 1) % 3;
    cluster.ask(alone, Method::PUT, "/key/a", b"1").await;
    assert_eq!(cluster.ask(alone, Method::GET, "/key/a", b"").await.text(), "1");
    for at in (0..3).filter(|at| *at != alone) {
        cluster.servers[at].stop().await;
    }
    // It may have been handed the office, which it holds until it notices that it is alone.
    let ready = soon(async {
        loop {
            let ready = cluster.ask(alone, Method::GET, "/readyz", b"").await;
            if ready.status != 200 {
                return ready;
            }
            RealRuntime::start().sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().starts_with(r#"{"status":"failed","checks":{"leader":"failed","#), "{ready:?}");
    let read = cluster.ask(alone, Method::GET, "/key/a?timeout=200ms", b"").await;
    assert_eq!((read.status.as_u16(), &*read.code()), (503, "no_leader"));
    assert_eq!(read.header("retry-after"), Some("1"));
    let stale = cluster.ask(alone, Method::GET, "/key/a?timeout=200ms&consistency=stale", b"").await;
    assert_eq!(stale.text(), "1");
    let write = cluster.ask(alone, Method::PUT, "/key/a?timeout=200ms", b"2").await;
    assert_eq!(
        (write.status.as_u16(), &*write.code()),
        (503, "no_leader"),
        "a leader that is gone takes no write"
    );
    let members = cluster.ask(alone, Method::GET, "/raft/members?consistency=stale", b"").await;
    assert_eq!(members.status, 200);
    assert_eq!(cluster.ask(alone, Method::GET, "/livez", b"").await.status, 200);
}

/// Stands where the leader should be, and answers each connection's first request, a `GET` or one whose body is
/// `value`, as it is told. The last of `answers` repeats; an empty one closes the connection without an answer.
pub(super) async fn impostor(answers: Vec<String>) -> (String, Arc<AtomicUsize>) {
    let (mut listener, address) = listen().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    RealRuntime::start().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Vec::new();
            let mut chunk = [0; 4096];
            let is_whole = |seen: &[u8]| {
                seen.ends_with(b"value") || seen.starts_with(b"GET ") && seen.ends_with(b"\r\n\r\n")
            };
            while !is_whole(&seen) {
                match read_some(&mut stream, &mut chunk).await {
                    Ok(received) if received > 0 => seen.extend_from_slice(&chunk[..received]),
                    _ => break,
                }
            }
            let number = count.fetch_add(1, Ordering::SeqCst);
            let answer = answers.get(number).or(answers.last()).expect("there is an answer");
            let _ = write_all(&mut stream, answer.as_bytes()).await;
        }
    });
    (format!("http://{address}"), asked)
}

pub(super) fn response(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\nquorate-history: {HISTORY}\r\n{headers}content-length: 2\r\n\r\n{{}}")
}

async fn put_through(url: &str, timeout: &str) -> super::cluster::Answer {
    let cluster = Cluster::start_advertising(3, url).await;
    let follower = cluster.follower().await;
    cluster.ask(follower, Method::PUT, &format!("/key/a?timeout={timeout}"), b"value").await
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_sent_again() {
    let (url, asked) = impostor(vec![String::new()]).await;
    let answer = put_through(&url, "5s").await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (504, "outcome_unknown"));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

async fn read_through(url: &str, timeout: &str) -> super::cluster::Answer {
    let cluster = Cluster::start_advertising(3, url).await;
    let follower = cluster.follower().await;
    let target = format!("/leases/00000000000000a1?timeout={timeout}");
    cluster.ask(follower, Method::GET, &target, b"").await
}

/// 1. The leader takes a read and dies, or is another by now, or does not know. 2. A read changes nothing: it is sent
/// again.
#[tokio::test]
async fn a_read_whose_answer_is_lost_is_sent_again() {
    let lost = [
        String::new(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_owned(),
        response("504 Gateway Timeout", "quorate-error: outcome_unknown\r\n"),
    ];
    let (url, asked) = impostor([&lost[..], &[response("200 OK", "")]].concat()).await;
    let answer = read_through(&url, "20s").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_read_that_nobody_answers_until_the_deadline_met_no_leader() {
    let unknown = response("504 Gateway Timeout", "quorate-error: outcome_unknown\r\n");
    for lost in [String::new(), unknown] {
        let (url, asked) = impostor(vec![lost]).await;
        assert_eq!(read_through(&url, "500ms").await.refusal(), (503, "no_leader".to_owned()));
        assert!(asked.load(Ordering::SeqCst) > 1);
    }
}

#[tokio::test]
async fn a_write_that_certainly_did_nothing_is_sent_again() {
    let refusals = [
        response("421 Misdirected Request", "quorate-error: not_leader\r\n"),
        response("503 Service Unavailable", "quorate-error: shutting_down\r\n"),
    ];
    for refusal in refusals {
        let done = response("200 OK", "etag: \"7\"\r\n");
        let (url, asked) = impostor(vec![refusal.clone(), refusal, done]).await;
        let answer = put_through(&url, "5s").await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"7\"")));
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test]
async fn another_refusal_is_the_answer() {
    let (url, asked) =
        impostor(vec![response("421 Misdirected Request", "quorate-error: wrong_host\r\n")]).await;
    assert_eq!(put_through(&url, "5s").await.status, 421);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_of_strangers_is_not_believed() {
    let (url, asked) = impostor(vec!["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_owned()]).await;
    let answer = put_through(&url, "5s").await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (504, "outcome_unknown"));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_leader_that_cannot_be_dialed_has_done_nothing() {
    // Bound and not listening: nobody answers there, and no other test is given the port.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = silent.local_addr().unwrap();
    let answer = put_through(&format!("http://{address}"), "300ms").await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (503, "no_leader"));
}

/// 1. A write is forwarded; its connection is kept. 2. The leader closes it. 3. The next write finds it closed before a
/// byte of it is sent, and takes a new one.
#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_nothing() {
    let (url, asked) = impostor(vec![response("200 OK", "")]).await;
    let cluster = Cluster::start_advertising(3, &url).await;
    let follower = cluster.follower().await;
    for number in 1..=20 {
        let answer = cluster.ask(follower, Method::PUT, "/key/a", b"value").await;
        // Between the close and its arrival a write can be sent into the void; nobody can tell then.
        assert!([200, 504].contains(&answer.status.as_u16()), "{answer:?}");
        assert!(asked.load(Ordering::SeqCst) <= number, "a write was sent twice");
    }
}

/// What goes to the leader: the client's request, and the marks that keep it from going round.
#[tokio::test]
async fn a_forwarded_request_is_marked() {
    let (mut listener, address) = listen().await;
    let cluster = Cluster::start_advertising(3, &format!("http://{address}")).await;
    let follower = cluster.follower().await;
    let heard = tokio::sync::oneshot::channel();
    RealRuntime::start().spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        let mut chunk = [0; 4096];
        while !seen.ends_with(b"value") {
            let count = read_some(&mut stream, &mut chunk).await.unwrap();
            seen.extend_from_slice(&chunk[..count]);
        }
        write_all(&mut stream, response("200 OK", "connection: close\r\n").as_bytes()).await.unwrap();
        let _ = heard.0.send(String::from_utf8(seen).unwrap());
    });
    let traceparent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let headers = [("content-type", "text/plain"), traceparent, ("cookie", "secret"), ("x-other", "1")];
    let target = "/key/a%2Fb?timeout=3s";
    let answer = cluster.ask_with(follower, Method::PUT, target, &headers, b"value").await;
    assert_eq!((answer.status.as_u16(), answer.text(), answer.header("connection")), (200, "{}", None));

    let heard = soon(heard.1).await.unwrap();
    assert!(heard.starts_with("PUT /key/a%2Fb?timeout=3s HTTP/1.1\r\n"), "{heard}");
    let own_id = cluster.servers[follower].context.identity.node;
    assert_eq!(answer.header("via"), Some(&*format!("1.1 {own_id}")));
    let expected = [
        format!("host: {address}"),
        format!("quorate-forwarded: {own_id}"),
        format!("quorate-history: {HISTORY}"),
        "content-type: text/plain".to_owned(),
        "content-length: 5".to_owned(),
        // A node that makes no span of its own hands the client's on.
        format!("traceparent: {}", traceparent.1),
    ];
    for line in expected {
        assert!(heard.contains(&format!("{line}\r\n")), "{heard} should have {line}");
    }
    let timeout = heard.lines().find_map(|line| line.strip_prefix("quorate-timeout: ")).unwrap();
    let milliseconds: u64 = timeout.strip_suffix("ms").unwrap().parse().unwrap();
    assert!((1..=2700).contains(&milliseconds), "less than what the client gave: {timeout}");
    assert!(!heard.contains("cookie") && !heard.contains("x-other"), "{heard}");
}

/// A value of a mebibyte, there and back through two servers, and a client that goes away in the middle.
#[tokio::test]
async fn large_bodies_pass_through() {
    let cluster = Cluster::start(3).await;
    let follower = cluster.follower().await;
    let value = vec![b'v'; 1 << 20];
    assert_eq!(cluster.ask(follower, Method::PUT, "/key/large", &value).await.status, 200);
    let mut stream = RealNet.dial(&cluster.addresses[follower]).await.unwrap();
    write_all(&mut stream, b"PUT /key/half HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf")
        .await
        .unwrap();
    drop(stream);
    let mut stream = RealNet.dial(&cluster.addresses[follower]).await.unwrap();
    let get = b"GET /key/large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    write_all(&mut stream, get).await.unwrap();
    let answer = soon(read_to_end(&mut stream)).await;
    assert!(answer.as_bytes().ends_with(&value));
    assert_eq!(cluster.ask(follower, Method::GET, "/key/half", b"").await.status, 404);
}
