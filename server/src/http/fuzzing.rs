//! What the fuzzer feeds: everything of a request that is parsed without a node.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Uri};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use quorate_node::kv::{Action, Expiry, Revision};
use quorate_node::raft::NodeId;

use super::checks::{Hosts, check_head};
use super::request::{
    ApiError, Call, Change, Head, ListCall, MAX_KEY_BYTES, MAX_TIMEOUT, TTL_MS, Write, parse_head,
    parse_timeout,
};
use crate::context::Limits;

const OWN_ID: NodeId = NodeId(1);

/// Small, so that inputs can be beyond them.
const LIMITS: Limits = Limits {
    value_bytes: 1024,
    request_bytes: 2048,
    pending_bytes: 4096,
    connections: 1,
    watchers: 1,
    txn_operations: 4,
    backup_bytes_per_second: 1,
    flight_recorder_bytes: 1,
};

/// Takes bytes for a request: a method and a target, then headers, a line each, then an empty line and a body. Must
/// never panic, and what it accepts must be within the bounds.
pub fn request_parse(data: &[u8]) {
    let (head, body) = split_at_empty_line(data);
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(|byte| *byte == b' ');
    let method = words.next().and_then(|word| Method::from_bytes(word).ok()).unwrap_or_default();
    let target = words.next().unwrap_or_default().to_vec();
    let Ok(uri) = Uri::from_maybe_shared(Bytes::from(target)) else { return };
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    for line in lines.filter(|line| !line.is_empty()).take(100) {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            request.headers_mut().append(name, value);
        }
    }
    parse(&request.into_parts().0, body);
    if let Ok(text) = std::str::from_utf8(body) {
        assert!(
            parse_timeout(text).is_ok_and(|timeout| timeout <= MAX_TIMEOUT && !timeout.is_zero())
                || parse_timeout(text).is_err()
        );
    }
}

fn parse(head: &Parts, body: &[u8]) {
    for guarded in [true, false] {
        let checked = check_head(head, &Hosts::new("http://node.example:8080", guarded), OWN_ID);
        assert_ne!(checked.ok().flatten(), Some(OWN_ID), "a loop was not noticed");
    }
    let uri = &head.uri;
    match parse_head(&head.method, uri.path(), uri.query(), &head.headers) {
        Ok(asked) => {
            assert!(asked.timeout <= MAX_TIMEOUT);
            call_parse(asked, body);
        }
        Err(error) => is_well_formed(&error),
    }
}

fn call_parse(Head { call, .. }: Head, body: &[u8]) {
    match call {
        Call::Get(get) => is_key(&get.key),
        Call::List(list) => goes_on(&list),
        Call::ChangeMembers(change) => match change.with_body(body) {
            Ok(_) => {}
            Err(error) => is_well_formed(&error),
        },
        Call::Write(write) => match write.with_body(body, &LIMITS) {
            Ok(write) => is_within_bounds(&write),
            Err(error) => is_well_formed(&error),
        },
        _ => {}
    }
}

/// A key is within its bounds, and read as it is written.
fn is_key(key: &[u8]) {
    assert!((1..=MAX_KEY_BYTES).contains(&key.len()), "a key of {} bytes", key.len());
    let path = format!("/key/{}", percent_encode(key, NON_ALPHANUMERIC));
    let again = parse_head(&Method::GET, &path, None, &Default::default()).expect("it is a key");
    assert!(matches!(again.call, Call::Get(get) if *get.key == *key), "a key is read as it is written");
}

/// What a list says of its end is read as the rest of it.
fn goes_on(list: &ListCall) {
    let cursor = list.cursor(Revision(7), b"last");
    let query = format!("cursor={cursor}");
    let next = parse_head(&Method::GET, "/keys", Some(&query), &Default::default()).expect("we wrote it");
    let Call::List(next) = next.call else { unreachable!("the route is a list's") };
    assert_eq!((&next.list.end, next.limit, next.values), (&list.list.end, list.limit, list.values));
    assert_eq!(next.cursor(Revision(7), b"last"), cursor);
}

fn is_within_bounds(write: &Write) {
    let expires = |expiry: Expiry| match expiry {
        Expiry::After { ttl_ms } => assert!(TTL_MS.contains(&ttl_ms)),
        Expiry::Never | Expiry::With(_) => {}
    };
    if let Some(once) = &write.once {
        assert!((1..=128).contains(&once.key.len()));
    }
    match &write.change {
        Change::Plain(Action::Put(put)) => {
            is_key(&put.key);
            assert!(put.value.len() <= LIMITS.value_bytes);
            expires(put.expiry);
        }
        Change::Plain(Action::Import { entries }) => {
            let is_fine = |value: &[u8]| value.len() <= LIMITS.value_bytes;
            assert!(
                entries.iter().all(|(key, value)| (1..=MAX_KEY_BYTES).contains(&key.len()) && is_fine(value))
            );
        }
        Change::Plain(Action::Txn(txn)) => {
            assert_eq!(txn.key_written_twice(), None);
            let most = LIMITS.txn_operations;
            assert!(
                [txn.compare.len(), txn.success.len(), txn.failure.len()].iter().all(|count| *count <= most)
            );
        }
        Change::Conditional { txn, .. } => assert!(!txn.compare.is_empty() && txn.success.len() == 1),
        Change::Grant { ttl_ms } => expires(Expiry::After { ttl_ms: *ttl_ms }),
        Change::Plain(_) => {}
    }
}

/// Every error has a body of JSON, whatever it quotes.
pub(super) fn is_well_formed(error: &ApiError) {
    let body: Result<serde_json::Value, _> = serde_json::from_slice(&error.body());
    let body = body.expect("we wrote it");
    assert_eq!(body["code"], error.name().1);
    assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()));
}

fn split_at_empty_line(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.windows(2).position(|pair| pair == b"\n\n");
    at.map_or((data, &[]), |at| (&data[..at], &data[at + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_good_and_bad_are_survived() {
        let requests: [&[u8]; 25] = [
            b"",
            b"\n\n",
            b"GET",
            b"GET /key/a%2Fb?consistency=stale\nhost: localhost\nif-none-match: \"1\", *\n\n",
            b"PUT /key/%FF?timeout=5s\nhost: evil.example\n\n5s",
            b"POST /raft/add\nhost: localhost\norigin: null\n\n{\"ID\":\"1\",\"Address\":\"a:1\"}",
            b"POST /raft/promote\nhost:\n\n{\"ID\":1}",
            b"POST /raft/members\n\n{\"voters\":[\"1\",\"1\"],\"learners\":[\"\"]}",
            b"POST /raft/transfer\n\n{\"ID\":null}",
            b"POST /data.json\nhost: [::1]:80\n\n{\"a2V5\":\"dmFsdWU=\"}",
            b"GET /watch?prefix=%zz&key=a&events=put,,\nlast-event-id: 7-\nhost: localhost\n\n",
            b"GET http://[::1/ \nhost: x\n\n",
            b"PUT /key/%\nquorate-forwarded: 00000000000000000000000000000001\n\n",
            b"GET /key/%2\xc3\xbc\nhost: localhost\n\n",
            b"PUT /key/a?ttl=30s\nidempotency-key: 1\nif-match: \"1\", W/\"2\"\n\nvalue",
            b"PUT /key/a?lease=00000000000000a1&ID=me\nif-none-match: *\n\nvalue",
            b"DELETE /key/a?ID=me\nif-match: 7\n\n",
            b"GET /keys?prefix=a&after=ab&limit=2&values=false&revision=7\n\n",
            b"GET /keys?start=a&end=b&cursor=AQ\n\n",
            b"POST /txn\n\n{\"compare\":[{\"key\":\"a\",\"target\":\"value\",\"op\":\"=\",\"value\":\"aGk=\"}],\"success\":[{\"put\":{\"key\":\"a\",\"value\":\"aGk=\",\"ttl\":\"30s\"}},{\"get\":{\"key\":\"b\"}}],\"failure\":[{\"delete\":{\"key\":\"c\"}}]}",
            b"POST /leases\n\n{\"ttl\":\"30s\"}",
            b"POST /leases/00000000000000a1/keepalive\n\n",
            b"LOCK /key/a\n\n{\"ID\":\"me\",\"Who\":\"I\"}",
            b"UNLOCK /key/a\n\n",
            b"\xff\xfe\xfd /\xff\n\xff: \xff\n\n\xff",
        ];
        requests.into_iter().for_each(request_parse);
    }
}
