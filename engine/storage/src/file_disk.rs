//! The real disk.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::StatVfs;

use crate::disk::{Disk, DiskFile};

/// So much of a file is given back at a time.
const PIECE_BYTES: u64 = 1 << 20;
/// With less free space, that comes before latency.
const SCARCE_BYTES: u64 = 1 << 30;

/// The file system below one directory, the data dir.
///
/// Each of its handles holds a shared lock (`flock`), which says that somebody may read the file.
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
        let file = OpenOptions::new().read(true).write(!self.read_only).open(self.path(path))?;
        match file.try_lock_shared() {
            // It was discarded a moment ago, and is given back.
            Err(TryLockError::WouldBlock) if names(&file)? == 0 => Err(io::ErrorKind::NotFound.into()),
            // Where there are no locks, nobody gets one to take its blocks away either.
            _ => Ok(file),
        }
    }

    fn create(&self, path: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(self.path(path))?;
        let _ = file.try_lock_shared();
        Ok(file)
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
        let file = OpenOptions::new().write(true).open(self.path(path));
        fs::remove_file(self.path(path))?;
        file.into_iter().for_each(&**closes);
        Ok(())
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        sync_directory(&self.path(directory))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(free(&rustix::fs::statvfs(&self.root)?))
    }
}

/// How many names a file has.
fn names(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.nlink())
}

/// Gives the blocks of a file that was discarded back to the system: a piece at a time, with a rest after each. Not if
/// it has another name, or a [`FileDisk`] has it open: there it can be read to its end. Nor if there is less than a GiB
/// of free space: then somebody may wait for that.
///
/// A file system that tells the disk of every block it frees (mounted with `discard`, as is usual in clouds) holds up
/// all syncs for as long as that takes: for 64 MiB at once, 5 to 20 ms. RocksDB does the same for that reason
/// (`bytes_max_delete_chunk`).
pub fn give_back(file: &File, mut rest: impl FnMut()) {
    let is_the_last = file.try_lock().is_ok() && names(file).is_ok_and(|names| names == 0);
    if !is_the_last {
        return;
    }
    let Ok(bytes) = DiskFile::len(file) else { return };
    for left in (0..bytes.div_ceil(PIECE_BYTES)).rev() {
        let is_scarce = rustix::fs::fstatvfs(file).is_ok_and(|system| free(&system) < SCARCE_BYTES);
        if is_scarce || file.set_len(left * PIECE_BYTES).is_err() {
            return;
        }
        rest();
    }
}

/// The free space of a file system, in bytes.
fn free(system: &StatVfs) -> u64 {
    system.f_bavail.saturating_mul(system.f_frsize)
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

    #[cfg(target_os = "linux")]
    fn read_nothing_ahead(&self) {
        let _ = rustix::fs::fadvise(self, 0, None, rustix::fs::Advice::Random);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::sync::Mutex;

    fn disk() -> (tempfile::TempDir, FileDisk) {
        let root = tempfile::tempdir().unwrap();
        let disk = FileDisk::new(root.path());
        (root, disk)
    }

    /// `File` has methods of the same names from elsewhere.
    fn write(file: &impl DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_at(bytes, offset)
    }

    fn put(disk: &FileDisk, path: &str, content: &[u8]) {
        write(&disk.create(path).unwrap(), content, 0).unwrap();
    }

    fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
        result.err().unwrap().kind()
    }

    #[test]
    fn a_directory_is_there_afterwards_or_it_is_said_why_not() {
        let (_root, disk) = disk();
        disk.create_dir("d").unwrap();
        disk.create_dir("d").unwrap();
        put(&disk, "file", b"x");
        assert_eq!(kind(disk.create_dir("file/d")), io::ErrorKind::NotADirectory);
        assert_eq!(kind(disk.create_dir("none/d")), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_holds_what_was_written_where_it_was_written() {
        let (_root, disk) = disk();
        assert_eq!(kind(disk.open("a")), io::ErrorKind::NotFound);
        let file = disk.create("a").unwrap();
        assert!(DiskFile::is_empty(&file).unwrap());
        write(&file, b"behind a gap", 3).unwrap();
        DiskFile::sync_data(&file).unwrap();
        let same = disk.open("a").unwrap();
        assert_eq!(DiskFile::len(&same).unwrap(), 15);
        assert!(!DiskFile::is_empty(&same).unwrap());
        let mut buffer = [7; 20];
        assert_eq!(DiskFile::read_at(&same, &mut buffer, 0).unwrap(), 15);
        assert_eq!(&buffer[..17], b"\0\0\0behind a gap\x07\x07", "what was not read is left alone");
        assert_eq!(DiskFile::read_at(&same, &mut buffer[..4], 5).unwrap(), 4);
        assert_eq!(&buffer[..4], b"hind");
        assert_eq!(DiskFile::read_at(&same, &mut buffer, 99).unwrap(), 0);
        assert_eq!(DiskFile::read_at(&same, &mut [], 0).unwrap(), 0);
        assert!(DiskFile::is_empty(&disk.create("a").unwrap()).unwrap(), "made anew it is empty");
    }

    #[test]
    fn names_come_and_go() {
        let (root, disk) = disk();
        for _ in 0..2 {
            disk.create_dir("log").unwrap();
        }
        assert_eq!(kind(disk.create_dir("none/log")), io::ErrorKind::NotFound);
        assert!(root.path().join("log").is_dir());
        for (name, content) in [("log/b", b"1"), ("log/a", b"2"), ("log/c", b"3")] {
            put(&disk, name, content);
        }
        assert_eq!(disk.list("log").unwrap(), ["a", "b", "c"]);
        disk.rename("log/b", "log/c").unwrap();
        disk.remove("log/a").unwrap();
        disk.sync_dir("log").unwrap();
        assert_eq!(disk.list("log").unwrap(), ["c"]);
        assert_eq!(fs::read(root.path().join("log/c")).unwrap(), b"1");
        for gone in [disk.remove("log/a"), disk.discard("log/a"), disk.rename("log/a", "log/d")] {
            assert_eq!(kind(gone), io::ErrorKind::NotFound);
        }
        assert_eq!(kind(disk.list("none")), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.sync_dir("none")), io::ErrorKind::NotFound);
        assert!(disk.free_bytes().unwrap() > 1);
    }

    #[test]
    fn what_is_discarded_is_closed_by_whoever_wants_to() {
        let (root, disk) = disk();
        disk.create("plain").unwrap();
        disk.discard("plain").unwrap();
        let closed = Arc::new(Mutex::new(Vec::new()));
        let closing = disk.closing({
            let closed = Arc::clone(&closed);
            move |file| closed.lock().unwrap().push(file)
        });
        put(&closing, "large", b"content");
        closing.discard("large").unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        let closed = closed.lock().unwrap();
        let lengths: Vec<u64> = closed.iter().map(|file| DiskFile::len(file).unwrap()).collect();
        assert_eq!(lengths, [7], "it was given the file itself");
    }

    /// The lengths that a file of two pieces and a bit has while it is given back.
    fn lengths_while_given_back(discarded: &File, watching: &File) -> Vec<u64> {
        let mut lengths = Vec::new();
        give_back(discarded, || lengths.push(DiskFile::len(watching).unwrap()));
        lengths
    }

    #[test]
    fn blocks_are_given_back_piece_by_piece_unless_somebody_reads_them() {
        let (root, disk) = disk();
        let (sender, discarded) = std::sync::mpsc::channel();
        let closing = disk.closing(move |file| sender.send(file).unwrap());
        let bytes = 2 * PIECE_BYTES + 1;
        let path = root.path().join("large");
        for is_read in [true, false] {
            put(&closing, "large", b"content");
            write(&closing.open("large").unwrap(), b"end", bytes - 3).unwrap();
            let reader = is_read.then(|| FileDisk::read_only(root.path()).open("large").unwrap());
            let watching = File::open(&path).unwrap();
            closing.discard("large").unwrap();
            let lengths = lengths_while_given_back(&discarded.recv().unwrap(), &watching);
            match reader {
                Some(reader) => assert_eq!((lengths, DiskFile::len(&reader).unwrap()), (Vec::new(), bytes)),
                None => assert_eq!(lengths, [2 * PIECE_BYTES, PIECE_BYTES, 0]),
            }
        }
    }

    #[test]
    fn what_has_another_name_is_not_given_back_and_what_is_given_back_is_gone() {
        let (root, disk) = disk();
        put(&disk, "large", b"content");
        let other = root.path().join("other");
        fs::hard_link(root.path().join("large"), &other).unwrap();
        let discarded = OpenOptions::new().write(true).open(root.path().join("large")).unwrap();
        disk.remove("large").unwrap();
        give_back(&discarded, || panic!("there is another name"));
        assert_eq!(fs::read(&other).unwrap(), b"content");

        // As if it had been opened before it was discarded, and was locked before it got its own lock.
        let path = format!("/proc/self/fd/{}", discarded.as_raw_fd());
        fs::remove_file(other).unwrap();
        let through_it = FileDisk::new("/");
        assert_eq!(kind(through_it.open(&path)), io::ErrorKind::NotFound);
        drop(discarded);
        put(&disk, "locked", b"by a stranger");
        let stranger = File::open(root.path().join("locked")).unwrap();
        stranger.lock().unwrap();
        assert_eq!(DiskFile::len(&disk.open("locked").unwrap()).unwrap(), 13);
    }

    #[test]
    fn who_only_reads_changes_nothing() {
        let (root, disk) = disk();
        put(&disk, "a", b"as it was");
        let looking = FileDisk::read_only(root.path());
        let file = looking.open("a").unwrap();
        assert!(write(&file, b"changed", 0).is_err());
        assert_eq!(fs::read(root.path().join("a")).unwrap(), b"as it was");
        assert!(format!("{looking:?}").contains("read_only: true"), "{looking:?}");
    }
}
