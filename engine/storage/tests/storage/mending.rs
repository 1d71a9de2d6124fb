//! Checkpoints that nothing here makes up for are mended with pieces from peers.

use std::sync::mpsc;

use quorate_raft::{Index, LogId, SnapshotMeta, Write};
use quorate_storage::checkpoint_files::list;
use quorate_storage::lending::{LENT_BYTES, Wanted, lend, manifest_in, name, slot_of, state_hash};
use quorate_storage::mending::{Mending, Step};
use quorate_storage::{Disk, DiskFile, Draft, Job, MemoryDisk, OpenError, Operation, Storage};
use quorate_wire::checkpoint::Totals;

use crate::common::{
    Looking, append, command, members, members_entry, mix, open, perform, pieces, row, rows, settle, take,
    trials, vote, whole, write,
};
use crate::model::load_snapshot;

const BLOCK_BYTES: usize = 64 << 10;
const HEADER_BYTES: usize = 512;

fn forty_slots() -> (MemoryDisk, Storage<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    append(&mut storage, &[members_entry(1, 1, &["a", "b", "c"])]);
    for index in 2..=40 {
        append(&mut storage, &[command(1, index, &[1; 1500])]);
    }
    (disk, storage)
}

/// A node whose log begins after a checkpoint of some blocks, that checkpoint, and its content. All are replicas.
fn replica() -> (MemoryDisk, SnapshotMeta, Vec<u8>) {
    let (disk, mut storage) = forty_slots();
    let (last, members_at) = (LogId::new(1, 30), LogId::new(1, 1));
    let (draft, meta, content) = whole(last, members(&["a", "b", "c"]), members_at, &rows(1, 300_000));
    take(&mut storage, draft).unwrap();
    settle(&mut storage);
    perform(&mut storage, vec![Write { compact_to: Some(Index(30)), ..write(1) }]).unwrap();
    settle(&mut storage);
    drop(storage);
    disk.crash_keeping(|_| true);
    (disk, meta, content)
}

fn file(disk: &MemoryDisk, end: &str) -> String {
    disk.files().into_iter().find(|path| path.starts_with("snaps/") && path.contains(end)).unwrap()
}

/// What a node finds that has lost its checkpoint: the slot before its log.
#[track_caller]
fn lost(disk: &MemoryDisk) -> LogId {
    match open(disk) {
        Err(OpenError::CheckpointLost { base, .. }) => base,
        Err(error) => panic!("{error}"),
        Ok((storage, _)) => storage.behind_gap().expect("no checkpoint reaches the log"),
    }
}

/// What came of one round.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    Whole,
    /// So many pieces were had.
    Waits(u32),
}

/// Asks all `peers` for what is missing, once. An error of the disk ends it.
fn round(mending: &mut Mending<MemoryDisk>, peers: &[&MemoryDisk]) -> Option<Round> {
    for peer in peers {
        mending.offer(&lend(*peer, &Wanted::List).unwrap());
    }
    let mut pieces = 0;
    loop {
        let wanted = match mending.step().ok()? {
            Step::Whole(_) => return Some(Round::Whole),
            Step::Nothing => return Some(Round::Waits(pieces)),
            Step::Ask(wanted) => wanted,
        };
        let mut taken = false;
        for peer in peers {
            taken = match lend(*peer, &wanted) {
                Some(piece) => mending.take(&piece).ok()?,
                None => false,
            };
            if taken {
                pieces += 1;
                break;
            }
        }
        if !taken {
            mending.pass();
        }
    }
}

/// The node starts, with that checkpoint and a whole log.
#[track_caller]
fn is_back(disk: &MemoryDisk, meta: &SnapshotMeta, content: &[u8]) {
    let (mut storage, found) = open(disk).unwrap();
    assert_eq!(found.snapshot.as_ref(), Some(meta));
    assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 40), None));
    assert_eq!(load_snapshot(&mut storage, meta), content);
}

#[test]
fn what_is_sound_here_is_not_asked_for() {
    let (disk, meta, content) = replica();
    let peer = disk.duplicate();
    let run = file(&disk, ".run");
    disk.flip_bit(&run, ((HEADER_BYTES + 2 * BLOCK_BYTES) * 8) as u64);
    let mut mending = Mending::new(disk.clone(), lost(&disk));
    let Step::Ask(Wanted::Blocks { run, first: 2 }) = mending.step().unwrap() else { panic!("{mending:?}") };
    assert!(!mending.take(b"something else").unwrap());
    assert!(!mending.take(&lend(&peer, &Wanted::Blocks { run, first: 1 }).unwrap()).unwrap());
    assert!(mending.take(&lend(&peer, &Wanted::Blocks { run, first: 2 }).unwrap()).unwrap());
    assert_eq!(mending.step().unwrap(), Step::Whole(meta.last));
    is_back(&disk, &meta, &content);
}

/// On each of three nodes each part of the two files is bad with some probability, but one copy of each is sound.
#[test]
fn nodes_mend_each_other_while_one_sound_copy_of_each_part_is_left() {
    let (disk, meta, content) = replica();
    let (run, manifest) = (file(&disk, ".run"), file(&disk, ".snap"));
    let blocks = content.len() / BLOCK_BYTES + 1;
    let table = disk.len(&run).unwrap() - 2;
    let mut longest = 0;
    for seed in 0..u64::from(trials(40)) {
        let looking = Looking(seed);
        let disks = [0, 1, 2].map(|_| disk.duplicate());
        // The parts: the blocks, the header with the table, the manifest.
        for part in 0..blocks + 2 {
            let spared = mix(seed, part as u64) % 3;
            for (number, disk) in (0..).zip(&disks).filter(|(number, _)| *number != spared) {
                if mix(seed + 1000 * number, part as u64).is_multiple_of(3) {
                    continue;
                }
                let bit = mix(seed, part as u64) % 300;
                match part.checked_sub(blocks) {
                    None => disk.flip_bit(&run, ((HEADER_BYTES + part * BLOCK_BYTES) * 8) as u64 + bit),
                    Some(0) => disk.flip_bit(&run, [bit, table * 8 + bit % 8][usize::from(bit > 150)]),
                    Some(_) => disk.flip_bit(&manifest, bit),
                }
            }
        }
        let mut waiting: Vec<(usize, Mending<MemoryDisk>)> = Vec::new();
        for (number, disk) in disks.iter().enumerate() {
            match open(disk) {
                Ok(_) => {}
                Err(OpenError::CheckpointLost { base, .. }) => {
                    waiting.push((number, Mending::new(disk.clone(), base)));
                }
                Err(error) => panic!("{error}"),
            }
        }
        let mut rounds = 0;
        while !waiting.is_empty() {
            let (mut pieces, before) = (0, waiting.len());
            waiting.retain_mut(|(number, mending)| {
                let peers: Vec<&MemoryDisk> =
                    (0..3).filter(|peer| peer != number).map(|peer| &disks[peer]).collect();
                mending.begin();
                match round(mending, &peers).unwrap() {
                    Round::Whole => false,
                    Round::Waits(had) => {
                        pieces += had;
                        true
                    }
                }
            });
            rounds += 1;
            assert!(waiting.len() < before || pieces > 0, "they don't get on");
            assert!(rounds < 20);
        }
        longest = longest.max(rounds);
        disks.iter().for_each(|disk| is_back(disk, &meta, &content));
        drop(looking);
    }
    assert!(longest > 1, "one round was always enough");
}

/// A power cut, or the end of the process, at each I/O of a mending: the next start goes on with it.
#[test]
fn no_crash_while_it_is_mended_costs_anything() {
    let (disk, meta, content) = replica();
    let peer = disk.duplicate();
    let (run, manifest) = (file(&disk, ".run"), file(&disk, ".snap"));
    disk.flip_bit(&run, ((HEADER_BYTES + BLOCK_BYTES) * 8) as u64);
    disk.flip_bit(&run, ((HEADER_BYTES + 3 * BLOCK_BYTES) * 8) as u64);
    disk.flip_bit(&run, 100);
    disk.flip_bit(&manifest, 100);
    let before = disk.changes();
    for cut in 0.. {
        for seed in 0..4 {
            let disk = disk.duplicate();
            disk.cut_power_at(before + cut);
            let base = match open(&disk) {
                Err(OpenError::CheckpointLost { base, .. }) => Some(base),
                Err(OpenError::Disk(_)) => None,
                Err(error) => panic!("{error}"),
                Ok(_) => panic!("the node starts"),
            };
            let ended = base.and_then(|base| round(&mut Mending::new(disk.clone(), base), &[&peer]))
                == Some(Round::Whole);
            disk.crash_keeping(|number| seed == 0 || mix(cut + seed, number as u64).is_multiple_of(seed));
            if let Err(OpenError::CheckpointLost { base, .. }) = open(&disk) {
                assert!(!ended, "it was whole");
                assert_eq!(round(&mut Mending::new(disk.clone(), base), &[&peer]), Some(Round::Whole));
            }
            is_back(&disk, &meta, &content);
            if ended && seed == 3 {
                assert!(cut > 10, "{cut} changes are few");
                return;
            }
        }
    }
}

#[test]
fn a_checkpoint_of_a_peer_will_do_when_none_is_left_here() {
    let (disk, meta, content) = replica();
    let peer = disk.duplicate();
    for path in disk.files().into_iter().filter(|path| path.starts_with("snaps/")) {
        disk.corrupt(&path, Vec::clear);
    }
    let mut mending = Mending::new(disk.clone(), lost(&disk));
    assert_eq!(round(&mut mending, &[&MemoryDisk::new()]), Some(Round::Waits(0)));
    assert_eq!(mending.missing().collect::<Vec<_>>(), [file(&peer, ".snap")]);
    mending.begin();
    assert_eq!(round(&mut mending, &[&peer]), Some(Round::Whole));
    is_back(&disk, &meta, &content);
}

/// An older checkpoint that is whole is of no use to a log that begins behind it. What is sound of the newer one is.
#[test]
fn an_older_checkpoint_does_not_cost_what_is_sound_of_the_newer_one() {
    let (disk, mut storage) = forty_slots();
    let mut base = LogId::ZERO;
    let mut newest = None;
    for (index, first_key) in [(10, 0), (30, 100)] {
        let run: Vec<u8> = (first_key..first_key + 100)
            .flat_map(|key| row(key, Some(&[key.to_le_bytes()[0]; 1000])))
            .collect();
        let draft = Draft {
            last: LogId::new(1, index),
            members: members(&["a", "b", "c"]),
            members_at: LogId::new(1, 1),
            base,
            tail_bytes: None,
            totals: Totals { rows: index * 10, state_hash: index, ..Totals::default() },
            rows: pieces(&run),
        };
        base = draft.last;
        newest = Some(take(&mut storage, draft).unwrap());
    }
    // Before they are merged: both runs are named by the newer one, the first by both.
    perform(&mut storage, vec![Write { compact_to: Some(Index(30)), ..write(1) }]).unwrap();
    drop(storage);
    disk.crash_keeping(|_| true);
    let peer = disk.duplicate();
    let runs: Vec<String> = disk.files().into_iter().filter(|path| path.ends_with(".run")).collect();
    let newest = newest.unwrap();
    for hurt in &runs {
        let disk = disk.duplicate();
        disk.flip_bit(hurt, (HEADER_BYTES * 8) as u64);
        let base = lost(&disk);
        let here = |run: &String| disk.files().iter().any(|path| path.starts_with(run.as_str()));
        assert!(runs.iter().all(here), "{:?}", disk.files());
        // A start that is interrupted, or comes to nothing, changes nothing of that.
        assert_eq!(lost(&disk), base);
        assert!(runs.iter().all(here), "{:?}", disk.files());
        assert_eq!(round(&mut Mending::new(disk.clone(), base), &[&peer]), Some(Round::Whole));
        assert_eq!(open(&disk).unwrap().1.snapshot.as_ref(), Some(&newest));
    }
}

/// What is lent is what the checksums prove, and no more than was announced.
#[test]
fn nothing_that_is_bad_is_lent() {
    let (disk, meta, _) = replica();
    let run = file(&disk, ".run");
    let digest = match Mending::new(disk.duplicate(), LogId::ZERO).step().unwrap() {
        Step::Whole(last) => {
            assert_eq!(last, meta.last);
            let name = run.trim_start_matches("snaps/").trim_end_matches(".run");
            let bytes = (0..32).map(|at| u8::from_str_radix(&name[2 * at..2 * at + 2], 16).unwrap());
            quorate_raft::Digest(bytes.collect::<Vec<u8>>().try_into().unwrap())
        }
        step => panic!("{step:?}"),
    };
    let blocks = |first| lend(&disk, &Wanted::Blocks { run: digest, first }).map(|lent| lent.len());
    assert_eq!((blocks(0), blocks(4), blocks(5)), (Some(300_000), Some(300_000 - 4 * BLOCK_BYTES), None));
    disk.flip_bit(&run, ((HEADER_BYTES + 2 * BLOCK_BYTES) * 8) as u64);
    assert_eq!(
        (blocks(0), blocks(2), blocks(3)),
        (Some(2 * BLOCK_BYTES), None, Some(300_000 - 3 * BLOCK_BYTES))
    );
    disk.flip_bit(&run, 100);
    assert_eq!((blocks(0), lend(&disk, &Wanted::Table(digest))), (None, None));
    let manifest = Wanted::Manifest(meta.last);
    assert!(lend(&disk, &manifest).is_some());
    disk.flip_bit(&file(&disk, ".snap"), 700);
    assert_eq!(lend(&disk, &manifest), None);
    assert_eq!(lend(&MemoryDisk::new(), &Wanted::List), Some(Vec::new()));
}

/// What is asked for in vain is named to the byte, so that somebody can look for it elsewhere.
#[test]
fn what_nobody_has_is_named() {
    let (disk, meta, content) = replica();
    let (peer, poor) = (disk.duplicate(), disk.duplicate());
    let run = file(&disk, ".run");
    for disk in [&disk, &poor] {
        disk.flip_bit(&run, ((HEADER_BYTES + 3 * BLOCK_BYTES) * 8) as u64);
    }
    let mut mending = Mending::new(disk.clone(), lost(&disk));
    assert_eq!(round(&mut mending, &[&poor]), Some(Round::Waits(0)));
    let place = format!("{run} at byte {}", HEADER_BYTES + 3 * BLOCK_BYTES);
    assert_eq!(mending.missing().collect::<Vec<_>>(), [place]);
    mending.begin();
    assert_eq!(mending.missing().count(), 0);
    assert_eq!(round(&mut mending, &[&peer]), Some(Round::Whole));
    is_back(&disk, &meta, &content);
    let besides: Vec<String> =
        disk.files().into_iter().filter(|path| path.starts_with("snaps/") && *path != run).collect();
    assert_eq!(besides, [file(&disk, ".snap")], "nothing that was put aside is left");
}

/// Each checkpoint that a peer has is tried once, and only those that the log can go on from.
#[test]
fn what_is_offered_is_tried_once() {
    let (disk, meta, _) = replica();
    for path in disk.files().into_iter().filter(|path| path.starts_with("snaps/")) {
        disk.corrupt(&path, Vec::clear);
    }
    let base = lost(&disk);
    let list = |slots: &[LogId]| slots.iter().map(|slot| name(*slot) + "\n").collect::<String>().into_bytes();
    let (older, newer) = (LogId::new(1, base.index.0 - 1), LogId::new(1, 35));
    let mut mending = Mending::new(disk, base);
    assert!(!mending.offer(b"") && !mending.offer(&list(&[older])) && !mending.offer(b"nonsense\n"));
    let mut asked = Vec::new();
    for _ in 0..3 {
        assert!(mending.offer(&list(&[older, newer, meta.last])));
        while let Step::Ask(wanted) = mending.step().unwrap() {
            asked.push(wanted);
            mending.pass();
            assert!(mending.offer(&list(&[newer])), "it would do, whoever has it");
        }
    }
    // What has a file here comes first: less of it may be missing.
    assert_eq!(asked, [Wanted::Manifest(meta.last), Wanted::Manifest(newer)]);
}

#[test]
fn a_checkpoint_is_known_by_its_name_and_its_file() {
    let (disk, meta, _) = replica();
    let last = meta.last;
    assert_eq!(format!("snaps/{}.snap", name(last)), file(&disk, ".snap"));
    assert_eq!(slot_of(&name(last)), Some(last));
    for wrong in
        [name(last).to_uppercase() + "0", format!("0{}", name(last)), String::new(), "a-b".to_owned()]
    {
        assert_eq!(slot_of(&wrong), None, "{wrong}");
    }
    assert_eq!(lend(&disk, &Wanted::List).unwrap(), (name(last) + "\n").into_bytes());
    let manifest = lend(&disk, &Wanted::Manifest(last)).unwrap();
    let described = manifest_in(&manifest, last).unwrap();
    assert_eq!((described.totals.state_hash, described.runs.len()), (meta.state_hash, 1));
    assert_eq!(state_hash(&manifest, last), Some(meta.state_hash));
    let other = LogId::new(last.term.0, last.index.0 + 1);
    assert_eq!((manifest_in(&manifest, other), state_hash(&manifest, other)), (None, None));
    assert_eq!(manifest_in(&manifest[1..], last), None);
}

/// However long a run is, so much of it is lent at a time.
#[test]
fn no_more_is_lent_than_was_announced() {
    let (disk, mut storage) = forty_slots();
    let bytes = LENT_BYTES + 3 * BLOCK_BYTES;
    let (draft, ..) = whole(LogId::new(1, 30), members(&["a"]), LogId::new(1, 1), &rows(1, bytes));
    take(&mut storage, draft).unwrap();
    settle(&mut storage);
    let manifest =
        manifest_in(&lend(&disk, &Wanted::Manifest(LogId::new(1, 30))).unwrap(), LogId::new(1, 30));
    let run = quorate_raft::Digest(manifest.unwrap().runs[0].digest);
    let lent = |first| lend(&disk, &Wanted::Blocks { run, first }).map(|lent| lent.len());
    let most = u32::try_from(LENT_BYTES / BLOCK_BYTES).unwrap();
    assert_eq!([lent(0), lent(1), lent(most)], [Some(LENT_BYTES), Some(LENT_BYTES), Some(3 * BLOCK_BYTES)]);
    assert_eq!(lent(most + 3), None);
}

/// Each file of checkpoints is read to its end, and what is wrong is named to the block.
#[test]
fn what_is_wrong_with_checkpoints_is_named_to_the_block() {
    let (disk, meta, content) = replica();
    let mut read = 0;
    let listing = list(&disk, |bytes| read += bytes).unwrap();
    let [found] = &listing.checkpoints[..] else { panic!("{listing:?}") };
    assert_eq!((found.path(), &found.meta, found.is_whole), (file(&disk, ".snap"), &meta, true));
    let run_bytes = listing.runs[0].bytes;
    assert_eq!((&listing.flaws[..], listing.runs.len(), read), (&[][..], 1, run_bytes));
    assert!(run_bytes < content.len() as u64);

    let (run, manifest) = (file(&disk, ".run"), file(&disk, ".snap"));
    disk.flip_bit(&run, ((HEADER_BYTES + 2 * BLOCK_BYTES) * 8) as u64);
    let mut read = 0;
    let listing = list(&disk, |bytes| read += bytes).unwrap();
    let flaws: Vec<(&str, u64)> = listing.flaws.iter().map(|flaw| (&*flaw.path, flaw.offset)).collect();
    assert_eq!(flaws, [(&*run, (HEADER_BYTES + 2 * BLOCK_BYTES) as u64), (&*manifest, 0)]);
    assert!(listing.flaws[0].reason.contains("a block of 64 KiB"), "{listing:?}");
    assert!(!listing.checkpoints[0].is_whole && listing.runs.is_empty());
    assert_eq!(read, 2 * BLOCK_BYTES as u64);
}

/// A node that serves lends one piece at a time, when nothing else waits, and no more than so many peers wait for one.
#[test]
fn only_so_many_wait_for_what_is_lent() {
    let (disk, _, _) = replica();
    let (mut storage, _) = open(&disk).unwrap();
    settle(&mut storage);
    assert!(!storage.busy() && !storage.is_pressed());
    let (sender, receiver) = mpsc::channel();
    let lends = (0..70).map(|number| {
        let sender = sender.clone();
        let answer = Box::new(move |lent: Option<Vec<u8>>| sender.send((number, lent.is_some())).unwrap());
        Job::Lend { wanted: Wanted::List, answer }
    });
    storage.perform(lends.collect()).unwrap();
    assert!(storage.busy() && storage.is_pressed() && receiver.try_recv().is_err());
    storage.perform(Vec::new()).unwrap();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [(0, true)]);
    settle(&mut storage);
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), (1..64).map(|at| (at, true)).collect::<Vec<_>>());
}

/// Whatever else is lost.
#[test]
fn no_run_is_written_to_that_is_sound() {
    let (disk, meta, content) = replica();
    let (peer, run) = (disk.duplicate(), file(&disk, ".run"));
    disk.flip_bit(&file(&disk, ".snap"), 100);
    let mut mending = Mending::new(disk.clone(), lost(&disk));
    disk.fail_below(&run, Operation::Write, 0);
    assert_eq!(round(&mut mending, &[&peer]), Some(Round::Whole));
    is_back(&disk, &meta, &content);
}

#[test]
fn a_damaged_file_that_can_not_be_removed_is_an_error() {
    for end in [".run", ".snap"] {
        let (disk, _, _) = replica();
        let (peer, path) = (disk.duplicate(), file(&disk, end));
        disk.flip_bit(&path, 100);
        let mut mending = Mending::new(disk.clone(), lost(&disk));
        // Before that it gets its name back, or is written anew.
        disk.fail_below(&format!("{path}.damaged"), Operation::Name, 1);
        assert_eq!(round(&mut mending, &[&peer]), None, "{path}");
        disk.disarm();
    }
}

/// All its blocks match their checksums.
#[test]
fn a_run_that_does_not_hash_to_its_name_is_told_from_one_with_a_bad_block() {
    let (disk, _, _) = replica();
    let mut forged = disk.content(&file(&disk, ".run")).unwrap();
    forged[24] ^= 1;
    let checksum = crc32c::crc32c(&forged[12..HEADER_BYTES]);
    forged[8..12].copy_from_slice(&checksum.to_le_bytes());
    let path = format!("snaps/{}.run", quorate_raft::Digest(forged[24..56].try_into().unwrap()));
    disk.create(&path).unwrap().write_at(&forged, 0).unwrap();
    let listing = list(&disk, |_| {}).unwrap();
    let [flaw] = &listing.flaws[..] else { panic!("{listing:?}") };
    assert_eq!((&flaw.path, flaw.offset), (&path, HEADER_BYTES as u64));
    assert!(flaw.reason.contains("does not hash to its name"), "{flaw:?}");
}
