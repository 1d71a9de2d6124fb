//! The seed's own tests, by their names, over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};

use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Client;
use quorate_tests::ports::free_port;
use quorate_tests::program::Program;
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");
const JSON: &str = "application/json; charset=utf-8";

/// The seed's `TestJSON`, as a table: body and Content-Type, of errors too.
#[test]
fn test_json() {
    let cluster = Cluster::start(QUORATE, 1);
    let mut client = cluster.nodes[0].client();
    let exact = [
        ("GET", "/", "", r#"{"hello":"world"}"#),
        ("POST", "/key/json", "value", r#"{"status":"success"}"#),
        ("PUT", "/key/json", "value", r#"{"status":"success"}"#),
        ("DELETE", "/key/json", "", r#"{"status":"success"}"#),
        ("DELETE", "/key/json", "", r#"{"status":"success"}"#),
        ("GET", "/livez", "", r#"{"status":"ok"}"#),
    ];
    for (method, target, body, expected) in exact {
        let answer = client.must(method, target, body.as_bytes());
        let seen = (answer.status, answer.header("content-type"), answer.text());
        assert_eq!(seen, (200, Some(JSON), expected.to_owned()), "{method} {target}");
    }
    let errors = [
        ("GET", "/nowhere", "", 404, "route_not_found"),
        ("GET", "/key/", "", 400, "key_empty"),
        ("GET", "/key/%ff", "", 400, "key_not_utf8"),
        ("POST", "/raft/add", "not JSON", 400, "bad_json"),
        ("POST", "/", "", 405, "method_not_allowed"),
        ("GET", "/key/json?colour=red", "", 400, "bad_query"),
    ];
    for (method, target, body, status, code) in errors {
        let answer = client.must(method, target, body.as_bytes());
        let error = answer.json();
        let seen = (answer.status, answer.header("content-type"), error["code"].as_str());
        assert_eq!(seen, (status, Some(JSON), Some(code)), "{method} {target}: {error}");
        assert!(error["error"].as_str().is_some_and(|text| !text.is_empty()), "{method} {target}: {error}");
    }
}

/// The seed's `TestGet`: a store that was founded on a data.json with key1, key2 and key4; key3 is missing.
#[test]
fn test_get() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(QUORATE, folder.path().to_owned(), "node", &[]);
    std::fs::create_dir(node.data_dir()).unwrap();
    // Base64url of key1, value1, key2, value2, key4, value4.
    let data = r#"{"a2V5MQ==":"dmFsdWUx","a2V5Mg==":"dmFsdWUy","a2V5NA==":"dmFsdWU0"}"#;
    std::fs::write(node.data_dir().join("data.json"), data).unwrap();
    node.start(&["--bootstrap"]);
    node.wait_until_led();
    let mut client = node.client();
    for (key, value) in [("key1", "value1"), ("key2", "value2"), ("key4", "value4")] {
        let answer = client.get(&format!("/key/{key}"));
        let seen = (answer.status, answer.header("content-type"), answer.text());
        assert_eq!(seen, (200, Some("application/octet-stream"), value.to_owned()), "{key}");
    }
    let missing = client.get("/key/key3");
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    assert!(
        node.data_dir().join("data.json.imported").exists() && !node.data_dir().join("data.json").exists()
    );
}

/// The seed's `TestGetSetDelete`, through a follower, which hands writes on to the leader.
#[test]
fn test_get_set_delete() {
    let cluster = Cluster::start(QUORATE, 3);
    let mut follower = cluster.nodes[cluster.follower()].client();
    let key = "/key/key";
    assert_eq!(follower.get(key).status, 404, "the first get");
    assert_eq!(follower.post(key, b"value").text(), r#"{"status":"success"}"#);
    for node in &cluster.nodes {
        assert_eq!(node.client().get(key).text(), "value", "the second get, on {}", node.url());
    }
    assert_eq!(follower.delete(key).text(), r#"{"status":"success"}"#);
    for node in &cluster.nodes {
        let third = node.client().get(key);
        assert_eq!((third.status, third.body.len()), (404, 0), "the third get, on {}", node.url());
    }
}

/// What the seed could not do: any bytes as a value, any UTF-8 as a key, and large ones, through every node.
#[test]
fn keys_and_values_are_taken_as_they_are() {
    let cluster = Cluster::start(QUORATE, 3);
    let all_bytes: Vec<u8> = (0..=255).collect();
    let large = vec![b'x'; 1 << 20];
    let longest_key = "k".repeat(4_096);
    let cases: [(&str, &[u8]); 9] = [
        ("plain", b"value"),
        ("empty", b""),
        ("bytes", &all_bytes),
        ("large", &large),
        ("a%2Fb", b"slash"),
        ("a//b/../c", b"kept as it is"),
        ("%00", b"a zero byte"),
        ("%C3%BC", "\u{fc}".as_bytes()),
        (&longest_key, b"longest key"),
    ];
    let mut clients: Vec<Client> = cluster.nodes.iter().map(|node| node.client()).collect();
    for (number, (key, value)) in cases.iter().enumerate() {
        let target = format!("/key/{key}");
        let answer = clients[number % 3].post(&target, value);
        assert_eq!(answer.status, 200, "{}", answer.text());
        for client in &mut clients {
            assert_eq!(client.get(&target).body, *value, "{target:.40}");
            let head = client.request("HEAD", &target, b"").unwrap();
            // The length of nothing may be left out of an answer to HEAD.
            let length = head.header("content-length").unwrap_or("0");
            assert_eq!((head.status, length), (200, value.len().to_string().as_str()));
        }
    }
    assert_eq!(clients[0].get("/key/a/b").text(), "slash", "an encoded slash is a slash");
    assert_eq!(clients[1].get("/key/c").status, 404, "dots in a key lead nowhere");
}

/// The shape of what `/raft/status` and `/raft/members` say.
#[test]
fn every_node_tells_who_leads_and_who_belongs() {
    let cluster = Cluster::start(QUORATE, 3);
    let leader = cluster.leader();
    let leaders_id = cluster.nodes[leader].status().unwrap()["id"].clone();
    for (number, node) in cluster.nodes.iter().enumerate() {
        cluster.wait_until_caught_up(number);
        let status = node.status().unwrap();
        assert_eq!(status["leader"]["id"], leaders_id, "{status}");
        assert_eq!(status["leader"]["url"], Value::from(cluster.nodes[leader].url()));
        assert_eq!(status["role"], Value::from(if number == leader { "leader" } else { "follower" }));
        assert_eq!(status.get("peers").is_some(), number == leader, "{status}");
        let members = node.client().get("/raft/members").json();
        let list = members["members"].as_array().unwrap();
        assert_eq!(list.len(), 3, "{members}");
        assert!(list.iter().all(|member| member["role"] == "voter"), "{members}");
        let who_leads: Vec<&Value> = list.iter().filter(|member| member["leader"] == true).collect();
        assert!(who_leads.len() == 1 && who_leads[0]["id"] == leaders_id, "{members}");
        assert_eq!((&members["joint"], &members["cluster"]), (&Value::Null, &status["cluster"]));
    }
}

/// The seed is configured by its environment alone; those variables still work.
#[test]
fn the_seeds_variables_still_work() {
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str, port: u16, flags: &[&str], leader: Option<u16>| {
        let storage = folder.path().join(name);
        let program = Program::new(QUORATE, &[&["serve"], flags].concat())
            .with_variable("HOST", "127.0.0.1")
            .with_variable("PORT", &port.to_string())
            .with_variable("RAFT_PORT", &free_port().to_string())
            .with_variable("STORAGE_PATH", storage.to_str().unwrap());
        let program = match leader {
            Some(leader) => program.with_variable("RAFT_LEADER", &format!("http://127.0.0.1:{leader}")),
            None => program,
        };
        program.start_tied(folder.path(), &format!("{name}-output"))
    };
    let (first, second) = (free_port(), free_port());
    let mut clients = [first, second].map(|port| Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    let _founder = start("first", first, &["--bootstrap"], None);
    wait_until("the first node to take a write", PATIENCE, || {
        clients[0].request("POST", "/key/a", b"1").ok().filter(|answer| answer.status == 200)
    });
    let _joiner = start("second", second, &[], Some(first));
    wait_until("the second node to know it", PATIENCE, || {
        clients[1].request("GET", "/key/a", b"").ok().filter(|answer| answer.text() == "1")
    });
}

/// A new node may ask any member; one that is a member already may ask again.
#[test]
fn a_node_joins_through_a_follower_and_may_ask_twice() {
    let mut cluster = Cluster::start(QUORATE, 2);
    let folder = tempfile::tempdir().unwrap();
    let mut third = Node::new(QUORATE, folder.path().to_owned(), "third", &[]);
    third.start(&["--join", &cluster.nodes[cluster.follower()].url()]);
    third.wait_until_led();
    cluster.nodes.push(third);
    cluster.wait_for_voters(3);

    let before = cluster.nodes[0].client().get("/raft/members").json();
    let id = cluster.nodes[2].status().unwrap()["id"].clone();
    let again = serde_json::json!({ "ID": id, "Address": cluster.nodes[2].raft().to_string() }).to_string();
    for node in &cluster.nodes {
        assert_eq!(node.client().post("/raft/add", again.as_bytes()).text(), r#"{"status":"success"}"#);
    }
    assert_eq!(cluster.nodes[0].client().get("/raft/members").json(), before, "nothing changed");
}
