//! What is done to a disk in memory behind everybody's back, and what a crash decides, one thing at a time.

use std::collections::BTreeMap;

use quorate_raft::Time;
use quorate_storage::{Disk, DiskFile, MemoryDisk, Microseconds, Pace};

const PATH: &str = "d/file";
const SECTOR: usize = 512;

/// A disk with one file, which is durable.
fn with(content: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.create_dir("d").unwrap();
    disk.create(PATH).unwrap().write_at(content, 0).unwrap();
    disk.open(PATH).unwrap().sync_data().unwrap();
    disk.sync_dir("d").unwrap();
    disk
}

/// A sector full of one letter each.
fn sectors(letters: &str) -> Vec<u8> {
    letters.bytes().flat_map(|letter| [letter; SECTOR]).collect()
}

fn write(disk: &MemoryDisk, path: &str, content: &[u8], offset: usize) {
    disk.open(path).unwrap().write_at(content, offset as u64).unwrap();
}

/// Every operation takes a while, so that there is one on its way.
fn slowly(disk: &MemoryDisk) {
    let each = Microseconds::between(100, 100);
    let none = Microseconds::default();
    disk.set_pace(Pace { read: each, write: each, page: none, sync: each, name: each }, 1);
}

#[test]
fn bytes_go_astray_to_where_it_is_said() {
    let disk = with(&sectors("abcd"));
    disk.stray(PATH, SECTOR, 2 * SECTOR..4 * SECTOR - 12);
    let mut expected = sectors("abbc");
    expected[4 * SECTOR - 12..].fill(b'd');
    assert_eq!(disk.content(PATH).unwrap(), expected);
    disk.crash(3);
    assert_eq!(disk.content(PATH).unwrap(), expected, "it is so on the medium");
}

/// What was on its way to the file when it was corrupted takes nothing back; what was on its way elsewhere does.
#[test]
fn what_corrupts_a_file_is_not_undone_by_a_crash() {
    let disk = with(&sectors("ab"));
    disk.create("d/other").unwrap().write_at(b"before", 0).unwrap();
    disk.open("d/other").unwrap().sync_data().unwrap();
    disk.sync_dir("d").unwrap();
    slowly(&disk);
    for is_synced in [false, true] {
        let disk = disk.duplicate();
        write(&disk, PATH, b"new", 0);
        write(&disk, "d/other", b"behind", 0);
        if is_synced {
            disk.open(PATH).unwrap().sync_data().unwrap();
        }
        disk.corrupt(PATH, |content| content.fill(b'!'));
        disk.kill_at(Time(0), 1);
        assert_eq!(disk.content(PATH).unwrap(), sectors("!!"));
        assert_eq!(disk.content("d/other").unwrap(), b"before", "it had not begun");
    }
}

#[test]
fn a_name_with_which_something_is_going_on_does_not_vanish() {
    let disk = with(b"x");
    disk.create_dir("elsewhere").unwrap();
    slowly(&disk);
    disk.create("elsewhere/new").unwrap();
    assert!(disk.duplicate().vanish(PATH), "what goes on elsewhere is no matter");
    disk.create("d/new").unwrap();
    assert!(!disk.vanish(PATH));
    let now = disk.clock();
    disk.begin(now);
    assert!(disk.duplicate().vanish(PATH), "it has ended");
    disk.sync_dir("d").unwrap();
    assert!(!disk.vanish(PATH));

    // Names that are as they were, after changes of which a crash may keep the first alone.
    let disk = with(b"x");
    disk.rename(PATH, "d/aside").unwrap();
    disk.rename("d/aside", PATH).unwrap();
    assert!(!disk.vanish(PATH));
    disk.sync_dir("d").unwrap();
    assert!(disk.vanish(PATH));
}

#[test]
fn what_takes_longer_than_a_stall_is_not_shortened_by_it() {
    let disk = with(b"x");
    slowly(&disk);
    disk.stall(Time(30));
    write(&disk, PATH, b"y", 0);
    assert_eq!(disk.clock(), Time(100));
    disk.stall(Time(250));
    write(&disk, PATH, b"y", 0);
    assert_eq!(disk.clock(), Time(250));
    write(&disk, PATH, b"y", 0);
    assert_eq!(disk.clock(), Time(350), "it is over");
    assert_eq!(disk.counters().stalled_operations, 1);
    disk.stall(Time(450));
    write(&disk, PATH, b"y", 0);
    assert_eq!((disk.clock(), disk.counters().stalled_operations), (Time(450), 1), "not made late");
}

#[test]
fn what_would_stand_there_anyway_is_not_at_stake() {
    let disk = with(&sectors("xab"));
    write(&disk, PATH, &sectors("ax"), SECTOR);
    assert_eq!(disk.at_stake(), 1, "the first of the two is as it was");
    let disk = with(&sectors("xab"));
    write(&disk, PATH, &sectors("n"), SECTOR);
    write(&disk, PATH, &sectors("a"), SECTOR);
    assert_eq!(disk.at_stake(), 2, "without the second the first would stand there");
}

#[test]
fn a_write_is_torn_when_a_part_of_it_is_lost() {
    for (kept, torn) in [(0..0, 0), (0..1, 1), (1..3, 1), (0..3, 0)] {
        let disk = with(&sectors("abc"));
        write(&disk, PATH, &sectors("nop"), 0);
        disk.crash_keeping(|number| kept.contains(&number));
        assert_eq!(disk.counters().torn_writes, torn, "{kept:?}");
        assert_eq!(disk.counters().sectors_lost, 3 - kept.len() as u64, "{kept:?}");
    }
}

/// Only a whole sector is put elsewhere by a drive; the last of a file is whole where the file ends.
#[test]
fn what_can_not_be_read_is_mended_by_whole_sectors() {
    let reads =
        |disk: &MemoryDisk, at: usize| disk.open(PATH).unwrap().read_at(&mut [0; 8], at as u64).is_ok();
    let disk = with(&[1; 700]);
    disk.make_unreadable(PATH, 512..700);
    assert!(!reads(&disk, 600));
    write(&disk, PATH, &[2; 188], 512);
    assert!(reads(&disk, 600));

    let disk = with(&[1; 2000]);
    disk.make_unreadable(PATH, 512..1024);
    write(&disk, PATH, &[2; 400], 512);
    assert!(!reads(&disk, 600) && !reads(&disk, 1000));
    write(&disk, PATH, &[2; 512], 512);
    assert!(reads(&disk, 600) && reads(&disk, 1000));
}

/// Of crashes one in five loses all, one keeps all, one loses nearly all, one keeps nearly all, and one about a half.
#[test]
fn crashes_are_of_five_kinds() {
    const WRITTEN: usize = 600;
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..100 {
        let disk = with(&vec![0; WRITTEN * SECTOR]);
        write(&disk, PATH, &vec![1; WRITTEN * SECTOR], 0);
        disk.crash(seed);
        let content = disk.content(PATH).unwrap();
        let kept = content.chunks(SECTOR).filter(|sector| sector[0] == 1).count();
        let kind = match kept * 256 / WRITTEN {
            0 if kept == 0 => "none",
            1..64 => "few",
            64..192 => "half",
            256 => "all",
            _ => "most",
        };
        *kinds.entry(kind).or_default() += 1;
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    assert!(kinds.values().all(|count| (10..35).contains(count)), "{kinds:?}");
}
