//! What goes to a follower, written and read.

use quorate_raft::{Envelope, Index, LogId, Message, NodeId, Term};
use quorate_wire::frame::{FrameDecoder, encode_envelope};

/// A message with entries, and its bytes.
#[derive(Debug)]
pub struct Append {
    envelope: Envelope,
    bytes: Vec<u8>,
}

impl Append {
    /// One with so many entries.
    pub fn of(count: usize) -> Append {
        let entries = crate::puts::entries(2, count);
        let message = Message::Append { prev: LogId::new(1, 1), entries, commit: Index(1) };
        let envelope = Envelope { from: NodeId(1), to: NodeId(2), term: Term(1), message };
        let mut bytes = Vec::new();
        encode_envelope(&envelope, &mut bytes);
        Append { envelope, bytes }
    }

    /// Writes it as a frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        encode_envelope(&self.envelope, out);
    }

    /// Reads the frame.
    pub fn decode(&self) -> Envelope {
        let mut decoder = FrameDecoder::new();
        decoder.push(&self.bytes);
        let frame = decoder.next_frame().unwrap().unwrap();
        quorate_wire::codec::decode(frame.payload).unwrap()
    }
}
