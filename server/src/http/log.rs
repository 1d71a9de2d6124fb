//! What requests leave in the log: a line each, with the name under which other nodes know them.
//!
//! No key and no value is in any of them.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use quorate_node::raft::NodeId;

use super::error::ApiError;
use super::headers::QUORATE_FORWARDED;
use super::request::Operation;

/// A request was refused.
pub(super) fn log_refusal(id: &HeaderValue, error: &ApiError) {
    let (request, (status, code)) = (text(id), error.name());
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(request, %error, code, "a request met a bug");
    } else {
        // Not the text, which the client has: it may name keys, and values.
        tracing::debug!(request, code, "a request was refused");
    }
}

/// A request was answered, after so long. `headers` are the request's.
pub(super) fn log_answer(
    id: &HeaderValue,
    headers: &HeaderMap,
    operation: Option<Operation>,
    status: StatusCode,
    after: Duration,
) {
    tracing::debug!(
        request = text(id),
        operation = operation.map(Operation::name),
        status = status.as_u16(),
        ms = after.as_secs_f64() * 1e3,
        passed_on_by = forwarded_by(headers),
        "a request was answered"
    );
}

/// Which node says that it has passed the request on, if it is one's id.
fn forwarded_by(headers: &HeaderMap) -> Option<String> {
    let id: NodeId = headers.get(QUORATE_FORWARDED)?.to_str().ok()?.parse().ok()?;
    Some(id.to_string())
}

/// What a header says, as the log has it.
fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}
