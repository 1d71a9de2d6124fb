//! One record of the log: a header of 96 bytes, then the payload, then padding up to 16 bytes.
//!
//! ```text
//!  0         4         8         12        16                  24                  32
//!  | header  | payload | payload | offset  | segment id        | batch             |
//!  | checksum| checksum| length  |         |                   |                   |
//!  32                  40                  48                  56                  64
//!  | term              | index             | commit hint       | members index     |
//!  64                  72                  80        84        88        92  93  94  95  96
//!  | previous term     | previous index    | previous| prev.   | prev.   |kind|flags|prev.|prev.|
//!  |                   |                   | length  | checksum| offset  |    |     |kind |flags|
//! ```
//!
//! Why two checksums: a rotten payload must not cost the slot's term, and votes compare terms. Why the link to the
//! record before: a header that is lost is known again from its successor. Why segment id and offset: bytes at the
//! wrong place, or left from another use of the file, never pass; and because the id is random, no value that a
//! client stores can forge a record. Why the members index: behind a hole in the log one must know whether a change
//! of membership fell into it.
//!
//! Payloads are masked with the segment id, so that **no sector that was written reads as zeros**. Recovery relies on
//! it: a sector of zeros inside a record never reached the disk, whatever the client's value was.

use quorate_raft::{Index, LogId, Term};

use crate::layout::{Packer, Unpacker};

/// The size of a record's header.
pub(crate) const HEADER_BYTES: u32 = 96;
/// Records begin at multiples of this.
pub(crate) const ALIGNMENT: u32 = 16;
/// Batches begin at multiples of this, the unit a disk writes as a whole: no later write touches their bytes.
pub(crate) const SECTOR_BYTES: u32 = 512;

/// The last record of its batch.
pub(crate) const FLAG_LAST: u8 = 1;
/// Not a new slot, but the payload of an old one, won back from a peer.
pub(crate) const FLAG_REPAIR: u8 = 2;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A slot with nothing in it. A slot at or below the last replaces that one and drops all after it.
    Noop,
    /// A slot with a command.
    Command,
    /// A slot with a configuration.
    Members,
    /// The log ends before `id.index` now; `id.term` is the term of the slot before.
    Truncate,
    /// All before this is synced. It's no part of a batch, nobody links to it, and it may vanish.
    Mark,
}

impl Kind {
    fn code(kind: Option<Kind>) -> u8 {
        match kind {
            None => 0,
            Some(Kind::Noop) => 1,
            Some(Kind::Command) => 2,
            Some(Kind::Members) => 3,
            Some(Kind::Truncate) => 4,
            Some(Kind::Mark) => 5,
        }
    }

    fn from_code(code: u8) -> Option<Kind> {
        match code {
            1 => Some(Kind::Noop),
            2 => Some(Kind::Command),
            3 => Some(Kind::Members),
            4 => Some(Kind::Truncate),
            5 => Some(Kind::Mark),
            _ => None,
        }
    }

    /// Whether it fills a slot.
    pub(crate) fn is_slot(self) -> bool {
        matches!(self, Kind::Noop | Kind::Command | Kind::Members)
    }
}

/// What a record's successor says about it. The default stands for "no record": the log begins here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: LogId,
    pub(crate) length: u32,
    /// The header's checksum.
    pub(crate) checksum: u32,
    pub(crate) offset: u32,
    pub(crate) kind: Option<Kind>,
    pub(crate) flags: u8,
}

impl Identity {
    /// Whether the record added a slot, rather than mending or dropping some.
    pub(crate) fn is_append(&self) -> bool {
        self.kind.is_some_and(Kind::is_slot) && self.flags & FLAG_REPAIR == 0
    }
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) payload_checksum: u32,
    pub(crate) length: u32,
    /// From the start of the file.
    pub(crate) offset: u32,
    pub(crate) segment: u64,
    pub(crate) batch: u64,
    pub(crate) id: LogId,
    pub(crate) commit_hint: Index,
    /// The latest membership entry of the log as it is after this record.
    pub(crate) members_index: Index,
    pub(crate) previous: Identity,
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
}

impl Header {
    /// The header's bytes, checksum included.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        let previous = &self.previous;
        Packer::new(&mut bytes[4..])
            .u32(self.payload_checksum)
            .u32(self.length)
            .u32(self.offset)
            .u64(self.segment)
            .u64(self.batch)
            .u64(self.id.term.0)
            .u64(self.id.index.0)
            .u64(self.commit_hint.0)
            .u64(self.members_index.0)
            .u64(previous.id.term.0)
            .u64(previous.id.index.0)
            .u32(previous.length)
            .u32(previous.checksum)
            .u32(previous.offset)
            .u8(Kind::code(Some(self.kind)))
            .u8(self.flags)
            .u8(Kind::code(previous.kind))
            .u8(previous.flags);
        let checksum = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, and its checksum, if it is whole and belongs to this place of this
    /// segment.
    pub(crate) fn decode(bytes: &[u8], segment: u64, offset: u32) -> Option<(Header, u32)> {
        let bytes = bytes.get(..HEADER_BYTES as usize)?;
        // Cheapest first: a search for a header looks at every 16th byte of a segment.
        if bytes[12..16] != offset.to_le_bytes() || bytes[16..24] != segment.to_le_bytes() {
            return None;
        }
        let mut fields = Unpacker::new(bytes);
        let checksum = fields.u32();
        if crc32c::crc32c(&bytes[4..]) != checksum {
            return None;
        }
        let (payload_checksum, length, offset) = (fields.u32(), fields.u32(), fields.u32());
        let (segment, batch) = (fields.u64(), count(&mut fields));
        let id = log_id(&mut fields);
        let (commit_hint, members_index) = (Index(count(&mut fields)), Index(count(&mut fields)));
        let previous_id = log_id(&mut fields);
        let (previous_length, previous_checksum) = (fields.u32(), fields.u32());
        let previous_offset = fields.u32();
        let (kind, flags) = (Kind::from_code(fields.u8())?, fields.u8());
        let previous = Identity {
            id: previous_id,
            length: previous_length,
            checksum: previous_checksum,
            offset: previous_offset,
            kind: Kind::from_code(fields.u8()),
            flags: fields.u8(),
        };
        let header = Header {
            payload_checksum,
            length,
            offset,
            segment,
            batch,
            id,
            commit_hint,
            members_index,
            previous,
            kind,
            flags,
        };
        Some((header, checksum))
    }

    /// What the next record says about this one.
    pub(crate) fn identity(&self, checksum: u32) -> Identity {
        Identity {
            id: self.id,
            length: self.length,
            checksum,
            offset: self.offset,
            kind: Some(self.kind),
            flags: self.flags,
        }
    }

    /// Where the payload ends, from the start of the file. Never beyond what a `u32` holds: a record that says so
    /// is cut short by its segment's end and so damaged.
    pub(crate) fn end(&self) -> u32 {
        self.offset.saturating_add(HEADER_BYTES).saturating_add(self.length)
    }
}

/// A number that counts events of a node's life and so stays far below 2^62. A larger one can only be forged, and is
/// cut down to where counting on from it can't overflow.
pub(crate) fn count(fields: &mut Unpacker<'_>) -> u64 {
    const MOST: u64 = 1 << 62;
    fields.u64().min(MOST)
}

/// A term and an index.
pub(crate) fn log_id(fields: &mut Unpacker<'_>) -> LogId {
    let (term, index) = (count(fields), count(fields));
    LogId { term: Term(term), index: Index(index) }
}

/// Reads back the kind of an [`Identity`] that a segment header holds.
pub(crate) fn kind_from_code(code: u8) -> Option<Kind> {
    Kind::from_code(code)
}

/// The code of an [`Identity`]'s kind.
pub(crate) fn kind_code(kind: Option<Kind>) -> u8 {
    Kind::code(kind)
}

/// How many bytes a record with this payload takes, padding included.
pub(crate) fn record_bytes(payload: u32) -> u32 {
    crate::layout::round_up(HEADER_BYTES.saturating_add(payload), ALIGNMENT)
}

/// Masks or unmasks bytes that lie at `offset` of the segment with this id.
pub(crate) fn mask(bytes: &mut [u8], segment: u64, offset: u32) {
    let key = segment.to_le_bytes();
    let mut turned = key;
    turned.rotate_left(offset as usize % key.len());
    let word = u64::from_le_bytes(turned);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_le_bytes(*chunk) ^ word).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            payload_checksum: 1,
            length: 300,
            offset: 512,
            segment: 0x0123_4567_89ab_cdef,
            batch: 7,
            id: LogId::new(3, 9),
            commit_hint: Index(8),
            members_index: Index(2),
            previous: Identity {
                id: LogId::new(2, 8),
                length: 5,
                checksum: 6,
                offset: 128,
                kind: Some(Kind::Members),
                flags: FLAG_LAST,
            },
            kind: Kind::Command,
            flags: FLAG_LAST,
        }
    }

    #[test]
    fn a_header_is_read_as_written_and_only_at_its_place() {
        let header = header();
        let bytes = header.encode();
        let (read, checksum) = Header::decode(&bytes, header.segment, 512).unwrap();
        assert_eq!(read, header);
        assert_eq!(bytes[..4], checksum.to_le_bytes());
        assert_eq!(Header::decode(&bytes, header.segment, 528), None, "a misdirected write");
        assert_eq!(Header::decode(&bytes, header.segment + 1, 512), None, "another use of the file");
        assert_eq!(Header::decode(&bytes[..95], header.segment, 512), None);
    }

    #[test]
    fn no_flipped_bit_passes() {
        let bytes = header().encode();
        for bit in 0..bytes.len() * 8 {
            let mut rotten = bytes;
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&rotten, header().segment, 512), None, "bit {bit}");
        }
    }

    #[test]
    fn a_mask_undoes_itself_wherever_it_begins() {
        let plain: Vec<u8> = (0..50).collect();
        for offset in 0..20 {
            let mut bytes = plain.clone();
            mask(&mut bytes, 0x0123_4567_89ab_cdef, offset);
            assert_ne!(bytes, plain);
            // Unmasked in two pieces, as a reader may do.
            let (first, second) = bytes.split_at_mut(13);
            mask(first, 0x0123_4567_89ab_cdef, offset);
            mask(second, 0x0123_4567_89ab_cdef, offset + 13);
            assert_eq!(bytes, plain);
        }
    }
    #[test]
    fn only_entries_fill_slots() {
        for kind in [Kind::Noop, Kind::Command, Kind::Members] {
            assert!(kind.is_slot(), "{kind:?}");
        }
        for kind in [Kind::Truncate, Kind::Mark] {
            assert!(!kind.is_slot(), "{kind:?}");
        }
    }
}
