//! The file of a flight recording: a header, and pieces with a checksum each.
//!
//! ```text
//! header          0        8         12       16
//!                 | magic  | version | crc    |
//!   magic         8 bytes  "QRTERECD"
//!   version       u32      1
//!   crc           u32      CRC-32C of the 12 bytes before it
//!
//! piece           0      4        8             12           16
//!                 | kind | length | payload crc | header crc | payload |
//!   kind          u32      1 to 6, below
//!   length        u32      of the payload in bytes, at most 64 MiB
//!   payload crc   u32      CRC-32C of the payload
//!   header crc    u32      CRC-32C of the 12 bytes before it
//! ```
//!
//! All numbers are little-endian. Pieces stand in the order of their kinds:
//!
//! ```text
//! 1 head         once            what the recording is of, as `codec` writes it
//! 2 base         once            the node but for its store, as `codec` writes it
//! 3 entries      any number      entries that the store had applied after the checkpoint, as `codec` writes a list of
//!                                them: they come first, since a log moves on, and a checkpoint can be held
//! 4 checkpoint   any number      together a backup, as `GET /backup` sends it: the store as of some entry; none when
//!                                the entries begin with the first of the log
//! 5 events       one or more     together the inputs and fingerprints, drawn in `quorate-node`; cut anywhere
//! 6 end          once            how the node stood in the end, as `codec` writes it
//! ```
//!
//! A file without its end was cut short.

use crate::codec;

/// The bytes of the header of a file.
pub const HEADER_BYTES: usize = 16;

/// The most bytes that a piece carries.
pub const MAX_PAYLOAD_BYTES: usize = codec::MAX_BYTES;

const MAGIC: &[u8; 8] = b"QRTERECD";
const VERSION: u32 = 1;

/// What a piece carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What the recording is of.
    Head = 1,
    /// The node, but for its store.
    Base = 2,
    /// Entries of the log after the checkpoint.
    Entries = 3,
    /// A part of a checkpoint.
    Checkpoint = 4,
    /// What happened.
    Events = 5,
    /// How the node stood in the end.
    End = 6,
}

impl Kind {
    fn from_number(number: u32) -> Option<Kind> {
        let all = [Kind::Head, Kind::Base, Kind::Entries, Kind::Checkpoint, Kind::Events, Kind::End];
        all.into_iter().find(|kind| *kind as u32 == number)
    }

    /// Whether a piece of this kind may stand behind one of kind `last`, or at the beginning.
    fn may_follow(self, last: Option<Kind>) -> bool {
        let repeats = matches!(self, Kind::Checkpoint | Kind::Entries | Kind::Events);
        match (last, self) {
            (None, kind) => kind == Kind::Head,
            (Some(Kind::Head), kind) => kind == Kind::Base,
            (Some(Kind::Events), Kind::End) => true,
            (Some(_), Kind::End) => false,
            (Some(last), kind) => last < kind || (last == kind && repeats),
        }
    }
}

/// Why bytes are not a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// It does not begin as one.
    #[error("this is no recording: it begins with other bytes than \"QRTERECD\"")]
    NotARecording,
    /// Its form is not known here.
    #[error("a recording of version {found}, and this release reads version {VERSION}")]
    Version {
        /// The version.
        found: u32,
    },
    /// Bytes were changed, or are missing in the middle.
    #[error("the recording is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where the header or the piece begins, in bytes from the start.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// It ends too early.
    #[error("the recording is cut short at byte {offset}")]
    CutShort {
        /// Where it ends, in bytes from the start.
        offset: u64,
    },
}

/// Whether a file with these first bytes was meant to be a recording.
pub fn begins_one(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The header of a file.
pub fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// What stands before a piece's payload.
///
/// # Panics
/// When the payload is longer than [`MAX_PAYLOAD_BYTES`].
pub fn piece_head(kind: Kind, payload: &[u8]) -> [u8; HEADER_BYTES] {
    assert!(payload.len() <= MAX_PAYLOAD_BYTES, "a piece of {} bytes", payload.len());
    let length = u32::try_from(payload.len()).expect("64 MiB fit into 32 bits");
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&(kind as u32).to_le_bytes());
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..12].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a recording as it comes, in whatever pieces.
///
/// Memory: what has come of the piece in hand. A length that was announced reserves nothing.
#[derive(Clone, Debug, Default)]
pub struct RecordingDecoder {
    pending: Vec<u8>,
    /// How much of `pending` was read.
    read: usize,
    /// Where `pending` begins, in bytes from the start.
    offset: u64,
    has_header: bool,
    last: Option<Kind>,
}

impl RecordingDecoder {
    /// At the beginning of a file.
    pub fn new() -> RecordingDecoder {
        RecordingDecoder::default()
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.offset += self.read as u64;
        self.pending.drain(..std::mem::take(&mut self.read));
        self.pending.extend_from_slice(bytes);
    }

    /// The next piece, when all of it is there.
    ///
    /// # Errors
    /// [`RecordingError`]. Nothing more is to be expected then.
    pub fn next_piece(&mut self) -> Result<Option<(Kind, &[u8])>, RecordingError> {
        if !self.has_header && !self.take_header()? {
            return Ok(None);
        }
        let damaged = |what| RecordingError::Damaged { offset: self.offset + self.read as u64, what };
        let left = &self.pending[self.read..];
        if self.last == Some(Kind::End) {
            let is_over = left.is_empty();
            return if is_over { Ok(None) } else { Err(damaged("it goes on behind its end")) };
        }
        let Some((head, rest)) = left.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        if crc32c::crc32c(&head[..12]) != number(head, 12) {
            return Err(damaged("the head of a piece has another checksum"));
        }
        let kind = Kind::from_number(number(head, 0)).filter(|kind| kind.may_follow(self.last));
        let kind = kind.ok_or_else(|| damaged("a piece that does not belong there"))?;
        let length = number(head, 4) as usize;
        if length > MAX_PAYLOAD_BYTES {
            return Err(damaged("a piece of more than 64 MiB"));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        if crc32c::crc32c(payload) != number(head, 8) {
            return Err(damaged("a piece has another checksum"));
        }
        let begin = self.read + HEADER_BYTES;
        self.read = begin + length;
        self.last = Some(kind);
        Ok(Some((kind, &self.pending[begin..self.read])))
    }

    /// Whether the end was read. Said when no more bytes come.
    ///
    /// # Errors
    /// [`RecordingError::CutShort`], or that it is no recording.
    pub fn finish(&self) -> Result<(), RecordingError> {
        match self.last {
            Some(Kind::End) => Ok(()),
            _ if !self.has_header
                && !MAGIC.starts_with(&self.pending[..self.pending.len().min(MAGIC.len())]) =>
            {
                Err(RecordingError::NotARecording)
            }
            _ => Err(RecordingError::CutShort { offset: self.offset + self.pending.len() as u64 }),
        }
    }

    fn take_header(&mut self) -> Result<bool, RecordingError> {
        let Some(head) = self.pending.first_chunk::<HEADER_BYTES>() else { return Ok(false) };
        if !begins_one(head) {
            return Err(RecordingError::NotARecording);
        }
        if crc32c::crc32c(&head[..12]) != number(head, 12) {
            return Err(RecordingError::Damaged { offset: 0, what: "the header has another checksum" });
        }
        let found = number(head, 8);
        if found != VERSION {
            return Err(RecordingError::Version { found });
        }
        (self.has_header, self.read) = (true, HEADER_BYTES);
        Ok(true)
    }
}

fn number(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECES: [(Kind, &[u8]); 7] = [
        (Kind::Head, b"head"),
        (Kind::Base, b"base"),
        (Kind::Checkpoint, b"one"),
        (Kind::Checkpoint, b""),
        (Kind::Events, b"first"),
        (Kind::Events, b"second"),
        (Kind::End, b"end"),
    ];

    fn file(pieces: &[(Kind, &[u8])]) -> Vec<u8> {
        let mut file = header();
        for (kind, payload) in pieces {
            file.extend_from_slice(&piece_head(*kind, payload));
            file.extend_from_slice(payload);
        }
        file
    }

    fn read(file: &[u8], step: usize) -> Result<Vec<(Kind, Vec<u8>)>, RecordingError> {
        let (mut decoder, mut pieces) = (RecordingDecoder::new(), Vec::new());
        for bytes in file.chunks(step) {
            decoder.push(bytes);
            while let Some((kind, payload)) = decoder.next_piece()? {
                pieces.push((kind, payload.to_vec()));
            }
        }
        decoder.finish().map(|()| pieces)
    }

    #[test]
    fn pieces_are_read_however_they_come() {
        let expected: Vec<_> = PIECES.iter().map(|(kind, payload)| (*kind, payload.to_vec())).collect();
        for step in [1, 3, 16, 17, 1000] {
            assert_eq!(read(&file(&PIECES), step).as_ref(), Ok(&expected), "{step} at a time");
        }
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let whole = file(&PIECES);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            assert!(read(&changed, 1000).is_err(), "byte {at}");
            let cut = read(&whole[..at], 1000);
            assert_eq!(cut, Err(RecordingError::CutShort { offset: at as u64 }), "cut at {at}");
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert!(matches!(read(&longer, 1000), Err(RecordingError::Damaged { .. })));
    }

    #[test]
    fn pieces_out_of_order_are_refused() {
        for (wrong, right) in [(0, 1), (1, 2), (3, 4), (5, 6)] {
            let mut pieces = PIECES;
            pieces.swap(wrong, right);
            assert!(matches!(read(&file(&pieces), 1000), Err(RecordingError::Damaged { .. })), "{wrong}");
        }
        let without_base = [&PIECES[..1], &PIECES[2..]].concat();
        assert!(read(&file(&without_base), 1000).is_err());
        let without_events = [&PIECES[..4], &PIECES[6..]].concat();
        assert!(read(&file(&without_events), 1000).is_err());
    }

    #[test]
    fn other_files_and_versions_are_told() {
        assert_eq!(read(b"[cluster]\nservers = 3\n", 100), Err(RecordingError::NotARecording));
        assert_eq!(read(b"[a]", 100), Err(RecordingError::NotARecording));
        let mut newer = file(&PIECES);
        newer[8] = 2;
        let crc = crc32c::crc32c(&newer[..12]).to_le_bytes();
        newer[12..16].copy_from_slice(&crc);
        assert_eq!(read(&newer, 1000), Err(RecordingError::Version { found: 2 }));
    }
}
