//! How much room the log has, and what would fit into it.
//!
//! The log writes into blocks that exist (see [`crate::spares`]), so what fits is known before anything is written: the
//! rest of the last segment, and the spares. A write for which there is no room is not begun. It waits, and all behind
//! it, until there is some.

use std::collections::VecDeque;

use quorate_raft::{Index, Members, Payload, Room, Write};

use crate::batch::entry_bytes;
use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;
use crate::layout::round_up;
use crate::log::{Log, in_force, needed_bytes};
use crate::record::{SECTOR_BYTES, record_bytes};
use crate::segment::{copy_bytes, least_version};

/// So many spares stay ready while there is space to make others: what is on its way to the log when the disk turns
/// out to be full needs them.
const KEPT_READY: usize = 2;

impl<F: DiskFile> Log<F> {
    /// What is left when no more segments can be made.
    pub(crate) fn room(&self, is_reserved: bool) -> Room {
        let segment = self.segments.back().expect("a log has at least one segment");
        let (position, (_, members)) = (&self.position, self.config());
        let headers = 2 * copy_bytes(members) + SECTOR_BYTES;
        let rest = segment.bytes.saturating_sub(u64::from(position.offset + SECTOR_BYTES));
        Room {
            rest_bytes: if position.closed { 0 } else { rest },
            segment_bytes: u64::from(self.options.segment_bytes.saturating_sub(headers)),
            spare_segments: u32::try_from(self.spares.ready()).unwrap_or(u32::MAX),
            newest_segment: segment.number.0,
            is_reserved,
        }
    }

    /// How many bytes the segments have that hold more than what a checkpoint up to `last` covers.
    pub(crate) fn bytes_above(&self, last: Index) -> u64 {
        let ends = self.segments.iter().skip(1).map(|next| next.last_before.index).chain([Index(u64::MAX)]);
        let above = self.segments.iter().zip(ends).filter(|(_, end)| *end > last);
        above.map(|(segment, _)| segment.bytes).sum()
    }

    /// Makes room for as many of these writes as there is space for, and says for how many.
    pub(crate) fn make_room<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        writes: &VecDeque<Write>,
    ) -> Result<usize, Fatal> {
        let Log { segments, members, base_members, position, spares, .. } = self;
        let segment = segments.back().expect("a log has at least one segment");
        let mut forecast = Forecast {
            offset: position.offset,
            bytes: segment.bytes,
            closed: position.closed,
            version: self.version,
            members: &in_force(members, base_members).1,
            segment_bytes: self.options.segment_bytes,
            segments: 0,
            large: Vec::new(),
        };
        for (at, write) in writes.iter().enumerate() {
            forecast.large.clear();
            forecast.write(write);
            if forecast.segments > 0 {
                // Not needed yet. When the disk turns out to be full here, that is early enough.
                let kept = KEPT_READY.min(self.options.spare_segments.saturating_sub(1));
                spares.provide(disk, forecast.segments + kept)?;
            }
            if spares.ready() < forecast.segments {
                return Ok(at);
            }
            for bytes in &forecast.large {
                if !spares.provide_large(disk, *bytes)? {
                    return Ok(at);
                }
            }
        }
        Ok(writes.len())
    }
}

/// Where the log would end.
///
/// It mirrors [`Log::append`] and its kin, but for each record it counts whole sectors: records are placed in the order
/// they come, and larger ones never end earlier.
struct Forecast<'a> {
    /// Where the next record would begin, in a segment of so many bytes.
    offset: u32,
    bytes: u64,
    closed: bool,
    /// The version that segments are begun with.
    version: u32,
    /// What a new segment's header says.
    members: &'a Members,
    segment_bytes: u32,
    /// How many usual segments were begun.
    segments: usize,
    /// The sizes of others that were begun, in bytes.
    large: Vec<u32>,
}

impl<'a> Forecast<'a> {
    fn write(&mut self, write: &'a Write) {
        if let Some(meta) = &write.install {
            self.members = &meta.members;
            self.version = self.version.max(least_version(&meta.members));
            self.begin_segment(0);
        }
        let replaced = write.append.first().map(|entry| entry.id.index);
        if write.truncate_from.is_some() && write.truncate_from != replaced {
            self.record(record_bytes(0));
        }
        for entry in &write.append {
            if let Payload::Members(members) = &entry.payload
                && self.version < least_version(members)
            {
                self.version = least_version(members);
                self.begin_segment(entry_bytes(entry));
            }
            self.record(entry_bytes(entry));
            if let Payload::Members(members) = &entry.payload {
                self.members = members;
                self.begin_segment(0);
            }
        }
        for entry in &write.repair {
            self.record(entry_bytes(entry));
        }
    }

    fn record(&mut self, record: u32) {
        let fits = u64::from(self.offset) + u64::from(record + SECTOR_BYTES) <= self.bytes;
        if !fits || self.closed {
            self.begin_segment(record);
        }
        self.offset += round_up(record, SECTOR_BYTES);
    }

    fn begin_segment(&mut self, record: u32) {
        let start = 2 * copy_bytes(self.members);
        let bytes = self.segment_bytes.max(needed_bytes(start, record));
        if bytes == self.segment_bytes {
            self.segments += 1;
        } else {
            self.large.push(bytes);
        }
        (self.offset, self.bytes, self.closed) = (start, u64::from(bytes), false);
    }
}
