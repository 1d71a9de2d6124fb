//! Heads that are right and wrong, and properties of all of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hyper::header::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::{collection, prop_assert_eq, sample};
use quorate_node::kv::{Action, Put, Txn};

use super::*;
use crate::context::Limits;
use crate::http::fuzzing::request_parse;

fn head_of(method: &str, target: &str, extra: &[(&str, &str)]) -> Result<Head, ApiError> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut headers = HeaderMap::new();
    for (name, value) in extra {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    parse_head(&method.parse().unwrap(), path, query, &headers)
}

fn write(method: &str, target: &str, extra: &[(&str, &str)], body: &str) -> Result<Write, ApiError> {
    match head_of(method, target, extra)?.call {
        Call::Write(call) => call.with_body(body.as_bytes(), &Limits::default()),
        other => panic!("{method} {target} is {other:?}"),
    }
}

fn bytes(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

#[test]
fn a_write_without_conditions_is_no_transaction() {
    let put = |expiry| Change::Plain(Action::Put(Put { key: bytes("a/b"), value: bytes("v"), expiry }));
    let cases = [
        ("/key/a%2Fb", Expiry::Never),
        ("/key/a/b?ttl=30s", Expiry::After { ttl_ms: 30_000 }),
        ("/key/a/b?lease=00000000000000a1", Expiry::With(LeaseId(0xa1))),
    ];
    for (target, expiry) in cases {
        assert_eq!(write("PUT", target, &[], "v").unwrap(), Write { change: put(expiry), once: None });
    }
    let deleted = write("DELETE", "/key/a", &[], "").unwrap().change;
    assert_eq!(deleted, Change::Plain(Action::Delete { key: bytes("a") }));
}

#[test]
fn a_condition_makes_a_transaction() {
    let conditional = |target: &str, extra: &[(&str, &str)]| -> (Txn, Option<Arc<[u8]>>) {
        match write("PUT", target, extra, "v").unwrap().change {
            Change::Conditional { txn, holder } => (txn, holder),
            other => panic!("{target} is {other:?}"),
        }
    };
    let (txn, holder) = conditional("/key/a", &[("if-match", "\"7\"")]);
    assert_eq!((txn.compare.len(), txn.success.len(), txn.failure.len(), holder), (1, 1, 1, None));
    let (txn, holder) = conditional("/key/a?ID=me", &[("if-match", "\"7\""), ("if-none-match", "\"8\"")]);
    assert_eq!((txn.compare.len(), txn.success.len(), txn.failure.len()), (3, 1, 2));
    assert_eq!(holder, Some(bytes("me")));
}

#[test]
fn a_name_goes_with_what_can_keep_it() {
    let named = [("idempotency-key", "k")];
    let writes = [
        ("PUT", "/key/a", ""),
        ("DELETE", "/key/a", ""),
        ("POST", "/txn", "{}"),
        ("POST", "/data.json", "{}"),
        ("POST", "/leases", r#"{"ttl":"1s"}"#),
        ("POST", "/leases/00000000000000a1/keepalive", ""),
        ("DELETE", "/leases/00000000000000a1", ""),
    ];
    for (method, target, body) in writes {
        let once = write(method, target, &named, body).unwrap().once;
        assert_eq!(once.unwrap().key, bytes("k"), "{method} {target}");
    }
    for (method, target) in [("LOCK", "/key/a"), ("UNLOCK", "/key/a"), ("POST", "/raft/add")] {
        assert_eq!(head_of(method, target, &named).unwrap_err().name().1, "malformed", "{method} {target}");
    }
    assert!(head_of("GET", "/key/a", &named).is_ok(), "a read is safe to repeat anyway");
}

/// Method, target, header; the code, when it is refused.
type HeaderCase<'a> = (&'a str, &'a str, (&'a str, &'a str), Option<&'a str>);

#[test]
fn what_a_route_cannot_keep_is_refused_not_ignored() {
    let cases: [HeaderCase<'_>; 14] = [
        ("GET", "/key/a", ("if-none-match", "\"1\""), None),
        ("GET", "/key/a", ("if-match", "\"1\""), Some("malformed")),
        ("GET", "/backup", ("if-match", "\"1\""), None),
        ("PUT", "/key/a", ("if-match", "*"), None),
        ("DELETE", "/key/a", ("if-none-match", "*"), None),
        ("PUT", "/key/a", ("if-match", "7"), Some("malformed")),
        ("POST", "/txn", ("if-match", "*"), Some("malformed")),
        ("POST", "/txn", ("if-none-match", "*"), Some("malformed")),
        ("POST", "/data.json", ("if-match", "*"), Some("malformed")),
        ("LOCK", "/key/a", ("if-match", "*"), Some("malformed")),
        ("POST", "/leases", ("if-match", "*"), Some("malformed")),
        ("PUT", "/key/a?ttl=1s&lease=00000000000000a1", ("x", "y"), Some("bad_query")),
        ("GET", "/leases/a1", ("x", "y"), Some("malformed")),
        ("GET", "/key/%zz", ("x", "y"), Some("malformed")),
    ];
    for (method, target, header, code) in cases {
        let refused = head_of(method, target, &[header]).err().map(|error| error.name().1);
        assert_eq!(refused, code, "{method} {target} {header:?}");
    }
}

#[test]
fn a_lock_names_its_holder() {
    let info = r#"{"ID":"me","Who":"I","Unknown":[1]}"#;
    let locked = write("LOCK", "/key/a", &[], info).unwrap().change;
    let (name, holder) = (bytes("a"), bytes("me"));
    assert_eq!(locked, Change::Plain(Action::Lock { name: name.clone(), holder, info: bytes(info) }));
    let unlocked = |body| write("UNLOCK", "/key/a", &[], body).unwrap().change;
    let unlock = |holder| Change::Plain(Action::Unlock { name: name.clone(), holder });
    assert_eq!(unlocked(info), unlock(Some(bytes("me"))));
    assert_eq!(unlocked(""), unlock(None));
    let long = format!(r#"{{"ID":"me","Info":"{}"}}"#, "i".repeat(MAX_LOCK_BYTES));
    for body in ["{}", "[]", "x", r#"{"ID":""}"#, r#"{"ID":1}"#, &long] {
        assert_eq!(write("LOCK", "/key/a", &[], body).unwrap_err().name().1, "bad_json", "{body:.80}");
    }
    for body in ["{}", "[]", "x"] {
        assert_eq!(write("UNLOCK", "/key/a", &[], body).unwrap_err().name().1, "bad_json", "{body}");
    }
}

#[test]
fn a_lease_is_begun_with_a_time() {
    assert_eq!(
        write("POST", "/leases", &[], r#"{"ttl":"90s"}"#).unwrap().change,
        Change::Grant { ttl_ms: 90_000 }
    );
    for body in ["", "{}", r#"{"ttl":30}"#, r#"{"ttl":"1ms"}"#, r#"{"ttl":"1s","id":"a"}"#] {
        assert_eq!(write("POST", "/leases", &[], body).unwrap_err().name().1, "bad_json", "{body}");
    }
}

#[test]
fn sizes_are_checked_without_a_server_too() {
    let limits = Limits { value_bytes: 4, request_bytes: 8, ..Limits::default() };
    let body = |method, target, body: &str| match head_of(method, target, &[]).unwrap().call {
        Call::Write(call) => call.with_body(body.as_bytes(), &limits).map(drop),
        other => panic!("{other:?}"),
    };
    assert_eq!(body("PUT", "/key/a", "1234"), Ok(()));
    let too_large = ApiError::ValueTooLarge { limit: 4, sent: Some(5) };
    assert_eq!(body("PUT", "/key/a", "12345"), Err(too_large));
    let import = r#"{"YWFh":"YWFh","YmJi":"YmJi"}"#;
    assert_eq!(
        body("POST", "/data.json", import),
        Err(ApiError::RequestTooLarge { limit: 8, sent: Some(12) })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever comes, it is an answer: never a panic, and within the bounds.
    #[test]
    fn any_bytes_are_survived(data in collection::vec(any::<u8>(), 0..200)) {
        request_parse(&data);
    }

    /// The same for what looks like a request.
    #[test]
    fn anything_like_a_request_is_survived(
        method in sample::select(vec!["GET", "PUT", "POST", "DELETE", "LOCK", "UNLOCK"]),
        path in sample::select(vec![
            "/key/a", "/keys", "/txn", "/leases", "/leases/00000000000000a1", "/data.json", "/raft/members",
        ]),
        name in sample::select(vec![
            "ttl", "lease", "revision", "prefix", "start", "end", "after", "limit", "cursor", "values", "ID", "timeout",
        ]),
        value in "[-0-9a-zA-Z%+=&.]{0,12}",
        header in sample::select(vec!["if-match", "if-none-match", "idempotency-key"]),
        tag in "[\"W/*,0-9 ]{0,12}",
        body in "[\\[\\]{}:,\"a-z0-9=]{0,60}",
    ) {
        request_parse(format!("{method} {path}?{name}={value}\n{header}: {tag}\n\n{body}").as_bytes());
    }

    /// Every key comes through, and no other does.
    #[test]
    fn keys_are_read_as_they_are_written(key in "\\PC{1,40}") {
        let target = format!("/key/{}", percent_encode(key.as_bytes(), NON_ALPHANUMERIC));
        match head_of("GET", &target, &[]).unwrap().call {
            Call::Get(get) => prop_assert_eq!(&*get.key, key.as_bytes()),
            other => panic!("{other:?}"),
        }
    }
}
