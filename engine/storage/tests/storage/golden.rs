//! The formats are fixed: what a release wrote, every later one reads, and writes the same way.
//!
//! The files below `tests/golden/` were written by the first one, those below `tests/golden/rolled/` by one that begins
//! a segment behind each change of membership: the same format, in other files; those below `tests/golden/short/` by
//! the first one whose records may have short headers. A test that fails here means that
//! data dirs in the field can't be read any more: that takes a new version number, not a new golden file.

use quorate_raft::{Entry, HardState, Index, LogId, NodeId, Term, Write};
use quorate_storage::{Disk, DiskFile, MemoryDisk};

use crate::common::{
    command, log_of_version, members, members_entry, newest_segment, noop, open, perform, read, rows, settle,
    take, whole, write,
};
use crate::model::load_snapshot;

pub(crate) type Files = &'static [(&'static str, &'static [u8])];

const SNAPSHOT: &[u8] = include_bytes!("../golden/3-2.snap");
const SNAPSHOT_PATH: &str = "snaps/0000000000000003-0000000000000002.snap";
/// The same, with content of version 2.
const SNAPSHOT_2: &[u8] = include_bytes!("../golden/3-2-content-2.snap");
const RUN_PATH: &str = "snaps/ba1308e7e5f736255ef7fb637e33ab43dd1642f718f02c9834f71af89f026b85.run";
const RUN: &[u8] = include_bytes!("../golden/3-2.run");

pub(crate) const FIRST_RELEASE: Files = &[
    ("stable/a", include_bytes!("../golden/stable-a")),
    ("stable/b", include_bytes!("../golden/stable-a")),
    ("log/00000001.log", include_bytes!("../golden/00000001.log")),
    (SNAPSHOT_PATH, SNAPSHOT),
    (RUN_PATH, RUN),
];

pub(crate) const ROLLED: Files = &[
    ("stable/a", include_bytes!("../golden/rolled/stable-a")),
    ("stable/b", include_bytes!("../golden/rolled/stable-a")),
    ("log/00000001.log", include_bytes!("../golden/rolled/00000001.log")),
    ("log/00000004.log", include_bytes!("../golden/rolled/00000004.log")),
    (SNAPSHOT_PATH, SNAPSHOT),
    (RUN_PATH, RUN),
];

/// The log is of version 3; three entries more.
pub(crate) const SHORT: Files = &[
    ("stable/a", include_bytes!("../golden/short/stable-a")),
    ("stable/b", include_bytes!("../golden/short/stable-a")),
    ("log/00000001.log", include_bytes!("../golden/short/00000001.log")),
    ("log/00000004.log", include_bytes!("../golden/short/00000004.log")),
    (SNAPSHOT_PATH, SNAPSHOT_2),
    (RUN_PATH, RUN),
];

pub(crate) fn disk_with(files: &[(&str, &[u8])]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    for directory in ["log", "stable", "snaps"] {
        disk.create_dir(directory).unwrap();
    }
    for (path, golden) in files {
        disk.create(path).unwrap().write_at(golden, 0).unwrap();
    }
    disk
}

/// What the first release left: one of everything.
pub(crate) fn first_release() -> MemoryDisk {
    disk_with(FIRST_RELEASE)
}

/// One of everything: each kind of record, a replaced slot, a mark, a checkpoint; and then these entries.
fn written(disk: MemoryDisk, more: Vec<Entry>) -> MemoryDisk {
    let (mut storage, _) = open(&disk).unwrap();
    let vote = |term, vote| Some(HardState { term: Term(term), vote });
    // A record says what was known before its own batch.
    let knows = |index| vec![Write { commit_hint: Index(index), ..write(1) }];
    perform(&mut storage, knows(1)).unwrap();
    let entries = vec![members_entry(1, 1, &["127.0.0.1:9080"]), noop(1, 2), command(1, 3, b"replaced")];
    let first = Write { hard: vote(1, Some(NodeId(0xa5))), append: entries, ..write(1) };
    perform(&mut storage, vec![first]).unwrap();
    let replacement = vec![command(2, 3, &[0; 600]), command(2, 4, b"four"), noop(2, 5)];
    perform(&mut storage, knows(2)).unwrap();
    let second = Write { hard: vote(2, None), append: replacement, ..write(2) };
    perform(&mut storage, vec![second]).unwrap();
    perform(&mut storage, vec![Write { truncate_from: Some(Index(5)), ..write(3) }]).unwrap();
    perform(&mut storage, knows(3)).unwrap();
    perform(&mut storage, vec![Write { repair: vec![noop(1, 2)], ..write(4) }]).unwrap();
    let (last, members_at) = (LogId::new(2, 3), LogId::new(1, 1));
    let (draft, ..) = whole(last, members(&["127.0.0.1:9080"]), members_at, &rows(1, 70_000));
    take(&mut storage, draft).unwrap();
    settle(&mut storage);
    if !more.is_empty() {
        perform(&mut storage, vec![Write { append: more, ..write(5) }]).unwrap();
    }
    disk
}

/// Of three records the first has a whole header.
fn three_more() -> Vec<Entry> {
    vec![command(2, 5, b"five"), command(2, 6, &[6; 500]), command(2, 7, b"seven")]
}

#[test]
fn the_same_bytes_are_written() {
    let disk = written(log_of_version(1), Vec::new());
    let others = ROLLED.iter().filter(|(path, _)| ![SNAPSHOT_PATH, "log/00000004.log"].contains(path));
    for (path, golden) in others.chain(&[(SNAPSHOT_PATH, SNAPSHOT_2)]) {
        assert!(disk.content(path).unwrap() == *golden, "{path} differs from what an earlier release wrote");
    }
    // Here the second segment has another number, as the log was opened twice: that, and what its header hashes to.
    let mut second = include_bytes!("../golden/rolled/00000004.log").to_vec();
    let found = disk.content(&newest_segment(&disk)).unwrap();
    for copy in [0, 4096] {
        for differs in [8..12, 20..24] {
            let bytes = copy + differs.start..copy + differs.end;
            second[bytes.clone()].copy_from_slice(&found[bytes]);
        }
    }
    assert!(found == second);
    let segments = disk.files().iter().filter(|path| path.ends_with(".log")).count();
    assert_eq!(segments, 2);
}

#[test]
fn the_same_bytes_are_written_with_short_headers() {
    let disk = written(MemoryDisk::new(), three_more());
    for (path, golden) in SHORT {
        assert!(disk.content(path).unwrap() == *golden, "{path} differs from what an earlier release wrote");
    }
}

#[test]
fn what_was_written_with_short_headers_is_read() {
    let (mut storage, found) = open(&disk_with(SHORT)).unwrap();
    assert_eq!((found.commit_hint, found.unknown, &found.damaged[..]), (Index(3), None, &[][..]));
    let expected = [&[command(2, 3, &[0; 600]), command(2, 4, b"four")][..], &three_more()].concat();
    assert_eq!(read(&mut storage, 3, 7).0, expected);
    assert_eq!(found.terms.last(), LogId::new(2, 7));
}

#[test]
fn what_every_release_wrote_is_read() {
    let content_2 = [FIRST_RELEASE, &[(SNAPSHOT_PATH, SNAPSHOT_2)]].concat();
    for files in [FIRST_RELEASE, ROLLED, &content_2] {
        let disk = disk_with(files);
        let (mut storage, found) = open(&disk).unwrap();
        assert_eq!(found.hard, HardState { term: Term(2), vote: None });
        assert_eq!((found.commit_hint, found.unknown, &found.damaged[..]), (Index(3), None, &[][..]));
        assert_eq!(found.members, [members_entry(1, 1, &["127.0.0.1:9080"])]);
        let expected = [members_entry(1, 1, &["127.0.0.1:9080"]), noop(1, 2)];
        let expected = [&expected[..], &[command(2, 3, &[0; 600]), command(2, 4, b"four")]].concat();
        assert_eq!(read(&mut storage, 1, 4).0, expected);
        assert_eq!(found.terms.last(), LogId::new(2, 4));
        let meta = found.snapshot.unwrap();
        assert_eq!((meta.last, meta.members_at, meta.bytes), (LogId::new(2, 3), LogId::new(1, 1), 70_104));
        assert!(load_snapshot(&mut storage, &meta)[104..] == rows(1, 70_000));
    }
}
