//! The runs of the last boundary, and how they are merged for the next.

use quorate_raft::LogId;
use quorate_wire::checkpoint::RunRef;

use super::file::Described;
use super::merge::{Merge, Merged};
use super::policy::merge_from;
use super::shelf::Shelf;
use super::{MERGING, Trouble, run};
use crate::disk::{Disk, DiskFile};

/// The runs that the next checkpoint builds on.
pub(super) struct Chain<F> {
    boundary: LogId,
    runs: Vec<RunRef>,
    merging: Merging<F>,
}

/// What the policy wants of the runs.
enum Merging<F> {
    /// Nothing, or it is done: these are the runs for the next boundary.
    Done(Vec<RunRef>),
    /// From this one on they become one.
    Due(usize),
    Running(usize, Merge<F>),
    /// One of the runs can't be read: nothing can be built on these any more.
    Lost,
}

/// What came of a slice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    Lost,
}

impl<F> Default for Chain<F> {
    fn default() -> Self {
        Chain { boundary: LogId::ZERO, runs: Vec::new(), merging: Merging::Done(Vec::new()) }
    }
}

impl<F: DiskFile> Chain<F> {
    /// What goes on from this checkpoint, whose tail is no part of it.
    pub(super) fn of(described: &Described) -> Chain<F> {
        let runs = described.manifest.chain().to_vec();
        let sizes: Vec<u64> = runs.iter().map(|run| run.bytes).collect();
        let merging = merge_from(&sizes).map_or_else(|| Merging::Done(runs.clone()), Merging::Due);
        Chain { boundary: described.boundary(), runs, merging }
    }

    pub(super) fn boundary(&self) -> LogId {
        self.boundary
    }

    /// The runs up to the boundary.
    pub(super) fn runs(&self) -> &[RunRef] {
        &self.runs
    }

    /// What the next boundary adds its run to.
    ///
    /// # Panics
    /// While they are being merged.
    pub(super) fn merged_runs(&self) -> &[RunRef] {
        match &self.merging {
            Merging::Done(runs) => runs,
            _ => panic!("a checkpoint of merged runs before the merge at {} is done", self.boundary),
        }
    }

    /// All runs that must not be removed.
    pub(super) fn names(&self) -> impl Iterator<Item = &RunRef> {
        let merged = match &self.merging {
            Merging::Done(runs) => &runs[..],
            _ => &[],
        };
        self.runs.iter().chain(merged)
    }

    /// Whether there is something to merge.
    pub(super) fn wants_merge(&self) -> bool {
        matches!(self.merging, Merging::Due(_) | Merging::Running(..))
    }

    /// Makes sure that the runs are those of `base`: after a checkpoint of a leader was installed, or the state is
    /// given anew, they are others than before. False when they can't be had.
    pub(super) fn goes_on_from(&mut self, base: LogId, shelf: &Shelf) -> bool {
        if base != self.boundary {
            let found = if base == LogId::ZERO {
                Some(Chain::default())
            } else {
                shelf.with_boundary(base).map(Chain::of)
            };
            let Some(found) = found else { return false };
            *self = found;
        }
        !matches!(self.merging, Merging::Lost)
    }

    /// Gives up what has been merged so far: there is no room for it.
    pub(super) fn forget_merge(&mut self) {
        if let Merging::Running(from, _) = self.merging {
            self.merging = Merging::Due(from);
        }
    }

    /// Merges about so many bytes.
    pub(super) fn merge<D: Disk<File = F>>(&mut self, disk: &D, bytes: usize) -> Result<Step, Trouble> {
        let (from, merge) = match std::mem::replace(&mut self.merging, Merging::Lost) {
            Merging::Due(from) => {
                self.merging = Merging::Due(from);
                (from, Merge::begin(disk, &self.runs[from..], from == 0)?)
            }
            Merging::Running(from, merge) => (from, Some(merge)),
            other => {
                self.merging = other;
                return Ok(Step::Done);
            }
        };
        // Whatever goes wrong with the disk, it is begun again.
        self.merging = Merging::Due(from);
        let (merged, merge) = match merge {
            Some(merge) => merge.go_on(bytes)?,
            None => (Merged::Damaged, None),
        };
        match (merged, merge) {
            (Merged::Run(run), _) => {
                if let Some(run) = &run {
                    disk.rename(MERGING, &run::path(run)).map_err(Trouble::of("rename", MERGING))?;
                }
                self.merging = Merging::Done(self.runs[..from].iter().copied().chain(run).collect());
            }
            (Merged::More, Some(merge)) => self.merging = Merging::Running(from, merge),
            (Merged::More | Merged::Damaged, _) => {
                self.merging = Merging::Lost;
                return Ok(Step::Lost);
            }
        }
        Ok(Step::Done)
    }
}
