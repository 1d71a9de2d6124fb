//! What the fuzzer feeds: everything of a request that is parsed without a node.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use quorate_node::raft::NodeId;

use super::checks::{Hosts, check_head};
use super::data::parse_import;
use super::error::ApiError;
use super::json::{parse_add, parse_member, parse_members, parse_transfer};
use super::key::{MAX_KEY_BYTES, decode_key};
use super::keys::names_tag;
use super::query::{Query, parse_timeout};
use super::routes::{self, Call};

const OWN_ID: NodeId = NodeId(1);

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
    head_parse(&request.into_parts().0);
    body_parse(body);
    if let Ok(text) = std::str::from_utf8(body) {
        // Whatever a timeout says, it is within its bounds.
        let _ = parse_timeout(text);
    }
}

fn head_parse(head: &hyper::http::request::Parts) {
    for guarded in [true, false] {
        let checked = check_head(head, &Hosts::new("http://node.example:8080", guarded), OWN_ID);
        assert_ne!(checked.ok().flatten(), Some(OWN_ID), "a loop was not noticed");
    }
    names_tag(&head.headers, b"\"1\"");
    match routes::find(&head.method, head.uri.path()) {
        Ok(call) => {
            // A bad query is an answer too.
            let _ = Query::parse(head.uri.query(), call.parameters());
            if call == Call::Watch {
                let _ = super::watch::parse(head.uri.query(), &head.headers);
            }
            if let Call::Get(key) | Call::Put(key) | Call::Delete(key) = call {
                key_parse(key);
            }
        }
        Err(error) => is_well_formed(&error),
    }
}

fn key_parse(encoded: &str) {
    match decode_key(encoded) {
        Ok(key) => {
            assert!((1..=MAX_KEY_BYTES).contains(&key.len()), "a key of {} bytes", key.len());
            let again = percent_encode(&key, NON_ALPHANUMERIC).to_string();
            assert_eq!(decode_key(&again).as_deref(), Ok(&*key), "a key is read as it is written");
        }
        Err(error) => is_well_formed(&error),
    }
}

fn body_parse(body: &[u8]) {
    let members = [parse_member(body).err(), parse_members(body).err(), parse_transfer(body).err()];
    for error in members.into_iter().chain([parse_add(body).err()]).flatten() {
        is_well_formed(&error);
    }
    if let Ok(entries) = parse_import(body, 1024) {
        assert!(
            entries
                .iter()
                .all(|(key, value)| (1..=MAX_KEY_BYTES).contains(&key.len()) && value.len() <= 1024)
        );
    }
}

/// Every error has a body of JSON, whatever it quotes.
fn is_well_formed(error: &ApiError) {
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
        let requests: [&[u8]; 15] = [
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
            b"\xff\xfe\xfd /\xff\n\xff: \xff\n\n\xff",
        ];
        requests.into_iter().for_each(request_parse);
    }
}
