//! The decision table, row by row, on real bytes: a last batch in every condition, with every kind of proof.

use std::ops::Range;

use quorate_raft::{Index, LogId};
use quorate_storage::MemoryDisk;

use crate::common::{append, changed_sectors, command, learn_commit, newest_segment, open, read, vote};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tail {
    Nothing,
    Whole,
    Unwritten,
    Rotten,
}

/// Slot 1, then the batch in question with slots 2 and 3, then proofs, then what happens to the batch; and where the
/// batch is.
fn disk(
    tail: Tail,
    [marked, followed, next_segment, acknowledged]: [bool; 4],
) -> (MemoryDisk, String, Range<usize>) {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    append(&mut storage, &[command(1, 1, b"one")]);
    learn_commit(&mut storage, 1);
    let batch = [command(1, 2, &[2; 700]), command(1, 3, &[0; 700])];
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &batch));
    assert_eq!(sectors.len(), 2048);
    if marked {
        storage.perform(Vec::new()).unwrap();
    }
    if followed {
        append(&mut storage, &[command(1, 4, b"four")]);
    }
    if next_segment {
        append(&mut storage, &[command(1, if followed { 5 } else { 4 }, &[5; 8000])]);
        assert_ne!(newest_segment(&disk), path);
    }
    if acknowledged {
        vote(&mut storage, 2);
    }
    match tail {
        Tail::Nothing => disk.zero(&path, sectors.clone()),
        Tail::Whole => {}
        Tail::Unwritten => disk.zero(&path, sectors.start + 512..sectors.start + 1024),
        Tail::Rotten => disk.flip_bit(&path, (sectors.start as u64 + 600) * 8),
    }
    (disk, path, sectors)
}

#[test]
fn every_row_of_the_table_holds_on_disk() {
    for tail in [Tail::Nothing, Tail::Whole, Tail::Unwritten, Tail::Rotten] {
        for bits in 0..16 {
            let proofs = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let [marked, followed, next, acknowledged] = proofs;
            let row = format!(
                "{tail:?}, marked {marked}, followed {followed}, next segment {next}, acknowledged {acknowledged}"
            );
            let (disk, _, sectors) = disk(tail, proofs);
            let (mut storage, found) = open(&disk).unwrap_or_else(|error| panic!("{row}: {error}"));
            let proof = bits != 0;
            let last = 3 + u64::from(followed) + u64::from(next);
            let lost = !found.damaged.is_empty() || found.unknown.is_some();
            match (tail, proof) {
                (Tail::Whole, _) => {
                    assert!(!lost, "{row}: {found:?}");
                    assert_eq!(found.terms.last(), LogId::new(1, last), "{row}");
                    assert_eq!(read(&mut storage, 2, 3).0[1], command(1, 3, &[0; 700]), "{row}");
                }
                (Tail::Nothing | Tail::Unwritten, false) => {
                    assert!(!lost, "{row}: {found:?}");
                    assert_eq!(found.terms.last(), LogId::new(1, 1), "{row}: cut");
                    let content = disk.content(&newest_segment(&disk)).unwrap();
                    assert!(
                        content[sectors].iter().all(|byte| *byte == 0),
                        "{row}: the torn batch is zeroed"
                    );
                }
                _ => assert!(lost, "{row}: damage is reported: {found:?}"),
            }
            // Slot 1 is whole in every row; and where a successor tells, what is lost is known by term and index.
            assert_eq!(read(&mut storage, 1, 1).0, [command(1, 1, b"one")], "{row}");
            if followed || next || marked {
                assert_eq!(found.unknown, None, "{row}");
                assert_eq!(found.terms.last(), LogId::new(1, last), "{row}");
                let expected: &[LogId] = match tail {
                    Tail::Whole => &[],
                    Tail::Nothing => &[LogId::new(1, 2), LogId::new(1, 3)],
                    Tail::Unwritten | Tail::Rotten => &found.damaged.clone(),
                };
                assert_eq!(found.damaged, expected, "{row}");
            }
        }
    }
}

/// The row of the table that needs a second life: an unknown tail was given up, and the log went on.
#[test]
fn a_tail_that_was_given_up_stays_given_up() {
    let (disk, _, _) = disk(Tail::Nothing, [false, false, false, true]);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 1), Some(Index(2))));
    drop(storage);
    // Nothing was written: the same is found again.
    (storage, _) = open(&disk).unwrap();
    append(&mut storage, &[command(1, 2, b"two"), command(2, 3, b"three")]);
    drop(storage);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.terms.last(), LogId::new(2, 3));
    assert_eq!(
        found.unknown,
        Some(Index(4)),
        "the tail was lost in term 2, and so far it holds nothing later"
    );
    vote(&mut storage, 3);
    append(&mut storage, &[command(3, 4, b"four")]);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.unknown, found.damaged), (None, vec![]));
    assert_eq!(read(&mut storage, 2, 4).0[2], command(3, 4, b"four"));
}
