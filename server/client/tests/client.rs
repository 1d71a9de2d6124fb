//! The client against a small server that answers as told and writes down what it was asked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the test's server is never simulated"
)]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use quorate_client::{Client, ClientError, Consistency, Endpoint, NewMember, NoBackup, Wanted};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(10);

/// A timeout for what is tried until it passes.
const SHORT: Duration = Duration::from_millis(300);

/// Answers every request with the same status and body, or with the next of several; `seen` holds "METHOD path?query
/// body" of each.
struct Server {
    endpoint: Endpoint,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    async fn start(status: u16, body: &'static str) -> Self {
        Self::start_with(vec![(status, body)]).await
    }

    /// The last answer repeats.
    async fn start_with(answers: Vec<(u16, &'static str)>) -> Self {
        let answers = Arc::new(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = endpoint_of(&listener);
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (log, count) = (Arc::clone(&seen), Arc::clone(&connections));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *count.lock().unwrap() += 1;
                let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                let service =
                    service_fn(move |request| answer(request, Arc::clone(&log), Arc::clone(&answers)));
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { endpoint, seen, connections }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn client(&self) -> Client {
        client(&[&self.endpoint])
    }
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<String>>>,
    answers: Arc<Vec<(u16, &'static str)>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let line = format!("{} {}", request.method(), request.uri());
    let received = request.into_body().collect().await?.to_bytes();
    let mut log = log.lock().unwrap();
    let (status, body) = answers[log.len().min(answers.len() - 1)];
    log.push(format!("{line} {}", String::from_utf8_lossy(&received)).trim_end().to_owned());
    let response = Response::builder().status(status).header("ETag", "\"7\"");
    Ok(response.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap())
}

fn client(endpoints: &[&Endpoint]) -> Client {
    Client::new(endpoints.iter().map(|&endpoint| endpoint.clone()).collect(), PATIENCE)
}

fn endpoint_of(listener: &TcpListener) -> Endpoint {
    format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()
}

/// Nothing listens there.
async fn closed() -> Endpoint {
    endpoint_of(&TcpListener::bind("127.0.0.1:0").await.unwrap())
}

/// Takes a request and hangs up without an answer, as a server does that is killed in the middle.
async fn hangs_up() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint_of(&listener);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
        }
    });
    endpoint
}

/// Takes connections and never says a word.
async fn silent() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint_of(&listener);
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    });
    endpoint
}

#[tokio::test]
async fn a_value_comes_with_its_revision() {
    let server = Server::start(200, "hello").await;
    let value = server.client().get("greeting").await.unwrap();
    assert_eq!((value.bytes, value.mod_revision), (Bytes::from_static(b"hello"), Some(7)));
    assert_eq!(server.seen(), ["GET /key/greeting?timeout=9000ms"]);
}

#[tokio::test]
async fn keys_arrive_as_they_are() {
    let cases = [
        ("a b", "a%20b"),
        ("a/b//c", "a%2Fb%2F%2Fc"),
        ("..", "%2E%2E"),
        ("./a", "%2E%2Fa"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        ("a?b#c&d=e", "a%3Fb%23c%26d%3De"),
        ("a+b", "a%2Bb"),
        ("schlüssel", "schl%C3%BCssel"),
        ("\u{0}\n", "%00%0A"),
        ("A-z_0~9", "A-z_0~9"),
    ];
    let server = Server::start(200, "").await;
    let client = server.client();
    for (key, path) in cases {
        client.delete(key).await.unwrap();
        assert_eq!(server.seen().pop().unwrap(), format!("DELETE /key/{path}?timeout=9000ms"), "{key:?}");
    }
    assert_eq!(*server.connections.lock().unwrap(), 1, "one connection serves them all");
}

#[tokio::test]
async fn a_key_longer_than_any_url_is_refused() {
    let server = Server::start(200, "").await;
    let error = server.client().get(&"k".repeat(70_000)).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused { status: 414, .. }), "{error}");
}

#[tokio::test]
async fn each_answer_gives_the_error_that_says_what_to_do_next() {
    type Check = fn(&ClientError) -> bool;
    let cases: [(u16, &str, Check); 14] = [
        (404, "", |e| matches!(e, ClientError::NotFound(_))),
        (404, r#"{"error":"e","code":"member_not_found"}"#, |e| matches!(e, ClientError::NotFound(_))),
        (404, r#"{"error":"e","code":"route_not_found"}"#, |e| {
            matches!(e, ClientError::Refused { status: 404, .. })
        }),
        (412, r#"{"error":"e","code":"precondition_failed"}"#, |e| {
            matches!(e, ClientError::PreconditionFailed(_))
        }),
        (413, r#"{"error":"e","code":"value_too_large"}"#, |e| {
            matches!(e, ClientError::Refused { status: 413, .. })
        }),
        (421, r#"{"error":"e","code":"wrong_host"}"#, |e| matches!(e, ClientError::Refused { .. })),
        (421, r#"{"error":"e","code":"not_leader"}"#, |e| matches!(e, ClientError::Unavailable(_))),
        (503, r#"{"error":"e","code":"no_leader"}"#, |e| matches!(e, ClientError::Unavailable(_))),
        (503, "a gateway's page", |e| matches!(e, ClientError::OutcomeUnknown(_))),
        (500, r#"{"error":"e","code":"internal"}"#, |e| matches!(e, ClientError::OutcomeUnknown(_))),
        (504, r#"{"error":"e","code":"outcome_unknown"}"#, |e| matches!(e, ClientError::OutcomeUnknown(_))),
        (507, r#"{"error":"e","code":"disk_full"}"#, |e| {
            matches!(e, ClientError::Refused { status: 507, .. })
        }),
        (403, "<html>", |e| matches!(e, ClientError::NotQuorate(_))),
        (400, r#"{"error":"e"}"#, |e| matches!(e, ClientError::Refused { status: 400, .. })),
    ];
    for (status, body, check) in cases {
        let server = Server::start(status, body).await;
        let client = Client::new(vec![server.endpoint.clone()], SHORT);
        let error = client.put("k", "v".into()).await.unwrap_err();
        assert!(check(&error), "{status} {body} gave {error:?}");
    }
}

#[tokio::test]
async fn a_read_whose_outcome_is_unclear_is_unavailable_and_never_unknown() {
    for body in [r#"{"error":"e","code":"internal"}"#, "a gateway's page"] {
        let server = Server::start(500, body).await;
        let client = Client::new(vec![server.endpoint.clone()], SHORT);
        assert!(matches!(client.get("k").await, Err(ClientError::Unavailable(_))));
    }
}

/// A rolling restart, as a client sees it: one node says that it ends, the next has just lost its leader.
#[tokio::test]
async fn as_long_as_nothing_was_done_all_endpoints_are_tried_again() {
    let ends = r#"{"error":"ends","code":"shutting_down"}"#;
    let elects = r#"{"error":"nobody leads","code":"no_leader"}"#;
    let first = Server::start_with(vec![(503, ends), (503, ends), (200, "")]).await;
    let second = Server::start(503, elects).await;
    let client = client(&[&closed().await, &first.endpoint, &second.endpoint]);
    client.put("k", "v".into()).await.unwrap();
    assert_eq!((first.seen().len(), second.seen().len()), (3, 2));
}

/// What is sent without time for its answer only makes the outcome unknown.
#[tokio::test]
async fn nothing_is_sent_when_its_answer_would_come_too_late() {
    let server = Server::start(503, r#"{"error":"nobody leads","code":"no_leader"}"#).await;
    let client = Client::new(vec![server.endpoint.clone()], SHORT);
    let error = client.put("k", "v".into()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable(_)), "{error}");
    let seen = server.seen();
    for request in &seen {
        let milliseconds: u64 = request
            .split_once("timeout=")
            .and_then(|(_, rest)| rest.split_once("ms"))
            .map(|(digits, _)| digits.parse().unwrap())
            .unwrap();
        assert!(milliseconds >= 90, "{request}: nine tenths of a tenth of a second");
    }
    let error = client.with_timeout(Duration::ZERO).put("k", "v".into()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("no time was left"), "{error}");
    assert_eq!(server.seen(), seen);
}

#[tokio::test]
async fn the_next_endpoint_is_tried_when_nothing_was_sent() {
    let server = Server::start(200, "").await;
    let client = client(&[&closed().await, &server.endpoint]);
    client.put("k", "v".into()).await.unwrap();
    assert_eq!(server.seen(), ["PUT /key/k?timeout=4500ms v"]);
}

#[tokio::test]
async fn the_next_endpoint_is_tried_when_the_server_did_nothing() {
    let no_leader = Server::start(503, r#"{"error":"nobody leads","code":"no_leader"}"#).await;
    let server = Server::start(200, "").await;
    client(&[&no_leader.endpoint, &server.endpoint]).put("k", "v".into()).await.unwrap();
    assert_eq!((no_leader.seen().len(), server.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_read_whose_answer_is_lost_is_sent_to_the_next() {
    let server = Server::start(200, "").await;
    client(&[&hangs_up().await, &server.endpoint]).get("k").await.unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_silent_endpoint_leaves_a_read_time_for_the_next() {
    let server = Server::start(200, "").await;
    let endpoints = vec![silent().await, server.endpoint.clone()];
    Client::new(endpoints, Duration::from_millis(400)).get("k").await.unwrap();
    let started = Instant::now();
    let alone = Client::new(vec![silent().await], Duration::from_millis(100));
    let error = alone.put("k", "v".into()).await.unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown(_)), "{error}");
    assert!(started.elapsed() < PATIENCE, "the timeout ends the wait");
}

#[tokio::test]
async fn nobody_there_names_every_endpoint() {
    let (one, two) = (closed().await, closed().await);
    let error = client(&[&one, &two]).get("k").await.unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, ClientError::Unavailable(_)));
    for expected in [one.to_string(), two.to_string(), "refused".to_owned()] {
        assert!(message.contains(&expected), "{message}");
    }
}

#[tokio::test]
async fn status_and_members_are_parsed_and_unknown_fields_ignored() {
    let status = r#"{"id":"ab","name":null,"role":"leader","term":3,"leader":{"id":"ab","url":"http://h:1"},"commit":120,
        "applied":120,"last":121,"snapshot":100,"revision":95,"cluster":"cc","history":"dd","mood":"good",
        "peers":[{"id":"ef","match":120,"state":"pipeline"}]}"#;
    let status = Server::start(200, status).await.client().status().await.unwrap();
    assert_eq!(
        (status.role.as_str(), status.last, status.peers.unwrap()[0].match_index),
        ("leader", 121, 120)
    );

    let members = r#"{"cluster":"cc","index":12,"members":[{"id":"ab","name":"one","address":"h:1","url":null,
        "role":"voter","leader":true}],"joint":{"incoming":["ab"],"outgoing":[]}}"#;
    let members = Server::start(200, members).await.client().members().await.unwrap();
    assert_eq!((members.index, members.members[0].leader), (12, true));

    let error = Server::start(200, "hello").await.client().status().await.unwrap_err();
    assert!(matches!(error, ClientError::NotQuorate(_)), "{error}");
}

#[tokio::test]
async fn adding_a_member_speaks_the_seed_s_language() {
    let server = Server::start(200, r#"{"status":"success"}"#).await;
    let address = "127.0.0.1:9080".parse().unwrap();
    let mut member =
        NewMember { id: "ab".to_owned(), address, learner: false, wait_for_voter: true, join_token: None };
    server.client().add(&member).await.unwrap();
    member = NewMember { learner: true, wait_for_voter: false, ..member };
    server.client().add(&member).await.unwrap();
    let expected = [
        r#"POST /raft/add?wait=voter&timeout=9000ms {"Address":"127.0.0.1:9080","ID":"ab"}"#,
        r#"POST /raft/add?timeout=9000ms {"Address":"127.0.0.1:9080","ID":"ab","Role":"learner"}"#,
    ];
    assert_eq!(server.seen(), expected);
}

#[tokio::test]
async fn changes_of_the_members_name_ids() {
    let server = Server::start(200, r#"{"status":"success"}"#).await;
    let client = server.client();
    client.promote("ab").await.unwrap();
    client.remove("ab").await.unwrap();
    client.transfer(Some("ab")).await.unwrap();
    client.transfer(None).await.unwrap();
    client.set_members(&["ab".to_owned()], &[]).await.unwrap();
    let expected = [
        r#"POST /raft/promote?timeout=9000ms {"ID":"ab"}"#,
        r#"POST /raft/remove?timeout=9000ms {"ID":"ab"}"#,
        r#"POST /raft/transfer?timeout=9000ms {"ID":"ab"}"#,
        r#"POST /raft/transfer?timeout=9000ms {}"#,
        r#"POST /raft/members?timeout=9000ms {"learners":[],"voters":["ab"]}"#,
    ];
    assert_eq!(server.seen(), expected);
}

#[tokio::test]
async fn a_read_says_how_fresh_it_must_be() {
    let server = Server::start(200, "").await;
    for level in [Consistency::Linearizable, Consistency::Lease, Consistency::Stale] {
        server.client().get("k").consistency(level).await.unwrap();
    }
    let expected = [
        "GET /key/k?timeout=9000ms",
        "GET /key/k?consistency=lease&timeout=9000ms",
        "GET /key/k?consistency=stale&timeout=9000ms",
    ];
    assert_eq!(server.seen(), expected);
}

#[tokio::test]
async fn export_and_import_go_through_data_json() {
    let server = Server::start(200, r#"{"a2V5":"dmFsdWU="}"#).await;
    let exported = server.client().export().await.unwrap().whole().await.unwrap();
    server.client().import(exported).await.unwrap();
    let expected = ["GET /data.json?timeout=9000ms", r#"POST /data.json?timeout=9000ms {"a2V5":"dmFsdWU="}"#];
    assert_eq!(server.seen(), expected);
}

#[tokio::test]
async fn a_backup_arrives_in_pieces_or_says_what_to_do_next() {
    let new = Wanted::New { consistency: Consistency::Stale, known: None };
    let another = Wanted::New { consistency: Consistency::Stale, known: Some("7".to_owned()) };
    let rest = Wanted::Rest { tag: "7".to_owned(), from: 512 };
    for (status, wanted) in [(200, &new), (206, &rest)] {
        let server = Server::start(status, "bytes").await;
        let mut arriving = server.client().backup(&server.endpoint, wanted).await.unwrap();
        assert_eq!((arriving.tag.as_str(), arriving.bytes), ("7", 5));
        assert_eq!(arriving.piece(PATIENCE).await.unwrap(), Some(Bytes::from_static(b"bytes")));
        assert_eq!(arriving.piece(PATIENCE).await.unwrap(), None);
        let target = if *wanted == new { "?consistency=stale&timeout=9000ms" } else { "" };
        assert_eq!(server.seen(), [format!("GET /backup{target}")]);
    }
    let error = |code: &str| &*format!(r#"{{"error":"words","code":"{code}"}}"#).leak();
    for (status, body, wanted, expected) in [
        (412, error("precondition_failed"), &rest, "gone"),
        (503, error("overloaded"), &rest, "busy"),
        (503, error("no_checkpoint"), &new, "not now"),
        (502, "a gateway's words", &new, "not now"),
        (200, "a whole one, where the rest was wanted", &rest, "not now"),
        (304, "", &another, "unchanged"),
        (304, "", &new, "not now"),
        (400, error("bad_query"), &new, "refused"),
    ] {
        let server = Server::start(status, body).await;
        let came = match server.client().backup(&server.endpoint, wanted).await.unwrap_err() {
            NoBackup::Gone => "gone",
            NoBackup::Busy(_) => "busy",
            NoBackup::NotNow(_) => "not now",
            NoBackup::Unchanged => "unchanged",
            NoBackup::Refused(_) => "refused",
        };
        assert_eq!(came, expected, "{status} {body}");
    }
    for endpoint in [closed().await, hangs_up().await] {
        let failed = client(&[&endpoint]).backup(&endpoint, &new).await;
        assert!(matches!(failed, Err(NoBackup::NotNow(_))), "{failed:?}");
    }
    let silent = silent().await;
    let waited = Client::new(vec![silent.clone()], SHORT).backup(&silent, &new).await;
    assert!(matches!(waited, Err(NoBackup::NotNow(_))), "{waited:?}");
}
