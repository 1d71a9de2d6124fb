//! The bodies of requests as they are read, and of answers as they are sent.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

use super::budget::Held;
use super::error::ApiError;
use super::pool::Lease;
use crate::runtime::{Either, Runtime, race, timeout_at};
use crate::shutdown::Shutdown;

/// How long a request's body may take to arrive.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a body may still arrive once the server ends. A leader that ends takes no new requests and is leader until
/// the ones it has are done, so that whoever sends slowly keeps everybody else from writing.
const LAST_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// A request's body before it is read.
pub(crate) struct Upload<'a> {
    incoming: Incoming,
    unread: &'a AtomicBool,
    held: &'a Held<'a>,
    shutdown: &'a Shutdown,
}

/// What a body is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLimit {
    /// A value of at most so many bytes.
    Value(usize),
    /// Anything else of at most so many bytes.
    Request(usize),
}

impl BodyLimit {
    fn bytes(self) -> usize {
        match self {
            BodyLimit::Value(bytes) | BodyLimit::Request(bytes) => bytes,
        }
    }

    fn exceeded(self, sent: Option<u64>) -> ApiError {
        match self {
            BodyLimit::Value(limit) => ApiError::ValueTooLarge { limit, sent },
            BodyLimit::Request(limit) => ApiError::RequestTooLarge { limit, sent },
        }
    }
}

impl<'a> Upload<'a> {
    /// `unread` is true for as long as there is a body that has not been read to its end; `held` counts what has been.
    pub(super) fn new(
        incoming: Incoming,
        unread: &'a AtomicBool,
        held: &'a Held<'a>,
        shutdown: &'a Shutdown,
    ) -> Self {
        unread.store(!incoming.is_end_stream(), Ordering::Relaxed);
        Upload { incoming, unread, held, shutdown }
    }

    /// Reads it all. A declared length above the limit is refused before a byte is read.
    ///
    /// # Errors `value_too_large` or `request_too_large`; `overloaded` when others hold too much; `body_too_slow`;
    /// `malformed` when it breaks off; `shutting_down`.
    pub(crate) async fn read(self, runtime: &impl Runtime, limit: BodyLimit) -> Result<Bytes, ApiError> {
        let declared = self.incoming.size_hint().lower();
        if declared > limit.bytes() as u64 {
            return Err(limit.exceeded(Some(declared)));
        }
        let mut received = Received::default();
        let deadline = runtime.now() + BODY_TIMEOUT;
        let end = async {
            self.shutdown.begun().await;
            runtime.sleep(LAST_BODY_TIMEOUT).await;
        };
        let filled = race(received.fill(self.incoming, limit, self.held), end);
        match timeout_at(runtime, deadline, filled).await {
            Ok(Either::Left(Ok(()))) => {}
            Ok(Either::Left(Err(error))) => return Err(error),
            Ok(Either::Right(())) => return Err(ApiError::ShuttingDown),
            Err(_) => {
                let seconds = BODY_TIMEOUT.as_secs();
                return Err(ApiError::BodyTooSlow { seconds, received: received.len() });
            }
        }
        self.unread.store(false, Ordering::Relaxed);
        Ok(received.into_bytes())
    }
}

/// Most bodies come in one piece, which needs no copy.
#[derive(Default)]
struct Received {
    first: Bytes,
    rest: BytesMut,
}

impl Received {
    async fn fill(
        &mut self,
        mut incoming: Incoming,
        limit: BodyLimit,
        held: &Held<'_>,
    ) -> Result<(), ApiError> {
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| ApiError::Malformed(format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if self.len() + data.len() > limit.bytes() {
                return Err(limit.exceeded(None));
            }
            held.add(data.len())?;
            if self.len() == 0 {
                self.first = data;
            } else {
                self.rest.extend_from_slice(&data);
            }
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut whole = BytesMut::with_capacity(self.len());
        whole.extend_from_slice(&self.first);
        whole.extend_from_slice(&self.rest);
        whole.freeze()
    }
}

/// What never ends by itself.
pub(crate) type EndlessBody = Pin<Box<dyn Body<Data = Bytes, Error = BrokenBody> + Send>>;

/// The body of an answer.
pub(crate) enum AnswerBody {
    /// Bytes at hand; empty once they are sent.
    Whole(Bytes),
    /// Pieces that are made as they are sent.
    Pieces(Box<dyn Iterator<Item = Vec<u8>> + Send>),
    /// What the leader answers, as it arrives.
    Forwarded(ForwardedBody),
    /// Pieces that come from elsewhere in this process.
    Streamed(StreamedBody),
    /// The same, and nobody knows yet how many.
    Open(OpenBody),
    /// Pieces that come for as long as the client listens and this node runs.
    Endless(EndlessBody),
}

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenBody {
    /// The leader's did.
    #[error(transparent)]
    Forwarded(#[from] hyper::Error),
    /// Whoever made the pieces ended before the last of them. The connection has to break: without that a client could
    /// take what came for all.
    #[error("{0} bytes of the answer are missing")]
    CutShort(u64),
    /// The same, of an answer whose length was not known.
    #[error("the end of the answer is missing")]
    Endless,
}

/// A body in pieces that somebody else makes until there are no more, which is said: `None` is the last.
pub(crate) struct OpenBody {
    pieces: mpsc::Receiver<Option<Bytes>>,
    is_over: bool,
}

impl OpenBody {
    pub(crate) fn new(pieces: mpsc::Receiver<Option<Bytes>>) -> Self {
        OpenBody { pieces, is_over: false }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(Some(piece)) => Some(Ok(Frame::data(piece))),
            Some(None) => {
                self.is_over = true;
                None
            }
            None => {
                self.is_over = true;
                Some(Err(BrokenBody::Endless))
            }
        })
    }
}

/// A body of a length that is known, in pieces that somebody else makes.
pub(crate) struct StreamedBody {
    pieces: mpsc::Receiver<Bytes>,
    left: u64,
}

impl StreamedBody {
    /// # Panics
    /// Later, when more bytes come than were announced.
    pub(crate) fn new(pieces: mpsc::Receiver<Bytes>, bytes: u64) -> Self {
        StreamedBody { pieces, left: bytes }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(piece) => {
                let left = self.left.checked_sub(piece.len() as u64);
                self.left = left.expect("no more is made than was announced");
                Some(Ok(Frame::data(piece)))
            }
            None => Some(Err(BrokenBody::CutShort(self.left))),
        })
    }
}

/// What the leader answers. When all of it has arrived, the connection goes back to the pool.
pub(crate) struct ForwardedBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl ForwardedBody {
    pub(crate) fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = ForwardedBody { incoming, lease: Some(lease) };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.incoming.is_end_stream() {
            self.give_back();
        }
        polled
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl AnswerBody {
    /// No bytes.
    pub(crate) fn empty() -> Self {
        AnswerBody::Whole(Bytes::new())
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        match self.get_mut() {
            AnswerBody::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            AnswerBody::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            AnswerBody::Pieces(pieces) => {
                Poll::Ready(pieces.next().map(|piece| Ok(Frame::data(piece.into()))))
            }
            AnswerBody::Forwarded(forwarded) => forwarded.poll_frame(context).map_err(BrokenBody::from),
            AnswerBody::Streamed(streamed) => streamed.poll_frame(context),
            AnswerBody::Open(open) => open.poll_frame(context),
            AnswerBody::Endless(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Whole(bytes) => bytes.is_empty(),
            AnswerBody::Pieces(_) | AnswerBody::Endless(_) => false,
            AnswerBody::Forwarded(forwarded) => forwarded.incoming.is_end_stream(),
            AnswerBody::Streamed(streamed) => streamed.left == 0,
            AnswerBody::Open(open) => open.is_over,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            AnswerBody::Pieces(_) | AnswerBody::Open(_) | AnswerBody::Endless(_) => SizeHint::default(),
            AnswerBody::Forwarded(forwarded) => forwarded.incoming.size_hint(),
            AnswerBody::Streamed(streamed) => SizeHint::with_exact(streamed.left),
        }
    }
}
