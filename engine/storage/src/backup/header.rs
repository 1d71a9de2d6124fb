//! The first 512 bytes.
//!
//! ```text
//!   0              8         12        16      20            24        40        56
//!   | "QRTEBACK"   | checksum| version | size  | block bytes | cluster | history | last term | last index |
//!   72         80           88                120          128              132               136
//!   | revision | state hash | manifest digest | file bytes | manifest bytes | tables checksum | zeros up to 512
//! ```
//!
//! The checksum covers all behind it; the size is that of the header. The fields are drawn in `docs/FORMAT.md`.

use std::fmt;
use std::str::FromStr;

use quorate_raft::{Digest, Index, LogId, Term};
use quorate_wire::checkpoint::{Manifest, Revision};
use quorate_wire::{ClusterId, HistoryId};

use super::verifier::{Flaw, Place};
use super::{BLOCK_BYTES, HEADER_BYTES};
use crate::layout::{Packer, Unpacker, length};
use crate::versions;

/// The version of the format of backups.
pub(crate) const VERSION: u32 = 1;
pub(crate) const MAGIC: &[u8; 8] = b"QRTEBACK";

/// What is hashed for the tag: all that says *which* checkpoint it is. The rest follows from it.
const NAMED: std::ops::Range<usize> = 24..120;

/// Whose checkpoint a backup is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The cluster.
    pub cluster: ClusterId,
    /// The history that its revisions count in.
    pub history: HistoryId,
}

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose it is.
    pub origin: Origin,
    /// The last slot that the checkpoint covers.
    pub last: LogId,
    /// The store's revision there.
    pub revision: Revision,
    /// The hash of the state there.
    pub state_hash: u64,
    /// The length of the whole file, in bytes.
    pub file_bytes: u64,
    /// The BLAKE3 of the manifest, which names all runs.
    pub digest: Digest,
    /// The length of the manifest, in bytes.
    pub manifest_bytes: u32,
    /// The checksum of the tables.
    pub tables_checksum: u32,
}

/// Names a backup: those with the same tag are the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub [u8; 16]);

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A text that is no [`Tag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tag is 32 lowercase hex digits")]
pub struct ParseTagError;

impl FromStr for Tag {
    type Err = ParseTagError;

    fn from_str(text: &str) -> Result<Tag, ParseTagError> {
        let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(|number| Tag(number.to_be_bytes())).ok_or(ParseTagError)
    }
}

impl Header {
    /// The header of the checkpoint that ends at `last`, as `origin` has it; `tables` are those of its runs.
    pub fn new(origin: Origin, last: LogId, manifest: &Manifest, tables: &[u8]) -> Header {
        let encoded = manifest.encode();
        let parts = [HEADER_BYTES as u64, tables.len() as u64, manifest.content_bytes()];
        Header {
            origin,
            last,
            revision: manifest.totals.revision,
            state_hash: manifest.totals.state_hash,
            file_bytes: parts.into_iter().fold(0, u64::saturating_add),
            digest: Digest(*blake3::hash(&encoded).as_bytes()),
            manifest_bytes: length(encoded.len()),
            tables_checksum: crc32c::crc32c(tables),
        }
    }

    /// The name of the backup.
    pub fn tag(&self) -> Tag {
        let hash = blake3::hash(&self.encode()[NAMED]);
        let (tag, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        Tag(*tag)
    }

    /// Where the manifest begins, in bytes from the start of the file.
    pub fn manifest_start(&self) -> u64 {
        HEADER_BYTES as u64
    }

    /// Where the tables begin, in bytes from the start of the file.
    pub fn tables_start(&self) -> u64 {
        self.manifest_start() + u64::from(self.manifest_bytes)
    }

    /// Writes it.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        Packer::new(&mut bytes)
            .put(MAGIC)
            .u32(0)
            .u32(VERSION)
            .u32(length(HEADER_BYTES))
            .u32(u32::try_from(BLOCK_BYTES).expect("a block is far below 4 GiB"))
            .put(&self.origin.cluster.0.to_le_bytes())
            .put(&self.origin.history.0.to_le_bytes())
            .u64(self.last.term.0)
            .u64(self.last.index.0)
            .u64(self.revision.0)
            .u64(self.state_hash)
            .put(&self.digest.0)
            .u64(self.file_bytes)
            .u32(self.manifest_bytes)
            .u32(self.tables_checksum);
        let checksum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Flaw`]: it is none, damaged, or of another version.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Flaw> {
        let flaw = |offset, reason: String| Err(Flaw { offset, place: Place::Header, reason });
        if !bytes.starts_with(MAGIC) {
            let found = bytes[..8].escape_ascii();
            return flaw(0, format!("a backup begins with \"QRTEBACK\", and this with \"{found}\""));
        }
        if let Some(found) = versions::other_version_of_backup(bytes) {
            let place = Place::Version { found, known: VERSION };
            return Err(Flaw::other_version(12, place, (found, VERSION)));
        }
        let mut fields = Unpacker::new(&bytes[8..]);
        if fields.u32() != crc32c::crc32c(&bytes[12..]) {
            return flaw(8, "it does not match its checksum".to_owned());
        }
        let (_version, size, block_bytes) = (fields.u32(), fields.u32(), fields.u32());
        if size != length(HEADER_BYTES) || u64::from(block_bytes) != BLOCK_BYTES {
            return flaw(16, format!("a size of {size} and blocks of {block_bytes} bytes are not known"));
        }
        let mut id = || u128::from_le_bytes(fields.array());
        let origin = Origin { cluster: ClusterId(id()), history: HistoryId(id()) };
        let header = Header {
            origin,
            last: LogId { term: Term(fields.u64()), index: Index(fields.u64()) },
            revision: Revision(fields.u64()),
            state_hash: fields.u64(),
            digest: Digest(fields.array()),
            file_bytes: fields.u64(),
            manifest_bytes: fields.u32(),
            tables_checksum: fields.u32(),
        };
        let most = Manifest::HEAD_BYTES + Manifest::MAX_RUNS * Manifest::RUN_BYTES;
        if header.manifest_bytes > length(most) {
            return flaw(128, format!("a manifest has at most {most} bytes, not {}", header.manifest_bytes));
        }
        if header.encode() != *bytes {
            return flaw(136, "something stands where this version has zeros".to_owned());
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(manifest_bytes: u32) -> Header {
        let manifest = Manifest::default();
        let origin = Origin { cluster: ClusterId(1), history: HistoryId(2) };
        Header { manifest_bytes, ..Header::new(origin, LogId::new(3, 4), &manifest, &[]) }
    }

    /// Changes some bytes, and the checksum so that it fits.
    fn changed(at: usize, to: &[u8]) -> Result<Header, Flaw> {
        let mut bytes = header(100).encode();
        bytes[at..at + to.len()].copy_from_slice(to);
        let checksum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        Header::decode(&bytes)
    }

    #[test]
    fn a_manifest_has_at_most_as_many_runs_as_there_may_be() {
        let most = length(Manifest::HEAD_BYTES + Manifest::MAX_RUNS * Manifest::RUN_BYTES);
        assert_eq!(Header::decode(&header(most).encode()), Ok(header(most)));
        let flaw = Header::decode(&header(most + 1).encode()).unwrap_err();
        assert_eq!((flaw.offset, flaw.place), (128, Place::Header));
        let two = length(Manifest::HEAD_BYTES + 2 * Manifest::RUN_BYTES);
        assert!(Header::decode(&header(two).encode()).is_ok());
    }

    #[test]
    fn sizes_that_are_not_known_are_refused_each_by_itself() {
        assert!(changed(0, &[]).is_ok());
        for at in [16, 20] {
            let flaw = changed(at, &7_u32.to_le_bytes()).unwrap_err();
            assert_eq!((flaw.offset, flaw.reason.contains("are not known")), (16, true), "{flaw:?}");
        }
    }
}
