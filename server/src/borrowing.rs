//! Asking a peer for what it lends of its checkpoints (`crate::http::lending`).

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use quorate_client::Endpoint;
use quorate_node::wire::{ClusterId, HistoryId};
use quorate_storage::lending::{LENT_BYTES, Wanted};

use crate::context::Identity;
use crate::http::path_to;
use crate::join::{JoinError, NOTHING_STRANGE, PATIENCE, exchange, id_in};
use crate::net::Net;
use crate::runtime::{Runtime, timeout_at};

/// What a peer said.
pub(crate) enum Lent {
    /// Here it is.
    Piece(Bytes),
    /// It has not got it.
    Nothing,
    /// It did not answer, or not yet, or is not of this cluster and history.
    Silent(String),
}

/// Asks the node at `endpoint`, which must be of the cluster and history of `identity`.
pub(crate) async fn ask_to_lend<R: Runtime, N: Net>(
    runtime: &R,
    net: &N,
    endpoint: &Endpoint,
    identity: Identity,
    wanted: &Wanted,
) -> Lent {
    let request = Request::get(path_to(wanted)).body(Full::new(Bytes::new())).expect(NOTHING_STRANGE);
    let asked = exchange(net, endpoint, request, LENT_BYTES);
    let answer = match timeout_at(runtime, runtime.now() + PATIENCE, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Lent::Silent(error.to_string()),
        Err(_) => return Lent::Silent(JoinError::Late.to_string()),
    };
    let cluster = id_in(answer.headers(), "quorate-cluster").map(ClusterId);
    let history = id_in(answer.headers(), "quorate-history").map(HistoryId);
    let is_ours = (cluster, history) == (Some(identity.cluster), Some(identity.history));
    match answer.status() {
        StatusCode::OK if is_ours => Lent::Piece(answer.into_body()),
        StatusCode::OK => Lent::Silent("it is of another cluster or history".to_owned()),
        StatusCode::NOT_FOUND => Lent::Nothing,
        status => Lent::Silent(format!("it answered {status}")),
    }
}
