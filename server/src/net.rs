//! The second seam: the network.
//!
//! HTTP and peer links both use [`Net`], so the simulator needs to stand in for one thing only. Streams are hyper's
//! `Read + Write`, which hyper uses as they are; for the peer links this module has the few functions they need.

use std::future::{Future, poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::header::HeaderValue;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use quorate_client::Endpoint;

/// Dials and listens, really or in a simulation. Clones stand for the same network.
pub trait Net: Clone + Send + Sync + 'static {
    /// A connection: bytes both ways, in order.
    type Stream: Read + Write + Unpin + Send + 'static;
    /// Where connections arrive.
    type Listener: Listener<Stream = Self::Stream>;

    /// Listens at `address` (`host:port`; port 0 lets the system choose).
    fn listen(&self, address: &str) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Connects to `address` (`host:port`). May take as long as the network likes: put a deadline around it.
    fn dial(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Connects to the peer port at `address`, as peers are dialed in this network: over TLS, where that is demanded.
    fn dial_peer(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send {
        self.dial(address)
    }

    /// What this node shows to the HTTP port of another one, as the value of `Authorization`.
    fn credentials(&self) -> Option<HeaderValue> {
        None
    }

    /// Connects to the HTTP port at `address` over TLS. A network that knows none refuses.
    fn dial_https(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send {
        let _ = address;
        ready(Err(io::Error::new(io::ErrorKind::Unsupported, "this network knows no TLS")))
    }
}

/// Connects to the node that serves HTTP at `endpoint`.
pub(crate) async fn dial_endpoint<N: Net>(net: &N, endpoint: &Endpoint) -> io::Result<N::Stream> {
    let address = endpoint.address().to_string();
    if endpoint.is_https() { net.dial_https(&address).await } else { net.dial(&address).await }
}

/// Whether whoever made a connection has proven to be a peer. It turns out with the handshake, which may come after the
/// connection was accepted.
#[derive(Clone, Debug, Default)]
pub struct Certified(Arc<AtomicBool>);

impl Certified {
    /// It has.
    pub(crate) fn prove(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has by now.
    pub(crate) fn is_proven(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Where connections arrive.
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream;

    /// The next connection and where it comes from. An error is of one connection (or a shortage that passes):
    /// the listener goes on.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// The address listened at, with the port that the system chose.
    fn local_address(&self) -> io::Result<SocketAddr>;

    /// Who made the connection. Without certificates nobody proves anything.
    fn certified(stream: &Self::Stream) -> Certified {
        let _ = stream;
        Certified::default()
    }

    /// Ends it, and gives the connections that were made and not yet accepted: nobody is reset who got through.
    fn close(self) -> Vec<Self::Stream>;
}

/// Reads what is there, at most as much as fits. Zero bytes: the end.
pub(crate) async fn read_some(stream: &mut (impl Read + Unpin), bytes: &mut [u8]) -> io::Result<usize> {
    let mut read = ReadBuf::new(bytes);
    poll_fn(|context| Pin::new(&mut *stream).poll_read(context, read.unfilled())).await?;
    Ok(read.filled().len())
}

/// Writes all of `bytes` and flushes.
pub(crate) async fn write_all(stream: &mut (impl Write + Unpin), bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        let count = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, &bytes[written..])).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        written += count;
    }
    poll_fn(|context| Pin::new(&mut *stream).poll_flush(context)).await
}

/// Ends the writing half.
pub(crate) async fn close_write(stream: &mut (impl Write + Unpin)) -> io::Result<()> {
    poll_fn(|context| Pin::new(&mut *stream).poll_shutdown(context)).await
}

/// One of two users of a stream, so that one task can read and write at the same time. A lock is held for one poll
/// only, and both halves are polled by the same task, so neither ever waits for the other.
#[derive(Debug)]
pub(crate) struct Half<'a, S>(pub(crate) &'a Mutex<S>);

impl<S: Unpin> Half<'_, S> {
    fn with<T>(&self, poll: impl FnOnce(Pin<&mut S>) -> T) -> T {
        poll(Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<S: Read + Unpin> Read for Half<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(context, buffer))
    }
}

impl<S: Write + Unpin> Write for Half<'_, S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(context))
    }
}
