//! The disk as storage uses it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::MemoryDisk;
use super::directory::NameChange;
use super::inode::InodeNumber;
use super::state::{State, split};
use crate::disk::{Disk, DiskFile};

/// An open file of a [`MemoryDisk`]. What it is of lives at least as long, whatever becomes of the name.
#[derive(Debug)]
pub struct MemoryFile {
    state: Arc<Mutex<State>>,
    inode: InodeNumber,
}

impl MemoryFile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for MemoryFile {
    fn clone(&self) -> MemoryFile {
        self.state().inode(self.inode).handles += 1;
        MemoryFile { state: Arc::clone(&self.state), inode: self.inode }
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.state().close(self.inode);
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn open(&self, path: &str) -> io::Result<MemoryFile> {
        let inode = self.state().open(path)?;
        Ok(MemoryFile { state: Arc::clone(&self.state), inode })
    }

    fn create(&self, path: &str) -> io::Result<MemoryFile> {
        let inode = self.state().create(path)?;
        Ok(MemoryFile { state: Arc::clone(&self.state), inode })
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.state().list(directory)
    }

    fn create_dir(&self, directory: &str) -> io::Result<()> {
        self.state().create_directory(directory)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let ((directory, from), (target, to)) = (split(from), split(to));
        assert_eq!(directory, target, "a rename stays within its directory");
        let change = NameChange::Rename { from: from.to_owned(), to: to.to_owned() };
        self.state().rename_or_remove(directory, from, change)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let (directory, name) = split(path);
        self.state().rename_or_remove(directory, name, NameChange::Remove { name: name.to_owned() })
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        self.state().sync_directory(directory)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state().free_bytes())
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.state().read(self.inode, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.state().write(self.inode, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state().sync(self.inode)
    }

    fn len(&self) -> io::Result<u64> {
        self.state().length(self.inode)
    }
}
