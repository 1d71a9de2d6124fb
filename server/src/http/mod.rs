//! The HTTP interface. What it promises is in `docs/HTTP.md`, its errors in `docs/ERRORS.md`.
//!
//! A request passes through these in turn:
//!
//! | module | what it holds |
//! |---|---|
//! | `service` | from a connection to requests, and from a request to its handler |
//! | `joining` | what is answered before the node belongs to a cluster |
//! | `linger` | closing a connection without cutting off its last answer |
//! | `checks` | what is looked at in every head: sizes, `Host`, `Origin`, what this version can't keep |
//! | `accept` | which form of an answer a client would rather have |
//! | [`request`] | what a request asks for, parsed, without a node |
//! | `body`, `json` | bodies as they are read, and as they are sent |
//! | `keys`, `writes`, `listing`, `leases`, `data`, `backup` | the handlers of what is stored |
//! | `adding`, `admission`, `membership`, `status` | the handlers of the cluster; what lets a node in |
//! | `hello` | the handler of `/`, which is the dashboard for browsers |
//! | `watch`, `stream`, `until` | the route of watches, the stream of events that it answers with, and what ends it |
//! | `live` | how the cluster stands, once a second |
//! | `lending` | what peers are lent of this node's checkpoints |
//! | `leader` | having something done by the leader, here or elsewhere, once |
//! | `proxy`, `pool` | passing a request on, and the connections for it |
//! | `request_ids`, `log` | the name that a request has in the logs of the nodes that it goes through; what stands there |
//! | `app`, `headers`, `error` | what they share |
//! | [`openapi`] | what `/openapi.json` says of all that |
//! | `fuzzing` | what the fuzzer feeds |

mod accept;
mod adding;
mod admission;
mod app;
mod backup;
mod body;
mod budget;
mod checks;
mod connections;
mod data;
mod error;
pub mod fuzzing;
mod headers;
mod hello;
mod joining;
mod json;
mod keys;
mod leader;
mod leases;
mod lending;
mod linger;
mod listing;
mod live;
mod log;
mod membership;
pub(crate) mod openapi;
mod paced;
mod pool;
mod proxy;
mod record;
pub mod request;
mod request_ids;
mod service;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod until;
mod watch;
mod writes;

pub(crate) use error::ApiError;
#[cfg(test)]
pub(crate) use headers::{NODE, QUORATE_FOR, QUORATE_FORWARDED};
pub(crate) use headers::{QUORATE_ERROR, QUORATE_JOIN_TOKEN, QUORATE_LOST};
#[cfg(feature = "otel")]
pub(crate) use headers::{TRACEPARENT, TRACESTATE, X_REQUEST_ID};
pub(crate) use hello::wants_page;
pub(crate) use joining::{Reception, WaitsFor, serve_joining};
pub(crate) use json::{EntryAnswer, PLAIN_TO_TLS};
pub(crate) use lending::{Lender, path_to};
pub(crate) use proxy::speaks_for_node;
#[cfg(feature = "otel")]
pub(crate) use request::template_of;
pub(crate) use request::{Need, Operation, behind, parse_import};
pub(crate) use service::serve;
pub(crate) use status::own_status;
