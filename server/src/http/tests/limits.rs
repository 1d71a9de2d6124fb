//! What is too large, too slow, or no HTTP at all.

use std::time::Duration;

use hyper::Method;

use super::cluster::{Cluster, LIMITS, ask_raw, read_to_end, soon};
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
    let refused = cluster.ask(0, Method::POST, "/data.json", &vec![b' '; LIMITS.request_bytes + 1]).await;
    assert_eq!((refused.status.as_u16(), &*refused.code()), (413, "request_too_large"));
    assert!(refused.text().contains("--max-request-bytes"));
    assert_eq!(cluster.ask(0, Method::GET, "/key/larger", b"").await.status, 404);
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
