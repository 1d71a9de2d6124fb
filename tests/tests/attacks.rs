//! What somebody tries who means harm and has no more than a connection to one node. What is tried with tokens,
//! certificates, slowness and browsers is where those are tested; docs/SECURITY.md names each.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use quorate_tests::cluster::Cluster;
use quorate_tests::http::read_response;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// Sends bytes on a connection of their own, and behind them one more request, the last; all answers until the node
/// closes. Had another request hidden in the bytes, it would be answered as well.
fn answers(address: SocketAddr, bytes: &[u8]) -> Vec<(u16, String)> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let last = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(&[bytes, last].concat()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut answers = Vec::new();
    while let Ok(answer) = read_response(&mut reader, false) {
        answers.push((answer.status, answer.text()));
    }
    answers
}

/// A request inside a request: whatever a framing makes of it, the leader takes it for the value that it is, or the
/// follower refuses it.
#[test]
fn no_request_is_smuggled_to_the_leader_in_the_body_of_another() {
    let cluster = Cluster::start(QUORATE, 3);
    let follower = &cluster.nodes[cluster.follower()];
    let inner = "PUT /key/smuggled HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n1";
    let length = inner.len();
    let head = "PUT /key/outer HTTP/1.1\r\nhost: localhost\r\n";
    let carried = [
        format!("{head}content-length: {length}\r\n\r\n{inner}"),
        format!("{head}transfer-encoding: chunked\r\n\r\n{length:x}\r\n{inner}\r\n0\r\n\r\n"),
        format!(
            "{head}transfer-encoding: chunked\r\n\r\n{length:x};a=b\r\n{inner}\r\n0\r\nx-trailer: {head}\r\n\r\n"
        ),
        // What asks a proxy to drop the length, or a header that the leader has to see.
        format!("{head}connection: content-length, authorization\r\ncontent-length: {length}\r\n\r\n{inner}"),
    ];
    for bytes in &carried {
        let answers = answers(follower.http(), bytes.as_bytes());
        assert_eq!(answers.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200], "{bytes:?}");
        assert_eq!(follower.client().get("/key/outer").text(), inner, "{bytes:?}");
    }
    let refused = [
        format!("{head}content-length: {length}\r\ncontent-length: 0\r\n\r\n{inner}"),
        format!("{head}content-length: +{length}\r\n\r\n{inner}"),
        format!("{head}content-length: 0x10\r\n\r\n{inner}"),
        format!("{head}content-length: {length}, 0\r\n\r\n{inner}"),
        format!("{head}transfer-encoding: chunked, identity\r\n\r\n{inner}"),
        format!("{head}transfer-encoding: xchunked\r\n\r\n{inner}"),
        format!("{head}transfer-encoding: chunked\r\n\r\n-1\r\n{inner}"),
        format!("{head}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{inner}"),
        format!("{head}content-length : {length}\r\n\r\n{inner}"),
        format!("{head}x: y\r\n content-length: {length}\r\n\r\n{inner}"),
        format!("{head}x: y\rcontent-length: {length}\r\n\r\n{inner}"),
        format!("PUT /key/outer HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{inner}"),
    ];
    for bytes in &refused {
        let answers = answers(follower.http(), bytes.as_bytes());
        let is_refused = |(status, _): &(u16, String)| (400..500).contains(status);
        assert!(!answers.is_empty() && answers.iter().all(is_refused), "{bytes:?}: {answers:?}");
    }
    for node in &cluster.nodes {
        assert_eq!(node.client().get("/key/smuggled").status, 404);
    }
}

/// A key is bytes, not a path: nothing that is written in one leads anywhere else.
#[test]
fn no_spelling_of_a_path_leads_anywhere_else() {
    let cluster = Cluster::start(QUORATE, 1);
    let node = &cluster.nodes[0];
    let mut client = node.client();
    let odd = [
        "/key/..",
        "/key/../raft/remove",
        "/key//etc/passwd",
        "/key/%2e%2e%2f%2e%2e",
        "/key/%2Fa",
        "/key/%00",
    ];
    for (number, target) in odd.iter().enumerate() {
        let value = number.to_string();
        assert_eq!(client.post(target, value.as_bytes()).status, 200, "{target}");
        assert_eq!(client.get(target).text(), value, "{target}");
    }
    assert_eq!(client.get("/key/etc/passwd").status, 404, "two slashes are two");
    let long = format!("/key/{}", "%41".repeat(30_000));
    let nowhere = [
        ("/raft/../key/a", 404),
        ("/key/", 400),
        ("/KEY/a", 404),
        ("/raft/snapshots/..%2f..%2fstable%2fa", 404),
        ("/raft/checkpoints/..%2f..%2fnode.toml", 404),
        ("/raft/runs/%2e%2e%2fnode.toml", 404),
        (&*long, 414),
    ];
    for (target, status) in nowhere {
        assert_eq!(client.get(target).status, status, "{}", &target[..target.len().min(60)]);
    }
    for line in [
        "GET http://other.example/key/a HTTP/1.1",
        "GET key/a HTTP/1.1",
        "GET * HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
    ] {
        let bytes = format!("{line}\r\nhost: localhost\r\n\r\n");
        let answers = answers(node.http(), bytes.as_bytes());
        assert!((400..500).contains(&answers[0].0), "{line}: {answers:?}");
    }
    assert_eq!(client.get("/livez").status, 200);
}

/// A request that says of itself that a node has passed it on goes no further, and gains nothing by that.
#[test]
fn what_claims_to_come_from_a_node_goes_round_in_no_circle() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let own = cluster.nodes[follower].id();
    let other = cluster.nodes[leader].id();
    let mut client = cluster.nodes[follower].client();
    let history = client.get("/livez").header("quorate-history").unwrap().to_owned();
    let mut put = |forwarded: &str| {
        let headers = [("quorate-forwarded", forwarded), ("quorate-history", &*history)];
        client.request_with("PUT", "/key/a", &headers, b"1").unwrap()
    };
    assert_eq!((put(&own).status, put(&own).header("quorate-error")), (508, Some("proxy_loop")));
    assert_eq!((put(&other).status, put(&other).header("quorate-error")), (421, Some("not_leader")));
    assert_eq!(put("zebra").status, 400);
    assert_eq!(cluster.nodes[leader].client().get("/key/a").status, 404);
}

/// What is too large is refused before it is taken, whatever it is.
#[test]
fn what_is_oversized_costs_the_node_nothing() {
    let cluster = Cluster::start(QUORATE, 1);
    let node = &cluster.nodes[0];
    let endless = |head: &str, piece: &[u8], count: usize| {
        let mut stream = TcpStream::connect(node.http()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        // The node may hang up in the middle: then it has refused.
        for _ in 0..count {
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let megabyte = vec![b'a'; 1 << 20];
    let header = format!("x-{}: y\r\n", "z".repeat(1000));
    let name = "GET /key/a HTTP/1.1\r\nhost: localhost\r\n";
    let cases = [
        (
            endless(
                "PUT /key/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1099511627776\r\n\r\n",
                &megabyte,
                4,
            ),
            "413",
        ),
        (endless(name, header.as_bytes(), 2000), "431"),
        (endless("GET /key/", &megabyte, 2), "431"),
    ];
    for (answer, status) in cases {
        let hung_up = answer.is_empty();
        assert!(hung_up || answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
    }
    let many: String = (0..5000).map(|number| format!("x-{number}: y\r\n")).collect();
    let answers = answers(node.http(), format!("{name}{many}\r\n").as_bytes());
    assert!(!answers.is_empty() && answers.iter().all(|(status, _)| *status == 431), "{answers:?}");
    assert_eq!(node.client().get("/livez").status, 200);
}

/// What the documentation says is tested is.
#[test]
fn every_test_that_the_documentation_names_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let mut named = 0;
    for row in page.lines() {
        // The last cell: a file, and mostly a test in it.
        let words: Vec<&str> = row.trim_end_matches(" |").rsplit(" | ").next().unwrap().split('`').collect();
        if let [_, file, _, test, _] = words[..] {
            let source = std::fs::read_to_string(root.join(file)).unwrap();
            assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
            named += 1;
        }
    }
    assert!(named > 15, "{named}");
}
