//! What a node does on the way to a crash: scripts, each about one thing, which the enumerations go through I/O by I/O.

use quorate_raft::Found;
use quorate_storage::{Fatal, MemoryDisk, OpenError, Options, Storage};

use crate::common::{changed_sectors, mix, options};
use crate::model::{Model, State, Step};

/// A script, and the disk that it begins with.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) disk: MemoryDisk,
    pub(crate) state: State,
    pub(crate) steps: Vec<Step>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum End {
    Whole,
    /// With an error of the disk, at the start or later.
    Fatal(Fatal),
}

/// Few checkpoints are kept, so that old ones go.
pub(crate) fn open(disk: &MemoryDisk) -> Result<(Storage<MemoryDisk>, Found), OpenError> {
    Storage::open(disk.clone(), Options { keep_snapshots: 2, ..options(7) })
}

impl Workload {
    /// Starts on `disk`, which holds this workload's beginning, and takes the steps until one fails.
    pub(crate) fn run(&self, disk: &MemoryDisk) -> (Model, End) {
        let mut model = Model::new(self.state.clone());
        let mut storage = match open(disk) {
            Ok((storage, _)) => storage,
            Err(OpenError::Disk(fatal)) => return (model, End::Fatal(fatal)),
            Err(error) => panic!("the node does not start: {error}"),
        };
        for step in &self.steps {
            if let Err(fatal) = model.take(&mut storage, step) {
                return (model, End::Fatal(fatal));
            }
        }
        (model, End::Whole)
    }

    /// The same story with other sizes in every round but the first.
    pub(crate) fn of_round(mut self, round: u64) -> Workload {
        if round > 0 {
            let seed = |number: usize| mix(round, number as u64);
            self.steps =
                self.steps.iter().enumerate().map(|(number, step)| varied(step, seed(number))).collect();
        }
        self
    }

    fn new(name: &'static str, before: &[Step], steps: &[Step]) -> Workload {
        let (disk, state) = prepared(before);
        Workload { name, disk, state, steps: steps.to_vec() }
    }

    /// It begins with two slots that have lost their payloads, and are not each other's neighbours.
    fn damaged(name: &'static str, steps: &[Step]) -> Workload {
        let disk = MemoryDisk::new();
        let mut model = Model::new(State::default());
        let (mut storage, _) = open(&disk).unwrap();
        model.take(&mut storage, &Step::Vote).unwrap();
        let mut places = Vec::new();
        for size in [0, 1900, 40, 1900, 10] {
            let append = Step::Append { sizes: vec![size] };
            let (path, sectors) =
                changed_sectors(&disk, || model.take(&mut storage, &append).expect("the disk is healthy"));
            if size == 1900 {
                places.push((path, sectors.start, model.now().last().index.0));
            }
        }
        model.take(&mut storage, &Step::Idle { times: 4 }).unwrap();
        drop(storage);
        disk.crash_keeping(|_| true);
        let mut state = model.now().clone();
        for (path, start, index) in places {
            disk.flip_bit(&path, (start as u64 + 700) * 8);
            state.damaged.insert(index);
        }
        Workload { name, disk, state, steps: steps.to_vec() }
    }
}

/// The same step with other sizes, about as large.
fn varied(step: &Step, seed: u64) -> Step {
    let vary = |number: usize, size: usize| {
        let sixteenths = mix(seed, number as u64) % 16 + 8;
        size * usize::try_from(sixteenths).unwrap() / 16
    };
    let all = |sizes: &[usize]| sizes.iter().enumerate().map(|(number, size)| vary(number, *size)).collect();
    match step {
        Step::Append { sizes } => Step::Append { sizes: all(sizes) },
        Step::Replace { back, sizes } => Step::Replace { back: *back, sizes: all(sizes) },
        Step::Checkpoint { back, bytes } => Step::Checkpoint { back: *back, bytes: vary(0, *bytes) },
        Step::Install { ahead, bytes } => Step::Install { ahead: *ahead, bytes: vary(0, *bytes) },
        Step::Truncate { .. } | Step::Vote | Step::Idle { .. } | Step::Repair => step.clone(),
    }
}

/// A disk on which these steps were taken, and nothing is left that a crash could undo.
fn prepared(steps: &[Step]) -> (MemoryDisk, State) {
    let disk = MemoryDisk::new();
    if steps.is_empty() {
        return (disk, State::default());
    }
    let mut model = Model::new(State::default());
    let (mut storage, _) = open(&disk).unwrap();
    steps.iter().for_each(|step| model.take(&mut storage, step).unwrap());
    drop(storage);
    disk.crash_keeping(|_| true);
    (disk, model.now().clone())
}

fn append(sizes: &[usize]) -> Step {
    Step::Append { sizes: sizes.to_vec() }
}

fn replace(back: u64, sizes: &[usize]) -> Step {
    Step::Replace { back, sizes: sizes.to_vec() }
}

fn checkpoint(back: u64, bytes: usize) -> Step {
    Step::Checkpoint { back, bytes }
}

const VOTE: Step = Step::Vote;
const IDLE: Step = Step::Idle { times: 2 };

/// What goes on with each kind of file. Changes of members are among the entries of each (see [`Model`]).
pub(crate) fn workloads() -> Vec<Workload> {
    [growing(), replacing(), repairing()].concat()
}

/// The log grows.
fn growing() -> Vec<Workload> {
    let started = [VOTE, append(&[10, 300])];
    vec![
        Workload::new("first open", &[], &[VOTE, append(&[10, 1800, 900]), IDLE]),
        Workload::new(
            "append",
            &started,
            &[
                append(&[700, 10, 1200, 1500]),
                IDLE,
                append(&[40]),
                VOTE,
                append(&[2000, 0, 2000]),
                append(&[0, 0, 0]),
            ],
        ),
        Workload::new(
            "rollover",
            &started,
            &[append(&[3000, 3000]), append(&[4000, 100]), VOTE, append(&[5000, 5000, 5000])],
        ),
        Workload::new(
            "import",
            &started,
            &[append(&[40_000, 10, 20_000]), VOTE, append(&[18_000]), append(&[10])],
        ),
    ]
}

/// Checkpoints, snapshots and new leaders take the place of what was there.
fn replacing() -> Vec<Workload> {
    let long = [VOTE, append(&[10, 2000, 100, 4000, 50]), append(&[3000, 3000]), append(&[200; 8])];
    let install = |ahead, bytes| Step::Install { ahead, bytes };
    vec![
        Workload::new(
            "checkpoint",
            &long,
            &[
                checkpoint(2, 9000),
                append(&[300]),
                VOTE,
                checkpoint(0, 100),
                append(&[10]),
                checkpoint(1, 1500),
            ],
        ),
        Workload::new(
            "install",
            &long,
            &[append(&[900]), install(3, 9000), append(&[50, 600]), VOTE, install(0, 700), append(&[10])],
        ),
        Workload::new(
            "truncate and append",
            &long,
            &[
                replace(3, &[1700, 10, 2300]),
                Step::Truncate { back: 2 },
                append(&[1100, 2500]),
                replace(2, &[5, 5]),
                replace(4, &[3000]),
            ],
        ),
        Workload::new(
            "compaction",
            &[VOTE, append(&[5000, 5000]), append(&[5000, 5000]), append(&[5000, 20])],
            &[
                checkpoint(1, 800),
                IDLE,
                append(&[4000, 4000]),
                append(&[4000]),
                checkpoint(0, 50),
                append(&[9]),
            ],
        ),
    ]
}

/// Something is damaged to begin with.
fn repairing() -> Vec<Workload> {
    vec![
        Workload::damaged(
            "repair",
            &[append(&[10, 30]), Step::Repair, VOTE, append(&[400, 2500]), IDLE, append(&[30])],
        ),
        Workload::damaged(
            "truncate what is damaged",
            &[replace(3, &[50, 1500, 900]), Step::Repair, append(&[800])],
        ),
        Workload::damaged(
            "checkpoint over damage",
            &[checkpoint(0, 2500), append(&[10, 900]), Step::Repair, append(&[1700])],
        ),
    ]
}
