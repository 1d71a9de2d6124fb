//! The locks that Terraform's `http` backend takes, on a leader and through a follower.

use hyper::Method;

use super::cluster::{Answer, Cluster};

const SUCCESS: &str = r#"{"status":"success"}"#;

fn info(id: &str) -> String {
    format!(r#"{{"ID":"{id}","Operation":"OperationTypeApply","Who":"{id}@host","Version":"1.9.0"}}"#)
}

fn is_locked_by(answer: &Answer, id: &str) {
    assert_eq!((answer.status.as_u16(), answer.text()), (423, &*info(id)));
    assert_eq!(answer.header("quorate-error"), Some("locked"));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
}

#[tokio::test]
async fn one_at_a_time_holds_a_lock() {
    let cluster = Cluster::start(3).await;
    for at in cluster.both().await {
        let target = format!("/key/state/{at}");
        let ask = async |method: &str, target: &str, body: &str| {
            cluster.ask(at, method.parse().unwrap(), target, body.as_bytes()).await
        };
        let locked = ask("LOCK", &target, &info("me")).await;
        assert_eq!((locked.status.as_u16(), locked.text()), (200, SUCCESS));
        assert_eq!(ask("LOCK", &target, &info("me")).await.status, 200, "who holds it keeps it");
        is_locked_by(&ask("LOCK", &target, &info("you")).await, "me");
        is_locked_by(&ask("UNLOCK", &target, &info("you")).await, "me");
        assert_eq!(ask("GET", &target, "").await.status, 404, "a lock is no key");

        for (method, body) in [("POST", "state"), ("GET", ""), ("DELETE", "")] {
            is_locked_by(&ask(method, &format!("{target}?ID=you"), body).await, "me");
        }
        assert_eq!(ask("POST", &format!("{target}?ID=me"), "state").await.status, 200);
        assert_eq!(ask("GET", &format!("{target}?ID=me"), "").await.text(), "state");
        assert_eq!(ask("GET", &target, "").await.text(), "state");
        assert_eq!(ask("DELETE", &format!("{target}?ID=me"), "").await.text(), SUCCESS);

        assert_eq!(ask("UNLOCK", &target, &info("me")).await.text(), SUCCESS);
        assert_eq!(ask("UNLOCK", &target, &info("me")).await.status, 200, "it is not locked any more");
        // Who believes to hold a lock and does not must not write.
        for (method, body) in [("POST", "state"), ("GET", ""), ("DELETE", "")] {
            let refused = ask(method, &format!("{target}?ID=me"), body).await;
            assert_eq!(refused.refusal(), (412, "precondition_failed".to_owned()), "{method}");
        }
        assert_eq!(ask("LOCK", &target, &info("you")).await.status, 200);
        assert_eq!(ask("UNLOCK", &target, "").await.status, 200, "force-unlock");
        assert_eq!(ask("LOCK", &target, &info("me")).await.status, 200);
        let both = [("if-match", "*")];
        let missing = cluster.ask_with(at, Method::PUT, &format!("{target}?ID=me"), &both, b"state").await;
        assert_eq!(missing.refusal(), (412, "precondition_failed".to_owned()), "the lock is not the reason");
        let other = cluster.ask_with(at, Method::PUT, &format!("{target}?ID=you"), &both, b"state").await;
        is_locked_by(&other, "me");
    }
}
