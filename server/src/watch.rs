//! A value that one side changes and many wait for.
//!
//! tokio has such a channel. But it wakes those who wait in a random order, drawn from a generator that no seed
//! reaches, to spare a lock: two runs of one simulated world would differ. This one wakes them in the order in which
//! they began to wait.

use std::sync::Arc;

use crate::sync::{Mutex, MutexGuard, Notify, PoisonError};

/// The side that changes the value. Clones share it.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// A side that looks at the value. Each remembers what it has seen; a clone has seen the same.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen_version: u64,
}

/// The value will not change any more: nobody is left who could.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody is left who could change the value")]
pub struct Closed;

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<T> {
    value: T,
    version: u64,
    senders: usize,
}

/// Both sides of a value.
pub(crate) fn channel<T: Clone>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T: Clone> Sender<T> {
    /// A value nobody looks at yet.
    pub(crate) fn new(value: T) -> Self {
        let state = Mutex::new(State { value, version: 0, senders: 1 });
        Sender { shared: Arc::new(Shared { state, changed: Notify::new() }) }
    }

    /// One who has seen the present value.
    pub(crate) fn subscribe(&self) -> Receiver<T> {
        Receiver { shared: Arc::clone(&self.shared), seen_version: self.shared.lock().version }
    }

    /// The present value.
    pub(crate) fn current(&self) -> T {
        self.shared.lock().value.clone()
    }

    /// Changes the value, and wakes all who wait for that.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        {
            let mut state = self.shared.lock();
            change(&mut state.value);
            state.version += 1;
        }
        self.shared.changed.notify_waiters();
    }

    /// Puts another value in its place.
    pub(crate) fn replace(&self, value: T) {
        self.change(|present| *present = value);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Sender { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.lock().senders -= 1;
        self.shared.changed.notify_waiters();
    }
}

impl<T: Clone> Receiver<T> {
    /// The present value, which is not seen by that.
    pub fn current(&self) -> T {
        self.shared.lock().value.clone()
    }

    /// The present value, seen by that: [`Receiver::changed`] waits for a later one.
    pub fn look(&mut self) -> T {
        let state = self.shared.lock();
        self.seen_version = state.version;
        state.value.clone()
    }

    /// Whether the value can change no more.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().senders == 0
    }

    /// Ready when there is a value that was not seen; it is seen by that.
    ///
    /// # Errors
    /// [`Closed`] when there never will be.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            // Begun before the look, so that a change between the two is not missed.
            let changed = self.shared.changed.notified();
            {
                let state = self.shared.lock();
                if self.seen_version != state.version {
                    self.seen_version = state.version;
                    return Ok(());
                }
                if state.senders == 0 {
                    return Err(Closed);
                }
            }
            changed.await;
        }
    }

    /// Ready with the first value, the present one included, that `is_wanted`.
    ///
    /// # Errors
    /// [`Closed`] when there never will be one.
    pub async fn wait_for(&mut self, is_wanted: impl Fn(&T) -> bool) -> Result<T, Closed> {
        loop {
            let value = self.look();
            if is_wanted(&value) {
                return Ok(value);
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver { shared: Arc::clone(&self.shared), seen_version: self.seen_version }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    /// Polls once, without a runtime.
    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn each_change_is_seen_once_by_each() {
        let (sender, mut first) = channel(1);
        let mut second = first.clone();
        assert_eq!(poll(first.changed()), Poll::Pending);
        sender.replace(2);
        assert_eq!((first.current(), sender.current()), (2, 2));
        assert_eq!(poll(first.changed()), Poll::Ready(Ok(())));
        assert_eq!(poll(first.changed()), Poll::Pending);
        assert_eq!(second.look(), 2);
        assert_eq!(poll(second.changed()), Poll::Pending);
        sender.change(|value| *value += 1);
        assert_eq!(poll(second.wait_for(|value| *value == 3)), Poll::Ready(Ok(3)));
        assert_eq!(poll(second.wait_for(|value| *value == 3)), Poll::Ready(Ok(3)));
        assert_eq!(poll(sender.subscribe().changed()), Poll::Pending);
    }

    #[test]
    fn the_last_value_is_seen_before_the_end() {
        let (sender, mut receiver) = channel(1);
        let other = sender.clone();
        drop(sender);
        assert_eq!(poll(receiver.changed()), Poll::Pending);
        other.replace(2);
        assert!(!receiver.is_closed());
        drop(other);
        assert!(receiver.is_closed());
        assert_eq!(poll(receiver.changed()), Poll::Ready(Ok(())));
        assert_eq!(poll(receiver.changed()), Poll::Ready(Err(Closed)));
        assert_eq!(poll(receiver.wait_for(|value| *value == 2)), Poll::Ready(Ok(2)));
        assert_eq!(poll(receiver.wait_for(|value| *value == 3)), Poll::Ready(Err(Closed)));
    }

    /// Notes when it was woken.
    struct Woken {
        counter: Arc<AtomicUsize>,
        at: AtomicUsize,
    }

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.at.store(self.counter.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        }
    }

    #[test]
    fn who_waited_first_is_woken_first() {
        let (sender, receiver) = channel(());
        let counter = Arc::new(AtomicUsize::new(0));
        let mut receivers = vec![receiver; 50];
        let mut waiting = Vec::new();
        for receiver in &mut receivers {
            let woken = Arc::new(Woken { counter: Arc::clone(&counter), at: AtomicUsize::new(usize::MAX) });
            let mut changed = Box::pin(receiver.changed());
            let waker = Waker::from(Arc::clone(&woken));
            assert_eq!(changed.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
            waiting.push((changed, woken));
        }
        sender.replace(());
        let order: Vec<usize> = waiting.iter().map(|(_, woken)| woken.at.load(Ordering::SeqCst)).collect();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
