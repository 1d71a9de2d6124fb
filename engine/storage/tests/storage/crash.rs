//! Power cuts at every operation, with any of what was not synced kept or lost, and syncs that fail.

use proptest::prelude::*;
use quorate_raft::{Index, LogId};
use quorate_storage::{Disk, DiskFile, MemoryDisk, Operation};

use crate::common::{newest_segment, open, trials, with_a_batch_of_two};
use crate::model::{Model, State, Step, steps};

/// A run of steps that something ends, perhaps something else while the node recovers, and a good end.
#[derive(Clone, Debug)]
struct Life {
    steps: Vec<Step>,
    end: End,
    /// When that is, as a share in 65,536 of all that it counts.
    at: u16,
    second: Option<(End, u8)>,
    seed: u64,
}

/// What ends a life, after so many operations of some kind.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The power goes, after so many changes.
    PowerCut,
    /// A sync fails, after so many, and the process dies; the machine and its cache live on.
    FailedSync,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let end = || prop_oneof![Just(End::PowerCut), Just(End::FailedSync)];
    let second = prop::option::of((end(), 0..24_u8));
    let life = (steps(), end(), any::<u16>(), second, any::<u64>());
    let life = life.prop_map(|(steps, end, at, second, seed)| Life { steps, end, at, second, seed });
    prop::collection::vec(life, 1..5)
}

/// How many changes and syncs the steps make when nothing fails.
fn count(disk: &MemoryDisk, model: &Model, steps: &[Step]) -> (u64, u64) {
    let disk = disk.duplicate();
    let before = (disk.changes(), disk.counters().syncs);
    let mut model = Model::new(model.now().clone());
    if let Ok((mut storage, _)) = open(&disk) {
        for step in steps {
            model.take(&mut storage, step).unwrap();
        }
    }
    (disk.changes() - before.0, disk.counters().syncs - before.1)
}

impl End {
    fn arm(self, disk: &MemoryDisk, after: u64) {
        match self {
            End::PowerCut => disk.cut_power_at(disk.changes() + after),
            End::FailedSync => disk.fail(Operation::Sync, after),
        }
    }

    /// Ends it now, if nothing has struck.
    fn come(self, disk: &MemoryDisk, seed: u64) {
        match self {
            End::PowerCut => disk.crash(seed),
            End::FailedSync => {
                disk.disarm();
                disk.kill_at(disk.clock(), seed);
            }
        }
    }
}

fn live(disk: &MemoryDisk, state: State, life: &Life) -> State {
    let mut model = Model::new(state);
    let (changes, syncs) = count(disk, &model, &life.steps);
    let total = match life.end {
        End::PowerCut => changes,
        End::FailedSync => syncs,
    };
    life.end.arm(disk, total * u64::from(life.at) / 65_536);
    if let Ok((mut storage, _)) = open(disk) {
        for step in &life.steps {
            if model.take(&mut storage, step).is_err() {
                break;
            }
        }
    }
    life.end.come(disk, life.seed);
    if let Some((second, after)) = life.second {
        second.arm(disk, after.into());
        let _ = open(disk);
        second.come(disk, life.seed.rotate_left(17));
    }
    let (mut storage, found) = open(disk).unwrap();
    model.check(&mut storage, &found)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(trials(300)))]

    /// Any crash prefix recovers to a state that the node really held, and to at least what was acknowledged, as does
    /// a process that died of a failed sync; also when the same comes again during recovery, and several lives long.
    #[test]
    fn a_crash_loses_nothing_that_was_acknowledged(lives in lives()) {
        let disk = MemoryDisk::new();
        let mut state = State::default();
        for life in &lives {
            state = live(&disk, state, life);
        }
    }
}

fn script() -> Vec<Step> {
    vec![
        Step::Vote,
        Step::Append { sizes: vec![10, 700, 3000] },
        Step::Idle { times: 2 },
        Step::Append { sizes: vec![100; 40] },
        Step::Replace { back: 7, sizes: vec![5000, 10] },
        Step::Checkpoint { back: 1, bytes: 150_000 },
        Step::Append { sizes: vec![9000] },
        Step::Truncate { back: 1 },
        Step::Install { ahead: 3, bytes: 100_000 },
        Step::Append { sizes: vec![50, 50] },
    ]
}

/// The same, at every single operation of one script, with several draws each.
#[test]
fn a_crash_at_every_operation_loses_nothing() {
    let steps = script();
    let (total, _) = count(&MemoryDisk::new(), &Model::new(State::default()), &steps);
    assert!(total > 100, "{total} operations");
    for cut in 0..=total {
        for seed in 0..5 {
            let disk = MemoryDisk::new();
            let mut model = Model::new(State::default());
            disk.cut_power_at(cut);
            if let Ok((mut storage, _)) = open(&disk) {
                let _ = steps.iter().try_for_each(|step| model.take(&mut storage, step));
            }
            disk.crash(seed * 1000 + cut);
            let (mut storage, found) = open(&disk).unwrap();
            model.check(&mut storage, &found);
        }
    }
}

/// Every single sync of the script fails, the process starts again on what its machine still has in memory, and then
/// the power goes. What the second process found it may have acknowledged.
///
/// A sync that says yes proves nothing about bytes that an earlier one had failed on: the system has dropped them, and
/// thinks of their pages as clean (Rebello et al., *Can Applications Recover from fsync Failures?*, ATC 2020).
#[test]
fn a_failed_sync_and_a_restart_lose_nothing() {
    let steps = script();
    let (_, total) = count(&MemoryDisk::new(), &Model::new(State::default()), &steps);
    assert!(total > 40, "{total} syncs");
    for nth in 0..total {
        for seed in 0..5 {
            let disk = MemoryDisk::new();
            let mut model = Model::new(State::default());
            disk.fail(Operation::Sync, nth);
            if let Ok((mut storage, _)) = open(&disk) {
                let _ = steps.iter().try_for_each(|step| model.take(&mut storage, step));
            }
            disk.kill_at(disk.clock(), seed);
            let (mut storage, found) = open(&disk).unwrap();
            let mut model = Model::new(model.check(&mut storage, &found));
            if seed % 2 == 1 {
                model.take(&mut storage, &Step::Append { sizes: vec![20, 1200] }).unwrap();
            }
            disk.crash(seed * 1000 + nth);
            let (mut storage, found) = open(&disk).unwrap();
            model.check(&mut storage, &found);
        }
    }
}

/// A torn tail is cut, and the sync of the zeros fails: the next process reads zeros there, and the disk has still what
/// was torn. It must not come back behind what is written then.
#[test]
fn a_cut_that_failed_to_sync_is_made_again() {
    for (nth, seed) in (0..6).flat_map(|nth| (0..20).map(move |seed| (nth, seed))) {
        let disk = MemoryDisk::new();
        let mut model = Model::new(State::default());
        let (mut storage, _) = open(&disk).unwrap();
        model.take(&mut storage, &Step::Vote).unwrap();
        model.take(&mut storage, &Step::Append { sizes: vec![10] }).unwrap();
        disk.cut_power_at(disk.changes() + 1);
        model.take(&mut storage, &Step::Append { sizes: vec![700, 700, 700, 700] }).unwrap_err();
        disk.crash(seed);
        disk.fail(Operation::Sync, nth);
        let _ = open(&disk);
        disk.disarm();
        disk.kill_at(disk.clock(), seed);
        let (mut storage, found) = open(&disk).unwrap();
        let mut model = Model::new(model.check(&mut storage, &found));
        model.take(&mut storage, &Step::Append { sizes: vec![10] }).unwrap();
        disk.crash(seed);
        let (mut storage, found) = open(&disk).unwrap();
        model.check(&mut storage, &found);
    }
}

/// What is found is written anew, but never what failed a check: a sector that could not be read would read again, as
/// something that nobody wrote.
#[test]
fn what_could_not_be_read_is_never_written_back() {
    let (disk, path, sectors) = with_a_batch_of_two();
    let bad = sectors.start + 512..sectors.start + 1024;
    disk.make_unreadable(&path, bad.start as u64..bad.end as u64);
    for _ in 0..2 {
        let (_, found) = open(&disk).unwrap();
        assert_eq!((found.damaged, found.unknown), (vec![LogId::new(1, 2)], Some(Index(3))));
        assert!(disk.open(&path).unwrap().read_at(&mut [0; 512], bad.start as u64).is_err());
    }
}

/// The header of a segment that holds nothing yet is written anew, from the copy that is whole.
#[test]
fn a_bad_copy_of_the_last_header_is_mended() {
    let disk = MemoryDisk::new();
    open(&disk).unwrap();
    let path = newest_segment(&disk);
    let good = disk.content(&path).unwrap();
    for copy in [0, 4096] {
        disk.zero(&path, copy..copy + 512);
        open(&disk).unwrap();
        assert!(disk.content(&path).unwrap() == good);
    }
}
