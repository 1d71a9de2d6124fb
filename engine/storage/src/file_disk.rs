//! The real disk.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};

/// The file system below one directory, the data dir.
#[derive(Clone)]
pub struct FileDisk {
    root: PathBuf,
    read_only: bool,
    closes: Option<Closes>,
}

type Closes = Arc<dyn Fn(File) + Send + Sync>;

impl fmt::Debug for FileDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileDisk { root, read_only, closes: _ } = self;
        formatter
            .debug_struct("FileDisk")
            .field("root", root)
            .field("read_only", read_only)
            .finish_non_exhaustive()
    }
}

impl FileDisk {
    /// The disk rooted at `root`, which must exist.
    pub fn new(root: impl Into<PathBuf>) -> FileDisk {
        FileDisk { root: root.into(), read_only: false, closes: None }
    }

    /// The same, but what is discarded is closed by `closes`. With the last handle the system gives the blocks back,
    /// and for a large file that takes long enough for others to notice.
    #[must_use]
    pub fn closing(self, closes: impl Fn(File) + Send + Sync + 'static) -> FileDisk {
        FileDisk { closes: Some(Arc::new(closes)), ..self }
    }

    /// The disk rooted at `root`, whose files are opened for reading only.
    pub fn read_only(root: impl Into<PathBuf>) -> FileDisk {
        FileDisk { root: root.into(), read_only: true, closes: None }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl Disk for FileDisk {
    type File = File;

    fn open(&self, path: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(!self.read_only).open(self.path(path))
    }

    fn create(&self, path: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(path))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(directory))? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, directory: &str) -> io::Result<()> {
        match fs::create_dir(self.path(directory)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Also when it was there already: a crash may have come between making and syncing it.
        let parent =
            Path::new(directory).parent().map_or_else(|| self.root.clone(), |dir| self.root.join(dir));
        sync_directory(&parent)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn discard(&self, path: &str) -> io::Result<()> {
        let Some(closes) = &self.closes else { return self.remove(path) };
        let file = File::open(self.path(path));
        fs::remove_file(self.path(path))?;
        file.into_iter().for_each(&**closes);
        Ok(())
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        sync_directory(&self.path(directory))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let system = rustix::fs::statvfs(&self.root)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match FileExt::read_at(self, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(target_os = "linux")]
    fn drop_cached(&self, offset: u64, bytes: u64) {
        // Without an end where there is none to name. That it fails costs nothing: the next read is a cheaper one.
        let bytes = i64::try_from(bytes).ok().and_then(|bytes| u64::try_from(bytes).ok());
        let bytes = bytes.and_then(std::num::NonZeroU64::new);
        let _ = rustix::fs::fadvise(self, offset, bytes, rustix::fs::Advice::DontNeed);
    }
}
