//! A term in place of one that is lost.

use std::fs;

use quorate_raft::{HardState, Term};
use quorate_storage::{
    Disk, DiskFile, FileDisk, MemoryDisk, OpenError, Options, Storage, Survey, write_term_anew,
};

use crate::common::{append, command, ids, open, vote};

/// A log whose last entry is of term 3, of a node that has voted in term 5.
fn node() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 3);
    append(&mut storage, &[command(1, 1, &[1]), command(3, 2, &[2])]);
    vote(&mut storage, 5);
    disk
}

fn garble(disk: &MemoryDisk, path: &str) {
    let file = disk.open(path).or_else(|_| disk.create(path)).unwrap();
    file.write_at(&[0xa5; 512], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(path.split('/').next().unwrap()).unwrap();
}

fn garble_both(disk: &MemoryDisk) {
    ["stable/a", "stable/b"].iter().for_each(|path| garble(disk, path));
}

fn remove(disk: &MemoryDisk, path: &str) {
    disk.remove(path).unwrap();
    disk.sync_dir(path.split('/').next().unwrap()).unwrap();
}

#[test]
fn it_is_above_all_in_the_log_and_nobody_has_its_vote() {
    let losses: [fn(&MemoryDisk); 2] =
        [garble_both, |disk| ["stable/a", "stable/b"].iter().for_each(|path| remove(disk, path))];
    for lose in losses {
        let disk = node();
        let before = ids(&open(&disk).unwrap().1);
        lose(&disk);
        assert!(matches!(open(&disk), Err(OpenError::TermAndVoteLost)));
        assert_eq!(write_term_anew(&disk).unwrap(), Some(Term(4)));
        let written = Survey::take(&disk, &mut |_| {}).unwrap().stable;
        assert_eq!(written.map(|value| value.unwrap().sequence), [1, 1], "the first value of all");
        let (_, found) = open(&disk).unwrap();
        assert_eq!(found.hard, HardState { term: Term(4), vote: None });
        assert_eq!((ids(&found), found.unknown), (before, None));
        assert_eq!(write_term_anew(&disk).unwrap(), None, "once");
    }
}

#[test]
fn sectors_that_the_drive_can_not_deliver_are_lost() {
    let disk = node();
    ["stable/a", "stable/b"].iter().for_each(|path| disk.make_unreadable(path, 0..512));
    assert!(matches!(open(&disk), Err(OpenError::TermAndVoteLost)));
    assert_eq!(write_term_anew(&disk).unwrap(), Some(Term(4)));
}

/// Nothing is known of what they hold.
#[test]
fn files_that_the_system_does_not_let_be_opened_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FileDisk::new(folder.path());
    let options = || Options::new(7);
    Storage::open(disk.clone(), options()).unwrap();
    for unopened in [&["a"][..], &["a", "b"]] {
        for name in unopened {
            let path = folder.path().join("stable").join(name);
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(name, &path).unwrap();
        }
        let opened = Storage::open(disk.clone(), options());
        assert!(matches!(opened, Err(OpenError::Unread { path: "stable/a", .. })), "{unopened:?}");
        assert!(matches!(write_term_anew(&disk), Err(OpenError::Unread { .. })), "{unopened:?}");
        assert!(
            folder.path().join("stable/a").symlink_metadata().unwrap().is_symlink(),
            "nothing is changed"
        );
    }
}

/// What it names was applied here, whatever became of the file and of the log.
#[test]
fn it_is_above_that_of_a_checkpoint_that_is_damaged() {
    for name in ["0000000000000009-0000000000000007.snap", "0000000000000009-0000000000000007.snap.damaged"] {
        let disk = node();
        garble(&disk, &format!("snaps/{name}"));
        garble_both(&disk);
        assert_eq!(write_term_anew(&disk).unwrap(), Some(Term(8)), "{name}");
    }
}

/// Somebody else put them there.
#[test]
fn what_no_node_can_have_named_says_nothing() {
    for name in [
        "snaps/ffffffffffffffff-ffffffffffffffff.snap",
        "snaps/0000000000000009-ffffffffffffffff.snap.damaged",
        "snaps/fffffffffffffffe-0000000000000001.snap",
        "snaps/9-7.snap",
        "log/ffffffff.log",
        "log/ffffffff.spare",
        "log/ffffffff.filling",
    ] {
        let disk = node();
        garble(&disk, name);
        garble_both(&disk);
        assert_eq!(write_term_anew(&disk).unwrap(), Some(Term(4)), "{name}");
        assert_eq!(open(&disk).unwrap().1.hard.term, Term(4), "{name}");
    }
}

#[test]
fn with_one_file_that_is_sound_or_nothing_at_all_there_is_nothing_to_do() {
    let disk = node();
    garble(&disk, "stable/a");
    let content = || disk.files().iter().map(|path| disk.content(path)).collect::<Vec<_>>();
    let before = content();
    assert_eq!(write_term_anew(&disk).unwrap(), None);
    assert!(content() == before && open(&disk).unwrap().1.hard.term == Term(5));
    assert_eq!(write_term_anew(&MemoryDisk::new()).unwrap(), None);
}

#[test]
fn without_a_log_nothing_tells_which() {
    let disk = node();
    garble_both(&disk);
    disk.files().iter().filter(|path| path.ends_with(".log")).for_each(|path| remove(&disk, path));
    assert!(matches!(write_term_anew(&disk), Err(OpenError::LogLost { .. })));
    assert!(matches!(open(&disk), Err(OpenError::TermAndVoteLost)), "and nothing is made up");
}

#[test]
fn a_power_cut_leaves_what_was_lost_or_what_is_new() {
    let lost = node();
    garble_both(&lost);
    let (mut cuts, mut kept) = (0, 0);
    for after in 0.. {
        let mut is_whole = false;
        for seed in 0..6 {
            let disk = lost.duplicate();
            disk.cut_power_at(disk.changes() + after);
            is_whole = write_term_anew(&disk).is_ok();
            disk.crash(seed);
            match open(&disk) {
                Ok((_, found)) => assert_eq!(found.hard, HardState { term: Term(4), vote: None }),
                Err(error) => {
                    assert!(
                        matches!(error, OpenError::TermAndVoteLost) && !is_whole,
                        "{after} {seed}: {error}"
                    );
                    kept += 1;
                }
            }
            write_term_anew(&disk).unwrap();
            assert_eq!(open(&disk).unwrap().1.hard.term, Term(4), "{after} {seed}");
            cuts += 1;
        }
        if is_whole {
            break;
        }
    }
    assert!(kept > 0 && cuts > kept, "{kept} of {cuts} cuts left what was lost");
}
