//! Changes of the store: keys, transactions, imports, leases and locks.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{ETAG, HeaderValue};
use hyper::http::request::Parts;
use quorate_node::kv::{Action, LeaseId, Op, OpResult, Outcome, Revision, Txn};
use quorate_node::raft::Time;
use quorate_node::{Reply, Request};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::{App, json, refusal};
use super::body::{AnswerBody, Upload};
use super::error::ApiError;
use super::headers::{IDEMPOTENCY_REPLAYED, QUORATE_REVISION};
use super::json::{EntryAnswer, SUCCESS, encode};
use super::keys::{entity_tag, precondition_failed};
use super::leader::{Operation, unexpected};
use super::openapi::formats;
use super::proxy::{AttemptError, Repetition};
use super::request::{Change, Write, WriteCall, ttl_text};
use super::service::Terms;
use crate::context::Context;
use crate::net::Net;
use crate::runtime::Runtime;
use crate::tokens::Asker;

impl<R: Runtime, N: Net> App<R, N> {
    /// Has a change made by the leader.
    pub(super) async fn write(
        &self,
        head: &Parts,
        call: WriteCall,
        (upload, asker): (Upload<'_>, &Asker),
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let body = match call.body_limit(&self.context.limits) {
            Some(limit) => upload.read(&self.context.runtime, limit).await?,
            None => Bytes::new(),
        };
        let mut write = call.with_body(&body, &self.context.limits)?;
        asker.must_reach(&write.reach())?;
        if let (Some(once), Some(principal)) = (&mut write.once, asker.principal()) {
            once.principal = principal.as_bytes().into();
        }
        let mut asked = self.asked(head, body, terms);
        if write.once.is_some() {
            asked.repetition = Repetition::DoneOnce;
        }
        self.at_leader(&asked, &write).await
    }
}

impl<R: Runtime, N: Net> Operation<R, N> for Write {
    async fn perform(&self, app: &App<R, N>, deadline: Time) -> Result<Response<AnswerBody>, AttemptError> {
        loop {
            let action = self.change.action(&app.context.runtime);
            let request = Request::Write { action, once: self.once.clone() };
            match app.change_here(request, deadline).await? {
                // Another name, then.
                Reply::Written { outcome: Outcome::LeaseExists, .. } => {}
                Reply::Written { outcome, is_replay, revision } => {
                    let mut response = self.change.answer(outcome, revision, &app.context);
                    if is_replay {
                        let headers = response.headers_mut();
                        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
                    }
                    return Ok(response);
                }
                other => return Err(unexpected(&other).into()),
            }
        }
    }
}

impl Change {
    fn action(&self, runtime: &impl Runtime) -> Action {
        match self {
            Change::Plain(action) => action.clone(),
            Change::Conditional { txn, .. } => Action::Txn(txn.clone()),
            // 0 names none.
            Change::Grant { ttl_ms } => {
                Action::Grant { lease: LeaseId(runtime.random().max(1)), ttl_ms: *ttl_ms }
            }
        }
    }

    /// The answer that an outcome is. `revision` is the store's, for outcomes that don't name their own.
    fn answer<R, N>(
        &self,
        outcome: Outcome,
        revision: Revision,
        context: &Context<R, N>,
    ) -> Response<AnswerBody> {
        let revision = revision_of(&outcome).unwrap_or(revision);
        let mut response = match self.answered(outcome, revision, context) {
            Ok(response) => response,
            Err(error) => refusal(&error),
        };
        response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(revision.0));
        response
    }

    fn answered<R, N>(
        &self,
        outcome: Outcome,
        revision: Revision,
        context: &Context<R, N>,
    ) -> Result<Response<AnswerBody>, ApiError> {
        match outcome {
            Outcome::Put { revision } => Ok(put(revision)),
            Outcome::Txn { succeeded, results, .. } => match self {
                Change::Plain(Action::Txn(txn)) => Ok(json(transacted(txn, succeeded, revision, &results))),
                Change::Conditional { holder, .. } => {
                    conditional(holder.as_deref(), succeeded, revision, results)
                }
                _ => Err(ApiError::Internal("a transaction was carried out that nobody sent".to_owned())),
            },
            Outcome::Deleted { .. } | Outcome::Imported { .. } | Outcome::Revoked { .. } | Outcome::Done => {
                Ok(json(SUCCESS))
            }
            Outcome::Lease { lease, ttl_ms } => {
                let answer = LeaseAnswer { lease: lease.to_string(), ttl: ttl_text(ttl_ms) };
                Ok(json(encode(&answer)))
            }
            Outcome::LeaseNotFound { lease } => Err(ApiError::LeaseNotFound(lease)),
            Outcome::Locked { info } => Err(ApiError::Locked { info }),
            Outcome::AnotherRequest => Err(ApiError::IdempotencyMismatch),
            Outcome::AnswersFull => Err(ApiError::IdempotencyFull(context.settings)),
            Outcome::KeyWrittenTwice | Outcome::LeaseExists => {
                Err(ApiError::Internal("the store refused what was checked before".to_owned()))
            }
        }
    }
}

/// The store's revision right after it, as far as an outcome says.
fn revision_of(outcome: &Outcome) -> Option<Revision> {
    match outcome {
        Outcome::Put { revision }
        | Outcome::Deleted { revision, .. }
        | Outcome::Imported { revision, .. }
        | Outcome::Txn { revision, .. }
        | Outcome::Revoked { revision, .. } => Some(*revision),
        _ => None,
    }
}

fn put(mod_revision: Revision) -> Response<AnswerBody> {
    let mut response = json(SUCCESS);
    response.headers_mut().insert(ETAG, entity_tag(mod_revision));
    response
}

fn conditional(
    holder: Option<&[u8]>,
    succeeded: bool,
    revision: Revision,
    results: Vec<OpResult>,
) -> Result<Response<AnswerBody>, ApiError> {
    if succeeded {
        return Ok(match results.first() {
            Some(OpResult::Put { mod_revision }) => put(*mod_revision),
            _ => json(SUCCESS),
        });
    }
    let (mut entry, mut info) = (None, None);
    for result in results {
        match result {
            OpResult::Got(there) => entry = there,
            OpResult::Holder(held) => info = held,
            OpResult::Put { .. } | OpResult::Deleted { .. } => {}
        }
    }
    Err(precondition_failed(holder, info, entry.as_ref(), revision))
}

/// A lease.
#[derive(Serialize, ToSchema)]
#[schema(as = Lease)]
pub(super) struct LeaseAnswer {
    #[schema(schema_with = formats::lease)]
    lease: String,
    /// How long it lives without being kept alive.
    ttl: String,
}

/// What a transaction came to.
#[derive(Serialize, ToSchema)]
#[schema(as = TxnOutcome)]
pub(super) struct TxnAnswer<'a> {
    /// Whether the comparisons held.
    succeeded: bool,
    /// The store's revision after it.
    revision: u64,
    /// One for each operation that was carried out.
    results: Vec<ResultAnswer<'a>>,
}

/// What an operation of a transaction came to.
#[derive(Serialize, ToSchema)]
#[schema(as = OperationOutcome)]
#[serde(rename_all = "lowercase")]
enum ResultAnswer<'a> {
    Put { mod_revision: u64 },
    Get(Option<EntryAnswer<'a>>),
    Delete { deleted: u64 },
}

fn transacted(txn: &Txn, succeeded: bool, revision: Revision, results: &[OpResult]) -> Bytes {
    let ops = if succeeded { &txn.success } else { &txn.failure };
    let results = ops.iter().zip(results).filter_map(|(op, result)| {
        Some(match (op, result) {
            (_, OpResult::Put { mod_revision }) => ResultAnswer::Put { mod_revision: mod_revision.0 },
            (_, OpResult::Deleted { count }) => ResultAnswer::Delete { deleted: *count },
            (Op::Get { key }, OpResult::Got(entry)) => {
                let entry = entry.as_ref().map(|entry| EntryAnswer::new(key, entry, true));
                ResultAnswer::Get(entry)
            }
            // Nobody can send what reads a lock.
            (_, OpResult::Got(_) | OpResult::Holder(_)) => return None,
        })
    });
    encode(&TxnAnswer { succeeded, revision: revision.0, results: results.collect() })
}
