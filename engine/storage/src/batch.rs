//! A batch of records on its way to the disk: one buffer, one write.

use quorate_raft::{Entry, Index, LogId, Payload};
use quorate_wire::{codec, entry};

use crate::layout::{length, round_up};
use crate::record::{ALIGNMENT, FLAG_LAST, Form, Header, Identity, Kind, SECTOR_BYTES, mask, record_bytes};
use crate::segment::VERSION_WITH_SHORT_HEADERS;

/// What a new record says, but for what the batch knows itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) id: LogId,
    pub(crate) commit_hint: Index,
    pub(crate) members_index: Index,
}

/// The records of one batch.
///
/// Invariant: all records but the last have their final header. The last one's is written when the next record or the
/// batch's end comes, because it tells which of the two came, and its checksum goes into the next record.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    number: u64,
    segment: u64,
    offset: u32,
    previous: Identity,
    open: Option<Header>,
    /// Whether headers may be short.
    is_short: bool,
}

impl Batch {
    /// Begins a batch at `offset` of the segment with this id, which is of this version.
    pub(crate) fn begin(&mut self, number: u64, segment: u64, version: u32, offset: u32, previous: Identity) {
        assert!(self.is_empty() && offset.is_multiple_of(SECTOR_BYTES), "batch {number} at {offset}");
        (self.number, self.segment, self.offset, self.previous) = (number, segment, offset, previous);
        self.is_short = version >= VERSION_WITH_SHORT_HEADERS;
    }

    /// Whether there's no record in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Where the next record would begin, from the start of the segment.
    pub(crate) fn end(&self) -> u32 {
        self.offset + length(self.bytes.len())
    }

    /// Adds a record with this entry's payload, or with none, and says where it is.
    pub(crate) fn push(&mut self, draft: Draft, entry: Option<&Entry>) -> u32 {
        let before = self.open;
        self.seal(0);
        let mut header = Header {
            form: Form::Whole,
            payload_checksum: 0,
            length: entry.map_or(0, payload_bytes),
            offset: self.end(),
            segment: self.segment,
            batch: self.number,
            id: draft.id,
            commit_hint: draft.commit_hint,
            members_index: draft.members_index,
            previous: self.previous,
            kind: draft.kind,
            flags: draft.flags,
        };
        if let Some(before) = before.filter(|_| self.is_short) {
            header.form = header.shortest_form(&before);
        }
        let payload_start = self.bytes.len() + header.form.bytes() as usize;
        self.bytes.resize(payload_start, 0);
        if let Some(entry) = entry {
            entry::encode_entry_into(entry, &mut self.bytes);
        }
        let payload = &mut self.bytes[payload_start..];
        assert_eq!(length(payload.len()), header.length, "an entry takes what was said before");
        mask(payload, self.segment, header.payload_start());
        header.payload_checksum = crc32c::crc32c(payload);
        self.open = Some(header);
        self.pad(ALIGNMENT);
        header.offset
    }

    /// Ends the batch: its bytes, padded to whole sectors, and where they go.
    pub(crate) fn finish(&mut self) -> (&[u8], u32) {
        self.seal(FLAG_LAST);
        self.pad(SECTOR_BYTES);
        (&self.bytes, self.offset)
    }

    /// The last record's identity, for the batch that comes next; this one is empty afterwards.
    pub(crate) fn clear(&mut self) -> Identity {
        /// What a burst left is given back; ordinary batches need no new memory.
        const KEPT_BYTES: usize = 4 << 20;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.previous
    }

    fn seal(&mut self, flags: u8) {
        if let Some(mut header) = self.open.take() {
            header.flags |= flags;
            let start = (header.offset - self.offset) as usize;
            let checksum = header.encode_into(&mut self.bytes[start..][..header.form.bytes() as usize]);
            self.previous = header.identity(checksum);
        }
    }

    /// Pads with the mask's own bytes, because no written sector may read as zeros.
    fn pad(&mut self, unit: u32) {
        let start = self.bytes.len();
        let at = self.end();
        self.bytes.resize(start + (round_up(at, unit) - at) as usize, 0);
        mask(&mut self.bytes[start..], self.segment, at);
    }
}

/// The most bytes that a record of this entry takes, padding included.
pub(crate) fn entry_bytes(entry: &Entry) -> u32 {
    record_bytes(payload_bytes(entry))
}

fn payload_bytes(entry: &Entry) -> u32 {
    let content = match &entry.payload {
        Payload::Noop => 0,
        Payload::Command(command) => command.len(),
        Payload::Members(members) => codec::encode(&**members).len(),
    };
    length(1 + content)
}

/// The kind of an entry's record.
pub(crate) fn entry_kind(entry: &Entry) -> Kind {
    match entry.payload {
        Payload::Noop => Kind::Noop,
        Payload::Command(_) => Kind::Command,
        Payload::Members(_) => Kind::Members,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_as_many_bytes_as_is_said_before_it_is_written() {
        let command = |bytes: usize| Payload::Command(vec![7; bytes].into());
        let payloads = (0..40).map(command).chain([Payload::Noop, Payload::Members(Default::default())]);
        for payload in payloads {
            let entry = Entry { id: LogId::new(1, 1), payload };
            let mut batch = Batch::default();
            batch.begin(1, 5, 3, SECTOR_BYTES, Identity::default());
            let (commit_hint, members_index) = (Index(0), Index(0));
            let kind = entry_kind(&entry);
            batch.push(Draft { kind, flags: 0, id: entry.id, commit_hint, members_index }, Some(&entry));
            assert_eq!(batch.end() - SECTOR_BYTES, entry_bytes(&entry), "{entry:?}");
            // Behind another command one takes less.
            let (before, is_command) = (batch.end(), matches!(entry.payload, Payload::Command(_)));
            let id = LogId::new(1, 2);
            batch.push(Draft { kind, flags: 0, id, commit_hint, members_index }, Some(&entry));
            let taken = batch.end() - before;
            assert!(taken + 32 <= entry_bytes(&entry) || !is_command, "{taken} bytes for {entry:?}");
            assert!(taken == entry_bytes(&entry) || is_command, "{taken} bytes for {entry:?}");
        }
    }
}
