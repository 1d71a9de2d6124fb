//! Finding the log again: which segments belong to it, what they hold, and where it goes on.
//!
//! Segments are chained by their headers: each names the record before its first. Going back from the newest, what a
//! header does not lead to was given up by an earlier recovery, or is older than a snapshot that took the log's
//! place, or was dropped by a compaction that a crash cut short. Then the chain is replayed forward
//! (see [`crate::replay`]) and its tail judged (see [`crate::verdict`]).

use std::collections::{BTreeMap, VecDeque};

use quorate_raft::{Index, SnapshotMeta};

use crate::anew::LastSegment;
use crate::disk::{Disk, DiskFile};
use crate::error::{Fatal, OpenError};
use crate::layout::{is_zero, position};
use crate::log::{Position, Segment};
use crate::record::{FLAG_LAST, HEADER_BYTES, Identity, Kind, SECTOR_BYTES};
use crate::replay::Replay;
use crate::reread::settled;
use crate::scan::{Condition, Item, Record, Scan, next_header, scan};
use crate::segment::{self, DIRECTORY, Link, LogFile, SegmentHeader, SegmentNumber};
use crate::verdict::{Evidence, NextSegment, Tail, Verdict, decide};

/// What the disk says about the log.
#[derive(Debug)]
pub(crate) struct Recovered<F> {
    pub(crate) segments: VecDeque<Segment<F>>,
    /// The highest version that any of them has.
    pub(crate) version: u32,
    pub(crate) replay: Replay,
    pub(crate) position: Position,
    /// Segments that may be removed now.
    pub(crate) dead: Vec<String>,
    /// Segments that may be removed once a new one has been begun.
    pub(crate) stale: Vec<String>,
}

/// A segment of the chain.
pub(crate) struct Chained<F> {
    pub(crate) header: SegmentHeader,
    pub(crate) file: F,
}

/// The files of the log, by name.
pub(crate) fn list<D: Disk>(disk: &D) -> Result<Vec<LogFile>, Fatal> {
    let names = disk.list(DIRECTORY).map_err(Fatal::new("list", DIRECTORY))?;
    Ok(names.iter().filter_map(|name| LogFile::from_name(name)).collect())
}

/// Reads the log. `acknowledged` is the batch that the term and vote files name.
pub(crate) fn recover<D: Disk>(
    disk: &D,
    files: &[LogFile],
    snapshot: Option<&SnapshotMeta>,
    acknowledged: u64,
) -> Result<Recovered<D::File>, OpenError> {
    let mut headers = headers(disk, files)?;
    let Some(newest) = headers.keys().next_back().copied() else {
        return Err(OpenError::LogLost { acknowledged });
    };
    let chain = chain(&mut headers);
    let mut walk = Walk::begin(&chain[0].header, snapshot);
    for (at, segment) in chain.iter().enumerate() {
        let next = chain.get(at + 1).map(|next| &next.header);
        walk.segment(segment, next, acknowledged)?;
    }
    let dead = paths(files, |number| is_dead(&chain, number));
    // A newer one without a readable header: if anything was acknowledged in it, the term and vote files count it as a
    // batch, and the walk has found that it is missing.
    let stale = paths(files, |number| number > newest);
    Ok(walk.finish(chain, dead, stale, acknowledged))
}

/// The segments whose header can be read.
pub(crate) fn headers<D: Disk>(
    disk: &D,
    files: &[LogFile],
) -> Result<BTreeMap<SegmentNumber, Chained<D::File>>, Fatal> {
    let mut headers = BTreeMap::new();
    for file in files {
        let LogFile::Segment(number) = *file else { continue };
        let path = file.path();
        let open = disk.open(&path).map_err(Fatal::new("open", path))?;
        if let Some(header) = settled(|| read_header(&open, number), Option::is_some) {
            headers.insert(number, Chained { header, file: open });
        }
    }
    Ok(headers)
}

fn paths(files: &[LogFile], which: impl Fn(SegmentNumber) -> bool) -> Vec<String> {
    let chosen = files.iter().filter(|file| matches!(file, LogFile::Segment(number) if which(*number)));
    chosen.map(|file| file.path()).collect()
}

/// Whether a segment is older than the log's beginning, or one of its successors links over it. An unreadable one
/// that belongs to the log is neither: it stays, for whoever wants to look at it.
fn is_dead<F>(chain: &[Chained<F>], number: SegmentNumber) -> bool {
    let over =
        |segment: &Chained<F>| segment.header.previous.segment < number && number < segment.header.number;
    number < chain[0].header.number || chain.iter().skip(1).any(over)
}

/// The segments that lead to the newest one, oldest first.
pub(crate) fn chain<F>(headers: &mut BTreeMap<SegmentNumber, Chained<F>>) -> Vec<Chained<F>> {
    let mut chain = Vec::new();
    while let Some((_, segment)) = headers.pop_last() {
        let previous = segment.header.previous.segment;
        chain.push(segment);
        if previous == SegmentNumber(0) {
            break;
        }
        // Between the two may be segments that were given up.
        headers.retain(|number, _| *number <= previous);
    }
    chain.reverse();
    chain
}

/// Going through the chain.
struct Walk {
    replay: Replay,
    /// The highest batch number seen.
    batch: u64,
    marked: bool,
    /// Where the last segment's next batch goes.
    end: Link,
    damaged_end: bool,
}

impl Walk {
    fn begin(first: &SegmentHeader, snapshot: Option<&SnapshotMeta>) -> Walk {
        let replay = Replay::begin(first, snapshot);
        Walk { replay, batch: first.batch, marked: true, end: Link::default(), damaged_end: false }
    }

    fn segment<F: DiskFile>(
        &mut self,
        segment: &Chained<F>,
        next: Option<&SegmentHeader>,
        acknowledged: u64,
    ) -> Result<(), Fatal> {
        let Chained { header, file } = segment;
        if self.end.segment != SegmentNumber(0) {
            self.replay.segment(header, self.end);
        }
        // The last segment is read twice in any case: nothing tells the zeros at its end from others, and they are
        // about to be written to.
        let sound = |reading: &Reading| next.is_some() && reading.is_sound();
        let reading = settled(|| Reading::take(file, header, next, acknowledged), sound);
        let Reading { content, scan, judged } = reading;
        let kept = match judged.verdict {
            Verdict::Damage => &scan.items[..],
            _ => &scan.items[..judged.kept],
        };
        // What's cut does not count: its number is given again.
        let batches = kept.iter().filter_map(Item::record).map(|record| record.header.batch);
        self.batch = batches.fold(self.batch.max(header.batch), u64::max);
        self.replay.items(header.number, kept, &content);
        self.marked = match kept.last() {
            Some(Item::Record(record)) => record.header.kind == Kind::Mark,
            _ => kept.is_empty(),
        };
        self.end.segment = header.number;
        self.end.record.offset = match kept.last() {
            Some(Item::Gap { from, .. }) => *from,
            Some(Item::Record(record)) => next_header(&record.header),
            None => header.records_start(),
        };
        if next.is_some() {
            return Ok(());
        }
        let damaged = judged.verdict == Verdict::Damage;
        if damaged {
            self.damaged_end = true;
            if !self.replay.closed || judged.kept == scan.items.len() {
                self.lose_end();
            }
        }
        // A torn batch goes here, too: what is left of it must never be taken for a part of what comes next.
        let free_from = (!damaged).then_some(self.end.record.offset);
        let proven = judged.proven;
        LastSegment { header, content: &content, kept, proven, free_from }.make_durable(file)
    }

    /// Something was acknowledged after what was found.
    fn lose_end(&mut self) {
        self.damaged_end = true;
        if self.replay.unknown.is_none() {
            self.replay.give_up();
        }
    }

    fn finish<F: DiskFile>(
        mut self,
        chain: Vec<Chained<F>>,
        dead: Vec<String>,
        mut stale: Vec<String>,
        acknowledged: u64,
    ) -> Recovered<F> {
        let version = chain.iter().map(|segment| segment.header.version).max().unwrap_or(segment::VERSION);
        let mut segments: VecDeque<Segment<F>> =
            chain.into_iter().map(|segment| Segment::new(&segment.header, segment.file)).collect();
        let mut previous = self.replay.previous;
        if self.replay.unknown.is_some() {
            previous = self.replay.resume;
            // The log goes on behind the last record that is known; whole segments behind that are of no use.
            self.damaged_end = true;
            while segments.len() > 1
                && segments.back().is_some_and(|segment| segment.number > previous.segment)
            {
                let given_up = segments.pop_back().expect("it has two");
                stale.push(LogFile::Segment(given_up.number).path());
            }
        }
        let position = Position {
            offset: self.end.record.offset,
            batch: self.batch.max(acknowledged),
            marked: self.marked,
            previous,
            closed: self.damaged_end,
        };
        Recovered { segments, version, replay: self.replay, position, dead, stale }
    }
}

/// What a segment holds, as it was read once.
#[derive(PartialEq)]
struct Reading {
    content: Vec<u8>,
    scan: Scan,
    judged: Judged,
}

impl Reading {
    fn take<F: DiskFile>(
        file: &F,
        header: &SegmentHeader,
        next: Option<&SegmentHeader>,
        acknowledged: u64,
    ) -> Reading {
        let content = read_whole(file, header.bytes);
        let scan = scan(&content, header.id, header.records_start());
        let judged = judge(&scan, &content, header, next, acknowledged);
        Reading { content, scan, judged }
    }

    /// Whether every check holds.
    fn is_sound(&self) -> bool {
        let sound = |item: &Item| item.record().is_some_and(|record| record.payload == Condition::Sound);
        !matches!(self.judged.verdict, Verdict::Cut | Verdict::Damage) && self.scan.items.iter().all(sound)
    }
}

/// What becomes of a segment's tail, and how many of the scan's items come before it.
#[derive(PartialEq)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    pub(crate) kept: usize,
    /// The highest batch that a mark or the term and vote files name.
    proven: u64,
}

/// Divides what a scan found into what is proven and the tail, and decides about the tail.
pub(crate) fn judge(
    scan: &Scan,
    file: &[u8],
    header: &SegmentHeader,
    next: Option<&SegmentHeader>,
    acknowledged: u64,
) -> Judged {
    let newest = newest_batch(&scan.items, |kind| kind != Kind::Mark);
    let marked = newest_batch(&scan.items, |kind| kind == Kind::Mark);
    let linked = linked_items(scan, header, next);
    let next_segment = match (next, linked) {
        (None, _) => NextSegment::None,
        (_, Some(_)) => NextSegment::LinksBeforeTail,
        (_, None) => NextSegment::LinksElsewhere,
    };
    // A batch is proven by the next one, by a mark, or by the term and vote files.
    let named = marked.max(acknowledged);
    let proven = newest.saturating_sub(1).max(named);
    let within = |item: &Item| item.record().is_some_and(|record| record.header.batch <= proven);
    let before_tail = || scan.items.iter().rposition(within).map_or(0, |last| last + 1);
    let mut kept = linked.unwrap_or_else(before_tail);
    loop {
        let last = scan.items[..kept].last().and_then(Item::record);
        let closed = last.is_none_or(|record| record.header.flags & FLAG_LAST != 0);
        let last_batch = last.map_or(header.batch, |record| record.header.batch);
        let tail_batch = if closed { last_batch + 1 } else { last_batch };
        let rest = &scan.items[kept..];
        let whole = whole_batch(rest, last.map_or(header.previous.record, end_of_chain));
        let evidence = Evidence {
            tail: if whole > 0 { Tail::Whole } else { tail(scan, rest, file, closed) },
            marked: marked >= tail_batch,
            followed: newest > tail_batch,
            next_segment,
            acknowledged: acknowledged >= tail_batch,
        };
        match decide(evidence) {
            Verdict::Keep => kept += whole,
            verdict => return Judged { verdict, kept, proven: named },
        }
    }
}

fn newest_batch(items: &[Item], which: impl Fn(Kind) -> bool) -> u64 {
    let records = items.iter().filter_map(Item::record).filter(|record| which(record.header.kind));
    records.map(|record| record.header.batch).max().unwrap_or(0)
}

/// What the record after this one links to. Marks are outside the chain.
pub(crate) fn end_of_chain(record: &Record) -> Identity {
    match record.header.kind {
        Kind::Mark => record.header.previous,
        _ => record.header.identity(record.checksum),
    }
}

/// How many items there are up to the record that the next segment links to, when that can be told.
fn linked_items(scan: &Scan, header: &SegmentHeader, next: Option<&SegmentHeader>) -> Option<usize> {
    let link = next?.previous;
    let find =
        |which: &dyn Fn(&Record) -> bool| scan.items.iter().position(|item| item.record().is_some_and(which));
    if link.segment != header.number {
        return None;
    }
    let itself = find(&|record| end_of_chain(record) == link.record).map(|at| at + 1);
    // The record's header may be lost, and then only the one behind it tells where it was.
    itself.or_else(|| find(&|record| record.header.previous == link.record))
}

/// The number of items up to the end of a batch of which every check holds, and which links to `previous`; a lost
/// mark may stand before it. 0 when there's no such batch.
fn whole_batch(items: &[Item], previous: Identity) -> usize {
    let skipped = usize::from(matches!(items.first(), Some(Item::Gap { .. })));
    let mut previous = previous;
    for (at, item) in items.iter().enumerate().skip(skipped) {
        let Item::Record(record) = item else { return 0 };
        if record.payload != Condition::Sound || record.header.previous != previous {
            return 0;
        }
        if record.header.flags & FLAG_LAST != 0 {
            return at + 1;
        }
        previous = record.header.identity(record.checksum);
    }
    0
}

/// The condition of a tail that is no whole batch. `closed` says whether what comes before it ends a batch.
fn tail(scan: &Scan, items: &[Item], file: &[u8], closed: bool) -> Tail {
    let mut conditions: Vec<Condition> = items
        .iter()
        .map(|item| match item {
            Item::Record(record) => record.payload,
            Item::Gap { header, .. } => *header,
        })
        .filter(|condition| *condition != Condition::Sound)
        .collect();
    let open = match items.last() {
        Some(Item::Record(record)) => record.header.flags & FLAG_LAST == 0,
        Some(Item::Gap { .. }) => false,
        None => !closed,
    };
    if open {
        // The next record of the batch should stand at the end.
        let sectors = scan.end / SECTOR_BYTES..scan.end.saturating_add(HEADER_BYTES).div_ceil(SECTOR_BYTES);
        let unwritten = sectors.into_iter().any(|sector| {
            let start = (sector * SECTOR_BYTES) as usize;
            file.get(start..start + SECTOR_BYTES as usize).is_some_and(is_zero)
        });
        conditions.push(if unwritten { Condition::Unwritten } else { Condition::Rotten });
    }
    if conditions.contains(&Condition::Rotten) {
        Tail::Rotten
    } else if conditions.contains(&Condition::Unwritten) {
        Tail::Unwritten
    } else if items.is_empty() {
        Tail::Nothing
    } else {
        // Every check holds, and yet the records don't follow from each other: something wrote them elsewhere.
        Tail::Rotten
    }
}

/// The header of a segment file, from either copy.
pub(crate) fn read_header<F: DiskFile>(file: &F, number: SegmentNumber) -> Option<SegmentHeader> {
    let length = file.len().ok()?;
    let usual = read_whole(file, length.min(SegmentHeader::USUAL_BYTES));
    SegmentHeader::decode(&usual, number).or_else(|| SegmentHeader::decode(&read_whole(file, length), number))
}

/// Reads `length` bytes. What cannot be read, or is missing at the end, reads as garbage: it isn't zeros.
pub(crate) fn read_whole<F: DiskFile>(file: &F, length: u64) -> Vec<u8> {
    const GARBAGE: u8 = 0xdb;
    let mut content = vec![0; position(length)];
    let read = match file.read_at(&mut content, 0) {
        Ok(read) => read,
        Err(_) => {
            for (number, sector) in content.chunks_mut(SECTOR_BYTES as usize).enumerate() {
                let read = file.read_at(sector, number as u64 * u64::from(SECTOR_BYTES)).unwrap_or(0);
                sector[read..].fill(GARBAGE);
            }
            return content;
        }
    };
    content[read..].fill(GARBAGE);
    content
}

/// Recovers from the bytes of one segment file, for fuzzing: the number of slots found.
pub(crate) fn recover_bytes(file: &[u8]) -> usize {
    let Some(header) = SegmentHeader::decode(file, SegmentNumber(1)) else { return 0 };
    let scan = scan(file, header.id, header.records_start());
    let judged = judge(&scan, file, &header, None, 0);
    let mut replay = Replay::begin(&header, None);
    let kept = if judged.verdict == Verdict::Damage { scan.items.len() } else { judged.kept };
    replay.items(header.number, &scan.items[..kept], file);
    let Index(last) = replay.terms.last().index;
    usize::try_from(last - replay.terms.base().index.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, Draft};
    use crate::record::Form;
    use quorate_raft::{Entry, LogId, Members, Payload};

    /// A segment that begins behind slot 66. `start` and `end` are those of what was put into it last.
    #[derive(Clone)]
    struct Built {
        header: SegmentHeader,
        file: Vec<u8>,
        start: usize,
        batch: u64,
        last: u64,
        end: u32,
        previous: Identity,
    }

    impl Built {
        fn new() -> Built {
            Built::of_version(segment::NEWEST_VERSION)
        }

        fn of_version(version: u32) -> Built {
            let header = SegmentHeader {
                version,
                number: SegmentNumber(1),
                id: 0x0123_4567_89ab_cdef,
                bytes: 16 << 10,
                batch: 1,
                last: LogId::new(5, 66),
                commit_hint: Index(60),
                members_at: LogId::ZERO,
                members: Members::default(),
                previous: Link::default(),
            };
            let mut file = header.encode();
            file.resize(16 << 10, 0);
            let end = header.records_start();
            Built { header, file, start: 0, batch: 1, last: 66, end, previous: Identity::default() }
        }

        /// Adds a batch of so many slots, each a record of 800 bytes or a little less.
        fn batch(self, slots: usize) -> Built {
            self.commands(&vec![700; slots])
        }

        /// Adds a batch of commands, of so many bytes each.
        fn commands(mut self, sizes: &[usize]) -> Built {
            self.batch += 1;
            let mut batch = Batch::default();
            batch.begin(self.batch, self.header.id, self.header.version, self.end, self.previous);
            for bytes in sizes {
                self.last += 1;
                let id = LogId::new(5, self.last);
                let entry = Entry { id, payload: Payload::Command(vec![7; *bytes].into()) };
                batch.push(draft(Kind::Command, entry.id), Some(&entry));
            }
            self.put(&mut batch);
            self.previous = batch.clear();
            self
        }

        fn mark(mut self) -> Built {
            let mut mark = Batch::default();
            mark.begin(self.batch, self.header.id, self.header.version, self.end, self.previous);
            mark.push(draft(Kind::Mark, LogId::new(5, self.last)), None);
            self.put(&mut mark);
            self
        }

        fn put(&mut self, batch: &mut Batch) {
            let (bytes, offset) = batch.finish();
            self.start = offset as usize;
            self.file[self.start..self.start + bytes.len()].copy_from_slice(bytes);
            self.end = batch.end();
        }

        fn judged(&self, acknowledged: u64) -> (Verdict, usize) {
            let scan = scan(&self.file, self.header.id, self.header.records_start());
            let judged = judge(&scan, &self.file, &self.header, None, acknowledged);
            (judged.verdict, judged.kept)
        }
    }

    fn draft(kind: Kind, id: LogId) -> Draft {
        Draft { kind, flags: 0, id, commit_hint: Index(60), members_index: Index(0) }
    }

    #[test]
    fn slots_are_counted_from_where_the_segment_begins() {
        assert_eq!(recover_bytes(&Built::new().file), 0);
        assert_eq!(recover_bytes(&Built::new().batch(2).batch(1).file), 3);
        let mut torn = Built::new().batch(1).batch(2);
        let end = torn.end as usize;
        torn.file[end - 512..end].fill(0);
        assert_eq!((torn.judged(0), recover_bytes(&torn.file)), ((Verdict::Cut, 1), 1));
        let mut rotten = Built::new().batch(1).batch(2);
        rotten.file[end - 512] ^= 1;
        assert_eq!((rotten.judged(0).0, recover_bytes(&rotten.file)), (Verdict::Damage, 3));
    }

    /// It costs its slot, and no more: the log ends behind it as it should.
    #[test]
    fn a_bad_payload_in_a_batch_that_is_proven_is_no_bad_end() {
        let mut built = Built::new().batch(1);
        built.file[built.start + 200] ^= 1;
        assert_eq!(built.judged(built.batch), (Verdict::End, 1));
        assert_eq!(built.judged(built.batch - 1), (Verdict::Damage, 0), "and nothing proves this one");
    }

    #[test]
    fn a_batch_behind_a_mark_is_as_good_as_any() {
        assert_eq!(Built::new().batch(1).mark().batch(2).judged(0), (Verdict::End, 4));
        assert_eq!(Built::new().batch(1).mark().judged(0), (Verdict::End, 2));
    }

    /// What is torn off has sectors of zeros, what rots has not: whatever the header is, and wherever it stands in its
    /// sector. The second record is the last of a batch that nothing proves.
    #[test]
    fn torn_batches_are_cut_and_rot_is_damage_by_either_form_of_header() {
        let mut short = [0, 0];
        for version in [segment::VERSION, segment::NEWEST_VERSION] {
            for (before, size) in
                (303..463).step_by(16).flat_map(|before| (0..45).map(move |size| (before, size)))
            {
                let built = Built::of_version(version).batch(1).commands(&[before, size]);
                let found = scan(&built.file, built.header.id, built.header.records_start());
                let last = found.items[2].record().unwrap().header;
                short[usize::from(last.form == Form::Whole)] += 1;
                let what = format!("version {version}, {size} bytes behind {before}");
                for byte in last.offset..last.end() {
                    let mut rotten = built.clone();
                    rotten.file[byte as usize] ^= 4;
                    assert_eq!(rotten.judged(0), (Verdict::Damage, 1), "{what}: byte {byte} of {last:?}");
                }
                let sectors = (built.end as usize - built.start) / 512;
                for lost in 1..(1_usize << sectors) {
                    let mut torn = built.clone();
                    for sector in (0..sectors).filter(|sector| lost >> sector & 1 == 1) {
                        torn.file[built.start + sector * 512..][..512].fill(0);
                    }
                    let expected = if lost == (1 << sectors) - 1 { Verdict::End } else { Verdict::Cut };
                    assert_eq!(torn.judged(0), (expected, 1), "{what}: sectors {lost:b} of {sectors}");
                }
            }
        }
        assert!(short.iter().all(|count| *count > 100), "{short:?}");
    }

    /// A sector is written whole or not at all: one that holds the end of a record holds what follows there, too.
    #[test]
    fn zeros_in_a_sector_that_was_written_are_no_torn_write() {
        let mut built = Built::new().batch(1).batch(2);
        let second = built.start + 800;
        assert_ne!(second % SECTOR_BYTES as usize, 0);
        built.file[second..].fill(0);
        assert_eq!(built.judged(0), (Verdict::Damage, 1));
        built.file[built.start + 512..].fill(0);
        assert_eq!(built.judged(0), (Verdict::Cut, 1));
    }
}
