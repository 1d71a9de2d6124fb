//! What a log says of its commit holds for that log: a hint that a leader's entries brought must not vouch for
//! the entries that they were to replace.

use quorate_raft::{Entry, Found, Index, LogId, Write};
use quorate_storage::{MemoryDisk, Storage};

use crate::common::{
    append, changed_sectors, command, hard, newest_segment, noop, open, perform, vote, write,
};

/// Slots 5 and 6 are an old leader's, and nobody else has them.
fn with_uncommitted_tail() -> (MemoryDisk, Storage<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    append(
        &mut storage,
        &[command(1, 1, b"a"), command(1, 2, b"b"), command(1, 3, b"c"), command(1, 4, b"d")],
    );
    append(&mut storage, &[command(1, 5, b"lost"), command(1, 6, b"lost")]);
    vote(&mut storage, 2);
    (disk, storage)
}

/// A new leader's append, all of which is committed already.
fn replacement(bytes: usize) -> Write {
    let append: Vec<Entry> = (5..=8).map(|index| command(2, index, &vec![7; bytes])).collect();
    Write { truncate_from: Some(Index(5)), append, commit_hint: Index(8), ..write(2) }
}

fn never_vouches_for_the_old(found: &Found, what: &str) {
    if found.terms.id(Index(5)) == Some(LogId::new(1, 5)) {
        assert!(found.commit_hint <= Index(4), "{what}: {found:?}");
    }
}

#[test]
fn a_replacement_cut_off_by_a_crash_does_not_commit_what_it_would_have_replaced() {
    // Small enough for one batch; and so large that the first of them opens a new segment.
    for bytes in [300, 2000, 9000] {
        let (disk, mut storage) = with_uncommitted_tail();
        let before = disk.changes();
        perform(&mut storage, vec![replacement(bytes)]).unwrap();
        let total = disk.changes() - before;
        for cut in 0..total {
            for seed in 0..20 {
                let (disk, mut storage) = with_uncommitted_tail();
                disk.cut_power_at(disk.changes() + cut);
                assert!(perform(&mut storage, vec![replacement(bytes)]).is_err());
                disk.crash(seed);
                let (_, found) = open(&disk).unwrap();
                never_vouches_for_the_old(&found, &format!("{bytes} bytes, cut {cut}, seed {seed}"));
            }
        }
    }
}

#[test]
fn what_follows_a_lost_replacement_does_not_commit_what_that_replaced() {
    let (disk, mut storage) = with_uncommitted_tail();
    let (path, lost) = changed_sectors(&disk, || perform(&mut storage, vec![replacement(300)]).unwrap());
    let later = Write { append: vec![noop(3, 9)], commit_hint: Index(8), ..write(3) };
    perform(&mut storage, vec![Write { hard: Some(hard(3)), ..later }]).unwrap();
    append(&mut storage, &[noop(3, 10)]);
    assert_eq!(newest_segment(&disk), path);
    disk.zero(&path, lost);
    let (_, found) = open(&disk).unwrap();
    assert!(found.unknown.is_some(), "{found:?}");
    never_vouches_for_the_old(&found, "a lost batch");
}
