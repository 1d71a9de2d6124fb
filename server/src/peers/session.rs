//! Frames both ways on one connection, until something breaks.
//!
//! Each side sends its answer of the handshake again, now and then, while messages arrive. So the other knows that its
//! words are heard: a partition, or a machine that is simply off, otherwise shows only when the kernel's patience ends,
//! minutes later, and until then a healed network would go on waiting for a retransmission.

use std::io;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::rt::{Read, Write};
use quorate_node::raft::{Envelope, NodeId, Time};
use quorate_node::wire::codec::{self, DecodeError};
use quorate_node::wire::frame::{FrameDecoder, FrameError, FrameKind, encode_envelope, encode_frame};
use quorate_node::wire::hello::Verdict;
use tokio::sync::mpsc;

use super::handshake::answer;
use super::queue::Queue;
use super::{Local, PeerEvent};
use crate::net::{Half, read_some, write_all};
use crate::runtime::{Either, Runtime, race, timeout_at};

/// About how much goes into one write, in bytes.
const WRITE_BYTES: usize = 256 << 10;

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
    pub(super) deliver: &'a mpsc::Sender<PeerEvent>,
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
        loop {
            while let Some(frame) = decoder.next_frame()? {
                let event = match frame.kind {
                    FrameKind::Envelope => self.envelope(frame.payload)?,
                    // It has said what it had to by arriving.
                    FrameKind::Answer => continue,
                    FrameKind::Hello => return Err(SessionEnd::OutOfPlace(frame.kind)),
                };
                self.heard.words.store(true, Ordering::Relaxed);
                // When the driver lags, waiting here is what slows the peer down.
                self.deliver.send(event).await.map_err(|_| SessionEnd::Unwanted)?;
            }
            let count = read_some(&mut stream, &mut bytes).await?;
            if count == 0 {
                return Ok(if decoder.is_partial() { SessionEnd::Partial } else { SessionEnd::Closed });
            }
            self.heard.life.store(true, Ordering::Relaxed);
            decoder.push(&bytes[..count]);
        }
    }

    fn envelope(&self, payload: &[u8]) -> Result<PeerEvent, SessionEnd> {
        let envelope: Envelope = codec::decode(payload)?;
        if envelope.from != self.peer || envelope.to != self.local.node {
            let Envelope { from, to, .. } = envelope;
            return Err(SessionEnd::Misdirected { from, to, peer: self.peer });
        }
        Ok(PeerEvent::Message(envelope))
    }

    async fn write<S: Write + Unpin>(&self, mut stream: S) -> Result<SessionEnd, SessionEnd> {
        let mut bytes = Vec::new();
        let mut spoken_at = None;
        let mut tick = pin!(self.runtime.sleep(TICK));
        loop {
            let waiting = std::future::poll_fn(|context| self.queue.poll_waiting(context));
            match race(tick.as_mut(), waiting).await {
                Either::Left(()) => {
                    tick.set(self.runtime.sleep(TICK));
                    self.tick(&mut spoken_at, &mut bytes)?;
                }
                Either::Right(true) => {
                    for envelope in self.queue.take(WRITE_BYTES) {
                        encode_envelope(&envelope, &mut bytes);
                    }
                    spoken_at.get_or_insert_with(|| self.runtime.now());
                }
                Either::Right(false) => return Ok(SessionEnd::Unwanted),
            }
            if !bytes.is_empty() {
                let patience = self.runtime.now() + SILENCE;
                timeout_at(self.runtime, patience, write_all(&mut stream, &bytes))
                    .await
                    .map_err(|_| SessionEnd::Silent)??;
                // One large batch should not keep its memory for good.
                bytes.clear();
                bytes.shrink_to(2 * WRITE_BYTES);
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
