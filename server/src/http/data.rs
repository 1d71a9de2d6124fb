//! `/data.json`, the whole store in the seed's format, and `/raft/snapshot`.

use std::ops::Bound;
use std::sync::Arc;

use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use quorate_node::kv::{Entry, Revision};
use quorate_node::{List, Page, ReadLevel, Reply, Request};
use quorate_storage::data_json;

use super::app::{App, json, with_type};
use super::body::AnswerBody;
use super::error::ApiError;
use super::headers::{JSON, QUORATE_REVISION};
use super::json::SUCCESS;
use super::leader::unexpected;
use super::service::Terms;
use crate::net::Net;
use crate::runtime::Runtime;

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET /data.json`. Its order is that of the encoded keys, so all are held before the first is sent.
    pub(super) async fn export(
        &self,
        level: ReadLevel,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let deadline = self.now() + terms.timeout;
        let mut list = List { start: Bound::Unbounded, end: None, limit: usize::MAX, revision: None };
        let mut all = Vec::new();
        loop {
            // All pages are of the revision of the first, so only that one need be fresh.
            let level = if list.revision.is_none() { level } else { ReadLevel::Stale };
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

    /// `POST /raft/snapshot`: a checkpoint of this node, now.
    pub(super) async fn snapshot(&self, terms: Terms) -> Result<Response<AnswerBody>, ApiError> {
        match self.ask_here(|| Request::Checkpoint, self.now() + terms.timeout).await? {
            Reply::Checkpointed => Ok(json(SUCCESS)),
            other => Err(unexpected(&other)),
        }
    }
}

fn exported(all: &[(Arc<[u8]>, Entry)], revision: Revision) -> Response<AnswerBody> {
    let entries = all.iter().map(|(key, entry)| (&**key, Arc::clone(&entry.value)));
    let pieces = data_json::encode_in_pieces(entries);
    let body = AnswerBody::Pieces(Box::new(pieces));
    let mut response = with_type(StatusCode::OK, JSON, body);
    response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(revision.0));
    response
}
