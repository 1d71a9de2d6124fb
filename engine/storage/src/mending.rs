//! How a checkpoint that nothing here makes up for becomes whole again, with pieces from peers.
//!
//! A log that begins after a checkpoint needs that one, or a later one. Runs are shared between checkpoints, so one
//! rotten block in a large one costs all of them; but another node has the same run, and rot hits no two disks in the
//! same places. So before a node gives its id up for a lost checkpoint, it asks its peers for what it lacks:
//!
//! 1. A manifest is taken from here or, when its own file is damaged, from a peer.
//! 2. Of each run that is not sound, the table of checksums is had in the same way, and says which blocks are.
//! 3. The others are asked for, one stretch after the other, and written where they belong: nobody relies on a file
//!    that was found damaged, before it is whole.
//! 4. A run that hashes to its name gets it; when all have theirs, the manifest does.
//!
//! What was mended stays so, whatever interrupts the rest, and can be lent at once: so nodes that all wait for pieces
//! get on with each other's help. When a piece is nowhere to be had, the next checkpoint is
//! tried: those that have a file here, then those that peers have. Any of them will do that ends in the log or behind
//! it: it is of the committed past, so to begin with it is what a node does that a leader sends a snapshot.

use std::collections::BTreeSet;

use quorate_raft::{Digest, LogId};
use quorate_wire::checkpoint::RunRef;

use crate::checkpoints::{
    BLOCK_BYTES, DIRECTORY, Described, RUN_HEADER_BYTES, RunFile, RunTable, Verification, aside,
    manifest_path, publish, run_path,
};
use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;
use crate::layout::position;
use crate::lending::{Wanted, manifest, manifests, run_files, slot_of};
use crate::reread::settled;

/// So many checkpoints of one peer are looked at: none keeps more of use.
const MOST_OFFERED: usize = 64;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A peer is to be asked for this: [`Mending::take`] its answer, or [`Mending::pass`] when nobody has it.
    Ask(Wanted),
    /// This checkpoint is whole now, and durable.
    Whole(LogId),
    /// No checkpoint is left to try. With others of peers' offered, it goes on.
    Nothing,
}

/// A data dir whose checkpoints are being mended. Nobody else may use it.
#[derive(Debug)]
pub struct Mending<D: Disk> {
    disk: D,
    /// The slot before the log's first.
    base: LogId,
    /// Checkpoints that would do, the best one last.
    candidates: Vec<LogId>,
    tried: BTreeSet<LogId>,
    /// Runs that were read to their ends.
    sound: BTreeSet<RunRef>,
    stage: Stage<D::File>,
    /// What was asked for and not had, with the names of files.
    missing: BTreeSet<String>,
}

#[derive(Debug)]
enum Stage<F> {
    Begin,
    Manifest(LogId),
    Runs { described: Box<Described>, done: usize, run: Option<RunStage<F>> },
}

/// A run in hand.
#[derive(Debug)]
enum RunStage<F> {
    Table(RunRef),
    Blocks(Patching<F>),
}

/// A run's file, and what it lacks.
#[derive(Debug)]
struct Patching<F> {
    table: RunTable,
    path: String,
    file: F,
    missing: BTreeSet<u32>,
}

impl<D: Disk> Mending<D> {
    /// `base` is the slot before the log's first.
    pub fn new(disk: D, base: LogId) -> Mending<D> {
        let mut mending = Mending {
            disk,
            base,
            candidates: Vec::new(),
            tried: BTreeSet::new(),
            sound: BTreeSet::new(),
            stage: Stage::Begin,
            missing: BTreeSet::new(),
        };
        mending.begin();
        mending
    }

    /// Begins again with the checkpoints that have a file here: peers may have by now what they had not before.
    pub fn begin(&mut self) {
        self.stage = Stage::Begin;
        self.tried.clear();
        self.missing.clear();
        self.candidates = manifests(&self.disk);
        self.candidates.retain(|last| would_do(*last, self.base));
        // The newest leaves the least to be applied again.
        self.candidates.reverse();
    }

    /// Takes into account the checkpoints that a peer has: its answer to [`Wanted::List`]. Whether any of them would
    /// do.
    pub fn offer(&mut self, list: &[u8]) -> bool {
        let names = String::from_utf8_lossy(list);
        let mut offered: Vec<LogId> = names.lines().take(MOST_OFFERED).filter_map(slot_of).collect();
        offered.retain(|last| {
            would_do(*last, self.base) && !self.tried.contains(last) && !self.candidates.contains(last)
        });
        offered.sort_unstable();
        // Of those that have a file here, less is missing.
        offered.append(&mut self.candidates);
        self.candidates = offered;
        names.lines().filter_map(slot_of).any(|last| would_do(last, self.base))
    }

    /// What was asked for in vain since the beginning, in words.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.missing.iter().map(String::as_str)
    }

    /// Goes on as far as it can without a peer.
    ///
    /// # Errors
    /// The disk refused an operation.
    pub fn step(&mut self) -> Result<Step, Fatal> {
        loop {
            match &mut self.stage {
                Stage::Begin => {
                    let Some(last) = self.candidates.pop() else { return Ok(Step::Nothing) };
                    self.tried.insert(last);
                    self.stage = match manifest(&self.disk, last) {
                        Some(described) => Stage::Runs { described: Box::new(described), done: 0, run: None },
                        None => Stage::Manifest(last),
                    };
                }
                Stage::Manifest(last) => return Ok(Step::Ask(Wanted::Manifest(*last))),
                Stage::Runs { described, done, run: None } => {
                    let Some(next) = described.manifest.runs.get(*done).copied() else {
                        return self.publish().map(Step::Whole);
                    };
                    if self.sound.contains(&next) || is_sound(&self.disk, &next) {
                        self.sound.insert(next);
                        *done += 1;
                    } else {
                        let table = run_files(&self.disk, Digest(next.digest)).next();
                        self.patch(next, table.map(RunFile::into_table))?;
                    }
                }
                Stage::Runs { run: Some(RunStage::Table(run)), .. } => {
                    return Ok(Step::Ask(Wanted::Table(Digest(run.digest))));
                }
                Stage::Runs { run: Some(RunStage::Blocks(patching)), .. } => {
                    let Some(first) = patching.missing.first().copied() else {
                        self.end_run()?;
                        continue;
                    };
                    return Ok(Step::Ask(Wanted::Blocks { run: Digest(patching.table.run.digest), first }));
                }
            }
        }
    }

    /// Takes a peer's answer to what was asked for last; whether it is of use.
    ///
    /// # Errors
    /// The disk refused an operation.
    pub fn take(&mut self, answer: &[u8]) -> Result<bool, Fatal> {
        match &mut self.stage {
            Stage::Begin => Ok(false),
            Stage::Manifest(last) => {
                let described = Described::decode(answer).filter(|described| described.meta.last == *last);
                let Some(described) = described else { return Ok(false) };
                // Its own name it gets when its runs are here. Until then it is kept, and lent, under this one.
                let path = aside::path(&manifest_path(*last));
                let file = self.disk.create(&path).map_err(Fatal::new("create", &path))?;
                file.write_at(answer, 0).map_err(Fatal::new("write", &path))?;
                file.sync_data().map_err(Fatal::new("sync", &path))?;
                self.stage = Stage::Runs { described: Box::new(described), done: 0, run: None };
                Ok(true)
            }
            Stage::Runs { run: Some(RunStage::Table(run)), .. } => {
                let run = *run;
                let Some(table) = RunTable::decode(answer).filter(|table| table.run == run) else {
                    return Ok(false);
                };
                self.patch(run, Some(table))?;
                Ok(true)
            }
            Stage::Runs { run: Some(RunStage::Blocks(patching)), .. } => patching.take(answer),
            Stage::Runs { run: None, .. } => Ok(false),
        }
    }

    /// Nobody has what was asked for last: on to the next checkpoint.
    pub fn pass(&mut self) {
        let missing = match &self.stage {
            Stage::Manifest(last) => Some(manifest_path(*last)),
            Stage::Runs { run: Some(RunStage::Table(run)), .. } => Some(run_path(run)),
            Stage::Runs { run: Some(RunStage::Blocks(patching)), .. } => {
                patching.missing.first().map(|block| {
                    let offset = RUN_HEADER_BYTES + u64::from(*block) * u64::from(BLOCK_BYTES);
                    format!("{} at byte {offset}", run_path(&patching.table.run))
                })
            }
            Stage::Begin | Stage::Runs { run: None, .. } => None,
        };
        self.missing.extend(missing);
        self.stage = Stage::Begin;
    }

    /// Finds out what a run's file lacks.
    fn patch(&mut self, run: RunRef, table: Option<RunTable>) -> Result<(), Fatal> {
        let stage = match table {
            None => RunStage::Table(run),
            Some(table) => RunStage::Blocks(Patching::begin(&self.disk, run, table)?),
        };
        if let Stage::Runs { run, .. } = &mut self.stage {
            *run = Some(stage);
        }
        Ok(())
    }

    /// The run in hand has all its blocks. It gets its name if it is what that says.
    fn end_run(&mut self) -> Result<(), Fatal> {
        let Stage::Runs { done, run, .. } = &mut self.stage else { return Ok(()) };
        let Some(RunStage::Blocks(patching)) = run.take() else { return Ok(()) };
        *done += 1;
        let Patching { table, path: from, file, .. } = patching;
        file.sync_data().map_err(Fatal::new("sync", &from))?;
        let path = run_path(&table.run);
        let written = RunFile::open_any(&self.disk, &from).filter(|file| *file.run() == table.run);
        if !written.is_some_and(|file| Verification::new(file).verdict()) {
            // Checksums alone prove nothing: the table was a peer's, and wrong. It must not be believed again, here or
            // by those to whom it is lent.
            let nothing = vec![0; position(RUN_HEADER_BYTES)];
            file.write_at(&nothing, 0).map_err(Fatal::new("write", &from))?;
            self.missing.insert(format!("{path}: what was sent does not hash to its name"));
            self.stage = Stage::Begin;
            return Ok(());
        }
        self.sound.insert(table.run);
        if from != path {
            self.disk.rename(&from, &path).map_err(Fatal::new("rename", &from))?;
        }
        self.remove_aside(&path)
    }

    /// All runs are whole: the manifest gets its name, last.
    fn publish(&mut self) -> Result<LogId, Fatal> {
        let Stage::Runs { described, .. } = std::mem::replace(&mut self.stage, Stage::Begin) else {
            unreachable!("only a checkpoint with all its runs is published");
        };
        publish(&self.disk, &described).map_err(|trouble| trouble.into_fatal(DIRECTORY))?;
        self.remove_aside(&manifest_path(described.meta.last))?;
        Ok(described.meta.last)
    }

    fn remove_aside(&self, path: &str) -> Result<(), Fatal> {
        let path = aside::path(path);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Fatal::new("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

impl<F: DiskFile> Patching<F> {
    fn begin<D: Disk<File = F>>(disk: &D, run: RunRef, table: RunTable) -> Result<Patching<F>, Fatal> {
        let (named, put_aside) = (run_path(&run), aside::path(&run_path(&run)));
        let (path, file, other) = match (disk.open(&named), disk.open(&put_aside)) {
            (Ok(file), other) => (named, file, other.ok()),
            (Err(_), Ok(file)) => (put_aside, file, None),
            (Err(_), Err(_)) => {
                let file = disk.create(&put_aside).map_err(Fatal::new("create", &put_aside))?;
                (put_aside, file, None)
            }
        };
        table.write(&file).map_err(Fatal::new("write", &path))?;
        let mut patching = Patching { table, path, file, missing: BTreeSet::new() };
        for block in 0..patching.table.blocks() {
            let read = |file: &F| settled(|| patching.table.read(file, block), Option::is_some);
            if read(&patching.file).is_some() {
                continue;
            }
            match other.as_ref().and_then(read) {
                Some(content) => patching.write(block, &content)?,
                None => drop(patching.missing.insert(block)),
            }
        }
        Ok(patching)
    }

    fn write(&self, block: u32, content: &[u8]) -> Result<(), Fatal> {
        let offset = RUN_HEADER_BYTES + u64::from(block) * u64::from(BLOCK_BYTES);
        self.file.write_at(content, offset).map_err(Fatal::new("write", &self.path))
    }

    /// Takes blocks, beginning with the first that is missing; whether that one was right.
    fn take(&mut self, answer: &[u8]) -> Result<bool, Fatal> {
        let Some(first) = self.missing.first().copied() else { return Ok(false) };
        let mut is_of_use = false;
        for (block, content) in (first..).zip(answer.chunks(BLOCK_BYTES as usize)) {
            if !self.table.proves(block, content) {
                break;
            }
            if self.missing.remove(&block) {
                self.write(block, content)?;
                is_of_use = true;
            }
        }
        Ok(is_of_use)
    }
}

/// Whether a log that begins after `base` can go on from the checkpoint that ends at `last`.
fn would_do(last: LogId, base: LogId) -> bool {
    last.index > base.index || last == base
}

/// Whether a run has a file here that is sound to its last byte.
fn is_sound<D: Disk>(disk: &D, run: &RunRef) -> bool {
    RunFile::open(disk, run).is_some_and(|file| Verification::new(file).verdict())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_from_its_base_or_from_any_slot_behind_it() {
        let base = LogId::new(2, 30);
        let fits = [LogId::new(2, 30), LogId::new(2, 31), LogId::new(3, 31), LogId::new(2, 300)];
        let does_not = [LogId::new(2, 29), LogId::new(1, 30), LogId::new(3, 30), LogId::ZERO];
        assert_eq!(fits.map(|last| would_do(last, base)), [true; 4]);
        assert_eq!(does_not.map(|last| would_do(last, base)), [false; 4]);
    }
}
