//! Making sure that what was found at a start is on the disk, and not only in the system's memory.
//!
//! A process that starts again on a machine that lived on reads what the last one wrote, also what never became
//! durable. To sync it now proves nothing: after a sync that *failed*, Linux takes the pages for clean, so that the
//! next one has nothing to do and says yes ("fsyncgate", `PostgreSQL` 2018; Rebello et al., *Can Applications Recover
//! from fsync Failures?*, ATC 2020). Bytes have to be written once more, and then synced. They are written in place
//! and are the same, so a crash in the middle leaves the old ones or the same. Bytes that failed a check, or could not
//! be read, are never written back: that would make damage look like data.
//!
//! | what | proof that it is durable | without |
//! |---|---|---|
//! | a batch that is not the last | the batch behind it, which was not written before | |
//! | the last batch | a mark, or the term and vote files | written anew, if every record of it is sound |
//! | the header of a segment | any proven batch behind it | written anew, which also mends a bad copy of it |
//! | the zeros behind the end | none: an earlier start may have cut a torn batch, and failed to sync | written anew |
//! | a segment before the last | the next one, begun after its last sync | |
//! | spares, checkpoints | their name: it is given after the last sync; without one they are removed at a start | |
//! | term and vote | none | `Stable::open` writes both files anew |
//!
//! A *directory* whose sync fails is not among these. Names are in the file system's own journal; one that cannot
//! write its journal stops (ext4, xfs: it takes no more changes until it is mounted again, from what is on the disk),
//! so no later sync succeeds, and no later process sees names that will not last.

use crate::disk::DiskFile;
use crate::error::Fatal;
use crate::layout::write_zeros;
use crate::record::{FLAG_LAST, Kind};
use crate::scan::{Condition, Item, Record, next_header};
use crate::segment::{LogFile, SegmentHeader};

/// The last segment of a log, as it was found.
pub(crate) struct LastSegment<'a> {
    pub(crate) header: &'a SegmentHeader,
    pub(crate) content: &'a [u8],
    /// What of it belongs to the log.
    pub(crate) kept: &'a [Item],
    /// The highest number that a mark or the term and vote files name.
    pub(crate) proven: u64,
    /// Where the next batch goes, if one may go into this segment.
    pub(crate) free_from: Option<u32>,
}

impl LastSegment<'_> {
    /// Writes what nothing proves durable, and syncs the file.
    pub(crate) fn make_durable<F: DiskFile>(&self, file: &F) -> Result<(), Fatal> {
        let path = || LogFile::Segment(self.header.number).path();
        let newest = self.batches().map(|record| record.header.batch).max().unwrap_or(self.header.batch);
        let proven = self.proven.max(newest.saturating_sub(1));
        if proven <= self.header.batch {
            file.write_at(&self.header.encode(), 0).map_err(Fatal::new("write", path()))?;
        }
        if newest > proven
            && let Some((start, bytes)) = self.whole_batch(newest)
        {
            file.write_at(bytes, start).map_err(Fatal::new("write", path()))?;
        }
        if let Some(start) = self.free_from.map(u64::from) {
            write_zeros(file, start, self.header.bytes.saturating_sub(start))
                .map_err(Fatal::new("write", path()))?;
        }
        file.sync_data().map_err(Fatal::new("sync", path()))
    }

    fn batches(&self) -> impl Iterator<Item = &Record> {
        self.kept.iter().filter_map(Item::record).filter(|record| record.header.kind != Kind::Mark)
    }

    /// Where the batch with this number is, and its bytes, if it ends and nothing in it fails a check.
    fn whole_batch(&self, number: u64) -> Option<(u64, &[u8])> {
        let of_it = |item: &Item| {
            item.record()
                .is_some_and(|record| record.header.batch == number && record.header.kind != Kind::Mark)
        };
        let first = self.kept.iter().position(of_it)?;
        let end = self.kept.iter().rposition(of_it)?;
        let sound = |item: &Item| item.record().is_some_and(|record| record.payload == Condition::Sound);
        if !self.kept[first..=end].iter().all(|item| of_it(item) && sound(item)) {
            return None;
        }
        let (first, last) = (&self.kept[first].record()?.header, &self.kept[end].record()?.header);
        if last.flags & FLAG_LAST == 0 {
            return None;
        }
        let bytes = self.content.get(first.offset as usize..next_header(last) as usize)?;
        Some((first.offset.into(), bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::length;
    use crate::record::{Form, Header, Identity};
    use crate::segment::{Link, SegmentNumber};
    use quorate_raft::{Index, LogId, Members};

    const START: u32 = 8192;

    /// Two records of 112 bytes in batch 2: their flags, and how the second one's payload reads.
    fn items(flags: [u8; 2], payload: Condition) -> Vec<Item> {
        let conditions = [Condition::Sound, payload];
        let record = |at: u32, flags, payload| {
            let header = Header {
                form: Form::Whole,
                payload_checksum: 0,
                length: 16,
                offset: START + at * 112,
                segment: 9,
                batch: 2,
                id: LogId::new(1, 1),
                commit_hint: Index(0),
                members_index: Index(0),
                previous: Identity::default(),
                kind: Kind::Command,
                flags,
            };
            Item::Record(Record { header, checksum: 0, payload })
        };
        (0..2).map(|at| record(length(at), flags[at], conditions[at])).collect()
    }

    #[test]
    fn only_a_batch_that_ends_and_reads_well_is_written_back() {
        let header = SegmentHeader {
            version: 1,
            number: SegmentNumber(1),
            id: 9,
            bytes: 16 << 10,
            batch: 1,
            last: LogId::ZERO,
            commit_hint: Index(0),
            members_at: LogId::ZERO,
            members: Members::default(),
            previous: Link::default(),
        };
        let content = vec![7; 16 << 10];
        let bytes = |items: &[Item], number| {
            let last =
                LastSegment { header: &header, content: &content, kept: items, proven: 1, free_from: None };
            last.whole_batch(number).map(|(start, bytes)| (start, bytes.len()))
        };
        assert_eq!(bytes(&items([0, FLAG_LAST], Condition::Sound), 2), Some((START.into(), 512)));
        assert_eq!(bytes(&items([0, 0], Condition::Sound), 2), None, "it does not end");
        assert_eq!(bytes(&items([0, FLAG_LAST], Condition::Rotten), 2), None);
        assert_eq!(bytes(&items([0, FLAG_LAST], Condition::Sound), 3), None, "another one");
    }
}
