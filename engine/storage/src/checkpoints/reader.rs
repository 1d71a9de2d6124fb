//! A checkpoint as one stream of bytes: the manifest, then its runs from the oldest to the newest.

use quorate_raft::{Chunk, LogId};
use quorate_wire::checkpoint::RunRef;

use super::file::{self, Described};
use super::run::{RunFile, Verification};
use crate::disk::{Disk, DiskFile};
use crate::layout::position;

/// A checkpoint to read from. All its files are open, so that it can be read to its end whatever happens to their
/// names: a transfer may take longer than the newest few are kept.
#[derive(Debug)]
pub(crate) struct Checkpoint<F> {
    pub(crate) described: Described,
    manifest: Vec<u8>,
    runs: Vec<RunFile<F>>,
    /// How many checkpoints were taken since it was read from.
    pub(crate) idle: u32,
}

impl<F: DiskFile> Checkpoint<F> {
    /// Opens the checkpoint that ends at `last`; `None` when something of it is missing or damaged.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, last: LogId) -> Option<Checkpoint<F>> {
        let described = Described::read(disk, &file::path(last))?;
        let runs: Option<Vec<RunFile<F>>> =
            described.manifest.runs.iter().map(|run| RunFile::open(disk, run)).collect();
        Some(Checkpoint { manifest: described.manifest.encode(), runs: runs?, described, idle: 0 })
    }

    /// The same, to be read beside a log that is written.
    pub(crate) fn without_read_ahead(self) -> Checkpoint<F> {
        let runs = self.runs.into_iter().map(RunFile::without_read_ahead).collect();
        Checkpoint { runs, ..self }
    }

    /// The checksums of the blocks of all runs.
    pub(crate) fn tables(&self) -> Vec<u8> {
        self.runs.iter().flat_map(RunFile::checksums).copied().collect()
    }

    /// A piece of the content; `None` when the offset lies outside, or a block is damaged.
    pub(crate) fn chunk(&self, offset: u64, bytes: u64) -> Option<Chunk> {
        let content_bytes = self.described.meta.bytes;
        let end = content_bytes.min(offset.checked_add(bytes.max(1))?);
        if offset > end {
            return None;
        }
        let mut data = Vec::with_capacity(position(end - offset));
        let manifest_end = (self.manifest.len() as u64).min(end);
        if offset < manifest_end {
            data.extend_from_slice(&self.manifest[position(offset)..position(manifest_end)]);
        }
        for (run, from, bytes) in self.parts(offset, end) {
            data.extend_from_slice(&run.read(from, bytes)?);
        }
        Some(Chunk { offset, data: data.into(), done: end == content_bytes })
    }

    /// Which run can't be read for a piece of the content, and from where on how much of it; nothing when all can.
    pub(crate) fn damage(&self, offset: u64, bytes: u64) -> Option<(RunRef, u64, u64)> {
        let end = self.described.meta.bytes.min(offset.saturating_add(bytes.max(1)));
        let damaged = self.parts(offset, end).find(|(run, from, bytes)| run.read(*from, *bytes).is_none());
        damaged.map(|(run, from, bytes)| (*run.run(), from, bytes))
    }

    /// The runs that a range of the content lies in, and for each from where on how much of it.
    fn parts(&self, offset: u64, end: u64) -> impl Iterator<Item = (&RunFile<F>, u64, u64)> {
        let mut start = self.manifest.len() as u64;
        self.runs.iter().filter_map(move |run| {
            let (from, to) = (offset.max(start), end.min(start + run.run().bytes));
            let part = (from < to).then(|| (run, from - start, to - from));
            start += run.run().bytes;
            part
        })
    }
}

/// The first run of a checkpoint that is missing or damaged, by its number.
pub(crate) fn damaged_run<D: Disk>(disk: &D, described: &Described) -> Option<usize> {
    described.manifest.runs.iter().position(|run| {
        let file = RunFile::open(disk, run);
        !file.is_some_and(|file| Verification::new(file).verdict())
    })
}
