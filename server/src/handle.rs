//! How the rest of the server asks the node for something.

use std::sync::Arc;

use quorate_node::raft::Time;
use quorate_node::recording::Recording;
use quorate_node::{Reply, Request, View};
use tokio::sync::{mpsc, oneshot};

use crate::metrics::Figures;
use crate::watch;

/// A line to the driver, which owns the node. Clones share it.
#[derive(Clone, Debug)]
pub struct Handle {
    asks: mpsc::Sender<Ask>,
    view: watch::Receiver<Arc<View>>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Answer {
    /// The node answered.
    Reply(Reply),
    /// The deadline passed first. A write may or may not be done, now or later.
    DeadlinePassed,
    /// Too many requests wait already. Definitely not done.
    Overloaded,
    /// The node had stopped before it took the request up. Definitely not done.
    Stopped,
    /// The node stopped while the request was pending. A write may or may not be done.
    Abandoned,
}

/// One message to the driver.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Do this and answer, by `deadline` at the latest.
    Request { request: Request, deadline: Time, answer: oneshot::Sender<Answer> },
    /// How does the node stand, exactly now?
    Status(oneshot::Sender<View>),
    /// What of the node's inputs is remembered?
    Recording(oneshot::Sender<Option<Recording>>),
    /// How does the node stand in figures?
    Figures(oneshot::Sender<Figures>),
    /// End, after what came before.
    Stop,
}

impl Handle {
    pub(crate) fn new(asks: mpsc::Sender<Ask>, view: watch::Receiver<Arc<View>>) -> Self {
        Handle { asks, view }
    }

    /// Has the node do `request`. Always answers soon after `deadline`, without a timer of the caller's: the driver
    /// keeps one for all.
    pub async fn request(&self, request: Request, deadline: Time) -> Answer {
        let (sender, receiver) = oneshot::channel();
        match self.asks.try_send(Ask::Request { request, deadline, answer: sender }) {
            Ok(()) => receiver.await.unwrap_or(Answer::Abandoned),
            Err(mpsc::error::TrySendError::Full(_)) => Answer::Overloaded,
            Err(mpsc::error::TrySendError::Closed(_)) => Answer::Stopped,
        }
    }

    /// The node's view, published anew whenever its role, term, leader or members change. The indices in it are as
    /// old as the last such change: [`Handle::status`] has exact ones.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// How the node stands at this moment; `None` when it has stopped.
    pub async fn status(&self) -> Option<View> {
        let (sender, receiver) = oneshot::channel();
        self.asks.send(Ask::Status(sender)).await.ok()?;
        receiver.await.ok()
    }

    /// What is remembered of the node's inputs at this moment: nothing when nothing is to be, or nothing can be. `None`
    /// when the node has stopped.
    pub async fn recording(&self) -> Option<Option<Recording>> {
        let (sender, receiver) = oneshot::channel();
        self.asks.send(Ask::Recording(sender)).await.ok()?;
        receiver.await.ok()
    }

    /// How the node stands at this moment, in figures; `None` when it has stopped.
    pub(crate) async fn figures(&self) -> Option<Figures> {
        let (sender, receiver) = oneshot::channel();
        self.asks.send(Ask::Figures(sender)).await.ok()?;
        receiver.await.ok()
    }

    /// Tells the driver to end, after the requests that came before.
    pub(crate) async fn stop(&self) {
        // A driver that is gone needs no telling.
        let _ = self.asks.send(Ask::Stop).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use quorate_node::ReadLevel;

    use crate::idle_node::idle_node;

    /// A line to a driver that takes nothing up.
    #[test]
    fn who_finds_the_line_full_is_refused_at_once() {
        let view = idle_node().view();
        let (asks, mut line) = mpsc::channel(1);
        let handle = Handle::new(asks, watch::Sender::new(Arc::new(view)).subscribe());

        let read = || handle.request(Request::get([].into(), ReadLevel::Stale), Time(1));
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = pin!(read());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert!(matches!(pin!(read()).poll(&mut context), Poll::Ready(Answer::Overloaded)));
        drop(line.try_recv());
        assert!(matches!(waiting.poll(&mut context), Poll::Ready(Answer::Abandoned)));
        drop(line);
        assert!(matches!(pin!(read()).poll(&mut context), Poll::Ready(Answer::Stopped)));
    }
}
