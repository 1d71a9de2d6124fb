//! The storage thread and those who talk to it. The storage is the real one, on a disk in memory.

use loom::future::block_on;
use loom::thread::{self, JoinHandle};
use quorate_node::raft::{Done, Entry, HardState, Index, LogId, Payload, Term, Time, Write, WriteId};
use quorate_storage::lending::Wanted;
use quorate_storage::{Job, MemoryDisk, Options, Storage};
use std::cell::Cell;

use crate::mpsc::UnboundedReceiver;
use crate::orders::in_every_order;
use crate::storage_loop::{Clock, run_storage};
use crate::storage_port::{StorageLine, StoragePort, storage_channel};

/// A clock that shows another time at each look.
struct Ticking(Cell<u64>);

impl Clock for Ticking {
    fn time(&self) -> Time {
        self.0.set(self.0.get() + 1000);
        Time(self.0.get())
    }

    fn nap(&self) {
        thread::yield_now();
    }
}

/// Two mebibytes.
const STACK_WORDS: usize = 1 << 18;

/// Later than anything that a story does.
const LATE: Time = Time(1 << 40);

/// It is opened once for each order.
fn small() -> Options {
    Options { segment_bytes: 16 << 10, spare_segments: 0, ..Options::new(1) }
}

fn start(syncs_fail: bool) -> (StoragePort, JoinHandle<()>) {
    let (port, end) = storage_channel("/data", 0);
    let owner = move || {
        let disk = MemoryDisk::new();
        let (storage, _) = Storage::open(disk.clone(), small()).expect("an empty disk can be opened");
        disk.fail_syncs(syncs_fail);
        run_storage(storage, end, &Ticking(Cell::new(0)));
    };
    // What loom gives to a thread otherwise is too little for a storage.
    let storage = thread::Builder::new().stack_size(STACK_WORDS).spawn(owner);
    (port, storage.expect("loom has room for a few threads"))
}

/// The write that appends the slot of its number.
fn write(number: u64) -> Vec<Job> {
    let entry = Entry { id: LogId::new(1, number), payload: Payload::Noop };
    vec![Job::Core(quorate_node::raft::Job::Write(Write {
        id: WriteId(number),
        hard: (number == 1).then_some(HardState { term: Term(1), vote: None }),
        commit_hint: Index(0),
        install: None,
        truncate_from: None,
        repair: Vec::new(),
        append: vec![entry],
        compact_to: None,
    }))]
}

/// The writes that are answered until the storage ends.
fn answers(dones: &mut UnboundedReceiver<Vec<Done>>) -> Vec<WriteId> {
    let mut answered = Vec::new();
    while dones.blocking_recv_many(&mut answered, usize::MAX) > 0 {}
    written(answered)
}

fn written(dones: Vec<Vec<Done>>) -> Vec<WriteId> {
    let written = dones.into_iter().flatten().filter_map(|done| match done {
        Done::Written(id) => Some(id),
        _ => None,
    });
    written.collect()
}

/// All that was asked for before the driver let go is done, in order, and answered; then the thread ends.
pub fn what_was_asked_for_is_done_before_the_end() -> usize {
    in_every_order(|| {
        let (port, storage) = start(false);
        let StoragePort { jobs, mut dones, health, .. } = port;
        jobs.send(write(1)).expect("the storage is there");
        jobs.send(write(2)).expect("the storage is there");
        drop(jobs);
        let answers = answers(&mut dones);
        assert!(answers == [WriteId(2)] || answers == [WriteId(1), WriteId(2)], "{answers:?}");
        assert_eq!(health.under_way(LATE), None);
        storage.join().expect("the storage does not panic");
    })
}

/// What an answer says is true by then: the time that the work took is among those of the last writes.
pub fn what_is_answered_is_accounted_for() -> usize {
    in_every_order(|| {
        let (mut port, storage) = start(false);
        assert_eq!(port.health.sync_p99(), None);
        port.jobs.send(write(1)).expect("the storage is there");
        let mut dones = Vec::new();
        port.dones.blocking_recv_many(&mut dones, usize::MAX);
        assert_eq!(written(dones), [WriteId(1)]);
        assert!(port.health.sync_p99().is_some());
        drop(port);
        storage.join().expect("the storage does not panic");
    })
}

/// The storage can be asked again to tend its disk when it has done so: it is never left as one that was asked and will
/// not do it.
pub fn the_storage_is_asked_to_tend_when_it_has_done_so() -> usize {
    in_every_order(|| {
        let (port, storage) = start(false);
        let StoragePort { jobs, mut dones, health, .. } = port;
        for _ in 0..2 {
            if health.ask_to_tend() {
                jobs.send(vec![Job::Tend { scrub_bytes: 0 }]).expect("the storage is there");
            }
        }
        drop(jobs);
        answers(&mut dones);
        storage.join().expect("the storage does not panic");
        assert!(health.ask_to_tend(), "it was asked, and does not know it any more");
    })
}

/// Who reads past the node while the driver lets go gets an answer, or hears that there will be none.
pub fn who_reads_past_the_node_is_not_left_waiting() -> usize {
    in_every_order(|| {
        let (port, storage) = start(false);
        let line = StorageLine::new(&port.jobs);
        let reader = thread::spawn(move || block_on(line.lend(Wanted::List)));
        port.jobs.send(write(1)).expect("the storage is there");
        drop(port);
        let lent = reader.join().expect("the reader does not panic");
        assert!(lent.is_none_or(|list| list.is_some_and(|names| names.is_empty())), "there is no checkpoint");
        storage.join().expect("the storage does not panic");
    })
}

/// A disk that fails ends the line, for the driver and for whoever reads past the node: nothing is answered.
pub fn a_disk_that_fails_ends_the_line() -> usize {
    in_every_order(|| {
        let (mut port, storage) = start(true);
        let line = StorageLine::new(&port.jobs);
        // It may have failed already, at what it does by itself.
        let _ = port.jobs.send(write(1));
        let reader = thread::spawn(move || block_on(line.lend(Wanted::List)));
        assert_eq!(answers(&mut port.dones), []);
        let lent = reader.join().expect("the reader does not panic");
        assert!(lent.is_none_or(|list| list.is_some_and(|names| names.is_empty())), "there is no checkpoint");
        storage.join().expect("the storage does not panic");
        assert!(port.jobs.send(write(2)).is_err());
    })
}
