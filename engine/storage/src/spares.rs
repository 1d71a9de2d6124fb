//! Segments of zeros, kept ready.
//!
//! A segment is filled with zeros before its first use and before every other one: recovery tells a torn batch by the
//! zeros that were there before (see [`crate::verdict`]), and writing into blocks that exist needs no change of the
//! file system's own records, so a sync costs half. Filling goes on in slices, in the background of log writes. A
//! file that's being filled has a name of its own and is worthless after a crash; it becomes a spare, by a rename,
//! when its zeros are durable.
//!
//! This is where a full disk is met, and not where anything is written that counts: a file that finds no space is
//! removed again, and nothing is made anew until the host says that it may be tried again. What was dropped from the
//! log is filled all the same: it has its blocks.

use std::collections::VecDeque;
use std::io;

use crate::disk::{Disk, DiskFile, is_for_space};
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
    /// Segments of their own size, each for one record that needs it, ready for what is about to be written.
    large: VecDeque<Large<F>>,
    /// There was no space for another, and nobody has said since that there may be.
    refused: bool,
    /// Numbers above all in use.
    next_number: SegmentNumber,
    segment_bytes: u32,
    limit: usize,
}

#[derive(Debug)]
struct Large<F> {
    path: String,
    bytes: u32,
    file: F,
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
        let mut spares = Spares {
            ready: VecDeque::new(),
            filling: None,
            recycled: VecDeque::new(),
            large: VecDeque::new(),
            refused: false,
            next_number,
            segment_bytes,
            limit,
        };
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
        self.filling.is_some() || !self.recycled.is_empty() || (!self.refused && !self.are_all_ready())
    }

    /// Whether all that is left to do is to remove what is not needed. That has time: the log may wait for a spare, but
    /// never for a file that goes, and with the first checkpoint after much was written many of them go at once.
    pub(crate) fn only_removes(&self) -> bool {
        self.filling.is_none() && self.are_all_ready()
    }

    /// How many are ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether as many are ready as there should be.
    pub(crate) fn are_all_ready(&self) -> bool {
        self.ready.len() >= self.limit
    }

    /// Whether there was no space for another one.
    pub(crate) fn are_refused(&self) -> bool {
        self.refused
    }

    /// There may be space again.
    pub(crate) fn retry(&mut self) {
        self.refused = false;
    }

    /// Does a slice of what there's to do.
    pub(crate) fn work<D: Disk<File = F>>(&mut self, disk: &D, slice_bytes: usize) -> Result<(), Fatal> {
        if self.filling.is_none() {
            match self.recycled.pop_front() {
                Some(number) if self.are_all_ready() => return remove(disk, number),
                Some(number) => {
                    let path = LogFile::Filling(number).path();
                    let file = disk.open(&path).map_err(Fatal::new("open", path))?;
                    self.filling = Some(Filling { number, file, done: 0 });
                }
                None if self.are_all_ready() || self.refused => return Ok(()),
                None => self.filling = self.create(disk)?,
            }
        }
        self.fill(disk, slice_bytes)
    }

    /// Makes so many ready, now; false when there's no space for them.
    pub(crate) fn provide<D: Disk<File = F>>(&mut self, disk: &D, count: usize) -> Result<bool, Fatal> {
        while self.ready.len() < count {
            if self.filling.is_none() && self.recycled.is_empty() {
                if self.refused {
                    return Ok(false);
                }
                self.filling = self.create(disk)?;
            }
            self.work(disk, self.segment_bytes as usize)?;
        }
        Ok(true)
    }

    /// Makes a segment of `bytes` ready, which is not the usual size; false when there's no space for it.
    pub(crate) fn provide_large<D: Disk<File = F>>(&mut self, disk: &D, bytes: u32) -> Result<bool, Fatal> {
        let Some(Filling { number, file, .. }) = self.create(disk)? else { return Ok(false) };
        let path = LogFile::Filling(number).path();
        match write_zeros(&file, 0, u64::from(bytes)).and_then(|()| file.sync_data()) {
            Ok(()) => self.large.push_back(Large { path, bytes, file }),
            Err(error) if is_for_space(&error) => {
                drop(file);
                self.give_up(disk, number)?;
                return Ok(false);
            }
            Err(error) => return Err(Fatal::new("fill", path)(error)),
        }
        Ok(true)
    }

    /// Removes what [`Spares::provide_large`] made and nobody took.
    pub(crate) fn remove_large<D: Disk<File = F>>(&mut self, disk: &D) -> Result<(), Fatal> {
        while let Some(Large { path, .. }) = self.large.pop_front() {
            disk.remove(&path).map_err(Fatal::new("remove", path))?;
        }
        Ok(())
    }

    /// Takes a file out of the log, to become a spare, or to be removed when there are enough. Its new name is durable
    /// after the next sync of the directory, which the caller does.
    pub(crate) fn recycle<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        number: SegmentNumber,
        bytes: u64,
    ) -> Result<(), Fatal> {
        let path = LogFile::Segment(number).path();
        self.refused = false;
        if bytes != u64::from(self.segment_bytes) {
            return disk.discard(&path).map_err(Fatal::new("remove", path));
        }
        let filling = LogFile::Filling(number).path();
        disk.rename(&path, &filling).map_err(Fatal::new("rename", path))?;
        self.recycled.push_back(number);
        Ok(())
    }

    /// A file of `bytes` zeros, durable, and its path. Waits for one to be filled when none is ready.
    pub(crate) fn take<D: Disk<File = F>>(&mut self, disk: &D, bytes: u32) -> Result<(F, String), Fatal> {
        let full = |path: String| Fatal::new("make room for", path)(io::ErrorKind::StorageFull.into());
        if bytes != self.segment_bytes {
            let fits = |large: &Large<F>| large.bytes == bytes;
            if !self.large.iter().any(fits) && !self.provide_large(disk, bytes)? {
                return Err(full(LogFile::Filling(self.next_number).path()));
            }
            // Never another one: a file that is shorter than its header says reads as damaged at its end.
            let at = self.large.iter().position(fits).expect("one has just been provided, or was there");
            let large = self.large.remove(at).expect("it is there");
            return Ok((large.file, large.path));
        }
        if !self.provide(disk, 1)? {
            return Err(full(LogFile::Filling(self.next_number).path()));
        }
        let (number, file) = self.ready.pop_front().expect("one has just been provided");
        Ok((file, LogFile::Spare(number).path()))
    }

    /// An empty file, to be filled; none when there's no space even for that.
    fn create<D: Disk<File = F>>(&mut self, disk: &D) -> Result<Option<Filling<F>>, Fatal> {
        let number = self.next_number();
        let path = LogFile::Filling(number).path();
        match disk.create(&path) {
            Ok(file) => Ok(Some(Filling { number, file, done: 0 })),
            Err(error) if is_for_space(&error) => {
                self.refused = true;
                Ok(None)
            }
            Err(error) => Err(Fatal::new("create", path)(error)),
        }
    }

    fn fill<D: Disk<File = F>>(&mut self, disk: &D, slice_bytes: usize) -> Result<(), Fatal> {
        let Some(filling) = &mut self.filling else { return Ok(()) };
        let total = u64::from(self.segment_bytes);
        let number = filling.number;
        let path = LogFile::Filling(number);
        let slice = (total - filling.done).min(slice_bytes as u64);
        match write_zeros(&filling.file, filling.done, slice).and_then(|()| filling.file.sync_data()) {
            Ok(()) => filling.done += slice,
            Err(error) if is_for_space(&error) => {
                self.filling = None;
                return self.give_up(disk, number);
            }
            Err(error) => return Err(Fatal::new("fill", path)(error)),
        }
        if filling.done == total {
            let spare = LogFile::Spare(number).path();
            disk.rename(&path.path(), &spare).map_err(Fatal::new("rename", path))?;
            disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
            self.ready.extend(self.filling.take().map(|filled| (filled.number, filled.file)));
        }
        Ok(())
    }

    /// Gives back what was written of a file for which there is no space.
    fn give_up<D: Disk<File = F>>(&mut self, disk: &D, number: SegmentNumber) -> Result<(), Fatal> {
        self.refused = true;
        remove(disk, number)
    }
}

fn remove<D: Disk>(disk: &D, number: SegmentNumber) -> Result<(), Fatal> {
    let path = LogFile::Filling(number).path();
    disk.discard(&path).map_err(Fatal::new("remove", path))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_disk::{MemoryDisk, MemoryFile, Operation};

    const BYTES: u32 = 8192;

    fn put(disk: &MemoryDisk, file: LogFile, bytes: &[u8]) -> LogFile {
        disk.create(&file.path()).unwrap().write_at(bytes, 0).unwrap();
        file
    }

    fn open(disk: &MemoryDisk, files: &[LogFile], limit: usize) -> Spares<MemoryFile> {
        Spares::open(disk, files, SegmentNumber(100), BYTES, limit).unwrap()
    }

    fn disk() -> MemoryDisk {
        let disk = MemoryDisk::new();
        disk.create_dir(DIRECTORY).unwrap();
        disk
    }

    fn work_until_idle(spares: &mut Spares<MemoryFile>, disk: &MemoryDisk) {
        for _ in 0..100 {
            if !spares.busy() {
                return;
            }
            spares.work(disk, 3000).unwrap();
        }
        panic!("it comes to no end: {spares:?}");
    }

    /// Whole files of zeros are taken over, as many as there are to be; nothing else stays.
    #[test]
    fn what_is_no_spare_goes_when_it_is_opened() {
        let disk = disk();
        let zeros = vec![0; BYTES as usize];
        let mut dirty = zeros.clone();
        dirty[8000] = 1;
        let spare = |number| LogFile::Spare(SegmentNumber(number));
        let files = [
            put(&disk, spare(1), &zeros[1..]),
            put(&disk, spare(2), &dirty),
            put(&disk, spare(3), &[&zeros[..], &[0]].concat()),
            put(&disk, spare(4), &zeros),
            put(&disk, spare(5), &zeros),
            put(&disk, spare(6), &zeros),
            put(&disk, LogFile::Filling(SegmentNumber(7)), &zeros),
        ];
        let spares = open(&disk, &files, 2);
        assert_eq!((spares.ready(), spares.are_all_ready(), spares.busy()), (2, true, false));
        assert_eq!(disk.files(), [spare(4).path(), spare(5).path()]);
    }

    #[test]
    fn files_are_filled_in_slices_until_there_are_enough() {
        let disk = disk();
        let mut spares = open(&disk, &[], 2);
        assert!(spares.busy() && !spares.only_removes());
        for expected in [0, 0, 1, 1, 1, 2] {
            spares.work(&disk, 3000).unwrap();
            assert_eq!(spares.ready(), expected);
        }
        assert!(!spares.busy() && spares.only_removes());
        let (file, path) = spares.take(&disk, BYTES).unwrap();
        assert_eq!((file.len().unwrap(), spares.ready()), (u64::from(BYTES), 1));
        assert_eq!(disk.content(&path), Some(vec![0; BYTES as usize]));
    }

    #[test]
    fn a_segment_that_is_dropped_becomes_a_spare_or_goes() {
        let disk = disk();
        let mut spares = open(&disk, &[], 1);
        let segment = |number, bytes: usize| {
            put(&disk, LogFile::Segment(SegmentNumber(number)), &vec![9; bytes]);
            SegmentNumber(number)
        };
        let (usual, large) = (u64::from(BYTES), u64::from(BYTES) + 1);
        spares.recycle(&disk, segment(1, 8193), large).unwrap();
        assert_eq!(disk.files(), [""; 0], "one of another size is of no use");
        spares.recycle(&disk, segment(2, 8192), usual).unwrap();
        spares.recycle(&disk, segment(3, 8192), usual).unwrap();
        assert!(spares.busy() && !spares.only_removes());
        work_until_idle(&mut spares, &disk);
        let spare = LogFile::Spare(SegmentNumber(2)).path();
        assert_eq!((disk.files(), spares.ready()), (vec![spare.clone()], 1));
        assert_eq!(disk.content(&spare), Some(vec![0; BYTES as usize]));
        spares.recycle(&disk, segment(4, 8192), usual).unwrap();
        assert!(spares.busy() && spares.only_removes());
        work_until_idle(&mut spares, &disk);
        assert_eq!(disk.files(), [spare]);
    }

    #[test]
    fn a_large_one_is_made_for_who_needs_it_and_goes_when_nobody_takes_it() {
        let disk = disk();
        let mut spares = open(&disk, &[], 0);
        assert!(spares.provide_large(&disk, 9000).unwrap() && spares.provide_large(&disk, 10_000).unwrap());
        let taken =
            |spares: &mut Spares<MemoryFile>, bytes| spares.take(&disk, bytes).unwrap().0.len().unwrap();
        assert_eq!((taken(&mut spares, 10_000), disk.files().len()), (10_000, 2));
        assert_eq!((taken(&mut spares, 20_000), disk.files().len()), (20_000, 3), "made when none was");
        spares.remove_large(&disk).unwrap();
        assert_eq!(disk.files().len(), 2);
    }

    /// A full disk is no death: it is tried again when somebody says so. Any other error is.
    #[test]
    fn want_of_space_is_told_from_a_broken_disk() {
        let disk = disk();
        let mut spares = open(&disk, &[], 1);
        for capacity in [0, 100, 5000] {
            disk.set_capacity(Some(capacity));
            spares.retry();
            assert!(spares.busy() && !spares.are_refused());
            work_until_idle(&mut spares, &disk);
            assert!(spares.are_refused());
            assert!(!spares.provide_large(&disk, 9000).unwrap());
            assert_eq!(disk.files(), [""; 0], "with {capacity} bytes");
        }
        disk.set_capacity(None);
        for operation in [Operation::Name, Operation::Write, Operation::Sync] {
            spares.retry();
            disk.fail(operation, 0);
            assert!((0..3).any(|_| spares.work(&disk, 9000).is_err()), "{operation:?}");
            disk.fail(operation, 0);
            assert!(spares.provide_large(&disk, 9000).is_err(), "{operation:?}");
            disk.disarm();
            spares = open(&disk, &[], 1);
        }
        assert!(!spares.are_refused());
    }
}
