//! Passing a request on to the leader.
//!
//! What may be done after a failure depends on what the failure proves. A write must not be done twice, so it is sent
//! again only when the first attempt certainly had no effect:
//!
//! - the connection could not be made, or hyper gives the request back, which it does only before the first byte is
//!   written (`try_send_request`);
//! - the peer answered that it does not lead, or that it is about to end: it says so before it proposes anything.
//!
//! Everything else that is not an answer is `504 outcome_unknown`, unless an idempotency key protects the request, or
//! it only reads: then it may be sent as often as need be (`leader.rs`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_NONE_MATCH, TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Uri};
use quorate_client::EndpointError;
use quorate_client::tls::{explain_tls, is_refused_handshake, tls_error};
use quorate_node::raft::Time;

use super::app::App;
use super::body::{AnswerBody, ForwardedBody};
use super::error::ApiError;
use super::headers::{
    IDEMPOTENCY_KEY, NODE, QUORATE_ERROR, QUORATE_FOR, QUORATE_FORWARDED, QUORATE_HISTORY,
    QUORATE_JOIN_TOKEN, QUORATE_LEADER, QUORATE_TIMEOUT, TRACEPARENT, TRACESTATE, X_REQUEST_ID,
};
use super::pool::Lease;
use super::request::format_timeout;
use super::service::Terms;
use crate::metrics::PassedOn;
use crate::net::{Net, dial_endpoint};
use crate::runtime::{Runtime, timeout_at};

/// How long a connection may take to be made. A dead machine answers nothing; the next leader should not wait for it.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// What belongs to one connection and is not passed on (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 4] =
    [CONNECTION, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("keep-alive")];

/// What of a client's headers the leader has to see.
const PASSED_ON: [HeaderName; 9] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    IF_MATCH,
    IF_NONE_MATCH,
    IDEMPOTENCY_KEY,
    QUORATE_JOIN_TOKEN,
    X_REQUEST_ID,
    TRACEPARENT,
    TRACESTATE,
];

/// A request that can be sent as often as need be: its body has been read.
pub(crate) struct Asked<'a> {
    /// Its head.
    pub(crate) head: &'a Parts,
    /// Its body.
    pub(crate) body: Bytes,
    /// When it must be answered.
    pub(crate) deadline: Time,
    /// Whether a peer passed it on. Then it goes no further.
    pub(crate) is_forwarded: bool,
    /// Whether a node asks for it, and not a client.
    pub(crate) is_for_node: bool,
    /// What sending it again after an attempt without an answer would do.
    pub(crate) repetition: Repetition,
}

/// What it means to send a request again of which nobody knows what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// It may be done twice, so it is not sent again.
    Harmful,
    /// Nothing: it has an idempotency key, and so is carried out once, however often it is sent. What became of it is
    /// to be found out, though.
    DoneOnce,
    /// Nothing, and nothing became of it: it reads.
    Harmless,
}

/// Why an attempt gave no answer.
pub(crate) enum AttemptError {
    /// Nothing was done: it may be tried again, with the leader's URL when somebody said it.
    NothingDone {
        /// Where the leader may be.
        leader_url: Option<String>,
    },
    /// It must not be tried again.
    Failed(ApiError),
}

impl AttemptError {
    /// Nothing was done, and nobody said who leads.
    pub(crate) const NOTHING_DONE: AttemptError = AttemptError::NothingDone { leader_url: None };
}

impl From<ApiError> for AttemptError {
    fn from(error: ApiError) -> Self {
        AttemptError::Failed(error)
    }
}

/// Why there is no answer.
enum SendError {
    /// Not a byte of the request was sent.
    NotSent,
    /// Some may have been sent.
    Unknown(String),
}

impl<R: Runtime, N: Net> App<R, N> {
    /// A request that has arrived whole, just now.
    pub(super) fn asked<'a>(&self, head: &'a Parts, body: Bytes, terms: Terms) -> Asked<'a> {
        let Terms { timeout, is_forwarded, is_for_node } = terms;
        let deadline = self.now() + timeout;
        Asked { head, body, deadline, is_forwarded, is_for_node, repetition: Repetition::Harmful }
    }

    /// Sends `asked` to the node at `url`, once, and counts what came of it.
    pub(crate) async fn forward(
        &self,
        url: &Arc<str>,
        asked: &Asked<'_>,
    ) -> Result<Response<AnswerBody>, AttemptError> {
        let (result, answer) = self.pass_to(url, asked).await;
        self.context.metrics.http.passed_on(result);
        answer
    }

    async fn pass_to(
        &self,
        url: &Arc<str>,
        asked: &Asked<'_>,
    ) -> (PassedOn, Result<Response<AnswerBody>, AttemptError>) {
        let unknown = |what| (PassedOn::Unknown, Err(ApiError::OutcomeUnknown(what).into()));
        let (response, lease) = match self.exchange(url, asked).await {
            Ok(answer) => answer,
            Err(SendError::NotSent) => return (PassedOn::NotSent, Err(AttemptError::NOTHING_DONE)),
            Err(SendError::Unknown(what)) => return unknown(what),
        };
        if let Some(leader_url) = refused_untouched(&response) {
            return (PassedOn::NotTaken, Err(AttemptError::NothingDone { leader_url }));
        }
        if response.headers().get(QUORATE_HISTORY) != Some(&self.history) {
            return unknown(format!("{url} answered as something other than a node of this cluster"));
        }
        let (mut head, body) = response.into_parts();
        remove_hop_by_hop(&mut head.headers);
        head.headers.append(VIA, self.via.clone());
        let body = AnswerBody::Forwarded(ForwardedBody::new(body, lease));
        (PassedOn::Answered, Ok(Response::from_parts(head, body)))
    }

    /// Uses kept connections first. One that the other end has closed costs nothing but another try.
    async fn exchange(
        &self,
        url: &Arc<str>,
        asked: &Asked<'_>,
    ) -> Result<(Response<Incoming>, Lease), SendError> {
        while let Some(mut lease) = self.pool.take(url, self.now()) {
            match self.send(&mut lease, url, asked).await {
                Ok(response) => return Ok((response, lease)),
                Err(SendError::NotSent) if asked.deadline > self.now() => {}
                Err(error) => return Err(error),
            }
        }
        // On the heap: it is rare, and larger than all the rest.
        let dialed = Box::pin(self.dial(url, asked.deadline)).await;
        let mut lease = dialed.ok_or(SendError::NotSent)?;
        let response = self.send(&mut lease, url, asked).await?;
        Ok((response, lease))
    }

    async fn send(
        &self,
        lease: &mut Lease,
        url: &str,
        asked: &Asked<'_>,
    ) -> Result<Response<Incoming>, SendError> {
        let now = self.now();
        // A connection is given back a moment before hyper is ready for its next request, and never long before.
        if !matches!(
            timeout_at(&self.context.runtime, asked.deadline, lease.line().ready()).await,
            Ok(Ok(()))
        ) {
            return Err(SendError::NotSent);
        }
        let request = self.request_to(url, asked, asked.deadline.since(now));
        let sent = lease.line().try_send_request(request);
        match timeout_at(&self.context.runtime, asked.deadline, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.message().is_some() => Err(SendError::NotSent),
            Ok(Err(error)) => Err(self.broken(url, &error.into_error())),
            // Dropping the call has closed the connection; what was written may still be read there.
            Err(_) => Err(SendError::Unknown(format!("the leader at {url} did not answer in time"))),
        }
    }

    /// The leader is given a little less time than there is: its own word on what became of the request is worth more
    /// than ours.
    fn request_to(&self, url: &str, asked: &Asked<'_>, remaining: Duration) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(asked.body.clone()));
        *request.method_mut() = asked.head.method.clone();
        if let Some(target) = asked.head.uri.path_and_query() {
            *request.uri_mut() = Uri::from(target.clone());
        }
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(authority(url));
        headers.insert(HOST, host.unwrap_or_else(|_| HeaderValue::from_static("")));
        headers.insert(QUORATE_FORWARDED, self.node.clone());
        headers.insert(QUORATE_HISTORY, self.history.clone());
        if asked.is_for_node {
            headers.insert(QUORATE_FOR, NODE);
        }
        let timeout = HeaderValue::from_str(&format_timeout(remaining.mul_f64(0.9)));
        headers.insert(QUORATE_TIMEOUT, timeout.expect("digits and ms are a header value"));
        for name in &PASSED_ON {
            for value in asked.head.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        request
    }

    /// A refused handshake may be heard of only now; then nobody has read what was sent.
    fn broken(&self, url: &str, error: &hyper::Error) -> SendError {
        match tls_error(error) {
            Some(said) if is_refused_handshake(said) => {
                self.unreached(url, &explain_tls(said));
                SendError::NotSent
            }
            _ => SendError::Unknown(format!("the connection to the leader at {url} broke: {error}")),
        }
    }

    /// One line for each new reason: requests are many.
    fn unreached(&self, url: &str, reason: &str) {
        if self.said.is_new(&format!("{url} {reason}")) {
            tracing::warn!(%url, reason, "requests can't be passed on to the leader");
        } else {
            tracing::debug!(%url, reason, "a request can't be passed on to the leader");
        }
    }

    async fn dial(&self, url: &Arc<str>, deadline: Time) -> Option<Lease> {
        let runtime = &self.context.runtime;
        let patience = deadline.min(self.now() + DIAL_TIMEOUT);
        let dialed = async {
            let endpoint = url.parse().map_err(|error: EndpointError| io::Error::other(error))?;
            dial_endpoint(&self.context.net, &endpoint).await
        };
        let stream = match timeout_at(runtime, patience, dialed).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                self.unreached(url, &error.to_string());
                return None;
            }
            Err(_) => {
                self.unreached(url, "it does not answer in time");
                return None;
            }
        };
        let (line, connection) = http1::handshake(stream).await.ok()?;
        runtime.spawn(async move {
            // Its error, if any, reaches the request that it fails.
            let _ = connection.await;
        });
        Some(self.pool.lease(line, url, self.now()))
    }
}

/// Whether a request that comes with a peer's certificate is a node's own, or another node's that the peer passes on. A
/// client's that it passes on is not: whatever that may, its token says.
pub(crate) fn speaks_for_node(headers: &HeaderMap) -> bool {
    !headers.contains_key(QUORATE_FORWARDED) || headers.get(QUORATE_FOR) == Some(&NODE)
}

/// `host:port` of a URL.
fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/')
}

/// Whether a node of ours says that it did nothing because it is not, or no longer, the one to ask; and whom to ask.
fn refused_untouched(response: &Response<Incoming>) -> Option<Option<String>> {
    let code = response.headers().get(QUORATE_ERROR)?.as_bytes();
    match (response.status(), code) {
        (StatusCode::MISDIRECTED_REQUEST, b"not_leader") => {
            let url = response.headers().get(QUORATE_LEADER).and_then(|url| url.to_str().ok());
            Some(url.map(str::to_owned))
        }
        (StatusCode::SERVICE_UNAVAILABLE, b"shutting_down") => Some(None),
        _ => None,
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}
