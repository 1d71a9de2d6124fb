//! What is too large, too slow, or no HTTP at all.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::Method;
use quorate_storage::data_json;
use tokio::sync::mpsc;

use super::cluster::{Answer, Cluster, LIMITS, Settings, ask_raw, read_to_end, soon};
use crate::context::Limits;
use crate::net::{Net, read_some, write_all};
use crate::real::{RealNet, RealRuntime};
use crate::runtime::{Runtime, timeout_at};

#[tokio::test]
async fn a_value_may_have_just_so_many_bytes() {
    let cluster = Cluster::start(1).await;
    let largest = vec![b'v'; LIMITS.value_bytes];
    assert_eq!(cluster.ask(0, Method::PUT, "/key/large", &largest).await.status, 200);
    assert_eq!(cluster.ask(0, Method::GET, "/key/large", b"").await.body, largest);

    // The client sends it all, and still gets the answer.
    for bytes in [LIMITS.value_bytes + 1, 3 * LIMITS.value_bytes] {
        let refused = cluster.ask(0, Method::PUT, "/key/larger", &vec![b'v'; bytes]).await;
        assert_eq!((refused.status.as_u16(), &*refused.code()), (413, "value_too_large"));
        assert_eq!(refused.header("connection"), Some("close"));
        let text = refused.text();
        for named in [bytes.to_string(), LIMITS.value_bytes.to_string(), "--max-value-bytes".to_owned()] {
            assert!(text.contains(&named), "{text} should name {named}");
        }
    }
    let refused = cluster.ask(0, Method::POST, "/raft/add", &vec![b' '; LIMITS.request_bytes + 1]).await;
    assert_eq!((refused.status.as_u16(), &*refused.code()), (413, "request_too_large"));
    assert!(refused.text().contains("--max-request-bytes"));
    assert_eq!(cluster.ask(0, Method::GET, "/key/larger", b"").await.status, 404);
}

#[tokio::test]
async fn a_full_disk_refuses_what_needs_space_and_nothing_else() {
    static FULL: AtomicBool = AtomicBool::new(true);
    let full = Settings { is_full: Some(&FULL), ..Settings::default() };
    for nodes in [1, 3] {
        let cluster = Cluster::start_with(nodes, full).await;
        for at in 0..nodes {
            let refused = cluster.ask(at, Method::PUT, "/key/a", b"value").await;
            assert_eq!(
                (refused.status.as_u16(), &*refused.code()),
                (507, "disk_full"),
                "node {at} of {nodes}"
            );
            assert_eq!(refused.header("quorate-error"), Some("disk_full"));
            assert_eq!(cluster.ask(at, Method::DELETE, "/key/a", b"").await.status, 200);
            assert_eq!(cluster.ask(at, Method::GET, "/key/a", b"").await.status, 404);
        }
        let ready = cluster.ask(0, Method::GET, "/readyz?verbose", b"").await;
        assert_eq!(ready.status, 200, "reads and deletes go on: {}", ready.text());
        assert!(ready.text().contains("the disk is full"), "{}", ready.text());
    }
}

#[tokio::test]
async fn a_declared_length_is_refused_before_it_is_sent() {
    let cluster = Cluster::start(1).await;
    let head = "PUT /key/a HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9999999999\r\n\r\n";
    let answer = ask_raw(&cluster.addresses[0], head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("value_too_large") && answer.contains("9999999999"), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_is_refused_when_it_goes_over() {
    let cluster = Cluster::start(1).await;
    let head = "PUT /key/a HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut bytes = head.as_bytes().to_vec();
    for _ in 0..20 {
        bytes.extend_from_slice(b"10000\r\n");
        bytes.extend_from_slice(&vec![b'v'; 0x10000]);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let answer = ask_raw(&cluster.addresses[0], &bytes).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("value_too_large"), "{answer}");

    let mut bytes = head.as_bytes().to_vec();
    bytes.extend_from_slice(b"3\r\none\r\n4\r\n two\r\n0\r\n\r\n");
    bytes.extend_from_slice(b"GET /key/a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let answers = ask_raw(&cluster.addresses[0], &bytes).await;
    assert!(answers.contains("{\"status\":\"success\"}") && answers.ends_with("one two"), "{answers}");
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_nothing_breaks() {
    let cluster = Cluster::start(1).await;
    let cases: [(&[u8], &str); 8] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", "HTTP/1.1 400 "),
        (b"GET /livez\r\n\r\n", "HTTP/1.1 400 "),
        (b"GET /livez HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n", "HTTP/1.1 400 "),
        (b"GET /key/\xff HTTP/1.1\r\nhost: localhost\r\n\r\n", "HTTP/1.1 400 "),
        (b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n", "HTTP/1.1 400 "),
        (b"PUT /key/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n", "HTTP/1.1 400 "),
        (b"GET /livez HTTP/1.0\r\n\r\n", "HTTP/1.0 200 "),
        (b"GET http://localhost/livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "HTTP/1.1 200 "),
    ];
    for (bytes, expected) in cases {
        let answer = ask_raw(&cluster.addresses[0], bytes).await;
        assert!(answer.starts_with(expected), "{:?} gave {answer}", String::from_utf8_lossy(bytes));
    }
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    let head = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{many}\r\n");
    let answer = ask_raw(&cluster.addresses[0], head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(cluster.ask(0, Method::GET, "/livez", b"").await.status, 200);
}

/// The time that a request may take is the cluster's: a body that comes slowly has a limit of its own.
#[tokio::test]
async fn a_slow_body_leaves_the_request_its_time() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for at in [leader, (leader + 1) % 3] {
        let mut stream = soon(RealNet.dial(&cluster.addresses[at])).await.unwrap();
        let head = format!(
            "PUT /key/slow-{at}?timeout=1s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-length: 4\r\n\r\nsl"
        );
        soon(write_all(&mut stream, head.as_bytes())).await.unwrap();
        RealRuntime::start().sleep(Duration::from_millis(1_100)).await;
        soon(write_all(&mut stream, b"ow")).await.unwrap();
        let answer = soon(read_to_end(&mut stream)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "node {at} gave {answer}");
    }
}

/// 1. Somebody sends a value slowly to the leader. 2. The leader is told to end. While it waits for the rest, nobody
/// can write: it takes no new requests, and leads. So it doesn't wait long, and says that nothing was done.
#[tokio::test]
async fn a_slow_body_does_not_hold_up_the_end() {
    let cluster = Cluster::start(1).await;
    let mut stream = soon(RealNet.dial(&cluster.addresses[0])).await.unwrap();
    let head = b"PUT /key/a HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    soon(write_all(&mut stream, head)).await.unwrap();
    let mut continued = [0; 256];
    let count = soon(read_some(&mut stream, &mut continued)).await.unwrap();
    assert!(continued[..count].starts_with(b"HTTP/1.1 100 "), "the body is being waited for");
    soon(write_all(&mut stream, b"sl")).await.unwrap();

    let runtime = RealRuntime::start();
    let patience = runtime.now() + Duration::from_secs(6);
    timeout_at(&runtime, patience, cluster.servers[0].stop()).await.expect("it ends soon");
    let answer = soon(read_to_end(&mut stream)).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("shutting_down"), "{answer}");
}

/// Base64 makes four bytes of three: what counts is what is stored.
#[tokio::test]
async fn an_import_is_measured_decoded() {
    let limits = Limits { value_bytes: 3_000, request_bytes: 6_000, ..LIMITS };
    let cluster = Cluster::start_with(1, Settings { limits, ..Settings::default() }).await;
    let file = |sizes: &[usize]| {
        let entries = sizes.iter().zip(b'a'..).map(|(size, key)| (vec![key], vec![b'v'; *size]));
        let entries: Vec<_> = entries.collect();
        data_json::encode(entries.iter().map(|(key, value)| (&**key, &**value)))
    };
    // With their keys exactly as much as there may be, in a body a third larger.
    let largest = file(&[3_000, 2_998]);
    assert!(largest.len() > 8_000);
    assert_eq!(cluster.ask(0, Method::POST, "/data.json", &largest).await.status, 200);
    assert_eq!(cluster.ask(0, Method::GET, "/key/a", b"").await.body, vec![b'v'; 3_000]);

    let cases: [(&[usize], &str, &[&str]); 3] = [
        (&[3_000, 2_999], "request_too_large", &["6001", "6000", "--max-request-bytes"]),
        (&[3_000, 3_000, 3_000, 3_000], "request_too_large", &["12000", "--max-request-bytes"]),
        (&[10, 3_001], "value_too_large", &["\"b\"", "3001", "3000", "--max-value-bytes"]),
    ];
    for (sizes, code, named) in cases {
        let refused = cluster.ask(0, Method::POST, "/data.json", &file(sizes)).await;
        assert_eq!((refused.status.as_u16(), &*refused.code()), (413, code), "{sizes:?}");
        let text: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
        let text = text["error"].as_str().unwrap();
        assert!(named.iter().all(|name| text.contains(name)), "{text} should name {named:?}");
    }
    assert_eq!(
        cluster.ask(0, Method::GET, "/key/b", b"").await.body.len(),
        2_998,
        "nothing of them was taken"
    );
}

/// 1. As many connections as there may be, on which nobody asks anything, or only begins to. 2. Whoever comes is served
/// all the same: those that have waited for longest are closed.
#[tokio::test]
async fn connections_that_do_nothing_keep_nobody_out() {
    let limits = Limits { connections: 4, ..LIMITS };
    let cluster = Cluster::start_with(1, Settings { limits, ..Settings::default() }).await;
    let mut idle = Vec::new();
    for number in 0..8 {
        let mut stream = soon(RealNet.dial(&cluster.addresses[0])).await.unwrap();
        if number % 2 == 0 {
            soon(write_all(&mut stream, b"GET /livez HTTP/1.1\r\nhost: loc")).await.unwrap();
        }
        idle.push(stream);
        assert_eq!(cluster.ask(0, Method::PUT, "/key/a", b"v").await.status, 200);
    }
    for stream in &mut idle[..4] {
        // A reset is an end as well.
        let ended = soon(read_some(stream, &mut [0; 16])).await;
        assert!(ended.is_err() || ended.is_ok_and(|bytes| bytes == 0));
    }
}

async fn watching(cluster: &Cluster) -> <RealNet as Net>::Stream {
    let mut stream = soon(RealNet.dial(&cluster.addresses[0])).await.unwrap();
    soon(write_all(&mut stream, b"GET /watch?prefix= HTTP/1.1\r\nhost: localhost\r\n\r\n")).await.unwrap();
    let mut head = [0; 16];
    soon(read_some(&mut stream, &mut head)).await.unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
    stream
}

#[tokio::test]
async fn a_newcomer_is_told_when_there_is_no_connection_to_be_had() {
    let limits = Limits { connections: 2, ..LIMITS };
    let cluster = Cluster::start_with(1, Settings { limits, ..Settings::default() }).await;
    let watches = [watching(&cluster).await, watching(&cluster).await];
    for target in ["/key/a", "/livez"] {
        let refused = cluster.ask(0, Method::GET, target, b"").await;
        assert_overloaded(&refused);
        assert_eq!(refused.header("connection"), Some("close"));
        assert!(refused.header("quorate-history").is_some());
        assert!(refused.text().contains("--max-connections"), "{}", refused.text());
    }
    drop(watches);
    soon(async { while cluster.ask(0, Method::GET, "/livez", b"").await.status != 200 {} }).await;
}

#[tokio::test]
async fn there_are_only_so_many_watches() {
    let limits = Limits { watchers: 1, ..LIMITS };
    let cluster = Cluster::start_with(1, Settings { limits, ..Settings::default() }).await;
    let watch = watching(&cluster).await;
    let refused = cluster.ask(0, Method::GET, "/watch?key=a", b"").await;
    assert_overloaded(&refused);
    assert!(refused.text().contains("--max-watchers"), "{}", refused.text());
    assert_eq!(cluster.ask(0, Method::HEAD, "/watch?key=a", b"").await.status, 200);
    drop(watch);
    let watches = || cluster.servers[0].context.watches.counts().watchers;
    soon(async {
        while watches() > 0 {
            RealRuntime::start().sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    watching(&cluster).await;
}

fn assert_overloaded(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), &*answer.code()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

/// 1. Bodies that come slowly fill what bodies may take up, at a follower, which would pass them on. 2. Others are
/// refused at once, and those without a body are not. 3. When a slow one is gone, there is room again.
#[tokio::test]
async fn what_bodies_take_up_has_a_limit() {
    let limits = Limits { value_bytes: 1_000, request_bytes: 1_000, pending_bytes: 2_000, ..LIMITS };
    let cluster = Cluster::start_with(3, Settings { limits, ..Settings::default() }).await;
    let follower = cluster.follower().await;
    assert_eq!(cluster.ask(follower, Method::PUT, "/key/a", b"v").await.status, 200);
    let head = b"PUT /key/slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n";
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = soon(RealNet.dial(&cluster.addresses[follower])).await.unwrap();
        soon(write_all(&mut stream, &[head.as_slice(), &[b's'; 999]].concat())).await.unwrap();
        slow.push(stream);
    }
    let value = [b'v'; 500];
    let mut refused = soon(async {
        loop {
            // The slow ones may not have been read yet.
            let answer = cluster.ask(follower, Method::PUT, "/key/a", &value).await;
            if answer.status != 200 {
                return answer;
            }
        }
    })
    .await;
    for _ in 0..10 {
        assert_overloaded(&refused);
        assert!(refused.text().contains("1998") || refused.text().contains("2000"), "{}", refused.text());
        assert!(refused.text().contains("--max-pending-bytes"));
        refused = cluster.ask(follower, Method::PUT, "/key/a", &value).await;
    }
    assert_eq!(cluster.ask(follower, Method::GET, "/key/a", b"").await.status, 200);
    assert_eq!(cluster.ask(follower, Method::DELETE, "/key/a", b"").await.status, 200);

    // One goes away, and what it held is free.
    drop(slow.pop());
    soon(async { while cluster.ask(follower, Method::PUT, "/key/a", &value).await.status != 200 {} }).await;
    // The other comes to its end, and was never in danger.
    let mut other = slow.pop().unwrap();
    soon(write_all(&mut other, b"s")).await.unwrap();
    let mut answer = [0; 16];
    assert!(soon(read_some(&mut other, &mut answer)).await.unwrap() > 0);
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

/// A node with too many requests refuses more, and whoever passed one on passes the refusal back: it is the client who
/// must wait.
#[tokio::test]
async fn more_requests_than_may_wait_are_refused_wherever_they_come_in() {
    let cluster = Cluster::start_with(3, Settings { pending_requests: 0, ..Settings::default() }).await;
    for at in 0..3 {
        for (method, body) in [(Method::PUT, b"v".as_slice()), (Method::DELETE, b""), (Method::GET, b"")] {
            assert_overloaded(&cluster.ask(at, method, "/key/a", body).await);
        }
    }
}

/// Proposals that can't be committed yet have a limit in bytes.
#[tokio::test]
async fn more_than_may_wait_to_be_committed_is_refused() {
    let cluster = Cluster::start_with(1, Settings { uncommitted_bytes: 1, ..Settings::default() }).await;
    let (answer_sender, mut answers) = mpsc::unbounded_channel();
    let refused = soon(async {
        loop {
            for number in 0..16 {
                let (address, answer_sender) = (cluster.addresses[0].clone(), answer_sender.clone());
                let put = format!(
                    "PUT /key/{number} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1\r\n\r\nv"
                );
                RealRuntime::start().spawn(async move {
                    let _ = answer_sender.send(ask_raw(&address, put.as_bytes()).await);
                });
            }
            for _ in 0..16 {
                let answer = answers.recv().await.unwrap();
                if !answer.starts_with("HTTP/1.1 200 ") {
                    return answer;
                }
            }
        }
    })
    .await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("\"overloaded\""), "{refused}");
    assert!(refused.contains("retry-after: 1"), "{refused}");
}
