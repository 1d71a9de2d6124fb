//! Everything that a disk knows, and its operations.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use super::counters::Counters;
use super::directory::{Directory, NameChange};
use super::faults::{Armed, Fault, Faults, Operation, Power, failed, missed};
use super::inode::{Inode, InodeNumber};
use super::journal::{Effect, InFlight};
use super::pace::{Span, Timing};
use crate::layout::position;

/// A disk. Invariant: operations in the journal follow one another in time, and end after the host's last `begin`.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) inodes: BTreeMap<InodeNumber, Inode>,
    pub(super) directories: BTreeMap<String, Directory>,
    pub(super) next_inode: u64,
    /// Operations that changed something, since the beginning.
    pub(super) changes: u64,
    pub(super) power: Power,
    pub(super) faults: Faults,
    pub(super) timing: Timing,
    /// What may still be undone, in the order it was asked for.
    pub(super) journal: VecDeque<InFlight>,
    pub(super) counters: Counters,
}

/// One operation's time, and what goes wrong with it.
struct Turn {
    span: Span,
    struck: Option<Armed>,
}

impl Turn {
    fn fault(&self) -> Option<Fault> {
        self.struck.as_ref().map(|armed| armed.fault)
    }
}

/// What an operation is on.
#[derive(Clone, Copy, Debug)]
enum Target<'a> {
    Path(&'a str),
    /// Its names are below it, and so is its own path: `log/`.
    Directory(&'a str),
    File(InodeNumber),
}

pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl State {
    pub(super) fn directory(&mut self, directory: &str) -> io::Result<&mut Directory> {
        if directory.is_empty() {
            return Ok(self.directories.entry(String::new()).or_default());
        }
        self.directories.get_mut(directory).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn inode_of(&self, path: &str) -> Option<InodeNumber> {
        let (directory, name) = split(path);
        self.directories.get(directory)?.live.get(name).copied()
    }

    pub(super) fn inode(&mut self, number: InodeNumber) -> &mut Inode {
        self.inodes.get_mut(&number).expect("a file lives as long as a name or a handle of it")
    }

    /// The lengths of all files that have a name or are open, together, in bytes.
    pub(super) fn bytes_used(&self) -> u64 {
        let named = self.directories.values().flat_map(|directory| directory.live.values());
        let open = self.inodes.iter().filter(|(_, inode)| inode.handles > 0).map(|(number, _)| number);
        let numbers: BTreeSet<&InodeNumber> = named.chain(open).collect();
        let inodes = numbers.into_iter().filter_map(|number| self.inodes.get(number));
        inodes.map(|inode| inode.live.len() as u64).sum()
    }

    /// What the capacity leaves, in bytes.
    pub(super) fn free_bytes(&self) -> u64 {
        self.faults.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.bytes_used()))
    }

    fn change(&mut self) -> io::Result<()> {
        self.power.change(self.changes)?;
        self.changes += 1;
        Ok(())
    }

    fn turn(&mut self, operation: Operation, target: Target<'_>, bytes: usize) -> Turn {
        self.counters.ask(operation);
        let (span, stalled) = self.timing.charge(operation, bytes);
        self.counters.stalled_operations += u64::from(stalled);
        let path = if self.faults.ask_for_paths() { self.path_of(target) } else { None };
        Turn { span, struck: self.faults.strike(operation, path.as_deref()) }
    }

    /// The path of what an operation is on, as it is now; a file that has lost its name has none.
    fn path_of(&self, target: Target<'_>) -> Option<String> {
        let below =
            |directory: &str| if directory.is_empty() { String::new() } else { format!("{directory}/") };
        match target {
            Target::Path(path) => Some(path.to_owned()),
            Target::Directory(path) => Some(below(path)),
            Target::File(number) => self.directories.iter().find_map(|(directory, names)| {
                let (name, _) = names.live.iter().find(|(_, inode)| **inode == number)?;
                Some(below(directory) + name)
            }),
        }
    }

    fn name_turn(&mut self, target: Target<'_>) -> io::Result<Span> {
        let turn = self.turn(Operation::Name, target, 0);
        if turn.struck.is_some() { Err(self.fail(Operation::Name)) } else { Ok(turn.span) }
    }

    fn fail(&mut self, operation: Operation) -> io::Error {
        self.counters.fail(operation);
        failed(operation)
    }

    fn refuse(&mut self) -> io::Error {
        self.counters.refused_for_space += 1;
        io::ErrorKind::StorageFull.into()
    }

    /// Remembers how to undo what ends in the future.
    fn remember(&mut self, span: Span, effect: impl FnOnce() -> Effect) {
        if self.timing.is_ahead(span) {
            self.journal.push_back(InFlight { span, effect: effect() });
        }
    }

    pub(super) fn open(&mut self, path: &str) -> io::Result<InodeNumber> {
        self.power.read()?;
        let number = self.inode_of(path).ok_or(io::ErrorKind::NotFound)?;
        self.inode(number).handles += 1;
        Ok(number)
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<InodeNumber> {
        self.change()?;
        let span = self.name_turn(Target::Path(path))?;
        let (directory, name) = split(path);
        self.directory(directory)?;
        if self.faults.capacity.is_some_and(|capacity| self.bytes_used() >= capacity) {
            return Err(self.refuse());
        }
        let inode = InodeNumber(self.next_inode);
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::opened());
        self.change_names(directory, NameChange::Link { name: name.to_owned(), inode }, span)?;
        Ok(inode)
    }

    pub(super) fn rename_or_remove(
        &mut self,
        directory: &str,
        name: &str,
        change: NameChange,
    ) -> io::Result<()> {
        self.change()?;
        let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        let span = self.name_turn(Target::Path(&path))?;
        if !self.directory(directory)?.live.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change_names(directory, change, span)
    }

    fn change_names(&mut self, path: &str, change: NameChange, span: Span) -> io::Result<()> {
        let directory = self.directory(path)?;
        let before = directory.before(&change);
        directory.change(change);
        self.remember(span, || Effect::Name { directory: path.to_owned(), before });
        Ok(())
    }

    pub(super) fn list(&mut self, directory: &str) -> io::Result<Vec<String>> {
        self.power.read()?;
        self.name_turn(Target::Directory(directory))?;
        Ok(self.directory(directory)?.live.keys().cloned().collect())
    }

    pub(super) fn create_directory(&mut self, directory: &str) -> io::Result<()> {
        self.change()?;
        let span = self.name_turn(Target::Directory(directory))?;
        if !self.directories.contains_key(directory) {
            self.directories.insert(directory.to_owned(), Directory::default());
            self.remember(span, || Effect::CreateDirectory { directory: directory.to_owned() });
        }
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, path: &str) -> io::Result<()> {
        self.change()?;
        let Turn { span, struck } = self.turn(Operation::SyncDirectory, Target::Directory(path), 0);
        let changes = std::mem::take(&mut self.directory(path)?.pending);
        let effect = Effect::SyncDirectory { directory: path.to_owned(), changes, failed: struck.is_some() };
        self.take_effect(span, effect);
        if struck.is_some() { Err(self.fail(Operation::SyncDirectory)) } else { Ok(()) }
    }

    pub(super) fn sync(&mut self, inode: InodeNumber) -> io::Result<()> {
        self.change()?;
        let Turn { span, struck } = self.turn(Operation::Sync, Target::File(inode), 0);
        if self.timing.is_ahead(span) || struck.is_some() {
            let writes = std::mem::take(&mut self.inode(inode).pending);
            self.take_effect(span, Effect::Sync { inode, writes, failed: struck.is_some() });
        } else {
            self.inode(inode).sync();
        }
        if struck.is_some() { Err(self.fail(Operation::Sync)) } else { Ok(()) }
    }

    /// Makes durable what a sync is about, when its time comes.
    fn take_effect(&mut self, span: Span, effect: Effect) {
        if self.timing.is_ahead(span) {
            self.journal.push_back(InFlight { span, effect });
        } else {
            self.perform(effect);
        }
    }

    pub(super) fn length(&mut self, inode: InodeNumber) -> io::Result<u64> {
        self.power.read()?;
        Ok(self.inode(inode).live.len() as u64)
    }

    pub(super) fn read(&mut self, number: InodeNumber, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.power.read()?;
        let turn = self.turn(Operation::Read, Target::File(number), buffer.len());
        let inode = self.inode(number);
        let length = inode.live.len();
        let count = buffer.len().min(length.saturating_sub(position(offset)));
        let mut place = offset;
        match turn.fault() {
            Some(Fault::Misdirect { bytes }) => match missed(offset, count, bytes, length) {
                Some(target) => {
                    place = target;
                    self.counters.misdirected_reads += 1;
                }
                None => self.faults.arm(turn.struck.expect("it has just struck")),
            },
            Some(Fault::Fail | Fault::Short { .. }) => return Err(self.fail(Operation::Read)),
            None => {}
        }
        let inode = self.inode(number);
        if !inode.is_readable(&(place..place + buffer.len() as u64)) {
            self.counters.fail(Operation::Read);
            return Err(io::Error::other("unreadable sector"));
        }
        if count > 0 {
            let from = position(place);
            inode.live.read(from, &mut buffer[..count]);
        }
        Ok(count)
    }

    pub(super) fn write(&mut self, number: InodeNumber, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change()?;
        let turn = self.turn(Operation::Write, Target::File(number), bytes.len());
        let span = turn.span;
        let (mut place, mut fits, mut error) = (offset, bytes.len(), None);
        match turn.fault() {
            Some(Fault::Misdirect { bytes: by }) => {
                let length = self.inode(number).live.len();
                match missed(offset, bytes.len(), by, length) {
                    Some(target) => {
                        place = target;
                        self.counters.misdirected_writes += 1;
                    }
                    None => self.faults.arm(turn.struck.expect("it has just struck")),
                }
            }
            Some(Fault::Fail) => (fits, error) = (0, Some(self.fail(Operation::Write))),
            Some(Fault::Short { bytes: most }) => {
                (fits, error) = (fits.min(most), Some(self.fail(Operation::Write)));
                self.counters.short_writes += u64::from(fits > 0);
            }
            None => {}
        }
        let room = self.room(number, place);
        if room < fits {
            fits = room;
            if error.is_none() {
                error = Some(self.refuse());
            }
        }
        if fits > 0 {
            self.put(number, place, &bytes[..fits], span);
        }
        error.map_or(Ok(()), Err)
    }

    fn put(&mut self, number: InodeNumber, offset: u64, bytes: &[u8], span: Span) {
        let ahead = self.timing.is_ahead(span);
        self.counters.bytes_written += bytes.len() as u64;
        let inode = self.inode(number);
        if ahead {
            let old = inode.replaced(offset, bytes.len());
            let old_length = inode.live.len();
            inode.write(offset, bytes);
            let effect = Effect::Write { inode: number, offset, old, old_length };
            self.journal.push_back(InFlight { span, effect });
        } else {
            inode.write(offset, bytes);
        }
    }

    /// How many bytes a file can take from `offset` on.
    fn room(&mut self, number: InodeNumber, offset: u64) -> usize {
        if self.faults.capacity.is_none() {
            return usize::MAX;
        }
        let free = self.free_bytes();
        let end = (self.inode(number).live.len() as u64).saturating_add(free);
        position(end.saturating_sub(offset))
    }
}
