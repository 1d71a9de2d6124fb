//! Lists and watches: nothing is missed and nothing comes twice, however connections break.

use crate::script::{PATIENCE, Reply, SHORT, Server, client, error, whole};
use quorate_client::{ClientError, Event, EventKind, Watch};
use std::time::Duration;

fn entry(key: &str, revision: u64) -> String {
    format!(
        r#"{{"key":"{key}","value":"eA==","create_revision":{revision},"mod_revision":{revision},"version":1}}"#
    )
}

async fn keys(server: &[&Server], limit: Option<u64>) -> (Vec<String>, Option<u64>, Option<bool>) {
    let client = client(server, PATIENCE);
    let mut list = client.list().prefix("a");
    if let Some(limit) = limit {
        list = list.limit(limit);
    }
    let mut listing = list.begin().await.unwrap();
    let mut keys = Vec::new();
    while let Some(entry) = listing.next().await.unwrap() {
        assert_eq!(entry.value.as_deref(), Some(&b"x"[..]));
        keys.push(entry.key);
    }
    assert_eq!(listing.next().await.unwrap(), None, "the end stays the end");
    (keys, listing.revision(), listing.has_more())
}

#[tokio::test]
async fn a_list_gives_each_entry() {
    let body =
        format!(r#"{{"revision":9,"keys":[{},{}],"more":true,"next":"x"}}"#, entry("a1", 3), entry("a2", 4));
    let server = Server::start(vec![whole(200, &body)]).await;
    let expected = (vec!["a1".to_owned(), "a2".to_owned()], Some(9), Some(true));
    assert_eq!(keys(&[&server], Some(2)).await, expected);
    assert_eq!(server.calls(), ["GET /keys?prefix=a&limit=2"]);
    let empty = Server::start(vec![whole(200, r#"{"revision":9,"keys":[],"more":false}"#)]).await;
    assert_eq!(keys(&[&empty], None).await, (Vec::new(), Some(9), Some(false)));
}

#[tokio::test]
async fn a_list_that_breaks_off_goes_on_behind_the_last_key_at_the_same_revision() {
    let begun = format!(r#"{{"revision":9,"keys":[{},{},{{"key":"a3"#, entry("a1", 3), entry("a2", 4));
    let first = Server::start(vec![Reply::Broken(String::new(), begun), error(503, "shutting_down")]).await;
    let rest = format!(r#"{{"revision":9,"keys":[{}],"more":false}}"#, entry("a3", 5));
    let second = Server::start(vec![whole(200, &rest)]).await;
    let (found, revision, more) = keys(&[&first, &second], Some(5)).await;
    assert_eq!(
        (found, revision, more),
        (["a1", "a2", "a3"].map(str::to_owned).to_vec(), Some(9), Some(false))
    );
    assert_eq!(second.calls(), ["GET /keys?prefix=a&after=a2&limit=3&revision=9"]);
}

#[tokio::test]
async fn a_list_whose_past_is_gone_says_so() {
    let begun = format!(r#"{{"revision":9,"keys":[{},"#, entry("a1", 3));
    let compacted = whole(410, r#"{"error":"gone","code":"compacted","oldest":40}"#);
    let server = Server::start(vec![Reply::Broken(String::new(), begun), compacted]).await;
    let mut listing = server.client().list().begin().await.unwrap();
    assert_eq!(listing.next().await.unwrap().unwrap().key, "a1");
    let told = listing.next().await.unwrap_err();
    assert!(matches!(told, ClientError::Compacted { oldest: Some(40), .. }), "{told}");
}

#[tokio::test]
async fn a_list_that_is_none_is_told_apart() {
    for body in ["hello", "[1]", r#"{"keys":[{"key":"a1"}]}"#, r#"{"keys":[],"more":false}"#] {
        let server = Server::start(vec![whole(200, body)]).await;
        let mut listing = client(&[&server], SHORT).list().begin().await.unwrap();
        let told = listing.next().await.unwrap_err();
        assert!(matches!(told, ClientError::NotQuorate(_)), "{body}: {told}");
    }
}

#[tokio::test]
async fn the_entry_of_a_key_is_the_first_of_those_from_it_on() {
    let body = format!(r#"{{"revision":9,"keys":[{}],"more":true,"next":"x"}}"#, entry("ab", 3));
    let server = Server::start(vec![whole(200, &body)]).await;
    assert_eq!(server.client().get("ab").entry().await.unwrap().mod_revision, 3);
    let missing = server.client().get("aa").revision(8).entry().await.unwrap_err();
    assert!(matches!(missing, ClientError::NotFound(_)), "{missing}");
    assert_eq!(server.calls(), ["GET /keys?start=ab&limit=1", "GET /keys?start=aa&limit=1&revision=8"]);
}

fn head(revision: u64, history: &str) -> String {
    format!(
        "Content-Type: text/event-stream\r\nQuorate-Revision: {revision}\r\nQuorate-History: {history}\r\n"
    )
}

fn put(id: &str, key: &str) -> String {
    let revision = id.split('-').next().unwrap().parse().unwrap();
    let entry = entry(key, revision);
    let entry = entry.strip_suffix('}').unwrap();
    format!("id: {id}\nevent: put\ndata: {entry},\"revision\":{revision}}}\n\n")
}

fn delete(id: &str, key: &str, reason: &str) -> String {
    let revision = id.split('-').next().unwrap();
    let data = format!(r#"{{"key":"{key}","revision":{revision},"reason":"{reason}"}}"#);
    format!("id: {id}\nevent: delete\ndata: {data}\n\n")
}

fn shown(event: &Event) -> String {
    match event {
        Event::Put { entry, revision, .. } => format!("put {} {revision}", entry.key),
        Event::Delete { key, revision, reason, .. } => format!("delete {key} {revision} {reason}"),
        Event::Reset { revision, reason } => format!("reset {revision} {reason}"),
    }
}

async fn events(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(shown(&watch.next().await.unwrap().unwrap()));
    }
    events
}

#[tokio::test]
async fn a_watch_goes_on_behind_its_last_event_and_believes_no_event_twice() {
    let begun = [put("7-0", "a"), delete("7-1", "b", "deleted"), "id: 8-0\nevent: pu".to_owned()].concat();
    let first = Server::start(vec![Reply::Broken(head(6, "h"), begun), error(503, "shutting_down")]).await;
    let again =
        [": alive\n\n".to_owned(), put("7-0", "a"), delete("7-1", "b", "deleted"), put("8-0", "c")].concat();
    let second = Server::start(vec![Reply::Open(head(9, "h"), again)]).await;
    let client = client(&[&first, &second], PATIENCE);
    let mut watch = client.watch_prefix("").begin().await.unwrap();
    assert_eq!(watch.registered_at(), 6);
    assert_eq!(events(&mut watch, 3).await, ["put a 7", "delete b 7 deleted", "put c 8"]);
    assert_eq!(
        (first.calls(), second.calls()),
        (vec!["GET /watch?prefix=".to_owned()], vec!["GET /watch?prefix=".to_owned()])
    );
    assert_eq!(first.seen()[0].header("last-event-id"), None);
    assert_eq!(second.seen()[0].header("last-event-id"), Some("7-1"));
    assert_eq!(first.seen()[0].header("quorate-history"), None);
    assert_eq!(second.seen()[0].header("quorate-history"), Some("h"));
    assert_eq!(second.seen()[0].header("accept"), Some("text/event-stream"));
}

#[tokio::test]
async fn a_watch_without_events_goes_on_from_where_it_was_registered() {
    let breaks = Reply::Broken(head(6, "h"), ": alive\n\n".to_owned());
    let server =
        Server::start(vec![breaks.clone(), breaks, Reply::Open(head(9, "h"), put("7-0", "k"))]).await;
    let mut watch = server.client().watch_key("k").begin().await.unwrap();
    assert_eq!(events(&mut watch, 1).await, ["put k 7"]);
    let expected = ["GET /watch?key=k", "GET /watch?key=k&from=7", "GET /watch?key=k&from=7"];
    assert_eq!(server.calls(), expected);
    let from =
        server.client().watch_key("k").from(3).with_previous().only(EventKind::Put).begin().await.unwrap();
    assert_eq!(server.calls()[3], "GET /watch?key=k&previous=true&events=put&from=3");
    drop(from);
}

#[tokio::test]
async fn a_watch_that_falls_silent_is_begun_elsewhere() {
    let silent = Server::start(vec![Reply::Open(head(6, "h"), put("7-0", "a"))]).await;
    let alive = Server::start(vec![Reply::Open(head(9, "h"), put("8-0", "b"))]).await;
    let client = client(&[&silent, &alive], PATIENCE);
    let request = client.watch_prefix("").silence(Duration::from_millis(100));
    let mut watch = request.begin().await.unwrap();
    assert_eq!(events(&mut watch, 2).await, ["put a 7", "put b 8"]);
    assert_eq!(alive.seen()[0].header("last-event-id"), Some("7-0"));
}

#[tokio::test]
async fn a_reset_is_told_and_is_the_end() {
    let reset = "event: reset\ndata: {\"revision\":99,\"reason\":\"compacted\"}\n\n";
    let server = Server::start(vec![Reply::Open(head(6, "h"), reset.to_owned())]).await;
    let mut watch = server.client().watch_prefix("").from(1).begin().await.unwrap();
    assert_eq!(events(&mut watch, 1).await, ["reset 99 compacted"]);
    assert_eq!(watch.next().await.unwrap(), None);

    let one = Reply::Broken(head(6, "h"), put("7-0", "a"));
    let server = Server::start(vec![one, Reply::Open(head(7, "another"), put("8-0", "b"))]).await;
    let mut watch = server.client().watch_prefix("").begin().await.unwrap();
    assert_eq!(events(&mut watch, 2).await, ["put a 7", "reset 7 restored"]);
    assert_eq!(watch.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_watch_that_nobody_goes_on_with_says_so_and_can_be_gone_on_with() {
    let replies = vec![
        Reply::Broken(head(6, "h"), put("7-0", "a")),
        error(503, "shutting_down"),
        Reply::Nothing,
        error(503, "shutting_down"),
    ];
    let server = Server::start(replies).await;
    let mut watch = client(&[&server], SHORT).watch_prefix("").begin().await.unwrap();
    assert_eq!(events(&mut watch, 1).await, ["put a 7"]);
    for _ in 0..2 {
        let told = watch.next().await.unwrap_err();
        assert!(matches!(told, ClientError::Unavailable(_)), "{told}");
    }
    assert!(server.seen()[1..].iter().all(|seen| seen.header("last-event-id") == Some("7-0")));
}
