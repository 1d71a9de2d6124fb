//! `Idempotency-Key`: what makes a write safe to repeat.

use std::sync::Arc;

use hyper::Method;
use hyper::header::{HeaderMap, IF_MATCH, IF_NONE_MATCH};
use quorate_node::kv::Once;

use super::ApiError;
use super::query::lasting_pairs;
use crate::http::headers::IDEMPOTENCY_KEY;

/// The longest key, in bytes.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 128;

/// The name that a client gave to a request, and a hash of the request's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceCall {
    key: Arc<[u8]>,
    head: [u8; 32],
}

impl OnceCall {
    /// The key in the headers, if there is one, with all of the head that makes the request what it is.
    ///
    /// # Errors
    /// `malformed`.
    pub(super) fn of(
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Option<OnceCall>, ApiError> {
        let mut keys = headers.get_all(&IDEMPOTENCY_KEY).iter();
        let Some(key) = keys.next() else { return Ok(None) };
        let key = key.as_bytes();
        if keys.next().is_some() {
            return Err(ApiError::Malformed(format!(
                "the header {IDEMPOTENCY_KEY} is given twice: send one"
            )));
        }
        if !(1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&key.len()) {
            return Err(ApiError::Malformed(format!(
                "the header {IDEMPOTENCY_KEY} has {} bytes: give 1 to {MAX_IDEMPOTENCY_KEY_BYTES}",
                key.len()
            )));
        }
        let mut hasher = Parts(blake3::Hasher::new());
        hasher.add([method.as_str().as_bytes(), path.as_bytes()]);
        hasher.add(lasting_pairs(query).map(str::as_bytes));
        for name in [IF_MATCH, IF_NONE_MATCH] {
            hasher.add(headers.get_all(name).iter().map(|value| value.as_bytes()));
        }
        Ok(Some(OnceCall { key: key.into(), head: *hasher.0.finalize().as_bytes() }))
    }

    /// The name of the whole request.
    pub(super) fn with_body(&self, body: &[u8]) -> Once {
        let mut hasher = Parts(blake3::Hasher::new());
        hasher.add([self.head.as_slice(), body]);
        // An open cluster knows no principals.
        let principal = Arc::default();
        Once { principal, key: Arc::clone(&self.key), request: *hasher.0.finalize().as_bytes() }
    }
}

/// Hashes lists so that no two of them look alike.
struct Parts(blake3::Hasher);

impl Parts {
    fn add<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) {
        for part in parts {
            self.0.update(&[1]).update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        self.0.update(&[0]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    type Head<'a> = (&'a str, &'a str, Option<&'a str>, &'a [(HeaderName, &'a str)]);

    fn once((method, path, query, extra): Head<'_>, body: &[u8]) -> [u8; 32] {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static("key"));
        for (name, value) in extra {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let call = OnceCall::of(&method.parse().unwrap(), path, query, &headers).unwrap().unwrap();
        call.with_body(body).request
    }

    #[test]
    fn requests_that_differ_have_other_hashes() {
        let one = [(IF_MATCH, "\"1\"")];
        let none = [(IF_NONE_MATCH, "\"1\"")];
        let requests: [(Head<'_>, &[u8]); 10] = [
            (("PUT", "/key/a", None, &[]), b"value"),
            (("POST", "/key/a", None, &[]), b"value"),
            (("PUT", "/key/b", None, &[]), b"value"),
            (("PUT", "/key/a", None, &[]), b"other"),
            (("PUT", "/key/a", None, &[]), b""),
            (("PUT", "/key/a", Some("ttl=1s"), &[]), b"value"),
            (("PUT", "/key/a", Some("ttl=2s"), &[]), b"value"),
            (("PUT", "/key/a", None, &one), b"value"),
            (("PUT", "/key/a", None, &none), b"value"),
            (("PUT", "/key/attl=1s", None, &[]), b"value"),
        ];
        for (at, (head, body)) in requests.iter().enumerate() {
            for (head_after, body_after) in &requests[at + 1..] {
                assert_ne!(once(*head, body), once(*head_after, body_after), "{head:?} {head_after:?}");
            }
        }
    }

    #[test]
    fn how_long_a_request_may_take_does_not_make_it_another() {
        let plain = once(("PUT", "/key/a", Some("ttl=1s"), &[]), b"value");
        for query in ["ttl=1s&timeout=5s", "timeout=1s&ttl=1s", "ttl=1s&%74imeout=2s", "&ttl=1s&"] {
            assert_eq!(once(("PUT", "/key/a", Some(query), &[]), b"value"), plain, "{query}");
        }
    }

    #[test]
    fn keys_are_bounded() {
        let parse = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap());
            }
            OnceCall::of(&Method::PUT, "/key/a", None, &headers)
        };
        assert_eq!(parse(&[]), Ok(None));
        assert!(parse(&[&[b'k'; 128]]).unwrap().is_some());
        assert!(parse(&[b"\xff"]).unwrap().is_some());
        for bad in [&[&[][..]][..], &[&[b'k'; 129]], &[b"a", b"a"]] {
            assert_eq!(parse(bad).unwrap_err().name().1, "malformed");
        }
    }
}
