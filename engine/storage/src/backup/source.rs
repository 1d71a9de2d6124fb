//! A backup read from a checkpoint, and those that are being read.
//!
//! A checkpoint that is read from is *pinned*: all its files are open, so it can be read to its end when its files have
//! no names any more. It is let go when its last reader says so; storage has no clock to find out that one is gone. And
//! when it can't be read, or holds space that the disk needs: its readers go on with the same one where it is kept, or
//! begin anew with the newest.

use quorate_raft::{Done, Index, LogId};
use quorate_wire::checkpoint::{Revision, RunRef};

use super::{HEADER_BYTES, Header, Origin, Tag};
use crate::checkpoints::{Checkpoint, Checkpoints, Described};
use crate::disk::{Disk, DiskFile};
use crate::layout::position;

/// Takes what came of a job, on the thread that owns the storage. Dropped when the storage ends before.
pub type Answer<T> = Box<dyn FnOnce(T) + Send>;

/// Work for storage on behalf of somebody who takes a backup.
pub enum BackupJob {
    /// Opens a checkpoint and pins it, once more for each time that it is opened.
    Open {
        /// Whose storage it is.
        origin: Origin,
        /// This one; without it, the newest.
        wanted: Option<Tag>,
        /// What was opened.
        answer: Answer<Result<Opened, Unopened>>,
    },
    /// The same of the newest one that covers nothing beyond an entry.
    OpenUpTo {
        /// Whose storage it is.
        origin: Origin,
        /// The entry.
        last: Index,
        /// What was opened.
        answer: Answer<Result<Opened, Unopened>>,
    },
    /// Reads a piece of one that is open.
    Read {
        /// Which.
        tag: Tag,
        /// From where on, in bytes from the start of the file.
        offset: u64,
        /// How much, at most; less where a part of the file ends.
        bytes: u64,
        /// The piece; nothing when it is not open, the offset lies behind its end, or the disk can't give it right.
        answer: Answer<Option<Vec<u8>>>,
    },
    /// Takes back one opening.
    Close(Tag),
}

/// A backup that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its name.
    pub tag: Tag,
    /// Its length, in bytes.
    pub file_bytes: u64,
    /// The store's revision in it.
    pub revision: Revision,
    /// The last slot that it covers.
    pub last: LogId,
}

/// Why nothing was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// The one that was wanted is not there, or not any more; or there is none at all yet.
    NotThere,
    /// A file of it is missing or damaged, as far as is known.
    Damaged,
}

/// The backups that are being read.
#[derive(Debug)]
pub(crate) struct Sources<F> {
    open: Vec<Source<F>>,
}

/// One of them.
#[derive(Debug)]
struct Source<F> {
    opened: Opened,
    /// Header, manifest and tables.
    head: Vec<u8>,
    manifest_bytes: u64,
    checkpoint: Checkpoint<F>,
    openings: usize,
}

impl<F> Default for Sources<F> {
    fn default() -> Self {
        Sources { open: Vec::new() }
    }
}

impl<F: DiskFile> Sources<F> {
    /// Does a job. When the newest checkpoint turns out to be damaged the node hears of it, which can write it anew.
    pub(crate) fn perform<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        checkpoints: &mut Checkpoints<F>,
        job: BackupJob,
    ) -> Option<Done> {
        let newest = checkpoints.newest().map(|meta| meta.last);
        match job {
            BackupJob::Open { origin, wanted, answer } => {
                let opened = self.open(disk, checkpoints, origin, wanted);
                let lost = newest.filter(|_| wanted.is_none() && opened == Err(Unopened::Damaged));
                answer(opened);
                lost.map(Done::SnapshotLost)
            }
            BackupJob::OpenUpTo { origin, last, answer } => {
                let mut kept = checkpoints.kept().rev();
                let wanted = kept.find(|described| described.meta.last.index <= last);
                let wanted = wanted.map(|described| header(origin, described, &[]).tag());
                answer(match wanted {
                    Some(tag) => self.open(disk, checkpoints, origin, Some(tag)),
                    None => Err(Unopened::NotThere),
                });
                None
            }
            BackupJob::Read { tag, offset, bytes, answer } => {
                let source = self.open.iter().find(|source| source.opened.tag == tag);
                let piece = source.and_then(|source| source.read(offset, bytes));
                let damage =
                    source.filter(|_| piece.is_none()).and_then(|source| source.damage(offset, bytes));
                let lost = damage.and_then(|damage| {
                    // Whoever came back for the rest would be given it again, and break off at the same place.
                    self.open.retain(|source| source.opened.tag != tag);
                    checkpoints.doubt(disk, damage)
                });
                answer(piece);
                lost.map(Done::SnapshotLost)
            }
            BackupJob::Close(tag) => {
                for source in self.open.iter_mut().filter(|source| source.opened.tag == tag) {
                    source.openings -= 1;
                }
                self.open.retain(|source| source.openings > 0);
                None
            }
        }
    }

    /// Lets go of those that are not kept any more. Nothing but their readers needs their space.
    pub(crate) fn let_go(&mut self, checkpoints: &Checkpoints<F>) {
        self.open
            .retain(|source| checkpoints.kept().any(|kept| kept.meta == source.checkpoint.described.meta));
    }

    fn open<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        checkpoints: &Checkpoints<F>,
        origin: Origin,
        wanted: Option<Tag>,
    ) -> Result<Opened, Unopened> {
        let tag_of = |described: &Described| header(origin, described, &[]).tag();
        let is_wanted = |described: &&Described| wanted.is_none_or(|tag| tag_of(described) == tag);
        let kept = checkpoints.kept().rev().find(is_wanted);
        let tag = kept.map(tag_of).or(wanted).ok_or(Unopened::NotThere)?;
        if kept.is_some_and(|described| checkpoints.is_bad(described)) {
            return Err(Unopened::Damaged);
        }
        if let Some(source) = self.open.iter_mut().find(|source| source.opened.tag == tag) {
            source.openings += 1;
            return Ok(source.opened);
        }
        let last = kept.map(|described| described.meta.last).ok_or(Unopened::NotThere)?;
        let checkpoint = Checkpoint::open(disk, last).ok_or(Unopened::Damaged)?.without_read_ahead();
        let source = Source::new(origin, checkpoint);
        let opened = source.opened;
        self.open.push(source);
        Ok(opened)
    }
}

fn header(origin: Origin, described: &Described, tables: &[u8]) -> Header {
    Header::new(origin, described.meta.last, &described.manifest, tables)
}

impl<F: DiskFile> Source<F> {
    fn new(origin: Origin, checkpoint: Checkpoint<F>) -> Source<F> {
        let tables = checkpoint.tables();
        let header = header(origin, &checkpoint.described, &tables);
        let manifest = checkpoint.described.manifest.encode();
        let digest = checkpoint.described.meta.digest;
        assert_eq!(header.digest, digest, "a checkpoint whose manifest is another one's");
        let opened = Opened {
            tag: header.tag(),
            file_bytes: header.file_bytes,
            revision: header.revision,
            last: header.last,
        };
        let mut head = Vec::with_capacity(HEADER_BYTES + manifest.len() + tables.len());
        for part in [&header.encode()[..], &manifest, &tables] {
            head.extend_from_slice(part);
        }
        Source { opened, head, manifest_bytes: header.manifest_bytes.into(), checkpoint, openings: 1 }
    }

    fn read(&self, offset: u64, bytes: u64) -> Option<Vec<u8>> {
        let head_bytes = self.head.len() as u64;
        if offset < head_bytes {
            let end = head_bytes.min(offset.saturating_add(bytes));
            return Some(self.head[position(offset)..position(end)].to_vec());
        }
        if offset >= self.opened.file_bytes {
            return None;
        }
        let chunk = self.checkpoint.chunk(offset - head_bytes + self.manifest_bytes, bytes)?;
        Some(chunk.data.to_vec())
    }

    /// Which run can't be read for a piece, and from where on how much of it.
    fn damage(&self, offset: u64, bytes: u64) -> Option<(RunRef, u64, u64)> {
        let in_runs = offset.checked_sub(self.head.len() as u64)?;
        self.checkpoint.damage(in_runs + self.manifest_bytes, bytes)
    }
}
