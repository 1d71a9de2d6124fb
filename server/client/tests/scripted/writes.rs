//! What is sent for reads and writes, and what is sent again when an answer is lost.

use crate::script::{PATIENCE, Reply, SHORT, Server, client, error, whole};
use quorate_client::{ClientError, Compare, LeaseId, Operation, Relation, Transaction};
use std::time::Duration;

const SUCCESS: &str = r#"{"status":"success"}"#;

#[tokio::test]
async fn a_write_says_what_must_hold_and_how_long_it_lives() {
    let written =
        Reply::Whole(200, "ETag: \"9\"\r\nIdempotency-Replayed: true\r\n".to_owned(), SUCCESS.to_owned());
    let server = Server::start(vec![written]).await;
    let client = server.client();
    let lease: LeaseId = "00000000000000a1".parse().unwrap();
    let put = client.put("k", "v".into()).await.unwrap();
    assert_eq!((put.mod_revision, put.is_replay), (Some(9), true));
    client.put("k", "v".into()).if_match(7).ttl(Duration::from_secs(30)).await.unwrap();
    client.put("k", "v".into()).if_absent().lease(&lease).idempotency_key("order-1").await.unwrap();
    client.delete("k").if_match(9).await.unwrap();
    client.get("k").revision(4).await.unwrap();
    let expected = [
        "PUT /key/k",
        "PUT /key/k?ttl=30000ms",
        "PUT /key/k?lease=00000000000000a1",
        "DELETE /key/k",
        "GET /key/k?revision=4",
    ];
    assert_eq!(server.calls(), expected);
    let seen = server.seen();
    let header = |name: &'static str| seen.iter().map(move |seen| seen.header(name)).collect::<Vec<_>>();
    assert_eq!(header("if-match"), [None, Some("\"7\""), None, Some("\"9\""), None]);
    assert_eq!(header("if-none-match"), [None, None, Some("*"), None, None]);
    let keys = header("idempotency-key");
    assert_eq!((keys[2], keys[4]), (Some("order-1"), None));
    let random: Vec<&str> = [0, 1, 3].iter().map(|at| keys[*at].unwrap()).collect();
    assert!(random.iter().all(|key| key.len() == 32), "{random:?}");
    assert!(random[0] != random[1] && random[1] != random[2], "{random:?}");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_sent_again_under_the_same_key() {
    let dies = Server::start(vec![Reply::Nothing]).await;
    let gives_up = Server::start(vec![error(504, "outcome_unknown"), whole(200, SUCCESS)]).await;
    client(&[&dies, &gives_up], PATIENCE).put("k", "v".into()).await.unwrap();
    let seen = [dies.seen(), gives_up.seen()].concat();
    assert_eq!(seen.len(), 4, "both are asked twice: {seen:?}");
    let key = seen[0].header("idempotency-key").unwrap();
    assert!(seen.iter().all(|seen| seen.header("idempotency-key") == Some(key)), "{seen:?}");
    assert!(seen.iter().all(|seen| seen.body == "v" && seen.call() == "PUT /key/k"), "{seen:?}");
}

#[tokio::test]
async fn without_a_key_a_write_is_sent_once() {
    let (dies, serves) =
        (Server::start(vec![Reply::Nothing]).await, Server::start(vec![whole(200, "")]).await);
    let client = client(&[&dies, &serves], PATIENCE).without_idempotency_keys();
    let unknown = client.put("k", "v".into()).await.unwrap_err();
    assert!(matches!(unknown, ClientError::OutcomeUnknown(_)), "{unknown}");
    assert_eq!((dies.seen().len(), serves.seen().len()), (1, 0));
    assert_eq!(dies.seen()[0].header("idempotency-key"), None);
    // One that is given counts.
    client.put("k", "v".into()).idempotency_key("mine").await.unwrap();
    assert_eq!(serves.seen()[0].header("idempotency-key"), Some("mine"));
}

#[tokio::test]
async fn changes_of_the_members_are_sent_once() {
    let server = Server::start(vec![Reply::Nothing]).await;
    let unknown = server.client().remove("ab").await.unwrap_err();
    assert!(matches!(unknown, ClientError::OutcomeUnknown(_)), "{unknown}");
    assert_eq!((server.seen().len(), server.seen()[0].header("idempotency-key")), (1, None));
}

#[tokio::test]
async fn the_outcome_is_unknown_when_the_time_is_over() {
    let server = Server::start(vec![Reply::Nothing, error(503, "no_leader")]).await;
    let unknown = client(&[&server], SHORT).put("k", "v".into()).await.unwrap_err();
    assert!(matches!(unknown, ClientError::OutcomeUnknown(_)), "{unknown}");
    assert!(server.seen().len() > 2, "it was tried again: {:?}", server.seen());
}

/// The first try may still arrive: what one node says about the second does not answer for it, unless it is remembered.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_believed_only_when_it_holds_for_both() {
    for (reply, is_known) in [
        (error(412, "precondition_failed"), true),
        (error(400, "malformed"), true),
        (error(507, "disk_full"), false),
        (whole(403, "<html>"), false),
    ] {
        let server = Server::start(vec![Reply::Nothing, reply.clone()]).await;
        let told = server.client().put("k", "v".into()).await.unwrap_err();
        assert_eq!(matches!(told, ClientError::OutcomeUnknown(_)), !is_known, "{reply:?} gave {told}");
    }
}

#[tokio::test]
async fn when_no_more_keys_are_remembered_a_write_is_sent_once_without() {
    let full = error(503, "idempotency_full");
    let server = Server::start(vec![full.clone(), whole(200, SUCCESS)]).await;
    server.client().put("k", "v".into()).await.unwrap();
    let keys: Vec<bool> = server.seen().iter().map(|seen| seen.header("idempotency-key").is_some()).collect();
    assert_eq!(keys, [true, false]);

    let server = Server::start(vec![full.clone(), Reply::Nothing]).await;
    let unknown = server.client().put("k", "v".into()).await.unwrap_err();
    assert!(matches!(unknown, ClientError::OutcomeUnknown(_)), "{unknown}");
    assert_eq!(server.seen().len(), 2);

    // An earlier try may still arrive, and without a key it would be done twice.
    let server = Server::start(vec![Reply::Nothing, full.clone(), full, whole(200, SUCCESS)]).await;
    server.client().put("k", "v".into()).await.unwrap();
    assert!(server.seen().iter().all(|seen| seen.header("idempotency-key").is_some()), "{:?}", server.seen());
}

#[tokio::test]
async fn errors_say_what_the_caller_does_next() {
    let compacted = r#"{"error":"gone","code":"compacted","oldest":40}"#;
    let server = Server::start(vec![whole(410, compacted)]).await;
    let told = server.client().get("k").revision(7).await.unwrap_err();
    assert!(matches!(told, ClientError::Compacted { oldest: Some(40), .. }), "{told:?}");

    let server = Server::start(vec![error(404, "lease_not_found")]).await;
    let told = server.client().keep_alive(&"00000000000000a1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(told, ClientError::LeaseNotFound(_)), "{told:?}");

    let server = Server::start(vec![whole(423, r#"{"ID":"x","Who":"me"}"#)]).await;
    let told = server.client().put("k", "v".into()).await.unwrap_err();
    assert!(matches!(&told, ClientError::Locked { holder } if holder.contains("\"Who\"")), "{told:?}");

    let server = Server::start(vec![whole(200, SUCCESS)]).await;
    let told = server.client().put("k", "v".into()).idempotency_key("line\nbreak").await.unwrap_err();
    assert!(matches!(told, ClientError::Refused { status: 400, .. }), "{told:?}");
}

#[tokio::test]
async fn a_transaction_is_one_request() {
    let answer = r#"{"succeeded":false,"revision":10,"results":[{"get":null}]}"#;
    let server = Server::start(vec![Reply::Nothing, whole(200, answer)]).await;
    let transaction = Transaction::new()
        .when(Compare::version("a", Relation::Greater, 1))
        .then(Operation::delete("a"))
        .otherwise(Operation::read("a"));
    let result = server.client().transact(&transaction).await.unwrap();
    assert_eq!((result.succeeded, result.revision, result.results.len()), (false, 10, 1));
    assert_eq!(server.calls(), ["POST /txn", "POST /txn"]);
    assert_eq!(server.seen()[0].body, server.seen()[1].body);
}

#[tokio::test]
async fn leases_are_granted_kept_alive_shown_and_revoked() {
    let lease = r#"{"lease":"00000000000000a1","ttl":"30s"}"#;
    let state = r#"{"lease":"00000000000000a1","ttl":"30s","remaining":"12.3s","keys":["a"]}"#;
    let replies = vec![whole(200, lease), whole(200, lease), whole(200, state), whole(200, SUCCESS)];
    let server = Server::start(replies).await;
    let client = server.client();
    let granted = client.grant(Duration::from_secs(30)).await.unwrap();
    assert_eq!(granted.ttl, Duration::from_secs(30));
    assert_eq!(client.keep_alive(&granted.id).await.unwrap(), granted);
    let state = client.lease(&granted.id).await.unwrap();
    assert_eq!((state.remaining.as_str(), state.keys.as_slice()), ("12.3s", &["a".to_owned()][..]));
    client.revoke(&granted.id).await.unwrap();
    let id = "00000000000000a1";
    let expected = [
        "POST /leases".to_owned(),
        format!("POST /leases/{id}/keepalive"),
        format!("GET /leases/{id}"),
        format!("DELETE /leases/{id}"),
    ];
    assert_eq!(server.calls(), expected);
    assert_eq!(server.seen()[0].body, r#"{"ttl":"30000ms"}"#);
}

#[tokio::test]
async fn a_kept_lease_tells_when_it_is_lost() {
    let lease = whole(200, r#"{"lease":"00000000000000a1","ttl":"300ms"}"#);
    let ended = Server::start(vec![lease.clone(), lease.clone(), error(404, "lease_not_found")]).await;
    let mut kept = ended.client().grant_kept(SHORT).await.unwrap();
    assert!(!kept.is_lost());
    assert_eq!(kept.lost().await, "words");
    assert!(kept.is_lost() && ended.seen().len() == 3, "{:?}", ended.seen());

    let silent = Server::start(vec![lease, Reply::Open(String::new(), "{".to_owned())]).await;
    let mut kept = silent.client().grant_kept(SHORT).await.unwrap();
    let why = kept.lost().await;
    assert!(why.contains("225ms") && std::time::Instant::now() < kept.lives_until(), "{why}");
}
