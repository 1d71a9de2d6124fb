//! `GET /leases/{id}`.

use hyper::Response;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use quorate_node::kv::{ClusterTime, Lease, LeaseId, Revision};
use quorate_node::raft::Time;
use quorate_node::{Query, ReadLevel, Reply, Request};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::{App, json};
use super::body::AnswerBody;
use super::error::ApiError;
use super::headers::QUORATE_REVISION;
use super::json::encode;
use super::leader::{Operation, unexpected};
use super::openapi::formats;
use super::proxy::{AttemptError, Repetition};
use super::request::{remaining_text, ttl_text};
use super::service::Terms;
use crate::net::Net;
use crate::runtime::Runtime;

/// What is left of a lease: only the leader knows how late it is.
struct LeaseRead {
    lease: LeaseId,
    level: ReadLevel,
}

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET` and `HEAD`.
    pub(super) async fn lease(
        &self,
        head: &Parts,
        lease: LeaseId,
        level: ReadLevel,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let mut asked = self.asked(head, Default::default(), terms);
        asked.repetition = Repetition::Harmless;
        let read = LeaseRead { lease, level };
        match level {
            ReadLevel::Stale => read.here(self, asked.deadline).await,
            ReadLevel::Linearizable | ReadLevel::Lease => self.at_leader(&asked, &read).await,
        }
    }
}

impl LeaseRead {
    async fn here<R: Runtime, N: Net>(
        &self,
        app: &App<R, N>,
        deadline: Time,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let LeaseRead { lease: id, level } = *self;
        let request = || Request::Read { query: Query::Lease(id), level };
        match app.ask_here(request, deadline).await? {
            Reply::Lease { lease: Some(lease), now, revision } => Ok(answer(id, &lease, now, revision)),
            Reply::Lease { lease: None, .. } => Err(ApiError::LeaseNotFound(id)),
            other => Err(unexpected(&other)),
        }
    }
}

impl<R: Runtime, N: Net> Operation<R, N> for LeaseRead {
    async fn perform(&self, app: &App<R, N>, deadline: Time) -> Result<Response<AnswerBody>, AttemptError> {
        Ok(self.here(app, deadline).await?)
    }
}

/// A lease, and what is left of it.
#[derive(Serialize, ToSchema)]
pub(super) struct LeaseState {
    #[schema(schema_with = formats::lease)]
    lease: String,
    /// How long it lives without being kept alive.
    ttl: String,
    /// Of that, with one decimal: `12.3s`.
    remaining: String,
    keys: Vec<String>,
}

fn answer(id: LeaseId, lease: &Lease, now: ClusterTime, revision: Revision) -> Response<AnswerBody> {
    let mut response = json(encode(&LeaseState {
        lease: id.to_string(),
        ttl: ttl_text(lease.ttl_ms),
        remaining: remaining_text(lease.ends.0.saturating_sub(now.0)),
        keys: lease.keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect(),
    }));
    response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(revision.0));
    response
}
