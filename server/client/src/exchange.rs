//! One request to one endpoint, and what its answer, or the lack of one, proves.

use crate::answer::ErrorBody;
use crate::error::ClientError;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use std::time::Duration;

/// The pool of keep-alive connections that all requests go through.
pub(crate) type Pool = hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>;

/// Whether repeating a request that may have been done is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Changes nothing.
    Read,
    /// Changes something, so it must not be sent again once it may have arrived.
    Write,
}

/// A request before it is known which endpoint gets it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query, percent-encoded; without the deadline.
    pub(crate) target: String,
    /// Whether the route takes a deadline, in `?timeout=`.
    pub(crate) takes_timeout: bool,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
    pub(crate) effect: Effect,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What came of sending a [`Call`] to one endpoint.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It was done.
    Done(Answer),
    /// It was not done, for nobody is there; another endpoint may do better.
    Unreachable(String),
    /// It was not done, as the server says; another endpoint, or the same one later, may do better.
    NothingHappened(String),
    /// It may have been done.
    Lost(String),
    /// It was not done, and no endpoint will do it.
    Final(ClientError),
    /// The answer is not one that a Quorate server gives.
    Strange(String),
}

/// Codes by which a server says that it did nothing, and that trying elsewhere or later may help (contract, "Codes").
const NOTHING_HAPPENED: [&str; 5] =
    ["no_leader", "not_leader", "overloaded", "idempotency_full", "shutting_down"];

/// Sends `call` to `uri` and waits at most `patience` for the whole answer.
pub(crate) async fn attempt(pool: &Pool, uri: Uri, call: &Call, patience: Duration) -> Attempt {
    match tokio::time::timeout(patience, exchange(pool, uri, call)).await {
        Ok(Ok(answer)) => judge(answer),
        Ok(Err(Broken { nothing_was_sent: true, problem })) => Attempt::Unreachable(problem),
        Ok(Err(Broken { nothing_was_sent: false, problem })) => Attempt::Lost(problem),
        Err(_) => Attempt::Lost(format!("no answer within {patience:?}")),
    }
}

/// Sends a GET and waits at most `patience` for the head of its answer, and for the body too when it is an error's.
pub(crate) async fn begin(
    pool: &Pool,
    uri: Uri,
    headers: HeaderMap,
    patience: Duration,
) -> Result<Response<Incoming>, Box<Attempt>> {
    let mut request = Request::new(Full::default());
    (*request.uri_mut(), *request.headers_mut()) = (uri, headers);
    let begun = async {
        let response = send(pool, request).await?;
        if response.status().is_success() {
            return Ok(Ok(response));
        }
        collected(response).await.map(|answer| Err(Box::new(judge(answer))))
    };
    match tokio::time::timeout(patience, begun).await {
        Ok(Ok(begun)) => begun,
        Ok(Err(Broken { problem, .. })) => Err(Box::new(Attempt::Unreachable(problem))),
        Err(_) => Err(Box::new(Attempt::Lost(format!("no answer within {patience:?}")))),
    }
}

struct Broken {
    nothing_was_sent: bool,
    problem: String,
}

async fn exchange(pool: &Pool, uri: Uri, call: &Call) -> Result<Answer, Broken> {
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;
    if let Some(content_type) = call.content_type {
        request
            .headers_mut()
            .insert(CONTENT_TYPE, content_type.parse().expect("our content types are valid"));
    }
    collected(send(pool, request).await?).await
}

/// Sends a request and waits for the head of its answer.
async fn send(pool: &Pool, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Broken> {
    // The pool itself repeats a request whose reused connection was closed before a byte of it was written.
    pool.request(request).await.map_err(|error| match error.is_connect() {
        true => Broken { nothing_was_sent: true, problem: format!("can't connect: {}", cause(&error)) },
        false => {
            Broken { nothing_was_sent: false, problem: format!("the answer was lost: {}", cause(&error)) }
        }
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

fn judge(answer: Answer) -> Attempt {
    let status = answer.status;
    if status.is_success() {
        return Attempt::Done(answer);
    }
    if status == StatusCode::NOT_FOUND && answer.body.is_empty() {
        return Attempt::Final(ClientError::NotFound("it is not there".to_owned()));
    }
    let Ok(ErrorBody { error, code }) = serde_json::from_slice(&answer.body) else {
        // A gateway on the way may have passed the request on before it gave up.
        let gave_up = status.is_server_error();
        let problem = format!("it answered {status} with a body that is not an error of ours");
        return if gave_up { Attempt::Lost(problem) } else { Attempt::Strange(problem) };
    };
    match (status.as_u16(), code.as_str()) {
        (_, code) if NOTHING_HAPPENED.contains(&code) => {
            Attempt::NothingHappened(format!("{error} ({code})"))
        }
        (412, _) => Attempt::Final(ClientError::PreconditionFailed(error)),
        (404, code) if code.ends_with("_not_found") && code != "route_not_found" => {
            Attempt::Final(ClientError::NotFound(error))
        }
        (500 | 502 | 503 | 504, _) => Attempt::Lost(format!("{error} ({code})")),
        (status, _) => Attempt::Final(ClientError::Refused { status, code, error }),
    }
}

/// The innermost source: hyper's own words ("client error (Connect)") say little.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
