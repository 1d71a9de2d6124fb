//! What can go wrong, named for what the caller does next.

use crate::endpoint::{Endpoint, EndpointError};

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The thing asked for is not there. Nothing to retry.
    #[error("{0}")]
    NotFound(String),
    /// A condition of the request did not hold: read again, decide again.
    #[error("{0}")]
    PreconditionFailed(String),
    /// The past that was asked for is not kept any more: read the present, or from `oldest` on.
    #[error("{error}")]
    Compacted {
        /// The oldest revision that can still be read.
        oldest: Option<u64>,
        /// The server's own words.
        error: String,
    },
    /// There is no such lease, or no longer, and its keys are gone: begin a new one.
    #[error("{0}")]
    LeaseNotFound(String),
    /// Somebody else holds the lock of the key: wait, or ask them.
    #[error("it is locked by {holder}")]
    Locked {
        /// What the holder said of itself.
        holder: String,
    },
    /// No endpoint could serve the request, and it certainly took no effect: safe to try again later.
    #[error("no endpoint could serve the request: {}", list(.0))]
    Unavailable(Vec<Failed>),
    /// A write was sent and its answer never came: it may have been done. Read, or repeat it if it is idempotent.
    #[error("the outcome is unknown, the write may or may not have been done: {0}")]
    OutcomeUnknown(Failed),
    /// The server understood and said no, for good: the request itself has to change.
    #[error("{error}{}", code_suffix(.code))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The machine-readable code of the error; empty when the answer carried none.
        code: String,
        /// The server's own words.
        error: String,
    },
    /// What answered does not speak as a Quorate server does: look at the endpoint.
    #[error("{0}; is it a Quorate server?")]
    NotQuorate(Failed),
    /// The text given as an endpoint is none.
    #[error("bad endpoint: {0}")]
    BadEndpoint(#[from] EndpointError),
}

/// One endpoint's failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint}: {problem}")]
pub struct Failed {
    /// Who was asked.
    pub endpoint: Endpoint,
    /// What happened.
    pub problem: String,
}

fn list(failures: &[Failed]) -> String {
    failures.iter().map(Failed::to_string).collect::<Vec<_>>().join("; ")
}

fn code_suffix(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" ({code})") }
}
