//! The write-ahead log: one writer, one batch in flight.
//!
//! A batch is written with one call and synced before the next one is written, so a valid header of batch k+1 proves
//! all before it. A batch never crosses from one segment into the next: what doesn't fit opens a new segment, after
//! the old one's last batch was synced. Each batch begins on a sector of its own, so that tearing it cannot harm the
//! one before.

use std::collections::{BTreeSet, VecDeque};

use quorate_raft::{Entry, Index, LogId, Members, Payload, SnapshotMeta, TermRuns};

use crate::batch::{Batch, Draft, entry_bytes, entry_kind};
use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;
use crate::layout::{length, round_up};
use crate::options::Options;
use crate::places::{Place, Places};
use crate::random::Random;
use crate::record::{FLAG_REPAIR, Kind, SECTOR_BYTES, record_bytes};
use crate::segment::{DIRECTORY, Link, LogFile, SegmentHeader, SegmentNumber, least_version};
use crate::spares::Spares;
use crate::stable::Stable;

/// A segment of the log, open for reading; the last one for writing too.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) number: SegmentNumber,
    pub(crate) id: u64,
    pub(crate) version: u32,
    pub(crate) bytes: u64,
    /// The log's last slot when the segment began.
    pub(crate) last_before: LogId,
    pub(crate) file: F,
}

impl<F> Segment<F> {
    pub(crate) fn new(header: &SegmentHeader, file: F) -> Segment<F> {
        let &SegmentHeader { number, id, version, bytes, last: last_before, .. } = header;
        Segment { number, id, version, bytes, last_before, file }
    }
}

/// Where the next batch goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// In the last segment.
    pub(crate) offset: u32,
    /// The number of the last batch.
    pub(crate) batch: u64,
    /// Whether a mark follows the last batch, or none is needed.
    pub(crate) marked: bool,
    /// The last record.
    pub(crate) previous: Link,
    /// Whether nothing may be written to the last segment any more, because there's damage at its end.
    pub(crate) closed: bool,
}

/// The log, its index, and its last segment's end.
///
/// Invariants: there's at least one segment, numbers rise; `places` has a place for each slot of `terms`;
/// `damaged` and `members` lie within them.
#[derive(Debug)]
pub(crate) struct Log<F> {
    pub(crate) segments: VecDeque<Segment<F>>,
    pub(crate) terms: TermRuns,
    pub(crate) places: Places,
    pub(crate) damaged: BTreeSet<Index>,
    /// The membership entries of the log.
    pub(crate) members: Vec<(LogId, Members)>,
    /// The configuration in force before the first of them.
    pub(crate) base_members: (LogId, Members),
    pub(crate) commit_hint: Index,
    pub(crate) position: Position,
    /// The version that segments are begun with. It only rises.
    pub(crate) version: u32,
    /// Files that are no part of the log any more, once the next segment is there.
    pub(crate) stale: Vec<String>,
    pub(crate) spares: Spares<F>,
    pub(crate) batch: Batch,
    pub(crate) options: Options,
}

impl<F: DiskFile> Log<F> {
    /// The last slot, and the number of the last batch that is durable.
    pub(crate) fn durable(&self) -> (LogId, u64) {
        assert!(self.batch.is_empty(), "a batch is being built");
        (self.terms.last(), self.position.batch)
    }

    /// Adds an entry to the batch. At or below the last index it replaces that slot and drops all after it.
    ///
    /// A membership entry is the one slot that a node cannot start without. It is a batch of its own, in sectors of
    /// its own, and a new segment follows, whose header repeats it: so no single bad place takes both, and of
    /// several in one write each is repeated. That costs a segment and some syncs; memberships change rarely. In a log
    /// of the first version the first one with join tokens also begins a segment of the version that may hold it, so
    /// that a release that could not decode it refuses the log.
    pub(crate) fn append<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        stable: &mut Stable<F>,
        entry: &Entry,
    ) -> Result<(), Fatal> {
        let Payload::Members(members) = &entry.payload else {
            return self.append_slot(disk, stable, entry);
        };
        self.flush()?;
        if self.version < least_version(members) {
            self.version = least_version(members);
            self.begin_segment(disk, stable, entry_bytes(entry))?;
        }
        self.append_slot(disk, stable, entry)?;
        self.flush()?;
        self.begin_segment(disk, stable, 0)
    }

    fn append_slot<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        stable: &mut Stable<F>,
        entry: &Entry,
    ) -> Result<(), Fatal> {
        self.reserve(disk, stable, entry_bytes(entry))?;
        self.forget_from(entry.id.index);
        self.terms.push(entry.id);
        if let Payload::Members(members) = &entry.payload {
            self.members.push((entry.id, Members::clone(members)));
        }
        let offset = self.batch.push(self.draft(entry_kind(entry), 0, entry.id), Some(entry));
        self.places.push(Place { segment: self.last_segment().number, offset });
        Ok(())
    }

    /// Adds a record to the batch that drops the slots from `from` on.
    pub(crate) fn truncate<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        stable: &mut Stable<F>,
        from: Index,
    ) -> Result<(), Fatal> {
        self.reserve(disk, stable, record_bytes(0))?;
        self.forget_from(from);
        let id = LogId { term: self.terms.last().term, index: from };
        self.batch.push(self.draft(Kind::Truncate, 0, id), None);
        Ok(())
    }

    /// Adds the payload of a slot that lost it to the batch. A slot that isn't there any more is left alone.
    pub(crate) fn repair<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        stable: &mut Stable<F>,
        entry: &Entry,
    ) -> Result<(), Fatal> {
        if entry.id.index <= self.terms.base().index || !self.terms.holds(entry.id) {
            return Ok(());
        }
        self.reserve(disk, stable, entry_bytes(entry))?;
        let offset = self.batch.push(self.draft(entry_kind(entry), FLAG_REPAIR, entry.id), Some(entry));
        self.places.set(entry.id.index, Place { segment: self.last_segment().number, offset });
        self.damaged.remove(&entry.id.index);
        Ok(())
    }

    /// Makes the batch durable: one write, one sync.
    pub(crate) fn flush(&mut self) -> Result<(), Fatal> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let segment = self.segments.back().expect("a log has at least one segment");
        let path = LogFile::Segment(segment.number);
        let (bytes, offset) = self.batch.finish();
        segment.file.write_at(bytes, u64::from(offset)).map_err(Fatal::new("write", path))?;
        segment.file.sync_data().map_err(Fatal::new("sync", path))?;
        let position = &mut self.position;
        position.offset = offset + length(bytes.len());
        position.batch += 1;
        position.marked = false;
        position.previous = Link { segment: segment.number, record: self.batch.clear() };
        Ok(())
    }

    /// Whether the last batch is still without a mark.
    pub(crate) fn wants_mark(&self) -> bool {
        !self.position.marked && !self.position.closed
    }

    /// Notes that the last batch was synced. The note itself is not synced: it is there to tell rot from a torn write
    /// later, and costs nothing when it gets lost.
    pub(crate) fn mark(&mut self) -> Result<(), Fatal> {
        let (position, last) = (self.position, self.terms.last());
        let segment = self.segments.back().expect("a log has at least one segment");
        let path = LogFile::Segment(segment.number);
        let mut mark = Batch::default();
        mark.begin(position.batch, segment.id, segment.version, position.offset, position.previous.record);
        mark.push(self.draft(Kind::Mark, 0, last), None);
        let (bytes, offset) = mark.finish();
        segment.file.write_at(bytes, u64::from(offset)).map_err(Fatal::new("write", path))?;
        self.position.offset = offset + length(bytes.len());
        self.position.marked = true;
        Ok(())
    }

    /// Drops whole segments of slots up to `to`.
    pub(crate) fn compact<D: Disk<File = F>>(&mut self, disk: &D, to: Index) -> Result<(), Fatal> {
        let to = to.min(self.terms.last().index);
        let mut dropped = false;
        while self.segments.get(1).is_some_and(|next| next.last_before.index <= to) {
            let segment = self.segments.pop_front().expect("it has two");
            self.spares.recycle(disk, segment.number, segment.bytes)?;
            dropped = true;
        }
        if dropped {
            let base = self.segments[0].last_before.index;
            self.terms.compact(base);
            self.places.compact(base);
            self.damaged = self.damaged.split_off(&base.next());
            let covered = self.members.partition_point(|(id, _)| id.index <= base);
            if let Some(latest) = self.members.drain(..covered).next_back() {
                self.base_members = latest;
            }
            disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        }
        Ok(())
    }

    /// Puts a durable snapshot in place of the whole log.
    ///
    /// The new segment says that the log begins with it. Once it has its name, recovery begins there; before, it finds
    /// the old log whole. Only then the old segments go.
    pub(crate) fn reset<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        stable: &mut Stable<F>,
        meta: &SnapshotMeta,
    ) -> Result<(), Fatal> {
        assert!(self.batch.is_empty(), "the log is reset in the middle of a batch");
        self.terms = TermRuns::new(meta.last);
        self.places = Places::new(meta.last.index);
        self.damaged.clear();
        self.members.clear();
        self.base_members = (meta.members_at, meta.members.clone());
        self.version = self.version.max(least_version(&meta.members));
        self.commit_hint = self.commit_hint.max(meta.last.index);
        self.position.previous = Link::default();
        let old = self.segments.len();
        self.begin_segment(disk, stable, 0)?;
        for segment in self.segments.drain(..old) {
            self.spares.recycle(disk, segment.number, segment.bytes)?;
        }
        disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))
    }

    /// Makes room for a record of this size, in this batch or in a new one, in this segment or in a new one.
    fn reserve<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        stable: &mut Stable<F>,
        record: u32,
    ) -> Result<(), Fatal> {
        let end = if self.batch.is_empty() { self.position.offset } else { self.batch.end() };
        // A sector is left for a mark.
        let fits = u64::from(end) + u64::from(record + SECTOR_BYTES) <= self.last_segment().bytes;
        if !fits || self.position.closed {
            self.flush()?;
            self.begin_segment(disk, stable, record)?;
        }
        if self.batch.is_empty() {
            let segment = self.segments.back().expect("a log has at least one segment");
            let (number, previous) = (self.position.batch + 1, self.position.previous.record);
            self.batch.begin(number, segment.id, segment.version, self.position.offset, previous);
        }
        Ok(())
    }

    /// Begins a segment after what is durable, with room for a record of this size.
    ///
    /// Its header is durable before the file gets its name, and the name before the term and vote files count the
    /// segment as a batch; so neither a segment without a header nor a lost segment can be taken for a crash.
    pub(crate) fn begin_segment<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        stable: &mut Stable<F>,
        record: u32,
    ) -> Result<(), Fatal> {
        let (members_at, members) = self.config().clone();
        let mut header = SegmentHeader {
            version: self.version,
            number: self.spares.next_number(),
            id: 0,
            bytes: 0,
            batch: self.position.batch + 1,
            last: self.terms.last(),
            commit_hint: self.commit_hint,
            members_at,
            members,
            previous: self.position.previous,
        };
        // The batch's number makes ids differ between two starts with the same seed. A sector of zeros must not look
        // masked, so zero is no id.
        header.id = Random::new(self.options.seed ^ header.batch.rotate_left(32)).next().max(1);
        let start = header.records_start();
        let bytes = self.options.segment_bytes.max(needed_bytes(start, record));
        header.bytes = u64::from(bytes);
        let (file, path) = self.spares.take(disk, bytes)?;
        file.write_at(&header.encode(), 0).map_err(Fatal::new("write", &path))?;
        file.sync_data().map_err(Fatal::new("sync", &path))?;
        let named = LogFile::Segment(header.number).path();
        disk.rename(&path, &named).map_err(Fatal::new("rename", path))?;
        disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        stable.acknowledge(header.last, header.batch)?;
        self.segments.push_back(Segment::new(&header, file));
        self.position.offset = start;
        self.position.batch = header.batch;
        self.position.marked = true;
        self.position.closed = false;
        for path in std::mem::take(&mut self.stale) {
            disk.remove(&path).map_err(Fatal::new("remove", path))?;
        }
        Ok(())
    }

    /// The configuration in force at the end of the log.
    pub(crate) fn config(&self) -> &(LogId, Members) {
        in_force(&self.members, &self.base_members)
    }

    fn draft(&self, kind: Kind, flags: u8, id: LogId) -> Draft {
        let (members_at, _) = self.config();
        Draft { kind, flags, id, commit_hint: self.commit_hint, members_index: members_at.index }
    }

    fn last_segment(&self) -> &Segment<F> {
        self.segments.back().expect("a log has at least one segment")
    }

    fn forget_from(&mut self, from: Index) {
        if from <= self.terms.last().index {
            self.terms.truncate(from);
            self.places.truncate(from);
            self.damaged.split_off(&from);
            self.members.retain(|(id, _)| id.index < from);
        }
    }
}

/// The last configuration of a log, by itself for whoever changes another part of the log meanwhile.
pub(crate) fn in_force<'a>(
    members: &'a [(LogId, Members)],
    base_members: &'a (LogId, Members),
) -> &'a (LogId, Members) {
    members.last().unwrap_or(base_members)
}

/// The size of a segment whose records begin at `start` and whose first has so many bytes.
pub(crate) fn needed_bytes(start: u32, record: u32) -> u32 {
    /// Sizes of segments are multiples of this.
    const PAGE_BYTES: u32 = 4096;
    round_up(start + record + 2 * SECTOR_BYTES, PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_room_for_its_first_record_a_mark_and_a_sector_that_stays_free() {
        let start = 8192;
        for (record, bytes) in
            [(0, 12 << 10), (3072, 12 << 10), (3073, 16 << 10), (7168, 16 << 10), (7169, 20 << 10)]
        {
            assert_eq!(needed_bytes(start, record), bytes, "a record of {record} bytes");
        }
    }
}
