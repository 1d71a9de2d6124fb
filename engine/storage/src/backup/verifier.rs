//! A backup verified as it comes, in pieces of any size.

use std::fmt;

use quorate_raft::Digest;
use quorate_wire::checkpoint::{Manifest, RestoreError};

use super::{BLOCK_BYTES, HEADER_BYTES, Header};
use crate::layout::position;

/// The bytes of a checksum in a table.
const CHECKSUM_BYTES: u64 = 4;

/// Where the version stands in a manifest, in bytes from its start.
const MANIFEST_VERSION_OFFSET: u64 = 8;

/// Something in a backup that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}, in {place}: {reason}")]
pub struct Flaw {
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// In which part of the file.
    pub place: Place,
    /// What is wrong.
    pub reason: String,
}

impl Flaw {
    /// Of a version that is not known: [`Place::Version`] or [`Place::ContentVersion`].
    pub(super) fn other_version(offset: u64, place: Place, (found, known): (u32, u32)) -> Flaw {
        let reason = format!(
            "it has version {found} of its format, and this release knows version {known} alone: use the release that \
             wrote it"
        );
        Flaw { offset, place, reason }
    }

    /// Whether it is whole, as far as that can be told, and of a version that this release does not know.
    pub fn is_other_version(&self) -> bool {
        matches!(self.place, Place::Version { .. } | Place::ContentVersion { .. })
    }
}

/// A part of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The header.
    Header,
    /// The header, which is whole and of another version: this is no damage.
    Version {
        /// The version that was found.
        found: u32,
        /// The version that is known.
        known: u32,
    },
    /// The manifest.
    Manifest,
    /// The manifest, which is whole and, with the rows in the runs, of another version: this is no damage either.
    ContentVersion {
        /// The version that was found.
        found: u16,
        /// The version that is known.
        known: u16,
    },
    /// The checksums of the runs.
    Tables,
    /// A block of a run. Both count from 0; run 0 is the oldest.
    Block {
        /// The run.
        run: usize,
        /// The block in it.
        block: u64,
    },
    /// A run whose blocks fit their checksums.
    Run(usize),
    /// Behind the last run.
    End,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header | Place::Version { .. } => formatter.write_str("the header"),
            Place::Manifest | Place::ContentVersion { .. } => formatter.write_str("the manifest"),
            Place::Tables => formatter.write_str("the table of checksums"),
            Place::Block { run, block } => write!(formatter, "run {run}, block {block}"),
            Place::Run(run) => write!(formatter, "run {run}"),
            Place::End => formatter.write_str("what follows the last run"),
        }
    }
}

/// Verifies a backup from front to back.
///
/// Memory: manifest and tables, and one block.
#[derive(Debug, Default)]
pub struct Verifier {
    stage: Stage,
    /// What has come of the part in hand.
    pending: Vec<u8>,
    /// Where that part begins: all before it is sound.
    start: u64,
    header: Option<Header>,
    manifest: Option<Manifest>,
    tables: Vec<u8>,
    /// Of the run in hand.
    hasher: Box<blake3::Hasher>,
}

/// Which part is in hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Header,
    Manifest,
    Tables,
    /// A block of a run, of which so many bytes come before it; the run's table begins there in the tables.
    Block {
        run: usize,
        done: u64,
        table: usize,
    },
    Complete,
}

impl Verifier {
    /// Waits for the first byte.
    pub fn new() -> Verifier {
        Verifier::default()
    }

    /// What it says of itself, once that is there and sound.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Its manifest, once that is there and sound.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Where the runs begin, in bytes from the start of the file, once the manifest is there and sound.
    pub fn runs_start(&self) -> Option<u64> {
        let (header, manifest) = (self.header.as_ref()?, self.manifest.as_ref()?);
        Some(header.tables_start() + tables_bytes(manifest))
    }

    /// How many bytes from the start are sound, as far as is known. A run is known to be what its manifest names only
    /// at its end; its blocks fit their checksums before.
    pub fn sound_bytes(&self) -> u64 {
        self.start
    }

    /// How many bytes have come.
    pub fn taken_bytes(&self) -> u64 {
        self.start + self.pending.len() as u64
    }

    /// Whether all of it is there and sound.
    pub fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    /// Takes the next bytes: as many as there are, cut anywhere.
    ///
    /// # Errors
    /// The first thing that is wrong. What comes after that means nothing.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Flaw> {
        loop {
            let wanted = position(self.wanted_bytes()) - self.pending.len();
            if self.stage == Stage::Complete {
                let reason = format!("the file goes on, and should end at byte {}", self.start);
                let flaw = Flaw { offset: self.start, place: Place::End, reason };
                return if bytes.is_empty() { Ok(()) } else { Err(flaw) };
            }
            let (piece, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.pending.extend_from_slice(piece);
            if piece.len() < wanted {
                return Ok(());
            }
            bytes = rest;
            let part = std::mem::take(&mut self.pending);
            self.take(&part)?;
            self.start += part.len() as u64;
        }
    }

    /// Says that nothing more will come.
    ///
    /// # Errors
    /// [`Flaw`]: the file was cut short.
    pub fn finish(&self) -> Result<(), Flaw> {
        if self.stage == Stage::Complete {
            return Ok(());
        }
        let end = match &self.header {
            Some(header) => format!("the file ends here, and should at byte {}", header.file_bytes),
            None => "the file ends here".to_owned(),
        };
        Err(Flaw { offset: self.taken_bytes(), place: self.place(), reason: end })
    }

    /// The length of the part in hand.
    fn wanted_bytes(&self) -> u64 {
        match (self.stage, &self.header, &self.manifest) {
            (Stage::Manifest, Some(header), _) => header.manifest_bytes.into(),
            (Stage::Tables, _, Some(manifest)) => tables_bytes(manifest),
            (Stage::Block { run, done, .. }, _, Some(manifest)) => {
                BLOCK_BYTES.min(manifest.runs[run].bytes - done)
            }
            (Stage::Complete, ..) => 0,
            _ => HEADER_BYTES as u64,
        }
    }

    fn place(&self) -> Place {
        match self.stage {
            Stage::Header => Place::Header,
            Stage::Manifest => Place::Manifest,
            Stage::Tables => Place::Tables,
            Stage::Block { run, done, .. } => Place::Block { run, block: done / BLOCK_BYTES },
            Stage::Complete => Place::End,
        }
    }

    /// Takes a part that is all there.
    fn take(&mut self, part: &[u8]) -> Result<(), Flaw> {
        match self.stage {
            Stage::Header => {
                let bytes = part.first_chunk().expect("a header was wanted, and came");
                self.header = Some(Header::decode(bytes)?);
                self.stage = Stage::Manifest;
            }
            Stage::Manifest => {
                self.manifest = Some(self.manifest_of(part)?);
                self.stage = Stage::Tables;
            }
            Stage::Tables => {
                let expected = self.header.as_ref().map(|header| header.tables_checksum);
                if expected != Some(crc32c::crc32c(part)) {
                    return Err(self.flaw("they do not match their checksum"));
                }
                self.tables = part.to_vec();
                self.stage = self.begin_run(0, 0);
            }
            Stage::Block { run, done, table } => {
                self.take_block(part, (run, done, table))?;
            }
            Stage::Complete => unreachable!("nothing is wanted behind the end"),
        }
        Ok(())
    }

    fn manifest_of(&self, part: &[u8]) -> Result<Manifest, Flaw> {
        let header = self.header.as_ref().expect("the header comes first");
        if Digest(*blake3::hash(part).as_bytes()) != header.digest {
            return Err(self.flaw("it does not hash to what the header says"));
        }
        let manifest = match Manifest::decode(part) {
            Ok(Some(manifest)) if manifest.bytes() == part.len() as u64 => manifest,
            Ok(_) => return Err(self.flaw("its length is not that of what it says")),
            Err(RestoreError::UnknownVersion { found }) => {
                let known = Manifest::VERSION;
                let place = Place::ContentVersion { found, known };
                let offset = self.start + MANIFEST_VERSION_OFFSET;
                return Err(Flaw::other_version(offset, place, (found.into(), known.into())));
            }
            Err(error) => return Err(self.flaw(&error.to_string())),
        };
        let parts =
            [header.tables_start(), tables_bytes(&manifest), manifest.content_bytes() - manifest.bytes()];
        let file_bytes = parts.into_iter().fold(0, u64::saturating_add);
        let totals = (manifest.totals.revision, manifest.totals.state_hash);
        if (file_bytes, totals) != (header.file_bytes, (header.revision, header.state_hash)) {
            return Err(self.flaw("it says something else than the header"));
        }
        Ok(manifest)
    }

    fn take_block(&mut self, part: &[u8], (run, done, table): (usize, u64, usize)) -> Result<(), Flaw> {
        let at = table + position(done / BLOCK_BYTES * CHECKSUM_BYTES);
        if self.tables[at..at + position(CHECKSUM_BYTES)] != crc32c::crc32c(part).to_le_bytes() {
            return Err(self.flaw("it does not match its checksum"));
        }
        self.hasher.update(part);
        let done = done + part.len() as u64;
        let manifest = self.manifest.as_ref().expect("the manifest comes before the runs");
        let named = manifest.runs[run];
        if done < named.bytes {
            self.stage = Stage::Block { run, done, table };
            return Ok(());
        }
        let hash = *std::mem::take(&mut self.hasher).finalize().as_bytes();
        if hash != named.digest {
            // The blocks were right by their checksums, and can't all be. None of them is relied on.
            self.start = self.start + part.len() as u64 - named.bytes;
            let reason = format!("it hashes to {}, not to its name {}", Digest(hash), Digest(named.digest));
            return Err(Flaw { offset: self.start, place: Place::Run(run), reason });
        }
        self.stage = self.begin_run(run + 1, table + position(table_bytes(named.bytes)));
        Ok(())
    }

    fn begin_run(&self, run: usize, table: usize) -> Stage {
        let count = self.manifest.as_ref().map_or(0, |manifest| manifest.runs.len());
        if run < count { Stage::Block { run, done: 0, table } } else { Stage::Complete }
    }

    fn flaw(&self, reason: &str) -> Flaw {
        Flaw { offset: self.start, place: self.place(), reason: reason.to_owned() }
    }
}

/// The length of the table of a run of so many bytes.
fn table_bytes(run_bytes: u64) -> u64 {
    run_bytes.div_ceil(BLOCK_BYTES) * CHECKSUM_BYTES
}

fn tables_bytes(manifest: &Manifest) -> u64 {
    manifest.runs.iter().map(|run| table_bytes(run.bytes)).sum()
}
