//! Tokens as a user meets them: who may what at which node, and how tokens come and go while a cluster works.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "tokens/commands.rs"]
mod commands;
#[path = "tokens/guarded.rs"]
mod guarded;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use guarded::{
    Guarded, NOT_RELOADED, PROGRAM, RELOADED, Request, Tokens, guess_of, outcome, secret_of, text,
};
use quorate_tests::cluster::Node;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Client;

const FINE: (u16, &str) = (200, "");
const UNAUTHENTICATED: (u16, &str) = (401, "unauthenticated");
const FORBIDDEN: (u16, &str) = (403, "forbidden");

/// The nodes join each other over plain HTTP by the token that each has of its own.
#[test]
fn each_role_may_what_it_is_for_at_every_node() {
    let mut guarded = Guarded::start(3, &[]);
    let reader = guarded.tokens.make("reader", "read", &[]);
    let writer = guarded.tokens.make("writer", "write", &[]);
    let in_team = guarded.tokens.make("team", "write", &["team/", "shared/"]);
    guarded.reload(RELOADED);
    let admin = guarded.admin.clone();
    let of_team = r#"{"success":[{"put":{"key":"team/x","value":""}},{"get":{"key":"shared/x"}}]}"#;
    let of_others = r#"{"success":[{"put":{"key":"team/x","value":""}},{"get":{"key":"x"}}]}"#;
    // Of nobody, of who reads, of who writes, of who writes in their place, of the admin.
    let (none, no, yes) = (UNAUTHENTICATED, FORBIDDEN, FINE);
    let cases: [(Request<'_>, [(u16, &str); 5]); 19] = [
        (("PUT", "/key/team/a", "1"), [none, no, yes, yes, yes]),
        (("PUT", "/key/a", "1"), [none, no, yes, no, yes]),
        (("GET", "/key/team/a", ""), [none, yes, yes, yes, yes]),
        (("GET", "/key/a", ""), [none, yes, yes, no, yes]),
        (("GET", "/key/%61", ""), [none, yes, yes, no, yes]),
        (("GET", "/key/a?consistency=stale", ""), [none, yes, yes, no, yes]),
        (("GET", "/keys?prefix=team/", ""), [none, yes, yes, yes, yes]),
        (("GET", "/keys?prefix=team", ""), [none, yes, yes, no, yes]),
        (("GET", "/keys?start=shared/&end=team/z", ""), [none, yes, yes, no, yes]),
        (("POST", "/txn", of_team), [none, no, yes, yes, yes]),
        (("POST", "/txn", of_others), [none, no, yes, no, yes]),
        (("POST", "/leases", r#"{"ttl":"30s"}"#), [none, no, yes, yes, yes]),
        (("GET", "/data.json", ""), [none, yes, yes, no, yes]),
        (("GET", "/raft/status", ""), [none, yes, yes, yes, yes]),
        (("GET", "/raft/members", ""), [none, yes, yes, yes, yes]),
        (("POST", "/raft/snapshot", ""), [none, no, no, no, yes]),
        (("GET", "/raft/checkpoints", ""), [none, no, no, no, yes]),
        (("GET", "/debug/recording", ""), [none, no, no, no, yes]),
        (("GET", "/livez", ""), [yes, yes, yes, yes, yes]),
    ];
    let who = [None, Some(&*reader), Some(&writer), Some(&in_team), Some(&admin)];
    for number in 0..3 {
        for (request, expected) in cases {
            for (token, expected) in who.iter().zip(expected) {
                let answer = guarded.ask(number, *token, request);
                let seen = outcome(&answer);
                assert_eq!((seen.0, &*seen.1), expected, "{request:?} by {token:?} at node {number}");
                let asks = answer.header("www-authenticate");
                assert_eq!(asks, (answer.status == 401).then_some("Bearer"), "{request:?}");
            }
        }
    }
}

#[test]
fn what_is_no_token_of_this_cluster_is_refused_and_not_repeated() {
    let guarded = Guarded::start(1, &[]);
    let stranger = Tokens::new().make("admin", "admin", &[]);
    let guess = guess_of(&guarded.admin);
    for shown in [&*stranger, &guess, "q1.x.y", "x", &guarded.admin[1..], &format!("{}=", guarded.admin)] {
        for request in [("PUT", "/key/a", "1"), ("GET", "/raft/status", ""), ("POST", "/raft/remove", "{}")] {
            let answer = guarded.ask(0, Some(shown), request);
            let seen = outcome(&answer);
            assert_eq!((seen.0, &*seen.1), UNAUTHENTICATED, "{shown}");
            assert!(!answer.text().contains(shown), "{}", answer.text());
        }
    }
    let mut client = Client::new(guarded.address(0));
    let (right, wrong) = (format!("Bearer {}", guarded.admin), format!("Bearer {guess}"));
    for both in [
        [("authorization", &*right), ("authorization", &wrong)],
        [("authorization", &wrong), ("authorization", &right)],
    ] {
        assert_eq!(client.request_with("GET", "/raft/status", &both, b"").unwrap().status, 401);
    }
    // A header that peers send makes nobody one.
    let history = guarded
        .ask(0, Some(&guarded.admin), ("GET", "/livez", ""))
        .header("quorate-history")
        .unwrap()
        .to_owned();
    let posing = [
        ("quorate-forwarded", "0123456789abcdef0123456789abcdef"),
        ("quorate-history", &history),
        ("quorate-for", "node"),
    ];
    assert_eq!(client.request_with("GET", "/raft/status", &posing, b"").unwrap().status, 401);
}

#[test]
fn tokens_come_and_go_while_nodes_run() {
    let mut guarded = Guarded::start(3, &[]);
    let put = ("PUT", "/key/a", "1");
    let first = guarded.tokens.make("ci", "write", &[]);
    assert_eq!(guarded.ask(0, Some(&first), put).status, 401, "nobody has told the nodes yet");
    guarded.reload(RELOADED);
    // A new one takes the place of an old one without a moment in which neither counts.
    let second = guarded.tokens.make("ci", "write", &[]);
    guarded.reload(RELOADED);
    for number in 0..3 {
        for token in [&first, &second] {
            assert_eq!(guarded.ask(number, Some(token), put).status, 200, "at node {number}");
        }
    }
    let before = fs::read_to_string(guarded.tokens.file()).unwrap();
    fs::write(guarded.tokens.file(), format!("{before}\n[[token]]\nname = \"half\"\n")).unwrap();
    guarded.reload(NOT_RELOADED);
    assert_eq!(guarded.ask(1, Some(&second), put).status, 200, "the old ones stay in force");
    fs::write(guarded.tokens.file(), before).unwrap();
    guarded.tokens.remove("ci");
    guarded.reload(RELOADED);
    for number in 0..3 {
        assert_eq!(guarded.ask(number, Some(&second), put).status, 401, "at node {number}");
        assert_eq!(guarded.ask(number, Some(&guarded.admin), put).status, 200, "at node {number}");
    }
}

/// Begins a watch of all keys.
fn watch(address: SocketAddr, token: &str) -> BufReader<TcpStream> {
    listen(address, "/watch?prefix=", token)
}

/// Asks for a stream of events, and reads up to the end of the answer's head.
fn listen(address: SocketAddr, target: &str, token: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "GET {target} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\
         authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        assert!(!line.starts_with("HTTP/1.1 4"), "{line}");
    }
    reader
}

#[test]
fn a_watch_ends_with_its_token() {
    let mut guarded = Guarded::start(1, &[]);
    let (goes, stays) = (guarded.tokens.make("goes", "read", &[]), guarded.tokens.make("stays", "read", &[]));
    guarded.reload(RELOADED);
    let mut ending = watch(guarded.address(0), &goes);
    let mut going_on = watch(guarded.address(0), &stays);
    assert_eq!(guarded.ask(0, Some(&guarded.admin), ("PUT", "/key/seen", "1")).status, 200);
    guarded.tokens.remove("goes");
    guarded.reload(RELOADED);
    assert_eq!(guarded.ask(0, Some(&guarded.admin), ("PUT", "/key/unseen", "1")).status, 200);
    let mut seen = String::new();
    // The last chunk of the body; the connection may go on.
    while !seen.ends_with("\r\n0\r\n\r\n") {
        assert_ne!(ending.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
    assert!(seen.contains("seen") && !seen.contains("unseen"), "{seen}");
    let mut seen = String::new();
    while !seen.contains("unseen") {
        assert_ne!(going_on.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
}

/// One event a second comes until then, and for who has another token from then on.
#[test]
fn a_status_stream_ends_with_its_token() {
    let mut guarded = Guarded::start(1, &[]);
    let (goes, stays) = (guarded.tokens.make("goes", "read", &[]), guarded.tokens.make("stays", "read", &[]));
    guarded.reload(RELOADED);
    let mut ending = listen(guarded.address(0), "/raft/status", &goes);
    let mut going_on = listen(guarded.address(0), "/raft/status", &stays);
    let mut seen = String::new();
    while !seen.contains("event: overview") {
        assert_ne!(ending.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
    guarded.tokens.remove("goes");
    guarded.reload(RELOADED);
    let events = |seen: &str| seen.matches("event: overview").count();
    let before = events(&seen);
    while !seen.ends_with("\r\n0\r\n\r\n") {
        assert_ne!(ending.read_line(&mut seen).unwrap(), 0, "{seen}");
        assert!(events(&seen) < before + 60, "it goes on for a minute: {seen}");
    }
    let (mut seen, most) = (String::new(), events(&seen) + 2);
    while events(&seen) < most {
        assert_ne!(going_on.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
}

/// Guesses of a secret that nobody has shown yet: each would cost a node a slow hash.
#[test]
fn guesses_are_few_and_named_in_one_line() {
    let mut guarded = Guarded::start(1, &[]);
    let token = guarded.tokens.make("victim", "read", &[]);
    guarded.reload(RELOADED);
    let guess = guess_of(&token);
    let status = ("GET", "/raft/status", "");
    for number in 0..25 {
        let answer = guarded.ask(0, Some(&guess), status);
        assert_eq!(answer.status, 401);
        let is_over = answer.text().contains("too many wrong secrets");
        assert_eq!(is_over, number >= 10, "guess {number}: {}", answer.text());
    }
    let others: Vec<_> =
        [None, Some(&*guarded.admin)].map(|token| guarded.ask(0, token, status).status).into();
    assert_eq!(others, [401, 200], "others are not kept out");
    let logs = guarded.logs();
    assert_eq!(logs.matches("wrong token").count(), 1, "{logs}");
    let line = logs.lines().find(|line| line.contains("wrong token")).unwrap();
    assert!(line.contains("victim") && line.contains("127.0.0.1"), "{line}");
}

#[test]
fn secrets_are_in_no_log_recording_or_file() {
    let mut guarded = Guarded::start(3, &["--log-level", "trace"]);
    let token = guarded.tokens.make("ci", "write", &[]);
    guarded.reload(RELOADED);
    let guess = guess_of(&token);
    let mut answers = String::new();
    for number in 0..3 {
        for shown in [&*token, &guess, &guarded.admin] {
            for request in [("PUT", "/key/a", "1"), ("GET", "/key/a", ""), ("POST", "/raft/snapshot", "")] {
                answers.push_str(&guarded.ask(number, Some(shown), request).text());
            }
        }
    }
    let recording = guarded.ask(0, Some(&guarded.admin), ("GET", "/debug/recording", ""));
    assert_eq!(recording.status, 200);
    let file = guarded.tokens.file();
    let print = ["config", "print", "--data-dir", "d", "--tokens", text(&file)];
    let printed = quorate_tests::program::Program::new(PROGRAM, &print).run();
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    assert!(printed.stdout.contains("tokens.toml"), "{}", printed.stdout);
    let mut places = vec![
        ("answers", answers.into_bytes()),
        ("recording", recording.body),
        ("config print", printed.stdout.into_bytes()),
        ("logs", guarded.logs().into_bytes()),
        ("tokens.toml", fs::read(&file).unwrap()),
    ];
    for node in &guarded.cluster.nodes {
        let log = fs::read_dir(node.data_dir().join("log")).unwrap();
        places.extend(log.map(|segment| ("log of entries", fs::read(segment.unwrap().path()).unwrap())));
    }
    for (place, bytes) in &places {
        let text = String::from_utf8_lossy(bytes);
        for secret in [&token, &guess, &guarded.admin].map(|token| secret_of(token)) {
            assert!(!text.contains(secret), "a secret is in the {place}");
        }
    }
}

/// All that is asked for help with: it must be fit to be sent to a stranger.
#[test]
fn a_bundle_holds_what_helps_and_no_secret_key_or_value() {
    let mut guarded = Guarded::start(3, &[]);
    let token = guarded.tokens.make("ci", "write", &[]);
    guarded.reload(RELOADED);
    let put = guarded.ask(0, Some(&guarded.admin), ("PUT", "/key/hidden-name", "hidden-value"));
    assert_eq!(put.status, 200);
    let folder = tempfile::tempdir().unwrap();
    let (log, file, held) =
        (folder.path().join("n.log"), folder.path().join("help.tar"), folder.path().join("token"));
    fs::write(&log, format!("first line\nsomebody pasted {token} here\nlast line\n")).unwrap();
    fs::write(&held, &guarded.admin).unwrap();
    fs::set_permissions(&held, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let endpoints: Vec<String> = guarded.cluster.nodes.iter().map(|node| node.url()).collect();
    let bundle = |more: &[&str]| {
        let arguments = ["debug", "bundle", text(&file), "--log", text(&log), "--token-file", text(&held)];
        let endpoints = ["--endpoints", &*endpoints.join(",")];
        quorate_tests::program::Program::new(PROGRAM, &[&arguments[..], &endpoints, more].concat()).run()
    };
    let made = bundle(&["--config", text(&guarded.tokens.file())]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let archive = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
    for name in ["about.txt", "logs/0-n.log", "config.toml", "machine/load.txt"] {
        assert!(archive.contains(name), "{name}");
    }
    for node in &guarded.cluster.nodes {
        let folder = node.http().to_string().replace(':', "_");
        for name in ["version.json", "status.json", "members.json", "readyz.json", "metrics.txt"] {
            assert!(archive.contains(&format!("nodes/{folder}/{name}")), "{name} of {folder}");
        }
    }
    for there in ["first line", "last line", "q1.[removed] here", "quorate_raft_term", "\"commit\":"] {
        assert!(archive.contains(there), "{there}");
    }
    for secret in [secret_of(&token), secret_of(&guarded.admin), "hidden-name", "hidden-value", "argon2id$v"]
    {
        assert!(!archive.contains(secret), "{secret} is in the bundle");
    }

    assert_eq!(bundle(&[]).code, Some(4), "it is there already");
    guarded.cluster.nodes.iter_mut().for_each(quorate_tests::cluster::Node::kill);
    let without = bundle(&["--overwrite", "--timeout", "1s"]);
    assert_eq!(without.code, Some(5), "{}", without.stderr);
    assert!(String::from_utf8_lossy(&fs::read(&file).unwrap()).contains("can't connect"));
}

/// What one principal names is not another's; two tokens of one name are one principal.
#[test]
fn idempotency_keys_are_their_principals_own() {
    let mut guarded = Guarded::start(3, &[]);
    let [one, again, other] = ["one", "one", "other"].map(|name| guarded.tokens.make(name, "write", &[]));
    guarded.reload(RELOADED);
    let put = |number: usize, token: &str, body: &str| {
        let mut client = Client::new(guarded.address(number)).bearing(Some(token));
        let answer =
            client.request_with("PUT", "/key/a", &[("idempotency-key", "same")], body.as_bytes()).unwrap();
        (answer.status, answer.header("idempotency-replayed").is_some())
    };
    assert_eq!(put(0, &one, "1"), (200, false));
    assert_eq!(put(1, &again, "1"), (200, true));
    assert_eq!(put(2, &other, "2"), (200, false));
    assert_eq!(put(0, &one, "2"), (422, false));
}

#[test]
fn probes_are_open_unless_they_are_closed() {
    let closed = Guarded::start(1, &["--probes-need-token"]);
    for target in ["/livez", "/readyz"] {
        assert_eq!(closed.ask(0, None, ("GET", target, "")).status, 401, "{target}");
        assert_eq!(closed.ask(0, Some(&closed.admin), ("GET", target, "")).status, 200, "{target}");
    }
}

/// A node that still looks for its cluster asks for tokens, too: it may have a store to lend.
#[test]
fn a_node_that_is_not_there_yet_asks_as_well() {
    let tokens = Tokens::new();
    let admin = tokens.make("admin", "admin", &[]);
    let file = tokens.file();
    let folder = tokens.folder.path().to_owned();
    let mut node = Node::new(PROGRAM, folder, "joiner", &["--tokens", text(&file)]);
    node.start(&["--join", "http://127.0.0.1:1"]);
    let ask = |token: Option<&str>, target: &str| {
        let mut client = Client::with_timeout(node.http(), Duration::from_secs(5)).bearing(token);
        client.request("GET", target, b"").map_or(0, |answer| answer.status)
    };
    wait_until("the joiner to answer", PATIENCE, || (ask(None, "/livez") == 200).then_some(()));
    assert_eq!([None, Some(&*admin)].map(|token| ask(token, "/raft/checkpoints")), [401, 503]);
    assert_eq!([None, Some(&*admin)].map(|token| ask(token, "/key/a")), [401, 503]);
}
