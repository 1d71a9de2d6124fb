//! Reading entries back.

use quorate_raft::{Entry, Index, LogId, Payload};
use quorate_wire::entry;

use crate::disk::DiskFile;
use crate::layout::position;
use crate::log::Log;
use crate::places::Place;
use crate::record::{HEADER_BYTES, Header, mask};
use crate::reread::settled;
use crate::segment::SegmentNumber;

/// Entries that were read, and the one that could not be.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) entries: Vec<Entry>,
    pub(crate) damaged: Option<LogId>,
}

/// Entries that were checked, and those that failed.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) next: Index,
    pub(crate) bytes: u64,
    pub(crate) damaged: Vec<(LogId, Place)>,
}

impl<F: DiskFile> Log<F> {
    /// Checks the headers and payloads of the slots from `first` on, about `bytes` of them, but for those that are
    /// known to be damaged.
    pub(crate) fn check(&self, first: Index, bytes: usize) -> Checked {
        let mut window = Window { from_disk: true, ..Window::new(self, bytes) };
        let next = first.max(self.terms.base().index.next());
        let mut checked = Checked { next, bytes: 0, damaged: Vec::new() };
        while checked.bytes < bytes as u64 && checked.next <= self.terms.last().index {
            let index = checked.next;
            checked.next = index.next();
            checked.bytes += u64::from(HEADER_BYTES);
            let (Some(id), Some(place)) = (self.terms.id(index), self.places.at(index)) else { continue };
            if self.damaged.contains(&index) {
                continue;
            }
            match window.payload(id, place) {
                Some((_, weight)) => checked.bytes += weight as u64,
                None => checked.damaged.push((id, place)),
            }
        }
        checked
    }

    /// Reads entries from `first` to `last`, at most `bytes` of payload but at least one entry; nothing when the log
    /// does not hold `first`. Ends before the first damaged one, and names it.
    pub(crate) fn load(&self, first: Index, last: Index, bytes: usize) -> Loaded {
        let mut window = Window::new(self, bytes.min(self.distance(first, last)));
        let mut loaded = Loaded::default();
        let mut total = 0;
        let mut index = first;
        while index <= last && index > self.terms.base().index {
            let (Some(id), Some(place)) = (self.terms.id(index), self.places.at(index)) else { break };
            let Some((payload, weight)) = window.payload(id, place) else {
                loaded.damaged = Some(id);
                break;
            };
            total += weight;
            if total > bytes && !loaded.entries.is_empty() {
                break;
            }
            loaded.entries.push(Entry { id, payload });
            index = index.next();
        }
        loaded
    }

    /// How far apart these slots begin, as far as that can be told from where they are.
    fn distance(&self, first: Index, last: Index) -> usize {
        match (self.places.at(first), self.places.at(last)) {
            (Some(first), Some(last)) if first.segment == last.segment => {
                last.offset.saturating_sub(first.offset) as usize
            }
            _ => usize::MAX,
        }
    }
}

/// A piece of a segment in memory, which moves forward: entries that were written together are read together.
struct Window<'a, F> {
    log: &'a Log<F>,
    segment: SegmentNumber,
    start: u32,
    bytes: Vec<u8>,
    /// How much is read at once.
    size: usize,
    /// What the system holds in memory proves nothing of the disk.
    from_disk: bool,
}

impl<'a, F: DiskFile> Window<'a, F> {
    fn new(log: &'a Log<F>, wanted: usize) -> Self {
        let size = wanted.clamp(4 << 10, 256 << 10);
        Window { log, segment: SegmentNumber(0), start: 0, bytes: Vec::new(), size, from_disk: false }
    }

    /// The payload of this slot and its length in bytes, if every check holds.
    fn payload(&mut self, id: LogId, place: Place) -> Option<(Payload, usize)> {
        let read = || {
            let payload = self.payload_here(id, place);
            if payload.is_none() {
                // What is in memory must not be what is looked at again.
                self.bytes.clear();
            }
            payload
        };
        settled(read, Option::is_some)
    }

    fn payload_here(&mut self, id: LogId, place: Place) -> Option<(Payload, usize)> {
        let segments = &self.log.segments;
        let found = segments.binary_search_by_key(&place.segment, |segment| segment.number).ok()?;
        let segment = segments[found].id;
        let bytes = self.fetch(place, HEADER_BYTES as usize)?;
        let (header, _) = Header::decode(bytes, segment, place.offset)?;
        if header.id != id || !header.kind.is_slot() {
            return None;
        }
        let (start, end) = (header.form.bytes() as usize, (header.end() - place.offset) as usize);
        let payload = self.fetch(place, end)?.get_mut(start..end)?;
        if crc32c::crc32c(payload) != header.payload_checksum {
            return None;
        }
        mask(payload, segment, header.payload_start());
        let decoded = entry::decode_payload(payload).ok();
        // The bytes stay in the window; the next slot may be read from it, this one perhaps again.
        mask(payload, segment, header.payload_start());
        Some((decoded?, header.length as usize))
    }

    /// At least `need` bytes from `place` on, if the segment has them.
    fn fetch(&mut self, place: Place, need: usize) -> Option<&mut [u8]> {
        let inside = |window: &Self| {
            let skip = place.offset.checked_sub(window.start)? as usize;
            (window.segment == place.segment && skip + need <= window.bytes.len()).then_some(skip)
        };
        if let Some(skip) = inside(self) {
            return Some(&mut self.bytes[skip..]);
        }
        let segments = &self.log.segments;
        let found = segments.binary_search_by_key(&place.segment, |segment| segment.number).ok()?;
        let segment = &segments[found];
        let rest = segment.bytes.checked_sub(u64::from(place.offset))?;
        let size = position(rest.min(need.max(self.size) as u64));
        self.bytes.resize(size, 0);
        segment.file.read_nothing_ahead();
        if self.from_disk {
            segment.file.drop_cached(u64::from(place.offset), size as u64);
        }
        let read = segment.file.read_at(&mut self.bytes, u64::from(place.offset));
        // A bad sector further on must not cost the entries before it: then only what is needed is read.
        let read = read.or_else(|_| {
            self.bytes.resize(need.min(size), 0);
            segment.file.read_at(&mut self.bytes, u64::from(place.offset))
        });
        self.bytes.truncate(read.unwrap_or(0));
        (self.segment, self.start) = (place.segment, place.offset);
        (self.bytes.len() >= need).then_some(&mut self.bytes[..])
    }
}
