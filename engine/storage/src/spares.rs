//! Segments of zeros, kept ready.
//!
//! A segment is filled with zeros before its first use and before every other one: recovery tells a torn batch by the
//! zeros that were there before (see [`crate::verdict`]), and writing into blocks that exist needs no change of the
//! file system's own records, so a sync costs half. Filling goes on in slices, in the background of log writes. A
//! file that's being filled has a name of its own and is worthless after a crash; it becomes a spare, by a rename,
//! when its zeros are durable.

use std::collections::VecDeque;

use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;
use crate::layout::{is_zero, write_zeros};
use crate::reread::settled;
use crate::segment::{DIRECTORY, LogFile, SegmentNumber};

#[derive(Debug)]
struct Filling<F> {
    number: SegmentNumber,
    file: F,
    done: u64,
}

/// Spare segments, ready and on their way.
#[derive(Debug)]
pub(crate) struct Spares<F> {
    ready: VecDeque<(SegmentNumber, F)>,
    filling: Option<Filling<F>>,
    /// Dropped segments that become spares.
    recycled: VecDeque<SegmentNumber>,
    /// Numbers above all in use.
    next_number: SegmentNumber,
    segment_bytes: u32,
    limit: usize,
}

impl<F: DiskFile> Spares<F> {
    /// Takes over the spares that are there, and removes what isn't one. `next_number` is above all in use.
    pub(crate) fn open<D: Disk<File = F>>(
        disk: &D,
        files: &[LogFile],
        next_number: SegmentNumber,
        segment_bytes: u32,
        limit: usize,
    ) -> Result<Spares<F>, Fatal> {
        let ready = VecDeque::new();
        let mut spares =
            Spares { ready, filling: None, recycled: VecDeque::new(), next_number, segment_bytes, limit };
        for file in files {
            let LogFile::Spare(number) = file else { continue };
            match zeros(disk, *file, segment_bytes) {
                Some(open) if spares.ready.len() < limit => spares.ready.push_back((*number, open)),
                _ => disk.remove(&file.path()).map_err(Fatal::new("remove", file.path()))?,
            }
        }
        for file in files.iter().filter(|file| matches!(file, LogFile::Filling(_))) {
            disk.remove(&file.path()).map_err(Fatal::new("remove", file.path()))?;
        }
        Ok(spares)
    }

    /// A number that no file in the log has had since it was opened.
    pub(crate) fn next_number(&mut self) -> SegmentNumber {
        let number = self.next_number;
        self.next_number = number.next();
        number
    }

    /// Whether there's something to do in the background.
    pub(crate) fn busy(&self) -> bool {
        self.filling.is_some() || self.ready.len() < self.limit || !self.recycled.is_empty()
    }

    /// Does a slice of what there's to do.
    pub(crate) fn work<D: Disk<File = F>>(&mut self, disk: &D, slice_bytes: usize) -> Result<(), Fatal> {
        if self.filling.is_none() {
            match self.recycled.pop_front() {
                Some(number) if self.ready.len() >= self.limit => return remove(disk, number),
                Some(number) => {
                    let path = LogFile::Filling(number).path();
                    let file = disk.open(&path).map_err(Fatal::new("open", path))?;
                    self.filling = Some(Filling { number, file, done: 0 });
                }
                None if self.ready.len() >= self.limit => return Ok(()),
                None => self.filling = Some(self.create(disk)?),
            }
        }
        self.fill(disk, slice_bytes)
    }

    /// Takes a file out of the log, to become a spare. Its new name is durable after the next sync of the directory,
    /// which the caller does.
    pub(crate) fn recycle<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        number: SegmentNumber,
        bytes: u64,
    ) -> Result<(), Fatal> {
        let path = LogFile::Segment(number).path();
        let wanted =
            self.ready.len() + self.recycled.len() + usize::from(self.filling.is_some()) < self.limit;
        if wanted && bytes == u64::from(self.segment_bytes) {
            let filling = LogFile::Filling(number).path();
            disk.rename(&path, &filling).map_err(Fatal::new("rename", path))?;
            self.recycled.push_back(number);
            return Ok(());
        }
        disk.remove(&path).map_err(Fatal::new("remove", path))
    }

    /// A file of `bytes` zeros, durable, and its path. Waits for one to be filled when none is ready.
    pub(crate) fn take<D: Disk<File = F>>(&mut self, disk: &D, bytes: u32) -> Result<(F, String), Fatal> {
        if bytes != self.segment_bytes {
            let large = self.create(disk)?;
            let path = LogFile::Filling(large.number).path();
            write_zeros(&large.file, 0, u64::from(bytes)).map_err(Fatal::new("write", &path))?;
            large.file.sync_data().map_err(Fatal::new("sync", &path))?;
            return Ok((large.file, path));
        }
        while self.ready.is_empty() {
            if self.filling.is_none() && self.recycled.is_empty() {
                self.filling = Some(self.create(disk)?);
            }
            self.work(disk, self.segment_bytes as usize)?;
        }
        let (number, file) = self.ready.pop_front().expect("the loop above ended with one ready");
        Ok((file, LogFile::Spare(number).path()))
    }

    fn create<D: Disk<File = F>>(&mut self, disk: &D) -> Result<Filling<F>, Fatal> {
        let number = self.next_number();
        let path = LogFile::Filling(number).path();
        let file = disk.create(&path).map_err(Fatal::new("create", path))?;
        Ok(Filling { number, file, done: 0 })
    }

    fn fill<D: Disk<File = F>>(&mut self, disk: &D, slice_bytes: usize) -> Result<(), Fatal> {
        let Some(filling) = &mut self.filling else { return Ok(()) };
        let total = u64::from(self.segment_bytes);
        let path = LogFile::Filling(filling.number).path();
        let slice = (total - filling.done).min(slice_bytes as u64);
        write_zeros(&filling.file, filling.done, slice).map_err(Fatal::new("write", &path))?;
        filling.done += slice;
        filling.file.sync_data().map_err(Fatal::new("sync", &path))?;
        if filling.done == total {
            let spare = LogFile::Spare(filling.number).path();
            disk.rename(&path, &spare).map_err(Fatal::new("rename", path))?;
            disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
            self.ready.extend(self.filling.take().map(|filled| (filled.number, filled.file)));
        }
        Ok(())
    }
}

fn remove<D: Disk>(disk: &D, number: SegmentNumber) -> Result<(), Fatal> {
    let path = LogFile::Filling(number).path();
    disk.remove(&path).map_err(Fatal::new("remove", path))?;
    disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))
}

/// The file, if it is of this length and holds nothing but zeros.
fn zeros<D: Disk>(disk: &D, file: LogFile, bytes: u32) -> Option<D::File> {
    let open = disk.open(&file.path()).ok()?;
    let mut content = vec![1; bytes as usize];
    let mut read =
        || open.read_at(&mut content, 0).is_ok_and(|read| read == content.len()) && is_zero(&content);
    (open.len().ok()? == u64::from(bytes) && settled(&mut read, |zeros| *zeros)).then_some(open)
}
