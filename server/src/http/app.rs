//! What every request is answered with, and the answers' common parts.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use quorate_node::raft::Time;

use super::body::AnswerBody;
use super::budget::Budget;
use super::checks::Hosts;
use super::connections::Connections;
use super::error::ApiError;
use super::headers::JSON;
use super::pool::Pool;
use super::request_ids::RequestIds;
use crate::context::Context;
use crate::overview::Overviews;
use crate::runtime::Runtime;
use crate::said::Said;

/// The HTTP side of a server: what is shared by all its connections.
pub(crate) struct App<R, N> {
    pub(super) context: Arc<Context<R, N>>,
    pub(super) hosts: Hosts,
    pub(super) pool: Arc<Pool>,
    pub(super) budget: Budget,
    pub(super) connections: Arc<Connections>,
    pub(super) request_ids: RequestIds,
    pub(super) overviews: Overviews,
    /// Why the leader was last out of reach.
    pub(super) said: Said,
    /// Our ids, ready to be sent.
    pub(super) node: HeaderValue,
    pub(super) cluster: HeaderValue,
    pub(super) history: HeaderValue,
    /// How this node signs what it passes back.
    pub(super) via: HeaderValue,
}

impl<R: Runtime, N> App<R, N> {
    /// `on_loopback`: the server listens on a loopback address, where it answers only to names of its own, so that no
    /// page in a browser on this machine can reach it under another (DNS rebinding).
    pub(super) fn new(context: Arc<Context<R, N>>, on_loopback: bool) -> Self {
        let text = |text: String| HeaderValue::from_str(&text).expect("digits are a header value");
        let id = |id: u128| text(format!("{id:032x}"));
        let identity = context.identity;
        App {
            hosts: Hosts::new(&context.contact.url, on_loopback),
            pool: Arc::default(),
            said: Said::default(),
            budget: Budget::new(context.limits.pending_bytes),
            connections: Arc::new(Connections::new(context.limits.connections)),
            request_ids: RequestIds::new(context.runtime.random()),
            overviews: Overviews::default(),
            node: id(identity.node.0),
            cluster: id(identity.cluster.0),
            history: id(identity.history.0),
            via: text(format!("1.1 {:032x}", identity.node.0)),
            context,
        }
    }

    pub(super) fn now(&self) -> Time {
        self.context.runtime.now()
    }
}

/// An answer with a body of JSON.
pub(super) fn json(body: impl Into<Bytes>) -> Response<AnswerBody> {
    with_type(StatusCode::OK, JSON, AnswerBody::Whole(body.into()))
}

/// An answer with a body of a type.
pub(super) fn with_type(
    status: StatusCode,
    content_type: HeaderValue,
    body: AnswerBody,
) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // Room for all that any answer of ours has, so that it never grows.
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, content_type);
    *response.headers_mut() = headers;
    response
}

/// The answer that an error is.
pub(super) fn refusal(error: &ApiError) -> Response<AnswerBody> {
    let (status, _) = error.name();
    let mut response = with_type(status, JSON, AnswerBody::Whole(error.body().into()));
    error.add_headers(response.headers_mut());
    response
}
