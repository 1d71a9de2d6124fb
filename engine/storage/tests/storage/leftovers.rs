//! What a start finds of files that were dropped.

use quorate_raft::{Index, LogId, Write};
use quorate_storage::{Disk, DiskFile};

use crate::common::{append, command, noop, open, perform, rows, settle, started, take, whole, write};

/// A crash came when a checkpoint had taken the log's place, before the removal of what it replaced was durable.
#[test]
fn a_segment_that_is_older_than_the_log_is_removed_at_a_start() {
    let (disk, mut storage) = started();
    for index in 1..=4 {
        append(&mut storage, &[command(1, index, &[7; 3000])]);
    }
    let (draft, ..) = whole(LogId::new(1, 4), Default::default(), LogId::ZERO, &rows(1, 1000));
    let meta = take(&mut storage, draft).unwrap();
    settle(&mut storage);
    let oldest = disk.files().into_iter().find(|path| path.ends_with(".log")).unwrap();
    let content = disk.content(&oldest).unwrap();
    perform(
        &mut storage,
        vec![Write { install: Some(Box::new(meta)), append: vec![noop(1, 5)], ..write(2) }],
    )
    .unwrap();
    settle(&mut storage);
    drop(storage);
    disk.create(&oldest).unwrap().write_at(&content, 0).unwrap();
    let (_, found) = open(&disk).unwrap();
    assert_eq!((found.terms.base().index, found.terms.last().index), (Index(4), Index(5)));
    assert!(!disk.files().contains(&oldest), "{:?}", disk.files());
}
