//! The segments of the log.

use std::io::ErrorKind;

use quorate_raft::Index;

use super::{SegmentSight, Survey};
use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;
use crate::layout::is_zero;
use crate::record::{Header, Identity, Kind, mask};
use crate::recovery::{Chained, Judged, chain, end_of_chain, headers, judge, list, read_whole};
use crate::scan::{Condition, Item, Record, Scan, next_header, scan};
use crate::segment::{DIRECTORY, LogFile, SegmentHeader, SegmentNumber};
use crate::verdict::Verdict;

/// Where the chain of records is.
struct Chain {
    /// The segment that was looked at last, and where its next record would be.
    segment: SegmentNumber,
    end: u64,
    /// What the next record has to name as the one before it; nothing right after damage.
    previous: Option<Identity>,
    /// The highest batch number seen.
    batch: u64,
}

/// The files of the log; none when there is no log.
pub(super) fn files<D: Disk>(disk: &D) -> Result<Vec<LogFile>, Fatal> {
    match list(disk) {
        Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

impl<D: Disk> Survey<'_, D> {
    pub(super) fn segments(&mut self) -> Result<(), Fatal> {
        let files = files(self.disk)?;
        self.surveyed.spares = files.iter().filter(|file| matches!(file, LogFile::Spare(_))).count();
        let (acknowledged, last) = self.acknowledged();
        let linked = chain(&mut headers(self.disk, &files)?);
        let mut at: Option<Chain> = None;
        for file in files {
            let LogFile::Segment(number) = file else { continue };
            let place = linked.iter().position(|segment| segment.header.number == number);
            let Some(place) = place else {
                self.unlinked(number, &linked)?;
                continue;
            };
            let next = linked.get(place + 1).map(|next| &next.header);
            self.segment(&linked[place], next, acknowledged, &mut at);
        }
        if linked.is_empty() && acknowledged > 0 {
            let reason =
                format!("no segment can be read, and batch {acknowledged} was synced (up to {last})");
            self.fault(DIRECTORY, 0, Some(last.index), reason);
        }
        if let Some(chain) = at.filter(|chain| chain.batch < acknowledged) {
            let path = LogFile::Segment(chain.segment).path();
            let reason = format!(
                "the log ends with batch {}, and batch {acknowledged} was synced (up to {last}): its end is lost",
                chain.batch
            );
            self.fault(&path, chain.end, Some(last.index), reason);
        }
        Ok(())
    }

    /// A file that the log does not lead to. Only one that should lead on and can't is damage.
    fn unlinked(&mut self, number: SegmentNumber, linked: &[Chained<D::File>]) -> Result<(), Fatal> {
        let path = LogFile::Segment(number).path();
        let file = self.disk.open(&path).map_err(Fatal::new("open", &path))?;
        let bytes = file.len().unwrap_or(0);
        let content = read_whole(&file, bytes);
        (self.progress)(bytes);
        if SegmentHeader::decode(&content, number).is_none() {
            let over = |segment: &Chained<D::File>| {
                segment.header.previous.segment < number && number < segment.header.number
            };
            let is_dead = linked.first().is_some_and(|first| number < first.header.number)
                || linked.iter().skip(1).any(over);
            if !is_dead {
                self.fault(&path, 0, None, "neither copy of its header is whole");
            }
        }
        self.surveyed.segments.push(SegmentSight {
            file: path,
            bytes,
            used_bytes: 0,
            is_linked: false,
            records: 0,
            batches: None,
            slots: None,
        });
        Ok(())
    }

    fn segment(
        &mut self,
        segment: &Chained<D::File>,
        next: Option<&SegmentHeader>,
        acknowledged: u64,
        at: &mut Option<Chain>,
    ) {
        let Chained { header, file } = segment;
        let path = LogFile::Segment(header.number).path();
        let bytes = file.len().unwrap_or(0);
        if bytes != header.bytes {
            let reason = format!("it has {bytes} bytes, and its header says {}", header.bytes);
            self.fault(&path, bytes.min(header.bytes), None, reason);
        }
        let content = read_whole(file, header.bytes);
        self.header_copies(&path, header, &content);
        self.link(header, at.as_ref());
        let found = scan(&content, header.id, header.records_start());
        let Judged { verdict, kept, .. } = judge(&found, &content, header, next, acknowledged);
        // What was never acknowledged, or was given up before, is no part of the log.
        let items = match verdict {
            Verdict::Damage => &found.items[..],
            _ => &found.items[..kept],
        };
        let mut chain = Chain {
            segment: header.number,
            end: u64::from(header.records_start()),
            previous: Some(header.previous.record),
            batch: at.as_ref().map_or(0, |chain| chain.batch).max(header.batch),
        };
        for (number, item) in items.iter().enumerate() {
            let next = items.get(number + 1).and_then(Item::record);
            self.item(&path, item, next, &content, &mut chain);
        }
        self.surveyed.segments.push(sight(path, bytes, header, &found, items));
        *at = Some(chain);
        (self.progress)(bytes);
    }

    fn header_copies(&mut self, path: &str, header: &SegmentHeader, content: &[u8]) {
        let expected = header.encode();
        let half = expected.len() / 2;
        for (name, start) in [("first", 0), ("second", half)] {
            if content.get(start..start + half) != expected.get(start..start + half) {
                let reason = format!("the {name} copy of its header is damaged; the other one is whole");
                self.fault(path, start as u64, None, reason);
            }
        }
    }

    /// Whether the segment before ends with the record that this one names.
    fn link(&mut self, header: &SegmentHeader, before: Option<&Chain>) {
        let Some(before) = before else { return };
        let (link, record) = (&header.previous, &header.previous.record);
        let index = record.is_append().then_some(record.id.index);
        if link.segment != before.segment {
            let path = LogFile::Segment(link.segment).path();
            let reason = format!("segment {:08x} follows it, and it is not there", header.number.0);
            self.fault(&path, u64::from(record.offset), index, reason);
        } else if before.previous.is_some_and(|previous| previous != *record) {
            let path = LogFile::Segment(before.segment).path();
            let reason = format!("segment {:08x} follows a record that is not there", header.number.0);
            self.fault(&path, u64::from(record.offset), index, reason);
        }
    }

    fn item(&mut self, path: &str, item: &Item, next: Option<&Record>, content: &[u8], chain: &mut Chain) {
        match item {
            Item::Gap { from, header } => {
                let lost = next.map(|record| record.header.previous).filter(Identity::is_append);
                self.fault(path, u64::from(*from), lost.map(|lost| lost.id.index), gap(*header));
                chain.previous = None;
                chain.end = u64::from(*from);
            }
            Item::Record(record) => {
                let header = &record.header;
                let index = slot(header);
                if chain.previous.is_some_and(|previous| previous != header.previous) {
                    let reason = "the record before it is not there";
                    self.fault(path, u64::from(header.offset), index, reason);
                }
                if record.payload != Condition::Sound {
                    let offset = u64::from(header.payload_start());
                    self.fault(path, offset, index, payload(record.payload));
                } else if !is_padding_masked(header, content) {
                    let reason = "the padding behind it is not what was written";
                    self.fault(path, u64::from(header.end()), index, reason);
                }
                chain.previous = Some(end_of_chain(record));
                chain.end = u64::from(next_header(header));
                chain.batch = chain.batch.max(header.batch);
            }
        }
    }
}

/// The slot that a record fills or mends.
fn slot(header: &Header) -> Option<Index> {
    header.kind.is_slot().then_some(header.id.index)
}

fn gap(header: Condition) -> &'static str {
    match header {
        Condition::Unwritten => "zeros where a record should be",
        Condition::Sound | Condition::Rotten => "the checksum of a record's header does not fit",
    }
}

fn payload(condition: Condition) -> &'static str {
    match condition {
        Condition::Unwritten => "the checksum of the payload does not fit: a sector of it is zeros",
        Condition::Sound | Condition::Rotten => "the checksum of the payload does not fit",
    }
}

/// Padding is zeros under the mask.
fn is_padding_masked(header: &Header, content: &[u8]) -> bool {
    let (start, end) = (header.end(), next_header(header));
    let Some(padding) = content.get(start as usize..end as usize) else { return false };
    let mut padding = padding.to_vec();
    mask(&mut padding, header.segment, start);
    is_zero(&padding)
}

fn sight(path: String, bytes: u64, header: &SegmentHeader, scan: &Scan, items: &[Item]) -> SegmentSight {
    let records = || items.iter().filter_map(Item::record);
    let batches =
        || records().filter(|record| record.header.kind != Kind::Mark).map(|record| record.header.batch);
    let slots = || records().filter_map(|record| slot(&record.header));
    SegmentSight {
        file: path,
        bytes,
        used_bytes: u64::from(scan.end.saturating_sub(header.records_start())),
        is_linked: true,
        records: records().count(),
        batches: batches().min().zip(batches().max()),
        slots: slots().min().zip(slots().max()),
    }
}
