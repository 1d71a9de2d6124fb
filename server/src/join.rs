//! How a new node finds its cluster.
//!
//! It asks the nodes it was told of, one after the other, for as long as it takes, to be added; any of them passes the
//! request on to the leader, which dials the peer address back before it proposes anything. The newcomer believes only
//! the cluster that answered: the one named in the answer's header.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use quorate_client::Endpoint;
use quorate_client::tls::{explain_tls, tls_error};
use quorate_node::raft::{Contact, NodeId};
use quorate_node::wire::{ClusterId, HistoryId};
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use crate::config::ServeConfig;
use crate::http::{QUORATE_ERROR, QUORATE_JOIN_TOKEN};
use crate::net::{Net, dial_endpoint};
use crate::runtime::{Either, Runtime, race, timeout_at};
use crate::tokens::{JoinToken, TokenFileError, read_join_file};

/// How long one node may take to answer. The leader itself may take five seconds to get the change committed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// The pause after a round in which nobody took the newcomer in, before half of it is drawn at random.
const PAUSE: Duration = Duration::from_secs(1);

/// The most bytes of an ordinary answer.
pub(crate) const ANSWER_BYTES: usize = 64 << 10;

/// Where a newcomer belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The cluster that took it in.
    pub cluster: ClusterId,
    /// The history that the cluster is part of.
    pub history: HistoryId,
}

/// Why a node did not take the newcomer in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    /// Nobody answers.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// What answers does not speak HTTP, or broke off.
    #[error("{}", tls_error(.0).map_or_else(|| .0.to_string(), explain_tls))]
    Http(#[from] hyper::Error),
    /// The answer broke off, or is larger than any that was asked for.
    #[error("its answer can't be read to its end: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The answer took too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    /// It answered, and not with success.
    #[error("it answered {status}: {body}")]
    Refused { status: StatusCode, code: String, body: String },
    /// It answered with success, but is no Quorate node.
    #[error("its answer has no {0} header: is it a Quorate node?")]
    NoHeader(&'static str),
}

/// Why a newcomer does not ask any more.
#[derive(Debug, thiserror::Error)]
pub enum JoinRefused {
    /// The join token does not let it in, now or ever.
    #[error("the node at {endpoint} does not take this one in: {reason}")]
    Token {
        /// Who refused it.
        endpoint: Endpoint,
        /// What it said.
        reason: String,
    },
    /// The cluster is not the one that the join token is for.
    #[error(
        "the node at {endpoint} is of the cluster {found}, and the join token is for {wanted}: give another --join, or a \
         token of that cluster; if `quorate members` shows this node there, remove it"
    )]
    OtherCluster {
        /// Who answered.
        endpoint: Endpoint,
        /// Its cluster.
        found: ClusterId,
        /// The token's.
        wanted: ClusterId,
    },
}

/// What a node asks for: to be taken in, or that its contact be changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) id: NodeId,
    pub(crate) contact: &'a Contact,
    /// The member whose place it takes.
    pub(crate) replaces: Option<NodeId>,
    /// What lets it in.
    pub(crate) token: Option<&'a JoinToken>,
}

/// The join token of this node. It is read only by one that joins: a member needs it no more.
///
/// # Errors
/// [`TokenFileError`].
pub(crate) fn own_token(config: &ServeConfig) -> Result<Option<JoinToken>, TokenFileError> {
    config.join_token_file.as_deref().map(read_join_file).transpose()
}

/// The same, for one to whom a certificate may be enough, or the token of a node.
pub(crate) fn own_token_if_any(config: &ServeConfig) -> Option<JoinToken> {
    own_token(config).unwrap_or_else(|problem| {
        warn!(%problem, "this node asks to come back without a join token");
        None
    })
}

/// Asks `endpoints` in turn to take in the node `id`, until one does. Gives up only when its join token is refused: a
/// cluster may be started in any order, and by machines that boot when they like.
///
/// # Errors
/// [`JoinRefused`].
pub async fn join<R: Runtime, N: Net>(
    runtime: &R,
    net: &N,
    endpoints: &[Endpoint],
    (id, contact): (NodeId, &Contact),
    token: Option<&JoinToken>,
) -> Result<Joined, JoinRefused> {
    let mut said = vec![String::new(); endpoints.len()];
    let ask = Ask { id, contact, replaces: None, token };
    loop {
        for (endpoint, said) in endpoints.iter().zip(&mut said) {
            let deadline = runtime.now() + PATIENCE;
            let asked = timeout_at(runtime, deadline, ask_to_add(net, endpoint, ask)).await;
            match asked.unwrap_or(Err(JoinError::Late)) {
                Ok(Joined { cluster: found, .. }) if token.is_some_and(|token| token.cluster != found) => {
                    let wanted = token.map_or(found, |token| token.cluster);
                    return Err(JoinRefused::OtherCluster { endpoint: endpoint.clone(), found, wanted });
                }
                Ok(joined) => {
                    info!(%endpoint, cluster = %joined.cluster, "joined");
                    return Ok(joined);
                }
                Err(JoinError::Refused { code, body, .. }) if is_final(&code) => {
                    let reason = error_text(&body);
                    return Err(JoinRefused::Token { endpoint: endpoint.clone(), reason });
                }
                Err(error) => {
                    let reason = error.to_string();
                    if *said == reason {
                        debug!(%endpoint, reason, "could not join");
                    } else {
                        warn!(%endpoint, reason, "could not join; will try again until it works");
                        *said = reason;
                    }
                }
            }
        }
        pause(runtime).await;
    }
}

/// Waits a moment, of which half is drawn at random.
pub(crate) async fn pause<R: Runtime>(runtime: &R) {
    let half = u64::try_from(PAUSE.as_micros() / 2).unwrap_or(u64::MAX);
    runtime.sleep(PAUSE / 2 + Duration::from_micros(runtime.random() % half)).await;
}

/// Whether a token that was refused so is refused for ever. The leader alone says so, and knows it.
fn is_final(code: &str) -> bool {
    matches!(code, "join_token_invalid" | "join_token_expired" | "join_token_spent")
}

/// What an error's body says to people.
fn error_text(body: &str) -> String {
    let error: Option<Value> = serde_json::from_str(body).ok();
    let text = error.as_ref().and_then(|error| error["error"].as_str());
    text.unwrap_or(body).to_owned()
}

/// Asks one node to have a node added, in the place of another one if it says so, or its contact changed. Takes as long
/// as it takes.
pub(crate) async fn ask_to_add<N: Net>(
    net: &N,
    endpoint: &Endpoint,
    Ask { id, contact, replaces, token }: Ask<'_>,
) -> Result<Joined, JoinError> {
    let Contact { address, url, name } = contact;
    let mut body = json!({ "ID": id.to_string(), "Address": address, "URL": url, "Name": name });
    if let Some(former) = replaces {
        body["Replaces"] = former.to_string().into();
    }
    let mut request = Request::post("/raft/add").header(CONTENT_TYPE, "application/json; charset=utf-8");
    if let Some(token) = token {
        request = request.header(QUORATE_JOIN_TOKEN, token.header());
    }
    let request = request.body(Full::new(Bytes::from(body.to_string())));
    belongs(&exchange(net, endpoint, request.expect(NOTHING_STRANGE), ANSWER_BYTES).await?)
}

/// Why a request of ours can always be built.
pub(crate) const NOTHING_STRANGE: &str = "a path and headers without strange bytes";

/// Sends a request to a node, with what this node shows to others. Otherwise as [`round_trip`].
pub(crate) async fn exchange<N: Net>(
    net: &N,
    endpoint: &Endpoint,
    mut request: Request<Full<Bytes>>,
    most_bytes: usize,
) -> Result<Response<Bytes>, JoinError> {
    if let Some(credentials) = net.credentials() {
        request.headers_mut().insert(AUTHORIZATION, credentials);
    }
    round_trip(net, endpoint, request, most_bytes).await
}

/// Sends a request on a connection of its own. Of the answer's body at most so many bytes are looked at.
pub(crate) async fn round_trip<N: Net>(
    net: &N,
    endpoint: &Endpoint,
    mut request: Request<Full<Bytes>>,
    most_bytes: usize,
) -> Result<Response<Bytes>, JoinError> {
    let host = HeaderValue::from_str(&endpoint.address().to_string()).expect(NOTHING_STRANGE);
    request.headers_mut().insert(HOST, host);
    let stream = dial_endpoint(net, endpoint).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, most_bytes).collect().await.map_err(JoinError::Body)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    // The connection does its part while the exchange is waited for; it has no task of its own to outlive it.
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    match race(exchange.as_mut(), connection.as_mut()).await {
        Either::Left(answered) => answered,
        Either::Right(Ok(())) => exchange.await,
        Either::Right(Err(error)) => Err(error.into()),
    }
}

fn belongs(response: &Response<Bytes>) -> Result<Joined, JoinError> {
    if response.status() != StatusCode::OK {
        let code = response.headers().get(QUORATE_ERROR).and_then(|code| code.to_str().ok());
        return Err(JoinError::Refused {
            status: response.status(),
            code: code.unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(response.body()).into_owned(),
        });
    }
    let cluster = id_in(response.headers(), "quorate-cluster").map(ClusterId);
    let history = id_in(response.headers(), "quorate-history").map(HistoryId);
    Ok(Joined {
        cluster: cluster.ok_or(JoinError::NoHeader("Quorate-Cluster"))?,
        history: history.ok_or(JoinError::NoHeader("Quorate-History"))?,
    })
}

/// An id that a header holds.
pub(crate) fn id_in(headers: &HeaderMap, name: &str) -> Option<u128> {
    quorate_node::raft::parse_id(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn response(status: u16, headers: &[(&'static str, &str)]) -> Response<Bytes> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Bytes::from_static(b"{\"error\":\"no leader\"}")).unwrap()
    }

    #[test]
    fn only_a_cluster_that_names_itself_is_believed() {
        let one = format!("{:032x}", 1);
        let two = format!("{:032x}", 2);
        let good = response(200, &[("Quorate-Cluster", &one), ("Quorate-History", &two)]);
        assert_eq!(belongs(&good).unwrap(), Joined { cluster: ClusterId(1), history: HistoryId(2) });
        let bad = [
            (response(200, &[]), "Quorate-Cluster"),
            (response(200, &[("Quorate-Cluster", "zebra"), ("Quorate-History", &two)]), "Quorate-Cluster"),
            (response(200, &[("Quorate-Cluster", &one)]), "Quorate-History"),
            (response(503, &[("Quorate-Cluster", &one), ("Quorate-History", &two)]), "no leader"),
        ];
        for (answer, expected) in bad {
            let error = belongs(&answer).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
