//! Writes that are repeated, by clients and by the proxy, and done once.

use std::sync::atomic::Ordering;

use hyper::Method;
use quorate_node::kv;

use super::cluster::{Answer, Cluster, Settings, listen, soon};
use super::proxying::{impostor, response};
use crate::net::{Listener, read_some, write_all};

const REPLAYED: Option<&str> = Some("true");

fn replayed(answer: &Answer) -> Option<&str> {
    answer.header("idempotency-replayed")
}

/// Method, target, a header of its own, body; the status of its answer.
type Case<'a> = (&'a str, &'a str, (&'a str, &'a str), &'a str, u16);

#[tokio::test]
async fn a_repeated_write_gets_the_answer_of_the_first() {
    let cluster = Cluster::start(3).await;
    let txn = r#"{"compare":[],"success":[{"put":{"key":"txn","value":"aGk="}},{"get":{"key":"txn"}}],"failure":[]}"#;
    let none = ("x-none", "");
    let cases: [Case<'_>; 10] = [
        ("PUT", "/key/a", none, "1", 200),
        ("PUT", "/key/a?ttl=1h", none, "1", 200),
        ("POST", "/key/a", none, "1", 200),
        ("PUT", "/key/a", ("if-match", "\"1234\""), "2", 412),
        ("PUT", "/key/a?lease=00000000000000a1", none, "1", 404),
        ("DELETE", "/key/a", none, "", 200),
        ("POST", "/txn", none, txn, 200),
        ("POST", "/leases", none, r#"{"ttl":"1h"}"#, 200),
        ("POST", "/leases/00000000000000a1/keepalive", none, "", 404),
        ("POST", "/data.json", none, r#"{"YQ==":"Yg=="}"#, 200),
    ];
    let [leader, follower] = cluster.both().await;
    for (number, (method, target, header, body, status)) in cases.into_iter().enumerate() {
        for (first, second) in [(leader, follower), (follower, leader)] {
            let key = format!("{number} {first}");
            let headers = [("idempotency-key", &*key), header];
            let ask = async |at: usize, target: &str| {
                cluster.ask_with(at, method.parse().unwrap(), target, &headers, body.as_bytes()).await
            };
            let once = ask(first, target).await;
            assert_eq!((once.status.as_u16(), replayed(&once)), (status, None), "{method} {target} {once:?}");
            let between = cluster.ask(first, Method::PUT, "/key/a", b"between").await;
            // How long it may take does not make it another request.
            let patient = format!("{target}{}timeout=20s", if target.contains('?') { '&' } else { '?' });
            for (at, target) in [(second, target), (first, &*patient)] {
                let again = ask(at, target).await;
                assert_eq!((again.status, replayed(&again)), (once.status, REPLAYED), "{method} {target}");
                assert_eq!(again.body, once.body, "{method} {target}");
                assert_eq!(again.header("etag"), once.header("etag"), "{method} {target}");
            }
            let read = cluster.ask(second, Method::GET, "/key/a", b"").await;
            assert_eq!((read.text(), read.header("etag")), ("between", between.header("etag")));
        }
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let cluster = Cluster::start(3).await;
    for at in cluster.both().await {
        let key = format!("key {at}");
        let ask = async |method: Method, target: &str, header: (&str, &str), body: &[u8]| {
            cluster.ask_with(at, method, target, &[("idempotency-key", &key), header], body).await
        };
        let none = ("x-none", "");
        assert_eq!(ask(Method::PUT, "/key/a", none, b"1").await.status, 200);
        let others = [
            ask(Method::PUT, "/key/a", none, b"2").await,
            ask(Method::POST, "/key/a", none, b"1").await,
            ask(Method::PUT, "/key/b", none, b"1").await,
            ask(Method::PUT, "/key/a?ttl=1h", none, b"1").await,
            ask(Method::PUT, "/key/a", ("if-match", "*"), b"1").await,
            ask(Method::DELETE, "/key/a", none, b"").await,
        ];
        for other in others {
            assert_eq!(other.refusal(), (422, "idempotency_mismatch".to_owned()));
            assert_eq!(replayed(&other), None);
        }
        assert_eq!(cluster.ask(at, Method::GET, "/key/a", b"").await.text(), "1");
    }
}

#[tokio::test]
async fn a_full_table_forgets_nothing_and_takes_no_more() {
    let store = kv::Settings { answers: 1, ..kv::Settings::default() };
    let cluster = Cluster::start_with(3, Settings { store, ..Settings::default() }).await;
    let [leader, follower] = cluster.both().await;
    let put = async |at: usize, key: &str| {
        cluster.ask_with(at, Method::PUT, "/key/a?timeout=20s", &[("idempotency-key", key)], b"1").await
    };
    // A leader's own limits are in force only once they were committed.
    soon(async {
        let mut number = 0;
        while put(leader, &format!("first {number}")).await.status == 200 {
            number += 1;
        }
    })
    .await;
    for at in [leader, follower] {
        let full = put(at, "another").await;
        assert_eq!(full.refusal(), (503, "idempotency_full".to_owned()));
        assert_eq!(full.header("retry-after"), Some("1"));
        for named in ["1 keys", "--idempotency-keys", "--idempotency-bytes"] {
            assert!(full.text().contains(named), "{full:?}");
        }
        assert_eq!(replayed(&put(at, "first 0").await), REPLAYED, "it is not forgotten");
        // Without a key there is nothing to be remembered.
        assert_eq!(cluster.ask(at, Method::PUT, "/key/a", b"2").await.status, 200);
    }
}

/// 1. A write with a key goes to a leader that takes it and says nothing. 2. Another node takes over. 3. The write goes
/// there, long before its deadline.
#[tokio::test]
async fn a_leader_that_is_silent_is_not_waited_for_when_there_is_another() {
    let (mut listener, address) = listen().await;
    let cluster = Cluster::start_advertising(3, &format!("http://{address}")).await;
    let leader = cluster.leader().await;
    let (follower, successor) = ((leader + 1) % 3, (leader + 2) % 3);
    let headers = [("idempotency-key", "k")];
    let written = cluster.ask_with(follower, Method::PUT, "/key/a?timeout=60s", &headers, b"value");
    let elsewhere = async {
        // Held, without a word, to the end.
        let silent = listener.accept().await.unwrap();
        let id = cluster.servers[successor].context.identity.node;
        let body = format!(r#"{{"ID":"{id}"}}"#);
        let moved = cluster.ask(leader, Method::POST, "/raft/transfer", body.as_bytes()).await;
        assert_eq!(moved.status, 200);
        let (mut second, _) = listener.accept().await.unwrap();
        let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
        while !seen.ends_with(b"value") {
            let count = read_some(&mut second, &mut chunk).await.unwrap();
            seen.extend_from_slice(&chunk[..count]);
        }
        write_all(&mut second, response("200 OK", "etag: \"7\"\r\n").as_bytes()).await.unwrap();
        silent
    };
    let (answer, _) = soon(async { tokio::join!(written, elsewhere) }).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"7\"")));
}

async fn put_through(url: &str, timeout: &str) -> Answer {
    let cluster = Cluster::start_advertising(3, url).await;
    let follower = cluster.follower().await;
    let target = format!("/key/a?timeout={timeout}");
    cluster.ask_with(follower, Method::PUT, &target, &[("idempotency-key", "k")], b"value").await
}

/// 1. The leader takes the write and its answer is lost. 2. It is busy, or about to end: that speaks of the second
/// attempt. 3. It answers.
#[tokio::test]
async fn a_write_with_a_key_is_sent_again_until_it_is_known_what_became_of_it() {
    let open = [
        response("503 Service Unavailable", "quorate-error: overloaded\r\n"),
        response("503 Service Unavailable", "quorate-error: idempotency_full\r\n"),
        response("507 Insufficient Storage", "quorate-error: disk_full\r\n"),
        response("504 Gateway Timeout", "quorate-error: outcome_unknown\r\n"),
        String::new(),
    ];
    for second in open {
        let done = response("200 OK", "etag: \"7\"\r\n");
        let (url, asked) = impostor(vec![String::new(), second.clone(), done]).await;
        let answer = put_through(&url, "20s").await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"7\"")), "{second}");
        assert_eq!(asked.load(Ordering::SeqCst), 3, "{second}");
    }
}

#[tokio::test]
async fn what_is_said_of_the_request_itself_is_its_answer() {
    for definite in ["412 Precondition Failed", "422 Unprocessable Entity", "404 Not Found"] {
        let (url, asked) = impostor(vec![String::new(), response(definite, "quorate-error: x\r\n")]).await;
        assert_eq!(put_through(&url, "20s").await.status.as_u16().to_string(), definite[..3]);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn what_is_not_known_at_the_deadline_is_said_to_be_unknown() {
    let overloaded = response("503 Service Unavailable", "quorate-error: overloaded\r\n");
    for later in [String::new(), overloaded] {
        let (url, asked) = impostor(vec![String::new(), later]).await;
        let answer = put_through(&url, "500ms").await;
        assert_eq!(answer.refusal(), (504, "outcome_unknown".to_owned()));
        assert!(asked.load(Ordering::SeqCst) > 1);
    }
}

#[tokio::test]
async fn what_was_surely_not_done_is_not_said_to_be_unknown() {
    let overloaded = response("503 Service Unavailable", "quorate-error: overloaded\r\n");
    let (url, asked) = impostor(vec![overloaded]).await;
    assert_eq!(put_through(&url, "20s").await.status, 503);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
