//! Rot on top of a crash: one of the two files of term and vote at each I/O of every script, and any sector of what was
//! written last after each of its steps.

use std::ops::Range;

use quorate_raft::{Entry, Found, Index, LogId};
use quorate_storage::{Disk, MemoryDisk, OpenError, Storage};

use crate::common::{Looking, mix, newest_segment, read, trials};
use crate::model::{Model, State, Step};
use crate::workloads::{Workload, open, workloads};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rot {
    Flip,
    Zeros,
    Garbage,
}

const ROTS: [Rot; 3] = [Rot::Flip, Rot::Zeros, Rot::Garbage];
const STABLE: [&str; 2] = ["stable/a", "stable/b"];

impl Rot {
    fn strike(self, disk: &MemoryDisk, path: &str, range: Range<usize>, seed: u64) {
        match self {
            Rot::Flip => {
                let bits = range.len() as u64 * 8;
                disk.flip_bit(path, range.start as u64 * 8 + mix(seed, 1) % bits);
            }
            Rot::Zeros => disk.zero(path, range),
            Rot::Garbage => disk.garbage(path, range, seed),
        }
    }
}

/// Whether a file of term and vote was written as a whole.
fn is_written(disk: &MemoryDisk, path: &str) -> bool {
    disk.content(path).is_some_and(|content| content.len() == 512 && content.starts_with(b"QRTESTAB"))
}

/// One of the two files rots, or goes; the other one is enough, wherever the crash came. Both are too much.
fn rot_term_and_vote(crashed: &MemoryDisk, model: &Model, seed: u64) -> u32 {
    let mut looked_at = 0;
    for (path, other) in [(STABLE[0], STABLE[1]), (STABLE[1], STABLE[0])] {
        for rot in [Some(Rot::Flip), Some(Rot::Zeros), Some(Rot::Garbage), None] {
            let disk = crashed.duplicate();
            let Some(length) = disk.len(path) else { continue };
            match rot {
                Some(_) if length == 0 => continue,
                Some(rot) => rot.strike(&disk, path, 0..usize::try_from(length).unwrap(), seed),
                None => disk.remove(path).unwrap(),
            }
            looked_at += 1;
            match open(&disk) {
                Ok((mut storage, found)) => drop(model.check(&mut storage, &found)),
                Err(OpenError::TermAndVoteLost) => {
                    let nothing_promised = model.promised == 0 && model.now().hard.term.0 <= 1;
                    assert!(!is_written(&disk, other) && nothing_promised, "{rot:?} of {path}");
                }
                Err(error) => panic!("{rot:?} of {path}: {error}"),
            }
        }
    }
    if STABLE.iter().all(|path| is_written(crashed, path)) {
        let disk = crashed.duplicate();
        STABLE.iter().for_each(|path| Rot::Flip.strike(&disk, path, 0..512, seed));
        assert!(matches!(open(&disk), Err(OpenError::TermAndVoteLost)), "a vote is never guessed");
    }
    looked_at
}

#[test]
fn either_file_of_term_and_vote_is_enough_after_any_crash() {
    let mut looked_at = 0;
    for workload in workloads() {
        let disk = workload.disk.duplicate();
        let before = disk.changes();
        workload.run(&disk);
        for cut in 0..=disk.changes() - before {
            let disk = workload.disk.duplicate();
            disk.cut_power_at(before + cut);
            let (model, _) = workload.run(&disk);
            for number in 0..u64::from(trials(2)) {
                let seed = mix(cut, number);
                let crashed = disk.duplicate();
                crashed.crash_keeping(|stake| mix(seed, stake as u64).is_multiple_of(2));
                let looking = Looking(format!("{:?}, crashed at change {cut}, draw {number}", workload.name));
                looked_at += rot_term_and_vote(&crashed, &model, seed);
                drop(looking);
            }
        }
    }
    println!("{looked_at} crashes with one file of term and vote rotten, 0 bad");
}

/// What a step changed in the newest segment, in whole sectors.
fn changed(disk: &MemoryDisk, path: &str, before: Option<Vec<u8>>) -> Vec<Range<usize>> {
    let after = disk.content(path).unwrap();
    let before = before.filter(|before| before.len() == after.len()).unwrap_or(vec![0; after.len()]);
    let sectors = (0..after.len()).step_by(512).map(|start| start..start + 512);
    sectors.filter(|sector| before[sector.clone()] != after[sector.clone()]).collect()
}

/// Checks that nothing is read that was not written, and nothing is missing that is not said to be. `earlier` are the
/// states that a cut may lead back to.
fn check_rotten(storage: &mut Storage<MemoryDisk>, found: &Found, state: &State, earlier: &[State]) {
    let (base, last) = (found.terms.base(), found.terms.last());
    assert_eq!(found.hard, state.hard);
    let (entries, damaged) = read(storage, base.index.0 + 1, last.index.0);
    assert_eq!(damaged, found.damaged);
    let holds = |state: &State, entry: &Entry| state.log.get(&entry.id.index.0) == Some(entry);
    let whole = |state: &&State| {
        let ids = (base.index.0 + 1..=last.index.0).map(|index| state.log.get(&index).map(|entry| entry.id));
        let found_ids = (base.index.0 + 1..=last.index.0).map(|index| found.terms.id(Index(index)));
        state.last() == last && ids.eq(found_ids) && entries.iter().all(|entry| holds(state, entry))
    };
    if found.unknown.is_none() {
        assert!(
            [state].into_iter().chain(earlier).any(|state| whole(&state)),
            "found {found:?}, which is neither all of {:?} to {} nor may be cut",
            state.base,
            state.last()
        );
    } else {
        assert!(found.unknown <= Some(state.last().index.next()), "{:?}", found.unknown);
        let mut candidates = [state].into_iter().chain(earlier);
        assert!(candidates.any(|state| entries.iter().all(|entry| holds(state, entry))));
    }
    let lost = |id: &LogId| found.damaged.contains(id) || entries.iter().any(|entry| entry.id == *id);
    for index in base.index.0 + 1..=last.index.0 {
        assert!(lost(&found.terms.id(Index(index)).unwrap()), "slot {index} is neither there nor damaged");
    }
}

/// Whether this step writes a batch last. No mark follows it: zeros over it cannot be told from a torn one.
fn writes_a_batch(step: &Step) -> bool {
    matches!(step, Step::Append { .. } | Step::Replace { .. } | Step::Truncate { .. } | Step::Repair)
}

fn rot_after_each_step(workload: &Workload) -> u32 {
    let (mut looked_at, mut newest, mut unproven_from) = (0, (String::new(), Vec::new()), None);
    let disk = workload.disk.duplicate();
    let mut model = Model::new(workload.state.clone());
    let (mut storage, _) = open(&disk).unwrap();
    for (number, step) in workload.steps.iter().enumerate() {
        if writes_a_batch(step) {
            unproven_from = Some(model.states.len() - 1);
        } else if !matches!(step, Step::Checkpoint { .. }) {
            // A mark, a vote, or a segment behind it.
            unproven_from = None;
        }
        let contents: Vec<(String, Vec<u8>)> =
            disk.files().into_iter().map(|path| (path.clone(), disk.content(&path).unwrap())).collect();
        model.take(&mut storage, step).unwrap();
        let path = newest_segment(&disk);
        let before = contents.into_iter().find(|(before, _)| *before == path).map(|(_, content)| content);
        let sectors = changed(&disk, &path, before);
        if newest.0 == path && !writes_a_batch(step) {
            newest.1.extend(sectors);
        } else {
            newest = (path, sectors);
        }
        let resting = disk.duplicate();
        resting.crash_keeping(|_| true);
        let (path, sectors) = &newest;
        for (sector, rot) in sectors.iter().flat_map(|sector| ROTS.map(|rot| (sector.clone(), rot))) {
            let rotten = resting.duplicate();
            rot.strike(&rotten, path, sector.clone(), mix(number as u64, sector.start as u64));
            let place = format!("{:?}, after step {number}: {rot:?} of {path} at {sector:?}", workload.name);
            let looking = Looking(place);
            let (mut storage, found) = open(&rotten).expect("no one sector keeps a node from starting");
            let cut_to = unproven_from.filter(|_| rot == Rot::Zeros);
            let earlier = cut_to.map_or(&[][..], |first| &model.states[first..]);
            check_rotten(&mut storage, &found, model.now(), earlier);
            drop(looking);
            looked_at += 1;
        }
    }
    looked_at
}

#[test]
fn rot_in_what_was_written_last_is_never_taken_for_anything_else() {
    let looked_at: u32 = workloads().iter().map(rot_after_each_step).sum();
    println!("{looked_at} rotten sectors, 0 bad");
}
