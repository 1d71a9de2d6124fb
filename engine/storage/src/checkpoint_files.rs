//! The checkpoints of a data dir, for those who look at it, or make one from a backup.
//!
//! Nothing here changes what it looks at, but for [`build`], which only works on a data dir without a log.

use std::io;

use quorate_raft::{Chunk, Done, HardState, LogId, Members, SnapshotMeta, StoreSnapshot};
use quorate_wire::checkpoint::{Manifest, RunRef};

use crate::checkpoints::{
    Checkpoints, DIRECTORY, Described, MANIFEST_SUFFIX, RUN_HEADER_BYTES, RUN_SUFFIX, RunFile, Verification,
    manifest_path, run_path,
};
use crate::disk::{Disk, DiskFile as _};
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
    /// A run is not what the manifest names, or bytes are missing or left.
    #[error("the copy is damaged: from byte {offset} of the content on it is not what the manifest names")]
    Damaged {
        /// Where in the content it was found out.
        offset: u64,
    },
    /// The disk has no room for it.
    #[error("there is no room for the checkpoint; free some, empty the data dir, and try again")]
    Full,
    /// The disk refused an operation.
    #[error(transparent)]
    Disk(#[from] OpenError),
}

/// The name of a run whose bytes are these. A run is never empty.
pub fn name_run(bytes: &[u8]) -> RunRef {
    RunRef { digest: *blake3::hash(bytes).as_bytes(), bytes: bytes.len() as u64 }
}

/// Makes an empty data dir one whose log begins after a checkpoint that ends at `last`, from the checkpoint's manifest
/// and its runs. The term is that of `last`, and the node has voted for nobody. `read` gives the content, which is the
/// manifest and then the runs: a piece from an offset on, of any size above nothing. Whether the rows amount to what
/// the manifest says is found out when they are restored.
///
/// # Errors
/// [`BuildError`]; the directory is to be emptied then.
pub fn build<D: Disk>(
    disk: &D,
    options: &Options,
    (last, members, members_at): (LogId, Members, LogId),
    manifest: Manifest,
    mut read: impl FnMut(u64) -> io::Result<Vec<u8>>,
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
    let meta = Described::new(last, members, members_at, manifest).meta;
    let mut offset = 0;
    loop {
        let data = read(offset).map_err(|source| BuildError::Unreadable { offset, source })?;
        let end = offset + data.len() as u64;
        let chunk = Chunk { offset, data: data.into(), done: end >= meta.bytes };
        let store = StoreSnapshot { meta: Box::new(meta.clone()), chunk };
        match checkpoints.store(disk, store).map_err(OpenError::from)? {
            Some(Done::SnapshotStored { complete: true, .. }) => return Ok(meta),
            // A run that is here already is passed over: the same one may be named twice.
            Some(Done::SnapshotStored { next, .. }) if next > offset => offset = next,
            Some(_) => return Err(BuildError::Damaged { offset }),
            None => return Err(BuildError::Full),
        }
    }
}
