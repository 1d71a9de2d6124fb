//! Clients that are too slow: a head that does not end, an answer that is not taken.
//!
//! | the client | has |
//! |---|---|
//! | asks nothing | [`IDLE_TIMEOUT`], twice that at most |
//! | has begun a head | [`HEAD_TIMEOUT`] for all of it |
//! | has begun one along with the request before | the same, from its next byte on |
//! | sends a body | what `body.rs` gives it |
//! | does not take its answer | [`STALL_TIMEOUT`] for all that waits, or for each [`LEAST_TAKEN`] of it |
//!
//! A head mostly arrives in one piece, and an answer is mostly taken at once. So no timer is set before somebody is
//! waited for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};

use super::connections::Line;
use crate::runtime::Runtime;

/// How long a connection may be idle. Longer than clients and peers keep idle ones, so that it is them who close.
/// It is looked at this often whether there was a request since, which costs a request nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a request's head may take from its first byte.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may leave an answer that is there for it.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// So many bytes renew that time. Without them a byte a minute would keep a connection, which makes no room while it
/// is answered, for years.
const LEAST_TAKEN: usize = 32 << 10;

/// A stream that breaks when the other side is too slow.
pub(super) struct Paced<S, R> {
    stream: S,
    line: Arc<Line>,
    /// How many requests there had been when the first byte of a head arrived, if one did.
    head_after: Option<u64>,
    head: Patience<R>,
    idle: Patience<R>,
    /// How many requests there had been when `idle` began; none when there was something to do since.
    idle_after: Option<u64>,
    stall: Patience<R>,
    /// How much was taken since `stall` was renewed.
    taken: usize,
}

/// A timer that runs for as long as somebody is waited for.
struct Patience<R> {
    runtime: R,
    limit: Duration,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<R: Runtime> Patience<R> {
    fn new(runtime: R, limit: Duration) -> Self {
        Patience { runtime, limit, timer: None }
    }

    /// Whether it has ended.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(self.runtime.sleep(self.limit)));
        timer.as_mut().poll(context).is_ready()
    }

    fn renew(&mut self) {
        self.timer = None;
    }
}

impl<S, R: Runtime> Paced<S, R> {
    pub(super) fn new(stream: S, runtime: &R, line: Arc<Line>) -> Self {
        Paced {
            stream,
            line,
            head_after: None,
            head: Patience::new(runtime.clone(), HEAD_TIMEOUT),
            idle: Patience::new(runtime.clone(), IDLE_TIMEOUT),
            idle_after: Some(0),
            stall: Patience::new(runtime.clone(), STALL_TIMEOUT),
            taken: 0,
        }
    }

    /// Whether none has come for all of the time that was given. The timer runs on while requests come and go.
    fn is_idle_for_long(&mut self, requests: u64, context: &mut Context<'_>) -> bool {
        if self.line.is_answering() {
            self.idle_after = None;
            return false;
        }
        while self.idle.is_over(context) {
            if self.idle_after == Some(requests) {
                return true;
            }
            self.idle_after = Some(requests);
            self.idle.renew();
        }
        false
    }

    /// What comes of waiting for the client to take some bytes.
    fn unless_stalled(
        &mut self,
        polled: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Ok(bytes)) => {
                self.taken += bytes;
                if self.taken >= LEAST_TAKEN {
                    self.all_taken();
                }
            }
            Poll::Pending if self.stall.is_over(context) => return timed_out("the answer is not taken"),
            _ => {}
        }
        polled
    }

    fn all_taken(&mut self) {
        self.taken = 0;
        self.stall.renew();
    }
}

fn timed_out<T>(what: &'static str) -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
}

impl<S: Read + Unpin, R: Runtime> Read for Paced<S, R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let (requests, is_busy) = this.line.progress();
        if is_busy || this.head_after.is_some_and(|before| before != requests) {
            this.head_after = None;
            this.head.renew();
        }
        if is_busy {
            return polled;
        }
        if polled.is_ready() {
            this.head_after.get_or_insert(requests);
        } else if this.head_after.is_some() {
            if this.head.is_over(context) {
                return timed_out("the head of a request did not end");
            }
        } else if this.is_idle_for_long(requests, context) {
            return timed_out("no request came");
        }
        polled
    }
}

impl<S: Write + Unpin, R: Runtime> Write for Paced<S, R> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.unless_stalled(polled, context)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(context);
        // hyper asks for it only when its own buffer is empty.
        if let Poll::Ready(Ok(())) = polled {
            this.line.flushed();
            this.all_taken();
        }
        this.unless_stalled(polled.map_ok(|()| 0), context).map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_shutdown(context);
        this.unless_stalled(polled.map_ok(|()| 0), context).map_ok(|_| ())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.unless_stalled(polled, context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::connections::{Connections, Place};
    use super::*;
    use hyper::rt::ReadBuf;
    use quorate_node::raft::Time;
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::sync::Mutex;
    use std::task::Waker;

    /// A time that passes when it is told to. Nobody is woken: the test polls.
    #[derive(Clone, Default)]
    struct Hand(Arc<Mutex<Duration>>);

    impl Hand {
        fn pass(&self, duration: Duration) {
            *self.0.lock().unwrap() += duration;
        }
    }

    impl Runtime for Hand {
        fn now(&self) -> Time {
            Time::default() + *self.0.lock().unwrap()
        }

        fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) {
            unreachable!("nothing here needs a task");
        }

        fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
            let (clock, until) = (self.clone(), self.now() + duration);
            poll_fn(move |_| if clock.now() >= until { Poll::Ready(()) } else { Poll::Pending })
        }

        fn random(&self) -> u64 {
            0
        }
    }

    /// Gives what was put into it, and takes, and flushes, while `takes`.
    #[derive(Default)]
    struct Wire {
        coming: VecDeque<u8>,
        takes: bool,
    }

    impl Read for Wire {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            mut buffer: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            let Some(byte) = self.coming.pop_front() else { return Poll::Pending };
            buffer.put_slice(&[byte]);
            Poll::Ready(Ok(()))
        }
    }

    impl Write for Wire {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            if self.takes { Poll::Ready(Ok(bytes.len())) } else { Poll::Pending }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.takes { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    type Stream = Paced<Wire, Hand>;

    fn set_up() -> (Stream, Hand, Place) {
        let place = Arc::new(Connections::new(9)).open().unwrap();
        let hand = Hand::default();
        (Paced::new(Wire::default(), &hand, Arc::clone(place.line())), hand, place)
    }

    /// Reads all that is there; whether the stream is still whole.
    fn reads(stream: &mut Stream) -> bool {
        let context = &mut Context::from_waker(Waker::noop());
        loop {
            let mut bytes = [0; 8];
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *stream).poll_read(context, buffer.unfilled()) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return false,
                Poll::Pending => return true,
            }
        }
    }

    fn sends(stream: &mut Stream, bytes: &[u8]) -> bool {
        stream.stream.coming.extend(bytes);
        reads(stream)
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_has_one_time_for_all_of_it() {
        let (mut stream, hand, _place) = set_up();
        assert!(sends(&mut stream, b"G"));
        for _ in 0..9 {
            hand.pass(HEAD_TIMEOUT / 10);
            assert!(sends(&mut stream, b"E"));
        }
        hand.pass(HEAD_TIMEOUT / 10);
        assert!(!sends(&mut stream, b"T"));
    }

    #[test]
    fn who_waits_before_a_head_or_for_an_answer_is_not_hurried() {
        let (mut stream, hand, place) = set_up();
        for _ in 0..3 {
            assert!(reads(&mut stream));
            hand.pass(HEAD_TIMEOUT * 2);
            assert!(sends(&mut stream, b"GET"));
            hand.pass(HEAD_TIMEOUT / 2);
            let busy = place.begin().unwrap();
            assert!(sends(&mut stream, b"a body, or the next request"));
            hand.pass(HEAD_TIMEOUT * 2);
            assert!(reads(&mut stream));
            drop(busy);
        }
    }

    #[test]
    fn who_asks_nothing_for_long_is_hung_up_on() {
        let (mut stream, hand, place) = set_up();
        for _ in 0..3 {
            assert!(reads(&mut stream));
            hand.pass(IDLE_TIMEOUT * 9 / 10);
            assert!(sends(&mut stream, b"a request"));
            drop(place.begin().unwrap());
            place.line().flushed();
        }
        assert!(reads(&mut stream));
        hand.pass(IDLE_TIMEOUT);
        assert!(reads(&mut stream), "there was one since it was looked at last");
        hand.pass(IDLE_TIMEOUT);
        assert!(!reads(&mut stream));
    }

    /// A large value over a slow line.
    #[test]
    fn who_takes_an_answer_for_long_is_not_idle() {
        let (mut stream, hand, place) = set_up();
        assert!(reads(&mut stream) && sends(&mut stream, b"a request"));
        drop(place.begin().unwrap());
        for _ in 0..9 {
            hand.pass(IDLE_TIMEOUT * 9 / 10);
            assert!(reads(&mut stream));
        }
        stream.stream.takes = true;
        let context = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut stream).poll_flush(context).is_ready());
        hand.pass(IDLE_TIMEOUT * 9 / 10);
        assert!(reads(&mut stream), "it has all of the time from then on");
        hand.pass(IDLE_TIMEOUT * 2);
        assert!(!reads(&mut stream));
    }

    #[test]
    fn a_head_that_began_with_the_request_before_is_timed_from_its_next_byte() {
        let (mut stream, hand, place) = set_up();
        assert!(sends(&mut stream, b"a request, and the beginning of the next"));
        drop(place.begin().unwrap());
        assert!(reads(&mut stream));
        hand.pass(HEAD_TIMEOUT * 2);
        assert!(sends(&mut stream, b"E"), "until then it is as one that sends nothing");
        hand.pass(HEAD_TIMEOUT);
        assert!(!sends(&mut stream, b"T"));
    }

    #[test]
    fn a_connection_is_idle_when_its_answer_is_flushed() {
        let connections = Arc::new(Connections::new(1));
        let place = connections.open().unwrap();
        let mut stream = Paced::new(Wire::default(), &Hand::default(), Arc::clone(place.line()));
        drop(place.begin().unwrap());
        let flush = |stream: &mut Stream| {
            Pin::new(stream).poll_flush(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        assert!(!flush(&mut stream));
        assert!(connections.open().unwrap().begin().is_none(), "the client has not taken it all");
        stream.stream.takes = true;
        assert!(flush(&mut stream));
        assert!(connections.open().unwrap().begin().is_some());
    }

    /// What comes of writing so many bytes, when the system takes them or not.
    fn writes(stream: &mut Stream, bytes: usize, takes: bool) -> Poll<io::Result<usize>> {
        stream.stream.takes = takes;
        Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), &vec![0; bytes])
    }

    #[test]
    fn an_answer_that_nobody_takes_ends_the_connection() {
        let (mut stream, hand, _place) = set_up();
        for _ in 0..3 {
            assert!(writes(&mut stream, 1, false).is_pending());
            hand.pass(STALL_TIMEOUT * 9 / 10);
            assert!(writes(&mut stream, 1, false).is_pending());
            assert!(matches!(writes(&mut stream, LEAST_TAKEN, true), Poll::Ready(Ok(LEAST_TAKEN))));
        }
        assert!(writes(&mut stream, 1, false).is_pending());
        hand.pass(STALL_TIMEOUT);
        assert!(matches!(writes(&mut stream, 1, false), Poll::Ready(Err(_))));
    }

    #[test]
    fn a_byte_now_and_then_does_not_keep_a_connection() {
        let (mut stream, hand, _place) = set_up();
        assert!(writes(&mut stream, 1, false).is_pending());
        for _ in 0..9 {
            hand.pass(STALL_TIMEOUT / 10);
            assert!(matches!(writes(&mut stream, 1, true), Poll::Ready(Ok(1))));
            assert!(writes(&mut stream, 1, false).is_pending());
        }
        hand.pass(STALL_TIMEOUT / 10);
        assert!(matches!(writes(&mut stream, 1, false), Poll::Ready(Err(_))));
    }

    /// A watcher: each event is taken at once, or soon.
    #[test]
    fn small_answers_that_are_taken_whole_go_on_for_ever() {
        let (mut stream, hand, _place) = set_up();
        let flush = |stream: &mut Stream| {
            Pin::new(stream).poll_flush(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        for _ in 0..9 {
            assert!(writes(&mut stream, 1, false).is_pending());
            hand.pass(STALL_TIMEOUT * 9 / 10);
            assert!(writes(&mut stream, 1, true).is_ready());
            assert!(flush(&mut stream));
        }
    }
}
