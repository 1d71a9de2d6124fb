//! A bell that does what tokio documents of its own (`tokio::sync::Notify`), as far as the server uses it: whoever
//! waits hears each ring since its waiting was *made*, polled or not, and none before.

use loom::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
pub(crate) struct Notify(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rings: u64,
    wakers: VecDeque<Waker>,
}

/// One that waits.
pub(crate) struct Notified<'a> {
    bell: &'a Notify,
    rings_before: u64,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Notify(Mutex::new(State::default()))
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { bell: self, rings_before: self.lock().rings }
    }

    pub(crate) fn notify_waiters(&self) {
        let mut state = self.lock();
        state.rings += 1;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread of a story panics and goes on")
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.bell.lock();
        if state.rings > self.rings_before {
            return Poll::Ready(());
        }
        state.wakers.push_back(context.waker().clone());
        Poll::Pending
    }
}
