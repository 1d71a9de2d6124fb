//! What a data dir holds, file by file, and whether every checksum in it fits. Nothing is changed.
//!
//! Recovery asks what the log *is*, and needs no more than one good copy of anything; a survey asks what is *wrong*,
//! also where another copy serves. It goes through the same records by the same code: what recovery would cut as torn,
//! or what an earlier one gave up, is no fault.
//!
//! | file | what it holds |
//! |---|---|
//! | `segments` | the log: both copies of each header, records, padding, links |
//! | `others` | term and vote, checkpoints |

mod others;
mod segments;

use std::collections::BTreeSet;

use quorate_raft::{Found, HardState, Index, LogId};

use crate::checkpoints;
use crate::disk::{Disk, DiskFile};
use crate::error::{Fatal, OpenError};
use crate::options::Options;
use crate::overlay::Overlay;
use crate::segment::LogFile;
use crate::stable::{self, StableState};
use crate::storage::Storage;
use crate::versions::refuse_other_versions;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, relative to the data dir.
    pub file: String,
    /// From the start of the file, in bytes.
    pub offset: u64,
    /// The slot of the log that it is about, when that is known.
    pub index: Option<Index>,
    /// What is wrong.
    pub reason: String,
}

/// One of the two files of term and vote, when it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StableSight {
    /// One more at each write.
    pub sequence: u64,
    /// Term and vote.
    pub hard: HardState,
    /// The last slot that was durable in the log then.
    pub acknowledged: LogId,
    /// The number of the last batch that was durable then.
    pub acknowledged_batch: u64,
}

/// A segment of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSight {
    /// The file, relative to the data dir.
    pub file: String,
    /// Its length, in bytes.
    pub bytes: u64,
    /// How many of these bytes are records and their padding.
    pub used_bytes: u64,
    /// Whether the log leads to it. One that it does not was given up, or is left of a compaction.
    pub is_linked: bool,
    /// How many records with a whole header it has.
    pub records: usize,
    /// The numbers of its first batch and its last.
    pub batches: Option<(u64, u64)>,
    /// The lowest slot and the highest that it has a record of.
    pub slots: Option<(Index, Index)>,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSight {
    /// The file, relative to the data dir.
    pub file: String,
    /// Its length, in bytes.
    pub bytes: u64,
    /// The last slot that it covers, when its header is whole.
    pub last: Option<LogId>,
}

/// What a node would find that was started here.
pub type FoundLog = Result<Found, OpenError>;

/// All that a survey shows.
#[derive(Debug)]
pub struct Surveyed {
    /// The two files of term and vote.
    pub stable: [Option<StableSight>; 2],
    /// The segments, oldest first.
    pub segments: Vec<SegmentSight>,
    /// How many segments of zeros are ready.
    pub spares: usize,
    /// The checkpoints, oldest first.
    pub checkpoints: Vec<CheckpointSight>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// A look through everything on a disk. The host shows how far it is.
pub struct Survey<'a, D: Disk> {
    disk: &'a D,
    progress: &'a mut dyn FnMut(u64),
    surveyed: Surveyed,
}

impl<'a, D: Disk> Survey<'a, D> {
    /// How many bytes a survey will read, as far as can be told before.
    ///
    /// # Errors
    /// [`Fatal`]: a directory can't be listed.
    pub fn bytes(disk: &D) -> Result<u64, Fatal> {
        let length = |path: &str| disk.open(path).and_then(|file| file.len()).unwrap_or(0);
        let segments = segments::files(disk)?.into_iter().filter(|file| matches!(file, LogFile::Segment(_)));
        let mut bytes: u64 = segments.map(|file| length(&file.path())).sum();
        bytes += stable::PATHS.iter().map(|path| length(path)).sum::<u64>();
        for name in others::checkpoints(disk)? {
            bytes += length(&format!("{}/{name}", checkpoints::DIRECTORY));
        }
        Ok(bytes)
    }

    /// Looks through everything. `progress` is told of bytes that were checked since it was told last.
    ///
    /// # Errors
    /// [`OpenError::UnknownVersion`]; [`OpenError::Disk`] when a directory can't be listed. A file that can't be read
    /// is a fault.
    pub fn take(disk: &'a D, progress: &'a mut dyn FnMut(u64)) -> Result<Surveyed, OpenError> {
        refuse_other_versions(disk)?;
        let surveyed = Surveyed {
            stable: [None; 2],
            segments: Vec::new(),
            spares: 0,
            checkpoints: Vec::new(),
            faults: Vec::new(),
        };
        let mut survey = Survey { disk, progress, surveyed };
        survey.stable();
        survey.segments()?;
        survey.checkpoints()?;
        Ok(survey.surveyed)
    }

    fn fault(&mut self, file: &str, offset: u64, index: Option<Index>, reason: impl Into<String>) {
        self.surveyed.faults.push(Fault { file: file.to_owned(), offset, index, reason: reason.into() });
    }

    /// The batch that term and vote name as durable, and the log's last slot then.
    fn acknowledged(&self) -> (u64, LogId) {
        match stable::read(self.disk) {
            Ok(StableState::Value(value, _)) => (value.acknowledged_batch, value.acknowledged),
            // What can't be read is a fault that was found before.
            Ok(StableState::Empty | StableState::Lost) | Err(_) => (0, LogId::ZERO),
        }
    }
}

impl Surveyed {
    /// What a node would find that was started on `disk`, by the very code that it would run.
    pub fn found<D: Disk>(disk: D) -> FoundLog {
        // The seed is for segments that only the overlay will have.
        Storage::open(Overlay::new(disk), Options::new(0)).map(|(_, found)| found)
    }

    /// The files with a fault.
    pub fn faulty_files(&self) -> BTreeSet<&str> {
        self.faults.iter().map(|fault| fault.file.as_str()).collect()
    }
}
