//! A term in place of one that is lost, for a node that goes on alone.
//!
//! A node whose files of term and vote are both bad may have voted in any term, and acknowledged more than its log
//! shows. Among its peers it must never go on as the one it was. When what it holds begins another history there is
//! nobody left whom that could harm (`docs/PROTOCOL.md`, "Going on alone"), and it needs a term again: one above every
//! term that can be read here, in which nobody has its vote.

use quorate_raft::{HardState, Term};

use crate::checkpoints::{self, Checkpoints, aside, slot_in_name};
use crate::disk::Disk;
use crate::error::{Fatal, OpenError};
use crate::options::Options;
use crate::recovery::{list, recover};
use crate::segment::{self, LogFile};
use crate::stable::{self, Stable, StableState, StableValue};
use crate::versions::refuse_other_versions;

/// Writes term and vote anew when both files are damaged or missing beside a log: the term is above all in the log and
/// in the names of checkpoints, the vote is nobody's. Says which term; nothing when there was nothing to do. A crash
/// leaves what was lost, or what is new.
///
/// Only for a disk of which no peer of the old history will ever hear again: a vote may be given twice otherwise.
///
/// # Errors
/// [`OpenError`]: there is no log to tell the term by either, or the system refused an operation, which says nothing of
/// what is lost.
pub fn write_term_anew<D: Disk>(disk: &D) -> Result<Option<Term>, OpenError> {
    refuse_other_versions(disk)?;
    for directory in [segment::DIRECTORY, stable::DIRECTORY, checkpoints::DIRECTORY] {
        disk.create_dir(directory).map_err(Fatal::new("create", directory))?;
    }
    let files = list(disk)?;
    let has_log = files.iter().any(|file| matches!(file, LogFile::Segment(_)));
    match stable::read(disk)? {
        StableState::Value(..) => return Ok(None),
        // Nothing was ever begun here.
        StableState::Empty if !has_log => return Ok(None),
        StableState::Empty | StableState::Lost => {}
    }
    // Also of those that are damaged: each ends at a slot that this node had applied.
    let names = disk.list(checkpoints::DIRECTORY).map_err(Fatal::new("list", checkpoints::DIRECTORY))?;
    let slots =
        names.iter().filter_map(|name| slot_in_name(name.strip_suffix(aside::SUFFIX).unwrap_or(name)));
    let in_names = slots.map(|slot| slot.term).max();
    // The options decide nothing of what is found.
    let checkpoints = Checkpoints::open(disk, &Options::new(0))?;
    // How far the log had been acknowledged is lost with the term. So its end is where it seems to be.
    let recovered = recover(disk, &files, checkpoints.newest(), 0)?;
    let in_log = recovered.replay.terms.last().term;
    let term = in_names.map_or(in_log, |term| term.max(in_log)).next();
    let value = StableValue { sequence: 1, hard: HardState { term, vote: None }, ..StableValue::default() };
    // In place of what is bad, not over it: where a sector can't be read, part of a page can't be written either.
    for path in stable::PATHS {
        disk.create(path).map_err(Fatal::new("create", path))?;
    }
    // Each file gets all of it in one sector, one after the other: there is never one that says less.
    Stable::open(disk, value, [false; 2])?;
    Ok(Some(term))
}
