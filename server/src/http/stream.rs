//! The events of a watch, as they are sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use quorate_node::kv::Revision;
use quorate_node::raft::Time;
use quorate_node::{Query, ReadLevel, Reply, Request};
use tokio::sync::oneshot;

use super::body::BrokenBody;
use crate::handle::{Answer, Handle};
use crate::runtime::Runtime;
use crate::watching::{Follower, Page, Step};

/// After so long without an event a comment is sent: so both sides, and whoever is between them, know that the other is
/// there.
const QUIET: Duration = Duration::from_secs(15);

/// A comment, as the format has them.
const COMMENT: &[u8] = b":\n\n";

/// About so many changes are read at a time.
const PAGE_CHANGES: usize = 512;

/// How long the node may take for a page, which it has at hand unless its store is being restored.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long is waited before the node is asked again that could not answer.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of reading.
enum Read {
    Page(Arc<Page>),
    /// The past is gone; the store is at this revision.
    Gone(Revision),
}

/// The body of the answer to a watch.
pub(super) struct EventStream<R> {
    runtime: R,
    handle: Handle,
    follower: Follower,
    /// A page that is being read.
    page: Option<oneshot::Receiver<Read>>,
    sent_at: Time,
    quiet: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<R: Runtime> EventStream<R> {
    pub(super) fn new(runtime: R, handle: Handle, follower: Follower) -> Self {
        let quiet = Box::pin(runtime.sleep(QUIET));
        EventStream { handle, follower, page: None, sent_at: runtime.now(), quiet, runtime }
    }

    /// Reads in a task of its own: a client that takes nothing must not keep the others from reading.
    fn read(&self, from: Revision) -> oneshot::Receiver<Read> {
        let (sender, receiver) = oneshot::channel();
        let (runtime, handle) = (self.runtime.clone(), self.handle.clone());
        let pages = self.follower.pages();
        let read = async move {
            while !sender.is_closed() {
                let Ok(_turn) = pages.turn().await else { return };
                if let Some(page) = pages.find(from) {
                    // Whoever asked may be gone.
                    let _ = sender.send(Read::Page(page));
                    return;
                }
                let query = Query::Changes { from, limit: PAGE_CHANGES };
                let request = Request::Read { query, level: ReadLevel::Stale };
                match handle.request(request, runtime.now() + PAGE_TIMEOUT).await {
                    Answer::Reply(Reply::Changes { changes, upto }) => {
                        let page = Arc::new(Page { changes, upto });
                        pages.share(from, &page);
                        let _ = sender.send(Read::Page(page));
                        return;
                    }
                    Answer::Reply(Reply::OutOfReach { newest, .. }) => {
                        let _ = sender.send(Read::Gone(newest));
                        return;
                    }
                    Answer::Stopped | Answer::Abandoned => return,
                    Answer::Reply(_) | Answer::DeadlinePassed | Answer::Overloaded => {}
                }
                runtime.sleep(PAUSE).await;
            }
        };
        self.runtime.spawn(read);
        receiver
    }

    fn poll_quiet(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        while self.quiet.as_mut().poll(context).is_ready() {
            let now = self.runtime.now();
            let silence = now.since(self.sent_at);
            let is_long = silence >= QUIET;
            if is_long {
                self.sent_at = now;
            }
            let left = if is_long { QUIET } else { QUIET.saturating_sub(silence) };
            self.quiet = Box::pin(self.runtime.sleep(left));
            if is_long {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))));
            }
        }
        Poll::Pending
    }
}

impl<R: Runtime> Body for EventStream<R> {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        let this = self.get_mut();
        loop {
            if let Some(page) = &mut this.page {
                let Poll::Ready(reply) = Pin::new(page).poll(context) else {
                    return this.poll_quiet(context);
                };
                this.page = None;
                match reply {
                    Ok(Read::Page(page)) => this.follower.take_page(page),
                    Ok(Read::Gone(revision)) => this.follower.take_loss(revision),
                    Err(_) => this.follower.end(),
                }
            }
            match this.follower.step(context) {
                Step::Send(frame) => {
                    this.sent_at = this.runtime.now();
                    return Poll::Ready(Some(Ok(Frame::data(frame))));
                }
                Step::Wait => return this.poll_quiet(context),
                Step::Read { from } => this.page = Some(this.read(from)),
                Step::End => return Poll::Ready(None),
            }
        }
    }
}
