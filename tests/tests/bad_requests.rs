//! Requests that are wrong in every way: each gets its status and its code, and nothing is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use quorate_tests::cluster::Cluster;
use quorate_tests::http::Client;
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// A request that must be refused.
struct Bad {
    method: &'static str,
    target: String,
    headers: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    /// What the text must name: the value seen, the limit, what to do.
    names: &'static [&'static str],
}

fn bad(
    method: &'static str,
    target: &str,
    status: u16,
    code: &'static str,
    names: &'static [&'static str],
) -> Bad {
    Bad { method, target: target.to_owned(), headers: &[], body: Vec::new(), status, code, names }
}

impl Bad {
    fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    fn headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }
}

fn bad_keys() -> Vec<Bad> {
    vec![
        bad("GET", "/key/", 400, "key_empty", &["4096"]),
        bad("POST", "/key/", 400, "key_empty", &[]).body("x"),
        bad("GET", "/key/%", 400, "malformed", &["%"]),
        bad("GET", "/key/a%2", 400, "malformed", &["%2"]),
        bad("POST", "/key/a%zz", 400, "malformed", &["%zz"]).body("x"),
        bad("GET", "/key/%FF", 400, "key_not_utf8", &["UTF-8"]),
        bad("DELETE", "/key/a%C3", 400, "key_not_utf8", &["UTF-8"]),
        bad("POST", "/key/%ED%A0%80", 400, "key_not_utf8", &[]).body("a lone surrogate"),
        bad("GET", &format!("/key/{}", "k".repeat(4_097)), 414, "key_too_long", &["4097", "4096"]),
        bad("POST", &format!("/key/{}", "%61".repeat(4_097)), 414, "key_too_long", &["4097"]).body("x"),
    ]
}

fn bad_routes() -> Vec<Bad> {
    vec![
        bad("GET", "/nowhere", 404, "route_not_found", &["/nowhere"]),
        bad("GET", "/key", 404, "route_not_found", &[]),
        bad("POST", "/raft/unknown", 404, "route_not_found", &[]),
        bad("GET", "//key/a", 404, "route_not_found", &[]),
        bad("POST", "/", 405, "method_not_allowed", &["POST"]),
        bad("PATCH", "/key/a", 405, "method_not_allowed", &["PATCH"]),
        bad("GET", "/raft/add", 405, "method_not_allowed", &["GET"]),
        bad("DELETE", "/raft/status", 405, "method_not_allowed", &[]),
        bad("GET", "/key/a?colour=red", 400, "bad_query", &["colour"]),
        bad("GET", "/key/a?timeout=soon", 400, "bad_query", &["soon"]),
        bad("GET", "/key/a?timeout=5", 400, "bad_query", &["5s"]),
        bad("GET", "/key/a?timeout=1h", 400, "bad_query", &["60s"]),
        bad("GET", "/key/a?timeout=1s&timeout=2s", 400, "bad_query", &["twice"]),
        bad("GET", "/key/a?consistency=maybe", 400, "bad_query", &["maybe"]),
        bad("POST", "/key/a?consistency=stale", 400, "bad_query", &[]).body("x"),
        bad("GET", &format!("/livez?{}", "q".repeat(20_000)), 414, "uri_too_long", &["20007"]),
        bad("GET", "/key/a", 421, "wrong_host", &["evil.example"]).headers(&[("host", "evil.example:8080")]),
        bad("POST", "/key/a", 403, "cross_origin", &["evil.example"])
            .headers(&[("origin", "http://evil.example")])
            .body("x"),
        bad("GET", "/key/a", 400, "malformed", &["quorate-forwarded"])
            .headers(&[("quorate-forwarded", "nobody")]),
    ]
}

fn bad_bodies() -> Vec<Bad> {
    let joining = |text: &str, names| bad("POST", "/raft/add", 400, "bad_json", names).body(text);
    vec![
        bad("POST", "/key/a", 413, "value_too_large", &["1048577", "1048576", "--max-value-bytes"])
            .body(vec![b'x'; (1 << 20) + 1]),
        joining("", &[]),
        joining("not JSON", &[]),
        joining("[]", &[]),
        joining("{\"ID\":\"", &[]),
        joining("{\"ID\":\"7\"}", &["Address"]),
        joining("{\"ID\":\"7\",\"Address\":\"127.0.0.1:9\",\"Colour\":1}", &["Colour"]),
        joining("{\"ID\":\"not an id\",\"Address\":\"127.0.0.1:9\"}", &["not an id"]),
        joining("{\"ID\":\"0123456789abcdef0123456789abcdef\",\"Address\":\"nowhere\"}", &["nowhere"]),
        joining("{\"ID\":\"0123456789abcdef0123456789abcdef\",\"Address\":\"0.0.0.0:9\"}", &["0.0.0.0"]),
        bad("POST", "/raft/promote", 404, "member_not_found", &["0123456789abcdef0123456789abcdef"])
            .body("{\"ID\":\"0123456789abcdef0123456789abcdef\"}"),
        bad("POST", "/raft/promote", 400, "bad_json", &[]).body("{}"),
    ]
}

fn bad_beyond_the_seed() -> Vec<Bad> {
    let txn = |text: &str, code, names| bad("POST", "/txn", 400, code, names).body(text);
    let lease = "00000000000000a1";
    vec![
        bad("PUT", "/key/a?ttl=999ms", 400, "bad_query", &["999ms", "1s", "3650d"]).body("x"),
        bad("PUT", "/key/a?lease=a1", 400, "bad_query", &["a1", "16 hex digits"]).body("x"),
        bad("PUT", &format!("/key/a?ttl=30s&lease={lease}"), 400, "bad_query", &["ttl and lease"]).body("x"),
        bad("PUT", &format!("/key/a?lease={lease}"), 404, "lease_not_found", &["00000000000000a1"]).body("x"),
        bad("GET", "/key/a?revision=123456789", 400, "bad_query", &["123456789"]),
        bad("PUT", "/key/a", 412, "precondition_failed", &["revision 1"])
            .headers(&[("if-match", "\"77\"")])
            .body("x"),
        bad("PUT", "/key/a", 412, "precondition_failed", &[]).headers(&[("if-none-match", "*")]).body("x"),
        bad("DELETE", "/key/b", 412, "precondition_failed", &["not there"]).headers(&[("if-match", "*")]),
        bad("PUT", "/key/a", 400, "malformed", &["if-match", "quotes"])
            .headers(&[("if-match", "7")])
            .body("x"),
        bad("PUT", "/key/a", 400, "malformed", &["idempotency-key", "0 bytes"])
            .headers(&[("idempotency-key", "")])
            .body("x"),
        bad("GET", "/keys?prefix=a&end=b", 400, "bad_query", &["prefix", "end"]),
        bad("GET", "/keys?limit=0", 400, "bad_query", &["limit", "from 1"]),
        bad("GET", "/keys?cursor=x", 400, "bad_query", &["cursor"]),
        bad("GET", "/keys?revision=123456789", 400, "bad_query", &["123456789"]),
        txn("", "bad_json", &[]),
        txn("{\"sucess\":[]}", "bad_json", &["sucess"]),
        txn("{\"success\":[{\"put\":{\"key\":\"a\",\"value\":\"?\"}}]}", "bad_json", &["base64"]),
        txn(
            "{\"success\":[{\"delete\":{\"key\":\"a\"}},{\"delete\":{\"key\":\"a\"}}]}",
            "duplicate_key",
            &["\"a\""],
        ),
        bad("POST", "/leases", 400, "bad_json", &["ttl"]).body("{}"),
        bad("GET", "/leases/me", 400, "malformed", &["me", "16 hex digits"]),
        bad("DELETE", &format!("/leases/{lease}"), 404, "lease_not_found", &["00000000000000a1"]),
        bad("PUT", "/leases", 405, "method_not_allowed", &["PUT", "POST"]),
        bad("LOCK", "/key/a", 400, "bad_json", &["ID"]).body("{}"),
        bad("PUT", "/key/a?ID=me", 412, "precondition_failed", &["\"me\""]).body("x"),
    ]
}

#[track_caller]
fn refused(client: &mut Client, bad: &Bad) {
    let Bad { method, target, headers, body, .. } = bad;
    let shown: String = target.chars().take(60).collect();
    let answer = client
        .request_with(method, target, headers, body)
        .unwrap_or_else(|error| panic!("{method} {shown}: {error}"));
    let error = answer.json();
    let text = error["error"].as_str().unwrap_or_default();
    let seen = (answer.status, error["code"].as_str());
    assert_eq!(seen, (bad.status, Some(bad.code)), "{method} {shown} {headers:?}: {text}");
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"), "{method} {shown}");
    for name in bad.names {
        assert!(text.contains(name), "{method} {shown}: {text:?} does not name {name:?}");
    }
    assert_eq!(answer.header("allow").is_some(), bad.status == 405, "{method} {shown}: {:?}", answer.headers);
}

#[test]
fn every_bad_request_is_refused_by_name_on_every_node() {
    let cluster = Cluster::start(QUORATE, 3);
    let leader = cluster.leader();
    let follower = cluster.follower();
    assert_eq!(cluster.nodes[leader].client().post("/key/a", b"kept").status, 200);
    for node in [leader, follower] {
        let mut client = cluster.nodes[node].client();
        for bad in [bad_keys(), bad_routes(), bad_bodies(), bad_beyond_the_seed()].iter().flatten() {
            refused(&mut client, bad);
        }
        assert_eq!(client.get("/key/a").text(), "kept");
    }
    assert_eq!(
        cluster.nodes[follower].client().get("/raft/members").json()["members"].as_array().map(Vec::len),
        Some(3)
    );
}

#[test]
fn what_is_not_http_is_refused_and_the_node_serves_on() {
    let cluster = Cluster::start(QUORATE, 1);
    let address = cluster.nodes[0].http();
    let garbage: [&[u8]; 7] = [
        b"\r\n\r\n\r\n",
        b"HELLO\r\n\r\n",
        b"GET /key/a\x01 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n",
        b"POST /key/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /key/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /key/a HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    ];
    for bytes in garbage {
        // Some of it is answered with 400, some by closing the connection, some is not even a whole request and waits
        // for the rest: none is a success.
        if let Ok(answer) = Client::with_timeout(address, Duration::from_millis(500)).exchange(bytes, false) {
            assert!((400..600).contains(&answer.status), "{}: {answer:?}", bytes.escape_ascii());
        }
    }
    let without_host = Client::new(address).exchange(b"GET / HTTP/1.1\r\n\r\n", false).unwrap();
    assert_eq!(without_host.status, 400);
    let mut client = cluster.nodes[0].client();
    assert_eq!(client.get("/key/a").status, 404, "nothing of it was taken for a write");
    assert_eq!(client.post("/key/a", b"1").status, 200);
}

#[test]
fn limits_can_be_set_and_count_what_was_sent_in_chunks() {
    let cluster = Cluster::start_with(QUORATE, 1, &["--max-value-bytes", "10", "--max-request-bytes", "20"]);
    let mut client = cluster.nodes[0].client();
    assert_eq!(client.post("/key/a", b"0123456789").status, 200);
    let code = |answer: &Value| answer["code"].as_str().map(str::to_owned);
    for size in [11, 20, 21, 100_000] {
        let answer = client.post("/key/a", &vec![b'x'; size]);
        let expected =
            if size > 20 { ["value_too_large", "request_too_large"] } else { ["value_too_large"; 2] };
        assert_eq!(answer.status, 413, "{size}");
        assert!(expected.contains(&code(&answer.json()).unwrap().as_str()), "{size}: {}", answer.text());
    }
    let chunks = b"POST /key/a HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n\
                   6\r\n012345\r\n6\r\n678901\r\n0\r\n\r\n";
    let answer = Client::new(cluster.nodes[0].http()).exchange(chunks, false).unwrap();
    assert_eq!((answer.status, code(&answer.json()).as_deref()), (413, Some("value_too_large")));
    assert_eq!(client.get("/key/a").text(), "0123456789");
}

/// A client that goes away in the middle of a body has written nothing.
#[test]
fn half_a_request_is_no_write() {
    let cluster = Cluster::start(QUORATE, 1);
    let node = &cluster.nodes[0];
    let half = b"POST /key/half HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n01234";
    {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(node.http()).unwrap();
        stream.write_all(half).unwrap();
    }
    let mut client = node.client();
    assert_eq!(client.post("/key/whole", b"1").status, 200);
    assert_eq!(client.get("/key/half").status, 404);
}
