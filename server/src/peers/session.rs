//! Frames both ways on one connection, until something breaks.
//!
//! Each side sends its answer of the handshake again, now and then, while messages arrive. So the other knows that its
//! words are heard: a partition, or a machine that is simply off, otherwise shows only when the kernel's patience ends,
//! minutes later, and until then a healed network would go on waiting for a retransmission.

use std::io;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::{Read, Write};
use quorate_node::raft::{Envelope, NodeId, Time};
use quorate_node::wire::codec::{self, DecodeError};
use quorate_node::wire::frame::{FrameDecoder, FrameError, FrameKind, encode_envelope, encode_frame};
use quorate_node::wire::hello::Verdict;

use super::delivery::Delivery;
use super::handshake::answer;
use super::pieces::{Incoming, Outgoing, PIECE_BYTES};
use super::queue::{Queue, bulk_weight};
use super::{Local, PeerCounters};
use crate::net::{Half, read_some, write_all};
use crate::runtime::{Either, Runtime, race, timeout_at};

/// About how much goes into one write, in bytes: what was written can't be overtaken any more.
const WRITE_BYTES: usize = 32 << 10;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;

/// How often each side shows that it hears, and looks whether it is heard.
const TICK: Duration = Duration::from_millis(500);

/// A link on which words get no sign of life for this long is broken.
const SILENCE: Duration = Duration::from_secs(2);

/// One connection after its handshake.
pub(super) struct Session<'a, R> {
    pub(super) runtime: &'a R,
    pub(super) local: &'a Local,
    pub(super) peer: NodeId,
    pub(super) queue: &'a Queue,
    pub(super) deliver: &'a Delivery,
    pub(super) counters: &'a PeerCounters,
    /// What was heard since the last tick.
    pub(super) heard: Heard,
}

/// What was heard of the other side since the last tick.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Anything: it lives.
    life: AtomicBool,
    /// A message, which wants a sign of life. A sign of life does not, or two of them would go on for ever.
    words: AtomicBool,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionEnd {
    /// The other side closed the connection.
    #[error("the other side closed the connection")]
    Closed,
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What was sent got no sign of life.
    #[error("no sign of life for {} s", SILENCE.as_secs())]
    Silent,
    /// What came is no frame.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A frame came that has no place here.
    #[error("a frame of kind {0:?} has no place here")]
    OutOfPlace(FrameKind),
    /// The frame holds no message.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// A message came from or for somebody else.
    #[error("a message from {from} to {to} on a link from {peer}")]
    Misdirected {
        /// Its sender.
        from: NodeId,
        /// Its receiver.
        to: NodeId,
        /// Who is at the other end.
        peer: NodeId,
    },
    /// The connection broke in the middle of a frame.
    #[error("the other side closed the connection in the middle of a frame")]
    Partial,
    /// This side wants no more: the peer has left, or the server ends.
    #[error("no longer wanted")]
    Unwanted,
}

impl SessionEnd {
    /// Whether the other side sent what it never should.
    pub(super) fn is_malformed(&self) -> bool {
        matches!(
            self,
            SessionEnd::Frame(_)
                | SessionEnd::OutOfPlace(_)
                | SessionEnd::Decode(_)
                | SessionEnd::Misdirected { .. }
        )
    }
}

impl<R: Runtime> Session<'_, R> {
    /// Reads and writes until something breaks. The connection is closed by dropping it.
    pub(super) async fn run<S: Read + Write + Unpin>(&self, stream: S, decoder: FrameDecoder) -> SessionEnd {
        let stream = Mutex::new(stream);
        let write = self.write(Half(&stream));
        let read = self.read(Half(&stream), decoder);
        match race(write, read).await {
            Either::Left(ended) | Either::Right(ended) => ended.unwrap_or_else(|end| end),
        }
    }

    async fn read<S: Read + Unpin>(
        &self,
        mut stream: S,
        mut decoder: FrameDecoder,
    ) -> Result<SessionEnd, SessionEnd> {
        let mut bytes = vec![0; READ_BYTES];
        let mut incoming = Incoming::default();
        loop {
            while let Some(frame) = decoder.next_frame()? {
                match frame.kind {
                    // It has said what it had to by arriving.
                    FrameKind::Answer => continue,
                    FrameKind::Hello => return Err(SessionEnd::OutOfPlace(frame.kind)),
                    FrameKind::Envelope | FrameKind::Piece | FrameKind::LastPiece => {}
                }
                self.heard.words.store(true, Ordering::Relaxed);
                if frame.kind == FrameKind::Envelope {
                    self.take_in(frame.payload).await?;
                    continue;
                }
                incoming.add(frame.payload)?;
                if frame.kind == FrameKind::LastPiece {
                    self.take_in(&incoming.finish()).await?;
                }
            }
            let count = read_some(&mut stream, &mut bytes).await?;
            if count == 0 {
                let is_partial = decoder.is_partial() || incoming.is_partial();
                return Ok(if is_partial { SessionEnd::Partial } else { SessionEnd::Closed });
            }
            self.heard.life.store(true, Ordering::Relaxed);
            self.counters.received_bytes.add(count as u64);
            decoder.push(&bytes[..count]);
        }
    }

    /// Hands a message to the driver. When that lags, waiting here is what slows the peer down.
    async fn take_in(&self, payload: &[u8]) -> Result<(), SessionEnd> {
        let envelope: Envelope = codec::decode(payload)?;
        if envelope.from != self.peer || envelope.to != self.local.node {
            let Envelope { from, to, .. } = envelope;
            return Err(SessionEnd::Misdirected { from, to, peer: self.peer });
        }
        self.counters.received_messages.count();
        self.deliver.message(envelope, payload.len()).await.map_err(|_| SessionEnd::Unwanted)
    }

    async fn write<S: Write + Unpin>(&self, mut stream: S) -> Result<SessionEnd, SessionEnd> {
        let mut bytes = Vec::new();
        // A large message that is written in pieces.
        let mut large = None;
        let mut spoken_at = None;
        let mut tick = pin!(self.runtime.sleep(TICK));
        loop {
            let waiting = std::future::poll_fn(|context| match self.queue.poll_waiting(context) {
                Poll::Pending if large.is_some() => Poll::Ready(true),
                polled => polled,
            });
            match race(tick.as_mut(), waiting).await {
                Either::Left(()) => {
                    tick.set(self.runtime.sleep(TICK));
                    self.tick(&mut spoken_at, &mut bytes)?;
                }
                Either::Right(true) => {
                    self.gather(&mut large, &mut bytes);
                    spoken_at.get_or_insert_with(|| self.runtime.now());
                }
                Either::Right(false) => return Ok(SessionEnd::Unwanted),
            }
            if !bytes.is_empty() {
                let patience = self.runtime.now() + SILENCE;
                timeout_at(self.runtime, patience, write_all(&mut stream, &bytes))
                    .await
                    .map_err(|_| SessionEnd::Silent)??;
                self.counters.sent_bytes.add(bytes.len() as u64);
                // One large batch should not keep its memory for good.
                bytes.clear();
                bytes.shrink_to(2 * WRITE_BYTES);
            }
        }
    }

    /// Gathers what goes into the next write.
    fn gather(&self, large: &mut Option<Outgoing>, bytes: &mut Vec<u8>) {
        let now = self.runtime.now();
        while bytes.len() < WRITE_BYTES {
            if let Some(outgoing) = large.take() {
                if let Some(overdue) = self.queue.take_overdue(now) {
                    encode_envelope(&overdue, bytes);
                    self.counters.sent_messages.count();
                    *large = Some(outgoing);
                } else {
                    *large = outgoing.write_piece(bytes);
                }
            } else if let Some(envelope) = self.queue.take(now) {
                self.counters.sent_messages.count();
                if bulk_weight(&envelope.message).is_some_and(|weight| weight > PIECE_BYTES) {
                    *large = Some(Outgoing::new(&envelope));
                } else {
                    encode_envelope(&envelope, bytes);
                }
            } else {
                return;
            }
            if large.is_none() {
                self.queue.has_left(now);
            }
        }
    }

    /// Shows that something was heard, and looks whether what was said was.
    fn tick(&self, spoken_at: &mut Option<Time>, bytes: &mut Vec<u8>) -> Result<(), SessionEnd> {
        if self.heard.words.swap(false, Ordering::Relaxed) {
            encode_frame(FrameKind::Answer, &answer(self.local, Verdict::Accepted).encode(), bytes);
        }
        if self.heard.life.swap(false, Ordering::Relaxed) {
            *spoken_at = None;
        } else if spoken_at.is_some_and(|at| self.runtime.now().since(at) > SILENCE) {
            return Err(SessionEnd::Silent);
        }
        Ok(())
    }
}
