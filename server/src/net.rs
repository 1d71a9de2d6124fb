//! The second seam: the network.
//!
//! HTTP and peer links both use [`Net`], so the simulator needs to stand in for one thing only. Streams are hyper's
//! `Read + Write`, which hyper uses as they are; for the peer links this module has the few functions they need.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, Write};

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
}

/// Reads what is there, at most `scratch.len()` bytes, and appends it to `buffer`. Zero bytes: the end.
pub(crate) fn poll_read_into(
    stream: &mut (impl Read + Unpin),
    context: &mut Context<'_>,
    scratch: &mut [u8],
    buffer: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    let mut read = ReadBuf::new(scratch);
    ready!(Pin::new(stream).poll_read(context, read.unfilled()))?;
    buffer.extend_from_slice(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}

/// Reads what is there, at most `scratch.len()` bytes, and appends it to `buffer`. Zero bytes: the end.
pub(crate) async fn read_into(
    stream: &mut (impl Read + Unpin),
    scratch: &mut [u8],
    buffer: &mut Vec<u8>,
) -> io::Result<usize> {
    poll_fn(|context| poll_read_into(stream, context, scratch, buffer)).await
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
