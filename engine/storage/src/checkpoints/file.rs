//! One manifest file: what a checkpoint is made of, and who was a member then.
//!
//! ```text
//!   0              8         12        16      20        24          32           40                  48
//!   | "QRTESNAP"   | checksum| version | bytes | members | last term | last index | members at: term  | members at:
//!   |              |         |         |       | bytes   |           |            |                   | index
//!   56
//!   | the configuration, as quorate-wire's codec writes it | the manifest
//! ```
//!
//! The checksum covers all behind it. The manifest is drawn in quorate-kv; its BLAKE3 is the digest in the checkpoint's
//! description, and it is what travels.

use quorate_raft::{Digest, Index, LogId, Members, SnapshotMeta, Term};
use quorate_wire::checkpoint::Manifest;
use quorate_wire::codec;

use super::run::read_exactly;
use super::{DIRECTORY, MANIFEST, Trouble};
use crate::disk::{Disk, DiskFile};
use crate::layout::{Packer, Unpacker, length, position};
use crate::reread::settled;

/// The version of the format of manifest files. In the first, which no release wrote, the file held the whole state.
pub(crate) const VERSION: u32 = 2;
/// The version in which the configuration has join tokens. Without any a file is written in the one before, which older
/// releases read.
pub(crate) const VERSION_WITH_TOKENS: u32 = 3;
pub(crate) const MAGIC: &[u8; 8] = b"QRTESNAP";
const FIXED_BYTES: usize = 56;
/// About how long a file is.
pub(crate) const USUAL_BYTES: u64 = 1 << 10;
/// No configuration makes a file larger.
const MAX_BYTES: u64 = 1 << 20;

/// The end of the names of manifests.
pub(crate) const SUFFIX: &str = ".snap";

/// The path of the checkpoint that ends at `last`; names sort by index.
pub(crate) fn path(last: LogId) -> String {
    format!("{DIRECTORY}/{}{SUFFIX}", name(last))
}

/// The name of a checkpoint: index and term of its last slot in hexadecimal digits.
pub(crate) fn name(last: LogId) -> String {
    format!("{:016x}-{:016x}", last.index.0, last.term.0)
}

/// No node gets as far, by terms or by slots: at a million a second it would take 292,000 years.
const FAR: u64 = u64::MAX >> 1;

/// The slot that the name of a manifest tells; nothing when no node can have given it that name.
pub(crate) fn slot_in_name(file_name: &str) -> Option<LogId> {
    let digits = file_name.strip_suffix(SUFFIX)?;
    let (index, term) = digits.split_once('-')?;
    let number = |digits: &str| u64::from_str_radix(digits, 16).ok().filter(|number| *number <= FAR);
    let slot = LogId { index: Index(number(index)?), term: Term(number(term)?) };
    (name(slot) == digits).then_some(slot)
}

/// A checkpoint without its rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Described {
    pub(crate) meta: SnapshotMeta,
    pub(crate) manifest: Manifest,
}

impl Described {
    pub(crate) fn new(last: LogId, members: Members, members_at: LogId, manifest: Manifest) -> Described {
        let digest = Digest(*blake3::hash(&manifest.encode()).as_bytes());
        let (bytes, state_hash) = (manifest.content_bytes(), manifest.totals.state_hash);
        Described { meta: SnapshotMeta { last, members, members_at, bytes, digest, state_hash }, manifest }
    }

    /// The boundary that the runs but the tail reach up to.
    pub(crate) fn boundary(&self) -> LogId {
        boundary(&self.manifest)
    }

    /// The file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let members = codec::encode(&self.meta.members);
        let manifest = self.manifest.encode();
        let mut bytes = vec![0; FIXED_BYTES + members.len() + manifest.len()];
        assert!(bytes.len() as u64 <= MAX_BYTES, "a configuration of {} bytes", members.len());
        Packer::new(&mut bytes)
            .put(MAGIC)
            .u32(0)
            .u32(if self.meta.members.tokens.is_empty() { VERSION } else { VERSION_WITH_TOKENS })
            .u32(length(FIXED_BYTES + members.len() + manifest.len()))
            .u32(length(members.len()))
            .u64(self.meta.last.term.0)
            .u64(self.meta.last.index.0)
            .u64(self.meta.members_at.term.0)
            .u64(self.meta.members_at.index.0)
            .put(&members)
            .put(&manifest);
        let checksum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a file; `None` when it isn't there, or damaged, or has another one's name.
    pub(crate) fn read<D: Disk>(disk: &D, file_path: &str) -> Option<Described> {
        Described::read_any(disk, file_path).filter(|found| path(found.meta.last) == file_path)
    }

    /// Reads a file, whatever its name; `None` when it isn't there, or damaged.
    pub(crate) fn read_any<D: Disk>(disk: &D, file_path: &str) -> Option<Described> {
        let file = disk.open(file_path).ok()?;
        settled(|| read(&file), Option::is_some)
    }

    /// Reads what [`Described::encode`] wrote; `None` when that is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Described> {
        let mut fields = Unpacker::new(bytes.get(..FIXED_BYTES)?);
        if fields.array::<8>() != *MAGIC || fields.u32() != crc32c::crc32c(&bytes[12..]) {
            return None;
        }
        if !(VERSION..=VERSION_WITH_TOKENS).contains(&fields.u32()) {
            return None;
        }
        let (file_bytes, members_bytes) = (fields.u32() as usize, fields.u32() as usize);
        if file_bytes != bytes.len() {
            return None;
        }
        let mut log_id = || LogId { term: Term(fields.u64()), index: Index(fields.u64()) };
        let (last, members_at) = (log_id(), log_id());
        let (members, encoded) = bytes[FIXED_BYTES..].split_at_checked(members_bytes)?;
        let members = codec::decode(members).ok()?;
        let manifest = Manifest::decode(encoded).ok()??;
        let whole = manifest.bytes() == encoded.len() as u64;
        whole.then(|| Described::new(last, members, members_at, manifest))
    }
}

/// Where the manifest proper stands in a file that is whole.
pub(crate) fn manifest_proper(file: &[u8]) -> Option<&[u8]> {
    let members_bytes = u32::from_le_bytes(file.get(20..24)?.try_into().ok()?);
    file.get(FIXED_BYTES + members_bytes as usize..)
}

/// The boundary of a manifest.
pub(crate) fn boundary(manifest: &Manifest) -> LogId {
    LogId { term: Term(manifest.boundary.term), index: Index(manifest.boundary.index) }
}

fn read<F: DiskFile>(file: &F) -> Option<Described> {
    let bytes = file.len().ok().filter(|bytes| (FIXED_BYTES as u64..=MAX_BYTES).contains(bytes))?;
    Described::decode(&read_exactly(file, 0, position(bytes))?)
}

/// A checkpoint on its way to being durable, whose runs are. The log waits for each sync, so there is one to a step.
pub(crate) struct Publication {
    pub(crate) described: Described,
    next: Step,
}

/// What comes next.
enum Step {
    Write,
    NameRuns,
    NameManifest,
}

impl Publication {
    pub(crate) fn new(described: Described) -> Publication {
        Publication { described, next: Step::Write }
    }

    /// Does a step; says whether it was the last. The runs' names come before the manifest's: one without its runs
    /// would be damage.
    pub(crate) fn go_on<D: Disk>(&mut self, disk: &D) -> Result<bool, Trouble> {
        match self.next {
            Step::Write => {
                let file = disk.create(MANIFEST).map_err(Trouble::of("create", MANIFEST))?;
                file.write_at(&self.described.encode(), 0).map_err(Trouble::of("write", MANIFEST))?;
                file.sync_data().map_err(Trouble::of("sync", MANIFEST))?;
                self.next = Step::NameRuns;
            }
            Step::NameRuns => {
                disk.sync_dir(DIRECTORY).map_err(Trouble::of("sync", DIRECTORY))?;
                self.next = Step::NameManifest;
            }
            Step::NameManifest => {
                let name = path(self.described.meta.last);
                disk.rename(MANIFEST, &name).map_err(Trouble::of("rename", MANIFEST))?;
                disk.sync_dir(DIRECTORY).map_err(Trouble::of("sync", DIRECTORY))?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Makes a checkpoint durable whose runs are.
pub(crate) fn publish<D: Disk>(disk: &D, described: &Described) -> Result<(), Trouble> {
    let mut publication = Publication::new(described.clone());
    while !publication.go_on(disk)? {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_a_node_gives_tells_a_slot() {
        for slot in [LogId::ZERO, LogId::new(7, 9), LogId::new(FAR, FAR)] {
            assert_eq!(slot_in_name(&format!("{}{SUFFIX}", name(slot))), Some(slot));
        }
        for other in [
            "ffffffffffffffff-0000000000000001.snap",
            "0000000000000001-ffffffffffffffff.snap",
            "0000000000000001-8000000000000000.snap",
            "1-1.snap",
            "000000000000000A-0000000000000001.snap",
            "+000000000000001-0000000000000001.snap",
            "0000000000000001-00000000000000001.snap",
            "0000000000000001-0000000000000001",
            "0000000000000001.snap",
            ".snap",
        ] {
            assert_eq!(slot_in_name(other), None, "{other}");
        }
    }
}
