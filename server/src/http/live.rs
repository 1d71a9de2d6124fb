//! `GET /raft/status` for who asks for events: how the whole cluster stands, once a second.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::header::{CACHE_CONTROL, HeaderValue, VARY};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::app::{App, with_type};
use super::body::{AnswerBody, BrokenBody};
use super::error::ApiError;
use super::headers::EVENT_STREAM;
use super::until::Until;
use crate::net::Net;
use crate::overview::Onlooker;
use crate::runtime::Runtime;
use crate::tokens::Asker;
use crate::watching::Seat;

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET` and `HEAD`.
    pub(super) fn live(&self, head: &Parts, asker: &Asker) -> Result<Response<AnswerBody>, ApiError> {
        if head.method == Method::HEAD {
            return Ok(answer(AnswerBody::empty()));
        }
        let most = self.context.limits.watchers;
        let seat = self.context.watches.seat(most).ok_or(ApiError::TooManyWatchers { most })?;
        let events = Events::new(self.overviews.join(&self.context), seat);
        let shutdown = self.context.shutdown.clone();
        let stream = Until::new(events, async move { shutdown.begun().await });
        Ok(answer(AnswerBody::Endless(self.while_allowed(stream, asker))))
    }
}

fn answer(body: AnswerBody) -> Response<AnswerBody> {
    let mut response = with_type(StatusCode::OK, EVENT_STREAM, body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// The next event, and who is given the one after it.
type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Onlooker)>> + Send>>;

/// What an onlooker is given, as a body.
struct Events {
    next: Next,
    _seat: Seat,
}

impl Events {
    fn new(onlooker: Onlooker, seat: Seat) -> Events {
        Events { next: Box::pin(next(onlooker)), _seat: seat }
    }
}

async fn next(mut onlooker: Onlooker) -> Option<(Bytes, Onlooker)> {
    let event = onlooker.next().await?;
    Some((event, onlooker))
}

impl Body for Events {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        let this = self.get_mut();
        this.next.as_mut().poll(context).map(|given| match given {
            Some((event, onlooker)) => {
                this.next = Box::pin(next(onlooker));
                Some(Ok(Frame::data(event)))
            }
            None => {
                // Polled again, it is still over.
                this.next = Box::pin(std::future::ready(None));
                None
            }
        })
    }
}
