//! Reading everything at rest, slowly, so that what has gone bad is found while there are others to mend it from.
//!
//! Rot in what nobody reads shows at the worst time: when a second copy is lost and the first is wanted. So the host
//! has storage read on, so many bytes for each [`crate::Job::Tend`], in rounds: the files of term and vote, the headers
//! of the segments, every slot of the log, the checkpoints. Nothing is called bad that was not read twice
//! ([`crate::reread`]).
//!
//! | what | bad | then |
//! |---|---|---|
//! | term and vote | one file, or both | written anew: what they have to hold is in memory |
//! | a segment's header | one of its two copies | written anew from the other |
//! | | both | the host is told; the slots are read without it, but after a restart they would be lost |
//! | a manifest | anything | written anew: what it has to hold is in memory |
//! | a run | a block, or all | the core is told that its checkpoint is lost, and has the state, which is sound, written as a whole |
//! | a slot | header or payload | the core is told, as when somebody had asked for it, and wins it back from a peer |

use std::collections::BTreeSet;

use quorate_raft::{Done, Index, LogId};

use crate::checkpoints::{Checkpoints, Scrub};
use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;
use crate::layout::position;
use crate::log::Log;
use crate::recovery::read_whole;
use crate::reread::settled;
use crate::segment::{self, LogFile, SegmentHeader, SegmentNumber};
use crate::stable::Stable;

/// Both copies of a header whose configuration is not large.
const ORDINARY_BYTES: u64 = 2 * segment::PAGE_BYTES as u64;

/// Something bad that was found at rest, or in what a leader sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A slot's record fails a check. The core hears of it.
    Slot {
        /// The slot.
        id: LogId,
        /// The file.
        path: String,
        /// Where the record begins, in bytes.
        offset: u32,
    },
    /// A copy of a segment's header was bad, and is mended.
    HeaderMended {
        /// The file.
        path: String,
    },
    /// Both copies of a segment's header are bad.
    HeaderLost {
        /// The file.
        path: String,
    },
    /// A manifest was bad, and is mended.
    ManifestMended {
        /// The file.
        path: String,
    },
    /// A run is bad. If the newest checkpoint needs it, the node hears of it, and writes its state anew.
    RunLost {
        /// The file.
        path: String,
        /// From where on it is bad, in bytes.
        offset: u64,
    },
    /// A file of term and vote was bad, and is mended.
    StableMended {
        /// The file.
        path: &'static str,
    },
    /// The leader's checkpoint has content of a version that is not known here: this node can't catch up. Said once for
    /// each version.
    UnknownContent {
        /// The checkpoint.
        last: LogId,
        /// Its version.
        found: u16,
        /// The version that is known.
        known: u16,
    },
}

/// How much was read at rest, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// In bytes.
    pub bytes: u64,
    /// How often everything was read.
    pub rounds: u64,
}

/// What is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Stable,
    /// The header of the first segment from this number on.
    Header(SegmentNumber),
    /// The first slot from this index on.
    Slot(Index),
    Checkpoints,
}

/// Where the reading is.
#[derive(Debug)]
pub(crate) struct Scrubber {
    next: Next,
    /// What may still be read before the host asks again, in bytes.
    allowed_bytes: u64,
    /// Segments whose header was reported lost.
    without_header: BTreeSet<SegmentNumber>,
    pub(crate) scrubbed: Scrubbed,
    pub(crate) findings: Vec<Finding>,
}

impl Scrubber {
    pub(crate) fn new() -> Scrubber {
        Scrubber {
            next: Next::Stable,
            allowed_bytes: 0,
            without_header: BTreeSet::new(),
            scrubbed: Scrubbed::default(),
            findings: Vec::new(),
        }
    }

    /// So much may be read now.
    pub(crate) fn allow(&mut self, bytes: u64) {
        self.allowed_bytes = bytes;
    }

    /// Whether there's something to do in the background.
    pub(crate) fn busy(&self) -> bool {
        self.allowed_bytes > 0
    }

    /// Reads about `slice_bytes`, if so much is allowed; what the host is to hear of.
    pub(crate) fn work<D: Disk>(
        &mut self,
        disk: &D,
        log: &Log<D::File>,
        stable: &mut Stable<D::File>,
        checkpoints: &mut Checkpoints<D::File>,
        slice_bytes: usize,
    ) -> Result<Vec<Done>, Fatal> {
        let mut left = self.allowed_bytes.min(slice_bytes as u64);
        let mut done = Vec::new();
        while left > 0 && self.allowed_bytes > 0 {
            let read = match self.next {
                Next::Stable => self.stable(disk, stable)?,
                Next::Header(from) => self.header(log, from)?,
                Next::Slot(first) => self.slots(log, first, position(left), &mut done),
                Next::Checkpoints => self.checkpoints(disk, checkpoints, &mut done)?,
            };
            self.scrubbed.bytes += read;
            self.allowed_bytes = self.allowed_bytes.saturating_sub(read.max(1));
            left = left.saturating_sub(read.max(1));
        }
        Ok(done)
    }

    fn stable<D: Disk>(&mut self, disk: &D, stable: &mut Stable<D::File>) -> Result<u64, Fatal> {
        let mended = stable.mend(disk)?;
        self.findings.extend(mended.into_iter().map(|path| Finding::StableMended { path }));
        self.next = Next::Header(SegmentNumber(0));
        Ok(crate::stable::BOTH_BYTES)
    }

    fn header<F: DiskFile>(&mut self, log: &Log<F>, from: SegmentNumber) -> Result<u64, Fatal> {
        let Some(segment) = log.segments.iter().find(|segment| segment.number >= from) else {
            self.next = Next::Slot(Index(0));
            return Ok(0);
        };
        self.next = Next::Header(segment.number.next());
        let path = LogFile::Segment(segment.number).path();
        let read = |bytes: u64| {
            let beginning = read_whole(&segment.file, segment.bytes.min(bytes));
            let header = SegmentHeader::decode(&beginning, segment.number);
            header.filter(|header| header.id == segment.id).map(|header| {
                let copies = header.encode();
                let sound = beginning.get(..copies.len()) == Some(&copies[..]);
                (copies, sound)
            })
        };
        let is_sound = |read: &Option<(Vec<u8>, bool)>| read.as_ref().is_some_and(|(_, sound)| *sound);
        // Mostly both copies are that small.
        let read = || {
            Some(read(ORDINARY_BYTES)).filter(is_sound).unwrap_or_else(|| read(SegmentHeader::USUAL_BYTES))
        };
        match settled(read, is_sound) {
            Some((copies, true)) => return Ok(copies.len() as u64),
            Some((copies, false)) => {
                segment.file.write_at(&copies, 0).map_err(Fatal::new("write", &path))?;
                segment.file.sync_data().map_err(Fatal::new("sync", &path))?;
                self.findings.push(Finding::HeaderMended { path });
            }
            None if self.without_header.insert(segment.number) => {
                self.findings.push(Finding::HeaderLost { path });
            }
            None => {}
        }
        Ok(SegmentHeader::USUAL_BYTES)
    }

    fn slots<F: DiskFile>(&mut self, log: &Log<F>, first: Index, bytes: usize, done: &mut Vec<Done>) -> u64 {
        let checked = log.check(first, bytes);
        for (id, place) in checked.damaged {
            let path = LogFile::Segment(place.segment).path();
            self.findings.push(Finding::Slot { id, path, offset: place.offset });
            done.push(Done::Damaged(id));
        }
        self.next = Next::Slot(checked.next);
        if checked.next > log.terms.last().index {
            self.next = Next::Checkpoints;
        }
        checked.bytes
    }

    fn checkpoints<D: Disk>(
        &mut self,
        disk: &D,
        checkpoints: &mut Checkpoints<D::File>,
        done: &mut Vec<Done>,
    ) -> Result<u64, Fatal> {
        match checkpoints.scrub(disk)? {
            Scrub::Sound(bytes) => return Ok(bytes),
            Scrub::ManifestMended(path) => self.findings.push(Finding::ManifestMended { path }),
            Scrub::RunLost { path, offset, lost } => {
                self.findings.push(Finding::RunLost { path, offset });
                done.extend(lost.map(Done::SnapshotLost));
            }
            Scrub::End => {
                // The next round begins when the host asks again: a small node is not read all the time.
                self.next = Next::Stable;
                self.scrubbed.rounds += 1;
                self.allowed_bytes = 0;
            }
        }
        Ok(0)
    }
}
