//! The first seam: time, tasks and randomness.
//!
//! Everything asynchronous in this crate is written against [`Runtime`], so that the same server runs on the real
//! tokio (`real.rs`) and inside the simulator, where time is virtual and every interleaving comes from a seed.
//! What is built *on* the trait is here too: deadlines, and the adapters that hyper wants.
//!
//! An unbiased `select!` draws from a generator of its own and would break replay; [`race`] is what this crate uses
//! instead.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use quorate_node::raft::Time;

/// Time, tasks and randomness, real or simulated. Clones stand for the same runtime.
pub trait Runtime: Clone + Send + Sync + Unpin + 'static {
    /// The monotonic clock, in microseconds since a start of the runtime's choice.
    fn now(&self) -> Time;

    /// Runs `future` on its own. It ends with the runtime.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static);

    /// Ready after `duration`, never before. Real timers may be a millisecond late.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static;

    /// Random bits: from the operating system in production, from the seed under simulation.
    fn random(&self) -> u64;
}

/// 128 random bits, for an id.
pub fn random_id(runtime: &impl Runtime) -> u128 {
    (u128::from(runtime.random()) << 64) | u128::from(runtime.random())
}

/// The first of two results.
#[derive(Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The left one was ready first, or both were.
    Left(A),
    /// The right one was ready and the left one was not.
    Right(B),
}

/// Waits for whichever is ready first, asking `left` first each time, and drops the other.
pub fn race<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> impl Future<Output = Either<A, B>> {
    Race { left, right }
}

pin_project! {
    /// No `async fn`: that would hold each side twice, as what it was given and as what it waits for, and races within
    /// races would make the future of a request many kilobytes large.
    struct Race<L, R> {
        #[pin]
        left: L,
        #[pin]
        right: R,
    }
}

impl<L: Future, R: Future> Future for Race<L, R> {
    type Output = Either<L::Output, R::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(value) = this.left.poll(context) {
            return Poll::Ready(Either::Left(value));
        }
        this.right.poll(context).map(Either::Right)
    }
}

/// The deadline passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct DeadlinePassed;

/// Waits for `future`, but not beyond `deadline`. A future that is ready wins, even at a deadline in the past. How long
/// that is yet is looked up at the call: await it at once.
pub fn timeout_at<T>(
    runtime: &impl Runtime,
    deadline: Time,
    future: impl Future<Output = T>,
) -> impl Future<Output = Result<T, DeadlinePassed>> {
    let remaining = deadline.since(runtime.now());
    Timed { race: Race { left: future, right: runtime.sleep(remaining) } }
}

pin_project! {
    struct Timed<F, S> {
        #[pin]
        race: Race<F, S>,
    }
}

impl<F: Future, S: Future<Output = ()>> Future for Timed<F, S> {
    type Output = Result<F::Output, DeadlinePassed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().race.poll(context).map(|first| match first {
            Either::Left(value) => Ok(value),
            Either::Right(()) => Err(DeadlinePassed),
        })
    }
}

/// Spawns hyper's futures on a [`Runtime`].
#[derive(Clone, Debug)]
pub struct HyperExecutor<R>(pub R);

impl<R, F> hyper::rt::Executor<F> for HyperExecutor<R>
where
    R: Runtime,
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Gives hyper a [`Runtime`]'s time.
#[derive(Clone, Debug)]
pub struct HyperTimer<R> {
    runtime: R,
    // hyper speaks in `Instant`s, which can't be made from a number. One is taken here, and only its distance to
    // others is ever used, so that no real time leaks into a simulation.
    origin: Instant,
    origin_time: Time,
}

impl<R: Runtime> HyperTimer<R> {
    /// A timer that follows `runtime`'s clock.
    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin: only distances to it are used")]
    pub fn new(runtime: R) -> Self {
        let origin_time = runtime.now();
        HyperTimer { runtime, origin: Instant::now(), origin_time }
    }
}

impl<R: Runtime> hyper::rt::Timer for HyperTimer<R> {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(HyperSleep(Mutex::new(Box::pin(self.runtime.sleep(duration)))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(hyper::rt::Timer::now(self)))
    }

    fn now(&self) -> Instant {
        self.origin + self.runtime.now().since(self.origin_time)
    }
}

/// hyper wants sleeps that are `Sync`, which it never makes use of; a mutex that is only entered by `&mut` gives
/// that for nothing.
struct HyperSleep<F>(Mutex<Pin<Box<F>>>);

impl<F: Future<Output = ()>> Future for HyperSleep<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(context)
    }
}

impl<F: Future<Output = ()> + Send> hyper::rt::Sleep for HyperSleep<F> {}
