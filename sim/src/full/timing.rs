//! True time, and waiting for it.
//!
//! madsim's own sleeps take at least a millisecond, set another timer each time they are polled, and wake whoever
//! polled them even when nobody waits any more. A server keeps thousands of deadlines that are never reached, so that
//! most of a run would be spent on waking tasks for nothing. A [`Bell`] lets a sleep be given up, and set only once.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use madsim::time::{Instant, TimeHandle};
use quorate_node::raft::Time;

/// The clock of the world, which is never wrong.
#[derive(Clone)]
pub(super) struct TrueClock {
    time: TimeHandle,
    start: Instant,
}

impl TrueClock {
    /// The clock of the simulation that this is called in.
    pub(super) fn current() -> Self {
        let time = TimeHandle::current();
        let start = time.now_instant() - time.elapsed();
        TrueClock { time, start }
    }

    pub(super) fn now(&self) -> Time {
        Time(u64::try_from(self.time.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Rings the bell at `at`, or at once when that has passed.
    pub(super) fn ring(&self, at: Time, bell: &Arc<Bell>) {
        let due = self.start + at.since(Time(0));
        let mut sleep = self.time.sleep_until(due);
        // What is asked for, to the microsecond, and not a millisecond at least.
        Pin::new(&mut sleep).reset(due);
        let waker = Waker::from(Arc::clone(bell));
        // The timer that this sets stays set when the sleep is dropped.
        if Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker)).is_ready() {
            bell.ring();
        }
    }

    /// Ready at `due`.
    pub(super) fn sleep_until(&self, due: Time) -> Sleep {
        Sleep { clock: self.clone(), due, bell: None }
    }
}

/// Who is to be woken, if anybody still waits.
#[derive(Debug, Default)]
pub(super) struct Bell(Mutex<Option<Waker>>);

impl Bell {
    /// Whoever is behind `waker` waits.
    pub(super) fn await_with(&self, waker: &Waker) {
        let mut waiting = self.waiting();
        if !waiting.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *waiting = Some(waker.clone());
        }
    }

    /// Wakes who waits.
    pub(super) fn ring(&self) {
        let waiting = self.waiting().take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Nobody waits any more.
    fn silence(&self) {
        self.waiting().take();
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// Waits for a time.
pub(super) struct Sleep {
    clock: TrueClock,
    due: Time,
    /// Made when it is first polled in vain.
    bell: Option<Arc<Bell>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.due {
            return Poll::Ready(());
        }
        match &self.bell {
            Some(bell) => bell.await_with(context.waker()),
            None => {
                let bell = Arc::new(Bell::default());
                bell.await_with(context.waker());
                self.clock.ring(self.due, &bell);
                self.bell = Some(bell);
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(bell) = &self.bell {
            bell.silence();
        }
    }
}
