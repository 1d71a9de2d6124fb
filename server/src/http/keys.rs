//! Reads of `/key/{key}`, and the answers to its writes.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_SECURITY_POLICY, ETAG, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use quorate_node::kv::{Entry, Revision};
use quorate_node::raft::Time;
use quorate_node::{Query, Reply, Request};

use super::app::{App, with_type};
use super::body::AnswerBody;
use super::error::ApiError;
use super::headers::{NOSNIFF, OCTET_STREAM, QUORATE_REVISION, SANDBOX};
use super::leader::unexpected;
use super::request::{GetCall, Tags, holder_of};
use super::service::Terms;
use crate::net::Net;
use crate::runtime::Runtime;

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET` and `HEAD`.
    pub(super) async fn get(&self, get: GetCall, terms: Terms) -> Result<Response<AnswerBody>, ApiError> {
        let deadline = self.now() + terms.timeout;
        if let Some(holder) = &get.holder {
            self.check_holder(&get, holder, deadline).await?;
        }
        let GetCall { key, revision, known, level, .. } = get;
        let request = || {
            let query = Query::Key { key: Arc::clone(&key), revision };
            Request::Read { query, level }
        };
        match self.ask_here(request, deadline).await? {
            Reply::Read { entry: Some(entry), revision } => Ok(found(&known, entry, revision)),
            Reply::Read { entry: None, revision } => Ok(missing(revision)),
            Reply::OutOfReach { oldest, newest } => Err(out_of_reach(revision, oldest, newest)),
            other => Err(unexpected(&other)),
        }
    }

    /// Whether the key's lock is held by `holder`.
    async fn check_holder(&self, get: &GetCall, holder: &[u8], deadline: Time) -> Result<(), ApiError> {
        let request = || Request::Read { query: Query::Lock(Arc::clone(&get.key)), level: get.level };
        match self.ask_here(request, deadline).await? {
            Reply::Lock { lock: Some(lock), .. } if *lock.holder == *holder => Ok(()),
            Reply::Lock { lock, revision } => {
                Err(not_held(holder, lock.map(|lock| lock.info), None, revision))
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// The error that a revision is which can't be read at.
pub(super) fn out_of_reach(asked: Option<Revision>, oldest: Revision, newest: Revision) -> ApiError {
    match asked {
        Some(asked) if asked > newest => ApiError::BadQuery(format!(
            "the query parameter revision is {asked}, and the store is at {newest}: give one that was there"
        )),
        Some(asked) => ApiError::Compacted { asked, oldest },
        // Reading at no past revision needs no past.
        None => ApiError::Internal(format!("the present is out of reach, between {oldest} and {newest}")),
    }
}

/// The error that a lock is which `holder` does not hold.
pub(super) fn not_held(
    holder: &[u8],
    info: Option<Arc<[u8]>>,
    there: Option<Revision>,
    revision: Revision,
) -> ApiError {
    match info {
        Some(info) => ApiError::Locked { info },
        None => ApiError::PreconditionFailed {
            what: format!(
                "the key's lock is not held by {:?}, nor by anybody",
                String::from_utf8_lossy(holder)
            ),
            there,
            revision,
        },
    }
}

/// The error that a condition is which does not hold: the key's, or its lock's.
pub(super) fn precondition_failed(
    holder: Option<&[u8]>,
    info: Option<Arc<[u8]>>,
    entry: Option<&Entry>,
    revision: Revision,
) -> ApiError {
    let there = entry.map(|entry| entry.mod_revision);
    if let Some(holder) = holder {
        let is_held = info.as_deref().and_then(holder_of).is_some_and(|held| *held == *holder);
        if !is_held {
            return not_held(holder, info, there, revision);
        }
    }
    let what = match there {
        Some(there) => format!("the key was last written at revision {there}"),
        None => "the key is not there".to_owned(),
    };
    ApiError::PreconditionFailed { what, there, revision }
}

pub(super) fn found(known: &Tags, entry: Entry, revision: Revision) -> Response<AnswerBody> {
    let mut response = if known.name(entry.mod_revision) {
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
    response.headers_mut().insert(ETAG, entity_tag(entry.mod_revision));
    response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(revision.0));
    response
}

fn missing(revision: Revision) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::empty());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(revision.0));
    response
}

pub(super) fn entity_tag(mod_revision: Revision) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{mod_revision}\"")).expect("digits in quotes are a header value")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn header<'a>(response: &'a Response<AnswerBody>, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_value_comes_with_all_its_headers() {
        let (value, create_revision) = (Arc::from(&b"v"[..]), Revision(3));
        let entry = Entry { value, create_revision, mod_revision: Revision(7), version: 2 };
        let response = found(&Tags::default(), entry, Revision(9));
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
    fn a_missing_key_has_no_body() {
        let response = missing(Revision(4));
        assert_eq!((response.status().as_u16(), header(&response, "quorate-revision")), (404, Some("4")));
        assert!(matches!(response.body(), AnswerBody::Whole(bytes) if bytes.is_empty()));
    }
}
