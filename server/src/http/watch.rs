//! `GET /watch`: what happens to a key, or to all with a prefix.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use quorate_node::kv::Revision;
use quorate_node::{Query, ReadLevel, Reply, Request};

use super::app::{App, with_type};
use super::body::AnswerBody;
use super::error::ApiError;
use super::headers::{EVENT_STREAM, QUORATE_REVISION};
use super::leader::unexpected;
use super::request::WatchCall;
use super::service::Terms;
use super::stream::EventStream;
use crate::net::Net;
use crate::runtime::Runtime;
use crate::tokens::Asker;
use crate::watching::{Follower, ResetReason, reset};

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET` and `HEAD`.
    pub(super) async fn watch(
        &self,
        head: &Parts,
        watch: WatchCall,
        asker: &Asker,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let WatchCall { watch, after, history } = watch;
        let watches = &self.context.watches;
        if history.is_some_and(|seen| seen != self.context.identity.history) {
            let position = watches.position();
            let last_word = reset(position, ResetReason::Restored);
            return Ok(answer(position, AnswerBody::Whole(last_word)));
        }
        self.wait_until_restored(terms.timeout).await?;
        if head.method == Method::HEAD {
            return Ok(answer(watches.position(), AnswerBody::empty()));
        }
        let most = self.context.limits.watchers;
        let (follower, position) = Follower::new(Arc::clone(watches), watch, after, most)
            .ok_or(ApiError::TooManyWatchers { most })?;
        let stream = EventStream::new(self.context.runtime.clone(), self.context.handle.clone(), follower);
        Ok(answer(position, AnswerBody::Endless(self.while_allowed(stream, asker))))
    }

    /// A node whose store is still being read from its checkpoint has nothing to tell.
    async fn wait_until_restored(&self, timeout: Duration) -> Result<(), ApiError> {
        let query = Query::Changes { from: Revision::MAX, limit: 1 };
        let request = || Request::Read { query: query.clone(), level: ReadLevel::Stale };
        match self.ask_here(request, self.now() + timeout).await? {
            Reply::Changes { .. } | Reply::OutOfReach { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

fn answer(position: Revision, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = with_type(StatusCode::OK, EVENT_STREAM, body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(position.0));
    response
}
