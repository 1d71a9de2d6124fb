//! `/backup`: whole, in parts, on any node, and how many at a time.

use std::time::Duration;

use hyper::Method;
use quorate_storage::backup::{Flaw, Header, Verifier};

use super::cluster::{Answer, CLUSTER, Cluster, HISTORY, LIMITS, Settings, soon};
use crate::context::Limits;
use crate::net::{Net, read_some, write_all};
use crate::real::{RealNet, RealRuntime};
use crate::runtime::{Runtime, timeout_at};

async fn get(cluster: &Cluster, at: usize, headers: &[(&str, &str)]) -> Answer {
    cluster.ask_with(at, Method::GET, "/backup", headers, b"").await
}

async fn fill(cluster: &Cluster, at: usize) {
    for number in 0..3_u8 {
        let put = cluster.ask(at, Method::PUT, &format!("/key/{number}"), &vec![number; 200_000]).await;
        assert_eq!(put.status, 200);
    }
}

fn verified(file: &[u8]) -> Result<Header, Flaw> {
    let mut verifier = Verifier::new();
    verifier.feed(file)?;
    verifier.finish()?;
    Ok(verifier.header().unwrap().clone())
}

#[tokio::test]
async fn any_node_sends_a_backup_of_all_that_was_acknowledged() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    fill(&cluster, leader).await;
    for at in 0..3 {
        let put = cluster.ask(leader, Method::PUT, &format!("/key/for/{at}"), b"value").await;
        let revision = put.header("quorate-revision").unwrap().to_owned();
        let answer = get(&cluster, at, &[]).await;
        assert_eq!((answer.status, answer.header("accept-ranges")), (200.try_into().unwrap(), Some("bytes")));
        let header = verified(&answer.body).unwrap();
        assert_eq!((header.origin.cluster, header.origin.history), (CLUSTER, HISTORY));
        assert_eq!(header.revision.0.to_string(), revision, "node {at}: what was acknowledged is in it");
        assert_eq!(answer.header("quorate-revision"), Some(&*revision));
        assert_eq!(answer.header("etag"), Some(&*format!("\"{}\"", header.tag())));
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
        let stale = cluster.ask(at, Method::GET, "/backup?consistency=stale", b"").await;
        assert_eq!(verified(&stale.body).unwrap().revision, header.revision);
        let tag = answer.header("etag").unwrap();
        let head = cluster.ask_with(at, Method::HEAD, "/backup", &[("if-match", tag)], b"").await;
        assert_eq!(head.status, 200);
        for name in ["etag", "content-length", "accept-ranges", "content-type", "quorate-revision"] {
            assert_eq!(head.header(name), answer.header(name), "{name}");
        }
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn a_range_goes_on_with_the_same_checkpoint_or_begins_with_another() {
    let cluster = Cluster::start(1).await;
    fill(&cluster, 0).await;
    let whole = get(&cluster, 0, &[]).await;
    let (tag, length) = (whole.header("etag").unwrap(), whole.body.len());
    assert_eq!(cluster.ask(0, Method::PUT, "/key/later", b"value").await.status, 200);
    // (condition, range, the bytes of the old one that are wanted)
    for (range, part) in [("bytes=512-", 512..length), ("bytes=0-9", 0..10), ("bytes=-7", length - 7..length)]
    {
        for condition in ["if-range", "if-match"] {
            let answer = get(&cluster, 0, &[(condition, tag), ("range", range)]).await;
            assert_eq!(answer.status, 206, "{condition} {range}");
            assert!(answer.body == whole.body[part.clone()], "{condition} {range}");
            let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            assert_eq!(answer.header("content-range"), Some(&*range));
            assert_eq!((answer.header("etag"), answer.body.len()), (Some(tag), part.len()));
        }
    }
    let behind = get(&cluster, 0, &[("if-range", tag), ("range", &format!("bytes={length}-"))]).await;
    assert_eq!((behind.status.as_u16(), &*behind.code()), (416, "range_not_satisfiable"));
    assert_eq!(behind.header("content-range"), Some(&*format!("bytes */{length}")));

    let other = format!("\"{:032x}\"", 7);
    for named in [&*other, "\"7\"", "Thu, 26 Nov 2026 20:00:00 GMT"] {
        let anew = get(&cluster, 0, &[("if-range", named), ("range", "bytes=100-")]).await;
        assert_eq!(anew.status, 200, "{named}");
        assert_eq!(verified(&anew.body).unwrap().revision.0, 4, "a new one, whole");
    }
    // What the client has already does not come again, and any other does.
    let now = get(&cluster, 0, &[]).await;
    let newest = now.header("etag").unwrap();
    for same in [newest.to_owned(), format!("{other}, W/{newest}"), "*".to_owned()] {
        let unchanged = get(&cluster, 0, &[("if-none-match", &same)]).await;
        assert_eq!((unchanged.status.as_u16(), unchanged.header("etag")), (304, Some(newest)), "{same}");
        assert!(unchanged.body.is_empty());
    }
    assert!(get(&cluster, 0, &[("if-none-match", tag)]).await.body == now.body);
    let gone = get(&cluster, 0, &[("if-match", &other), ("range", "bytes=100-")]).await;
    assert_eq!((gone.status.as_u16(), &*gone.code()), (412, "precondition_failed"));
    let both = format!("{other}, {tag}");
    assert!(get(&cluster, 0, &[("if-match", &both)]).await.body == whole.body);
    // A range of whatever there is now: put behind the beginning of another it would make up a file that never was.
    for (name, value) in [("accept", "*/*"), ("if-match", "*")] {
        let now = get(&cluster, 0, &[(name, value), ("range", "bytes=512-")]).await;
        assert_eq!((now.status.as_u16(), now.header("content-range")), (200, None), "{name}: {value}");
        assert!(verified(&now.body).is_ok() && now.header("etag") != Some(tag), "a new one, whole");
    }
    let nonsense = get(&cluster, 0, &[("range", "bytes=9-3")]).await;
    assert_eq!(nonsense.status, 200);
    let elsewhere = cluster.ask_with(0, Method::GET, "/key/0", &[("if-match", tag)], b"").await;
    assert_eq!(&*elsewhere.code(), "malformed");
}

/// A reader that has the head of an answer and takes no more than that.
async fn begun(address: &str) -> <RealNet as Net>::Stream {
    soon(async {
        let mut stream = RealNet.dial(address).await.unwrap();
        let request = format!("GET /backup HTTP/1.1\r\nhost: {address}\r\n\r\n");
        write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut first = [0; 15];
        assert_eq!(read_some(&mut stream, &mut first).await.unwrap(), 15);
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        stream
    })
    .await
}

#[tokio::test]
async fn two_are_sent_at_a_time_and_a_third_is_told_to_come_later() {
    // So slow that the first piece is all that ever comes.
    let limits = Limits { backup_bytes_per_second: 1, ..LIMITS };
    let cluster = Cluster::start_with(1, Settings { limits, ..Settings::default() }).await;
    fill(&cluster, 0).await;
    let address = &cluster.addresses[0];
    let readers = [begun(address).await, begun(address).await];
    for method in [Method::GET, Method::HEAD] {
        let refused = cluster.ask(0, method, "/backup", b"").await;
        assert_eq!((refused.status.as_u16(), refused.header("quorate-error")), (503, Some("overloaded")));
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    // Others are served as ever.
    assert_eq!(cluster.ask(0, Method::PUT, "/key/a", b"value").await.status, 200);
    drop(readers);
}

#[tokio::test]
async fn a_node_that_ends_does_not_wait_for_a_backup() {
    let limits = Limits { backup_bytes_per_second: 1, ..LIMITS };
    let cluster = Cluster::start_with(1, Settings { limits, ..Settings::default() }).await;
    fill(&cluster, 0).await;
    let mut reader = begun(&cluster.addresses[0]).await;
    let stopped = cluster.servers[0].stop();
    let broke_off = async {
        let mut chunk = [0; 4096];
        while read_some(&mut reader, &mut chunk).await.is_ok_and(|count| count > 0) {}
    };
    // Requests in progress would be given ten seconds.
    let runtime = RealRuntime::start();
    let ended = async { tokio::join!(stopped, broke_off) };
    assert!(timeout_at(&runtime, runtime.now() + Duration::from_secs(8), ended).await.is_ok());
}
