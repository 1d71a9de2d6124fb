//! The checkpoints of a data dir, for those who look at it, copy them out of it, or make one from such a copy.
//!
//! Nothing here changes what it looks at, but for [`build`], which only works on a data dir without a log.

use std::io;

use quorate_raft::{Chunk, HardState, LogId, Members, SnapshotMeta, StoreSnapshot};
use quorate_wire::checkpoint::{Manifest, RestoreError, RunRef};

use crate::checkpoints::{
    Checkpoint, Checkpoints, DIRECTORY, Described, MANIFEST_SUFFIX, RUN_HEADER_BYTES, RUN_SUFFIX, RunFile,
    Verification, manifest_path, run_path,
};
use crate::disk::{Disk, DiskFile};
use crate::error::{Fatal, OpenError};
use crate::options::Options;
use crate::segment;
use crate::stable::{self, Stable, StableValue};

/// All checkpoints of a data dir.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Those whose manifest can be read, the oldest first.
    pub checkpoints: Vec<Found>,
    /// The runs that are sound, by name.
    pub runs: Vec<RunRef>,
    /// What is wrong.
    pub flaws: Vec<Flaw>,
}

/// A checkpoint whose manifest can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its description.
    pub meta: SnapshotMeta,
    /// What it is made of.
    pub manifest: Manifest,
    /// Whether all of its runs are sound.
    pub is_whole: bool,
}

impl Found {
    /// The manifest's file, relative to the data dir.
    pub fn path(&self) -> String {
        manifest_path(self.meta.last)
    }
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The file, relative to the data dir.
    pub path: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
}

/// Reads every checkpoint and every run to its end and verifies all checksums. `progress` is told how many bytes were
/// read each time.
///
/// # Errors
/// The directory of the checkpoints can't be listed. What can't be read is a flaw.
pub fn list<D: Disk>(disk: &D, mut progress: impl FnMut(u64)) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let names = disk.list(DIRECTORY)?;
    for name in names.iter().filter(|name| name.ends_with(RUN_SUFFIX)) {
        let path = format!("{DIRECTORY}/{name}");
        match verify(disk, &path, &mut progress) {
            Ok(run) => listing.runs.push(run),
            Err((offset, reason)) => listing.flaws.push(Flaw { path, offset, reason }),
        }
    }
    for name in names.iter().filter(|name| name.ends_with(MANIFEST_SUFFIX)) {
        let path = format!("{DIRECTORY}/{name}");
        let Some(Described { meta, manifest }) = Described::read(disk, &path) else {
            let reason = "it can't be read, or does not match its checksum or its name".to_owned();
            listing.flaws.push(Flaw { path, offset: 0, reason });
            continue;
        };
        let lost = manifest.runs.iter().filter(|run| !listing.runs.contains(run));
        let lost: Vec<String> = lost.map(run_path).collect();
        for run in &lost {
            let reason = format!("it names {run}, which is missing or damaged");
            listing.flaws.push(Flaw { path: path.clone(), offset: 0, reason });
        }
        listing.checkpoints.push(Found { meta, manifest, is_whole: lost.is_empty() });
    }
    Ok(listing)
}

/// The run in a file, or where it is not sound, and why.
fn verify<D: Disk>(disk: &D, path: &str, progress: &mut impl FnMut(u64)) -> Result<RunRef, (u64, String)> {
    let unreadable = |error: io::Error| (0, format!("it can't be read: {error}"));
    let file = disk.open(path).map_err(unreadable)?;
    let bytes = file.len().map_err(unreadable)?;
    drop(file);
    // The header says how long the content is; the name says what it hashes to.
    let Some(file) = RunFile::open_named(disk, path) else {
        let reason = "its header or its table of checksums is damaged, or it has another run's name";
        return Err((0, format!("{reason} ({bytes} bytes)")));
    };
    let mut verification = Verification::new(file);
    loop {
        let before = verification.offset();
        let verdict = verification.go_on(1 << 16);
        progress(verification.offset() - before);
        match verdict {
            Some(true) => return Ok(*verification.run()),
            Some(false) if verification.offset() == before => {
                let reason = "a block of 64 KiB can't be read or does not match its checksum".to_owned();
                return Err((RUN_HEADER_BYTES + before, reason));
            }
            Some(false) => return Err((RUN_HEADER_BYTES, "it does not hash to its name".to_owned())),
            None => {}
        }
    }
}

/// The content of a checkpoint: one stream of bytes, the manifest and then its runs from the oldest to the newest.
#[derive(Debug)]
pub struct Stream<F> {
    checkpoint: Checkpoint<F>,
}

impl<F: DiskFile> Stream<F> {
    /// Opens the checkpoint that ends at `last`; `None` when something of it is missing or damaged. All its files are
    /// open from then on: it can be read to its end even when the node drops it meanwhile.
    pub fn open<D: Disk<File = F>>(disk: &D, last: LogId) -> Option<Stream<F>> {
        Some(Stream { checkpoint: Checkpoint::open(disk, last)? })
    }

    /// What it is.
    pub fn meta(&self) -> &SnapshotMeta {
        &self.checkpoint.described.meta
    }

    /// A piece of the content from `offset` on; `None` when that lies behind the end, or the disk can't give it right.
    pub fn read(&self, offset: u64, bytes: u64) -> Option<Chunk> {
        self.checkpoint.chunk(offset, bytes)
    }
}

/// Why no checkpoint was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is a log, a term or a checkpoint already.
    #[error(
        "{path} is there already: a checkpoint is only put into a data dir that has none; choose an empty one"
    )]
    NotEmpty {
        /// What is there, relative to the data dir.
        path: String,
    },
    /// The copy can't be read.
    #[error("the copy can't be read at byte {offset}: {source}")]
    Unreadable {
        /// So many bytes of it came before.
        offset: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The copy does not begin with a manifest.
    #[error("the copy is not one of a checkpoint: {0}")]
    Manifest(#[from] RestoreError),
    /// A run is not what the manifest names, or bytes are missing or left.
    #[error(
        "the copy is damaged: what the manifest names as the content from byte {offset} on is something else"
    )]
    Damaged {
        /// Where the run begins that is wrong or missing.
        offset: u64,
    },
    /// The disk has no room for it.
    #[error("there is no room for the checkpoint; free some, empty the data dir, and try again")]
    Full,
    /// The disk refused an operation.
    #[error(transparent)]
    Disk(#[from] OpenError),
}

/// Makes an empty data dir one whose log begins after a checkpoint, from a copy of the checkpoint's content. The term
/// is that of `last`, and the node has voted for nobody. Whether the rows amount to what the manifest says is found out
/// when they are restored.
///
/// # Errors
/// [`BuildError`]; the directory is to be emptied then.
pub fn build<D: Disk>(
    disk: &D,
    options: &Options,
    (last, members, members_at): (LogId, Members, LogId),
    content: impl IntoIterator<Item = io::Result<Vec<u8>>>,
) -> Result<SnapshotMeta, BuildError> {
    for directory in [segment::DIRECTORY, stable::DIRECTORY, DIRECTORY] {
        disk.create_dir(directory).map_err(Fatal::new("create", directory)).map_err(OpenError::from)?;
        let names = disk.list(directory).map_err(Fatal::new("list", directory)).map_err(OpenError::from)?;
        if let Some(name) = names.first() {
            return Err(BuildError::NotEmpty { path: format!("{directory}/{name}") });
        }
    }
    let mut stable = Stable::create(disk)?;
    let hard = HardState { term: last.term, vote: None };
    stable.write(StableValue { hard, ..*stable.value() }).map_err(OpenError::from)?;
    let mut checkpoints = Checkpoints::open(disk, options).map_err(OpenError::from)?;
    let (mut head, mut meta, mut offset) = (Vec::new(), None, 0);
    let mut next = 0;
    for piece in content {
        let piece = piece.map_err(|source| BuildError::Unreadable { offset, source })?;
        offset += piece.len() as u64;
        head.extend_from_slice(&piece);
        if meta.is_none() {
            let Some(manifest) = Manifest::decode(&head)? else { continue };
            meta = Some(Described::new(last, members.clone(), members_at, manifest).meta);
        }
        let Some(meta) = &meta else { continue };
        let data = std::mem::take(&mut head);
        let chunk =
            Chunk { offset: offset - data.len() as u64, data: data.into(), done: offset == meta.bytes };
        let store = StoreSnapshot { meta: meta.clone(), chunk };
        match checkpoints.store(disk, store).map_err(OpenError::from)? {
            Some(quorate_raft::Done::SnapshotStored { complete: true, .. }) if offset == meta.bytes => {
                return Ok(meta.clone());
            }
            // A run that is here already is passed over: the same one may be named twice.
            Some(quorate_raft::Done::SnapshotStored { next: wanted, complete, .. }) => {
                next = wanted;
                if complete || wanted < offset {
                    return Err(BuildError::Damaged { offset: wanted });
                }
            }
            _ => return Err(BuildError::Full),
        }
    }
    Err(BuildError::Damaged { offset: next })
}
