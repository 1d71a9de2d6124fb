//! A channel for one message that does what tokio documents of its own (`tokio::sync::oneshot`).

use loom::sync::{Arc, Mutex, MutexGuard};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The sender was dropped without having sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecvError;

struct State<T> {
    message: Option<T>,
    is_over: bool,
    waker: Option<Waker>,
}

struct Shared<T>(Mutex<State<T>>);

pub(crate) struct Sender<T>(Arc<Shared<T>>);
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared(Mutex::new(State { message: None, is_over: false, waker: None })));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().expect("no thread of a story panics and goes on")
    }
}

impl<T> Sender<T> {
    pub(crate) fn send(self, message: T) -> Result<(), T> {
        self.0.lock().message = Some(message);
        // Dropping it wakes the receiver.
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        match state.message.take() {
            Some(message) => Poll::Ready(Ok(message)),
            None if state.is_over => Poll::Ready(Err(RecvError)),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
