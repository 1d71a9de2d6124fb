//! A new data dir from a backup, offline.
//!
//! The whole file is verified before anything is written, its rows too: what they amount to must be what the manifest
//! says. Then the data dir is made in the steps of `engine/storage/src/restoring.rs`. It holds a node with a new id,
//! the only voter of the same cluster, under a new history; its log begins behind a checkpoint at slot 1 of term 1,
//! which has the runs of the backup and a manifest of its own, with the revision raised. No other node can hold that
//! slot of that history, so nobody has to be asked.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use quorate_node::kv::{Boundary, Kv, Manifest, Restore, Revision, Sealed};
use quorate_node::raft::{Contact, LogId, Members, NodeId};
use quorate_node::wire::HistoryId;
use quorate_storage::backup::{Flaw, Header, Verifier};
use quorate_storage::checkpoint_files::{BuildError, build, name_run};
use quorate_storage::data_dir::{self, DataDir, DataDirError};
use quorate_storage::{FileDisk, Options};

use crate::context::Identity;
use crate::real::when_free;
use crate::runtime::{Runtime, random_id};

/// How much higher the store's revision is than in the backup: more than any store counts to between a backup and its
/// loss. So nobody takes a revision from before the loss for one after it.
pub(crate) const REVISION_JUMP: u64 = 1 << 40;

/// How much is read at a time, in bytes.
const PIECE_BYTES: usize = 4 << 20;

/// The slot that the restored checkpoint ends at.
fn first_slot() -> LogId {
    LogId::new(1, 1)
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// The file can't be read.
    #[error("{} can't be read at byte {offset}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no sound backup.
    #[error("{}: {flaw}; nothing was written: take another backup, or another copy of this one", path.display())]
    Flawed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        flaw: Flaw,
    },
    /// Every checksum fits, and the rows are not what they should be.
    #[error("{}: every checksum fits, but its rows do not: {reason}; nothing was written", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the offset in manifest and runs.
        reason: String,
    },
    /// The revision can't be raised.
    #[error(
        "{}: its revision is {}, and a restore raises it by 2^40, above the largest that there is, 2^63 - 1: export its \
         content from a cluster that still has it, and import that into a new one",
        path.display(),
        revision.0
    )]
    RevisionTooHigh {
        /// The file.
        path: PathBuf,
        /// The revision in it.
        revision: Revision,
    },
    /// The data dir is not empty.
    #[error("the data dir {} is not empty: {reason}; give an empty one, or one that is not there yet", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        reason: String,
    },
    /// The data dir can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// It can't be filled.
    #[error("{error}; what was begun in {} is in nobody's way: run the same command again", path.display())]
    Unfinished {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        error: BuildError,
    },
}

impl RestoreError {
    /// The exit code that the contract has for it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            RestoreError::NotEmpty { .. } => 4,
            RestoreError::Flawed { flaw, .. } if flaw.is_other_version() => 78,
            RestoreError::DataDir(DataDirError::Locked { .. } | DataDirError::LookedAt { .. }) => 78,
            _ => 1,
        }
    }
}

/// What was restored.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Whose data dir it is now.
    pub(crate) identity: Identity,
    /// The history that the backup was of.
    pub(crate) before: HistoryId,
    /// The store's revision.
    pub(crate) revision: Revision,
    /// How many keys it has.
    pub(crate) keys: u64,
}

/// A file that holds a whole, sound backup.
#[derive(Debug)]
pub(crate) struct Backup {
    path: PathBuf,
    file: File,
    header: Header,
    manifest: Manifest,
    /// Where the runs begin, in bytes from the start of the file.
    runs_start: u64,
}

impl Backup {
    /// How long a file is, in bytes.
    pub(crate) fn length(path: &Path) -> Result<u64, RestoreError> {
        let unreadable = |source| RestoreError::Unreadable { path: path.to_owned(), offset: 0, source };
        Ok(std::fs::metadata(path).map_err(unreadable)?.len())
    }

    /// Verifies a file from its first byte to its last, rows included; `progress` hears of bytes that were. Holds the
    /// whole state in memory for that; it is what comes out.
    pub(crate) fn verify(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<(Backup, Kv), RestoreError> {
        let unreadable =
            |offset| move |source| RestoreError::Unreadable { path: path.to_owned(), offset, source };
        let flawed = |flaw| RestoreError::Flawed { path: path.to_owned(), flaw };
        let bad_rows = |reason: String| RestoreError::Rows { path: path.to_owned(), reason };
        let file = File::open(path).map_err(unreadable(0))?;
        let (mut verifier, mut restore) = (Verifier::new(), Restore::new());
        let mut buffer = vec![0; PIECE_BYTES];
        // What has come and is not known to be sound yet, and where that begins.
        let (mut unsound, mut start): (Vec<u8>, u64) = (Vec::new(), 0);
        loop {
            let offset = verifier.taken_bytes();
            let read = read_at(&file, &mut buffer, offset).map_err(unreadable(offset))?;
            if read == 0 {
                break;
            }
            verifier.feed(&buffer[..read]).map_err(flawed)?;
            unsound.extend_from_slice(&buffer[..read]);
            let sound =
                unsound.drain(..usize::try_from(verifier.sound_bytes() - start).expect("it was read"));
            let fed = feed_content(&mut restore, &verifier, start, sound.as_slice());
            drop(sound);
            fed.map_err(|error| bad_rows(error.to_string()))?;
            start = verifier.sound_bytes();
            progress(read as u64);
        }
        verifier.finish().map_err(flawed)?;
        let kv = restore.finish().map_err(|error| bad_rows(error.to_string()))?.kv;
        let parts = (verifier.header().cloned(), verifier.manifest().cloned(), verifier.runs_start());
        let (Some(header), Some(manifest), Some(runs_start)) = parts else {
            unreachable!("a whole backup has a header and a manifest")
        };
        Ok((Backup { path: path.to_owned(), file, header, manifest, runs_start }, kv))
    }

    /// A piece of the content that is restored: `manifest`, behind it the runs as they are in the file, and the newest.
    fn read(&self, manifest: &[u8], newest: &[u8], offset: u64) -> io::Result<Vec<u8>> {
        let rest = |of: &[u8], from: u64| {
            let rest = usize::try_from(offset.checked_sub(from)?).ok().and_then(|from| of.get(from..))?;
            (!rest.is_empty()).then(|| rest.to_vec())
        };
        let runs_start = manifest.len() as u64;
        let runs_end = runs_start + self.manifest.runs.iter().map(|run| run.bytes).sum::<u64>();
        if let Some(piece) = rest(manifest, 0).or_else(|| rest(newest, runs_end)) {
            return Ok(piece);
        }
        let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(runs_end - offset).unwrap_or(PIECE_BYTES))];
        let read = read_at(&self.file, &mut piece, self.runs_start + offset - runs_start)?;
        piece.truncate(read);
        Ok(piece)
    }
}

/// Feeds what of sound bytes, which begin at `start` in the file, is manifest or runs.
fn feed_content(
    restore: &mut Restore,
    verifier: &Verifier,
    start: u64,
    sound: &[u8],
) -> Result<(), quorate_node::kv::RestoreError> {
    let Some((header, runs_start)) = verifier.header().zip(verifier.runs_start()) else { return Ok(()) };
    let within = |from: u64, to: u64| {
        let end = start + sound.len() as u64;
        let (from, to) = (from.clamp(start, end) - start, to.clamp(start, end) - start);
        let position = |offset: u64| usize::try_from(offset).expect("it lies in memory");
        &sound[position(from)..position(to)]
    };
    restore.feed(within(header.manifest_start(), header.tables_start()))?;
    restore.feed(within(runs_start, header.file_bytes))
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match FileExt::read_at(file, buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Takes the directory, which must be empty, or one in which a restore was begun.
pub(crate) fn take_empty(path: &Path) -> Result<DataDir, RestoreError> {
    let not_empty = |reason: String| RestoreError::NotEmpty { path: path.to_owned(), reason };
    let dir = match when_free(|| DataDir::open_for_restore(path)) {
        Ok(dir) => dir,
        Err(
            error @ (DataDirError::Locked { .. }
            | DataDirError::LookedAt { .. }
            | DataDirError::Unusable { .. }),
        ) => {
            return Err(error.into());
        }
        Err(error) => return Err(not_empty(error.to_string())),
    };
    match dir.identity() {
        Some(identity) if dir.restoring().is_none() => {
            return Err(not_empty(format!("it is that of node {}", identity.node)));
        }
        _ => {}
    }
    if dir.data_json()?.is_some() {
        return Err(not_empty("it holds a data.json, which would never be imported".to_owned()));
    }
    Ok(dir)
}

/// Fills the directory from a backup that was verified, and whose state is `kv`. `progress` hears of bytes that were
/// written.
pub(crate) fn restore(
    mut dir: DataDir,
    backup: &Backup,
    mut kv: Kv,
    runtime: &impl Runtime,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let Backup { path, header, manifest, .. } = backup;
    // All runs of the backup stay, so nothing in them is news, not even what its tail holds.
    drop(kv.seal());
    if !kv.begin_history(REVISION_JUMP) {
        return Err(RestoreError::RevisionTooHigh { path: path.clone(), revision: header.revision });
    }
    let keys = kv.len() as u64;
    let Sealed { totals, rows } = kv.seal();
    drop(kv);
    // What the new history leaves behind: a run of its own on top of those of the backup.
    let newest: Vec<u8> = rows.flatten().collect();
    let (node, history) = match (dir.identity(), dir.restoring()) {
        (Some(identity), Some(history)) => (identity.node, history),
        _ => (NodeId(random_id(runtime)), HistoryId(random_id(runtime))),
    };
    dir.begin_restore(node, history)?;
    let last = first_slot();
    // All runs reach up to a boundary, here: the next checkpoint builds on them. Without one, a checkpoint would take
    // what changed since for the whole state.
    let boundary = Boundary { term: last.term.0, index: last.index.0, command_bytes: 0 };
    let runs = manifest.runs.iter().copied().chain([name_run(&newest)]).collect();
    let manifest = Manifest { totals, boundary, has_tail: false, runs };
    let encoded = manifest.encode();
    let members = Members::founder(node, Contact::default());
    let disk = FileDisk::new(dir.path());
    let built = build(&disk, &Options::new(runtime.random()), (last, members, last), manifest, |offset| {
        let piece = backup.read(&encoded, &newest, offset)?;
        progress(piece.len() as u64);
        Ok(piece)
    });
    built.map_err(|error| RestoreError::Unfinished { path: dir.path().to_owned(), error })?;
    let cluster = header.origin.cluster;
    dir.identify(data_dir::Identity { node, cluster: Some(cluster), history: Some(history) })?;
    let identity = Identity { node, cluster, history };
    Ok(Restored { identity, before: header.origin.history, revision: totals.revision, keys })
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
