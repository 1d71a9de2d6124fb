//! Large messages, cut into pieces.
//!
//! At 1 MB/s a value of 1 MiB keeps a connection busy for a second, twice an election timeout. So it is not written as
//! one frame but as many, between which heartbeats and votes find room.

use quorate_node::raft::Envelope;
use quorate_node::wire::codec;
use quorate_node::wire::frame::{FrameError, FrameKind, MAX_PAYLOAD_BYTES, encode_frame};

/// The size of a piece, in bytes. A message that is not larger goes whole.
pub(super) const PIECE_BYTES: usize = 16 << 10;

/// A message on its way out, a piece at a time.
///
/// Invariant: at least one byte is still to be written.
#[derive(Debug)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
}

impl Outgoing {
    pub(super) fn new(envelope: &Envelope) -> Outgoing {
        Outgoing { bytes: codec::encode(envelope), written: 0 }
    }

    /// Appends the next piece to `out`; returns what is left, if anything is.
    pub(super) fn write_piece(mut self, out: &mut Vec<u8>) -> Option<Outgoing> {
        let rest = &self.bytes[self.written..];
        assert!(!rest.is_empty(), "{} bytes are written of {}", self.written, self.bytes.len());
        if rest.len() <= PIECE_BYTES {
            encode_frame(FrameKind::LastPiece, rest, out);
            return None;
        }
        encode_frame(FrameKind::Piece, &rest[..PIECE_BYTES], out);
        self.written += PIECE_BYTES;
        Some(self)
    }
}

/// A message on its way in, a piece at a time.
#[derive(Debug, Default)]
pub(super) struct Incoming(Vec<u8>);

impl Incoming {
    /// Adds a piece.
    ///
    /// # Errors
    /// When the message becomes larger than any may be.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<(), FrameError> {
        let bytes = self.0.len() + piece.len();
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(FrameError::TooLarge { bytes, limit: MAX_PAYLOAD_BYTES });
        }
        self.0.extend_from_slice(piece);
        Ok(())
    }

    /// All of it, when the last piece was added. The memory goes with it.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// Whether the message stops in the middle.
    pub(super) fn is_partial(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use quorate_node::raft::{Entry, Index, LogId, Message, NodeId, Payload, Term};
    use quorate_node::wire::frame::FrameDecoder;

    fn envelope(bytes: usize) -> Envelope {
        let payload = Payload::Command((0..=u8::MAX).cycle().take(bytes).collect());
        let entries = vec![Entry { id: LogId::new(1, 1), payload }];
        let message = Message::Append { prev: LogId::ZERO, entries, commit: Index(0) };
        Envelope { from: NodeId(1), to: NodeId(2), term: Term(1), message }
    }

    #[test]
    fn what_was_cut_is_put_together_again() {
        for bytes in [0, 1, PIECE_BYTES - 200, PIECE_BYTES, 2 * PIECE_BYTES, 1 << 20] {
            let (mut stream, mut outgoing) = (Vec::new(), Some(Outgoing::new(&envelope(bytes))));
            while let Some(rest) = outgoing {
                let before = stream.len();
                outgoing = rest.write_piece(&mut stream);
                assert!(stream.len() - before <= PIECE_BYTES + 16);
            }
            let (mut decoder, mut incoming) = (FrameDecoder::new(), Incoming::default());
            decoder.push(&stream);
            let mut kinds = Vec::new();
            while let Some(frame) = decoder.next_frame().unwrap() {
                kinds.push(frame.kind);
                incoming.add(frame.payload).unwrap();
            }
            assert!(incoming.is_partial() && !decoder.is_partial());
            assert_eq!(codec::decode(&incoming.finish()), Ok(envelope(bytes)));
            assert!(!incoming.is_partial());
            let last = kinds.pop();
            assert_eq!(last, Some(FrameKind::LastPiece));
            assert!(kinds.iter().all(|kind| *kind == FrameKind::Piece));
        }
    }

    #[test]
    fn pieces_without_end_are_refused() {
        let mut incoming = Incoming::default();
        let piece = vec![0; MAX_PAYLOAD_BYTES / 4];
        assert!((0..4).all(|_| incoming.add(&piece).is_ok()));
        let bytes = MAX_PAYLOAD_BYTES + 1;
        assert_eq!(incoming.add(&[0]), Err(FrameError::TooLarge { bytes, limit: MAX_PAYLOAD_BYTES }));
    }
}
