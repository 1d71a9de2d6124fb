//! What browsers get at `/`, and the stream that the page lives on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Method, Request};
use serde_json::Value;

use super::cluster::{Cluster, LIMITS, Settings, soon};
use crate::context::Limits;
use crate::real::RealRuntime;
use crate::runtime::Runtime;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const EVENTS: (&str, &str) = ("accept", "text/event-stream");

#[tokio::test]
async fn a_browser_gets_the_page_and_everybody_else_the_greeting() {
    let cluster = Cluster::start(1).await;
    let ask = async |accept| cluster.ask_with(0, Method::GET, "/", &[("accept", accept)], b"").await;
    for accept in ["*/*", "application/json", "text/html;q=0"] {
        let greeting = ask(accept).await;
        assert_eq!(greeting.text(), r#"{"hello":"world"}"#, "{accept}");
        assert_eq!(greeting.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(greeting.header("vary"), Some("accept"));
    }
    let page = ask(BROWSER).await;
    assert_eq!(page.status, 200);
    assert!(page.text().starts_with("<!doctype html>"));
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
        ("vary", "accept"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    assert!(
        page.header("content-security-policy").unwrap().starts_with("default-src 'none'; style-src 'sha256-")
    );

    let tag = page.header("etag").unwrap();
    for (known, status) in
        [(tag, 304), ("W/\"x\", *", 304), ("\"x\"", 200), (&*format!("\"x\", W/{tag}"), 304)]
    {
        let headers = [("accept", BROWSER), ("if-none-match", known)];
        let answer = cluster.ask_with(0, Method::GET, "/", &headers, b"").await;
        assert_eq!(answer.status, status, "{known}");
        assert_eq!(answer.header("etag"), Some(tag));
        assert_eq!(answer.body.is_empty(), status == 304);
    }
}

/// The stream of a node, read event by event.
struct Live(hyper::body::Incoming);

impl Live {
    async fn open(cluster: &Cluster, at: usize) -> Live {
        let mut line = cluster.open(at).await;
        let request = Request::get("/raft/status").header("host", "localhost").header(EVENTS.0, EVENTS.1);
        let answer = soon(line.send_request(request.body(Default::default()).unwrap())).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Live(answer.into_body())
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Value> {
        let mut text = Vec::new();
        while !text.ends_with(b"\n\n") {
            let frame = soon(self.0.frame()).await?;
            text.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        let text = String::from_utf8(text).unwrap();
        let data = text.strip_prefix("event: overview\ndata: ").unwrap();
        Some(serde_json::from_str(data).unwrap())
    }

    async fn until(&mut self, is_so: impl Fn(&Value) -> bool) -> Value {
        soon(async {
            loop {
                let event = self.next().await.expect("it goes on");
                if is_so(&event) {
                    return event;
                }
            }
        })
        .await
    }
}

fn nodes(event: &Value) -> &Vec<Value> {
    event["nodes"].as_array().unwrap()
}

#[tokio::test]
async fn a_follower_tells_of_all_and_of_who_does_not_answer() {
    let cluster = Cluster::start(3).await;
    let [leader, follower] = cluster.both().await;
    let mut live = Live::open(&cluster, follower).await;
    cluster.ask(follower, Method::PUT, "/key/a", b"1").await;
    let seen = live.until(|event| nodes(event).iter().all(|node| node["status"].is_object())).await;
    assert_eq!(seen["node"], format!("{:032x}", follower + 1));
    assert_eq!(nodes(&seen).len(), 3);
    for (at, node) in nodes(&seen).iter().enumerate() {
        assert_eq!(node["id"], format!("{:032x}", at + 1));
        assert_eq!(node["membership"], "voter");
        assert_eq!(node["status"]["role"], if at == leader { "leader" } else { "follower" });
        assert_eq!(node["condition"]["disk_full"], false);
        assert_eq!(node["problem"], Value::Null);
    }
    let is_measured = |event: &Value| nodes(event).iter().all(|node| node["activity"]["reads"].is_object());
    live.until(is_measured).await;

    let third = 3 - leader - follower;
    cluster.servers[third].stop().await;
    let seen = live.until(|event| nodes(event)[third]["problem"].is_string()).await;
    assert_eq!(nodes(&seen)[third]["status"], Value::Null);
    assert_eq!(nodes(&seen)[leader]["problem"], Value::Null);
}

#[tokio::test]
async fn one_who_comes_later_sees_what_was_seen_last_and_all_hear_the_end() {
    let cluster = Cluster::start(1).await;
    let mut first = Live::open(&cluster, 0).await;
    first.next().await.unwrap();
    let mut second = Live::open(&cluster, 0).await;
    second.next().await.unwrap();
    // With its last onlooker it looks no more, and with the next one again.
    drop((first, second));
    let mut third = Live::open(&cluster, 0).await;
    third.next().await.unwrap();
    cluster.servers[0].context.shutdown.begin();
    while third.next().await.is_some() {}
}

/// Whoever opens streams and hangs up again costs the other nodes no more than whoever keeps one.
#[tokio::test]
async fn who_comes_and_goes_has_nobody_asked_more_often() {
    let cluster = Cluster::start(3).await;
    let [leader, follower] = cluster.both().await;
    let http = &cluster.servers[3 - leader - follower].context.metrics.http;
    let asked = || {
        let (_, status) = http.operations().find(|(name, _)| *name == "status").unwrap();
        status.answers.iter().map(|count| count.total()).sum::<u64>()
    };
    let (before, runtime) = (asked(), RealRuntime::start());
    let began = runtime.now();
    for _ in 0..50 {
        let mut live = Live::open(&cluster, follower).await;
        live.next().await.unwrap();
    }
    let most = 3 + 2 * runtime.now().since(began).as_secs();
    assert!(asked() - before <= most, "{} times, and not {most}", asked() - before);
}

#[tokio::test]
async fn who_looks_on_takes_the_place_of_a_watch() {
    let limits = Limits { watchers: 1, ..LIMITS };
    let cluster = Cluster::start_with(1, Settings { limits, ..Settings::default() }).await;
    let live = Live::open(&cluster, 0).await;
    for (target, accept) in [("/raft/status", EVENTS.1), ("/watch?prefix=", "*/*")] {
        let refused = cluster.ask_with(0, Method::GET, target, &[("accept", accept)], b"").await;
        assert_eq!((refused.status.as_u16(), &*refused.code()), (503, "overloaded"), "{target}");
        assert!(refused.text().contains("--max-watchers"), "{}", refused.text());
    }
    let head = cluster.ask_with(0, Method::HEAD, "/raft/status", &[EVENTS], b"").await;
    assert_eq!((head.status.as_u16(), head.header("content-type")), (200, Some("text/event-stream")));
    drop(live);
    let counts = || cluster.servers[0].context.watches.counts().watchers;
    soon(async {
        while counts() > 0 {
            RealRuntime::start().sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_status_in_detail_has_the_status_in_it() {
    let cluster = Cluster::start(1).await;
    cluster.ask(0, Method::PUT, "/key/a", b"1").await;
    cluster.ask(0, Method::GET, "/key/a", b"").await;
    let brief = cluster.ask(0, Method::GET, "/raft/status", b"").await.json();
    let mut verbose = cluster.ask(0, Method::GET, "/raft/status?verbose", b"").await.json();
    let detail = verbose.as_object_mut().unwrap().remove("detail").unwrap();
    assert_eq!(brief, verbose);
    assert_eq!(detail["condition"]["keys"], 1);
    let total = |what: &str| {
        let counts = detail[what]["counts"].as_array().unwrap();
        assert_eq!(counts.len(), detail[what]["bounds_us"].as_array().unwrap().len() + 1);
        counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((total("reads"), total("writes")), (1, 1));
}
