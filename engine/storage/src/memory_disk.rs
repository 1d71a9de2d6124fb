//! A disk in memory that can crash, lie and rot: for tests and for simulation.
//!
//! It keeps two images: what is *durable*, and what readers see now. A write goes to the second and is remembered as
//! pending; a sync moves the file's pending writes to the first. Names work the same way, a directory at a time. At a
//! crash every pending 512-byte sector, and every pending change of a name, survives or not, each by its own draw: a
//! real disk reorders as it likes between syncs, and any order of a real one is among these outcomes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};
use crate::random::Random;

/// The unit that a crash keeps or loses as a whole.
const SECTOR: u64 = 512;

/// A disk in memory. Clones share it, so that a test can hold one while storage owns another.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`MemoryDisk`].
#[derive(Clone, Debug)]
pub struct MemoryFile {
    state: Arc<Mutex<State>>,
    inode: usize,
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: BTreeMap<usize, Inode>,
    directories: BTreeMap<String, Directory>,
    next_inode: usize,
    /// Operations that changed something, since the beginning.
    changes: u64,
    /// Every change from this one on fails, as if the power were gone.
    power_fails_at: Option<u64>,
    fail_writes: bool,
    fail_syncs: bool,
    /// Ranges that cannot be read: inode, first byte, one after the last.
    unreadable: Vec<(usize, u64, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Ranges of `live` that are not durable, in the order written, with what was written.
    pending: Vec<(u64, Vec<u8>)>,
}

#[derive(Clone, Debug, Default)]
struct Directory {
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<NameChange>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link { name: String, inode: usize },
    Rename { from: String, to: String },
    Remove { name: String },
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Link { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            NameChange::Rename { from, to } => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            NameChange::Remove { name } => {
                names.remove(name);
            }
        }
    }
}

fn write_into(image: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = position(offset);
    let end = start + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[start..end].copy_from_slice(bytes);
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("a file in memory is not larger than memory")
}

impl Inode {
    fn settle(&mut self) {
        for (offset, bytes) in self.pending.drain(..) {
            write_into(&mut self.durable, offset, &bytes);
        }
    }

    fn crash(&mut self, random: &mut Random, share: u64) {
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            let end = offset + bytes.len() as u64;
            let mut from = offset;
            while from < end {
                let to = ((from / SECTOR + 1) * SECTOR).min(end);
                if random.chance(share) {
                    write_into(
                        &mut self.durable,
                        from,
                        &bytes[position(from - offset)..position(to - offset)],
                    );
                }
                from = to;
            }
        }
        self.live = self.durable.clone();
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl State {
    fn change(&mut self) -> io::Result<()> {
        if self.power_fails_at.is_some_and(|at| self.changes >= at) {
            return Err(io::Error::other("the power is gone"));
        }
        self.changes += 1;
        Ok(())
    }

    fn directory(&mut self, directory: &str) -> io::Result<&mut Directory> {
        if directory.is_empty() {
            return Ok(self.directories.entry(String::new()).or_default());
        }
        self.directories.get_mut(directory).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn inode_of(&mut self, path: &str) -> io::Result<usize> {
        let (directory, name) = split(path);
        self.directory(directory)?.live.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn inode(&mut self, inode: usize) -> &mut Inode {
        self.inodes.get_mut(&inode).expect("an open file's inode lives as long as the disk")
    }

    fn rename_or_remove(&mut self, directory: &str, name: &str, change: NameChange) -> io::Result<()> {
        self.change()?;
        let directory = self.directory(directory)?;
        if !directory.live.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        change.apply(&mut directory.live);
        directory.pending.push(change);
        Ok(())
    }
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A disk of its own with the same content, pending writes included.
    pub fn duplicate(&self) -> MemoryDisk {
        MemoryDisk { state: Arc::new(Mutex::new(self.state().clone())) }
    }

    /// How many operations have changed something so far.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Cuts the power right before the change number `at`, counted from the disk's beginning: that one and all
    /// after it fail, until [`MemoryDisk::crash`].
    pub fn cut_power_at(&self, at: u64) {
        self.state().power_fails_at = Some(at);
    }

    /// The power goes and comes back. What was synced is there; of the rest each sector and each name change
    /// survives by a draw from `seed`: sometimes all, sometimes none, mostly some.
    pub fn crash(&self, seed: u64) {
        let mut state = self.state();
        let mut random = Random::new(seed);
        let share = match random.next() % 5 {
            0 => 0,
            1 => 256,
            2 => 24,
            3 => 232,
            _ => 128,
        };
        for inode in state.inodes.values_mut() {
            inode.crash(&mut random, share);
        }
        for directory in state.directories.values_mut() {
            for change in std::mem::take(&mut directory.pending) {
                if random.chance(share) {
                    change.apply(&mut directory.durable);
                }
            }
            directory.live = directory.durable.clone();
        }
        state.power_fails_at = None;
        state.fail_writes = false;
        state.fail_syncs = false;
    }

    /// Makes every write fail from now on, or no more.
    pub fn fail_writes(&self, fail: bool) {
        self.state().fail_writes = fail;
    }

    /// Makes every sync fail from now on, or no more. As with a real kernel the writes that were to be synced read
    /// as written afterwards, and are not durable, whatever a later sync says.
    pub fn fail_syncs(&self, fail: bool) {
        self.state().fail_syncs = fail;
    }

    /// All files, sorted by path.
    pub fn files(&self) -> Vec<String> {
        let state = self.state();
        let paths = state.directories.iter().flat_map(|(directory, names)| {
            names.live.keys().map(move |name| match directory.as_str() {
                "" => name.clone(),
                directory => format!("{directory}/{name}"),
            })
        });
        paths.collect()
    }

    /// A file's content as readers see it, if there is such a file.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let mut state = self.state();
        let inode = state.inode_of(path).ok()?;
        Some(state.inode(inode).live.clone())
    }

    /// Changes a file behind everybody's back, durably: rot, garbage, a misdirected write.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn corrupt(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let inode = state.inode_of(path).expect("the file to corrupt exists");
        let inode = state.inode(inode);
        inode.settle();
        change(&mut inode.live);
        inode.durable = inode.live.clone();
    }

    /// Flips one bit of a file.
    ///
    /// # Panics
    /// When the file has no such bit.
    pub fn flip_bit(&self, path: &str, bit: u64) {
        self.corrupt(path, |bytes| bytes[position(bit / 8)] ^= 1 << (bit % 8));
    }

    /// Zeroes a range of a file.
    ///
    /// # Panics
    /// When the file has no such range.
    pub fn zero(&self, path: &str, range: std::ops::Range<usize>) {
        self.corrupt(path, |bytes| bytes[range].fill(0));
    }

    /// Makes a range of a file unreadable: reads that touch it fail.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn make_unreadable(&self, path: &str, range: std::ops::Range<u64>) {
        let mut state = self.state();
        let inode = state.inode_of(path).expect("the file to make unreadable exists");
        state.unreadable.push((inode, range.start, range.end));
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn open(&self, path: &str) -> io::Result<MemoryFile> {
        let inode = self.state().inode_of(path)?;
        Ok(MemoryFile { state: Arc::clone(&self.state), inode })
    }

    fn create(&self, path: &str) -> io::Result<MemoryFile> {
        let mut state = self.state();
        state.change()?;
        let (directory, name) = split(path);
        let inode = state.next_inode;
        let change = NameChange::Link { name: name.to_owned(), inode };
        let directory = state.directory(directory)?;
        change.apply(&mut directory.live);
        directory.pending.push(change);
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::default());
        Ok(MemoryFile { state: Arc::clone(&self.state), inode })
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        Ok(self.state().directory(directory)?.live.keys().cloned().collect())
    }

    fn create_dir(&self, directory: &str) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.directories.entry(directory.to_owned()).or_default();
        Ok(())
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
        let mut state = self.state();
        state.change()?;
        let fail = state.fail_syncs;
        let directory = state.directory(directory)?;
        if fail {
            directory.pending.clear();
            return Err(io::Error::other("sync failed"));
        }
        for change in std::mem::take(&mut directory.pending) {
            change.apply(&mut directory.durable);
        }
        Ok(())
    }
}

impl MemoryFile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state();
        let end = offset + buffer.len() as u64;
        if state.unreadable.iter().any(|bad| bad.0 == self.inode && bad.1 < end && offset < bad.2) {
            return Err(io::Error::other("unreadable sector"));
        }
        let live = &state.inode(self.inode).live;
        let from = live.len().min(position(offset));
        let count = buffer.len().min(live.len() - from);
        buffer[..count].copy_from_slice(&live[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        if state.fail_writes {
            return Err(io::Error::other("write failed"));
        }
        let inode = state.inode(self.inode);
        write_into(&mut inode.live, offset, bytes);
        inode.pending.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        if state.fail_syncs {
            state.inode(self.inode).pending.clear();
            return Err(io::Error::other("sync failed"));
        }
        state.inode(self.inode).settle();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state().inode(self.inode).live.len() as u64)
    }
}
