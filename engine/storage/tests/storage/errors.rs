//! An error at every I/O of every script. What was to change something and could not ends the process; what was to be
//! read is read again. And what the next process finds is all that was acknowledged, whether the machine lived on or
//! not.

use quorate_storage::{MemoryDisk, Operation};

use crate::common::{Looking, mix};
use crate::model::{Model, Step};
use crate::workloads::{End, Workload, open, workloads};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The operation does nothing, but that a sync forgets what it was to make durable.
    Error(Operation),
    /// A write puts only this many bytes in place: whole sectors, as a system that copies page by page does.
    ShortWrite(usize),
}

const FAULTS: [Fault; 7] = [
    Fault::Error(Operation::Read),
    Fault::Error(Operation::Write),
    Fault::Error(Operation::Sync),
    Fault::Error(Operation::SyncDirectory),
    Fault::Error(Operation::Name),
    Fault::ShortWrite(0),
    Fault::ShortWrite(1024),
];

impl Fault {
    fn arm(self, disk: &MemoryDisk, nth: u64) {
        match self {
            Fault::Error(operation) => disk.fail(operation, nth),
            Fault::ShortWrite(bytes) => disk.cut_write_short(nth, bytes),
        }
    }

    /// How many operations there were that it might have struck.
    fn chances(self, disk: &MemoryDisk) -> u64 {
        let counters = disk.counters();
        match self {
            Fault::Error(Operation::Read) => counters.reads,
            Fault::Error(Operation::Write) | Fault::ShortWrite(_) => counters.writes,
            Fault::Error(Operation::Sync) => counters.syncs,
            Fault::Error(Operation::SyncDirectory) => counters.directory_syncs,
            Fault::Error(Operation::Name) => counters.name_operations,
        }
    }
}

/// The process has died, and its machine has not. The next one starts, goes on, and then the power goes; but not after
/// a sync of a directory that failed: a file system that cannot write its journal takes no more changes (`anew.rs`).
fn start_again(disk: &MemoryDisk, model: &Model, fault: Fault, seed: u64) {
    disk.disarm();
    disk.kill_at(disk.clock(), seed);
    let (mut storage, found) = open(disk).expect("the next process starts");
    let mut model = Model::new(model.check(&mut storage, &found));
    if seed.is_multiple_of(2) {
        model.take(&mut storage, &Step::Append { sizes: vec![20, 1200] }).unwrap();
    }
    if fault == Fault::Error(Operation::SyncDirectory) {
        return;
    }
    disk.crash(seed);
    let (mut storage, found) = open(disk).expect("the one after the power cut starts");
    model.check(&mut storage, &found);
}

fn strike(workload: &Workload, fault: Fault, nth: u64) {
    let disk = workload.disk.duplicate();
    fault.arm(&disk, nth);
    let (model, end) = workload.run(&disk);
    let place = format!("{fault:?} number {nth} of {:?}: {end:?}", workload.name);
    let looking = Looking(&place);
    match (fault, end) {
        (Fault::Error(Operation::Read), End::Whole) => {}
        (Fault::Error(Operation::Read), End::Fatal(_)) => panic!("a read is no reason to die: {place}"),
        (_, End::Whole) => panic!("the process goes on: {place}"),
        (_, End::Fatal(fatal)) => {
            assert!(fatal.to_string().contains(&fatal.path) && !fatal.path.is_empty(), "{place}");
        }
    }
    for seed in 0..4 {
        let crashed = disk.duplicate();
        if seed < 2 {
            start_again(&crashed, &model, fault, mix(nth, seed));
        } else {
            crashed.crash(mix(nth, seed));
            let (mut storage, found) = open(&crashed).expect("the node starts after the power cut");
            model.check(&mut storage, &found);
        }
    }
    drop(looking);
}

#[test]
fn an_error_at_any_operation_loses_nothing() {
    let mut struck = [0; FAULTS.len()];
    for workload in workloads() {
        for (fault, struck) in FAULTS.into_iter().zip(&mut struck) {
            let disk = workload.disk.duplicate();
            let before = fault.chances(&disk);
            workload.run(&disk);
            let total = fault.chances(&disk) - before;
            (0..total).for_each(|nth| strike(&workload, fault, nth));
            *struck += total;
        }
    }
    FAULTS.iter().zip(struck).for_each(|(fault, struck)| println!("{struck:>4} times {fault:?}"));
    assert!(struck.iter().all(|struck| *struck > 50), "some fault hardly ever struck");
    println!("{} errors, 0 bad", struck.iter().sum::<u64>());
}
