//! What a collector of OpenTelemetry hears of requests, and that nobody waits for one that does not listen.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod collector;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use collector::Collector;
use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Client;
use quorate_tests::ports::free_port;
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// A trace and a span of a client's.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// Longer than a node takes to say good-bye, and a second for its spans; much shorter than it waits for a collector.
const END: Duration = Duration::from_secs(5);

/// Writes a key, under this name.
fn put(client: &mut Client, name: &str, headers: &[(&str, &str)]) {
    let secret = [("x-request-id", name), ("authorization", "Bearer secret-token")];
    let answer = client.request_with("PUT", "/key/secret-key", &[&secret, headers].concat(), b"secret-value");
    assert_eq!(answer.unwrap().status, 200);
}

/// A cluster of one.
fn start_alone(collector: &str) -> Cluster {
    Cluster::start_with(QUORATE, 1, &["--otlp-endpoint", collector])
}

/// The lines of a node's log with this message.
fn said(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

const DOES_NOT_TAKE: &str = "the collector does not take spans";
const TAKES_AGAIN: &str = "the collector takes spans again";
const DROPS: &str = "spans are dropped, as the collector does not take them; how many is said at the end";
const DROPPED: &str = "spans were dropped: the collector did not take them";

#[test]
fn a_write_through_a_follower_is_one_trace() {
    let collector = Collector::start(&[]);
    let mut cluster = Cluster::start_with(QUORATE, 3, &["--otlp-endpoint", &collector.url()]);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let ids = [follower, leader].map(|number| cluster.nodes[number].id());
    let mut client = cluster.nodes[follower].client();

    let parent = |flags| format!("00-{TRACE}-{SPAN}-{flags}");
    put(&mut client, "not-sampled", &[("traceparent", &parent("00"))]);
    put(&mut client, "sampled", &[("traceparent", &parent("01")), ("tracestate", "theirs=1")]);
    put(&mut client, "bad-parent", &[("traceparent", &format!("00-{TRACE}-1-01"))]);

    let spans: [_; 2] = collector.wait_for("sampled");
    let expected = [
        ("http.request.method", "PUT"),
        ("http.response.status_code", "200"),
        ("http.route", "/key/{key}"),
        ("quorate.request_id", "sampled"),
        ("url.scheme", "http"),
    ];
    let expected = BTreeMap::from(expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for (span, node) in spans.iter().zip(&ids) {
        assert_eq!((&*span.trace, &*span.name, &*span.state), (TRACE, "PUT /key/{key}", "theirs=1"));
        assert_eq!(span.attributes, expected);
        assert_eq!(
            (&*span.resource["service.name"], &span.resource["service.instance.id"]),
            ("quorate", node)
        );
        assert!(span.is_of_server && !span.is_error, "{span:?}");
    }
    assert_eq!((&*spans[0].parent, &spans[1].parent), (SPAN, &spans[0].span));

    let spans: [_; 2] = collector.wait_for("bad-parent");
    assert_eq!((&*spans[0].parent, &spans[1].parent), ("", &spans[0].span));
    assert_eq!(spans[0].trace, spans[1].trace);
    assert_ne!(spans[0].trace, TRACE);

    assert_eq!(collector.spans_of("not-sampled"), [], "it came before the others");
    for secret in ["secret-key", "secret-value", "secret-token"] {
        assert!(!collector.has_heard(secret), "{secret}");
    }
}

#[test]
fn the_last_spans_are_sent_at_the_end() {
    let collector = Collector::start(&[]);
    let mut cluster = start_alone(&collector.url());
    put(&mut cluster.nodes[0].client(), "last", &[]);
    assert_eq!(cluster.nodes[0].stop(), Some(0));
    let [span] = collector.spans_of("last").try_into().unwrap();
    assert_eq!(span.parent, "");
}

#[test]
fn what_a_collector_cannot_take_now_is_sent_again() {
    let collector = Collector::start(&[503]);
    let mut cluster = start_alone(&collector.url());
    put(&mut cluster.nodes[0].client(), "first", &[]);
    let _: [_; 1] = collector.wait_for("first");
    assert!(collector.requests() > 1);
    let log = wait_until("the good news in the log", PATIENCE, || {
        let log = cluster.nodes[0].process().stderr();
        (!said(&log, TAKES_AGAIN).is_empty()).then_some(log)
    });
    let bad_news = said(&log, DOES_NOT_TAKE);
    assert_eq!(bad_news.len(), 1, "{log}");
    assert_eq!(bad_news[0]["reason"], "it answered 503 Service Unavailable");
    assert_eq!(said(&log, TAKES_AGAIN)[0]["dropped"], 0);
}

/// Writes and ends as ever, whatever the collector at this URL does. Gives the node's log.
fn serves_without(collector: &str) -> String {
    let mut cluster = start_alone(collector);
    let mut client = cluster.nodes[0].client();
    (0..20).for_each(|number| put(&mut client, &number.to_string(), &[]));
    ends_in_time(&mut cluster.nodes[0])
}

fn ends_in_time(node: &mut Node) -> String {
    let process = node.process();
    process.terminate();
    let asked = Instant::now();
    assert_eq!(process.wait("the node to end", PATIENCE).code(), Some(0));
    assert!(asked.elapsed() < END, "{:?}", asked.elapsed());
    process.stderr()
}

#[test]
fn a_collector_that_is_down_costs_nothing() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let log = serves_without(&nobody);
    let said_at_end = said(&log, DROPPED);
    assert_eq!((said(&log, DOES_NOT_TAKE).len(), said_at_end.len()), (1, 1), "{log}");
    assert!(said_at_end[0]["spans"].as_u64() >= Some(20), "{log}");
}

#[test]
fn a_collector_that_hangs_costs_nothing() {
    let log = serves_without(&Collector::start_silent().url());
    let said_at_end = said(&log, DROPPED);
    assert!(said_at_end.len() == 1 && said_at_end[0]["spans"].as_u64() >= Some(20), "{log}");
}

#[test]
fn what_finds_no_room_is_dropped_and_counted() {
    const REQUESTS: usize = 4_000;
    let mut cluster = start_alone(&Collector::start_silent().url());
    let mut client = cluster.nodes[0].client();
    for _ in 0..REQUESTS {
        assert_eq!(client.request("GET", "/livez", b"").unwrap().status, 200);
    }
    let log = ends_in_time(&mut cluster.nodes[0]);
    let said_at_end = said(&log, DROPPED);
    assert_eq!((said(&log, DROPS).len(), said_at_end.len()), (1, 1), "{log}");
    assert!(said_at_end[0]["spans"].as_u64() >= Some(REQUESTS as u64), "{log}");
}
