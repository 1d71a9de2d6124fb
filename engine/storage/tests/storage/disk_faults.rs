//! Each fault of the disk in memory by itself, and its clock.

use std::io::ErrorKind;

use quorate_raft::Time;
use quorate_storage::{Disk, DiskFile, MemoryDisk, MemoryFile, Microseconds, Operation, Pace};

fn takes(micros: u64) -> Microseconds {
    Microseconds::between(micros, micros)
}

/// Every kind of operation takes a time of its own.
fn clockwork() -> Pace {
    Pace { read: takes(10), write: takes(20), page: takes(1), sync: takes(100), name: takes(1000) }
}

/// A disk with one file `f` of four sectors, which hold 1, 2, 3 and 4; all durable.
fn four_sectors() -> (MemoryDisk, MemoryFile) {
    let disk = MemoryDisk::new();
    let file = disk.create("f").unwrap();
    for sector in 1..=4_u8 {
        file.write_at(&[sector; 512], u64::from(sector - 1) * 512).unwrap();
    }
    file.sync_data().unwrap();
    disk.sync_dir("").unwrap();
    (disk, file)
}

/// What stands in each sector, if it is the same everywhere in it.
fn sectors(content: &[u8]) -> Vec<u8> {
    let uniform = |sector: &[u8]| {
        assert!(sector.iter().all(|byte| *byte == sector[0]), "a torn sector: {sector:?}");
        sector[0]
    };
    content.chunks(512).map(uniform).collect()
}

fn read(file: &MemoryFile, offset: u64, bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    let count = file.read_at(&mut buffer, offset)?;
    buffer.truncate(count);
    Ok(buffer)
}

#[test]
fn operations_follow_one_another_and_take_their_time() {
    let (disk, file) = four_sectors();
    assert_eq!(disk.clock(), Time(0), "no pace, no time");
    disk.set_pace(clockwork(), 1);
    disk.begin(Time(500));
    assert_eq!(disk.clock(), Time(500));
    read(&file, 0, 1).unwrap();
    assert_eq!(disk.clock(), Time(511));
    file.write_at(&[0; 4097], 0).unwrap();
    assert_eq!(disk.clock(), Time(533), "two pages");
    file.sync_data().unwrap();
    disk.sync_dir("").unwrap();
    assert_eq!(disk.clock(), Time(733));
    disk.rename("f", "g").unwrap();
    disk.list("").unwrap();
    assert_eq!(disk.clock(), Time(2733));
    disk.begin(Time(600));
    disk.slow(3);
    file.sync_data().unwrap();
    assert_eq!(disk.clock(), Time(3033), "after the last one, and slowly");
    disk.begin(Time(5000));
    disk.stall(Time(9000));
    read(&file, 0, 1).unwrap();
    assert_eq!(disk.clock(), Time(9000));
    assert_eq!(disk.counters().stalled_operations, 1);
    disk.mend();
    read(&file, 0, 1).unwrap();
    assert_eq!(disk.clock(), Time(9011));
}

#[test]
fn a_pace_draws_from_its_ranges_and_its_seed() {
    let clocks = |seed| {
        let (disk, file) = four_sectors();
        disk.set_pace(Pace { sync: Microseconds::between(50, 60), ..Pace::default() }, seed);
        let after = |_| {
            let before = disk.clock();
            file.sync_data().unwrap();
            disk.clock().0 - before.0
        };
        (0..200).map(after).collect::<Vec<u64>>()
    };
    let taken = clocks(7);
    assert_eq!((taken.iter().min(), taken.iter().max()), (Some(&50), Some(&60)));
    assert_eq!(taken, clocks(7));
    assert_ne!(taken, clocks(8));
}

#[test]
fn a_crash_undoes_what_had_not_ended() {
    let (disk, file) = four_sectors();
    disk.set_pace(clockwork(), 1);
    disk.begin(Time(1000));
    file.write_at(&[9; 512], 0).unwrap();
    file.sync_data().unwrap();
    let synced = disk.clock();
    file.write_at(&[8; 512], 512).unwrap();
    file.sync_data().unwrap();
    disk.create_dir("late").unwrap();
    assert_eq!(sectors(&disk.durable_content("f").unwrap()), [1, 2, 3, 4], "nothing has ended yet");
    disk.crash_at(synced, 3);
    assert_eq!(sectors(&disk.content("f").unwrap()), [9, 2, 3, 4]);
    assert_eq!(disk.clock(), synced);
    assert_eq!(disk.list("late").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.counters().operations_undone, 3);
}

#[test]
fn of_a_sync_in_progress_any_part_is_done() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let (disk, file) = four_sectors();
        disk.set_pace(clockwork(), 1);
        disk.begin(Time(1000));
        file.write_at(&[9; 1024], 0).unwrap();
        file.sync_data().unwrap();
        disk.crash_at(Time(disk.clock().0 - 1), seed);
        seen.insert(sectors(&disk.content("f").unwrap()));
    }
    assert_eq!(seen, [[1, 2, 3, 4], [1, 9, 3, 4], [9, 2, 3, 4], [9, 9, 3, 4]].map(Vec::from).into());
}

#[test]
fn a_kill_leaves_what_was_done_and_a_part_of_what_was_being_done() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let (disk, file) = four_sectors();
        disk.set_pace(clockwork(), 1);
        disk.begin(Time(1000));
        file.write_at(&[9; 512], 1536).unwrap();
        file.write_at(&[8; 1024], 0).unwrap();
        disk.kill_at(Time(disk.clock().0 - 1), seed);
        let left = sectors(&disk.content("f").unwrap());
        assert_eq!(left[3], 9);
        seen.insert(left[..2].to_vec());
        assert_eq!(sectors(&disk.durable_content("f").unwrap()), [1, 2, 3, 4]);
    }
    assert_eq!(seen, [[1, 2], [8, 2], [8, 8]].map(Vec::from).into(), "from the beginning on");
}

#[test]
fn without_power_nothing_works() {
    let (disk, file) = four_sectors();
    disk.cut_power_at(disk.changes() + 1);
    file.write_at(&[9; 512], 0).unwrap();
    assert_eq!(sectors(&read(&file, 0, 512).unwrap()), [9], "it goes right before the next change");
    file.sync_data().unwrap_err();
    read(&file, 0, 512).unwrap_err();
    file.len().unwrap_err();
    disk.open("f").unwrap_err();
    disk.list("").unwrap_err();
    disk.rename("f", "g").unwrap_err();
    let counters = disk.counters();
    assert_eq!((counters.syncs, counters.reads, counters.failed_reads), (1, 1, 0), "nobody was there to ask");
    disk.crash(1);
    assert_eq!(read(&disk.open("f").unwrap(), 512, 512).unwrap(), [2; 512]);
}

#[test]
fn one_operation_fails_and_the_next_does_not() {
    let (disk, file) = four_sectors();
    disk.fail(Operation::Write, 1);
    disk.fail(Operation::Write, 1);
    disk.fail(Operation::Read, 0);
    disk.fail(Operation::Name, 0);
    let writes = [9, 8, 7, 6].map(|byte| file.write_at(&[byte; 512], 0).is_ok());
    assert_eq!(writes, [true, false, false, true]);
    assert!(read(&file, 0, 1).is_err() && read(&file, 0, 1).is_ok());
    assert!(disk.rename("f", "g").is_err() && disk.rename("f", "g").is_ok());
    disk.fail(Operation::SyncDirectory, 0);
    assert!(file.sync_data().is_ok(), "that is another kind");
    assert!(disk.sync_dir("").is_err() && disk.sync_dir("").is_ok());
    disk.crash(1);
    assert_eq!(disk.files(), ["f"], "the second success proved nothing");
    let counters = disk.counters();
    let failed = (counters.failed_reads, counters.failed_writes, counters.failed_syncs);
    assert_eq!((failed, counters.failed_name_operations), ((1, 2, 1), 1));
}

#[test]
fn a_crash_or_a_mend_disarms() {
    for crash in [true, false] {
        let (disk, file) = four_sectors();
        disk.fail(Operation::Sync, 0);
        disk.misdirect_write(0, 512);
        disk.fail_syncs(true);
        if crash {
            disk.crash(1);
        } else {
            disk.mend();
        }
        file.write_at(&[9; 512], 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(sectors(&disk.durable_content("f").unwrap()), [9, 2, 3, 4]);
    }
}

#[test]
fn disarmed_faults_do_not_strike_and_lasting_ones_stay() {
    let (disk, file) = four_sectors();
    disk.set_pace(clockwork(), 1);
    disk.set_capacity(Some(2048));
    disk.slow(2);
    disk.fail(Operation::Write, 0);
    disk.fail_below("f", Operation::Read, 1);
    disk.misdirect_read(0, 512);
    disk.fail_syncs(true);
    disk.disarm();
    assert_eq!(read(&file, 0, 1).unwrap(), [1]);
    read(&file, 0, 1).unwrap();
    assert_eq!(disk.clock(), Time(44), "still slow");
    file.write_at(&[9; 512], 0).unwrap();
    file.write_at(&[9], 2048).unwrap_err();
    file.sync_data().unwrap_err();
}

/// Each fault below a prefix counts and strikes only what is there: by the name that a file has now, and for
/// directories by their own.
#[test]
fn a_fault_below_a_prefix_strikes_only_there() {
    let disk = MemoryDisk::new();
    disk.create_dir("log").unwrap();
    disk.create_dir("snaps").unwrap();
    let [log, snap] = ["log/a", "snaps/a"].map(|path| {
        let file = disk.create(path).unwrap();
        file.write_at(&[1; 512], 0).unwrap();
        file.write_at(&[2; 512], 512).unwrap();
        file
    });
    disk.fail_below("snaps/", Operation::Write, 1);
    let writes = [&log, &snap, &log, &log, &snap, &snap].map(|file| file.write_at(&[1], 0).is_ok());
    assert_eq!(writes, [true, true, true, true, false, true]);
    disk.misdirect_read_below("log/", 0, 512);
    let reads = [&snap, &log, &log].map(|file| read(file, 0, 1).unwrap()[0]);
    assert_eq!(reads, [1, 2, 1]);
    disk.misdirect_write_below("snaps/", 0, 512);
    log.write_at(&[8; 512], 0).unwrap();
    snap.write_at(&[9; 512], 0).unwrap();
    assert_eq!(sectors(&disk.content("snaps/a").unwrap())[1], 9);
    assert_eq!(sectors(&disk.content("log/a").unwrap()), [8, 2]);
    disk.fail_below("snaps/", Operation::SyncDirectory, 0);
    disk.fail_below("snaps/", Operation::Name, 1);
    disk.sync_dir("log").unwrap();
    disk.sync_dir("snaps").unwrap_err();
    disk.list("log").unwrap();
    disk.list("snaps").unwrap();
    disk.remove("snaps/a").unwrap_err();
    disk.rename("snaps/a", "snaps/b").unwrap();
    disk.fail_below("snaps/a", Operation::Sync, 0);
    snap.sync_data().unwrap();
    disk.fail_below("snaps/b", Operation::Sync, 0);
    snap.sync_data().unwrap_err();
    disk.fail_below("snaps/", Operation::Read, 0);
    disk.remove("snaps/b").unwrap();
    read(&snap, 0, 1).expect("a file without a name is below nothing");
}

#[test]
fn a_write_lands_elsewhere() {
    let (disk, file) = four_sectors();
    disk.misdirect_write(0, 1024);
    file.write_at(&[9; 2048], 0).unwrap();
    assert_eq!(sectors(&disk.content("f").unwrap()), [9, 9, 9, 9], "there is nowhere else for it");
    file.write_at(&[8; 512], 512).unwrap();
    assert_eq!(sectors(&disk.content("f").unwrap()), [9, 9, 9, 8]);
    disk.misdirect_write(0, 1024);
    file.write_at(&[7; 512], 1024).unwrap();
    assert_eq!(sectors(&disk.content("f").unwrap()), [7, 9, 9, 8], "no room behind, so before it");
    assert_eq!(disk.counters().misdirected_writes, 2);
}

#[test]
fn a_read_comes_from_elsewhere_once() {
    let (disk, file) = four_sectors();
    disk.misdirect_read(1, 512);
    let found = [0, 0, 0].map(|offset| read(&file, offset, 512).unwrap()[0]);
    assert_eq!(found, [1, 2, 1]);
    assert_eq!(disk.counters().misdirected_reads, 1);
}

#[test]
fn what_cannot_be_read_can_be_written() {
    let (disk, file) = four_sectors();
    disk.make_unreadable("f", 600..1100);
    assert!(read(&file, 0, 600).is_ok() && read(&file, 0, 601).is_err() && read(&file, 1100, 10).is_ok());
    file.write_at(&[9; 511], 512).unwrap();
    assert!(read(&file, 512, 512).is_err(), "a part of a sector mends nothing");
    file.write_at(&[9; 512], 512).unwrap();
    assert!(read(&file, 512, 512).is_ok() && read(&file, 1024, 1).is_err());
    file.write_at(&[9; 1024], 1024).unwrap();
    assert_eq!(sectors(&read(&file, 0, 4096).unwrap()), [1, 9, 9, 9]);
    assert_eq!(disk.counters().failed_reads, 3);
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (disk, file) = four_sectors();
    disk.set_capacity(Some(2148));
    let full = |result: std::io::Result<()>| result.unwrap_err().kind() == ErrorKind::StorageFull;
    assert!(full(file.write_at(&[9; 512], 1948)));
    assert_eq!((disk.len("f"), disk.bytes_used()), (Some(2148), 2148));
    assert_eq!(disk.content("f").unwrap()[1948..], [9; 200]);
    file.write_at(&[8; 2148], 0).unwrap();
    assert!(full(file.write_at(&[7], 2148)) && full(disk.create("g").map(drop)));
    assert_eq!(disk.counters().refused_for_space, 3);
    disk.remove("f").unwrap();
    assert_eq!((disk.files(), disk.bytes_used()), (vec![], 2148), "it is still open");
    assert!(full(disk.create("g").map(drop)));
    drop(file);
    disk.create("g").unwrap().write_at(&[7; 2148], 0).unwrap();
}

#[test]
fn a_short_write_fails_and_leaves_its_beginning() {
    let (disk, file) = four_sectors();
    disk.cut_write_short(0, 600);
    file.write_at(&[9; 1024], 0).unwrap_err();
    let content = disk.content("f").unwrap();
    assert!(content[..600] == [9; 600] && content[600..1024] == [2; 424]);
    assert_eq!((disk.counters().short_writes, disk.counters().failed_writes), (1, 1));
}

#[test]
fn rot_outlasts_syncs_and_crashes() {
    for crash in [true, false] {
        let (disk, file) = four_sectors();
        disk.set_pace(clockwork(), 1);
        disk.begin(Time(1000));
        file.write_at(&[9; 2048], 0).unwrap();
        file.sync_data().unwrap();
        disk.zero("f", 0..512);
        disk.flip_bit("f", 512 * 8);
        disk.garbage("f", 1024..1536, 6);
        let ended = disk.clock();
        if crash {
            disk.crash_at(ended, 1);
        } else {
            disk.kill_at(Time(1000), 1);
        }
        let content = disk.content("f").unwrap();
        let old = if crash { 9 } else { 2 };
        assert!(content[..512] == [0; 512] && content[512] == old ^ 1 && content[513] == old);
        assert!(content[1024..1536].iter().filter(|byte| [3, 9].contains(*byte)).count() < 20);
        assert_eq!(disk.counters().bytes_rotted, 1025);
    }
}

#[test]
fn an_open_file_outlives_its_name() {
    let (disk, file) = four_sectors();
    let other = file.clone();
    disk.remove("f").unwrap();
    disk.sync_dir("").unwrap();
    drop(file);
    disk.crash(1);
    other.write_at(&[9; 512], 4096).unwrap();
    assert_eq!(read(&other, 2048, 512).unwrap(), [0; 512], "a gap reads as zeros");
    assert_eq!(disk.files(), [""; 0]);
}

/// What a crash may keep or lose can be counted, and chosen thing by thing.
#[test]
fn the_host_chooses_what_a_crash_keeps() {
    let (disk, file) = four_sectors();
    assert_eq!(disk.at_stake(), 0);
    let before = disk.fingerprint();
    file.write_at(&[9; 512], 0).unwrap();
    file.write_at(&[2; 512], 512).unwrap();
    file.write_at(&[1; 512], 0).unwrap();
    disk.create("g").unwrap();
    assert_eq!(disk.at_stake(), 3, "what was there already is not at stake, unless it takes another's place");
    assert_eq!(disk.fingerprint(), before, "nothing of that is durable");
    let outcomes = (0..8_u8).map(|subset| {
        let disk = disk.duplicate();
        disk.crash_keeping(|number| subset >> number & 1 == 1);
        assert_eq!(disk.at_stake(), 0);
        (sectors(&disk.content("f").unwrap())[0], disk.files().len(), disk.fingerprint() == before)
    });
    let same = |first, files| (first, files, first == 1 && files == 1);
    let expected = [(1, 1), (9, 1), (1, 1), (1, 1), (1, 2), (9, 2), (1, 2), (1, 2)];
    assert!(outcomes.eq(expected.map(|(first, files)| same(first, files))));
}

#[test]
fn a_file_vanishes_for_good_but_for_those_who_have_it_open() {
    let (disk, file) = four_sectors();
    assert!(!disk.vanish("nothing"));
    disk.create("new").unwrap().write_at(&[1; 512], 0).unwrap();
    assert!(!disk.vanish("new"), "its name is not durable");
    assert!(disk.vanish("f"));
    assert_eq!((disk.files(), disk.counters().files_vanished), (vec!["new".to_owned()], 1));
    file.write_at(&[9; 512], 0).unwrap();
    let mut read = [0; 512];
    file.read_at(&mut read, 0).unwrap();
    assert_eq!(read, [9; 512]);
    drop(file);
    disk.sync_dir("").unwrap();
    disk.rename("new", "old").unwrap();
    assert!(!disk.vanish("old") && !disk.vanish("new"), "the name that a crash brings back is another");
    disk.crash(1);
    assert_eq!(disk.content("f"), None);
}
