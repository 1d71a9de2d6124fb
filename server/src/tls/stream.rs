//! A connection that is a TLS one, or not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use quorate_client::tls::explained;
use tokio_rustls::{client, server};

use crate::net::Certified;

/// What tokio-rustls makes of a stream, in hyper's terms again.
pub(super) type Dialed<S> = TokioIo<client::TlsStream<TokioIo<S>>>;
pub(super) type Accepted<S> = TokioIo<server::TlsStream<TokioIo<S>>>;
pub(super) type Handshake<S> = Pin<Box<dyn Future<Output = io::Result<Accepted<S>>> + Send>>;

/// A connection of a [`TlsNet`](super::TlsNet).
///
/// One that was accepted shakes hands when it is first used, by whoever uses it: accepting waits for nobody.
pub struct TlsStream<S> {
    state: State<S>,
    certified: Certified,
}

enum State<S> {
    Plain(S),
    Dialed(Box<Dialed<S>>),
    ShakingHands(Handshake<S>),
    Accepted(Box<Accepted<S>>),
    /// The handshake failed, which was told already.
    Failed,
}

impl<S> TlsStream<S> {
    pub(super) fn plain(stream: S) -> Self {
        TlsStream::of(State::Plain(stream))
    }

    pub(super) fn dialed(stream: Dialed<S>) -> Self {
        TlsStream::of(State::Dialed(Box::new(stream)))
    }

    /// `certified` is what the handshake will tell.
    pub(super) fn shaking_hands(handshake: Handshake<S>, certified: Certified) -> Self {
        TlsStream { state: State::ShakingHands(handshake), certified }
    }

    fn of(state: State<S>) -> Self {
        TlsStream { state, certified: Certified::default() }
    }

    pub(super) fn certified(&self) -> Certified {
        self.certified.clone()
    }
}

/// What both directions can do.
trait Both: Read + Write + Unpin {}
impl<T: Read + Write + Unpin> Both for T {}

impl<S: Read + Write + Unpin> TlsStream<S> {
    /// The stream to read from and write to, once there is one.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Both>>> {
        if let State::ShakingHands(handshake) = &mut self.state {
            match ready!(handshake.as_mut().poll(context)) {
                Ok(stream) => self.state = State::Accepted(Box::new(stream)),
                Err(error) => {
                    self.state = State::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(match &mut self.state {
            State::Plain(stream) => Ok(Pin::new(stream)),
            State::Dialed(stream) => Ok(Pin::new(&mut **stream)),
            State::Accepted(stream) => Ok(Pin::new(&mut **stream)),
            State::ShakingHands(_) | State::Failed => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

impl<S: Read + Write + Unpin> Read for TlsStream<S> {
    /// An end without a good-bye is an end: a killed process says none, and what is spoken here, frames and HTTP with
    /// lengths, knows by itself whether something is missing.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let stream = ready!(this.poll_open(context))?;
        match ready!(stream.poll_read(context, buffer)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => Poll::Ready(read.map_err(explained)),
        }
    }
}

impl<S: Read + Write + Unpin> Write for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_open(context))?.poll_write(context, bytes).map_err(explained)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_open(context))?.poll_flush(context).map_err(explained)
    }

    /// One that has not shaken hands has nothing to end: it is closed with its last owner.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.state, State::ShakingHands(_) | State::Failed) {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_open(context))?.poll_shutdown(context).map_err(explained)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.state {
            State::Plain(stream) => stream.is_write_vectored(),
            State::Dialed(stream) => stream.is_write_vectored(),
            State::Accepted(stream) => stream.is_write_vectored(),
            // What it will be is not known to be worse.
            State::ShakingHands(_) | State::Failed => true,
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_open(context))?.poll_write_vectored(context, slices).map_err(explained)
    }
}
