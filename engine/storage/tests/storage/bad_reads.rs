//! One read that fails, or delivers what stands elsewhere, changes nothing of what is found: nothing is called damaged,
//! cut or put aside that was not read twice.

use std::collections::BTreeMap;

use quorate_raft::{Entry, Found, LogId};
use quorate_storage::{MemoryDisk, Operation};

use crate::common::{append, changed_sectors, command, open, read, settle};
use crate::model::{Model, State, Step, load_snapshot};

/// All that can be seen of a disk by starting on it and reading everything.
#[derive(Debug, PartialEq)]
struct Seen {
    found: Found,
    entries: Vec<Entry>,
    damaged: Vec<LogId>,
    snapshot: Option<Vec<u8>>,
}

fn see(disk: &MemoryDisk) -> Seen {
    let (mut storage, found) = open(disk).unwrap();
    let (base, last) = (found.terms.base().index.0, found.terms.last().index.0);
    let (entries, damaged) = read(&mut storage, base + 1, last);
    let snapshot = found.snapshot.as_ref().map(|meta| load_snapshot(&mut storage, meta));
    Seen { found, entries, damaged, snapshot }
}

fn files(disk: &MemoryDisk) -> BTreeMap<String, Vec<u8>> {
    disk.files().into_iter().map(|path| (path.clone(), disk.content(&path).unwrap())).collect()
}

/// Several segments, two checkpoints, an idle log.
fn healthy() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut model = Model::new(State::default());
    let (mut storage, _) = open(&disk).unwrap();
    let steps = [
        Step::Vote,
        Step::Append { sizes: vec![10, 700, 3000] },
        Step::Checkpoint { back: 1, bytes: 3000 },
        Step::Append { sizes: vec![100, 6000, 5000, 20] },
        Step::Replace { back: 2, sizes: vec![4000, 10, 60, 1500] },
        Step::Checkpoint { back: 5, bytes: 150_000 },
        Step::Append { sizes: vec![2000, 1500, 0] },
    ];
    for step in &steps {
        model.take(&mut storage, step).unwrap();
    }
    settle(&mut storage);
    disk
}

/// The same with a last batch that a crash tore.
fn torn() -> MemoryDisk {
    let disk = healthy();
    let (mut storage, found) = open(&disk).unwrap();
    let LogId { term, index } = found.terms.last();
    append(&mut storage, &[command(term.0, index.0 + 1, &[9; 5000])]);
    let entry = command(term.0, index.0 + 2, &[9; 1500]);
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &[entry]));
    disk.zero(&path, sectors.start + 1024..sectors.start + 1536);
    disk
}

/// The same with real damage: a bit of a payload, a sector that can't be read, one copy of a header, and one file of
/// term and vote.
fn damaged() -> MemoryDisk {
    let disk = healthy();
    let segments: Vec<String> = disk.files().into_iter().filter(|path| path.ends_with(".log")).collect();
    assert!(segments.len() >= 2, "{segments:?}");
    disk.flip_bit(&segments[0], (8192 + 512 + 200) * 8);
    disk.make_unreadable(&segments[1], 8192 + 1024..8192 + 1536);
    disk.zero(&segments[1], 0..512);
    disk.flip_bit("stable/a", 300);
    disk
}

#[test]
fn one_bad_read_changes_nothing_of_what_is_found() {
    for (name, disk) in [("healthy", healthy()), ("torn", torn()), ("damaged", damaged())] {
        let plain = disk.duplicate();
        let before = plain.counters().reads;
        let expected = see(&plain);
        assert_eq!(expected.damaged.is_empty(), name != "damaged");
        let total = plain.counters().reads - before;
        assert!(total > 20, "{total} reads");
        for nth in 0..total {
            for fault in [None, Some(512), Some(-512), Some(4096), Some(65_536), Some(-8192)] {
                let disk = disk.duplicate();
                match fault {
                    None => disk.fail(Operation::Read, nth),
                    Some(bytes) => disk.misdirect_read(nth, bytes),
                }
                let at = format!("read {nth} of a {name} disk, {fault:?}");
                let seen = see(&disk);
                assert!(seen == expected, "{at}: {seen:?}\ninstead of {expected:?}");
                assert!(files(&disk) == files(&plain), "{at}: other files");
            }
        }
    }
}

/// A bad read of an entry, or of a piece of a checkpoint, while the node runs.
#[test]
fn one_bad_read_of_what_is_loaded_is_no_damage() {
    let disk = healthy();
    let (mut storage, found) = open(&disk).unwrap();
    let (base, last) = (found.terms.base().index.0, found.terms.last().index.0);
    let expected = read(&mut storage, base + 1, last);
    let content = load_snapshot(&mut storage, found.snapshot.as_ref().unwrap());
    for nth in 0..20 {
        for below in ["log/", "snaps/"] {
            for fault in [None, Some(512), Some(-4096)] {
                let (mut storage, found) = open(&disk).unwrap();
                match fault {
                    None => disk.fail_below(below, Operation::Read, nth),
                    Some(bytes) => disk.misdirect_read_below(below, nth, bytes),
                }
                assert_eq!(read(&mut storage, base + 1, last), expected, "read {nth}, {fault:?}");
                assert!(load_snapshot(&mut storage, found.snapshot.as_ref().unwrap()) == content);
                disk.disarm();
            }
        }
    }
}
