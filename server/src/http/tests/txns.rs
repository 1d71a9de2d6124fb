//! `POST /txn`, on a leader and through a follower.

use hyper::Method;
use serde_json::{Value, json};

use super::cluster::{Answer, Cluster, LIMITS, Settings};
use crate::context::Limits;

async fn txn(cluster: &Cluster, at: usize, body: &Value) -> Answer {
    cluster.ask(at, Method::POST, "/txn?timeout=20s", body.to_string().as_bytes()).await
}

#[tokio::test]
async fn all_is_done_or_nothing() {
    let cluster = Cluster::start(3).await;
    for at in cluster.both().await {
        let (a, b, c) = (format!("{at}/a"), format!("{at}/b"), format!("{at}/c"));
        assert_eq!(cluster.ask(at, Method::PUT, &format!("/key/{c}"), b"c").await.status, 200);
        let body = json!({
            "compare": [
                {"key": a, "target": "version", "op": "=", "value": 0},
                {"key": c, "target": "value", "op": "=", "value": "Yw=="},
                {"key": c, "target": "mod_revision", "op": ">", "value": 0},
                {"key": c, "target": "create_revision", "op": "!=", "value": 0},
            ],
            "success": [
                {"put": {"key": a, "value": "aGk=", "ttl": "30s"}},
                {"get": {"key": a}},
                {"get": {"key": b}},
                {"delete": {"key": c}},
                {"delete": {"key": b}},
            ],
            "failure": [{"get": {"key": a}}, {"put": {"key": b, "value": ""}}],
        });
        let done = txn(&cluster, at, &body).await;
        let revision: u64 = done.header("quorate-revision").unwrap().parse().unwrap();
        let entry = json!({
            "key": a, "value": "aGk=", "create_revision": revision, "mod_revision": revision, "version": 1,
        });
        let expected = json!({
            "succeeded": true,
            "revision": revision,
            "results": [
                {"put": {"mod_revision": revision}},
                {"get": entry},
                {"get": null},
                {"delete": {"deleted": 1}},
                {"delete": {"deleted": 0}},
            ],
        });
        assert_eq!((done.status.as_u16(), done.json()), (200, expected));
        assert_eq!(done.header("content-type"), Some("application/json; charset=utf-8"));

        let failed = txn(&cluster, at, &body).await;
        let expected = json!({
            "succeeded": false,
            "revision": revision + 1,
            "results": [{"get": entry}, {"put": {"mod_revision": revision + 1}}],
        });
        assert_eq!((failed.status.as_u16(), failed.json()), (200, expected));
        assert_eq!(cluster.ask(at, Method::GET, &format!("/key/{c}"), b"").await.status, 404);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_transaction_is_said_and_nothing_is_done() {
    let limits = Limits { value_bytes: 1_000, request_bytes: 2_000, ..LIMITS };
    let cluster = Cluster::start_with(3, Settings { limits, ..Settings::default() }).await;
    let value = |bytes: usize| "AAAA".repeat(bytes / 3);
    let put = |key: &str, value: &str| json!({"put": {"key": key, "value": value}});
    let gets = |count: usize| vec![json!({"get": {"key": "a"}}); count];
    let with_lease = json!({"put": {"key": "a", "value": "", "lease": "00000000000000a1"}});
    let cases = [
        (json!({"success": [put("a", ""), {"delete": {"key": "a"}}]}), 400, "duplicate_key", "\"a\""),
        (json!({"success": gets(129)}), 400, "bad_json", "129 elements, the limit is 128"),
        (json!({"failure": gets(129)}), 400, "bad_json", "--max-txn-operations"),
        (json!({"success": [], "otherwise": []}), 400, "bad_json", "otherwise"),
        (json!({"success": [put("a", "?")]}), 400, "bad_json", "base64"),
        (json!({"success": [put("", "")]}), 400, "bad_json", "the key is empty"),
        (
            json!({"success": [put("a", &value(1_002))]}),
            413,
            "value_too_large",
            "1002 bytes, the limit is 1000",
        ),
        (
            json!({"success": [put("a", &value(999)), put("b", &value(999)), put("c", &value(300))]}),
            413,
            "request_too_large",
            "2301 bytes, the limit is 2000",
        ),
        (json!({"success": [put("a", ""), with_lease]}), 400, "duplicate_key", "\"a\""),
        (json!({"success": [with_lease, put("b", "")]}), 404, "lease_not_found", "00000000000000a1"),
    ];
    for at in cluster.both().await {
        for (body, status, code, named) in &cases {
            let refused = txn(&cluster, at, body).await;
            assert_eq!(refused.refusal(), (*status, (*code).to_owned()), "{named}: {refused:?}");
            assert!(refused.text().replace("\\\"", "\"").contains(named), "{named}: {refused:?}");
        }
        let list = cluster.ask(at, Method::GET, "/keys", b"").await.json();
        assert_eq!(list, json!({"revision": 0, "keys": [], "more": false}));
        assert_eq!(txn(&cluster, at, &json!({"success": gets(128)})).await.status, 200);
        let large = vec![b' '; 5_000];
        let refused = cluster.ask(at, Method::POST, "/txn", &large).await;
        assert_eq!(refused.refusal(), (413, "request_too_large".to_owned()));
    }
}
