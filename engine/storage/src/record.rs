//! One record of the log: a header of 96 or 56 bytes, then the payload, then padding up to 16 bytes.
//!
//! The whole header:
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
//! The short one, of a command right behind another one in its batch: what it does not say is known from that place.
//!
//! ```text
//!  0         4         8         12        16                  24                  32
//!  | header  | payload | payload | offset  | segment id        | index             |
//!  | checksum| checksum| length  | + form  |                   |                   |
//!  32        36        40        44        48                55 56
//!  | term    | back to | previous| previous| batch           | f|
//!  |         | members | length  | checksum|                 | l|
//! ```
//!
//! Offsets are multiples of 16; what is above one is the [`Form`].
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

/// The size of a record's whole header; no header is larger.
pub(crate) const HEADER_BYTES: u32 = 96;
/// The size of a short one.
const SHORT_HEADER_BYTES: u32 = 56;
/// Records begin at multiples of this.
pub(crate) const ALIGNMENT: u32 = 16;
/// Batches begin at multiples of this, the unit a disk writes as a whole: no later write touches their bytes.
pub(crate) const SECTOR_BYTES: u32 = 512;

/// The last record of its batch.
pub(crate) const FLAG_LAST: u8 = 1;
/// Not a new slot, but the payload of an old one, won back from a peer.
pub(crate) const FLAG_REPAIR: u8 = 2;

/// A short header has so many bits for the number of the batch.
const SHORT_BATCH_BITS: u32 = 56;
const MAX_SHORT_BATCH: u64 = (1 << SHORT_BATCH_BITS) - 1;

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

/// How a header is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// It says everything.
    Whole,
    /// A short one, right behind a record with a whole one.
    BehindWhole,
    /// A short one, right behind a record with a short one.
    BehindShort,
}

impl Form {
    /// The number that is added to the offset.
    fn code(self) -> u32 {
        match self {
            Form::Whole => 0,
            Form::BehindWhole => 1,
            Form::BehindShort => 2,
        }
    }

    /// The form of a header that says that it is at `said`, and is at `offset`.
    fn told_by(said: u32, offset: u32) -> Option<Form> {
        let forms = [Form::Whole, Form::BehindWhole, Form::BehindShort];
        forms.into_iter().find(|form| offset.checked_add(form.code()) == Some(said))
    }

    /// The size of the header.
    pub(crate) fn bytes(self) -> u32 {
        match self {
            Form::Whole => HEADER_BYTES,
            Form::BehindWhole | Form::BehindShort => SHORT_HEADER_BYTES,
        }
    }

    /// The size of the header before, of a short one.
    fn bytes_before(self) -> Option<u32> {
        match self {
            Form::Whole => None,
            Form::BehindWhole => Some(HEADER_BYTES),
            Form::BehindShort => Some(SHORT_HEADER_BYTES),
        }
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
    pub(crate) form: Form,
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
    /// The form that a header may have whose record follows `before` in its batch.
    ///
    /// A reader does not know how large a header is before it has it, and where it finds none it never does. It reads a
    /// whole one, and looks there for sectors of zeros; that must not reach a sector which the record itself does not.
    pub(crate) fn shortest_form(&self, before: &Header) -> Form {
        let follows = before.id.term == self.id.term
            && before.id.index.next() == self.id.index
            && [before.kind, self.kind] == [Kind::Command; 2]
            && [before.flags, self.flags] == [0; 2];
        let fits = u32::try_from(self.id.term.0).is_ok()
            && self.batch <= MAX_SHORT_BATCH
            && self.back_to_members().is_some();
        let last_sector = |bytes: u32| self.offset.saturating_add(bytes).saturating_sub(1) / SECTOR_BYTES;
        let reaches =
            last_sector(HEADER_BYTES) <= last_sector(SHORT_HEADER_BYTES.saturating_add(self.length));
        match before.form {
            _ if !follows || !fits || !reaches => Form::Whole,
            Form::Whole => Form::BehindWhole,
            Form::BehindWhole | Form::BehindShort => Form::BehindShort,
        }
    }

    /// How far before this slot the latest membership entry is.
    fn back_to_members(&self) -> Option<u32> {
        self.id.index.0.checked_sub(self.members_index.0).and_then(|distance| u32::try_from(distance).ok())
    }

    /// Writes the header, checksum included, to bytes of its size; returns the checksum.
    pub(crate) fn encode_into(&self, bytes: &mut [u8]) -> u32 {
        let mut packer = Packer::new(&mut bytes[4..]);
        packer
            .u32(self.payload_checksum)
            .u32(self.length)
            .u32(self.offset + self.form.code())
            .u64(self.segment);
        match self.form {
            Form::Whole => self.encode_whole(&mut packer),
            Form::BehindWhole | Form::BehindShort => self.encode_short(&mut packer),
        }
        let checksum = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }

    fn encode_whole(&self, packer: &mut Packer<'_>) {
        let previous = &self.previous;
        packer
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
    }

    fn encode_short(&self, packer: &mut Packer<'_>) {
        packer
            .u64(self.id.index.0)
            .u32(u32::try_from(self.id.term.0).expect("a short header is chosen where the term fits"))
            .u32(self.back_to_members().expect("and the distance"))
            .u32(self.previous.length)
            .u32(self.previous.checksum)
            .u64(self.batch | u64::from(self.flags) << SHORT_BATCH_BITS);
    }

    /// The header at the start of `bytes`, and its checksum, if it is whole and belongs to this place of this
    /// segment.
    pub(crate) fn decode(bytes: &[u8], segment: u64, offset: u32) -> Option<(Header, u32)> {
        // Cheapest first: a search for a header looks at every 16th byte of a segment.
        let said = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
        let form = Form::told_by(said, offset)?;
        let bytes = bytes.get(..form.bytes() as usize)?;
        if bytes[16..24] != segment.to_le_bytes() {
            return None;
        }
        let mut fields = Unpacker::new(bytes);
        let checksum = fields.u32();
        if crc32c::crc32c(&bytes[4..]) != checksum {
            return None;
        }
        let header = match form.bytes_before() {
            None => Self::decode_whole(&mut fields, offset),
            Some(before) => Self::decode_short(&mut fields, form, offset, before),
        }?;
        Some((header, checksum))
    }

    fn decode_whole(fields: &mut Unpacker<'_>, offset: u32) -> Option<Header> {
        let (payload_checksum, length, _) = (fields.u32(), fields.u32(), fields.u32());
        let (segment, batch) = (fields.u64(), count(fields));
        let id = log_id(fields);
        let (commit_hint, members_index) = (Index(count(fields)), Index(count(fields)));
        let previous_id = log_id(fields);
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
        Some(Header {
            form: Form::Whole,
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
        })
    }

    /// Nothing when it says what is not possible, and so was not written by us.
    fn decode_short(fields: &mut Unpacker<'_>, form: Form, offset: u32, before: u32) -> Option<Header> {
        let (payload_checksum, length, _) = (fields.u32(), fields.u32(), fields.u32());
        let (segment, index) = (fields.u64(), Index(count(fields)));
        let (term, back_to_members) = (Term(fields.u32().into()), u64::from(fields.u32()));
        let (previous_length, previous_checksum) = (fields.u32(), fields.u32());
        let batch_and_flags = fields.u64();
        let [flags, ..] = batch_and_flags.to_be_bytes();
        let previous = Identity {
            id: LogId { term, index: Index(index.0.checked_sub(1)?) },
            length: previous_length,
            checksum: previous_checksum,
            offset: offset.checked_sub(padded(before, previous_length))?,
            kind: Some(Kind::Command),
            flags: 0,
        };
        Some(Header {
            form,
            payload_checksum,
            length,
            offset,
            segment,
            batch: batch_and_flags & MAX_SHORT_BATCH,
            id: LogId { term, index },
            // It is said by the first record of the batch. Zero says nothing.
            commit_hint: Index(0),
            members_index: Index(index.0.checked_sub(back_to_members)?),
            previous,
            kind: Kind::Command,
            flags,
        })
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

    /// Where the payload begins, from the start of the file.
    pub(crate) fn payload_start(&self) -> u32 {
        self.offset.saturating_add(self.form.bytes())
    }

    /// Where the payload ends, from the start of the file. Never beyond what a `u32` holds: a record that says so
    /// is cut short by its segment's end and so damaged.
    pub(crate) fn end(&self) -> u32 {
        self.payload_start().saturating_add(self.length)
    }

    /// Where the record's padding ends, but for that of its batch.
    pub(crate) fn padded_end(&self) -> u32 {
        self.offset.saturating_add(padded(self.form.bytes(), self.length))
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

/// The most bytes that a record with this payload takes, padding included.
pub(crate) fn record_bytes(payload: u32) -> u32 {
    padded(HEADER_BYTES, payload)
}

fn padded(header: u32, payload: u32) -> u32 {
    crate::layout::round_up(header.saturating_add(payload), ALIGNMENT)
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
#[path = "record_tests.rs"]
mod tests;
