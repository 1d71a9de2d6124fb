//! Power cuts at every operation, with any of what was not synced kept or lost.

use proptest::prelude::*;
use quorate_storage::MemoryDisk;

use crate::common::{open, trials};
use crate::model::{Model, State, Step, steps};

/// A run of steps with a power cut somewhere in it, perhaps another one while the node recovers, and a good end.
#[derive(Clone, Debug)]
struct Life {
    steps: Vec<Step>,
    /// Where the cut is, as a share of all changes in 65,536.
    cut: u16,
    seed: u64,
    second_cut: Option<u8>,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (steps(), any::<u16>(), any::<u64>(), prop::option::of(0..24_u8));
    let life = life.prop_map(|(steps, cut, seed, second_cut)| Life { steps, cut, seed, second_cut });
    prop::collection::vec(life, 1..4)
}

/// How many changes the steps make when nothing fails.
fn changes(disk: &MemoryDisk, model: &Model, steps: &[Step]) -> u64 {
    let disk = disk.duplicate();
    let before = disk.changes();
    let mut model = Model::new(model.now().clone());
    if let Ok((mut storage, _)) = open(&disk) {
        for step in steps {
            model.take(&mut storage, step).unwrap();
        }
    }
    disk.changes() - before
}

fn live(disk: &MemoryDisk, state: State, life: &Life) -> State {
    let mut model = Model::new(state);
    let total = changes(disk, &model, &life.steps);
    disk.cut_power_at(disk.changes() + total * u64::from(life.cut) / 65_536);
    if let Ok((mut storage, _)) = open(disk) {
        for step in &life.steps {
            if model.take(&mut storage, step).is_err() {
                break;
            }
        }
    }
    disk.crash(life.seed);
    if let Some(second) = life.second_cut {
        disk.cut_power_at(disk.changes() + u64::from(second));
        let _ = open(disk);
        disk.crash(life.seed.rotate_left(17));
    }
    let (mut storage, found) = open(disk).unwrap();
    model.check(&mut storage, &found)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(trials(300)))]

    /// Any crash prefix recovers to a state that the node really held, and to at least what was acknowledged; also
    /// when the power goes again during recovery, and several lives long.
    #[test]
    fn a_crash_loses_nothing_that_was_acknowledged(lives in lives()) {
        let disk = MemoryDisk::new();
        let mut state = State::default();
        for life in &lives {
            state = live(&disk, state, life);
        }
    }
}

/// The same, at every single operation of one script, with several draws each.
#[test]
fn a_crash_at_every_operation_loses_nothing() {
    let steps = vec![
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
    ];
    let total = changes(&MemoryDisk::new(), &Model::new(State::default()), &steps);
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
