//! A power cut at every I/O of every script, with every subset of what was not synced, as far as there are not too
//! many; and the same again while the node recovers from one.
//!
//! Each state of the disk that comes out is opened twice, goes on, crashes once more, and must hold at each start what
//! was acknowledged, and nothing that was not written. No plain crash is damage.

use std::collections::{BTreeMap, BTreeSet};

use quorate_raft::Found;
use quorate_storage::MemoryDisk;

use crate::common::{Looking, mix, trials};
use crate::model::{Model, Step};
use crate::workloads::{Workload, open, workloads};

/// What of the things at stake a crash keeps.
#[derive(Clone, Copy, Debug)]
enum Kept {
    /// Those whose bit is set.
    Subset(u64),
    /// All but one.
    AllBut(usize),
    /// Those before it.
    Before(usize),
    /// Each in so many of 256 cases, by a draw.
    Drawn { share: u64, seed: u64 },
}

impl Kept {
    fn keeps(self, number: usize) -> bool {
        match self {
            Kept::Subset(bits) => bits >> number & 1 == 1,
            Kept::AllBut(lost) => number != lost,
            Kept::Before(end) => number < end,
            Kept::Drawn { share, seed } => mix(seed, number as u64) >> 56 < share,
        }
    }

    /// All subsets of so many things if there are no more than `most`, else about so many: none, all, and one lost or
    /// those behind one lost, as far as there's room, and then draws.
    fn choices(at_stake: usize, most: u64, seed: u64) -> Vec<Kept> {
        if at_stake < 63 && 1 << at_stake <= most {
            return (0..1 << at_stake).map(Kept::Subset).collect();
        }
        let spread = (at_stake as u64 * 4).div_ceil(most).max(1);
        let places = (0..at_stake).step_by(usize::try_from(spread).unwrap());
        let mut choices = vec![Kept::Before(0), Kept::Before(at_stake)];
        choices.extend(places.clone().map(Kept::AllBut));
        choices.extend(places.skip(1).map(Kept::Before));
        let shares = [128, 24, 232].into_iter().cycle();
        let draws = (choices.len() as u64..most).zip(shares);
        choices.extend(draws.map(|(number, share)| Kept::Drawn { share, seed: mix(seed, number) }));
        choices
    }
}

/// Where a crash came.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "it is printed")]
struct Place {
    workload: &'static str,
    round: u64,
    cut: u64,
    recovery: Option<(First, u64)>,
    kept: Kept,
}

/// What ended the life before the one in which the node recovers.
#[derive(Clone, Copy, Debug)]
enum First {
    PowerCut(Kept),
    /// The process died, and what was pending still is.
    Kill,
}

/// All that was seen.
#[derive(Default)]
struct Tally {
    /// The disks that were looked at, by what is on them.
    distinct: BTreeSet<u64>,
    /// The same with what had to be found there: this is looked at once.
    seen: BTreeSet<(u64, usize)>,
    of_workload: BTreeMap<&'static str, (u64, usize)>,
}

impl Tally {
    /// Crashes a copy of `disk`, on which `model` was at work, and looks at what is left, if that is new.
    fn crash(&mut self, disk: &MemoryDisk, model: &Model, place: Place) {
        let disk = disk.duplicate();
        disk.crash_keeping(|number| place.kept.keeps(number));
        let fingerprint = disk.fingerprint();
        self.distinct.insert(fingerprint);
        if self.seen.insert((fingerprint, model.promised)) {
            let looking = Looking(place);
            survive(&disk, model, fingerprint);
            drop(looking);
        }
    }
}

/// Everything but the hint of what is committed, of which a start may learn a little more.
fn same(one: &Found, other: &Found) -> bool {
    Found { commit_hint: other.commit_hint, ..one.clone() } == *other
}

/// The node starts, starts once more, goes on, and crashes; and each time all is there.
fn survive(disk: &MemoryDisk, model: &Model, seed: u64) {
    let (mut storage, first) = open(disk).expect("a crash does not keep a node from starting");
    let state = model.check(&mut storage, &first);
    drop(storage);
    let (mut storage, second) = open(disk).expect("what started once starts again");
    assert!(same(&first, &second), "found {first:?}, and the next time {second:?}");
    let mut model = Model::new(state);
    for step in [Step::Append { sizes: vec![30, 1300] }, Step::Vote, Step::Append { sizes: vec![600] }] {
        model.take(&mut storage, &step).unwrap();
    }
    drop(storage);
    disk.crash(seed);
    let (mut storage, found) = open(disk).expect("a crash does not keep a node from starting");
    model.check(&mut storage, &found);
}

/// How many changes the script makes, the start included.
fn changes(workload: &Workload) -> u64 {
    let disk = workload.disk.duplicate();
    let before = disk.changes();
    workload.run(&disk);
    disk.changes() - before
}

/// A disk on which the power went at `cut`, and what was done there.
fn cut(workload: &Workload, cut: u64) -> (MemoryDisk, Model) {
    let disk = workload.disk.duplicate();
    disk.cut_power_at(disk.changes() + cut);
    let (model, _) = workload.run(&disk);
    (disk, model)
}

/// The first crash was at `place`, the second is at each I/O of the start that follows.
fn crash_in_recovery(
    tally: &mut Tally,
    (disk, model): &(MemoryDisk, Model),
    first: First,
    place: &Place,
    most: u64,
) {
    let crashed = disk.duplicate();
    crashed.cut_power_at(u64::MAX);
    if let First::PowerCut(kept) = first {
        crashed.crash_keeping(|number| kept.keeps(number));
    }
    let before = crashed.changes();
    let whole = crashed.duplicate();
    open(&whole).expect("a crash does not keep a node from starting");
    for again in 0..=whole.changes() - before {
        let disk = crashed.duplicate();
        disk.cut_power_at(before + again);
        let _ = open(&disk);
        for kept in Kept::choices(disk.at_stake(), most, mix(place.cut, again)) {
            tally.crash(&disk, model, Place { recovery: Some((first, again)), kept, ..*place });
        }
    }
}

/// Every cut of one script.
fn enumerate(tally: &mut Tally, workload: &Workload, round: u64, [most, most_in_recovery]: [u64; 2]) {
    let before = tally.distinct.len();
    let total = changes(workload);
    for at in 0..=total {
        let seed = mix(round, at);
        let ended = cut(workload, at);
        let (disk, model) = &ended;
        let choices = Kept::choices(disk.at_stake(), most, seed);
        for kept in &choices {
            let place = Place { workload: workload.name, round, cut: at, recovery: None, kept: *kept };
            tally.crash(disk, model, place);
        }
        let kept = choices[usize::try_from(seed % choices.len() as u64).unwrap()];
        for first in [First::PowerCut(kept), First::Kill] {
            let place = Place { workload: workload.name, round, cut: at, recovery: None, kept };
            crash_in_recovery(tally, &ended, first, &place, most_in_recovery);
        }
    }
    let (cuts, states) = tally.of_workload.entry(workload.name).or_default();
    *cuts += total + 1;
    *states += tally.distinct.len() - before;
}

#[test]
fn no_crash_at_any_operation_loses_anything() {
    let factor = u64::from(trials(1));
    let mut tally = Tally::default();
    for round in 0..3 * factor {
        for workload in workloads() {
            enumerate(&mut tally, &workload.of_round(round), round, [700 * factor, 5 * factor]);
        }
    }
    for (name, (cuts, states)) in &tally.of_workload {
        println!("{states:>7} at {cuts:>4} places: {name}");
    }
    let least = if factor < 3 { 15_000 } else { 100_000 };
    assert!(tally.distinct.len() >= least, "{} states, and {least} were expected", tally.distinct.len());
    println!("{} distinct crash states, 0 bad", tally.distinct.len());
}
