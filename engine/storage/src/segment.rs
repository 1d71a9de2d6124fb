//! A segment's header, and the names of the log's files.
//!
//! ```text
//!   0              8         12        16        20        24
//!   | "QRTE-LOG"   | checksum| version | size of | segment |
//!   |              |         |         | a copy  | number  |
//!   24                  32                  40                  48
//!   | segment id        | segment bytes     | batch             |
//!   48                  56                  64                  72                  80                  88
//!   | last term         | last index        | commit hint       | members at: term  | members at: index |
//!   88        92        96                  104                 112       116       120   121   122  124       128
//!   | previous| previous| previous term     | previous index    | previous| prev.   |prev.|prev.| 0  | members |
//!   | segment | offset  |                   |                   | length  | checksum|kind |flags|    | bytes   |
//!   128: the configuration in force, as quorate-wire's codec writes it; then zeros up to the size of a copy
//! ```
//!
//! The header stands twice, in different 4 KiB pages, because without it no record of the segment can be read. It is
//! durable before the file gets its name, so a named segment without a header is damage, never an interrupted start.
//! The checksum covers the whole copy but itself and the magic.

use quorate_raft::{Index, LogId, Members};
use quorate_wire::codec;

use crate::layout::{Packer, Unpacker, length, position, round_up};
use crate::record::{Identity, count, kind_code, kind_from_code, log_id};

/// The first version of the format of `log/`.
pub(crate) const VERSION: u32 = 1;
/// The version in which configurations may have join tokens. A log of the first one goes on in it without any, since
/// older releases read that; what they can't decode they would take for damage.
pub(crate) const VERSION_WITH_TOKENS: u32 = 2;
/// The version in which records may also have short headers. New logs begin with it; one that was begun in an earlier
/// version keeps that, so that a node may go back to the release that it comes from.
pub(crate) const VERSION_WITH_SHORT_HEADERS: u32 = 3;
/// The latest version.
pub(crate) const NEWEST_VERSION: u32 = VERSION_WITH_SHORT_HEADERS;
/// The directory of the log.
pub(crate) const DIRECTORY: &str = "log";
/// The copies of a header begin at multiples of this.
pub(crate) const PAGE_BYTES: u32 = 4096;
/// No configuration is larger than this many pages.
const MAX_COPY_PAGES: u32 = 256;
pub(crate) const MAGIC: &[u8; 8] = b"QRTE-LOG";
const FIXED_BYTES: u32 = 128;

/// Names a segment. They only grow; the first is 1, and 0 stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentNumber(pub(crate) u32);

impl SegmentNumber {
    pub(crate) fn next(self) -> SegmentNumber {
        SegmentNumber(self.0 + 1)
    }
}

/// Behind a segment with a higher number there would be none left for those that follow. It would take petabytes of
/// writes to segments of the usual size to get there, so no node has given it that name.
const HIGHEST_NUMBER: u32 = u32::MAX - (1 << 16);

/// What a file below `log/` is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFile {
    /// A segment of the log.
    Segment(SegmentNumber),
    /// Zeros, ready to become a segment.
    Spare(SegmentNumber),
    /// On its way to becoming a spare; worthless after a crash.
    Filling(SegmentNumber),
}

impl LogFile {
    pub(crate) fn from_name(name: &str) -> Option<LogFile> {
        let (number, kind) = name.split_once('.')?;
        if number.len() != 8 {
            return None;
        }
        let number = u32::from_str_radix(number, 16).ok().filter(|number| *number <= HIGHEST_NUMBER)?;
        let number = SegmentNumber(number);
        let file = match kind {
            "log" => LogFile::Segment(number),
            "spare" => LogFile::Spare(number),
            "filling" => LogFile::Filling(number),
            _ => return None,
        };
        (file.path() == format!("{DIRECTORY}/{name}")).then_some(file)
    }

    pub(crate) fn path(self) -> String {
        let (SegmentNumber(number), kind) = match self {
            LogFile::Segment(number) => (number, "log"),
            LogFile::Spare(number) => (number, "spare"),
            LogFile::Filling(number) => (number, "filling"),
        };
        format!("{DIRECTORY}/{number:08x}.{kind}")
    }
}

impl From<LogFile> for String {
    fn from(file: LogFile) -> String {
        file.path()
    }
}

/// Where a segment's chain comes from: the last record before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// The segment that holds the record; zero when the log begins with this segment.
    pub(crate) segment: SegmentNumber,
    pub(crate) record: Identity,
}

/// The header of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u32,
    pub(crate) number: SegmentNumber,
    pub(crate) id: u64,
    /// The length of the file.
    pub(crate) bytes: u64,
    /// Beginning a segment counts as a batch, so that a lost file shows as a lost batch.
    pub(crate) batch: u64,
    /// The last slot of the log when the segment began.
    pub(crate) last: LogId,
    pub(crate) commit_hint: Index,
    /// The latest membership entry then, and what it said.
    pub(crate) members_at: LogId,
    pub(crate) members: Members,
    pub(crate) previous: Link,
}

/// The size of one copy of a header with this configuration.
pub(crate) fn copy_bytes(members: &Members) -> u32 {
    round_up(FIXED_BYTES + length(codec::encode(members).len()), PAGE_BYTES)
}

/// The version that a segment with this configuration has at least.
pub(crate) fn least_version(members: &Members) -> u32 {
    if members.tokens.is_empty() { VERSION } else { VERSION_WITH_TOKENS }
}

impl SegmentHeader {
    /// How much of a file is read for its header at first: enough for both copies of an ordinary one.
    pub(crate) const USUAL_BYTES: u64 = 64 << 10;

    /// Where the first batch begins.
    pub(crate) fn records_start(&self) -> u32 {
        2 * copy_bytes(&self.members)
    }

    /// Both copies, one after the other: the file's beginning.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let members = codec::encode(&self.members);
        let copy_bytes = copy_bytes(&self.members);
        let least = least_version(&self.members);
        assert!(self.version >= least, "version {} of a segment that needs {least}", self.version);
        assert!(copy_bytes <= MAX_COPY_PAGES * PAGE_BYTES, "a configuration of {} bytes", members.len());
        let mut copy = vec![0; copy_bytes as usize];
        let record = &self.previous.record;
        Packer::new(&mut copy)
            .put(MAGIC)
            .u32(0)
            .u32(self.version)
            .u32(copy_bytes)
            .u32(self.number.0)
            .u64(self.id)
            .u64(self.bytes)
            .u64(self.batch)
            .u64(self.last.term.0)
            .u64(self.last.index.0)
            .u64(self.commit_hint.0)
            .u64(self.members_at.term.0)
            .u64(self.members_at.index.0)
            .u32(self.previous.segment.0)
            .u32(record.offset)
            .u64(record.id.term.0)
            .u64(record.id.index.0)
            .u32(record.length)
            .u32(record.checksum)
            .u8(kind_code(record.kind))
            .u8(record.flags)
            .put(&[0; 2])
            .u32(length(members.len()))
            .put(&members);
        let checksum = crc32c::crc32c(&copy[12..]);
        copy[8..12].copy_from_slice(&checksum.to_le_bytes());
        copy.extend_from_within(..);
        copy
    }

    /// The header of a segment file, from either copy.
    pub(crate) fn decode(file: &[u8], number: SegmentNumber) -> Option<SegmentHeader> {
        let starts = (0..=MAX_COPY_PAGES).map(|page| (page * PAGE_BYTES) as usize);
        let mut copies = starts.take_while(|start| *start < file.len());
        copies.find_map(|start| Self::decode_copy(&file[start..], length(start), number))
    }

    fn decode_copy(bytes: &[u8], start: u32, number: SegmentNumber) -> Option<SegmentHeader> {
        if bytes.len() < FIXED_BYTES as usize || !bytes.starts_with(MAGIC) {
            return None;
        }
        let mut fields = Unpacker::new(bytes);
        fields.array::<8>();
        let (checksum, version, copy_bytes) = (fields.u32(), fields.u32(), fields.u32());
        let whole = bytes.get(12..copy_bytes as usize)?;
        let in_place = start == 0 || start == copy_bytes;
        let is_known = (VERSION..=NEWEST_VERSION).contains(&version);
        if !in_place || crc32c::crc32c(whole) != checksum || !is_known || fields.u32() != number.0 {
            return None;
        }
        let (id, bytes_of_file, batch) = (fields.u64(), fields.u64(), count(&mut fields));
        let (last, commit_hint) = (log_id(&mut fields), Index(count(&mut fields)));
        let members_at = log_id(&mut fields);
        let (segment, offset) = (SegmentNumber(fields.u32()), fields.u32());
        let record_id = log_id(&mut fields);
        let (record_length, record_checksum) = (fields.u32(), fields.u32());
        let (kind, flags) = (kind_from_code(fields.u8()), fields.u8());
        fields.array::<2>();
        let members_end = FIXED_BYTES.checked_add(fields.u32())?;
        let members = bytes.get(FIXED_BYTES as usize..position(members_end.into()))?;
        let record =
            Identity { id: record_id, length: record_length, checksum: record_checksum, offset, kind, flags };
        let header = SegmentHeader {
            version,
            number,
            id,
            bytes: bytes_of_file,
            batch,
            last,
            commit_hint,
            members_at,
            members: codec::decode(members).ok()?,
            previous: Link { segment, record },
        };
        (self::copy_bytes(&header.members) == copy_bytes).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_raft::{Contact, NodeId, TokenHash};

    fn header(members: Members) -> SegmentHeader {
        SegmentHeader {
            version: least_version(&members),
            number: SegmentNumber(3),
            id: 0x0123_4567_89ab_cdef,
            bytes: 1 << 20,
            batch: 44,
            last: LogId::new(5, 66),
            commit_hint: Index(60),
            members_at: LogId::new(1, 2),
            members,
            previous: Link {
                segment: SegmentNumber(2),
                record: Identity {
                    id: LogId::new(5, 66),
                    length: 10,
                    checksum: 11,
                    offset: 512,
                    kind: Some(crate::record::Kind::Noop),
                    flags: 1,
                },
            },
        }
    }

    #[test]
    fn names_of_the_logs_files_are_read_as_they_are_written() {
        for number in [1, 0x2a, 0xfffe_ffff].map(SegmentNumber) {
            for file in [LogFile::Segment(number), LogFile::Spare(number), LogFile::Filling(number)] {
                let path = file.path();
                assert_eq!(LogFile::from_name(path.strip_prefix("log/").unwrap()), Some(file));
            }
        }
        assert_eq!(LogFile::Filling(SegmentNumber(255)).path(), "log/000000ff.filling");
        for other in ["2a.log", "0000002A.log", "0000002a.old", "0000002a", "ballast", "+000002a.log"] {
            assert_eq!(LogFile::from_name(other), None, "{other}");
        }
        for no_room_behind in ["ffff0000.log", "ffffffff.log"] {
            assert_eq!(LogFile::from_name(no_room_behind), None, "{no_room_behind}");
        }
    }

    #[test]
    fn a_file_that_breaks_off_in_its_header_has_none() {
        let whole = header(Members::default()).encode();
        for bytes in 0..whole.len() / 2 {
            assert_eq!(SegmentHeader::decode(&whole[..bytes], SegmentNumber(3)), None, "{bytes} bytes");
        }
        assert!(
            SegmentHeader::decode(&whole[..whole.len() / 2], SegmentNumber(3)).is_some(),
            "one copy is whole"
        );
    }

    #[test]
    fn either_copy_is_enough() {
        let contact = Contact { name: "n".repeat(9000), ..Contact::default() };
        let plain = Members::founder(NodeId(7), contact);
        let with = plain.with_token(TokenHash([9; 32]), 1_000, 0).unwrap();
        for members in [Members::default(), plain, with] {
            let header = header(members);
            let bytes = header.encode();
            assert_eq!(bytes.len(), header.records_start() as usize);
            let half = bytes.len() / 2;
            for broken in [0..0, 0..half, half..bytes.len()] {
                let mut bytes = bytes.clone();
                bytes[broken].fill(0xa5);
                assert_eq!(SegmentHeader::decode(&bytes, SegmentNumber(3)), Some(header.clone()));
            }
            assert_eq!(SegmentHeader::decode(&bytes, SegmentNumber(4)), None, "under another name");
            assert_eq!(SegmentHeader::decode(&vec![0; bytes.len()], SegmentNumber(3)), None);
        }
    }
}
