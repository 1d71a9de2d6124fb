//! `GET /keys`, on a leader and on a follower.

use hyper::Method;
use serde_json::{Value, json};

use super::cluster::{Cluster, Settings, read_to_end, soon};
use crate::net::{Net, read_some, write_all};
use crate::real::RealNet;
use quorate_node::kv;

async fn fill(cluster: &Cluster, keys: &[&str]) {
    let leader = cluster.leader().await;
    for key in keys {
        let put = cluster.ask(leader, Method::PUT, &format!("/key/{key}"), key.as_bytes()).await;
        assert_eq!(put.status, 200);
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["keys"].as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_has_the_keys_of_its_range() {
    let cluster = Cluster::start(3).await;
    fill(&cluster, &["a", "b/1", "b/2", "b/3", "b0", "c"]).await;
    let cases: [(&str, &[&str]); 13] = [
        ("", &["a", "b/1", "b/2", "b/3", "b0", "c"]),
        ("?prefix=b/", &["b/1", "b/2", "b/3"]),
        ("?prefix=", &["a", "b/1", "b/2", "b/3", "b0", "c"]),
        ("?prefix=d", &[]),
        ("?start=b/2&end=c", &["b/2", "b/3", "b0"]),
        ("?start=b/2", &["b/2", "b/3", "b0", "c"]),
        ("?end=b/2", &["a", "b/1"]),
        ("?start=c&end=a", &[]),
        ("?after=b/2", &["b/3", "b0", "c"]),
        ("?prefix=b%2F&after=b/1", &["b/2", "b/3"]),
        ("?prefix=b/&revision=3", &["b/1", "b/2"]),
        ("?revision=0", &[]),
        ("?consistency=lease&prefix=a", &["a"]),
    ];
    for at in cluster.both().await {
        for (query, expected) in cases {
            let answer = cluster.ask(at, Method::GET, &format!("/keys{query}"), b"").await;
            let list = answer.json();
            assert_eq!((answer.status.as_u16(), names(&list)), (200, expected.to_vec()), "{query}");
            assert_eq!((&list["more"], list.get("next")), (&json!(false), None), "{query}");
            let revision = answer.header("quorate-revision").unwrap().to_owned();
            assert_eq!(list["revision"].to_string(), revision, "{query}");
        }
    }
}

#[tokio::test]
async fn an_entry_tells_what_the_contract_says() {
    let cluster = Cluster::start(3).await;
    fill(&cluster, &["a", "a"]).await;
    for at in cluster.both().await {
        let whole = cluster.ask(at, Method::GET, "/keys", b"").await;
        assert_eq!(
            whole.text(),
            r#"{"revision":2,"keys":[{"key":"a","value":"YQ==","create_revision":1,"mod_revision":2,"version":2}],"more":false}"#
        );
        assert_eq!(whole.header("content-type"), Some("application/json; charset=utf-8"));
        let bare = cluster.ask(at, Method::GET, "/keys?values=false", b"").await;
        assert_eq!(
            bare.text(),
            r#"{"revision":2,"keys":[{"key":"a","create_revision":1,"mod_revision":2,"version":2}],"more":false}"#
        );
        let head = cluster.ask(at, Method::HEAD, "/keys", b"").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        let stale = cluster.ask(at, Method::GET, "/keys?consistency=stale&limit=5", b"").await;
        assert_eq!(stale.body, whole.body);
    }
}

#[tokio::test]
async fn a_cursor_goes_on_at_the_same_revision_on_any_node() {
    let cluster = Cluster::start(3).await;
    let [leader, follower] = cluster.both().await;
    fill(&cluster, &["a/1", "a/2", "a/3", "a/4", "a/5", "b"]).await;
    for (first, second) in [(leader, follower), (follower, leader), (leader, leader), (follower, follower)] {
        let target = "/keys?prefix=a/&limit=2&values=false";
        let page = cluster.ask(first, Method::GET, target, b"").await.json();
        assert_eq!((names(&page), &page["more"]), (vec!["a/1", "a/2"], &json!(true)));
        let next = page["next"].as_str().unwrap();

        // What happens meanwhile is not seen.
        cluster.ask(first, Method::DELETE, "/key/a/4", b"").await;
        cluster.ask(first, Method::PUT, "/key/a/3", b"changed").await;
        cluster.ask(first, Method::PUT, "/key/a/31", b"new").await;
        let page = cluster.ask(second, Method::GET, &format!("/keys?cursor={next}"), b"").await.json();
        assert_eq!((names(&page), &page["more"]), (vec!["a/3", "a/4"], &json!(true)));
        assert!(page["keys"][0].get("value").is_none(), "{page}");
        // The rest, by the query as it was with the cursor appended, and another limit.
        let next = page["next"].as_str().unwrap();
        let target = format!("/keys?prefix=a/&limit=10&values=true&cursor={next}");
        let last = cluster.ask(first, Method::GET, &target, b"").await.json();
        assert_eq!((names(&last), &last["more"]), (vec!["a/5"], &json!(false)));
        assert_eq!((&last["revision"], &last["keys"][0]["value"]), (&page["revision"], &json!("YS81")));

        let other = format!("/keys?prefix=b&cursor={next}");
        let refused = cluster.ask(second, Method::GET, &other, b"").await;
        assert_eq!(refused.refusal(), (400, "bad_query".to_owned()));
        let broken = format!("/keys?cursor={}", &next[1..]);
        assert_eq!(
            cluster.ask(second, Method::GET, &broken, b"").await.refusal(),
            (400, "bad_query".to_owned())
        );
        for target in ["/key/a/31", "/key/a/4", "/key/a/3"] {
            cluster.ask(first, Method::DELETE, target, b"").await;
        }
        fill(&cluster, &["a/3", "a/4"]).await;
    }
    let ahead = cluster.ask(follower, Method::GET, "/keys?revision=123456", b"").await;
    assert_eq!(ahead.refusal(), (400, "bad_query".to_owned()));
}

/// Many pages of the node's: 40 values of 100 kB, whose keys are found in order, each once.
#[tokio::test]
async fn a_long_list_is_sent_in_pieces() {
    let cluster = Cluster::start(3).await;
    let keys: Vec<String> = (10..50).map(|number| format!("key/{number}")).collect();
    let leader = cluster.leader().await;
    for key in &keys {
        let put = cluster.ask(leader, Method::PUT, &format!("/key/{key}"), &[b'v'; 100_000]).await;
        assert_eq!(put.status, 200);
    }
    for at in cluster.both().await {
        let whole = cluster.ask(at, Method::GET, "/keys", b"").await;
        assert_eq!((whole.header("content-length"), whole.header("quorate-revision")), (None, Some("40")));
        let list = whole.json();
        assert_eq!((names(&list), &list["more"]), (keys.iter().map(|key| &**key).collect(), &json!(false)));
        let value = list["keys"][39]["value"].as_str().unwrap();
        assert_eq!(value.len(), 100_000_usize.div_ceil(3) * 4);
        // A limit may end in the middle of any page.
        let part = cluster.ask(at, Method::GET, "/keys?limit=17", b"").await.json();
        assert_eq!((names(&part).len(), &part["more"]), (17, &json!(true)));
        let next = part["next"].as_str().unwrap();
        let rest = cluster.ask(at, Method::GET, &format!("/keys?limit=100&cursor={next}"), b"").await.json();
        assert_eq!((names(&rest).len(), names(&rest)[0], &rest["more"]), (23, &*keys[17], &json!(false)));
    }
}

const VALUE_BYTES: usize = 1 << 20;
const LONG_KEYS: usize = 24;

async fn put_large(cluster: &Cluster, number: usize, byte: u8) {
    let target = format!("/key/{number:03}?timeout=20s");
    assert_eq!(cluster.ask(0, Method::PUT, &target, &vec![byte; VALUE_BYTES]).await.status, 200);
}

/// A node that keeps no past but what readers need, and a client that has read the beginning of a long list.
async fn begun_list() -> (Cluster, <RealNet as Net>::Stream) {
    let store = kv::Settings { history_revisions: 1, history_bytes: 0, ..kv::Settings::default() };
    let cluster = Cluster::start_with(1, Settings { store, ..Settings::default() }).await;
    for number in 0..LONG_KEYS {
        put_large(&cluster, number, b'v').await;
    }
    let mut stream = soon(RealNet.dial(&cluster.addresses[0])).await.unwrap();
    let request = "GET /keys HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    soon(write_all(&mut stream, request.as_bytes())).await.unwrap();
    let mut begun = [0; 15];
    soon(read_some(&mut stream, &mut begun)).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200 OK");
    (cluster, stream)
}

#[tokio::test]
async fn a_long_list_is_of_one_revision_whatever_happens_meanwhile() {
    let (cluster, mut stream) = begun_list().await;
    for number in (1..2 * LONG_KEYS).step_by(2) {
        put_large(&cluster, number, b'w').await;
    }
    assert_eq!(cluster.ask(0, Method::DELETE, "/key/022", b"").await.status, 200);
    let whole = soon(read_to_end(&mut stream)).await;
    assert_eq!(whole.matches(r#""mod_revision""#).count(), LONG_KEYS);
    for number in 0..LONG_KEYS {
        let revision = number + 1;
        assert!(
            whole.contains(&format!(r#""create_revision":{revision},"mod_revision":{revision},"version":1"#))
        );
    }
    assert!(whole.contains(r#""key":"022""#) && !whole.contains("d3d3d3d3"), "as it was");
    assert!(whole.ends_with("0\r\n\r\n") && whole.contains(r#""more":false}"#));
}

/// 1. A client reads the beginning of a list, and stops. 2. The node keeps what it takes to go on, up to its limit of
/// 64 MiB; more than that is overwritten. 3. The client reads on: the body has no end.
#[tokio::test]
async fn a_list_whose_past_is_gone_breaks_off() {
    let (cluster, mut stream) = begun_list().await;
    for round in 0..4 {
        for number in 0..LONG_KEYS {
            put_large(&cluster, number + round % 2, b'v').await;
        }
    }
    let rest = soon(read_to_end(&mut stream)).await;
    assert!(rest.contains(r#"{"revision":24,"keys":[{"key":"000""#));
    assert!(!rest.ends_with("0\r\n\r\n"), "it must not look whole");
    assert!(!rest.contains(r#""more""#));
}
