//! A channel without bound that does what tokio documents of its own (`tokio::sync::mpsc`), as far as the server uses
//! it.

use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;

pub(crate) mod error {
    /// There was nothing to receive.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum TryRecvError {
        /// Not yet.
        Empty,
        /// Nor will there be.
        Disconnected,
    }

    /// Nobody receives any more.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct SendError;
}

use error::{SendError, TryRecvError};

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    messages: VecDeque<T>,
    senders: usize,
    receives: bool,
}

pub(crate) struct UnboundedSender<T>(Arc<Shared<T>>);
pub(crate) struct WeakUnboundedSender<T>(Arc<Shared<T>>);
pub(crate) struct UnboundedReceiver<T>(Arc<Shared<T>>);

pub(crate) fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let state = Mutex::new(State { messages: VecDeque::new(), senders: 1, receives: true });
    let shared = Arc::new(Shared { state, changed: Condvar::new() });
    (UnboundedSender(Arc::clone(&shared)), UnboundedReceiver(shared))
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no thread of a story panics and goes on")
    }
}

impl<T> UnboundedSender<T> {
    pub(crate) fn send(&self, message: T) -> Result<(), SendError> {
        let mut state = self.0.lock();
        if !state.receives {
            // A message may carry an answer whose end is heard by dropping it.
            drop(state);
            drop(message);
            return Err(SendError);
        }
        state.messages.push_back(message);
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }

    pub(crate) fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender(Arc::clone(&self.0))
    }
}

impl<T> Drop for UnboundedSender<T> {
    fn drop(&mut self) {
        self.0.lock().senders -= 1;
        self.0.changed.notify_all();
    }
}

impl<T> WeakUnboundedSender<T> {
    /// Nothing, when all senders are gone: none comes back.
    pub(crate) fn upgrade(&self) -> Option<UnboundedSender<T>> {
        let mut state = self.0.lock();
        if state.senders == 0 {
            return None;
        }
        state.senders += 1;
        drop(state);
        Some(UnboundedSender(Arc::clone(&self.0)))
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        WeakUnboundedSender(Arc::clone(&self.0))
    }
}

impl<T> UnboundedReceiver<T> {
    pub(crate) fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let mut state = self.0.lock();
        match state.messages.pop_front() {
            Some(message) => Ok(message),
            None if state.senders == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Waits for the first message; how many there were, none at the end.
    pub(crate) fn blocking_recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        let mut state = self.0.lock();
        while state.messages.is_empty() && state.senders > 0 {
            state = self.0.changed.wait(state).expect("no thread of a story panics and goes on");
        }
        let taken = state.messages.len().min(limit);
        buffer.extend(state.messages.drain(..taken));
        taken
    }
}

impl<T> Drop for UnboundedReceiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.receives = false;
        let unheard = std::mem::take(&mut state.messages);
        drop(state);
        drop(unheard);
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UnboundedSender")
    }
}

impl<T> fmt::Debug for WeakUnboundedSender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WeakUnboundedSender")
    }
}

impl<T> fmt::Debug for UnboundedReceiver<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UnboundedReceiver")
    }
}
