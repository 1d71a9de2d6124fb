//! What HTTP says when it says no.

use hyper::StatusCode;
use hyper::header::{ALLOW, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use quorate_node::kv::{LeaseId, Revision, Settings};
use quorate_node::raft::{Members, NodeId, TokenFault};
use quorate_node::wire::entry::MAX_COMMAND_BYTES;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

use super::headers;
use super::keys::entity_tag;

/// Why a request is not done. Each has a status, a code for programs, and a text for people that says what happened,
/// the value seen, and what to do. `docs/ERRORS.md` has an anchor for every code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// It breaks HTTP's rules or ours in a way that no other code names.
    #[error("{0}")]
    Malformed(String),
    /// `/key/` with nothing after it.
    #[error("the key is empty: give 1 to 4096 bytes after /key/")]
    KeyEmpty,
    /// The decoded key is not UTF-8.
    #[error(
        "the key is not valid UTF-8 from byte {valid_bytes} on, after percent-decoding: encode it as UTF-8"
    )]
    KeyNotUtf8 {
        /// How many bytes are fine.
        valid_bytes: usize,
    },
    /// The decoded key is longer than [`super::request::MAX_KEY_BYTES`].
    #[error("the key has {0} bytes, a key has at most 4096: use a shorter one")]
    KeyTooLong(usize),
    /// A query parameter that is not known, not here, given twice, or has a bad value.
    #[error("{0}")]
    BadQuery(String),
    /// The body is not the JSON that the route takes.
    #[error("the body is not what this route takes: {0}")]
    BadJson(String),
    /// A transaction writes a key twice.
    #[error("the transaction writes the key {0:?} twice in one list: leave one of the two out")]
    DuplicateKey(String),
    /// Nobody knows who asks.
    #[error("{0}: send the header Authorization: Bearer, with a token of this cluster")]
    Unauthenticated(&'static str),
    /// Whoever asks may not.
    #[error("{0}")]
    Forbidden(String),
    /// A node that is new shows nothing that lets it in.
    #[error(
        "node {0} is new, and this cluster does not listen on loopback alone: give it a join token, which `quorate token join` \
         makes (serve --join-token-file, or the header Quorate-Join-Token), or a certificate of the peers' CA"
    )]
    JoinTokenNeeded(NodeId),
    /// What is shown as a join token is none, or none of this cluster.
    #[error("the join token lets nobody in: {0}; make another with `quorate token join`")]
    JoinTokenInvalid(String),
    /// The join token's time is over.
    #[error("the join token has expired: make another with `quorate token join`")]
    JoinTokenExpired,
    /// The join token has let a node in before.
    #[error(
        "the join token was spent by node {0}, which is another one, or is no member any more: make another with `quorate \
         token join`"
    )]
    JoinTokenSpent(NodeId),
    /// No more join tokens can be made.
    #[error(
        "{most} join tokens were made that have not expired: nothing was done; try again later, and let them live for a \
         shorter time", most = Members::MOST_TOKENS
    )]
    JoinTokensFull,
    /// A browser page of another origin asks.
    #[error("the Origin {0:?} is not this server's: only its own pages may ask from a browser")]
    CrossOrigin(String),
    /// No such route.
    #[error("there is no route {0:?}: the routes are listed in docs/HTTP.md; keys are under /key/")]
    RouteNotFound(String),
    /// A peer asked for a piece of a checkpoint that is not here.
    #[error("{0} is not here, or not sound: ask another node")]
    NotLent(String),
    /// The node named is no member.
    #[error("the node {0} is not a member of this cluster: see GET /raft/members")]
    MemberNotFound(String),
    /// There is no such lease.
    #[error("there is no lease {0}: it has ended, was revoked or never was; begin one with POST /leases")]
    LeaseNotFound(LeaseId),
    /// The route has no such method.
    #[error("{method} does not go with {path:?}: use {allow}")]
    MethodNotAllowed {
        /// The method seen.
        method: String,
        /// The route.
        path: String,
        /// The methods it has, as in `Allow`.
        allow: String,
    },
    /// The body did not come in time.
    #[error("the body did not arrive within {seconds} s, {received} bytes did: send it faster, or less")]
    BodyTooSlow {
        /// How long was waited.
        seconds: u64,
        /// What came.
        received: usize,
    },
    /// Another member has the address.
    #[error("{0}")]
    AddressInUse(String),
    /// The newcomer does not answer where it says it is.
    #[error("{0}")]
    AddressUnreachable(String),
    /// Another change of membership is not finished.
    #[error("another change of membership is under way: try again when GET /raft/members shows it done")]
    ChangeInProgress,
    /// The node's log is too far behind to vote or to lead.
    #[error("{0}")]
    NotCaughtUp(String),
    /// The change would leave too few voters who are heard.
    #[error("{0}")]
    WouldLoseQuorum(String),
    /// That past is not kept any more.
    #[error(
        "revision {asked} is no longer kept, the oldest one is {oldest}: read at that, at a later one, or now"
    )]
    Compacted {
        /// What was asked for.
        asked: Revision,
        /// The oldest that can be read.
        oldest: Revision,
    },
    /// A condition does not hold. Nothing was done.
    #[error("{what}, and so the condition does not hold: nothing was done; read the key, and decide anew")]
    PreconditionFailed {
        /// What is so instead.
        what: String,
        /// When the key was last written, when it is there.
        there: Option<Revision>,
        /// The store's revision.
        revision: Revision,
    },
    /// Somebody else holds the lock, and this is what is told about it: the body, instead of a text.
    #[error("somebody else holds the lock")]
    Locked {
        /// As the holder wrote it.
        info: Arc<[u8]>,
    },
    /// The idempotency key was another request's.
    #[error(
        "the Idempotency-Key was used before, for another request: nothing was done; take a new key for a new request"
    )]
    IdempotencyMismatch,
    /// The value is larger than this server takes.
    #[error("the value has {} bytes, the limit is {limit}: send less, or raise --max-value-bytes", seen(.sent))]
    ValueTooLarge {
        /// The limit in bytes.
        limit: usize,
        /// The size; without one, it is only known to be above the limit.
        sent: Option<u64>,
    },
    /// A value among others is larger than this server takes.
    #[error("{0}")]
    EntryValueTooLarge(String),
    /// The request's body is larger than this server takes.
    #[error("the body has {} bytes, the limit is {limit}: send less, or raise --max-request-bytes", seen(.sent))]
    RequestTooLarge {
        /// The limit in bytes.
        limit: usize,
        /// The size; without one, it is only known to be above the limit.
        sent: Option<u64>,
    },
    /// The change is larger than a log entry may be.
    #[error("the change has {0} bytes, one entry of the log takes at most {MAX_COMMAND_BYTES}: split it")]
    EntryTooLarge(usize),
    /// The request's target is too long.
    #[error("the request target has {0} bytes, at most {limit} are taken: shorten it", limit = super::checks::MAX_TARGET_BYTES)]
    UriTooLong(usize),
    /// Said to a peer: this node does not lead.
    #[error("this node does not lead: ask {}", .leader_url.as_deref().unwrap_or("again later, it knows no leader"))]
    NotLeader {
        /// Where the leader may be.
        leader_url: Option<String>,
    },
    /// The `Host` header names neither a loopback address nor what this node advertises.
    #[error(
        "the Host {0:?} is not this server's: an open cluster on loopback answers to loopback names and to its advertised URL only"
    )]
    WrongHost(String),
    /// The headers are too large.
    #[error("the headers have {0} bytes, at most {limit} are taken: send fewer", limit = super::checks::MAX_HEADER_BYTES)]
    HeadersTooLarge(usize),
    /// A broken promise of our own.
    #[error("internal error: {0}: please report it")]
    Internal(String),
    /// Nobody led until the deadline. Nothing was done.
    #[error("no leader within {0}: nothing was done; try again, or look at GET /raft/status on each node")]
    NoLeader(String),
    /// Nobody led until the deadline whom this node could know of: it is no member. Nothing was done.
    #[error(
        "no leader within {0}, and this node is no member of its cluster, as far as its log goes: nothing was done; ask \
         another node. If this one was removed, end it; with an empty data dir and --join it can come back"
    )]
    Outside(String),
    /// This node belongs to no cluster yet. Nothing was done.
    #[error(
        "this node is still joining its cluster: nothing was done; try again, or ask a node given with --join"
    )]
    Joining,
    /// This node's checkpoints have gone bad, and are being mended. Nothing was done.
    #[error(
        "this node has damaged checkpoints and mends them with pieces from its peers before it serves: nothing was done; \
         ask another node, and see this one's log"
    )]
    Mending,
    /// This node has lost what it must not forget, and is not back under a new id yet. Nothing was done.
    #[error(
        "this node has lost its state and is to come back under a new id, once {former}, which it was, can be \
         replaced: nothing was done; ask another node, and see this one's log"
    )]
    ComingBack {
        /// Who it was.
        former: NodeId,
    },
    /// Too many requests wait. Nothing was done.
    #[error("too many requests are waiting: nothing was done; try again later")]
    Overloaded,
    /// No more answers can be remembered. Nothing was done.
    #[error(
        "the table of idempotency keys is full, its limits are {} keys and {} bytes: nothing was done; keys are \
         forgotten after ten minutes, so try again later, or raise --idempotency-keys or --idempotency-bytes",
        .0.answers, .0.answer_bytes
    )]
    IdempotencyFull(Settings),
    /// The bodies of requests that wait fill the memory that they may have. Nothing was done.
    #[error(
        "the bodies of the requests that wait have {limit} bytes already: nothing was done; try again later, or raise \
         --max-pending-bytes"
    )]
    TooMuchHeld {
        /// The limit in bytes.
        limit: usize,
    },
    /// The token has been shown too often. Nothing was done.
    #[error(
        "the token {name:?} is for {rate} requests a second at each node, and more came: nothing was done; ask less \
         often, or raise its rate in the file of --tokens"
    )]
    RateLimited {
        /// Whose it is.
        name: String,
        /// Requests a second.
        rate: String,
    },
    /// There are too many connections, and a request is under way on each. Nothing was done.
    #[error(
        "there are {most} connections already, with a request under way on each: nothing was done; try again later, ask \
         another node, or raise --max-connections"
    )]
    TooManyConnections {
        /// How many may be.
        most: usize,
    },
    /// There are too many watches. Nothing was done.
    #[error(
        "there are {most} watches at this node already: try again when one has ended, ask another node, or raise \
         --max-watchers"
    )]
    TooManyWatchers {
        /// How many may be.
        most: usize,
    },
    /// As many backups are being sent as may be. Nothing was done.
    #[error("{most} backups are being sent already: try again when one has ended, or ask another node")]
    TooManyBackups {
        /// How many may be.
        most: usize,
    },
    /// This node can't send a checkpoint now.
    #[error("this node has no checkpoint to send, {0}: ask another node, or try again later")]
    NoCheckpoint(String),
    /// This node does not remember its inputs.
    #[error("this node remembers nothing of what goes into it: start it with some --flight-recorder-bytes")]
    NotRecorded,
    /// This node has no recording to give just now.
    #[error("this node has no recording to give just now, {0}: try again soon")]
    NoRecording(&'static str),
    /// The checkpoint that was asked for by its tag is not here.
    #[error(
        "this node does not have the checkpoint {0}, or no longer: ask another node, or take a backup from its beginning"
    )]
    CheckpointGone(String),
    /// The range lies behind the end.
    #[error("the backup has {length} bytes, and the Range begins behind them: ask for bytes that there are")]
    RangeNotSatisfiable {
        /// The length of the whole.
        length: u64,
    },
    /// This process is about to end. Nothing was done.
    #[error("this node is shutting down: nothing was done; ask another")]
    ShuttingDown,
    /// The write may or may not be done.
    #[error(
        "the outcome is unknown, {0}: the write may or may not have been done, or still be; read to find out"
    )]
    OutcomeUnknown(String),
    /// The disk is full. Nothing was done.
    #[error(
        "the leader's disk is full, and this needs space: nothing was done; reads and deletes go on: delete keys, or \
         free space on its disk"
    )]
    DiskFull,
    /// The request has been here before.
    #[error(
        "the request came back to node {0} that had forwarded it: look at the advertised URLs in GET /raft/members"
    )]
    ProxyLoop(String),
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody<'a> {
    /// What happened, the value seen, what to do.
    error: &'a str,
    /// For programs: docs/ERRORS.md explains each.
    code: &'static str,
    /// With `compacted`: the oldest revision that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<u64>,
}

impl ApiError {
    /// The status and the code.
    pub fn name(&self) -> (StatusCode, &'static str) {
        match self {
            ApiError::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            ApiError::KeyEmpty => (StatusCode::BAD_REQUEST, "key_empty"),
            ApiError::KeyNotUtf8 { .. } => (StatusCode::BAD_REQUEST, "key_not_utf8"),
            ApiError::KeyTooLong(_) => (StatusCode::URI_TOO_LONG, "key_too_long"),
            ApiError::BadQuery(_) => (StatusCode::BAD_REQUEST, "bad_query"),
            ApiError::BadJson(_) => (StatusCode::BAD_REQUEST, "bad_json"),
            ApiError::DuplicateKey(_) => (StatusCode::BAD_REQUEST, "duplicate_key"),
            ApiError::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            ApiError::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            ApiError::JoinTokenNeeded(_) => (StatusCode::FORBIDDEN, "join_token_needed"),
            ApiError::JoinTokenInvalid(_) => (StatusCode::FORBIDDEN, "join_token_invalid"),
            ApiError::JoinTokenExpired => (StatusCode::FORBIDDEN, "join_token_expired"),
            ApiError::JoinTokenSpent(_) => (StatusCode::FORBIDDEN, "join_token_spent"),
            ApiError::JoinTokensFull => (StatusCode::SERVICE_UNAVAILABLE, "join_tokens_full"),
            ApiError::CrossOrigin(_) => (StatusCode::FORBIDDEN, "cross_origin"),
            ApiError::RouteNotFound(_) => (StatusCode::NOT_FOUND, "route_not_found"),
            ApiError::NotLent(_) => (StatusCode::NOT_FOUND, "not_lent"),
            ApiError::MemberNotFound(_) => (StatusCode::NOT_FOUND, "member_not_found"),
            ApiError::LeaseNotFound(_) => (StatusCode::NOT_FOUND, "lease_not_found"),
            ApiError::Compacted { .. } => (StatusCode::GONE, "compacted"),
            ApiError::PreconditionFailed { .. } => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            ApiError::Locked { .. } => (StatusCode::LOCKED, "locked"),
            ApiError::IdempotencyMismatch => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch"),
            ApiError::IdempotencyFull(_) => (StatusCode::SERVICE_UNAVAILABLE, "idempotency_full"),
            ApiError::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            ApiError::BodyTooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            ApiError::AddressInUse(_) => (StatusCode::CONFLICT, "address_in_use"),
            ApiError::AddressUnreachable(_) => (StatusCode::CONFLICT, "address_unreachable"),
            ApiError::ChangeInProgress => (StatusCode::CONFLICT, "change_in_progress"),
            ApiError::NotCaughtUp(_) => (StatusCode::CONFLICT, "not_caught_up"),
            ApiError::WouldLoseQuorum(_) => (StatusCode::CONFLICT, "would_lose_quorum"),
            ApiError::ValueTooLarge { .. } | ApiError::EntryValueTooLarge(_) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "value_too_large")
            }
            ApiError::RequestTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
            ApiError::EntryTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
            ApiError::UriTooLong(_) => (StatusCode::URI_TOO_LONG, "uri_too_long"),
            ApiError::NotLeader { .. } => (StatusCode::MISDIRECTED_REQUEST, "not_leader"),
            ApiError::WrongHost(_) => (StatusCode::MISDIRECTED_REQUEST, "wrong_host"),
            ApiError::HeadersTooLarge(_) => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large")
            }
            ApiError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            ApiError::NoLeader(_)
            | ApiError::Outside(_)
            | ApiError::Joining
            | ApiError::Mending
            | ApiError::ComingBack { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_leader"),
            ApiError::NoCheckpoint(_) => (StatusCode::SERVICE_UNAVAILABLE, "no_checkpoint"),
            ApiError::NotRecorded => (StatusCode::NOT_FOUND, "not_recorded"),
            ApiError::NoRecording(_) => (StatusCode::SERVICE_UNAVAILABLE, "no_recording"),
            ApiError::CheckpointGone(_) => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            ApiError::RangeNotSatisfiable { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable")
            }
            ApiError::Overloaded
            | ApiError::TooMuchHeld { .. }
            | ApiError::TooManyConnections { .. }
            | ApiError::TooManyWatchers { .. }
            | ApiError::TooManyBackups { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            ApiError::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            ApiError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            ApiError::OutcomeUnknown(_) => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
            ApiError::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
            ApiError::ProxyLoop(_) => (StatusCode::LOOP_DETECTED, "proxy_loop"),
        }
    }

    /// `{"error": "…", "code": "…"}`; of a lock what its holder wrote, which is what Terraform reads.
    pub(crate) fn body(&self) -> Vec<u8> {
        if let ApiError::Locked { info } = self {
            return info.to_vec();
        }
        let (_, code) = self.name();
        let oldest = match self {
            ApiError::Compacted { oldest, .. } => Some(oldest.0),
            _ => None,
        };
        serde_json::to_vec(&ErrorBody { error: &self.to_string(), code, oldest })
            .expect("texts and numbers are always JSON")
    }

    /// The headers that go with this error and no other answer.
    pub(crate) fn add_headers(&self, to: &mut HeaderMap) {
        let (status, code) = self.name();
        to.insert(headers::QUORATE_ERROR, HeaderValue::from_static(code));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            to.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        match self {
            ApiError::Unauthenticated(_) => {
                to.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ApiError::MethodNotAllowed { allow, .. } => {
                let allow = HeaderValue::from_str(allow);
                to.insert(ALLOW, allow.expect("names of methods are a header value"));
            }
            ApiError::PreconditionFailed { there, revision, .. } => {
                if let Some(there) = there {
                    to.insert(ETAG, entity_tag(*there));
                }
                to.insert(headers::QUORATE_REVISION, HeaderValue::from(revision.0));
            }
            ApiError::NotLeader { leader_url: Some(url) } => {
                if let Ok(url) = HeaderValue::from_str(url) {
                    to.insert(headers::QUORATE_LEADER, url);
                }
            }
            ApiError::RangeNotSatisfiable { length } => {
                let whole = HeaderValue::try_from(format!("bytes */{length}"));
                to.insert(CONTENT_RANGE, whole.expect("digits are a header value"));
            }
            ApiError::ComingBack { former } => {
                let former = HeaderValue::from_str(&former.to_string());
                to.insert(headers::QUORATE_LOST, former.expect("hex digits are a header value"));
            }
            _ => {}
        }
    }
}

impl From<TokenFault> for ApiError {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Unknown => ApiError::JoinTokenInvalid(
                "this cluster has made none like it, or it has long expired".to_owned(),
            ),
            TokenFault::Ended => ApiError::JoinTokenExpired,
            TokenFault::Spent(node) => ApiError::JoinTokenSpent(node),
        }
    }
}

fn seen(sent: &Option<u64>) -> String {
    sent.map_or_else(|| "more".to_owned(), |bytes| bytes.to_string())
}
