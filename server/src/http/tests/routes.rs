//! What each route answers, on one node.

use hyper::Method;

use super::cluster::{CLUSTER, Cluster, HISTORY, listen};

const JSON: Option<&str> = Some("application/json; charset=utf-8");

/// The seed's TestJSON, as a table: body and content type of everything that answers with JSON, errors too.
#[tokio::test]
async fn test_json() {
    let cluster = Cluster::start(1).await;
    let success = r#"{"status":"success"}"#;
    let cases = [
        ("GET", "/", "", 200, r#"{"hello":"world"}"#),
        ("POST", "/key/a", "value", 200, success),
        ("PUT", "/key/a", "value", 200, success),
        ("PUT", "/key/empty", "", 200, success),
        ("DELETE", "/key/a", "", 200, success),
        ("DELETE", "/key/never", "", 200, success),
        ("GET", "/livez", "", 200, r#"{"status":"ok"}"#),
        ("GET", "/version", "", 200, concat!(r#"{"version":""#, env!("CARGO_PKG_VERSION"), r#""}"#)),
        ("POST", "/raft/snapshot", "", 200, success),
        (
            "GET",
            "/readyz",
            "",
            200,
            r#"{"status":"ok","checks":{"leader":"ok","caught_up":"ok","disk":"ok","membership":"ok"}}"#,
        ),
        (
            "GET",
            "/key/",
            "",
            400,
            r#"{"error":"the key is empty: give 1 to 4096 bytes after /key/","code":"key_empty"}"#,
        ),
        (
            "GET",
            "/key",
            "",
            404,
            r#"{"error":"there is no route \"/key\": the routes are listed in docs/HTTP.md; keys are under /key/","code":"route_not_found"}"#,
        ),
        (
            "POST",
            "/livez",
            "",
            405,
            r#"{"error":"POST does not go with \"/livez\": use GET, HEAD","code":"method_not_allowed"}"#,
        ),
    ];
    for (method, target, body, status, expected) in cases {
        let answer = cluster.ask(0, method.parse().unwrap(), target, body.as_bytes()).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, expected), "{method} {target}");
        assert_eq!(answer.header("content-type"), JSON, "{method} {target}");
        assert_eq!(answer.header("quorate-history"), Some(&*HISTORY.to_string()), "{method} {target}");
    }
}

/// The seed's TestGetSetDelete, over HTTP.
#[tokio::test]
async fn test_get_set_delete() {
    let cluster = Cluster::start(1).await;
    let target = "/key/a%2Fb//..?timeout=5s";
    let missing = cluster.ask(0, Method::GET, target, b"").await;
    assert_eq!((missing.status.as_u16(), &*missing.body), (404, b"".as_slice()));
    assert_eq!((missing.header("content-type"), missing.header("quorate-error")), (None, None));

    let written = cluster.ask(0, Method::POST, target, b"\x00value\xff").await;
    let (tag, revision) = (written.header("etag").unwrap(), written.header("quorate-revision").unwrap());
    assert_eq!((tag, revision), ("\"1\"", "1"));

    for (method, expected) in [(Method::GET, b"\x00value\xff".as_slice()), (Method::HEAD, b"")] {
        let read = cluster.ask(0, method, "/key/a/b%2F/%2e.", b"").await;
        assert_eq!((read.status.as_u16(), &*read.body), (200, expected));
        let headers = [
            ("content-type", "application/octet-stream"),
            ("content-length", "7"),
            ("etag", "\"1\""),
            ("quorate-revision", "1"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox"),
        ];
        for (name, value) in headers {
            assert_eq!(read.header(name), Some(value), "{name}");
        }
    }
    let known = cluster.ask_with(0, Method::GET, target, &[("if-none-match", "\"1\"")], b"").await;
    assert_eq!((known.status.as_u16(), known.body.len(), known.header("etag")), (304, 0, Some("\"1\"")));

    let deleted = cluster.ask(0, Method::DELETE, target, b"").await;
    assert_eq!((deleted.header("etag"), deleted.header("quorate-revision")), (None, Some("2")));
    assert_eq!(cluster.ask(0, Method::GET, target, b"").await.status, 404);
}

#[tokio::test]
async fn a_node_tells_how_it_and_its_cluster_stand() {
    let cluster = Cluster::start(1).await;
    cluster.ask(0, Method::PUT, "/key/a", b"1").await;
    let id = format!("{:032x}", 1);
    let url = format!("http://{}", cluster.addresses[0]);
    let peer_address = &cluster.servers[0].context.contact.address;

    let status: serde_json::Value =
        serde_json::from_slice(&cluster.ask(0, Method::GET, "/raft/status", b"").await.body).unwrap();
    assert_eq!((&status["id"], &status["name"]), (&id.clone().into(), &format!("node {id}").into()));
    assert_eq!(status["leader"], serde_json::json!({ "id": id, "url": url }));
    assert_eq!((&status["role"], &status["revision"]), (&"leader".into(), &1.into()));
    assert_eq!(status["cluster"], CLUSTER.to_string());
    assert_eq!(status["history"], HISTORY.to_string());
    assert_eq!((&status["commit"], &status["peers"]), (&status["last"], &serde_json::json!([])));

    let members = cluster.ask(0, Method::GET, "/raft/members", b"").await;
    let expected = format!(
        r#"{{"cluster":"{CLUSTER}","index":1,"members":[{{"id":"{id}","name":"node {id}","address":"{peer_address}","url":"{url}","role":"voter","leader":true}}],"joint":null}}"#
    );
    assert_eq!(members.text(), expected);

    let verbose: serde_json::Value =
        serde_json::from_slice(&cluster.ask(0, Method::GET, "/readyz?verbose", b"").await.body).unwrap();
    for check in ["leader", "caught_up", "disk", "membership"] {
        assert_eq!(verbose["checks"][check]["status"], "ok", "{verbose}");
        assert!(verbose["checks"][check]["detail"].is_string(), "{verbose}");
    }
}

#[tokio::test]
async fn the_store_goes_out_and_in_as_data_json() {
    let cluster = Cluster::start(1).await;
    assert_eq!(cluster.ask(0, Method::GET, "/data.json", b"").await.text(), "{}");
    let body = br#"{"a2V5MQ==":"dmFsdWUx","a2V5Mg==":"dmFsdWUy","a2V5NA==":""}"#;
    let imported = cluster.ask(0, Method::POST, "/data.json", body).await;
    assert_eq!(
        (imported.text(), imported.header("quorate-revision")),
        (r#"{"status":"success"}"#, Some("1"))
    );
    assert_eq!(cluster.ask(0, Method::GET, "/key/key2", b"").await.text(), "value2");
    assert_eq!(cluster.ask(0, Method::GET, "/key/key3", b"").await.status, 404);
    let exported = cluster.ask(0, Method::GET, "/data.json?consistency=stale", b"").await;
    assert_eq!((&*exported.body, exported.header("content-type")), (body.as_slice(), JSON));
    assert_eq!(exported.header("quorate-revision"), Some("1"));

    // One entry that can't be decoded, or can't be a key, refuses them all.
    for bad in [r#"{"YQ==":"Yg==","a":"Yg=="}"#, r#"{"YQ==":"Yg==","":"Yg=="}"#, r#"{"YQ==":1}"#, "[]"] {
        let answer = cluster.ask(0, Method::POST, "/data.json", bad.as_bytes()).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (400, "bad_json"), "{bad}");
    }
    assert_eq!(cluster.ask(0, Method::GET, "/key/a", b"").await.status, 404);
}

#[tokio::test]
async fn only_a_node_that_answers_where_it_says_is_taken_in() {
    let cluster = Cluster::start(1).await;
    let (listener, nobody) = listen().await;
    drop(listener);
    let own_address = &cluster.servers[0].context.contact.address;
    let newcomer = format!("{:032x}", 9);
    let add = |id: &str, address: &str| format!(r#"{{"ID":"{id}","Address":"{address}"}}"#);

    let answer = cluster.ask(0, Method::POST, "/raft/add", add(&newcomer, &nobody).as_bytes()).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (409, "address_unreachable"));
    let answer = cluster.ask(0, Method::POST, "/raft/add", add(&newcomer, own_address).as_bytes()).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (409, "address_in_use"));

    // Who is a member already, there, stays what it is.
    let own_id = format!("{:032x}", 1);
    let again =
        cluster.ask(0, Method::POST, "/raft/add?wait=voter", add(&own_id, own_address).as_bytes()).await;
    assert_eq!((again.status.as_u16(), again.text()), (200, r#"{"status":"success"}"#));
    assert_eq!(again.header("quorate-cluster"), Some(&*CLUSTER.to_string()));
    let members = cluster.ask(0, Method::GET, "/raft/members", b"").await;
    assert!(members.text().contains(r#""index":1,"#), "{members:?}");

    let promote = format!(r#"{{"ID":"{newcomer}"}}"#);
    let answer = cluster.ask(0, Method::POST, "/raft/promote", promote.as_bytes()).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (404, "member_not_found"));
}

#[tokio::test]
async fn a_server_that_ends_says_so() {
    let cluster = Cluster::start(1).await;
    let context = &cluster.servers[0].context;
    // The view is kept by the driver, which goes on until the requests in progress are done.
    let guard = context.shutdown.guard();
    let mut line = super::cluster::Line::open(&cluster.addresses[0]).await;
    assert_eq!(line.ask("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.0, 200);
    context.shutdown.begin();
    line.closes().await;
    drop(guard);
    super::cluster::soon(context.shutdown.drained()).await;
}

/// All metrics of the table are there at each scrape, and what was asked for shows.
#[tokio::test]
async fn metrics_tell_of_what_was_done() {
    let cluster = Cluster::start(1).await;
    cluster.ask(0, Method::PUT, "/key/a", b"12345").await;
    cluster.ask(0, Method::GET, "/key/none", b"").await;
    cluster.ask(0, Method::GET, "/nowhere", b"").await;
    let answer = cluster.ask(0, Method::GET, "/metrics", b"").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for row in crate::metrics::rows() {
        let described = format!("# HELP {} {}", row.name, row.help);
        assert!(text.lines().any(|line| line == described), "no {described:?}");
    }
    for line in [
        "quorate_raft_is_leader 1",
        "quorate_raft_has_leader 1",
        "quorate_raft_role{role=\"leader\"} 1",
        "quorate_raft_role{role=\"follower\"} 0",
        "quorate_raft_members{role=\"voter\"} 1",
        "quorate_raft_failures_tolerated 0",
        "quorate_store_keys 1",
        "quorate_store_live_bytes 6",
        "quorate_store_revision 1",
        "quorate_http_requests_total{operation=\"put\",class=\"2xx\"} 1",
        "quorate_http_requests_total{operation=\"get\",class=\"4xx\"} 1",
        "quorate_http_requests_total{operation=\"none\",class=\"4xx\"} 1",
        "quorate_http_request_duration_seconds_count{operation=\"put\"} 1",
        "quorate_http_requests_in_flight 1",
        "quorate_http_refusals_total{code=\"forbidden\"} 0",
    ] {
        assert!(text.lines().any(|seen| seen == line), "no {line:?} in {text}");
    }
    let count = |name: &str| -> u64 {
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
        line.trim().parse().unwrap_or_else(|_| panic!("{name} {line}"))
    };
    for name in [
        "quorate_raft_replication_duration_seconds_count",
        "quorate_raft_apply_duration_seconds_count",
        "quorate_node_turn_duration_seconds_count",
        "quorate_raft_appended_entries_total",
        "quorate_raft_leader_changes_total",
        "quorate_http_connections",
    ] {
        assert!(count(name) > 0, "{name}: {text}");
    }
    assert!(count("quorate_raft_appended_bytes_total") > 37);
}
