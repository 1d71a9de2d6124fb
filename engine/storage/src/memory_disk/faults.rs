//! Which operations go wrong, and how.

use std::io;

/// A kind of operation that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A read of a file.
    Read,
    /// A write to a file.
    Write,
    /// A sync of a file.
    Sync,
    /// A sync of a directory.
    SyncDirectory,
    /// A creation, rename, removal, listing, or new directory.
    Name,
}

/// What happens to one operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It fails and does nothing; a sync forgets what it was to make durable.
    Fail,
    /// A write puts so many bytes in place, and fails.
    Short { bytes: usize },
    /// It goes so many bytes behind the place that was meant.
    Misdirect { bytes: i64 },
}

/// A fault that waits for its operation.
#[derive(Clone, Debug)]
pub(super) struct Armed {
    pub(super) operation: Operation,
    /// How the path must begin; empty for any.
    pub(super) prefix: String,
    /// How many of its kind, with such a path, come before.
    pub(super) others: u64,
    pub(super) fault: Fault,
}

/// What is armed, in the order it was. One operation is struck once; who else waited for it takes the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
    pub(super) every_write: bool,
    pub(super) every_sync: bool,
    /// The most that all files together may hold, in bytes.
    pub(super) capacity: Option<u64>,
}

impl Faults {
    pub(super) fn arm(&mut self, armed: Armed) {
        self.armed.push(armed);
    }

    /// Whether any fault asks for a path: finding out an open file's takes a search.
    pub(super) fn ask_for_paths(&self) -> bool {
        self.armed.iter().any(|armed| !armed.prefix.is_empty())
    }

    /// What is to happen to an operation on `path`.
    pub(super) fn strike(&mut self, operation: Operation, path: Option<&str>) -> Option<Armed> {
        let every = match operation {
            Operation::Write => self.every_write,
            Operation::Sync | Operation::SyncDirectory => self.every_sync,
            Operation::Read | Operation::Name => false,
        };
        let mut chosen = None;
        for (at, armed) in self.armed.iter_mut().enumerate() {
            let meant = armed.prefix.is_empty() || path.is_some_and(|path| path.starts_with(&armed.prefix));
            if armed.operation != operation || !meant {
                continue;
            }
            if armed.others > 0 {
                armed.others -= 1;
            } else {
                chosen = chosen.or(Some(at));
            }
        }
        let chosen = chosen.map(|at| self.armed.remove(at));
        if every {
            return Some(Armed { operation, prefix: String::new(), others: 0, fault: Fault::Fail });
        }
        chosen
    }

    /// What was armed for one operation strikes no more.
    pub(super) fn forget_armed(&mut self) {
        self.armed.clear();
    }

    /// Nothing fails any more but for want of space.
    pub(super) fn disarm(&mut self) {
        *self = Faults { capacity: self.capacity, ..Faults::default() };
    }
}

/// Whether there is power.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Power {
    /// The number of the change that finds it gone.
    fails_at: Option<u64>,
    gone: bool,
}

impl Power {
    pub(super) fn cut_at(change: u64) -> Power {
        Power { fails_at: Some(change), gone: false }
    }

    /// An operation that changes nothing.
    pub(super) fn read(self) -> io::Result<()> {
        if self.gone { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    /// The change with this number.
    pub(super) fn change(&mut self, number: u64) -> io::Result<()> {
        self.gone |= self.fails_at.is_some_and(|at| number >= at);
        self.read()
    }
}

/// Where an operation on `count` bytes at `offset` goes that misses its place by `bytes`: forwards or backwards, so
/// that it stays inside a file of `length` bytes. None when there is no room for either.
pub(super) fn missed(offset: u64, count: usize, bytes: i64, length: usize) -> Option<u64> {
    let last = (length as u64).checked_sub(count as u64)?;
    let targets = [offset.checked_add_signed(bytes), offset.checked_sub_signed(bytes)];
    targets.into_iter().flatten().find(|target| *target <= last)
}

pub(super) fn failed(operation: Operation) -> io::Error {
    io::Error::other(match operation {
        Operation::Read => "read failed",
        Operation::Write => "write failed",
        Operation::Sync | Operation::SyncDirectory => "sync failed",
        Operation::Name => "the operation on a name failed",
    })
}
