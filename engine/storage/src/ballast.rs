//! A file that keeps space for the next checkpoint.
//!
//! A checkpoint is what frees the log, so there must be space for one on a disk that is full. The ballast is as large
//! as the newest checkpoint and a quarter, or as a segment: that much can be written once the ballast is gone. It goes
//! only when a checkpoint, own or received, would find no space otherwise, and comes back afterwards. What stands in
//! it is nobody's concern, so it may be cut short by a crash or be of any length.

use quorate_raft::SnapshotMeta;

use crate::disk::{Disk, DiskFile, is_for_space};
use crate::error::Fatal;
use crate::layout::write_zeros;
use crate::segment::DIRECTORY;

const PATH: &str = "log/ballast";

/// The ballast, as far as it is there.
#[derive(Debug)]
pub(crate) struct Ballast<F> {
    file: Option<F>,
    bytes: u64,
    /// The least it should have.
    least_bytes: u64,
    /// There was no space for more, and nobody has said since that there may be.
    refused: bool,
}

impl<F: DiskFile> Ballast<F> {
    /// Takes over what is there.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, least_bytes: u64) -> Ballast<F> {
        let file = disk.open(PATH).ok();
        let bytes = file.as_ref().and_then(|file| file.len().ok()).unwrap_or(0);
        Ballast { file, bytes, least_bytes, refused: false }
    }

    /// How many bytes it should have beside this checkpoint.
    fn wanted_bytes(&self, newest: Option<&SnapshotMeta>) -> u64 {
        newest.map_or(0, |meta| meta.bytes + meta.bytes / 4).max(self.least_bytes)
    }

    /// How large it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it's all there.
    pub(crate) fn is_whole(&self, newest: Option<&SnapshotMeta>) -> bool {
        self.bytes >= self.wanted_bytes(newest)
    }

    /// Whether there was no space for more.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// There may be space again.
    pub(crate) fn retry(&mut self) {
        self.refused = false;
    }

    /// Whether there's something to do in the background.
    pub(crate) fn busy(&self, newest: Option<&SnapshotMeta>) -> bool {
        !self.refused && !self.is_whole(newest)
    }

    /// Adds a slice, if it lacks one and there's space.
    pub(crate) fn work<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        newest: Option<&SnapshotMeta>,
        slice_bytes: usize,
    ) -> Result<(), Fatal> {
        if !self.busy(newest) {
            return Ok(());
        }
        let slice = (self.wanted_bytes(newest) - self.bytes).min(slice_bytes as u64);
        match self.grow(disk, slice) {
            Ok(()) => self.bytes += slice,
            Err(error) if is_for_space(&error) => self.refused = true,
            Err(error) => return Err(Fatal::new("fill", PATH)(error)),
        }
        Ok(())
    }

    fn grow<D: Disk<File = F>>(&mut self, disk: &D, slice: u64) -> std::io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => disk.create(PATH)?,
        };
        let file = self.file.insert(file);
        write_zeros(file, self.bytes, slice)?;
        file.sync_data()
    }

    /// Gives its space back; false when there is none to give.
    pub(crate) fn give_up<D: Disk>(&mut self, disk: &D) -> Result<bool, Fatal> {
        if self.file.take().is_none() {
            return Ok(false);
        }
        self.bytes = 0;
        disk.remove(PATH).map_err(Fatal::new("remove", PATH))?;
        disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        Ok(true)
    }
}
