//! `/data.json`, the whole store in the seed's format, and `/raft/snapshot`.

use std::sync::Arc;

use hyper::Response;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use std::ops::Bound;

use quorate_node::kv::{Action, Entry, Revision};
use quorate_node::raft::Time;
use quorate_node::{List, Page, Query, ReadLevel, Reply, Request};
use quorate_storage::data_json::{self, DataJsonError};

use super::app::{App, json, with_type};
use super::body::{AnswerBody, BodyLimit, Upload};
use super::error::ApiError;
use super::headers::{JSON, QUORATE_REVISION};
use super::json::SUCCESS;
use super::key::check_key;
use super::keys::Write;
use super::leader::unexpected;
use super::service::Terms;
use crate::context::Limits;
use crate::founding::Pairs;
use crate::net::Net;
use crate::runtime::Runtime;

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET /data.json`.
    pub(super) async fn export(&self, terms: Terms) -> Result<Response<AnswerBody>, ApiError> {
        let deadline = self.now() + terms.timeout;
        let mut list = List { start: Bound::Unbounded, end: None, limit: usize::MAX, revision: None };
        let mut all = Vec::new();
        loop {
            // All pages are of the revision of the first, so only that one need be fresh.
            let level = if list.revision.is_none() { terms.query.level } else { ReadLevel::Stale };
            let Page { revision, entries, more } = self.page(&list, level, deadline).await?;
            if let Some((key, _)) = entries.last() {
                list.start = Bound::Excluded(Arc::clone(key));
            }
            list.revision = Some(revision);
            all.extend(entries);
            if !more {
                return Ok(exported(&all, revision));
            }
        }
    }

    async fn page(&self, list: &List, level: ReadLevel, deadline: Time) -> Result<Page, ApiError> {
        let request = || Request::Read { query: Query::List(list.clone()), level };
        match self.ask_here(request, deadline).await? {
            Reply::Listed(page) => Ok(page),
            Reply::OutOfReach { .. } => Err(ApiError::Overloaded),
            other => Err(unexpected(&other)),
        }
    }

    /// `POST /data.json`: all of its entries under one revision, or none.
    pub(super) async fn import(
        &self,
        head: &Parts,
        upload: Upload<'_>,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let Limits { value_bytes, request_bytes, .. } = self.context.limits;
        let encoded_limit = BodyLimit::Request(request_bytes * ENCODED_FACTOR);
        let body = upload.read(&self.context.runtime, encoded_limit).await?;
        let entries = parse_import(&body, value_bytes)?;
        let decoded_bytes: usize = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
        if decoded_bytes > request_bytes {
            return Err(ApiError::RequestTooLarge { limit: request_bytes, sent: Some(decoded_bytes as u64) });
        }
        self.at_leader(&self.asked(head, body, terms), &Write(Action::Import { entries })).await
    }

    /// `POST /raft/snapshot`: a checkpoint of this node, now.
    pub(super) async fn snapshot(&self, terms: Terms) -> Result<Response<AnswerBody>, ApiError> {
        match self.ask_here(|| Request::Checkpoint, self.now() + terms.timeout).await? {
            Reply::Checkpointed => Ok(json(SUCCESS)),
            other => Err(unexpected(&other)),
        }
    }
}

/// How much larger than what is in it a body of base64 may be. Base64 itself takes a third more, quotes and commas a
/// few bytes for each entry.
const ENCODED_FACTOR: usize = 2;

/// How much of a key an error quotes.
const SHOWN_BYTES: usize = 80;

/// Why a `data.json` is not taken. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    /// It can't be decoded.
    #[error("{0}")]
    Undecodable(#[from] DataJsonError),
    /// A key is no text.
    #[error(
        "the entry {encoded:?} has a key that, decoded, is not valid UTF-8 from byte {valid_bytes} on: a key is the \
         base64url of UTF-8 text"
    )]
    KeyNotUtf8 {
        /// The beginning of the key as it stands in the file.
        encoded: String,
        /// Where what is not valid begins.
        valid_bytes: usize,
    },
    /// One of its entries can't be stored.
    #[error("the entry with the key {key:?}: {error}")]
    Entry {
        /// The key's beginning.
        key: String,
        /// What a request for it would be answered.
        error: ApiError,
    },
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        let said = error.to_string();
        match error {
            ImportError::Entry { error: ApiError::ValueTooLarge { .. }, .. } => {
                ApiError::EntryValueTooLarge(said)
            }
            _ => ApiError::BadJson(said),
        }
    }
}

/// Keys and values of a `data.json`, checked like those that come one by one.
///
/// # Errors
/// [`ImportError`], which names the entry.
pub(crate) fn parse_import(bytes: &[u8], max_value_bytes: usize) -> Result<Pairs, ImportError> {
    let entries = data_json::decode(bytes)?;
    for (key, value) in &entries {
        let too_large = ApiError::ValueTooLarge { limit: max_value_bytes, sent: Some(value.len() as u64) };
        let checked = check_key(key).and(if value.len() > max_value_bytes { Err(too_large) } else { Ok(()) });
        match checked {
            Ok(()) => {}
            Err(ApiError::KeyNotUtf8 { valid_bytes }) => {
                let mut encoded = data_json::encoded_key(key);
                encoded.truncate(SHOWN_BYTES);
                return Err(ImportError::KeyNotUtf8 { encoded, valid_bytes });
            }
            Err(error) => {
                let key = String::from_utf8_lossy(&key[..key.len().min(SHOWN_BYTES)]).into_owned();
                return Err(ImportError::Entry { key, error });
            }
        }
    }
    Ok(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}

fn exported(all: &[(Arc<[u8]>, Entry)], revision: Revision) -> Response<AnswerBody> {
    let entries = all.iter().map(|(key, entry)| (&**key, Arc::clone(&entry.value)));
    let pieces = data_json::encode_in_pieces(entries);
    let body = AnswerBody::Pieces(Box::new(pieces));
    let mut response = with_type(StatusCode::OK, JSON, body);
    response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(revision.0));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn an_entry_that_is_not_taken_is_named_as_the_file_names_it() {
        // The bytes 61 ff: no text, so that only the encoded form can be looked for in the file.
        let error = parse_import(br#"{"YQ==":"","Yf8=":""}"#, 10).unwrap_err().to_string();
        assert_eq!(
            error,
            "the entry \"Yf8=\" has a key that, decoded, is not valid UTF-8 from byte 1 on: a key is the base64url of \
             UTF-8 text"
        );
        let error = parse_import(br#"{"YQ==":"YWFhYQ=="}"#, 3).unwrap_err().to_string();
        assert!(error.starts_with("the entry with the key \"a\": the value has 4 bytes"), "{error}");
    }
}
