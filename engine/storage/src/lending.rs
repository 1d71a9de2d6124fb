//! What a node lends its peers: the files of its checkpoints, as far as they are sound, so that one whose own have gone
//! bad can mend them ([`crate::mending`]).
//!
//! Runs are named by what they hold, and manifests by the slot that they end at, at which all replicas have the same
//! state: so a piece from anybody of the same history is as good as one's own. It makes no difference whether the
//! lender serves, or is damaged itself and waits for a piece in turn: files that were put aside are lent from, too.

use quorate_raft::{Digest, LogId};
use quorate_wire::checkpoint::Manifest;

pub use crate::checkpoints::BLOCK_BYTES;
use crate::checkpoints::{
    DIRECTORY, Described, MANIFEST_SUFFIX, RUN_SUFFIX, RunFile, aside, manifest_name, manifest_path,
    slot_in_name,
};
use crate::disk::Disk;

/// The most bytes of a run that are lent at once.
pub const LENT_BYTES: usize = 16 * BLOCK_BYTES as usize;

/// What a peer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Which checkpoints there are. Answer: their names, as [`name`] writes them, a line each.
    List,
    /// The manifest of the checkpoint that ends there. Answer: its file.
    Manifest(LogId),
    /// The checksums of a run's blocks. Answer: its file without the content, so the header and the table.
    Table(Digest),
    /// Blocks of a run. Answer: as many sound ones in a row as there are, at most [`LENT_BYTES`].
    Blocks {
        /// The run.
        run: Digest,
        /// The number of the first one.
        first: u32,
    },
}

/// The name of a checkpoint: index and term of its last slot in hexadecimal digits, as in the names of files.
pub fn name(last: LogId) -> String {
    manifest_name(last)
}

/// The checkpoint of that name.
pub fn slot_of(name: &str) -> Option<LogId> {
    slot_in_name(&format!("{name}{MANIFEST_SUFFIX}")).filter(|slot| self::name(*slot) == name)
}

/// The manifest in a lent file, when that is sound and of this checkpoint.
pub fn manifest_in(file: &[u8], last: LogId) -> Option<Manifest> {
    let described = Described::decode(file).filter(|described| described.meta.last == last)?;
    Some(described.manifest)
}

/// The hash of the state that it describes.
pub fn state_hash(file: &[u8], last: LogId) -> Option<u64> {
    manifest_in(file, last).map(|manifest| manifest.totals.state_hash)
}

/// What is wanted, when it is there and sound.
pub fn lend<D: Disk>(disk: &D, wanted: &Wanted) -> Option<Vec<u8>> {
    match wanted {
        Wanted::List => {
            let names = manifests(disk).into_iter().map(|last| name(last) + "\n");
            Some(names.collect::<String>().into_bytes())
        }
        Wanted::Manifest(last) => Some(manifest(disk, *last)?.encode()),
        Wanted::Table(run) => Some(run_files(disk, *run).next()?.into_table().encode()),
        Wanted::Blocks { run, first } => blocks(disk, *run, *first),
    }
}

/// The last slots of all checkpoints with a file here, sound or not, the newest first.
pub(crate) fn manifests<D: Disk>(disk: &D) -> Vec<LogId> {
    let names = disk.list(DIRECTORY).unwrap_or_default();
    let slots = names.iter().map(|name| name.strip_suffix(aside::SUFFIX).unwrap_or(name));
    let mut slots: Vec<LogId> = slots.filter_map(slot_in_name).collect();
    slots.sort_unstable_by(|one, other| other.cmp(one));
    slots.dedup();
    slots
}

/// A manifest, when one of its files is sound.
pub(crate) fn manifest<D: Disk>(disk: &D, last: LogId) -> Option<Described> {
    let path = manifest_path(last);
    let mut found = [path.clone(), aside::path(&path)].into_iter().filter_map(|path| {
        // A file that was put aside may have been overwritten by another one of that name.
        Described::read_any(disk, &path).filter(|described| described.meta.last == last)
    });
    found.next()
}

/// The files of a run that have a sound header and table.
pub(crate) fn run_files<D: Disk>(disk: &D, run: Digest) -> impl Iterator<Item = RunFile<D::File>> {
    let path = format!("{DIRECTORY}/{run}{RUN_SUFFIX}");
    let files = [path.clone(), aside::path(&path)].into_iter();
    files.filter_map(|path| RunFile::open_any(disk, &path)).filter(move |file| file.run().digest == run.0)
}

fn blocks<D: Disk>(disk: &D, run: Digest, first: u32) -> Option<Vec<u8>> {
    let files: Vec<RunFile<D::File>> = run_files(disk, run).collect();
    let block = |number: u64| {
        let bytes = u64::from(BLOCK_BYTES);
        let mut read = files.iter().filter_map(|file| file.read(number * bytes, bytes));
        read.next().filter(|block| !block.is_empty())
    };
    let mut lent = block(first.into())?;
    let most = LENT_BYTES as u64 / u64::from(BLOCK_BYTES);
    for number in (u64::from(first) + 1..).take_while(|number| number - u64::from(first) < most) {
        match block(number) {
            Some(block) => lent.extend_from_slice(&block),
            None => break,
        }
    }
    Some(lent)
}
