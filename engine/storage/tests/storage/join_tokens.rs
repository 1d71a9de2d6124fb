//! Configurations with join tokens: a log and a checkpoint that hold one are of a version that older releases refuse,
//! because those would take it for damage. A log of such a release that holds none stays what it was.

use quorate_raft::{Entry, LogId, Members, Payload, SnapshotMeta, TokenHash, Write};
use quorate_storage::{MemoryDisk, OpenError, Storage};

use crate::common::{
    append, command, cut_everywhere, log_of_version, members, noop, open, perform, rows, take, vote, whole,
    write,
};

fn with_tokens(count: u8) -> Members {
    let add = |members: Members, number| members.with_token(TokenHash([number; 32]), 1_000, 0).unwrap();
    (1..=count).fold(members(&["a", "b"]), add)
}

fn entry(term: u64, index: u64, members: Members) -> Entry {
    Entry { id: LogId::new(term, index), payload: Payload::Members(Box::new(members)) }
}

/// The versions of the files whose names end so, oldest first.
fn versions(disk: &MemoryDisk, suffix: &str) -> Vec<u32> {
    let files = disk.files().into_iter().filter(|path| path.ends_with(suffix));
    let version = |path: String| u32::from_le_bytes(disk.content(&path).unwrap()[12..16].try_into().unwrap());
    files.map(version).collect()
}

/// A log as an older release wrote it.
fn begun() -> (MemoryDisk, Storage<MemoryDisk>) {
    let disk = log_of_version(1);
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    append(&mut storage, &[entry(1, 1, members(&["a"])), noop(1, 2)]);
    (disk, storage)
}

#[test]
fn a_log_of_the_first_version_keeps_it_and_the_first_tokens_begin_a_segment_of_the_second() {
    let (disk, mut storage) = begun();
    assert_eq!(versions(&disk, ".log"), [1, 1]);
    append(&mut storage, &[entry(1, 3, with_tokens(1)), noop(1, 4)]);
    // One for the entry, and one behind it, whose header repeats it.
    assert_eq!(versions(&disk, ".log"), [1, 1, 2, 2]);
    append(&mut storage, &[entry(1, 5, with_tokens(2)), noop(1, 6)]);
    assert_eq!(versions(&disk, ".log"), [1, 1, 2, 2, 2]);
    drop(storage);
    let (_, found) = open(&disk).unwrap();
    let expected = [entry(1, 1, members(&["a"])), entry(1, 3, with_tokens(1)), entry(1, 5, with_tokens(2))];
    assert_eq!(found.members, expected);
}

/// That of a new log is good for tokens, too.
#[test]
fn a_new_log_is_of_the_newest_version_and_stays_so() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    append(&mut storage, &[entry(1, 1, with_tokens(1)), noop(1, 2)]);
    append(&mut storage, &[entry(1, 3, members(&["b"])), noop(1, 4)]);
    assert_eq!(versions(&disk, ".log"), [3, 3, 3]);
}

/// The release that wrote version 2 knows no short headers.
#[test]
fn only_the_newest_version_has_short_headers() {
    for (version, forms) in [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2])] {
        let disk = log_of_version(version);
        let (mut storage, _) = open(&disk).unwrap();
        let before = disk.content("log/00000001.log").unwrap();
        vote(&mut storage, 1);
        append(&mut storage, &[command(1, 1, b"a"), command(1, 2, b"b"), command(1, 3, b"c")]);
        let after = disk.content("log/00000001.log").unwrap();
        let begins = (0..after.len()).find(|at| before[*at] != after[*at]).unwrap();
        let form = |at: usize| {
            let said = u32::from_le_bytes(after[at + 12..at + 16].try_into().unwrap()) as usize;
            said.checked_sub(at).filter(|form| *form < 3 && after[at + 16..at + 24] == after[24..32])
        };
        let found: Vec<usize> = (begins..begins + 512).step_by(16).filter_map(form).collect();
        assert_eq!(found, forms, "version {version}");
    }
}

/// As it does when a log is replaced: what there is to go back to is still there.
#[test]
fn an_installed_checkpoint_keeps_the_version_or_raises_it_as_far_as_it_has_to() {
    for (members, version) in [(members(&["a", "b"]), 1), (with_tokens(1), 2)] {
        let (disk, mut storage) = begun();
        let (last, members_at) = (LogId::new(1, 50), LogId::new(1, 3));
        let (_, meta, _) = whole(last, members, members_at, &rows(1, 1_000));
        let install = Some(Box::new(meta));
        perform(&mut storage, vec![Write { install, append: vec![noop(1, 51)], ..write(2) }]).unwrap();
        assert_eq!(versions(&disk, ".log"), [version]);
    }
}

/// Also when the entry with the tokens is gone: what stands there is what it was.
#[test]
fn the_version_of_a_log_never_falls() {
    let (disk, mut storage) = begun();
    append(&mut storage, &[entry(1, 3, with_tokens(1))]);
    vote(&mut storage, 2);
    perform(&mut storage, vec![Write { append: vec![entry(2, 3, members(&["b"]))], ..write(2) }]).unwrap();
    assert_eq!(versions(&disk, ".log"), [1, 1, 2, 2, 2]);
    drop(storage);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.members, [entry(1, 1, members(&["a"])), entry(2, 3, members(&["b"]))]);
    append(&mut storage, &[entry(2, 4, with_tokens(1))]);
    assert_eq!(versions(&disk, ".log"), [1, 1, 2, 2, 2, 2], "it is of the second already");
}

/// No cut leaves tokens where an older release would read.
#[test]
fn a_crash_leaves_no_tokens_in_a_segment_of_the_first_version() {
    let change = || vec![Write { append: vec![entry(1, 3, with_tokens(3)), noop(1, 4)], ..write(2) }];
    let mut seen = [0, 0];
    cut_everywhere(begun, change, |cut, disk| {
        let newest = versions(disk, ".log").into_iter().max();
        let (_, found) = open(disk).unwrap();
        let has_tokens = found.members.len() == 2;
        assert!(!has_tokens || newest == Some(2), "cut {cut}");
        seen[usize::from(has_tokens)] += 1;
    });
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn a_log_with_as_many_tokens_as_may_be_is_read_again() {
    let (disk, mut storage) = begun();
    let mut most = members(&["a", "b"]);
    for number in 0..Members::MOST_TOKENS {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        most = most.with_token(TokenHash(hash), u64::MAX, 0).unwrap();
    }
    append(&mut storage, &[entry(1, 3, most.clone()), noop(1, 4)]);
    drop(storage);
    let (_, found) = open(&disk).unwrap();
    assert_eq!(found.members.last(), Some(&entry(1, 3, most)));
    // And its version is told all the same.
    let newest = disk.files().into_iter().rfind(|path| path.ends_with(".log")).unwrap();
    let mut header = disk.content(&newest).unwrap();
    let size = u32::from_le_bytes(header[16..20].try_into().unwrap()) as usize;
    header[12] = 9;
    let checksum = crc32c::crc32c(&header[12..size]);
    header[8..12].copy_from_slice(&checksum.to_le_bytes());
    disk.corrupt(&newest, |bytes| bytes[..size].copy_from_slice(&header[..size]));
    assert!(matches!(open(&disk), Err(OpenError::UnknownVersion { found: 9, known: 3, .. })));
}

#[test]
fn a_checkpoint_has_the_tokens_and_says_so() {
    for (members, version) in [(members(&["a", "b"]), 2), (with_tokens(2), 3)] {
        let (disk, mut storage) = begun();
        append(&mut storage, &[entry(1, 3, members.clone()), noop(1, 4)]);
        let last = LogId::new(1, 4);
        let (draft, ..) = whole(last, members.clone(), LogId::new(1, 3), &rows(1, 1_000));
        take(&mut storage, draft).unwrap();
        assert_eq!(versions(&disk, ".snap"), [version]);
        drop(storage);
        let (_, found) = open(&disk).unwrap();
        let meta: SnapshotMeta = found.snapshot.unwrap();
        assert_eq!((meta.last, meta.members), (last, members));
    }
}
