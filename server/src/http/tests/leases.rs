//! `/leases`, on a leader and through a follower.

use hyper::Method;
use serde_json::json;

use super::cluster::{Cluster, soon};

const SUCCESS: &str = r#"{"status":"success"}"#;

#[tokio::test]
async fn keys_go_with_their_lease() {
    let cluster = Cluster::start(3).await;
    for at in cluster.both().await {
        let granted = cluster.ask(at, Method::POST, "/leases", br#"{"ttl":"60s"}"#).await;
        let lease = granted.json()["lease"].as_str().unwrap().to_owned();
        assert_eq!((granted.status.as_u16(), lease.len()), (200, 16));
        assert_eq!(granted.json(), json!({"lease": lease, "ttl": "1m"}));

        let (a, b) = (format!("{at}/a"), format!("{at}/b"));
        for key in [&b, &a] {
            let target = format!("/key/{key}?lease={lease}");
            assert_eq!(cluster.ask(at, Method::PUT, &target, b"value").await.status, 200);
        }
        let target = format!("/leases/{lease}");
        let read = cluster.ask(at, Method::GET, &target, b"").await;
        let answer = read.json();
        assert_eq!((&answer["lease"], &answer["ttl"]), (&json!(lease), &json!("1m")));
        assert_eq!(answer["keys"], json!([a, b]));
        let remaining = answer["remaining"].as_str().unwrap();
        let seconds: f64 = remaining.strip_suffix('s').unwrap().parse().unwrap();
        assert!((0.1..=60.0).contains(&seconds), "{remaining}");
        assert_eq!(answer.as_object().unwrap().len(), 4);
        // The leader answered; what a follower knows by itself may be a moment old.
        let own = format!("{target}?consistency=stale");
        soon(async {
            while cluster.ask(at, Method::GET, &own, b"").await.json()["keys"] != json!([a, b]) {}
        })
        .await;

        let kept = cluster.ask(at, Method::POST, &format!("{target}/keepalive"), b"").await;
        assert_eq!((kept.status.as_u16(), kept.json()), (200, granted.json()));
        // A write without a lease takes its key out of it.
        assert_eq!(cluster.ask(at, Method::PUT, &format!("/key/{b}"), b"stays").await.status, 200);
        let ended = cluster.ask(at, Method::DELETE, &target, b"").await;
        assert_eq!((ended.status.as_u16(), ended.text()), (200, SUCCESS));
        assert_eq!(cluster.ask(at, Method::GET, &format!("/key/{a}"), b"").await.status, 404);
        assert_eq!(cluster.ask(at, Method::GET, &format!("/key/{b}"), b"").await.text(), "stays");
    }
}

#[tokio::test]
async fn a_lease_that_nobody_keeps_alive_ends() {
    let cluster = Cluster::start(3).await;
    for at in cluster.both().await {
        let granted = cluster.ask(at, Method::POST, "/leases", br#"{"ttl":"1s"}"#).await.json();
        let lease = granted["lease"].as_str().unwrap();
        let key = format!("/key/{at}");
        let put = cluster.ask(at, Method::PUT, &format!("{key}?lease={lease}"), b"value").await;
        // Where everything else takes a second, it may have ended already.
        assert!([200, 404].contains(&put.status.as_u16()), "{put:?}");
        cluster.ask_until(at, &key, 404).await;
        let gone = cluster.ask_until(at, &format!("/leases/{lease}"), 404).await;
        assert_eq!(gone.refusal(), (404, "lease_not_found".to_owned()));
    }
}

#[tokio::test]
async fn a_lease_that_is_not_there_is_not_found() {
    let cluster = Cluster::start(3).await;
    let lease = "00000000000000a1";
    let txn = format!(r#"{{"success":[{{"put":{{"key":"a","value":"","lease":"{lease}"}}}}]}}"#);
    let cases = [
        ("GET", format!("/leases/{lease}"), ""),
        ("GET", format!("/leases/{lease}?consistency=stale"), ""),
        ("DELETE", format!("/leases/{lease}"), ""),
        ("POST", format!("/leases/{lease}/keepalive"), ""),
        ("PUT", format!("/key/a?lease={lease}"), "value"),
        ("POST", "/txn".to_owned(), &*txn),
    ];
    for at in cluster.both().await {
        for (method, target, body) in &cases {
            let refused = cluster.ask(at, method.parse().unwrap(), target, body.as_bytes()).await;
            assert_eq!(refused.refusal(), (404, "lease_not_found".to_owned()), "{method} {target}");
            assert!(refused.text().contains(lease), "{refused:?}");
        }
        let conditional = [("if-none-match", "*")];
        let target = format!("/key/a?lease={lease}");
        let refused = cluster.ask_with(at, Method::PUT, &target, &conditional, b"value").await;
        assert_eq!(refused.refusal(), (404, "lease_not_found".to_owned()));
        assert_eq!(cluster.ask(at, Method::GET, "/key/a", b"").await.status, 404);
    }
}
