//! Backups: the same checkpoint is the same file, any wrong byte is found and named, what is read is pinned, and a data
//! dir is made of one.

use std::sync::mpsc;

use proptest::prelude::*;
use quorate_raft::{Done, HardState, LogId, SnapshotMeta, Term};
use quorate_storage::backup::{
    BLOCK_BYTES, BackupJob, Flaw, HEADER_BYTES, Header, Opened, Origin, Place, Tag, Unopened, Verifier,
};
use quorate_storage::checkpoint_files::{BuildError, build};
use quorate_storage::{Disk, DiskFile, Draft, Job, MemoryDisk, Storage, fuzzing};
use quorate_wire::checkpoint::{Boundary, Manifest, Revision, RunRef, Totals};
use quorate_wire::{ClusterId, HistoryId};

use crate::common::{append, command, members, open, options, pieces, row, rows, settle, take, trials, vote};
use crate::model::load_snapshot;

pub(crate) const ORIGIN: Origin = Origin { cluster: ClusterId(0xc1), history: HistoryId(0xa5) };

/// A node whose log ends at slot 100.
pub(crate) fn node() -> (MemoryDisk, Storage<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    let entries: Vec<_> = (1..=100).map(|index| command(1, index, &[1])).collect();
    append(&mut storage, &entries);
    (disk, storage)
}

/// Takes a checkpoint at `index`, which adds these rows to the runs up to `base`; a boundary, or a tail.
pub(crate) fn checkpoint(
    storage: &mut Storage<MemoryDisk>,
    index: u64,
    base: u64,
    is_tail: bool,
    rows: &[u8],
) -> SnapshotMeta {
    let draft = Draft {
        last: LogId::new(1, index),
        members: members(&["a"]),
        members_at: LogId::ZERO,
        base: if base == 0 { LogId::ZERO } else { LogId::new(1, base) },
        tail_bytes: is_tail.then_some(7),
        totals: Totals { revision: Revision(index), rows: 1, state_hash: index },
        rows: pieces(rows),
    };
    take(storage, draft).unwrap()
}

/// A checkpoint of two runs: a boundary of three blocks, and a tail of one.
pub(crate) fn with_two_runs() -> (MemoryDisk, Storage<MemoryDisk>, SnapshotMeta) {
    let (disk, mut storage) = node();
    checkpoint(&mut storage, 10, 0, false, &rows(1, 150_000));
    let meta = checkpoint(&mut storage, 20, 10, true, &rows(2, 2_000));
    (disk, storage, meta)
}

pub(crate) fn ask<T: Send + 'static>(
    storage: &mut Storage<MemoryDisk>,
    job: impl FnOnce(Box<dyn FnOnce(T) + Send>) -> BackupJob,
) -> (T, Vec<Done>) {
    let (sender, receiver) = mpsc::channel();
    let answer = Box::new(move |answered: T| sender.send(answered).unwrap());
    let done = storage.perform(vec![Job::Backup(job(answer))]).unwrap();
    (receiver.recv().unwrap(), done)
}

pub(crate) fn open_backup(
    storage: &mut Storage<MemoryDisk>,
    wanted: Option<Tag>,
) -> (Result<Opened, Unopened>, Vec<Done>) {
    ask(storage, |answer| BackupJob::Open { origin: ORIGIN, wanted, answer })
}

pub(crate) fn read_at(
    storage: &mut Storage<MemoryDisk>,
    tag: Tag,
    offset: u64,
    bytes: u64,
) -> Option<Vec<u8>> {
    ask(storage, |answer| BackupJob::Read { tag, offset, bytes, answer }).0
}

/// All of an open backup, from `offset` on.
fn read_from(storage: &mut Storage<MemoryDisk>, opened: Opened, offset: u64, bytes: u64) -> Vec<u8> {
    let mut file = Vec::new();
    while offset + (file.len() as u64) < opened.file_bytes {
        file.extend(read_at(storage, opened.tag, offset + file.len() as u64, bytes).unwrap());
    }
    file
}

pub(crate) fn backup(storage: &mut Storage<MemoryDisk>) -> Vec<u8> {
    let opened = open_backup(storage, None).0.unwrap();
    let file = read_from(storage, opened, 0, 10_000);
    storage.perform(vec![Job::Backup(BackupJob::Close(opened.tag))]).unwrap();
    file
}

/// What comes of verifying a file that comes in pieces of that size, and how much of it was sound.
pub(crate) fn verify(file: &[u8], piece: usize) -> (Result<(), Flaw>, u64) {
    let mut verifier = Verifier::new();
    let fed = file.chunks(piece).try_for_each(|piece| verifier.feed(piece));
    (fed.and_then(|()| verifier.finish()), verifier.sound_bytes())
}

/// Where each part of the file begins, in order, and the file's length as the last.
fn parts(file: &[u8]) -> Vec<(Place, u64)> {
    let manifest = Manifest::decode(&file[HEADER_BYTES..]).unwrap().unwrap();
    let mut parts = vec![(Place::Header, 0), (Place::Manifest, HEADER_BYTES as u64)];
    let mut at = HEADER_BYTES as u64 + manifest.bytes();
    parts.push((Place::Tables, at));
    at += manifest.runs.iter().map(|run| 4 * run.bytes.div_ceil(BLOCK_BYTES)).sum::<u64>();
    for (run, named) in manifest.runs.iter().enumerate() {
        for block in 0..named.bytes.div_ceil(BLOCK_BYTES) {
            parts.push((Place::Block { run, block }, at + block * BLOCK_BYTES));
        }
        at += named.bytes;
    }
    assert_eq!(at, file.len() as u64);
    parts
}

fn part_of(parts: &[(Place, u64)], offset: u64) -> (Place, u64) {
    *parts.iter().rfind(|(_, start)| *start <= offset).unwrap()
}

#[test]
fn a_backup_is_header_manifest_tables_and_runs_however_it_is_read() {
    let (_, mut storage, meta) = with_two_runs();
    let file = backup(&mut storage);
    let content = load_snapshot(&mut storage, &meta);
    let header = Header::decode(file.first_chunk().unwrap()).unwrap();
    assert_eq!((header.origin, header.last, header.revision), (ORIGIN, meta.last, Revision(20)));
    assert_eq!((header.digest, header.state_hash), (meta.digest, meta.state_hash));
    assert_eq!(header.file_bytes, file.len() as u64);
    let manifest = HEADER_BYTES..HEADER_BYTES + header.manifest_bytes as usize;
    assert_eq!(file[manifest.clone()], content[..manifest.len()]);
    assert_eq!(file[file.len() - 152_000..], content[manifest.len()..]);
    for piece in [1, 511, 512, 513, 65_536, 100_000, file.len()] {
        assert_eq!(verify(&file, piece), (Ok(()), file.len() as u64), "in pieces of {piece}");
    }
    let opened = open_backup(&mut storage, None).0.unwrap();
    assert_eq!(opened, open_backup(&mut storage, Some(header.tag())).0.unwrap());
    for bytes in [777, 65_536, 1 << 20] {
        assert!(read_from(&mut storage, opened, 0, bytes) == file, "in pieces of {bytes}");
    }
    for offset in [1, 512, 600, 700, 65_535, file.len() as u64 - 1] {
        let rest = read_from(&mut storage, opened, offset, 50_000);
        assert!(rest == file[usize::try_from(offset).unwrap()..], "from {offset}");
    }
    assert_eq!(read_at(&mut storage, opened.tag, file.len() as u64, 1), None);
    assert_eq!(read_at(&mut storage, opened.tag, u64::MAX, u64::MAX), None);
    assert_eq!(read_at(&mut storage, Tag([7; 16]), 0, 1), None);
    assert_eq!(opened.tag.to_string().parse(), Ok(opened.tag));
}

#[test]
fn two_nodes_with_the_same_checkpoint_make_the_same_file_and_another_history_another_tag() {
    let (one, other) = (backup(&mut with_two_runs().1), backup(&mut with_two_runs().1));
    assert!(one == other);
    let header = Header::decode(one.first_chunk().unwrap()).unwrap();
    let elsewhere = Origin { history: HistoryId(6), ..ORIGIN };
    assert_ne!(Header { origin: elsewhere, ..header.clone() }.tag(), header.tag());
    assert_eq!(Header { tables_checksum: 0, ..header.clone() }.tag(), header.tag());
}

#[test]
fn every_bit_of_what_stands_before_the_runs_is_verified() {
    let file = backup(&mut with_two_runs().1);
    let parts = parts(&file);
    let runs = usize::try_from(parts[3].1).unwrap();
    let mut rotten = file.clone();
    for bit in 0..runs * 8 {
        rotten[bit / 8] ^= 1 << (bit % 8);
        let (place, start) = part_of(&parts, (bit / 8) as u64);
        let (verdict, sound) = verify(&rotten[..runs + 1], 4096);
        let flaw = verdict.unwrap_err();
        assert_eq!((flaw.place, sound), (place, start), "bit {bit}: {flaw}");
        assert!((start..start + HEADER_BYTES as u64).contains(&flaw.offset), "bit {bit}: {flaw}");
        rotten[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(rotten == file);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: trials(128), ..ProptestConfig::default() })]

    /// A backup that was hurt anywhere is never taken for a whole one, and the place is named.
    #[test]
    fn a_flipped_bit_or_a_cut_anywhere_is_found_and_named(
        bit in any::<prop::sample::Index>(),
        cut in any::<bool>(),
        piece in 1..100_000_usize,
    ) {
        let file = backup(&mut with_two_runs().1);
        let parts = parts(&file);
        let bit = bit.index(file.len() * 8);
        let (at, mut hurt) = (bit / 8, file);
        if cut { hurt.truncate(at) } else { hurt[at] ^= 1 << (bit % 8) }
        let (verdict, sound) = verify(&hurt, piece);
        let flaw = verdict.unwrap_err();
        let (place, start) = part_of(&parts, at as u64);
        prop_assert_eq!((flaw.place, sound), (place, start), "{}", flaw);
        let is_there = flaw.offset == start || cut && flaw.offset == at as u64;
        prop_assert!(is_there || place == Place::Header, "{}", flaw);
    }

    /// The body of the fuzz target, near a real backup.
    #[test]
    fn nothing_near_a_backup_breaks_the_verifier(
        at in any::<prop::sample::Index>(),
        value in any::<[u8; 8]>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (_, mut storage) = node();
        checkpoint(&mut storage, 10, 0, false, &rows(1, 5_000));
        let mut file = backup(&mut storage);
        prop_assert_eq!(fuzzing::backup_decode(&file), file.len() as u64);
        let at = at.index(700.min(file.len() - 8));
        file[at..at + 8].copy_from_slice(&value);
        file.truncate(cut.index(file.len() + 1));
        fuzzing::backup_decode(&file);
    }

    /// Whatever the bytes are, they are refused.
    #[test]
    fn nothing_else_is_taken(bytes in prop::collection::vec(any::<u8>(), 0..2000), piece in 1..600_usize) {
        prop_assert!(verify(&bytes, piece).0.is_err());
    }
}

#[test]
fn a_file_that_goes_on_is_no_backup() {
    let mut file = backup(&mut with_two_runs().1);
    file.push(0);
    let flaw = verify(&file, 5000).0.unwrap_err();
    assert_eq!((flaw.place, flaw.offset), (Place::End, file.len() as u64 - 1));
    assert!(flaw.to_string().contains("the file goes on"), "{flaw}");
}

/// Checksums fit and the name does not: nobody's disk does that, but a file can be made so.
#[test]
fn a_run_that_is_not_what_the_manifest_names_is_none() {
    let file = backup(&mut with_two_runs().1);
    let parts = parts(&file);
    let (tables, block) = (usize::try_from(parts[2].1).unwrap(), usize::try_from(parts[4].1).unwrap());
    let mut forged = file;
    forged[block] ^= 1;
    let checksum = crc32c::crc32c(&forged[block..block + usize::try_from(BLOCK_BYTES).unwrap()]);
    forged[tables + 4..tables + 8].copy_from_slice(&checksum.to_le_bytes());
    let header = Header::decode(forged.first_chunk().unwrap()).unwrap();
    let tables_checksum = crc32c::crc32c(&forged[tables..usize::try_from(parts[3].1).unwrap()]);
    let header = Header { tables_checksum, ..header }.encode();
    forged[..HEADER_BYTES].copy_from_slice(&header);
    let (verdict, sound) = verify(&forged, 10_000);
    let flaw = verdict.unwrap_err();
    assert_eq!((flaw.place, flaw.offset, sound), (Place::Run(0), parts[3].1, parts[3].1), "{flaw}");
}

#[test]
fn a_backup_of_a_later_version_is_refused_as_such() {
    let mut file = backup(&mut with_two_runs().1);
    file[12] = 2;
    let checksum = crc32c::crc32c(&file[12..HEADER_BYTES]);
    file[8..12].copy_from_slice(&checksum.to_le_bytes());
    let flaw = verify(&file, 1000).0.unwrap_err();
    assert_eq!(flaw.place, Place::Version { found: 2, known: 1 });
    assert!(flaw.to_string().contains("use the release that wrote it"), "{flaw}");
    // With a checksum that does not fit it says nothing about its version.
    file[13] = 1;
    assert_eq!(verify(&file, 1000).0.unwrap_err().place, Place::Header);
}

/// What is inside has a version of its own: of the manifest, and of the rows in the runs.
#[test]
fn a_backup_with_content_of_a_later_version_is_refused_as_such() {
    let mut file = backup(&mut with_two_runs().1);
    let header = Header::decode(file.first_chunk().unwrap()).unwrap();
    let manifest = HEADER_BYTES..HEADER_BYTES + header.manifest_bytes as usize;
    let (known, found) = (file[manifest.start + 8], file[manifest.start + 8] + 1);
    file[manifest.start + 8] = found;
    let digest = quorate_raft::Digest(*blake3::hash(&file[manifest.clone()]).as_bytes());
    file[..HEADER_BYTES].copy_from_slice(&Header { digest, ..header }.encode());
    let flaw = verify(&file, 1000).0.unwrap_err();
    assert_eq!(flaw.place, Place::ContentVersion { found: found.into(), known: known.into() });
    assert!(flaw.is_other_version() && flaw.offset == manifest.start as u64 + 8, "{flaw}");
    assert!(flaw.to_string().contains("use the release that wrote it"), "{flaw}");
    // Where the header names another manifest it is damage.
    file[manifest.start + 9] ^= 1;
    let flaw = verify(&file, 1000).0.unwrap_err();
    assert!(flaw.place == Place::Manifest && !flaw.is_other_version(), "{flaw}");
}

#[test]
fn what_is_read_is_pinned_until_its_last_reader_is_done() {
    let (disk, mut storage, meta) = with_two_runs();
    let opened = open_backup(&mut storage, None).0.unwrap();
    let file = read_from(&mut storage, opened, 0, 1 << 20);
    let path = format!("snaps/{:016x}-{:016x}.snap", meta.last.index.0, meta.last.term.0);
    let files = disk.files();
    let runs: Vec<&String> = files.iter().filter(|path| path.ends_with(".run")).collect();
    for index in 3..=9 {
        checkpoint(&mut storage, index * 10, 0, true, &rows(index, 3_000));
        // A boundary of the whole state, so that nothing builds on the old runs any more.
        checkpoint(&mut storage, index * 10 + 1, 0, false, &rows(index, 30_000));
    }
    settle(&mut storage);
    assert!(!disk.files().contains(&path) && !runs.iter().any(|run| disk.files().contains(run)));
    assert!(read_from(&mut storage, opened, 0, 4_000) == file, "to the end, without a name");
    assert_eq!(open_backup(&mut storage, Some(opened.tag)).0, Ok(opened), "whoever comes back finds it");
    for is_last in [false, true] {
        storage.perform(vec![Job::Backup(BackupJob::Close(opened.tag))]).unwrap();
        assert_eq!(read_at(&mut storage, opened.tag, 0, 10).is_none(), is_last);
    }
    assert_eq!(open_backup(&mut storage, Some(opened.tag)).0, Err(Unopened::NotThere));
    let newest = open_backup(&mut storage, None).0.unwrap();
    assert_eq!(newest.last, LogId::new(1, 91));
}

#[test]
fn one_that_is_kept_is_found_again_after_a_restart() {
    let (disk, mut storage, _) = with_two_runs();
    let opened = open_backup(&mut storage, None).0.unwrap();
    let file = read_from(&mut storage, opened, 0, 1 << 20);
    checkpoint(&mut storage, 30, 10, true, &rows(3, 1_000));
    drop(storage);
    let (mut storage, _) = open(&disk).unwrap();
    assert_eq!(open_backup(&mut storage, Some(opened.tag)).0, Ok(opened));
    assert!(read_from(&mut storage, opened, 0, 1 << 20) == file);
}

#[test]
fn without_a_checkpoint_there_is_no_backup_and_a_damaged_one_is_reported() {
    let (_, mut storage) = node();
    assert_eq!(open_backup(&mut storage, None).0, Err(Unopened::NotThere));
    let (disk, mut storage, meta) = with_two_runs();
    let opened = open_backup(&mut storage, None).0.unwrap();
    let run = disk.files().into_iter().find(|path| path.ends_with(".run")).unwrap();
    let run_file = disk.open(&run).unwrap();
    run_file.write_at(&[0xee; 2], 700).unwrap();
    let mut offset = 0;
    let lost = loop {
        let (piece, done) =
            ask(&mut storage, |answer| BackupJob::Read { tag: opened.tag, offset, bytes: 1000, answer });
        match piece {
            Some(piece) => offset += piece.len() as u64,
            None => break done,
        }
    };
    assert!(lost.contains(&Done::SnapshotLost(meta.last)) && offset < opened.file_bytes);
    storage.perform(vec![Job::Backup(BackupJob::Close(opened.tag))]).unwrap();
    run_file.write_at(&[0xee; 2], 20).unwrap();
    let (refused, done) = open_backup(&mut storage, None);
    assert_eq!(refused, Err(Unopened::Damaged));
    assert!(done.contains(&Done::SnapshotLost(meta.last)));
}

/// Nothing was applied since, so the state that is written anew stands in the same slot.
#[test]
fn a_damaged_one_can_be_written_anew_at_its_own_place() {
    let (disk, mut storage) = node();
    let all = rows(1, 150_000);
    let meta = checkpoint(&mut storage, 10, 0, false, &all);
    let opened = open_backup(&mut storage, None).0.unwrap();
    let run = disk.files().into_iter().find(|path| path.ends_with(".run")).unwrap();
    disk.open(&run).unwrap().write_at(&[0xee; 2], 100_000).unwrap();
    let read = |storage: &mut Storage<MemoryDisk>, tag| read_at(storage, tag, 99_000, 2000);
    assert_eq!(read(&mut storage, opened.tag), None);
    assert_eq!(read_at(&mut storage, opened.tag, 0, 10), None, "nobody goes on with it");
    let anew = checkpoint(&mut storage, 10, 0, true, &all);
    assert!(anew.last == meta.last && anew.digest != meta.digest, "as a tail of nothing");
    let whole = open_backup(&mut storage, None).0.unwrap();
    assert_eq!(verify(&read_from(&mut storage, whole, 0, 10_000), 10_000).0, Ok(()));
    assert_eq!(open_backup(&mut storage, Some(opened.tag)).0, Err(Unopened::NotThere));
    drop(storage);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.snapshot, Some(anew));
    assert_eq!(open_backup(&mut storage, None).0, Ok(whole));
}

/// The path of the one run there is.
fn only_run(disk: &MemoryDisk) -> String {
    let mut runs = disk.files().into_iter().filter(|path| path.ends_with(".run"));
    runs.next().filter(|_| runs.next().is_none()).unwrap()
}

fn has_lost(done: &[Done], last: LogId) -> bool {
    done.contains(&Done::SnapshotLost(last))
}

/// Whoever is told that the rest of it can be had comes back for that, and would break off at the same place for ever.
#[test]
fn an_older_one_that_is_damaged_is_not_offered_again() {
    let (disk, mut storage) = node();
    checkpoint(&mut storage, 10, 0, false, &rows(1, 150_000));
    let (older, run) = (open_backup(&mut storage, None).0.unwrap(), only_run(&disk));
    storage.perform(vec![Job::Backup(BackupJob::Close(older.tag))]).unwrap();
    let newest = checkpoint(&mut storage, 20, 0, false, &rows(2, 100_000));
    disk.open(&run).unwrap().write_at(&[0xee; 2], 100_000).unwrap();
    assert_eq!(open_backup(&mut storage, Some(older.tag)).0, Ok(older), "nothing is known yet");
    let read = |answer| BackupJob::Read { tag: older.tag, offset: 99_000, bytes: 2000, answer };
    let (piece, done) = ask(&mut storage, read);
    assert!(piece.is_none() && !has_lost(&done, newest.last), "the newest has no part in it: {done:?}");
    let (again, done) = open_backup(&mut storage, Some(older.tag));
    assert!(again == Err(Unopened::Damaged) && !has_lost(&done, newest.last), "{again:?} {done:?}");
    assert_eq!(verify(&backup(&mut storage), 10_000).0, Ok(()));
    // Nobody can do anything with it: it makes room.
    checkpoint(&mut storage, 30, 20, false, &rows(3, 1_000));
    settle(&mut storage);
    assert_eq!(open_backup(&mut storage, Some(older.tag)).0, Err(Unopened::NotThere));
    assert!(!disk.files().contains(&run));
}

/// A run of an older one is mostly one of the newest, too.
#[test]
fn damage_that_a_reader_of_an_older_one_meets_is_that_of_the_newest_with_the_same_run() {
    let (disk, mut storage) = node();
    let all = rows(1, 150_000);
    checkpoint(&mut storage, 10, 0, false, &all);
    let (older, run) = (open_backup(&mut storage, None).0.unwrap(), only_run(&disk));
    let newest = checkpoint(&mut storage, 20, 10, true, &rows(2, 2_000));
    let slow = open_backup(&mut storage, None).0.unwrap();
    disk.open(&run).unwrap().write_at(&[0xee; 2], 100_000).unwrap();
    let read = |storage: &mut Storage<MemoryDisk>, tag| {
        ask(storage, |answer| BackupJob::Read { tag, offset: 99_000, bytes: 2000, answer })
    };
    let (piece, done) = read(&mut storage, older.tag);
    assert!(piece.is_none() && has_lost(&done, newest.last), "{done:?}");
    let (refused, done) = open_backup(&mut storage, None);
    assert!(refused == Err(Unopened::Damaged) && has_lost(&done, newest.last), "{refused:?} {done:?}");
    // The state is given anew, and its run happens to be the same: a sound file has that name now.
    let anew = checkpoint(&mut storage, 20, 0, true, &all);
    assert_eq!(verify(&backup(&mut storage), 10_000).0, Ok(()));
    // One that has been open since before says nothing against it.
    let (piece, done) = read(&mut storage, slow.tag);
    assert!(piece.is_none() && !has_lost(&done, anew.last), "{done:?}");
    assert_eq!(verify(&backup(&mut storage), 10_000).0, Ok(()));
}

/// Its files have no names any more, and keep their space while they are open: a reader who takes his time must not
/// keep the disk full.
#[test]
fn what_only_a_reader_needs_is_let_go_on_a_full_disk() {
    let (disk, mut storage) = node();
    checkpoint(&mut storage, 10, 0, false, &rows(1, 150_000));
    let opened = open_backup(&mut storage, None).0.unwrap();
    checkpoint(&mut storage, 20, 0, false, &rows(2, 100_000));
    let newest = open_backup(&mut storage, None).0.unwrap();
    settle(&mut storage);
    disk.set_capacity(Some(disk.bytes_used()));
    // Too large for the ballast, and no longer so when the old one's space is there too.
    let draft = Draft {
        last: LogId::new(1, 30),
        members: members(&["a"]),
        members_at: LogId::ZERO,
        base: LogId::ZERO,
        tail_bytes: None,
        totals: Totals { revision: Revision(30), rows: 1, state_hash: 30 },
        rows: pieces(&rows(3, 250_000)),
    };
    let mut done = storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
    for _ in 0..500 {
        done.extend(storage.perform(Vec::new()).unwrap());
    }
    let is_taken = |done: &Done| matches!(done, Done::SnapshotTaken(meta) if meta.last.index.0 == 30);
    assert!(done.iter().any(is_taken), "the disk stays full: {} bytes are used", disk.bytes_used());
    assert_eq!(read_at(&mut storage, opened.tag, 0, 10), None, "its reader begins anew");
    assert_eq!(open_backup(&mut storage, Some(opened.tag)).0, Err(Unopened::NotThere));
    assert!(open_backup(&mut storage, None).0.is_ok_and(|now| now.tag != newest.tag));
}

/// The content of a checkpoint of these runs, in any pieces, as [`build`] reads it.
pub(crate) fn content_of(manifest: &Manifest, runs: &[&[u8]]) -> Vec<u8> {
    [manifest.encode(), runs.concat()].concat()
}

pub(crate) fn manifest_of(runs: &[&[u8]]) -> Manifest {
    let named = |run: &&[u8]| RunRef { digest: *blake3::hash(run).as_bytes(), bytes: run.len() as u64 };
    Manifest {
        totals: Totals { revision: Revision(5), rows: 3, state_hash: 9 },
        boundary: Boundary { term: 1, index: 1, command_bytes: 0 },
        has_tail: false,
        runs: runs.iter().map(named).collect(),
    }
}

pub(crate) fn build_from(
    disk: &MemoryDisk,
    manifest: Manifest,
    content: &[u8],
    piece: usize,
) -> Result<SnapshotMeta, BuildError> {
    let place = (LogId::new(1, 1), members(&["a"]), LogId::new(1, 1));
    build(disk, &options(7), place, manifest, |offset| {
        let rest = &content[usize::try_from(offset).unwrap().min(content.len())..];
        Ok(rest[..piece.min(rest.len())].to_vec())
    })
}

#[test]
fn a_data_dir_is_built_of_a_checkpoint() {
    // The same run twice, as two deletions of one key leave it: its second copy is passed over.
    let (large, small, gone) = (rows(1, 150_000), rows(2, 1_000), row(1, None));
    for runs in [&[][..], &[&large[..]], &[&large, &gone, &small, &gone], &[&gone, &gone]] {
        for piece in [1000, 65_536, 1 << 20] {
            let (disk, manifest) = (MemoryDisk::new(), manifest_of(runs));
            let content = content_of(&manifest, runs);
            let meta = build_from(&disk, manifest.clone(), &content, piece).unwrap();
            let (mut storage, found) = open(&disk).unwrap();
            assert_eq!(found.hard, HardState { term: Term(1), vote: None });
            assert_eq!((found.snapshot.as_ref(), found.terms.last()), (Some(&meta), LogId::new(1, 1)));
            assert!(load_snapshot(&mut storage, &meta) == content, "{} runs", runs.len());
            append(&mut storage, &[command(2, 2, b"goes on")]);
            // What it holds already builds on it, and only what is new is written.
            vote(&mut storage, 2);
            let next = checkpoint(&mut storage, 1, 1, true, &small);
            assert!(load_snapshot(&mut storage, &next).len() <= content.len() + small.len() + 40);
            let refused = build_from(&disk, manifest, &content, piece).unwrap_err();
            assert!(matches!(refused, BuildError::NotEmpty { .. }), "{refused}");
        }
    }
}

#[test]
fn what_is_not_the_content_is_not_built() {
    let (large, small) = (rows(1, 150_000), rows(2, 1_000));
    let manifest = manifest_of(&[&large, &small]);
    let content = content_of(&manifest, &[&large, &small]);
    let mut rotten = content.clone();
    rotten[80_000] ^= 1;
    let refused = build_from(&MemoryDisk::new(), manifest.clone(), &rotten, 10_000).unwrap_err();
    assert!(matches!(refused, BuildError::Damaged { .. }), "{refused}");
    let cut = &content[..content.len() - 1];
    let refused = build_from(&MemoryDisk::new(), manifest.clone(), cut, 10_000).unwrap_err();
    assert!(matches!(refused, BuildError::Damaged { .. }), "{refused}");
    let disk = MemoryDisk::new();
    disk.set_capacity(Some(100_000));
    let refused = build_from(&disk, manifest, &content, 10_000).unwrap_err();
    assert!(matches!(refused, BuildError::Full | BuildError::Disk(_)), "{refused}");
}

/// What is known of a backup while it comes, byte by byte.
#[test]
fn a_verifier_knows_as_much_as_has_come() {
    let (_, mut storage, _) = with_two_runs();
    let file = backup(&mut storage);
    let parts = parts(&file);
    let start = |place: Place| parts.iter().find(|(known, _)| *known == place).unwrap().1;
    let (tables, runs) = (start(Place::Tables), start(Place::Block { run: 0, block: 0 }));
    let header = Header::decode(file.first_chunk().unwrap()).unwrap();
    let manifest = Manifest::decode(&file[HEADER_BYTES..]).unwrap().unwrap();
    let mut verifier = Verifier::new();
    for (taken, byte) in file.iter().enumerate() {
        let taken = taken as u64;
        if taken < runs + 2 || taken + 2 > file.len() as u64 {
            let knows_header = taken >= HEADER_BYTES as u64;
            assert_eq!(verifier.header(), knows_header.then_some(&header), "after {taken}");
            assert_eq!(verifier.manifest(), (taken >= tables).then_some(&manifest), "after {taken}");
            assert_eq!(verifier.runs_start(), (taken >= tables).then_some(runs), "after {taken}");
        }
        assert_eq!((verifier.taken_bytes(), verifier.is_complete()), (taken, false));
        verifier.feed(&[*byte]).unwrap();
    }
    assert!(verifier.is_complete() && verifier.taken_bytes() == file.len() as u64);
    let flaw = verifier.feed(b"x").unwrap_err();
    assert_eq!((flaw.place, flaw.place.to_string()), (Place::End, "what follows the last run".to_owned()));
}

#[test]
fn a_tag_is_written_in_one_way() {
    let text = "00112233445566778899aabbccddeeff";
    assert_eq!(text.parse::<Tag>().unwrap().to_string(), text);
    for wrong in [&text[1..], &format!("0{text}"), &text.to_uppercase(), &format!("+{}", &text[1..]), ""] {
        assert!(wrong.parse::<Tag>().is_err(), "{wrong}");
    }
}
