//! What storage asks of a disk: a few positional, synchronous operations on files named by relative paths.
//!
//! Small on purpose: whoever simulates a disk has to get each of these right, down to what a crash leaves behind.
//! Paths use `/`, are relative to the data dir, and never leave it.

use std::io;

use rustix::io::Errno;

/// A directory tree with open files.
pub trait Disk {
    /// An open file.
    type File: DiskFile;

    /// Opens a file that exists, for reading and writing.
    ///
    /// # Errors
    /// `NotFound` when there is none; else what the system says.
    fn open(&self, path: &str) -> io::Result<Self::File>;

    /// Creates an empty file, in place of any that has the name. The name is durable only after
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, path: &str) -> io::Result<Self::File>;

    /// The names in a directory, sorted: a listing must not depend on the history of the file system.
    ///
    /// # Errors
    /// `NotFound` when there is no such directory; else what the system says.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;

    /// Makes a directory, durably; nothing happens when it is there.
    ///
    /// # Errors
    /// What the system says.
    fn create_dir(&self, directory: &str) -> io::Result<()>;

    /// Renames a file within its directory, replacing any that has the new name, atomically; durable only after
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name; durable only after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// `NotFound` when there is none; else what the system says.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes a file's name, and does not wait until the system has its space back.
    ///
    /// # Errors
    /// As [`Disk::remove`].
    fn discard(&self, path: &str) -> io::Result<()> {
        self.remove(path)
    }

    /// Makes the names in a directory durable: creations, renames and removals before this call.
    ///
    /// # Errors
    /// What the system says. The process must end then: a later success would prove nothing.
    fn sync_dir(&self, directory: &str) -> io::Result<()>;

    /// About how many bytes new files can take; `u64::MAX` when nothing bounds them. A hint: others write too.
    ///
    /// # Errors
    /// What the system says.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// Whether an operation failed for want of space alone.
pub(crate) fn is_for_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether a file could not be read because of what has become of it, and not because the system would not let it be
/// read: a permission that is missing, too many open files, a mount that is gone. Only the first is a loss.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        // The drive has no sector, or one that its own check or the file system's does not pass.
        Some(Errno::IO | Errno::BADMSG | Errno::ILSEQ) => true,
        #[cfg(target_os = "linux")]
        Some(Errno::NODATA | Errno::REMOTEIO | Errno::UCLEAN) => true,
        Some(_) => false,
        // No system said that, but a disk in memory.
        None => error.kind() == io::ErrorKind::Other,
    }
}

/// An open file. Several handles to one file see each other's writes.
pub trait DiskFile {
    /// Reads up to `buffer.len()` bytes from `offset` on, and says how many; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the system says. On a read that is damage, not death.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; what lies between the end and `offset` reads as zeros.
    ///
    /// # Errors
    /// What the system says. Some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes all that was written to the file before this call durable, and its length.
    ///
    /// # Errors
    /// What the system says. The process must end then: after a failed sync the system may drop the pages and
    /// report the next one as done.
    fn sync_data(&self) -> io::Result<()>;

    /// The file's length, in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Has the system forget what it holds in memory of a part of the file: what is durable at once, so that the next
    /// read comes from the disk; what is not, it begins to write, and nobody waits for that. A hint.
    fn drop_cached(&self, _offset: u64, _bytes: u64) {}

    /// Has the system read no more than it is asked for, through this handle. What it reads ahead can be megabytes,
    /// which a write of the log then has to wait for. A hint.
    fn read_nothing_ahead(&self) {}

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_forbids_is_no_damage() {
        for code in [Errno::IO, Errno::BADMSG, Errno::ILSEQ] {
            assert!(is_damage(&code.into()), "{code:?}");
        }
        for code in
            [Errno::ACCESS, Errno::PERM, Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::ROFS, Errno::LOOP]
        {
            assert!(!is_damage(&code.into()), "{code:?}");
        }
        assert!(is_damage(&io::Error::other("unreadable sector")));
    }
}
