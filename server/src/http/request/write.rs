//! Changes of the store: what a head says of them, and what they are once the body is there.

use std::sync::Arc;

use quorate_node::kv::{Action, Compare, Expiry, LeaseId, Once, Op, Operand, Put, Relation, Txn};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::ApiError;
use super::conditions::Conditions;
use super::import::parse_import;
use super::json::parse;
use super::once::OnceCall;
use super::ttl::parse_ttl;
use super::txn::parse_txn;
use crate::context::Limits;
use crate::http::body::BodyLimit;
use crate::http::openapi::formats;

/// How much larger than what is in it a body of base64 may be. Base64 itself takes a third more, quotes and commas a
/// few bytes for each entry.
const ENCODED_FACTOR: usize = 2;

/// The most that a lock's holder may say of itself: it is in every node's memory.
pub const MAX_LOCK_BYTES: usize = 16 << 10;

/// A change of the store, of which the head has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteCall {
    pub(super) what: What,
    /// What makes it safe to repeat.
    pub(super) once: Option<OnceCall>,
}

/// What kind of change it is, with all that the head says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Put { key: Arc<[u8]>, expiry: Expiry, only: Only },
    Delete { key: Arc<[u8]>, only: Only },
    Txn,
    Import,
    Grant,
    KeepAlive(LeaseId),
    Revoke(LeaseId),
    Lock { key: Arc<[u8]> },
    Unlock { key: Arc<[u8]> },
}

/// What must hold for a key to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Only {
    pub(super) conditions: Conditions,
    pub(super) holder: Option<Arc<[u8]>>,
}

/// A change of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What is to be done.
    pub change: Change,
    /// The client's name for it, if it gave one.
    pub once: Option<Once>,
}

/// What a [`Write`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A command of the store as it is, whose outcome is the answer.
    Plain(Action),
    /// A write of one key under conditions: a transaction whose first result on success is the write's, and which else
    /// tells what is there instead, and who holds the lock.
    Conditional {
        /// The transaction.
        txn: Txn,
        /// Who is to hold the key's lock, if that was asked.
        holder: Option<Arc<[u8]>>,
    },
    /// Begin a lease, under a name that is not taken.
    Grant {
        /// How long it lives without being kept alive, in milliseconds.
        ttl_ms: u64,
    },
}

/// The body of `POST /leases`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantBody {
    #[schema(schema_with = formats::ttl)]
    ttl: String,
}

impl WriteCall {
    /// What its body is held to; without one, it has none that matters.
    pub(crate) fn body_limit(&self, limits: &Limits) -> Option<BodyLimit> {
        match self.what {
            What::Put { .. } => Some(BodyLimit::Value(limits.value_bytes)),
            What::Txn | What::Import => Some(BodyLimit::Request(limits.request_bytes * ENCODED_FACTOR)),
            What::Grant | What::Lock { .. } | What::Unlock { .. } => {
                Some(BodyLimit::Request(limits.request_bytes))
            }
            What::Delete { .. } | What::KeepAlive(_) | What::Revoke(_) => None,
        }
    }

    /// The change, now that its body has come.
    ///
    /// # Errors
    /// `bad_json`, `duplicate_key`, `value_too_large`, `request_too_large`.
    pub fn with_body(&self, body: &[u8], limits: &Limits) -> Result<Write, ApiError> {
        let change = match &self.what {
            What::Put { key, expiry, only } => {
                let limit = limits.value_bytes;
                if body.len() > limit {
                    return Err(ApiError::ValueTooLarge { limit, sent: Some(body.len() as u64) });
                }
                let put = Put { key: Arc::clone(key), value: body.into(), expiry: *expiry };
                only.applied(key, Op::Put(put.clone()), || Action::Put(put))
            }
            What::Delete { key, only } => {
                let delete = Op::Delete { key: Arc::clone(key) };
                only.applied(key, delete, || Action::Delete { key: Arc::clone(key) })
            }
            What::Txn => Change::Plain(Action::Txn(parse_txn(body, limits)?)),
            What::Import => Change::Plain(import(body, limits)?),
            What::Grant => {
                let GrantBody { ttl } = parse(body)?;
                let bad = |wanted| ApiError::BadJson(format!("\"ttl\" is {ttl:?}: give {wanted}"));
                Change::Grant { ttl_ms: parse_ttl(&ttl).map_err(bad)? }
            }
            What::KeepAlive(lease) => Change::Plain(Action::KeepAlive { lease: *lease }),
            What::Revoke(lease) => Change::Plain(Action::Revoke { lease: *lease }),
            What::Lock { key } => {
                let (name, info) = (Arc::clone(key), body.into());
                let holder = holder_of(body).ok_or_else(|| {
                    ApiError::BadJson("\"ID\" is missing: say who takes the lock".to_owned())
                })?;
                if body.len() > MAX_LOCK_BYTES {
                    let bytes = body.len();
                    return Err(ApiError::BadJson(format!(
                        "it has {bytes} bytes, a lock's holder has at most {MAX_LOCK_BYTES} to say: say less"
                    )));
                }
                Change::Plain(Action::Lock { name, holder, info })
            }
            What::Unlock { key } => {
                let holder = match body.trim_ascii().is_empty() {
                    // As `terraform force-unlock` asks.
                    true => None,
                    false => Some(holder_of(body).ok_or_else(|| {
                        ApiError::BadJson(
                            "\"ID\" is missing: say who gives the lock back, or send no body to take it from whoever \
                             has it"
                                .to_owned(),
                        )
                    })?),
                };
                Change::Plain(Action::Unlock { name: Arc::clone(key), holder })
            }
        };
        Ok(Write { change, once: self.once.as_ref().map(|once| once.with_body(body)) })
    }
}

impl Only {
    fn applied(&self, key: &Arc<[u8]>, op: Op, plain: impl FnOnce() -> Action) -> Change {
        let name = || Arc::clone(key);
        let mut compare = self.conditions.compares(key);
        let mut failure = vec![Op::Get { key: name() }];
        if let Some(holder) = &self.holder {
            let operand = Operand::Holder(Arc::clone(holder));
            compare.push(Compare { key: name(), relation: Relation::Equal, operand });
            failure.push(Op::Holder { name: name() });
        }
        if compare.is_empty() {
            return Change::Plain(plain());
        }
        Change::Conditional { txn: Txn { compare, success: vec![op], failure }, holder: self.holder.clone() }
    }
}

/// Who it is that a lock's JSON speaks of. It is Terraform's, with fields that we don't know and give back as they are.
pub(crate) fn holder_of(info: &[u8]) -> Option<Arc<[u8]>> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(info) else { return None };
    let id = fields.get("ID")?.as_str()?;
    (!id.is_empty()).then(|| id.as_bytes().into())
}

fn import(body: &[u8], limits: &Limits) -> Result<Action, ApiError> {
    let Limits { value_bytes, request_bytes, .. } = *limits;
    let entries = parse_import(body, value_bytes)?;
    let decoded_bytes: usize = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
    if decoded_bytes > request_bytes {
        return Err(ApiError::RequestTooLarge { limit: request_bytes, sent: Some(decoded_bytes as u64) });
    }
    Ok(Action::Import { entries })
}
