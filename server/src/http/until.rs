//! A body that ends when something has happened.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use super::app::App;
use super::body::{BrokenBody, EndlessBody};
use crate::tokens::Asker;

/// A body, and what ends it.
pub(super) struct Until<B> {
    body: B,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<B> Until<B> {
    /// `body`, until `end` is ready: then nothing of it is asked for any more.
    pub(super) fn new(body: B, end: impl Future<Output = ()> + Send + 'static) -> Until<B> {
        Until { body, end: Box::pin(end) }
    }
}

impl<B: Body<Data = Bytes, Error = BrokenBody> + Unpin> Body for Until<B> {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        let this = self.get_mut();
        if this.end.as_mut().poll(context).is_ready() {
            // Polled again, it is still over.
            this.end = Box::pin(std::future::ready(()));
            return Poll::Ready(None);
        }
        Pin::new(&mut this.body).poll_frame(context)
    }
}

impl<R, N> App<R, N> {
    /// `stream`, for as long as `asker` may have it: until the token is taken away that it was asked for with.
    pub(super) fn while_allowed<B>(&self, stream: B, asker: &Asker) -> EndlessBody
    where
        B: Body<Data = Bytes, Error = BrokenBody> + Send + Unpin + 'static,
    {
        let Some(guard) = &self.context.guard else { return Box::pin(stream) };
        let (guard, asker) = (Arc::clone(guard), asker.clone());
        Box::pin(Until::new(stream, async move { guard.taken_from(&asker).await }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    #![allow(clippy::disallowed_types, reason = "#[tokio::test] makes a runtime")]
    use super::*;
    use http_body_util::BodyExt;
    use tokio::sync::oneshot;

    /// One that always has more to say.
    struct Chatter;

    impl Body for Chatter {
        type Data = Bytes;
        type Error = BrokenBody;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more")))))
        }
    }

    #[tokio::test]
    async fn what_is_over_says_nothing_more() {
        let (end, ended) = oneshot::channel::<()>();
        let mut body = Until::new(Chatter, async move { drop(ended.await) });
        for _ in 0..3 {
            assert!(body.frame().await.is_some());
        }
        end.send(()).unwrap();
        for _ in 0..2 {
            assert!(body.frame().await.is_none());
        }
    }
}
