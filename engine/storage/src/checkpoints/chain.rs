//! The runs of the last boundary, and how they are merged for later ones.

use std::io;

use quorate_raft::LogId;
use quorate_wire::checkpoint::RunRef;

use super::file::Described;
use super::merge::{Merge, Merged};
use super::policy::{Planned, plan};
use super::shelf::Shelf;
use super::{DIRECTORY, Trouble, run};
use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;

/// The runs that the next checkpoint builds on.
pub(super) struct Chain<F> {
    boundary: LogId,
    runs: Vec<RunRef>,
    /// What the policy wants of them, the oldest first.
    merges: Vec<Pending<F>>,
    /// One of the runs can't be read: nothing can be built on these any more.
    is_lost: bool,
}

/// A merge, from when it is planned until the manifest names what came of it.
struct Pending<F> {
    planned: Planned,
    inputs: Vec<RunRef>,
    /// Tells its temporary file from those of the others.
    number: usize,
    /// What newer runs held when it was seen first, in bytes: it has the rest of its time from then on.
    since_bytes: u64,
    progress: Progress<F>,
}

enum Progress<F> {
    None,
    Running(Merge<F>),
    /// Nothing, when no row was left.
    Done(Option<RunRef>),
}

/// What came of a slice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    Lost,
}

impl<F> Default for Chain<F> {
    fn default() -> Self {
        Chain { boundary: LogId::ZERO, runs: Vec::new(), merges: Vec::new(), is_lost: false }
    }
}

impl<F: DiskFile> Chain<F> {
    /// What goes on from this checkpoint, whose tail is no part of it.
    pub(super) fn of(described: &Described) -> Chain<F> {
        let runs = described.manifest.chain().to_vec();
        let sizes: Vec<u64> = runs.iter().map(|run| run.bytes).collect();
        let pending = |(number, planned): (usize, Planned)| Pending {
            inputs: runs[planned.runs.clone()].to_vec(),
            number,
            since_bytes: planned.newer_bytes,
            progress: Progress::None,
            planned,
        };
        let merges = plan(&sizes).into_iter().enumerate().map(pending).collect();
        Chain { boundary: described.boundary(), runs, merges, is_lost: false }
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
    /// While a merge that is due is not done.
    pub(super) fn merged_runs(&self) -> Vec<RunRef> {
        let mut runs = self.runs.clone();
        for merge in self.merges.iter().rev().filter(|merge| merge.planned.is_due()) {
            let Progress::Done(merged) = &merge.progress else {
                panic!("a checkpoint of merged runs before the merge at {} is done", self.boundary)
            };
            runs.splice(merge.planned.runs.clone(), *merged);
        }
        runs
    }

    /// All runs that must not be removed.
    pub(super) fn names(&self) -> impl Iterator<Item = &RunRef> {
        self.runs.iter().chain(self.merges.iter().filter_map(Pending::merged))
    }

    /// Whether there is something to merge by now.
    pub(super) fn wants_merge(&self) -> bool {
        self.next_merge().is_some()
    }

    /// Whether a merge is not done that the next boundary names.
    pub(super) fn owes_merge(&self) -> bool {
        !self.is_lost && self.merges.iter().any(Pending::is_overdue)
    }

    /// Makes sure that the runs are those of `base`: after a checkpoint of a leader was installed, or the state is
    /// given anew, they are others than before. False when they can't be had.
    pub(super) fn goes_on_from<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        base: LogId,
        shelf: &Shelf,
    ) -> Result<bool, Fatal> {
        if base != self.boundary {
            let found = if base == LogId::ZERO {
                Some(Chain::default())
            } else {
                shelf.with_boundary(base).map(Chain::of)
            };
            let Some(found) = found else { return Ok(false) };
            self.replace(disk, found)?;
        }
        Ok(!self.is_lost)
    }

    /// Goes on from others than before.
    pub(super) fn replace<D: Disk<File = F>>(&mut self, disk: &D, other: Chain<F>) -> Result<(), Fatal> {
        self.forget_merges(disk)?;
        *self = other;
        Ok(())
    }

    /// Goes on from the boundary that was built on this one: merges that it does not name yet go on with it.
    pub(super) fn advance<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        described: &Described,
    ) -> Result<(), Fatal> {
        let mut next = Chain::of(described);
        let mut before = std::mem::take(&mut self.merges);
        // With the oldest run or without it is not the same.
        let key = |merge: &Pending<F>| (merge.planned.runs.start == 0, merge.inputs.clone());
        for merge in &mut next.merges {
            let known = before.iter().position(|it| key(it) == key(merge));
            if let Some(known) = known.map(|at| before.swap_remove(at)) {
                *merge = Pending { planned: merge.planned.clone(), ..known };
            }
        }
        // The names of the new ones must not be taken.
        let (kept, new): (Vec<_>, Vec<_>) =
            next.merges.iter_mut().partition(|merge| !matches!(merge.progress, Progress::None));
        let mut taken: Vec<usize> = kept.iter().map(|merge| merge.number).collect();
        for merge in new {
            merge.number = (0..).find(|number| !taken.contains(number)).unwrap_or_default();
            taken.push(merge.number);
        }
        self.merges = before;
        self.replace(disk, next)
    }

    /// Gives up what has been merged so far: there is no room for it.
    pub(super) fn forget_merges<D: Disk<File = F>>(&mut self, disk: &D) -> Result<(), Fatal> {
        for merge in &mut self.merges {
            if !matches!(merge.progress, Progress::Done(_)) {
                merge.progress = Progress::None;
                merge.since_bytes = merge.planned.newer_bytes;
                let path = merge.path();
                match disk.discard(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(Fatal::new("remove", path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Those that are due come first, and small ones before large ones: there is less time for them.
    fn next_merge(&self) -> Option<usize> {
        let overdue = self.merges.iter().rposition(Pending::is_overdue);
        let next = overdue.or_else(|| self.merges.iter().rposition(Pending::is_behind));
        next.filter(|_| !self.is_lost)
    }

    /// Merges about so many bytes, if there is something to merge by now.
    pub(super) fn merge<D: Disk<File = F>>(&mut self, disk: &D, bytes: usize) -> Result<Step, Trouble> {
        let Some(number) = self.next_merge() else { return Ok(Step::Done) };
        let merge = &mut self.merges[number];
        let path = merge.path();
        // Whatever goes wrong with the disk, it is begun again.
        let running = match std::mem::replace(&mut merge.progress, Progress::None) {
            Progress::Running(running) => Some(running),
            _ => Merge::begin(disk, &merge.inputs, merge.planned.runs.start == 0, &path)?,
        };
        let (merged, running) = match running {
            Some(running) => running.go_on(bytes, &path)?,
            None => (Merged::Damaged, None),
        };
        match (merged, running) {
            (Merged::Run(run), _) => {
                if let Some(run) = &run {
                    disk.rename(&path, &run::path(run)).map_err(Trouble::of("rename", &path))?;
                }
                merge.progress = Progress::Done(run);
            }
            (Merged::More, Some(running)) => merge.progress = Progress::Running(running),
            (Merged::More | Merged::Damaged, _) => {
                self.is_lost = true;
                return Ok(Step::Lost);
            }
        }
        Ok(Step::Done)
    }
}

impl<F: DiskFile> Pending<F> {
    fn path(&self) -> String {
        format!("{DIRECTORY}/merging-{}.tmp", self.number)
    }

    fn merged(&self) -> Option<&RunRef> {
        match &self.progress {
            Progress::Done(merged) => merged.as_ref(),
            Progress::None | Progress::Running(_) => None,
        }
    }

    fn is_overdue(&self) -> bool {
        self.planned.is_due() && !matches!(self.progress, Progress::Done(_))
    }

    /// Whether less of it is done than should be.
    fn is_behind(&self) -> bool {
        let owed_bytes = self.planned.owed_bytes(self.since_bytes);
        match &self.progress {
            Progress::None => owed_bytes > 0,
            Progress::Running(merge) => merge.taken_bytes() < owed_bytes,
            Progress::Done(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::checkpoint::{Boundary, Manifest, RowHead};

    use super::*;
    use crate::checkpoints::run::{HEADER_BYTES, RunFileWriter};
    use crate::memory_disk::{MemoryDisk, MemoryFile, Operation};

    const ROW_BYTES: usize = 100;
    const MERGING: &str = "snaps/merging-0.tmp";

    /// A run of so many rows, whose keys begin at `first`.
    fn put(disk: &MemoryDisk, first: u8, rows: u8) -> RunRef {
        let mut writer = RunFileWriter::new(disk.create("snaps/new.tmp").unwrap());
        for key in first..first + rows {
            let head = RowHead { table: 1, is_tombstone: false, key_bytes: 1, body_bytes: 89 };
            let row = [&head.encode()[..], &[key; 90]].concat();
            assert_eq!(row.len(), ROW_BYTES);
            writer.write(&row).unwrap();
        }
        let run = writer.finish().unwrap();
        disk.rename("snaps/new.tmp", &run::path(&run)).unwrap();
        run
    }

    fn described(index: u64, runs: &[RunRef]) -> Described {
        let boundary = Boundary { term: 1, index, command_bytes: 0 };
        let manifest = Manifest { boundary, runs: runs.to_vec(), ..Manifest::default() };
        Described::new(LogId::new(1, index), Default::default(), LogId::ZERO, manifest)
    }

    /// Two runs that are to become one, and a third behind them: of 50 rows 16 should be merged by now.
    fn behind() -> (MemoryDisk, Chain<MemoryFile>) {
        let disk = MemoryDisk::new();
        disk.create_dir(DIRECTORY).unwrap();
        let mut runs = vec![put(&disk, 0, 40), put(&disk, 50, 10)];
        let mut chain = Chain::of(&described(1, &runs));
        assert!(!chain.wants_merge(), "it has time: nothing has come in behind it");
        runs.push(put(&disk, 100, 2));
        chain.advance(&disk, &described(2, &runs)).unwrap();
        (disk, chain)
    }

    /// Of what is being merged.
    fn merged_bytes(disk: &MemoryDisk) -> Option<u64> {
        disk.len(MERGING).map(|bytes| bytes - HEADER_BYTES)
    }

    #[test]
    fn as_much_is_merged_as_has_come_in_behind_it_and_no_more() {
        let (disk, mut chain) = behind();
        for merged in [800, 1600] {
            assert!(chain.wants_merge() && !chain.owes_merge(), "before {merged}");
            assert!(chain.merge(&disk, 800).unwrap() == Step::Done);
            assert_eq!(merged_bytes(&disk), Some(merged));
        }
        assert!(!chain.wants_merge());
        assert!(chain.merge(&disk, 800).unwrap() == Step::Done);
        assert_eq!(merged_bytes(&disk), Some(1600), "there is nothing to do");
    }

    /// With more behind it all of it is due, and is done in the end.
    #[test]
    fn a_merge_that_is_due_is_done_to_its_end() {
        let (disk, mut chain) = behind();
        chain.merge(&disk, 800).unwrap();
        let mut runs = chain.runs().to_vec();
        runs.push(put(&disk, 110, 5));
        chain.advance(&disk, &described(3, &runs)).unwrap();
        assert_eq!(merged_bytes(&disk), Some(800), "it goes on");
        while chain.owes_merge() {
            assert!(chain.merge(&disk, 800).unwrap() == Step::Done);
        }
        assert!(!chain.wants_merge());
        let merged = chain.merged_runs();
        assert_eq!((merged.len(), merged[0].bytes, &merged[1..]), (3, 5000, &runs[2..]));
        assert_eq!(merged_bytes(&disk), None);
        // What is done is not given up with the others.
        chain.forget_merges(&disk).unwrap();
        assert_eq!(chain.merged_runs(), merged);
    }

    #[test]
    fn a_merge_that_is_given_up_leaves_nothing_behind_and_has_its_time_again() {
        let (disk, mut chain) = behind();
        chain.merge(&disk, 800).unwrap();
        chain.forget_merges(&disk).unwrap();
        assert_eq!(merged_bytes(&disk), None);
        assert!(!chain.wants_merge());
        chain.forget_merges(&disk).unwrap();
    }

    #[test]
    fn a_merge_that_can_not_be_removed_is_an_error() {
        let (disk, mut chain) = behind();
        chain.merge(&disk, 800).unwrap();
        disk.fail_below(MERGING, Operation::Name, 0);
        assert!(chain.forget_merges(&disk).is_err());
    }
}
