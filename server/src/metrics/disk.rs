//! A disk that is timed.
//!
//! The engine has no clock, so the time that a sync takes is measured around it, by a disk that stands before the real
//! one. It changes nothing of what is done.

use std::io;
use std::sync::Arc;

use quorate_storage::{Disk, DiskFile};

use super::cells::{Counter, Histogram, SHORT};
use crate::runtime::Runtime;

/// The parts of a data dir, by their directories.
pub(crate) const AREAS: [&str; 3] = ["log", "stable", "snaps"];

/// What was done to a disk, by [`AREAS`].
#[derive(Debug, Default)]
pub(crate) struct DiskTimes([AreaTimes; AREAS.len()]);

/// What was done to one part of it.
#[derive(Debug)]
pub(crate) struct AreaTimes {
    /// How long each sync took, of a file or a directory.
    pub(crate) syncs: Histogram,
    pub(crate) written_bytes: Counter,
    pub(crate) read_bytes: Counter,
}

impl Default for AreaTimes {
    fn default() -> Self {
        AreaTimes {
            syncs: Histogram::new(SHORT),
            written_bytes: Counter::default(),
            read_bytes: Counter::default(),
        }
    }
}

impl DiskTimes {
    fn area(&self, area: Option<usize>) -> Option<&AreaTimes> {
        area.map(|area| &self.0[area])
    }

    /// Each area with its name.
    pub(crate) fn areas(&self) -> impl Iterator<Item = (&'static str, &AreaTimes)> {
        AREAS.into_iter().zip(&self.0)
    }
}

/// Which of [`AREAS`] a path is in; none of them for the few files beside them, which are not counted.
fn area(path: &str) -> Option<usize> {
    let directory = path.split('/').next().unwrap_or(path);
    AREAS.iter().position(|name| *name == directory)
}

/// A disk that is timed.
#[derive(Clone, Debug)]
pub(crate) struct TimedDisk<D, R> {
    disk: D,
    runtime: R,
    times: Arc<DiskTimes>,
}

impl<D: Disk, R: Runtime> TimedDisk<D, R> {
    /// `disk`, by the clock of `runtime`.
    pub(crate) fn new(disk: D, runtime: R, times: Arc<DiskTimes>) -> Self {
        TimedDisk { disk, runtime, times }
    }

    fn file(&self, path: &str, file: D::File) -> TimedFile<D::File, R> {
        TimedFile { file, area: area(path), runtime: self.runtime.clone(), times: Arc::clone(&self.times) }
    }
}

/// A file of it.
pub(crate) struct TimedFile<F, R> {
    file: F,
    area: Option<usize>,
    runtime: R,
    times: Arc<DiskTimes>,
}

fn timed<T>(runtime: &impl Runtime, times: Option<&AreaTimes>, sync: impl FnOnce() -> T) -> T {
    let began = runtime.now();
    let done = sync();
    if let Some(times) = times {
        times.syncs.observe(runtime.now().since(began));
    }
    done
}

impl<D: Disk, R: Runtime> Disk for TimedDisk<D, R> {
    type File = TimedFile<D::File, R>;

    fn open(&self, path: &str) -> io::Result<Self::File> {
        Ok(self.file(path, self.disk.open(path)?))
    }

    fn create(&self, path: &str) -> io::Result<Self::File> {
        Ok(self.file(path, self.disk.create(path)?))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.disk.list(directory)
    }

    fn create_dir(&self, directory: &str) -> io::Result<()> {
        self.disk.create_dir(directory)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn discard(&self, path: &str) -> io::Result<()> {
        self.disk.discard(path)
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        timed(&self.runtime, self.times.area(area(directory)), || self.disk.sync_dir(directory))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

impl<F: DiskFile, R: Runtime> DiskFile for TimedFile<F, R> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(buffer, offset)?;
        if let Some(times) = self.times.area(self.area) {
            times.read_bytes.add(read as u64);
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)?;
        if let Some(times) = self.times.area(self.area) {
            times.written_bytes.add(bytes.len() as u64);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        timed(&self.runtime, self.times.area(self.area), || self.file.sync_data())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn drop_cached(&self, offset: u64, bytes: u64) {
        self.file.drop_cached(offset, bytes);
    }

    fn read_nothing_ahead(&self) {
        self.file.read_nothing_ahead();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::real::RealRuntime;
    use quorate_storage::{MemoryDisk, Options, Storage};

    #[test]
    fn what_is_done_to_a_file_counts_for_its_area() {
        let times = Arc::<DiskTimes>::default();
        let disk = TimedDisk::new(MemoryDisk::new(), RealRuntime::start(), Arc::clone(&times));
        disk.create_dir("log").unwrap();
        disk.create("VERSION").unwrap().write_at(b"1", 0).unwrap();
        let file = disk.create("log/0001").unwrap();
        file.write_at(b"abcde", 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir("log").unwrap();
        assert_eq!((file.read_at(&mut [0; 3], 1).unwrap(), file.len().unwrap()), (3, 5));
        let seen = times.areas().map(|(name, area)| {
            let syncs = area.syncs.distribution().count;
            (name, syncs, area.written_bytes.total(), area.read_bytes.total())
        });
        let expected = [("log", 2, 5, 3), ("stable", 0, 0, 0), ("snaps", 0, 0, 0)];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn all_that_a_storage_does_is_in_areas_that_have_a_name() {
        let times = Arc::<DiskTimes>::default();
        let disk = TimedDisk::new(MemoryDisk::new(), RealRuntime::start(), Arc::clone(&times));
        let (mut storage, _) = Storage::open(disk, Options::new(1)).unwrap();
        while storage.busy() {
            storage.perform(Vec::new()).unwrap();
        }
        for (name, area) in times.areas() {
            let bytes = area.written_bytes.total();
            assert_eq!(bytes > 0, name == "log" || name == "stable", "{name}: {bytes}");
        }
    }
}
