//! One request to one endpoint, and what its answer, or the lack of one, proves.

use crate::answer::ErrorBody;
use crate::error::ClientError;
use crate::tls::{Connector, explain_tls, is_refused_handshake, tls_error};
use crate::token::Token;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, AsHeaderName, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use std::future::{Future, ready};
use std::time::Duration;

/// The pool of keep-alive connections that all requests go through, and the token that they all show.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) connections: hyper_util::client::legacy::Client<Connector, Full<Bytes>>,
    pub(crate) token: Option<Token>,
}

/// Whether a request that may have been done may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Yes: it changes nothing, or the same as before.
    Repeatable,
    /// Yes: it has an idempotency key.
    Once,
    /// No.
    Single,
}

/// A request before it is known which endpoint gets it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query, percent-encoded; without the deadline.
    pub(crate) target: String,
    /// Whether the route takes a deadline, in `?timeout=`.
    pub(crate) takes_timeout: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) effect: Effect,
}

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl Call {
    /// Changes nothing.
    pub(crate) fn read(target: String) -> Call {
        Call::new(Method::GET, target, Effect::Repeatable)
    }

    /// Changes something, on a route that knows idempotency keys.
    pub(crate) fn write(method: Method, target: String) -> Call {
        Call::new(method, target, Effect::Once)
    }

    /// Changes something, on a route that does not know idempotency keys.
    pub(crate) fn write_once(method: Method, target: String) -> Call {
        Call::new(method, target, Effect::Single)
    }

    fn new(method: Method, target: String, effect: Effect) -> Call {
        Call { method, target, takes_timeout: true, headers: HeaderMap::new(), body: Bytes::new(), effect }
    }

    pub(crate) fn with_body(mut self, content_type: &'static str, body: Bytes) -> Call {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body;
        self
    }

    pub(crate) fn with_json(self, body: Bytes) -> Call {
        self.with_body("application/json; charset=utf-8", body)
    }

    /// Takes the idempotency key away, and with it the right to be sent again.
    pub(crate) fn forget_key(&mut self) {
        self.headers.remove(IDEMPOTENCY_KEY);
        self.effect = Effect::Single;
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header of it as text.
    pub(crate) fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// An answer of which only the head is there.
pub(crate) type Begun = Response<Incoming>;

/// How much of an answer is waited for.
pub(crate) trait Extent: Sized + Send {
    fn of(response: Begun) -> impl Future<Output = Result<Self, Broken>> + Send;
}

impl Extent for Begun {
    fn of(response: Begun) -> impl Future<Output = Result<Self, Broken>> + Send {
        ready(Ok(response))
    }
}

impl Extent for Answer {
    fn of(response: Begun) -> impl Future<Output = Result<Self, Broken>> + Send {
        collected(response)
    }
}

/// What came of sending a [`Call`] to one endpoint.
#[derive(Debug)]
pub(crate) enum Attempt<T> {
    /// It was done.
    Done(T),
    /// It was not done, for nobody is there; another endpoint may do better.
    Unreachable(String),
    /// It was not done, as the server says; another endpoint, or the same one later, may do better.
    NothingHappened(String),
    /// It was not done, for the cluster can't remember more idempotency keys now.
    KeysFull(String),
    /// It may have been done.
    Lost(String),
    /// It was not done, and no endpoint will do it.
    Final(ClientError),
    /// The answer is not one that a Quorate server gives.
    Strange(String),
}

/// Codes by which a server says that it did nothing, and that trying elsewhere or later may help (contract, "Codes").
const NOTHING_HAPPENED: [&str; 5] =
    ["no_leader", "not_leader", "overloaded", "rate_limited", "shutting_down"];

/// Less can't be waited for: the runtime's timers count milliseconds.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(1);

/// Sends `call` to `uri` and waits at most `patience` for the answer, of an error for all of it. Without any patience
/// nothing is sent.
pub(crate) async fn attempt<T: Extent>(pool: &Pool, uri: Uri, call: &Call, patience: Duration) -> Attempt<T> {
    if patience < SHORTEST_PATIENCE {
        return Attempt::Unreachable("no time was left to ask it".to_owned());
    }
    match tokio::time::timeout(patience, exchange(pool, uri, call)).await {
        Ok(Ok(Ok(done))) => Attempt::Done(done),
        Ok(Ok(Err(refused))) => judge(&refused),
        Ok(Err(Broken { nothing_was_sent: true, problem })) => Attempt::Unreachable(problem),
        Ok(Err(Broken { nothing_was_sent: false, problem })) => Attempt::Lost(problem),
        Err(_) => Attempt::Lost(format!("no answer within {patience:?}")),
    }
}

/// Sends `call` to `uri` and waits at most `patience` for all of the answer, whatever it says.
pub(crate) async fn answer(pool: &Pool, uri: Uri, call: &Call, patience: Duration) -> Result<Answer, String> {
    match tokio::time::timeout(patience, exchange(pool, uri, call)).await {
        Ok(Ok(Ok(answer) | Err(answer))) => Ok(answer),
        Ok(Err(Broken { problem, .. })) => Err(problem),
        Err(_) => Err(format!("no answer within {patience:?}")),
    }
}

/// An answer did not come, or not all of it.
#[derive(Debug)]
pub(crate) struct Broken {
    nothing_was_sent: bool,
    problem: String,
}

async fn exchange<T: Extent>(pool: &Pool, uri: Uri, call: &Call) -> Result<Result<T, Answer>, Broken> {
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = call.headers.clone();
    let response = send(pool, request).await?;
    // Whoever made it a condition that something is new knows what it means that nothing is.
    let is_known = response.status() == StatusCode::NOT_MODIFIED
        && call.method == Method::GET
        && call.headers.contains_key(IF_NONE_MATCH);
    match response.status().is_success() || is_known {
        true => T::of(response).await.map(Ok),
        false => collected(response).await.map(Err),
    }
}

/// Sends a request and waits for the head of its answer.
async fn send(pool: &Pool, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Broken> {
    if let Some(token) = &pool.token {
        request.headers_mut().insert(AUTHORIZATION, token.authorization().clone());
    }
    // The pool itself repeats a request whose reused connection was closed before a byte of it was written.
    pool.connections.request(request).await.map_err(|error| {
        // What was sent before a refused handshake was heard of, nobody has read.
        let nothing_was_sent = error.is_connect() || tls_error(&error).is_some_and(is_refused_handshake);
        let what = if nothing_was_sent { "can't connect" } else { "the answer was lost" };
        Broken { nothing_was_sent, problem: format!("{what}: {}", cause(&error)) }
    })
}

/// Waits for all of an answer.
async fn collected(response: Response<Incoming>) -> Result<Answer, Broken> {
    let (head, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| Broken {
            nothing_was_sent: false,
            problem: format!("the answer broke off: {}", cause(&error)),
        })?
        .to_bytes();
    Ok(Answer { status: head.status, headers: head.headers, body })
}

fn judge<T>(answer: &Answer) -> Attempt<T> {
    let status = answer.status;
    if status == StatusCode::NOT_FOUND && answer.body.is_empty() {
        return Attempt::Final(ClientError::NotFound("it is not there".to_owned()));
    }
    if status == StatusCode::LOCKED {
        let holder = String::from_utf8_lossy(&answer.body).into_owned();
        return Attempt::Final(ClientError::Locked { holder });
    }
    let Ok(ErrorBody { error, code, oldest }) = serde_json::from_slice(&answer.body) else {
        // A gateway on the way may have passed the request on before it gave up.
        let gave_up = status.is_server_error();
        let problem = format!("it answered {status} with a body that is not an error of ours");
        return if gave_up { Attempt::Lost(problem) } else { Attempt::Strange(problem) };
    };
    match (status.as_u16(), code.as_str()) {
        (_, "idempotency_full") => Attempt::KeysFull(format!("{error} ({code})")),
        (_, code) if NOTHING_HAPPENED.contains(&code) => {
            Attempt::NothingHappened(format!("{error} ({code})"))
        }
        (_, "lease_not_found") => Attempt::Final(ClientError::LeaseNotFound(error)),
        (_, "compacted") => Attempt::Final(ClientError::Compacted { oldest, error }),
        (412, _) => Attempt::Final(ClientError::PreconditionFailed(error)),
        (404, code) if code.ends_with("_not_found") && code != "route_not_found" => {
            Attempt::Final(ClientError::NotFound(error))
        }
        (500 | 502 | 503 | 504, _) => Attempt::Lost(format!("{error} ({code})")),
        (status, _) => Attempt::Final(ClientError::Refused { status, code, error }),
    }
}

/// The innermost source: hyper's own words ("client error (Connect)") say little.
pub(crate) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(said) = tls_error(error) {
        return explain_tls(said);
    }
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
