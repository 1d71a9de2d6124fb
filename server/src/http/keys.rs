//! `/key/{key}`.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_SECURITY_POLICY, ETAG, HeaderValue, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response, StatusCode};
use quorate_node::kv::{Action, Entry, Outcome, Put, Revision};
use quorate_node::raft::Time;
use quorate_node::{Reply, Request};

use super::app::{App, json, with_type};
use super::body::{AnswerBody, BodyLimit, Upload};
use super::error::ApiError;
use super::headers::{NOSNIFF, OCTET_STREAM, QUORATE_REVISION, SANDBOX};
use super::json::SUCCESS;
use super::key::decode_key;
use super::leader::{Operation, unexpected};
use super::proxy::AttemptError;
use super::service::Terms;
use crate::net::Net;
use crate::runtime::Runtime;

/// What a change of keys is at the leader.
pub(super) struct Write(pub(super) Action);

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET` and `HEAD`.
    pub(super) async fn get(
        &self,
        head: &Parts,
        encoded_key: &str,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let key: Arc<[u8]> = decode_key(encoded_key)?.into();
        let request = || Request::get(Arc::clone(&key), terms.query.level);
        match self.ask_here(request, self.now() + terms.timeout).await? {
            Reply::Read { entry: Some(entry), revision } => Ok(found(&head.headers, entry, revision)),
            Reply::Read { entry: None, revision } => Ok(missing(revision)),
            other => Err(unexpected(&other)),
        }
    }

    /// `POST` and `PUT`.
    pub(super) async fn put(
        &self,
        head: &Parts,
        encoded_key: &str,
        upload: Upload<'_>,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let key = decode_key(encoded_key)?.into();
        let limit = BodyLimit::Value(self.context.limits.value_bytes);
        let body = upload.read(&self.context.runtime, limit).await?;
        let action = Action::Put(Put::for_good(key, Arc::from(&*body)));
        self.at_leader(&self.asked(head, body, terms), &Write(action)).await
    }

    /// `DELETE`.
    pub(super) async fn delete(
        &self,
        head: &Parts,
        encoded_key: &str,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let key = decode_key(encoded_key)?.into();
        self.at_leader(&self.asked(head, Bytes::new(), terms), &Write(Action::Delete { key })).await
    }
}

impl<R: Runtime, N: Net> Operation<R, N> for Write {
    async fn perform(&self, app: &App<R, N>, deadline: Time) -> Result<Response<AnswerBody>, AttemptError> {
        match app.change_here(Request::write(self.0.clone()), deadline).await? {
            Reply::Written { outcome, revision, .. } => Ok(written(outcome, revision)),
            other => Err(unexpected(&other).into()),
        }
    }
}

fn written(outcome: Outcome, revision: Revision) -> Response<AnswerBody> {
    let mut response = json(SUCCESS);
    if let Outcome::Put { revision } = outcome {
        response.headers_mut().insert(ETAG, entity_tag(revision));
    }
    response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(revision.0));
    response
}

fn found(asked: &HeaderMap, entry: Entry, revision: Revision) -> Response<AnswerBody> {
    let tag = entity_tag(entry.mod_revision);
    let mut response = if names_tag(asked, tag.as_bytes()) {
        let mut response = Response::new(AnswerBody::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let value = AnswerBody::Whole(Bytes::from_owner(entry.value));
        let mut response = with_type(StatusCode::OK, OCTET_STREAM, value);
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, SANDBOX);
        response
    };
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(revision.0));
    response
}

fn missing(revision: Revision) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::empty());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(revision.0));
    response
}

fn entity_tag(mod_revision: Revision) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{mod_revision}\"")).expect("digits in quotes are a header value")
}

/// Whether `If-None-Match` names this tag (RFC 9110 §13.1.2: weak comparison, and `*` for any).
pub(super) fn names_tag(headers: &HeaderMap, tag: &[u8]) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        let mut tags = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        tags.any(|given| given == b"*" || given.strip_prefix(b"W/").unwrap_or(given) == tag)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn entry() -> Entry {
        Entry {
            value: Arc::from(&b"v"[..]),
            create_revision: Revision(3),
            mod_revision: Revision(7),
            version: 2,
        }
    }

    fn header<'a>(response: &'a Response<AnswerBody>, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_value_comes_with_all_its_headers() {
        let response = found(&HeaderMap::new(), entry(), Revision(9));
        assert_eq!(response.status(), 200);
        let expected = [
            ("content-type", "application/octet-stream"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox"),
            ("etag", "\"7\""),
            ("quorate-revision", "9"),
        ];
        for (name, value) in expected {
            assert_eq!(header(&response, name), Some(value), "{name}");
        }
    }

    #[test]
    fn a_tag_that_is_known_saves_the_body() {
        let cases = [
            ("\"7\"", 304),
            ("W/\"7\"", 304),
            ("*", 304),
            ("\"1\", \"7\"", 304),
            ("\"1\",W/\"7\" ", 304),
            ("\"17\"", 200),
            ("7", 200),
            ("", 200),
            ("w/\"7\"", 200),
        ];
        for (given, status) in cases {
            let mut asked = HeaderMap::new();
            asked.insert(IF_NONE_MATCH, HeaderValue::from_static(given));
            let response = found(&asked, entry(), Revision(9));
            assert_eq!(response.status(), status, "{given}");
            assert_eq!(header(&response, "etag"), Some("\"7\""));
            assert_eq!(header(&response, "quorate-revision"), Some("9"));
        }
    }

    #[test]
    fn a_missing_key_has_no_body_and_a_deletion_no_tag() {
        let response = missing(Revision(4));
        assert_eq!((response.status().as_u16(), header(&response, "quorate-revision")), (404, Some("4")));
        assert!(matches!(response.body(), AnswerBody::Whole(bytes) if bytes.is_empty()));
        let deleted = written(Outcome::Deleted { count: 0, revision: Revision(4) }, Revision(4));
        assert_eq!((header(&deleted, "etag"), header(&deleted, "quorate-revision")), (None, Some("4")));
        let put = written(Outcome::Put { revision: Revision(5) }, Revision(5));
        assert_eq!((header(&put, "etag"), header(&put, "quorate-revision")), (Some("\"5\""), Some("5")));
    }
}
