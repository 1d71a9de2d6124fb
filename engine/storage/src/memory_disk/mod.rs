//! A disk in memory that takes time, crashes, lies and rots: for tests and for simulation.
//!
//! It keeps two images: what is *durable*, and what readers see now. A write goes to the second and is remembered as
//! pending; a sync moves the file's pending writes to the first. Names work the same way, a directory at a time. At a
//! crash every pending 512-byte sector, and every pending change of a name, survives or not, each by its own draw: a
//! real disk reorders as it likes between syncs, and any order of a real one is among these outcomes.
//!
//! **Time** is virtual, and the host's. It calls [`MemoryDisk::begin`] with its clock, performs operations, which
//! return at once, and finds in [`MemoryDisk::clock`] when the last of them ends: only then may anybody hear of them.
//! A crash or a kill at some time takes back whatever had not ended by then. With the default [`Pace`] nothing takes
//! time, and whoever needs no time never has to think of it.
//!
//! **Faults** are armed by the host, for one operation or until further notice. [`Counters`] tell which of them
//! really struck.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the disk as its host sees it: time, power, a look at the content |
//! | `breaking.rs` | the disk as its host breaks it |
//! | `handles.rs` | the disk as storage uses it |
//! | `state.rs` | the operations |
//! | `journal.rs` | what may still be undone, crashes and kills |
//! | `inode.rs`, `directory.rs` | the two images of a file, and of the names in a directory |
//! | `image.rs` | the bytes of a file |
//! | `pace.rs`, `faults.rs`, `counters.rs` | how long, what goes wrong, how often |

mod breaking;
mod counters;
mod directory;
mod faults;
mod handles;
mod image;
mod inode;
mod journal;
mod pace;
mod state;

use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_raft::Time;

pub use counters::Counters;
pub use faults::Operation;
use faults::Power;
pub use handles::MemoryFile;
pub use pace::{Microseconds, Pace};
use state::{State, split};

/// A disk in memory. Clones share it, so that a test can hold one while storage owns another.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A disk of its own with the same content, pending writes and armed faults included.
    pub fn duplicate(&self) -> MemoryDisk {
        let mut state = self.state().clone();
        state.inodes.retain(|_, inode| !inode.orphaned);
        state.inodes.values_mut().for_each(|inode| inode.handles = 0);
        MemoryDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Sets how long operations take from now on; `seed` decides where in their ranges.
    pub fn set_pace(&self, pace: Pace, seed: u64) {
        self.state().timing.set_pace(pace, seed);
    }

    /// Says what time it is: operations from now on start at `now`, or when the one before them ends. What ended
    /// by `now` is settled, and no crash takes it back; a host that runs on without saying so keeps everything.
    pub fn begin(&self, now: Time) {
        let mut state = self.state();
        state.timing.begin(now);
        let now = state.timing.now();
        state.settle(now);
    }

    /// When the last operation ends, or the last [`MemoryDisk::begin`] if nothing was asked for since.
    pub fn clock(&self) -> Time {
        self.state().timing.clock()
    }

    /// How many operations have changed something so far.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// What the disk did and what was done to it, so far.
    pub fn counters(&self) -> Counters {
        self.state().counters
    }

    /// Cuts the power right before the change number `at`, counted from the disk's beginning: that one and every
    /// operation after it fails, reads too, until [`MemoryDisk::crash`]. Without one a later cut takes the place of
    /// this, and the power is back as if only the process had died.
    pub fn cut_power_at(&self, at: u64) {
        self.state().power = Power::cut_at(at);
    }

    /// [`MemoryDisk::crash_at`] the end of all that was asked for.
    pub fn crash(&self, seed: u64) {
        self.crash_at(Time(u64::MAX), seed);
    }

    /// The power goes at `at` and comes back, and no operation is armed to fail any more.
    ///
    /// What had not begun by `at` never happened. Of the one operation in progress any part did. What was synced by
    /// `at` is there; of the rest each sector and each name change survives by a draw from `seed`: sometimes all,
    /// sometimes none, mostly some. A time before the last [`MemoryDisk::begin`] counts as that one.
    pub fn crash_at(&self, at: Time, seed: u64) {
        self.state().crash(at, seed);
    }

    /// How many sectors and changes of names are at stake, should the power go now: pending, and different from what is
    /// durable or in the way of others that are.
    pub fn at_stake(&self) -> usize {
        self.state().stakes().into_iter().filter(|at_stake| *at_stake).count()
    }

    /// [`MemoryDisk::crash`], with `keep` in place of the draws: it's asked about each thing that is at stake.
    pub fn crash_keeping(&self, keep: impl FnMut(usize) -> bool) {
        self.state().crash_keeping(keep);
    }

    /// A number that two disks share if, and but for a coincidence only if, the same is durable on both.
    pub fn fingerprint(&self) -> u64 {
        let state = self.state();
        let mut hasher = DefaultHasher::new();
        for (path, directory) in &state.directories {
            hasher.write(path.as_bytes());
            for (name, inode) in &directory.durable {
                let content = state.inodes.get(inode).map_or_else(Vec::new, |inode| inode.durable.to_vec());
                hasher.write_u64(name.len() as u64);
                hasher.write(name.as_bytes());
                hasher.write_u64(content.len() as u64);
                hasher.write(&content);
            }
            hasher.write_u64(u64::MAX);
        }
        hasher.finish()
    }

    /// The process dies at `at`, and the machine lives on. What ended by then is still to be seen, and what was
    /// pending still is. Of what had not ended nothing happened, but that a write in progress may have got so far, by
    /// whole sectors, and a creation, rename or removal in progress may have happened: by draws from `seed`.
    pub fn kill_at(&self, at: Time, seed: u64) {
        self.state().kill(at, seed);
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

    /// A file's length in bytes, as readers see it, if there is such a file.
    pub fn len(&self, path: &str) -> Option<u64> {
        let state = self.state();
        Some(state.inodes.get(&state.inode_of(path)?)?.live.len() as u64)
    }

    /// A file's content as readers see it, if there is such a file.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        Some(state.inodes.get(&state.inode_of(path)?)?.live.to_vec())
    }

    /// What is left of a file when a crash loses all that it may lose; none when the file's name is not durable.
    pub fn durable_content(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let (directory, name) = split(path);
        let inode = state.directories.get(directory)?.durable.get(name)?;
        Some(state.inodes.get(inode)?.durable.to_vec())
    }

    /// The lengths of all files together, in bytes; those without a name count as long as they are open.
    pub fn bytes_used(&self) -> u64 {
        self.state().bytes_used()
    }
}
