//! What goes bad at rest is found by reading on, without anybody asking for it.

use quorate_raft::{Done, LogId, SnapshotMeta};
use quorate_storage::{Disk, DiskFile, Finding, Job, MemoryDisk, Storage};

use crate::common::{
    append, changed_sectors, command, newest_segment, noop, open, read, rows, settle, started, take, vote,
    whole,
};

/// Reads everything at rest once, and says what came of it.
fn round(storage: &mut Storage<MemoryDisk>) -> (Vec<Done>, Vec<Finding>) {
    let rounds = storage.scrubbed().rounds;
    let mut done = Vec::new();
    while storage.scrubbed().rounds == rounds {
        done.extend(storage.perform(vec![Job::Tend { scrub_bytes: 1000 }]).unwrap());
        done.extend(settle(storage));
    }
    (done, storage.take_findings())
}

/// Twelve slots in some segments.
fn twelve_slots() -> (MemoryDisk, Storage<MemoryDisk>) {
    let (disk, mut storage) = started();
    for index in 1..=12 {
        append(&mut storage, &[command(1, index, &[3; 3000])]);
    }
    settle(&mut storage);
    (disk, storage)
}

fn logs(disk: &MemoryDisk) -> Vec<String> {
    disk.files().into_iter().filter(|path| path.ends_with(".log")).collect()
}

#[test]
fn a_sound_disk_is_read_to_its_end_and_nothing_is_found() {
    let (disk, mut storage) = twelve_slots();
    let before = disk.changes();
    assert_eq!(round(&mut storage), (vec![], vec![]));
    assert!(storage.scrubbed().bytes > 12 * 3000, "{:?}", storage.scrubbed());
    assert_eq!(disk.changes(), before, "nothing is written");
}

#[test]
fn so_much_is_read_as_is_allowed() {
    let (disk, mut storage) = twelve_slots();
    let reads = disk.counters().reads;
    assert_eq!(storage.perform(vec![Job::Tend { scrub_bytes: 0 }]).unwrap(), []);
    assert_eq!((disk.counters().reads, storage.busy()), (reads, false));
    for calls in 1.. {
        storage.perform(vec![Job::Tend { scrub_bytes: 4000 }]).unwrap();
        settle(&mut storage);
        if storage.scrubbed().rounds > 0 {
            // Two slots a call, and the headers, which are read whole.
            assert!((6..=20).contains(&calls), "{calls} calls");
            break;
        }
        // Term and vote, a whole header, or two slots.
        assert!(storage.scrubbed().bytes <= calls * (64 << 10), "{calls} calls: {:?}", storage.scrubbed());
    }
}

/// Flips a bit in each sector of a segment in turn.
#[test]
fn every_bad_sector_of_a_record_is_found_and_reported_once() {
    let (disk, storage) = twelve_slots();
    drop(storage);
    let path = logs(&disk).remove(0);
    let records = 8192..disk.len(&path).unwrap();
    let mut found = 0;
    for sector in records.step_by(512) {
        let disk = disk.duplicate();
        let Ok((mut storage, _)) = open(&disk) else { panic!("a sound log opens") };
        settle(&mut storage);
        disk.flip_bit(&path, sector * 8 + 77);
        let (done, findings) = round(&mut storage);
        let damaged: Vec<LogId> = done
            .iter()
            .filter_map(|done| if let Done::Damaged(id) = done { Some(*id) } else { None })
            .collect();
        assert_eq!(findings.len(), damaged.len(), "{findings:?}");
        for (finding, id) in findings.iter().zip(&damaged) {
            assert!(matches!(finding, Finding::Slot { id: of, path: at, .. } if of == id && *at == path));
        }
        found += damaged.len();
        assert_eq!(round(&mut storage), (vec![], vec![]), "what is known is not reported again");
    }
    // Two slots of six sectors and a bit, of which padding hurts nobody; the rest of the segment is zeros.
    assert!((12..=14).contains(&found), "{found} found");
}

#[test]
fn a_repaired_slot_is_sound_again() {
    let (disk, mut storage) = twelve_slots();
    let path = logs(&disk).remove(0);
    disk.garbage(&path, 9000..9100, 4);
    let (done, _) = round(&mut storage);
    let [Done::Damaged(id)] = done[..] else { panic!("{done:?}") };
    let repaired = command(1, id.index.0, &[3; 3000]);
    let repair = quorate_raft::Write { repair: vec![repaired], ..crate::common::write(13) };
    crate::common::perform(&mut storage, vec![repair]).unwrap();
    assert_eq!(round(&mut storage), (vec![], vec![]));
    assert_eq!(read(&mut storage, 1, 12).1, []);
}

#[test]
fn a_header_is_mended_from_its_other_copy() {
    let (disk, mut storage) = twelve_slots();
    for path in [logs(&disk).remove(0), newest_segment(&disk)] {
        let sound = disk.content(&path).unwrap();
        for copy in [0, 4096] {
            disk.garbage(&path, copy..copy + 512, 9);
            let (done, findings) = round(&mut storage);
            assert_eq!((done, findings), (vec![], vec![Finding::HeaderMended { path: path.clone() }]));
            assert_eq!(disk.durable_content(&path).unwrap()[..8192], sound[..8192]);
        }
        let duplicate = disk.duplicate();
        duplicate.make_unreadable(&path, 0..4096);
        let (mut storage, _) = open(&duplicate).unwrap();
        settle(&mut storage);
        let (_, findings) = round(&mut storage);
        assert!(
            findings.iter().all(|finding| matches!(finding, Finding::HeaderMended { .. })),
            "{findings:?}"
        );
    }
}

#[test]
fn a_header_without_a_sound_copy_is_reported() {
    let (disk, mut storage) = twelve_slots();
    let path = logs(&disk).remove(0);
    disk.garbage(&path, 0..8192, 9);
    let (done, findings) = round(&mut storage);
    assert_eq!((done, findings), (vec![], vec![Finding::HeaderLost { path }]));
    assert_eq!(round(&mut storage).1, [], "once is enough");
    assert_eq!(read(&mut storage, 1, 12).1, [], "as long as the node runs, its slots can be read");
}

#[test]
fn term_and_vote_are_mended_from_memory() {
    for (bad, mended) in [(&["stable/a"][..], 1), (&["stable/b"], 1), (&["stable/a", "stable/b"], 2)] {
        let (disk, mut storage) = started();
        append(&mut storage, &[noop(1, 1)]);
        settle(&mut storage);
        let sound = disk.content("stable/a").unwrap();
        bad.iter().for_each(|path| disk.garbage(path, 0..512, 5));
        let (done, findings) = round(&mut storage);
        assert_eq!((done, findings.len()), (vec![], mended), "{findings:?}");
        for path in ["stable/a", "stable/b"] {
            assert_eq!(disk.durable_content(path).unwrap(), sound, "{path}");
        }
    }
}

/// Both are whole, and agree: on what is no longer so.
#[test]
fn an_older_term_and_vote_in_both_files_is_written_over() {
    let (disk, mut storage) = started();
    settle(&mut storage);
    let paths = ["stable/a", "stable/b"];
    let older = paths.map(|path| disk.content(path).unwrap());
    vote(&mut storage, 2);
    let sound = disk.content("stable/a").unwrap();
    for (path, older) in paths.iter().zip(&older) {
        disk.open(path).unwrap().write_at(older, 0).unwrap();
    }
    assert_eq!(round(&mut storage).1, paths.map(|path| Finding::StableMended { path }));
    for path in paths {
        assert_eq!(disk.durable_content(path).unwrap(), sound, "{path}");
    }
}

/// Slots without a payload; each counts as a header and the byte that says what it is.
const SLOT_BYTES: u64 = 97;
/// Term and vote, and a segment's header.
const OTHER_BYTES: u64 = 1024 + 8192;

#[test]
fn slots_are_read_one_by_one_when_no_more_is_allowed() {
    for bad in 0..=3 {
        let (disk, mut storage) = started();
        let places = [1, 2, 3]
            .map(|index| changed_sectors(&disk, || append(&mut storage, &[noop(1, index)])).1.start as u64);
        settle(&mut storage);
        let path = newest_segment(&disk);
        if bad > 0 {
            disk.flip_bit(&path, (places[bad - 1] + 30) * 8);
        }
        let mut tend = |scrub_bytes| {
            let mut done = storage.perform(vec![Job::Tend { scrub_bytes }]).unwrap();
            done.extend(settle(&mut storage));
            (done, storage.scrubbed().bytes)
        };
        assert_eq!(tend(OTHER_BYTES + 1), (vec![], OTHER_BYTES), "what is behind the last header is nothing");
        let mut read = OTHER_BYTES;
        for index in 1..=3 {
            let is_bad = index == bad as u64;
            // Of a bad one nothing but the header counts.
            let slot_bytes = SLOT_BYTES - u64::from(is_bad);
            read += slot_bytes;
            let damaged = is_bad.then_some(Done::Damaged(LogId::new(1, index)));
            assert_eq!(tend(slot_bytes), (Vec::from_iter(damaged), read), "slot {index}, bad {bad}");
        }
    }
}

/// However much is allowed: everything once, and no more before the host asks again. And no call reads for long.
#[test]
fn a_round_ends_with_what_is_allowed_and_each_call_with_its_slice() {
    let (_, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    settle(&mut storage);
    for rounds in 1..=3 {
        storage.perform(vec![Job::Tend { scrub_bytes: 1 << 30 }]).unwrap();
        settle(&mut storage);
        let scrubbed = storage.scrubbed();
        assert_eq!((scrubbed.rounds, scrubbed.bytes), (rounds, rounds * (OTHER_BYTES + SLOT_BYTES)));
    }

    let (_, mut storage) = started();
    append(&mut storage, &(1..=200).map(|index| command(1, index, &[3; 3000])).collect::<Vec<_>>());
    settle(&mut storage);
    storage.perform(vec![Job::Tend { scrub_bytes: 1 << 30 }]).unwrap();
    let mut calls = 0;
    while storage.scrubbed().rounds == 0 {
        let before = storage.scrubbed().bytes;
        storage.perform(Vec::new()).unwrap();
        // A slice, and what was begun in it.
        let read = storage.scrubbed().bytes - before;
        assert!(read <= 16 << 10, "{read} bytes in a call");
        calls += 1;
    }
    assert!(calls > 40, "{calls} calls");
}

#[test]
fn a_file_of_term_and_vote_that_vanished_is_written_again() {
    let (disk, mut storage) = started();
    settle(&mut storage);
    quorate_storage::Disk::remove(&disk, "stable/b").unwrap();
    assert_eq!(round(&mut storage).1, [Finding::StableMended { path: "stable/b" }]);
    disk.crash(1);
    assert_eq!(disk.content("stable/a"), disk.content("stable/b"));
}

/// One bad read among good ones is none.
#[test]
fn what_reads_well_the_second_time_is_not_bad() {
    let (disk, mut storage) = twelve_slots();
    for other in 0..8 {
        disk.fail(quorate_storage::Operation::Read, other);
        assert_eq!(round(&mut storage), (vec![], vec![]), "read {other}");
        disk.disarm();
    }
}

/// A checkpoint of some blocks, and an older one with a run of its own.
fn two_checkpoints() -> (MemoryDisk, Storage<MemoryDisk>, SnapshotMeta) {
    let (disk, mut storage) = twelve_slots();
    let mut newest = None;
    for index in [5, 10] {
        let last = LogId::new(1, index);
        let (draft, ..) = whole(last, Default::default(), LogId::ZERO, &rows(index, 200_000));
        newest = Some(take(&mut storage, draft).unwrap());
        settle(&mut storage);
    }
    (disk, storage, newest.unwrap())
}

fn snaps(disk: &MemoryDisk, end: &str) -> Vec<String> {
    disk.files().into_iter().filter(|path| path.starts_with("snaps/") && path.ends_with(end)).collect()
}

#[test]
fn a_bad_manifest_is_mended_from_memory() {
    let (disk, mut storage, meta) = two_checkpoints();
    let sound = disk.duplicate();
    for manifest in snaps(&disk, ".snap") {
        disk.flip_bit(&manifest, 333);
        assert_eq!(round(&mut storage), (vec![], vec![Finding::ManifestMended { path: manifest.clone() }]));
        assert_eq!(disk.durable_content(&manifest), sound.durable_content(&manifest));
    }
    assert_eq!(round(&mut storage), (vec![], vec![]));
    drop(storage);
    assert_eq!(open(&disk).unwrap().1.snapshot, Some(meta));
}

/// Whatever of a run is bad, it is found in every round; the node hears of it if the newest checkpoint has it. When
/// there is one that is whole, nothing bad is kept.
#[test]
fn a_bad_run_is_found_and_goes_with_the_next_checkpoint() {
    let (disk, storage, meta) = two_checkpoints();
    drop(storage);
    for run in snaps(&disk, ".run") {
        let end = disk.len(&run).unwrap() * 8 - 3;
        for (bit, at) in [(100, 0), (512 * 8, 512), ((512 + 70_000) * 8, 512 + (64 << 10)), (end, 0)] {
            let disk = disk.duplicate();
            let (mut storage, _) = open(&disk).unwrap();
            settle(&mut storage);
            disk.flip_bit(&run, bit);
            let (done, findings) = round(&mut storage);
            let [Finding::RunLost { path, offset }] = &findings[..] else { panic!("{findings:?}") };
            assert_eq!((path, *offset), (&run, at), "bit {bit}");
            match &done[..] {
                [] => {}
                [Done::SnapshotLost(last)] => assert_eq!(*last, meta.last),
                other => panic!("{other:?}"),
            }
            assert_eq!(round(&mut storage), (done, findings), "it is said once a round");
            let last = LogId::new(1, 12);
            let (draft, ..) = whole(last, Default::default(), LogId::ZERO, &rows(12, 1000));
            let newest = take(&mut storage, draft).unwrap();
            settle(&mut storage);
            assert!(!disk.files().contains(&run), "{:?}", disk.files());
            assert_eq!(round(&mut storage), (vec![], vec![]));
            drop(storage);
            assert_eq!(open(&disk).unwrap().1.snapshot, Some(newest));
        }
    }
}
