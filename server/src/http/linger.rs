//! Closing a connection without cutting off its last answer.
//!
//! 1. A client sends a body of 5 MiB; the limit is 4.
//! 2. The server answers 413 at once, reads no more, and closes.
//! 3. Bytes of the body are still under way. TCP answers them with a reset.
//! 4. The reset makes the client's kernel throw away what it has received and not yet delivered: the 413.
//!
//! So a connection whose last request was not read to its end is closed in two steps: no more is written, then what
//! still comes is thrown away, until the client has closed as well, or patience ends.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

use crate::runtime::Runtime;

/// How long is read on after the last answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much is read on after the last answer.
const MAX_DISCARDED_BYTES: usize = 64 << 20;

/// A stream that is closed in two steps when its last request was left unread.
pub(super) struct Linger<S, R> {
    stream: S,
    runtime: R,
    unread: Arc<AtomicBool>,
    closing: Closing,
}

enum Closing {
    NotYet,
    /// The writing half is closed; what comes is discarded, until the timer.
    Discarding {
        bytes: usize,
        timer: Pin<Box<dyn Future<Output = ()> + Send>>,
    },
}

impl<S, R> Linger<S, R> {
    /// `unread` says whether there are bytes under way that nobody will read.
    pub(super) fn new(stream: S, runtime: R, unread: Arc<AtomicBool>) -> Self {
        Linger { stream, runtime, unread, closing: Closing::NotYet }
    }
}

impl<S: Read + Unpin, R: Unpin> Read for Linger<S, R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: Read + Write + Unpin, R: Runtime + Unpin> Write for Linger<S, R> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.closing {
                Closing::NotYet => {
                    ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
                    if !this.unread.load(Ordering::Relaxed) {
                        return Poll::Ready(Ok(()));
                    }
                    let timer = Box::pin(this.runtime.sleep(PATIENCE));
                    this.closing = Closing::Discarding { bytes: 0, timer };
                }
                Closing::Discarding { bytes, timer } => {
                    if timer.as_mut().poll(context).is_ready() || *bytes > MAX_DISCARDED_BYTES {
                        return Poll::Ready(Ok(()));
                    }
                    let mut scratch = [MaybeUninit::uninit(); 8 << 10];
                    let mut buffer = ReadBuf::uninit(&mut scratch);
                    // An error means that the client is gone.
                    let read = ready!(Pin::new(&mut this.stream).poll_read(context, buffer.unfilled()));
                    if read.is_err() || buffer.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    *bytes += buffer.filled().len();
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }
}
