//! Conditional writes, the past, and keys that go by themselves: on a leader, and through a follower.

use hyper::Method;
use quorate_node::kv;

use super::cluster::{Answer, Cluster, Settings};

const SUCCESS: &str = r#"{"status":"success"}"#;

fn revision(answer: &Answer) -> u64 {
    answer.header("quorate-revision").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_write_is_done_only_when_its_condition_holds() {
    let cluster = Cluster::start(3).await;
    for at in cluster.both().await {
        let key = format!("/key/conditional-{at}");
        let put = async |name: &str, value: &str, body: &[u8]| {
            cluster.ask_with(at, Method::PUT, &key, &[(name, value)], body).await
        };
        let refused = put("if-match", "*", b"0").await;
        assert_eq!(refused.refusal(), (412, "precondition_failed".to_owned()));
        assert_eq!(refused.header("etag"), None, "there is no such key");

        let created = put("if-none-match", "*", b"1").await;
        assert_eq!((created.status.as_u16(), created.text()), (200, SUCCESS));
        let first = created.header("etag").unwrap();
        assert_eq!(first, format!("\"{}\"", revision(&created)));
        let refused = put("if-none-match", "*", b"2").await;
        assert_eq!(refused.refusal(), (412, "precondition_failed".to_owned()));
        assert_eq!((refused.header("etag"), revision(&refused)), (Some(first), revision(&created)));
        assert!(refused.text().contains(&format!("revision {}", revision(&created))), "{refused:?}");

        let changed = put("if-match", first, b"3").await;
        let second = changed.header("etag").unwrap();
        assert_eq!((changed.status.as_u16(), second == first), (200, false));
        for (name, value) in [("if-match", first), ("if-none-match", second)] {
            let refused = put(name, value, b"4").await;
            assert_eq!(refused.refusal(), (412, "precondition_failed".to_owned()), "{name}: {value}");
        }
        let several = put("if-match", &format!("{first}, {second}"), b"5").await;
        assert_eq!(several.status, 200);
        let last = several.header("etag").unwrap();
        assert_eq!(put("if-none-match", second, b"6").await.status, 200);

        let delete =
            async |value: &str| cluster.ask_with(at, Method::DELETE, &key, &[("if-match", value)], b"").await;
        assert_eq!(delete(last).await.refusal(), (412, "precondition_failed".to_owned()));
        let read = cluster.ask(at, Method::GET, &key, b"").await;
        assert_eq!(read.text(), "6", "what was refused was not done");
        let deleted = delete(read.header("etag").unwrap()).await;
        assert_eq!((deleted.status.as_u16(), deleted.text()), (200, SUCCESS));
        assert_eq!(revision(&deleted), revision(&read) + 1);
        assert_eq!(delete("*").await.refusal(), (412, "precondition_failed".to_owned()));
    }
}

#[tokio::test]
async fn a_key_is_read_as_it_was() {
    let cluster = Cluster::start(3).await;
    for at in cluster.both().await {
        let key = format!("/key/past-{at}");
        let mut written = Vec::new();
        for value in ["1", "2"] {
            written.push(revision(&cluster.ask(at, Method::PUT, &key, value.as_bytes()).await));
        }
        let deleted = revision(&cluster.ask(at, Method::DELETE, &key, b"").await);
        for (revision, value) in written.iter().zip(["1", "2"]) {
            let read = cluster.ask(at, Method::GET, &format!("{key}?revision={revision}"), b"").await;
            assert_eq!((read.text(), read.header("etag")), (value, Some(&*format!("\"{revision}\""))));
            let stored = read.header("quorate-revision").unwrap().parse::<u64>().unwrap();
            assert!(stored >= deleted, "the store's revision, not that of the past");
            let tag = format!("\"{revision}\"");
            let target = format!("{key}?revision={revision}");
            let known = cluster.ask_with(at, Method::GET, &target, &[("if-none-match", &tag)], b"").await;
            assert_eq!(known.status, 304);
        }
        for revision in [written[0] - 1, deleted] {
            let target = format!("{key}?revision={revision}");
            assert_eq!(cluster.ask(at, Method::GET, &target, b"").await.status, 404, "{target}");
        }
        let ahead = cluster.ask(at, Method::GET, &format!("{key}?revision=123456"), b"").await;
        assert_eq!(ahead.refusal(), (400, "bad_query".to_owned()));
        assert!(ahead.text().contains("123456") && ahead.text().contains(&deleted.to_string()), "{ahead:?}");
    }
}

#[tokio::test]
async fn a_past_that_is_gone_says_what_is_left() {
    let store = kv::Settings { history_revisions: 2, ..kv::Settings::default() };
    let cluster = Cluster::start_with(3, Settings { store, ..Settings::default() }).await;
    let [leader, follower] = cluster.both().await;
    for number in 0..20 {
        let put = cluster.ask(leader, Method::PUT, "/key/a", number.to_string().as_bytes()).await;
        assert_eq!(put.status, 200);
    }
    for at in [leader, follower] {
        for target in ["/key/a?revision=1", "/keys?revision=1"] {
            let gone = cluster.ask(at, Method::GET, target, b"").await;
            assert_eq!(gone.refusal(), (410, "compacted".to_owned()), "{target}");
            let oldest = gone.json()["oldest"].as_u64().unwrap();
            assert!((17..20).contains(&oldest), "{gone:?}");
            let read = cluster.ask(at, Method::GET, &format!("/key/a?revision={oldest}"), b"").await;
            assert_eq!(read.text(), (oldest - 1).to_string());
        }
    }
}

#[tokio::test]
async fn a_key_goes_by_itself_when_its_time_is_over() {
    let cluster = Cluster::start(3).await;
    let [leader, follower] = cluster.both().await;
    for at in [leader, follower] {
        let target = format!("/key/short-{at}");
        let put = cluster.ask(at, Method::PUT, &format!("{target}?ttl=1s"), b"value").await;
        assert_eq!((put.status.as_u16(), put.text()), (200, SUCCESS));
        let kept = format!("/key/kept-{at}");
        for target in [format!("{kept}?ttl=1s"), kept.clone()] {
            assert_eq!(cluster.ask(at, Method::PUT, &target, b"value").await.status, 200);
        }
        let gone = cluster.ask_until(at, &target, 404).await;
        // Going is a change like others.
        assert!(revision(&gone) > revision(&put) + 2);
        // A write without a time stays.
        assert_eq!(cluster.ask(at, Method::GET, &kept, b"").await.text(), "value");
        // It was there until then.
        let before = format!("{target}?revision={}", revision(&gone) - 1);
        assert_eq!(cluster.ask(at, Method::GET, &before, b"").await.text(), "value");
    }
}
