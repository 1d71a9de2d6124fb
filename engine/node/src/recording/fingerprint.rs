//! One number of many outputs.
//!
//! It is made of what decides: kinds, terms, indices, lengths, and after each turn the hash of the state. Contents of
//! byte strings are left out: what is in an entry is told by its id, and to read every value once more for each peer
//! that it is sent to would cost more than all the rest of a recorder.

use crate::{Checkpoint, Node, Output, Refusal, Reply};
use std::hash::{Hash, Hasher};

/// Spreads a number over all bits: an odd number near 2^64 divided by the golden ratio (Knuth, *The Art of Computer
/// Programming*, volume 3, §6.4).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Of the outputs of a turn, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// The node asks for this.
    pub(super) fn output(&mut self, output: &Output) {
        match output {
            Output::Send(envelope) => (1_u8, envelope).hash(self),
            Output::Job(job) => (2_u8, job).hash(self),
            Output::Checkpoint(checkpoint) => {
                let Checkpoint { last, members_at, base, tail_bytes, totals, .. } = &**checkpoint;
                (3_u8, last, members_at, base, tail_bytes).hash(self);
                (totals.revision, totals.rows, totals.state_hash).hash(self);
            }
            Output::Reply { id, reply } => {
                (4_u8, id).hash(self);
                self.reply(reply);
            }
            Output::Changed => 5_u8.hash(self),
            Output::Event(event) => (6_u8, event).hash(self),
            Output::Failed(what) => (7_u8, what).hash(self),
        }
    }

    /// What was read is a matter of the state, whose hash is in the fingerprint of the turn.
    fn reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Written { is_replay, revision, .. } => (0_u8, is_replay, revision).hash(self),
            Reply::Read { .. }
            | Reply::Listed(_)
            | Reply::Lease { .. }
            | Reply::Lock { .. }
            | Reply::Changes { .. }
            | Reply::OutOfReach { .. } => 1_u8.hash(self),
            Reply::MembersChanged { index } => (2_u8, index).hash(self),
            Reply::Transferred { leader } => (3_u8, leader).hash(self),
            Reply::Checkpointed => 4_u8.hash(self),
            Reply::NotLeader { leader } => (5_u8, leader).hash(self),
            Reply::Lost => 6_u8.hash(self),
            Reply::Unknown => 7_u8.hash(self),
            Reply::Refused(refusal) => (8_u8, *refusal == Refusal::Overloaded).hash(self),
        }
    }

    /// The node has nothing more to say: the number of this turn. The next begins anew.
    pub(super) fn turned(&mut self, node: &Node) -> u64 {
        let kv = node.kv();
        (node.raft().applied(), node.raft().leads_in(), kv.revision(), kv.state_hash()).hash(self);
        std::mem::take(self).0
    }
}

/// Takes numbers as they are, and of byte strings only how long they are.
impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.write_u64(bytes.len() as u64);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(29) ^ number).wrapping_mul(MULTIPLIER);
    }

    fn write_u128(&mut self, number: u128) {
        let bytes = number.to_le_bytes();
        let (low, high) = bytes.split_at(8);
        for half in [low, high] {
            self.write_u64(u64::from_le_bytes(half.try_into().expect("half of 16 bytes")));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(u64::from_ne_bytes((number as i64).to_ne_bytes()));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_raft::{Entry, Envelope, Event, Index, LogId, Message, NodeId, Payload, Term};

    fn of(outputs: &[Output]) -> u64 {
        let mut fingerprint = Fingerprint::default();
        outputs.iter().for_each(|output| fingerprint.output(output));
        fingerprint.finish()
    }

    fn append(term: u64, index: u64, command: &[u8], commit: u64) -> Output {
        let entry = Entry { id: LogId::new(term, index), payload: Payload::Command(command.into()) };
        let message = Message::Append { prev: LogId::new(1, 1), entries: vec![entry], commit: Index(commit) };
        Output::Send(Envelope { from: NodeId(1), to: NodeId(2), term: Term(3), message })
    }

    #[test]
    fn every_number_counts_and_so_does_the_order() {
        let one = append(3, 4, b"ab", 1);
        let others =
            [append(2, 4, b"ab", 1), append(3, 5, b"ab", 1), append(3, 4, b"abc", 1), append(3, 4, b"ab", 2)];
        for other in &others {
            assert_ne!(of(std::slice::from_ref(&one)), of(std::slice::from_ref(other)), "{other:?}");
        }
        let (leads, room) = (Event::BecameLeader { term: Term(1) }, Event::RoomAgain);
        let either = [Output::Event(leads.clone()), Output::Event(room.clone())];
        assert_ne!(of(&either), of(&[Output::Event(room), Output::Event(leads)]));
        assert_ne!(of(&[]), of(&[Output::Changed]));
    }

    /// So a base may have zeros in the place of commands that were applied.
    #[test]
    fn contents_of_commands_do_not_count() {
        assert_eq!(of(&[append(3, 4, b"ab", 1)]), of(&[append(3, 4, b"\0\0", 1)]));
    }
}
