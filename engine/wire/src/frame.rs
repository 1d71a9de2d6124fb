//! Frames: how messages are told apart and checked on a peer link.
//!
//! One packet in 16 million to 10 billion arrives damaged with a TCP checksum that fits (Stone and Partridge,
//! SIGCOMM 2000), and here it would become a vote or a log entry. So each frame has two CRC-32C: the header's
//! own, checked before its length is believed, and the payload's. All numbers are little-endian.
//!
//! ```text
//!   0        2         3      4         8             12            16
//!   | magic  | version | kind | length  | payload crc | header crc  | payload |
//!   magic        2 bytes   51 52, "QR"
//!   version      u8        1; the version of frames and of all they carry
//!   kind         u8        1 hello, 2 answer, 3 envelope, 4 piece, 5 last piece
//!   length       u32       of the payload in bytes, at most 64 MiB
//!   payload crc  u32       CRC-32C of the payload
//!   header crc   u32       CRC-32C of the 12 bytes before it
//! ```
//!
//! A link carries one hello, one answer the other way, then envelopes, one a frame; several frames go out in one
//! write. A large envelope may come in pieces, so that small ones can go between them: the payloads of any number of
//! pieces and a last piece, put together, are what the payload of an envelope would have been, and no larger. One
//! envelope at a time is in pieces. Whatever is wrong, the link is closed: a stream can't be found again in the
//! middle, and what was lost is asked for again by the protocol.

use quorate_raft::Envelope;

use crate::codec;

/// The most bytes a payload may have.
pub const MAX_PAYLOAD_BYTES: usize = codec::MAX_BYTES;

/// The bytes of a frame before its payload.
pub const HEADER_BYTES: usize = 16;

const MAGIC: [u8; 2] = *b"QR";
const VERSION: u8 = 1;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameKind {
    /// A [`Hello`](crate::Hello): the dialer's first and only one.
    Hello,
    /// An [`Answer`](crate::Answer) to it.
    Answer,
    /// An [`Envelope`], as `codec` writes it.
    Envelope,
    /// A part of an envelope that is too large to keep others waiting; more will follow.
    Piece,
    /// The end of that envelope.
    LastPiece,
}

impl FrameKind {
    fn number(self) -> u8 {
        match self {
            FrameKind::Hello => 1,
            FrameKind::Answer => 2,
            FrameKind::Envelope => 3,
            FrameKind::Piece => 4,
            FrameKind::LastPiece => 5,
        }
    }

    fn from_number(number: u8) -> Option<FrameKind> {
        match number {
            1 => Some(FrameKind::Hello),
            2 => Some(FrameKind::Answer),
            3 => Some(FrameKind::Envelope),
            4 => Some(FrameKind::Piece),
            5 => Some(FrameKind::LastPiece),
            _ => None,
        }
    }
}

/// One whole frame, verified, still in the decoder's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// The payload.
    pub payload: &'a [u8],
}

/// Why a link must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The other side does not speak this protocol at all.
    #[error(
        "not a frame: it begins with \"{}\", expected \"QR\"; is this its raft address?",
        found.escape_ascii()
    )]
    NotAFrame {
        /// The first two bytes.
        found: [u8; 2],
    },
    /// The other side runs a release with another format.
    #[error("a frame of version {found}: this release speaks version {VERSION}")]
    UnknownVersion {
        /// Its version.
        found: u8,
    },
    /// The header was altered on the way.
    #[error("damaged frame header: checksum {found:#010x}, expected {expected:#010x}")]
    HeaderChecksum {
        /// The checksum it brings.
        expected: u32,
        /// The checksum it has.
        found: u32,
    },
    /// A sound header with a kind that version 1 does not have.
    #[error(
        "a frame of kind {found}: expected 1 (hello), 2 (answer), 3 (envelope), 4 (piece) or 5 (last piece)"
    )]
    UnknownKind {
        /// The kind.
        found: u8,
    },
    /// A sound header that announces too much.
    #[error("a frame of {bytes} bytes: at most {limit} are taken")]
    TooLarge {
        /// The length announced.
        bytes: usize,
        /// The decoder's limit.
        limit: usize,
    },
    /// The payload was altered on the way.
    #[error("damaged frame payload of {bytes} bytes: checksum {found:#010x}, expected {expected:#010x}")]
    PayloadChecksum {
        /// The payload's length.
        bytes: usize,
        /// The checksum the header brings.
        expected: u32,
        /// The checksum it has.
        found: u32,
    },
}

/// Appends a frame with this payload to `out`.
///
/// # Panics
/// When the payload is larger than [`MAX_PAYLOAD_BYTES`]: nothing that makes payloads may let it grow so far.
pub fn encode_frame(kind: FrameKind, payload: &[u8], out: &mut Vec<u8>) {
    encode_with(kind, out, |out| out.extend_from_slice(payload));
}

/// Appends a frame with this envelope to `out`, without a buffer between.
///
/// # Panics
/// When the envelope is larger than [`MAX_PAYLOAD_BYTES`]. The core bounds its messages, and
/// [`encode_command`](crate::entry::encode_command) what a single entry can weigh.
pub fn encode_envelope(envelope: &Envelope, out: &mut Vec<u8>) {
    encode_with(FrameKind::Envelope, out, |out| codec::encode_into(envelope, out));
}

/// The header can only be known after the payload: its place is kept, and filled in.
fn encode_with(kind: FrameKind, out: &mut Vec<u8>, write_payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    write_payload(out);
    let payload = &out[start + HEADER_BYTES..];
    assert!(payload.len() <= MAX_PAYLOAD_BYTES, "a {kind:?} frame of {} bytes", payload.len());
    let length = u32::try_from(payload.len()).expect("the limit is below 4 GiB");
    let mut header = [0; HEADER_BYTES];
    header[..2].copy_from_slice(&MAGIC);
    header[2] = VERSION;
    header[3] = kind.number();
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..12].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    let header_crc = crc32c::crc32c(&header[..12]);
    header[12..].copy_from_slice(&header_crc.to_le_bytes());
    out[start..start + HEADER_BYTES].copy_from_slice(&header);
}

/// Finds the frames in a stream that arrives in pieces of any size.
///
/// Memory: what was pushed and not yet taken as frames; a length that a header announces reserves nothing.
/// Whoever pushes takes all whole frames before pushing again.
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    /// How much of the buffer was handed out as frames.
    taken: usize,
    limit: usize,
}

impl Default for FrameDecoder {
    fn default() -> FrameDecoder {
        FrameDecoder::new()
    }
}

impl FrameDecoder {
    /// Takes payloads up to [`MAX_PAYLOAD_BYTES`].
    pub fn new() -> FrameDecoder {
        FrameDecoder::with_limit(MAX_PAYLOAD_BYTES)
    }

    /// Takes payloads up to `limit` bytes: before the handshake is done, nobody need be given more than a
    /// hello.
    pub fn with_limit(limit: usize) -> FrameDecoder {
        FrameDecoder { buffer: Vec::new(), taken: 0, limit: limit.min(MAX_PAYLOAD_BYTES) }
    }

    /// Changes the limit for the frames that follow, once the other side is known.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(MAX_PAYLOAD_BYTES);
    }

    /// Takes the bytes that came next.
    pub fn push(&mut self, bytes: &[u8]) {
        // A link that once carried a large snapshot chunk must not hold its memory for good.
        const KEPT_BYTES: usize = 1024 * 1024;
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` until more bytes are pushed.
    ///
    /// # Errors
    /// The first thing that is wrong with the stream. It is wrong for good: asked again, it says the same.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let waiting = &self.buffer[self.taken..];
        check_beginning(waiting)?;
        let Some((header, rest)) = waiting.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let Header { kind, length, payload_crc } = Header::parse(header, self.limit)?;
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let found = crc32c::crc32c(payload);
        if found != payload_crc {
            return Err(FrameError::PayloadChecksum { bytes: length, expected: payload_crc, found });
        }
        self.taken += HEADER_BYTES + length;
        Ok(Some(Frame { kind, payload }))
    }

    /// Whether the stream stops in the middle of a frame.
    pub fn is_partial(&self) -> bool {
        self.taken < self.buffer.len()
    }
}

/// Tells a stranger from a peer by the first bytes, without waiting for a whole header: a stranger may
/// send less and wait for an answer.
fn check_beginning(bytes: &[u8]) -> Result<(), FrameError> {
    if let Some(found) = bytes.first_chunk::<2>()
        && *found != MAGIC
    {
        return Err(FrameError::NotAFrame { found: *found });
    }
    match bytes.get(2) {
        Some(found) if *found != VERSION => Err(FrameError::UnknownVersion { found: *found }),
        _ => Ok(()),
    }
}

struct Header {
    kind: FrameKind,
    length: usize,
    payload_crc: u32,
}

impl Header {
    /// Reads a header whose magic and version were checked. The checksum comes before what it covers.
    fn parse(header: &[u8; HEADER_BYTES], limit: usize) -> Result<Header, FrameError> {
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (expected, found) = (number(12), crc32c::crc32c(&header[..12]));
        if expected != found {
            return Err(FrameError::HeaderChecksum { expected, found });
        }
        let kind = FrameKind::from_number(header[3]).ok_or(FrameError::UnknownKind { found: header[3] })?;
        let length = usize::try_from(number(4)).unwrap_or(usize::MAX);
        if length > limit {
            return Err(FrameError::TooLarge { bytes: length, limit });
        }
        Ok(Header { kind, length, payload_crc: number(8) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_frame(kind, payload, &mut bytes);
        bytes
    }

    fn error(bytes: &[u8]) -> FrameError {
        let mut decoder = FrameDecoder::new();
        decoder.push(bytes);
        let error = decoder.next_frame().unwrap_err();
        decoder.push(b"more");
        assert_eq!(decoder.next_frame(), Err(error), "an error is for good");
        error
    }

    /// A header as an enemy would make it: nonsense under a right checksum.
    fn forged(kind: u8, length: u32) -> Vec<u8> {
        let mut bytes = frame(FrameKind::Hello, b"");
        bytes[3] = kind;
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let stream = [
            frame(FrameKind::Hello, b"one"),
            frame(FrameKind::Envelope, b""),
            frame(FrameKind::Answer, b"3"),
        ];
        let stream = stream.concat();
        for size in 1..=stream.len() {
            let mut decoder = FrameDecoder::new();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    found.push((frame.kind, frame.payload.to_vec()));
                }
            }
            let expected = [(FrameKind::Hello, "one"), (FrameKind::Envelope, ""), (FrameKind::Answer, "3")];
            assert_eq!(found, expected.map(|(kind, text)| (kind, text.as_bytes().to_vec())));
            assert!(!decoder.is_partial());
        }
    }

    #[test]
    fn a_stranger_is_noticed_by_the_first_two_bytes() {
        assert_eq!(error(b"GE"), FrameError::NotAFrame { found: *b"GE" });
        assert_eq!(error(b"QR\x02"), FrameError::UnknownVersion { found: 2 });
        let said = error(b"\x16\x03").to_string();
        assert!(said.contains(r"\x16\x03"), "{said}");
    }

    #[test]
    fn nonsense_under_a_right_checksum_is_refused() {
        assert_eq!(error(&forged(9, 0)), FrameError::UnknownKind { found: 9 });
        let too_large = FrameError::TooLarge { bytes: u32::MAX as usize, limit: MAX_PAYLOAD_BYTES };
        assert_eq!(error(&forged(3, u32::MAX)), too_large);
        let mut decoder = FrameDecoder::with_limit(10);
        decoder.push(&frame(FrameKind::Hello, &[0; 11]));
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLarge { bytes: 11, limit: 10 }));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = frame(FrameKind::Envelope, b"payload");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut decoder = FrameDecoder::new();
            decoder.push(&bad);
            assert!(decoder.next_frame().is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_cut_short_is_waited_for() {
        let good = frame(FrameKind::Envelope, b"payload");
        for length in 0..good.len() {
            let mut decoder = FrameDecoder::new();
            decoder.push(&good[..length]);
            assert_eq!(decoder.next_frame(), Ok(None), "{length}");
            assert_eq!(decoder.is_partial(), length > 0);
        }
    }

    #[test]
    fn a_large_frame_does_not_keep_its_memory() {
        let mut decoder = FrameDecoder::new();
        decoder.push(&frame(FrameKind::Envelope, &vec![7; 3 << 20]));
        assert_eq!(decoder.next_frame().unwrap().map(|frame| frame.payload.len()), Some(3 << 20));
        decoder.push(b"");
        assert_eq!(decoder.buffer.capacity(), 0);
    }
}
