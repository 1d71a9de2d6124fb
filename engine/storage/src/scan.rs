//! Reading a segment without trusting it: which records are there, and where something is that is none.
//!
//! A record with a valid header is trusted for its length, so the next header's place is known. Where no valid header
//! stands at that place, the next one is searched for at every aligned offset; what lies between is a *gap*. For each
//! thing that fails its check the scan notes whether a sector that it spans reads as zeros: such a sector was never
//! written (see [`crate::record`]), and only a batch that was never synced may have one.

use crate::layout::{is_zero, length, round_up};
use crate::record::{ALIGNMENT, FLAG_LAST, HEADER_BYTES, Header, Kind, SECTOR_BYTES};

/// How well something reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Its checksum holds.
    Sound,
    /// Its checksum fails, and a sector it spans reads as zeros.
    Unwritten,
    /// Its checksum fails, and every sector it spans has been written.
    Rotten,
}

/// A record whose header is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) header: Header,
    /// The header's.
    pub(crate) checksum: u32,
    pub(crate) payload: Condition,
}

/// What a scan comes across, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Record(Record),
    /// From here to the next item, or to the end of the file, there is something, and it is not a record.
    Gap {
        from: u32,
        /// Of the header that should stand at `from`.
        header: Condition,
    },
}

impl Item {
    pub(crate) fn record(&self) -> Option<&Record> {
        match self {
            Item::Record(record) => Some(record),
            Item::Gap { .. } => None,
        }
    }
}

/// A whole segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) items: Vec<Item>,
    /// Where the header after the last record should be: the end of the log, when nothing but zeros follows.
    pub(crate) end: u32,
}

/// Reads the records of the segment with this id in `file`, its whole content, from `start` on.
pub(crate) fn scan(file: &[u8], segment: u64, start: u32) -> Scan {
    let mut items = Vec::new();
    let mut at = start;
    loop {
        let rest = file.get(at as usize..).unwrap_or_default();
        if let Some((header, checksum)) = Header::decode(rest, segment, at) {
            items.push(Item::Record(Record { header, checksum, payload: payload_condition(file, &header) }));
            at = next_header(&header);
            continue;
        }
        if is_zero(rest) {
            return Scan { items, end: at };
        }
        items.push(Item::Gap { from: at, header: failed(file, at, at.saturating_add(HEADER_BYTES)) });
        match find_header(file, segment, at) {
            Some(found) => at = found,
            None => return Scan { items, end: at },
        }
    }
}

/// Where the header after this record is.
pub(crate) fn next_header(header: &Header) -> u32 {
    let end = header.padded_end();
    let closes = header.kind == Kind::Mark || header.flags & FLAG_LAST != 0;
    if closes { round_up(end, SECTOR_BYTES) } else { end }
}

fn payload_condition(file: &[u8], header: &Header) -> Condition {
    let start = header.payload_start();
    match file.get(start as usize..header.end() as usize) {
        Some(payload) if crc32c::crc32c(payload) == header.payload_checksum => Condition::Sound,
        _ => failed(file, start, header.end()),
    }
}

/// The condition of what lies from `from` to `to` and fails its check.
fn failed(file: &[u8], from: u32, to: u32) -> Condition {
    let first = (from / SECTOR_BYTES * SECTOR_BYTES) as usize;
    let last = (round_up(to, SECTOR_BYTES) as usize).min(file.len());
    let mut sectors = file.get(first..last).unwrap_or_default().chunks(SECTOR_BYTES as usize);
    if sectors.any(is_zero) { Condition::Unwritten } else { Condition::Rotten }
}

fn find_header(file: &[u8], segment: u64, after: u32) -> Option<u32> {
    let first = after.saturating_add(1).next_multiple_of(ALIGNMENT);
    (first..length(file.len()))
        .step_by(ALIGNMENT as usize)
        .find(|at| Header::decode(&file[*at as usize..], segment, *at).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Form, Identity};
    use quorate_raft::{Index, LogId};

    const SEGMENT: u64 = 0x1111_2222_3333_4444;

    fn put(file: &mut [u8], offset: u32, payload: &[u8], flags: u8) {
        let header = Header {
            form: Form::Whole,
            payload_checksum: crc32c::crc32c(payload),
            length: length(payload.len()),
            offset,
            segment: SEGMENT,
            batch: 1,
            id: LogId::new(1, 1),
            commit_hint: Index(0),
            members_index: Index(0),
            previous: Identity::default(),
            kind: Kind::Command,
            flags,
        };
        let at = offset as usize;
        header.encode_into(&mut file[at..at + 96]);
        file[at + 96..at + 96 + payload.len()].copy_from_slice(payload);
    }

    fn segment() -> Vec<u8> {
        let mut file = vec![0; 8192];
        put(&mut file, 512, &[7; 100], 0);
        put(&mut file, 720, &[8; 1500], FLAG_LAST);
        put(&mut file, 2560, &[9; 10], FLAG_LAST);
        file
    }

    fn shape(file: &[u8]) -> (Vec<(u32, Option<Condition>, Condition)>, u32) {
        let scan = scan(file, SEGMENT, 512);
        let shape = scan.items.iter().map(|item| match item {
            Item::Record(record) => (record.header.offset, Some(Condition::Sound), record.payload),
            Item::Gap { from, header } => (*from, None, *header),
        });
        (shape.collect(), scan.end)
    }

    const SOUND: Option<Condition> = Some(Condition::Sound);

    #[test]
    fn whole_records_are_found_where_they_should_be() {
        let expected = vec![
            (512, SOUND, Condition::Sound),
            (720, SOUND, Condition::Sound),
            (2560, SOUND, Condition::Sound),
        ];
        assert_eq!(shape(&segment()), (expected, 3072));
        assert_eq!(shape(&vec![0; 8192]), (vec![], 512));
    }

    #[test]
    fn what_fails_is_rotten_unless_a_sector_was_never_written() {
        let mut file = segment();
        file[1000] ^= 1;
        assert_eq!(shape(&file).0[1], (720, SOUND, Condition::Rotten));
        file[1536..2048].fill(0);
        assert_eq!(shape(&file).0[1], (720, SOUND, Condition::Unwritten));
    }

    #[test]
    fn behind_a_lost_header_the_next_one_is_found() {
        let mut file = segment();
        file[730] ^= 1;
        let (items, _) = shape(&file);
        assert_eq!(items[1..], [(720, None, Condition::Rotten), (2560, SOUND, Condition::Sound)]);
        file[512..1024].fill(0);
        let (items, end) = shape(&file);
        assert_eq!(items, [(512, None, Condition::Unwritten), (2560, SOUND, Condition::Sound)]);
        assert_eq!(end, 3072);
    }

    #[test]
    fn bytes_after_the_end_are_a_gap() {
        let mut file = segment();
        file[5000] = 1;
        assert_eq!(shape(&file).0[3], (3072, None, Condition::Unwritten));
        file[3072] = 1;
        assert_eq!(shape(&file).0[3], (3072, None, Condition::Rotten));
    }
}
