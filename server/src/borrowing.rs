//! Asking a peer for what it lends of its checkpoints (`crate::http::lending`).

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use quorate_client::Endpoint;
use quorate_node::raft::NodeId;
use quorate_node::wire::{ClusterId, HistoryId};
use quorate_storage::lending::{LENT_BYTES, Wanted};

use crate::context::Identity;
use crate::http::{QUORATE_ERROR, path_to};
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

/// The most bytes of a table of checksums: of a run of a tebibyte.
const TABLE_BYTES: usize = 64 << 20;

/// Asks the node at `endpoint`, which must be of the cluster and history of `identity`; not another one than `node`, if
/// it matters who says it.
pub(crate) async fn ask_to_lend<R: Runtime, N: Net>(
    runtime: &R,
    net: &N,
    (endpoint, node): (&Endpoint, Option<NodeId>),
    identity: Identity,
    wanted: &Wanted,
) -> Lent {
    let request = Request::get(path_to(wanted)).body(Full::new(Bytes::new())).expect(NOTHING_STRANGE);
    let most_bytes = if matches!(wanted, Wanted::Table(_)) { TABLE_BYTES } else { LENT_BYTES };
    let asked = exchange(net, endpoint, request, most_bytes);
    let answer = match timeout_at(runtime, runtime.now() + PATIENCE, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Lent::Silent(error.to_string()),
        Err(_) => return Lent::Silent(JoinError::Late.to_string()),
    };
    let id = |name| id_in(answer.headers(), name);
    let (cluster, history) = (id("quorate-cluster").map(ClusterId), id("quorate-history").map(HistoryId));
    let answers = id("quorate-node").map(NodeId);
    let is_refused = answer.headers().get(QUORATE_ERROR).is_some_and(|code| code == "not_lent");
    match answer.status() {
        StatusCode::SERVICE_UNAVAILABLE => Lent::Silent("it can't say now".to_owned()),
        status if status != StatusCode::OK && !is_refused => Lent::Silent(format!("it answered {status}")),
        _ if (cluster, history) != (Some(identity.cluster), Some(identity.history)) => {
            Lent::Silent("it is of another cluster or history".to_owned())
        }
        _ if answers == Some(identity.node) => Lent::Silent("it is this node".to_owned()),
        _ if node.is_some() && answers != node => {
            Lent::Silent("it is another node than the one meant".to_owned())
        }
        StatusCode::OK => Lent::Piece(answer.into_body()),
        _ => Lent::Nothing,
    }
}
