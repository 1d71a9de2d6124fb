//! The checkpoints of a node: those it has, the one it writes, the one a leader sends.

use std::collections::VecDeque;

use quorate_raft::{Done, LoadSnapshot, LogId, Members, SnapshotMeta, StoreSnapshot};

use crate::checkpoint::{Checkpoint, ContentWriter};
use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;
use crate::options::Options;

/// The directory of the checkpoints.
pub(crate) const DIRECTORY: &str = "snaps";
const WRITING: &str = "snaps/writing.tmp";
const INCOMING: &str = "snaps/incoming.tmp";

/// A checkpoint's content, piece by piece. The sizes of the pieces don't matter.
pub type Content = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// A checkpoint that is to be written.
pub(crate) struct Draft {
    pub(crate) last: LogId,
    pub(crate) members: Members,
    pub(crate) members_at: LogId,
    pub(crate) content: Content,
}

/// A checkpoint that a leader sends.
struct Incoming<F> {
    meta: SnapshotMeta,
    writer: ContentWriter<F>,
}

/// All checkpoints below `snaps/`.
pub(crate) struct Snapshots<F> {
    newest: Option<SnapshotMeta>,
    waiting: VecDeque<Draft>,
    writing: Option<(Draft, ContentWriter<F>)>,
    incoming: Option<Incoming<F>>,
    /// The one that was read from last: a transfer reads it piece by piece.
    reading: Option<Checkpoint<F>>,
    keep: usize,
    slice_bytes: usize,
}

/// The file of the checkpoint that ends at `last`; names sort by index.
fn path(last: LogId) -> String {
    format!("{DIRECTORY}/{:016x}-{:016x}.snap", last.index.0, last.term.0)
}

impl<F: DiskFile> Snapshots<F> {
    /// Finds the newest checkpoint that is whole. Newer ones that aren't get out of the way under another name, and
    /// unfinished ones are removed.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, options: &Options) -> Result<Snapshots<F>, Fatal> {
        let names = disk.list(DIRECTORY).map_err(Fatal::new("list", DIRECTORY))?;
        for name in names.iter().filter(|name| name.ends_with(".tmp")) {
            let path = format!("{DIRECTORY}/{name}");
            disk.remove(&path).map_err(Fatal::new("remove", path))?;
        }
        let mut newest = None;
        for name in names.iter().rev().filter(|name| name.ends_with(".snap")) {
            let file_path = format!("{DIRECTORY}/{name}");
            let file = disk.open(&file_path).map_err(Fatal::new("open", &file_path))?;
            let whole = Checkpoint::open(file).filter(Checkpoint::is_whole);
            if let Some(checkpoint) = whole.filter(|checkpoint| path(checkpoint.meta.last) == file_path) {
                newest = Some(checkpoint.meta);
                break;
            }
            let aside = format!("{file_path}.damaged");
            disk.rename(&file_path, &aside).map_err(Fatal::new("rename", file_path))?;
        }
        disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        Ok(Snapshots {
            newest,
            waiting: VecDeque::new(),
            writing: None,
            incoming: None,
            reading: None,
            keep: options.keep_snapshots.max(1),
            slice_bytes: options.slice_bytes,
        })
    }

    /// The newest whole checkpoint.
    pub(crate) fn newest(&self) -> Option<&SnapshotMeta> {
        self.newest.as_ref()
    }

    /// Puts a checkpoint in the queue.
    pub(crate) fn begin(&mut self, draft: Draft) {
        self.waiting.push_back(draft);
    }

    /// Whether a checkpoint is being written.
    pub(crate) fn busy(&self) -> bool {
        self.writing.is_some() || !self.waiting.is_empty()
    }

    /// Writes a slice of the checkpoint in hand; its description when that was the last.
    pub(crate) fn work<D: Disk<File = F>>(&mut self, disk: &D) -> Result<Option<SnapshotMeta>, Fatal> {
        let (mut draft, mut writer) = match self.writing.take() {
            Some(writing) => writing,
            None => {
                let Some(draft) = self.waiting.pop_front() else { return Ok(None) };
                let file = disk.create(WRITING).map_err(Fatal::new("create", WRITING))?;
                let writer = ContentWriter::new(file, &draft.members);
                (draft, writer)
            }
        };
        let mut slice = Vec::with_capacity(self.slice_bytes);
        let mut ended = false;
        while slice.len() < self.slice_bytes && !ended {
            match draft.content.next() {
                Some(piece) => slice.extend_from_slice(&piece),
                None => ended = true,
            }
        }
        writer.write(&slice).map_err(Fatal::new("write", WRITING))?;
        writer.sync().map_err(Fatal::new("sync", WRITING))?;
        if !ended {
            self.writing = Some((draft, writer));
            return Ok(None);
        }
        let meta = writer
            .finish(draft.last, draft.members, draft.members_at)
            .map_err(Fatal::new("write", WRITING))?;
        self.publish(disk, WRITING, &meta)?;
        Ok(Some(meta))
    }

    /// Gives a finished file its name, durably, and drops the oldest.
    fn publish<D: Disk<File = F>>(&mut self, disk: &D, from: &str, meta: &SnapshotMeta) -> Result<(), Fatal> {
        disk.rename(from, &path(meta.last)).map_err(Fatal::new("rename", from))?;
        disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        // One of the same name is another now. Any other goes on being read, even when its name is dropped below: a
        // transfer may take longer than the newest few are kept.
        self.reading = self.reading.take().filter(|checkpoint| checkpoint.meta.last != meta.last);
        if self.newest.as_ref().is_none_or(|newest| newest.last <= meta.last) {
            self.newest = Some(meta.clone());
        }
        let mut names = disk.list(DIRECTORY).map_err(Fatal::new("list", DIRECTORY))?;
        names.retain(|name| name.ends_with(".snap"));
        let excess = names.len().saturating_sub(self.keep);
        for name in &names[..excess] {
            let path = format!("{DIRECTORY}/{name}");
            disk.remove(&path).map_err(Fatal::new("remove", path))?;
        }
        if excess > 0 {
            disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        }
        Ok(())
    }

    /// Reads a piece of a checkpoint.
    pub(crate) fn load<D: Disk<File = F>>(&mut self, disk: &D, load: LoadSnapshot) -> Done {
        if self.reading.as_ref().is_none_or(|checkpoint| checkpoint.meta.last != load.last) {
            self.reading = disk.open(&path(load.last)).ok().and_then(Checkpoint::open);
        }
        let checkpoint = self.reading.as_ref().filter(|checkpoint| checkpoint.meta.last == load.last);
        let chunk = checkpoint.and_then(|checkpoint| checkpoint.chunk(load.offset, load.bytes));
        Done::SnapshotLoaded { load, chunk }
    }

    /// Writes a piece of a checkpoint that a leader sends. A piece that is not the next one is not written, and the
    /// answer names the offset that's wanted.
    pub(crate) fn store<D: Disk<File = F>>(&mut self, disk: &D, store: StoreSnapshot) -> Result<Done, Fatal> {
        let StoreSnapshot { meta, chunk } = store;
        let of = meta.clone();
        let answer = |next, complete| Ok(Done::SnapshotStored { meta: of, next, complete });
        if chunk.offset == 0 {
            let file = disk.create(INCOMING).map_err(Fatal::new("create", INCOMING))?;
            self.incoming = Some(Incoming { writer: ContentWriter::new(file, &meta.members), meta });
        } else if self.incoming.as_ref().is_none_or(|incoming| incoming.meta != meta) {
            return answer(0, false);
        }
        let Some(incoming) = &mut self.incoming else { return answer(0, false) };
        if chunk.offset != incoming.writer.bytes() {
            return answer(incoming.writer.bytes(), false);
        }
        incoming.writer.write(&chunk.data).map_err(Fatal::new("write", INCOMING))?;
        incoming.writer.sync().map_err(Fatal::new("sync", INCOMING))?;
        if !chunk.done {
            return answer(incoming.writer.bytes(), false);
        }
        let Some(Incoming { meta, writer }) = self.incoming.take() else { return answer(0, false) };
        if (writer.bytes(), writer.checksum()) != (meta.bytes, meta.checksum) {
            // It came whole and is not what was announced: all of it is to be sent again.
            return answer(0, false);
        }
        let stored =
            writer.finish(meta.last, meta.members, meta.members_at).map_err(Fatal::new("write", INCOMING))?;
        self.publish(disk, INCOMING, &stored)?;
        answer(stored.bytes, true)
    }
}
