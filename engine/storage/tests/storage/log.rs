//! Writing and finding again, without faults.

use crate::common::{
    append, command, hard, ids, members_entry, noop, open, options, perform, read, settle, write,
};
use quorate_raft::{Done, Found, Index, Load, LogId, Reader, Term, Write, WriteId};
use quorate_storage::{Job, MemoryDisk, Options, Storage};

#[test]
fn an_empty_disk_holds_an_empty_log() {
    let disk = MemoryDisk::new();
    for _ in 0..3 {
        let (_, found) = open(&disk).unwrap();
        assert_eq!(found, Found::default());
    }
}

#[test]
fn what_was_written_is_found_again() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    let entries =
        vec![noop(1, 1), members_entry(1, 2, &["a", "b"]), command(1, 3, &[0; 2000]), command(2, 4, b"x")];
    let first =
        Write { hard: Some(hard(2)), append: entries[..2].to_vec(), commit_hint: Index(1), ..write(4) };
    let second = Write { append: entries[2..].to_vec(), commit_hint: Index(3), ..write(5) };
    let jobs = [first, second].map(|write| Job::Core(quorate_raft::Job::Write(write))).into();
    assert_eq!(storage.perform(jobs).unwrap(), [Done::Written(WriteId(5))]);
    assert_eq!(read(&mut storage, 1, 4).0, entries);
    settle(&mut storage);

    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.hard, hard(2));
    assert_eq!(ids(&found), [(1, 1), (1, 2), (1, 3), (2, 4)].map(|(term, index)| LogId::new(term, index)));
    assert_eq!(found.members, entries[1..2]);
    assert_eq!(found.commit_hint, Index(3));
    assert_eq!((found.damaged, found.unknown, found.snapshot), (vec![], None, None));
    assert_eq!(read(&mut storage, 1, 4).0, entries);
    assert_eq!(read(&mut storage, 2, 3).0, entries[1..3]);
}

#[test]
fn a_lower_index_replaces_what_follows() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    perform(&mut storage, vec![Write { hard: Some(hard(5)), ..write(1) }]).unwrap();
    append(&mut storage, &[noop(1, 1), members_entry(1, 2, &["old"]), noop(4, 3), noop(4, 4)]);
    let replacement =
        Write { truncate_from: Some(Index(2)), append: vec![noop(3, 2), noop(5, 3)], ..write(2) };
    perform(&mut storage, vec![replacement]).unwrap();
    let expected = vec![noop(1, 1), noop(3, 2), noop(5, 3)];
    assert_eq!(read(&mut storage, 1, 3).0, expected);
    let bare = Write { truncate_from: Some(Index(3)), ..write(3) };
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.members, found.unknown), (LogId::new(5, 3), vec![], None));
    assert_eq!(read(&mut storage, 1, 3).0, expected);
    perform(&mut storage, vec![bare]).unwrap();
    let (_, found) = open(&disk).unwrap();
    assert_eq!(found.terms.last(), LogId::new(3, 2));
}

#[test]
fn segments_follow_each_other_and_are_compacted() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    perform(&mut storage, vec![Write { hard: Some(hard(1)), ..write(1) }]).unwrap();
    let entries: Vec<_> = (1..=200).map(|index| command(1, index, &[7; 300])).collect();
    for batch in entries.chunks(7) {
        append(&mut storage, batch);
        settle(&mut storage);
    }
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.terms.last(), LogId::new(1, 200));
    assert_eq!(read(&mut storage, 1, 200).0, entries);
    // More than a segment in one write, and more than a segment in one entry.
    let more: Vec<_> = (201..=300).map(|index| command(1, index, &[8; 300])).collect();
    append(&mut storage, &more);
    append(&mut storage, &[command(1, 301, &[9; 50_000]), noop(1, 302)]);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.terms.last(), LogId::new(1, 302));
    assert_eq!(read(&mut storage, 201, 300).0, more);
    assert_eq!(read(&mut storage, 301, 302).0, [command(1, 301, &[9; 50_000]), noop(1, 302)]);
}

#[test]
fn a_write_without_content_touches_no_disk() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = Storage::open(disk.clone(), options(7)).unwrap();
    settle(&mut storage);
    let before = disk.changes();
    perform(&mut storage, vec![Write { commit_hint: Index(0), ..write(1) }]).unwrap();
    assert_eq!(disk.changes(), before);
}

#[test]
fn a_batch_is_one_write_and_one_sync() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    perform(&mut storage, vec![Write { hard: Some(hard(1)), ..write(1) }]).unwrap();
    settle(&mut storage);
    let before = disk.changes();
    let writes = (1..=9).map(|index| Write { append: vec![noop(1, index)], ..write(index) }).collect();
    perform(&mut storage, writes).unwrap();
    assert_eq!(disk.changes(), before + 2);
    assert_eq!(open(&disk).unwrap().1.terms.term(Index(9)), Some(Term(1)));
}

/// At most so many bytes of payload, but one entry in any case; and those that lie together are read together.
#[test]
fn as_much_is_loaded_as_was_asked_for() {
    let disk = MemoryDisk::new();
    let large = Options { segment_bytes: 1 << 20, ..options(7) };
    let (mut storage, _) = Storage::open(disk.clone(), large).unwrap();
    let entries: Vec<_> = (1..=40).map(|index| command(1, index, &[7; 2_999])).collect();
    append(&mut storage, &entries);
    // An entry's payload has a byte more than its command.
    let mut load = |last, bytes| {
        let before = disk.counters().reads;
        let load = Load { reader: Reader::Apply, first: Index(1), last: Index(last), bytes };
        let done = storage.perform(vec![Job::Core(quorate_raft::Job::Load(load))]).unwrap();
        let [Done::Loaded { entries, .. }] = &done[..] else { panic!("{done:?}") };
        (entries.len(), disk.counters().reads - before)
    };
    for (bytes, expected) in [(0, 1), (1, 1), (3_000, 1), (5_999, 1), (6_000, 2), (8_999, 2), (9_000, 3)] {
        assert_eq!(load(40, bytes).0, expected, "{bytes}");
    }
    // One read as far as the last one begins, and one for that.
    assert_eq!(load(40, 1 << 20), (40, 2));
    assert_eq!(load(5, 1 << 20), (5, 2));
}
