//! What the tests of storage share: a node's log as a model, and how it is written.

use quorate_raft::{
    Contact, Digest, Done, Entry, Found, HardState, Index, Load, LogId, Members, NodeId, Payload, Reader,
    SnapshotMeta, Term, Write, WriteId,
};
use quorate_storage::{Content, Draft, Fatal, Job, MemoryDisk, OpenError, Options, Storage};
use quorate_wire::checkpoint::{Manifest, RowHead, RunRef, Totals};

/// Small segments, so that a few writes fill several.
pub(crate) fn options(seed: u64) -> Options {
    Options { segment_bytes: 16 << 10, spare_segments: 1, ..Options::new(seed).in_slices(8 << 10) }
}

pub(crate) fn open(disk: &MemoryDisk) -> Result<(Storage<MemoryDisk>, Found), OpenError> {
    Storage::open(disk.clone(), options(7))
}

/// A disk on which a release of the past began a log with this version, and nothing more.
pub(crate) fn log_of_version(version: u32) -> MemoryDisk {
    let disk = MemoryDisk::new();
    drop(open(&disk).unwrap());
    disk.corrupt(&newest_segment(&disk), |bytes| {
        let size = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
        bytes[12..16].copy_from_slice(&version.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[12..size]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes.copy_within(..size, size);
    });
    disk
}

pub(crate) fn command(term: u64, index: u64, bytes: &[u8]) -> Entry {
    Entry { id: LogId::new(term, index), payload: Payload::Command(bytes.into()) }
}

pub(crate) fn noop(term: u64, index: u64) -> Entry {
    Entry { id: LogId::new(term, index), payload: Payload::Noop }
}

pub(crate) fn members(names: &[&str]) -> Members {
    let mut members = Members::default();
    for (number, name) in names.iter().enumerate() {
        let id = NodeId(number as u128 + 1);
        members.voters.insert(id);
        members.contacts.insert(id, Contact { address: (*name).to_owned(), ..Contact::default() });
    }
    members
}

pub(crate) fn members_entry(term: u64, index: u64, names: &[&str]) -> Entry {
    Entry { id: LogId::new(term, index), payload: Payload::Members(Box::new(members(names))) }
}

/// A write that does nothing; tests fill in what they want.
pub(crate) fn write(id: u64) -> Write {
    Write {
        id: WriteId(id),
        hard: None,
        commit_hint: Index(0),
        install: None,
        truncate_from: None,
        repair: Vec::new(),
        append: Vec::new(),
        compact_to: None,
    }
}

pub(crate) fn hard(term: u64) -> HardState {
    HardState { term: Term(term), vote: Some(NodeId(u128::from(term))) }
}

pub(crate) fn perform(storage: &mut Storage<MemoryDisk>, writes: Vec<Write>) -> Result<(), Fatal> {
    let jobs = writes.into_iter().map(|write| Job::Core(quorate_raft::Job::Write(write))).collect();
    storage.perform(jobs).map(drop)
}

/// Appends entries in one batch; all before them are committed.
/// Makes a change to what `begin` gives, once for each of the disk's changes that it takes: at that one the power is
/// cut. `look` is given each disk after the crash.
pub(crate) fn cut_everywhere(
    begin: impl Fn() -> (MemoryDisk, Storage<MemoryDisk>),
    change: impl Fn() -> Vec<Write>,
    mut look: impl FnMut(u64, &MemoryDisk),
) {
    let (disk, mut storage) = begin();
    let before = disk.changes();
    perform(&mut storage, change()).unwrap();
    for cut in 0..disk.changes() - before {
        let (disk, mut storage) = begin();
        disk.cut_power_at(disk.changes() + cut);
        perform(&mut storage, change()).unwrap_err();
        disk.crash(cut);
        look(cut, &disk);
    }
}

pub(crate) fn append(storage: &mut Storage<MemoryDisk>, entries: &[Entry]) {
    let append = entries.to_vec();
    let commit_hint = entries[0].id.index.previous();
    perform(storage, vec![Write { append, commit_hint, ..write(1) }]).unwrap();
}

/// A disk with a log of nothing, in term 1.
pub(crate) fn started() -> (MemoryDisk, Storage<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    (disk, storage)
}

/// A disk with slot 1 and, behind it, slots 2 and 3 in one batch; and where that batch is.
pub(crate) fn with_a_batch_of_two() -> (MemoryDisk, String, std::ops::Range<usize>) {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    let batch = [command(1, 2, &[2; 700]), command(1, 3, &[3; 700])];
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &batch));
    (disk, path, sectors)
}

/// Learns that slots up to `index` are committed, and notes it in a mark.
pub(crate) fn learn_commit(storage: &mut Storage<MemoryDisk>, index: u64) {
    perform(storage, vec![Write { commit_hint: Index(index), ..write(1) }]).unwrap();
    storage.perform(Vec::new()).unwrap();
}

/// A run of so many bytes; too few for a row are none. Keys are the same in each, bodies are not.
pub(crate) fn rows(seed: u64, bytes: usize) -> Vec<u8> {
    const LEAST_BYTES: usize = 10 + 8;
    let (mut run, mut key) = (Vec::with_capacity(bytes), 0_u64);
    while bytes - run.len() >= LEAST_BYTES {
        let left = bytes - run.len() - LEAST_BYTES;
        let body = if left < 1000 + LEAST_BYTES { left } else { 1000 };
        run.extend_from_slice(&row(key, Some(&filler((seed << 1) ^ (key << 20), body))));
        key += 1;
    }
    run
}

/// A row, or a tombstone.
pub(crate) fn row(key: u64, body: Option<&[u8]>) -> Vec<u8> {
    let body_bytes = u32::try_from(body.map_or(0, <[u8]>::len)).unwrap();
    let head = RowHead { table: 1, is_tombstone: body.is_none(), key_bytes: 8, body_bytes };
    [&head.encode()[..], &key.to_be_bytes(), body.unwrap_or_default()].concat()
}

fn filler(seed: u64, bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|at| (at.wrapping_mul(seed | 1) >> 5).to_le_bytes()[0]).collect()
}

/// A checkpoint of the whole state, which needs none before it: what will be its description, and its content.
pub(crate) fn whole(
    last: LogId,
    members: Members,
    members_at: LogId,
    rows: &[u8],
) -> (Draft, SnapshotMeta, Vec<u8>) {
    let named = RunRef { digest: *blake3::hash(rows).as_bytes(), bytes: rows.len() as u64 };
    let totals = Totals { state_hash: last.index.0, ..Totals::default() };
    let runs: Vec<RunRef> = (!rows.is_empty()).then_some(named).into_iter().collect();
    let manifest = Manifest { totals, has_tail: !runs.is_empty(), runs, ..Manifest::default() };
    let (content, meta) = described(last, members.clone(), members_at, &manifest, rows);
    let tail_bytes = Some(0);
    let draft =
        Draft { last, members, members_at, base: LogId::ZERO, tail_bytes, totals, rows: pieces(rows) };
    (draft, meta, content)
}

/// The content of a checkpoint, and its description.
pub(crate) fn described(
    last: LogId,
    members: Members,
    members_at: LogId,
    manifest: &Manifest,
    runs: &[u8],
) -> (Vec<u8>, SnapshotMeta) {
    let encoded = manifest.encode();
    let digest = Digest(*blake3::hash(&encoded).as_bytes());
    let content = [&encoded, runs].concat();
    let (bytes, state_hash) = (content.len() as u64, manifest.totals.state_hash);
    (content, SnapshotMeta { last, members, members_at, bytes, digest, state_hash })
}

pub(crate) fn pieces(rows: &[u8]) -> Content {
    let pieces: Vec<Vec<u8>> = rows.chunks(10_000).map(<[u8]>::to_vec).collect();
    Content::new(pieces.into_iter())
}

/// Takes a checkpoint, and goes on until it is durable.
pub(crate) fn take(storage: &mut Storage<MemoryDisk>, draft: Draft) -> Result<SnapshotMeta, Fatal> {
    let mut done = storage.perform(vec![Job::Checkpoint(draft)])?;
    for _ in 0..MOST_TURNS {
        let taken = done.into_iter().find_map(|done| match done {
            Done::SnapshotTaken(meta) => Some(meta),
            Done::SnapshotLost(last) => panic!("{last} can't be written"),
            _ => None,
        });
        if let Some(meta) = taken {
            return Ok(*meta);
        }
        assert!(storage.busy());
        done = storage.perform(Vec::new())?;
    }
    panic!("the checkpoint comes to no end");
}

/// More turns than anything here has to do in the background.
const MOST_TURNS: usize = 20_000;

/// Goes on until there is nothing left to do in the background, and says what came of it.
pub(crate) fn settle(storage: &mut Storage<MemoryDisk>) -> Vec<Done> {
    let mut done = Vec::new();
    for _ in 0..MOST_TURNS {
        if !storage.busy() {
            return done;
        }
        done.extend(storage.perform(Vec::new()).unwrap());
    }
    panic!("there is no end of what it has to do in the background");
}

/// All entries that can be read from `first` to `last`, and the ids of those that cannot.
pub(crate) fn read(storage: &mut Storage<MemoryDisk>, first: u64, last: u64) -> (Vec<Entry>, Vec<LogId>) {
    let (mut entries, mut damaged) = (Vec::new(), Vec::new());
    let mut next = first;
    while next <= last {
        let load = Load { reader: Reader::Apply, first: Index(next), last: Index(last), bytes: 1 << 20 };
        let done = storage.perform(vec![Job::Core(quorate_raft::Job::Load(load))]).unwrap();
        let before = next;
        for done in done {
            match done {
                quorate_raft::Done::Loaded { entries: loaded, .. } => {
                    next += loaded.len() as u64;
                    entries.extend(loaded);
                }
                quorate_raft::Done::Damaged(id) => {
                    assert_eq!(id.index, Index(next), "the first that is missing is named");
                    damaged.push(id);
                    next += 1;
                }
                _ => {}
            }
        }
        assert!(next > before, "a load of {before} to {last} gives nothing");
    }
    (entries, damaged)
}

/// The ids of all slots.
pub(crate) fn ids(found: &Found) -> Vec<LogId> {
    let (base, last) = (found.terms.base().index.0, found.terms.last().index.0);
    (base + 1..=last).map(|index| found.terms.id(Index(index)).unwrap()).collect()
}

/// Prints what is looked at, if the test fails before this is dropped.
pub(crate) struct Looking<T: std::fmt::Debug>(pub(crate) T);

impl<T: std::fmt::Debug> Drop for Looking<T> {
    #[allow(clippy::print_stdout)]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("while looking at {:?}", self.0);
        }
    }
}

/// A well-mixed number for each pair.
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    let mixed = (seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 32)
}

/// How often a property is tried: a fixed sample, times the factor in `QUORATE_TRIALS`.
#[allow(clippy::disallowed_methods)]
pub(crate) fn trials(sample: u32) -> u32 {
    let factor = std::env::var("QUORATE_TRIALS").ok().and_then(|factor| factor.parse().ok());
    sample * factor.unwrap_or(1)
}

/// Becomes durable in a new term: the term and vote files then name the last batch.
pub(crate) fn vote(storage: &mut Storage<MemoryDisk>, term: u64) {
    perform(storage, vec![Write { hard: Some(hard(term)), ..write(1) }]).unwrap();
}

/// The path of the newest segment.
pub(crate) fn newest_segment(disk: &MemoryDisk) -> String {
    disk.files().into_iter().rfind(|path| path.ends_with(".log")).unwrap()
}

/// The bytes of the newest segment that `change` changes, rounded out to sectors.
pub(crate) fn changed_sectors(disk: &MemoryDisk, change: impl FnOnce()) -> (String, std::ops::Range<usize>) {
    let path = newest_segment(disk);
    let before = disk.content(&path).unwrap();
    change();
    let after = disk.content(&path).unwrap();
    let differs = |at: &usize| before[*at] != after[*at];
    let first = (0..after.len()).find(differs).unwrap() / 512 * 512;
    let last = (0..after.len()).rfind(differs).unwrap() / 512 * 512 + 512;
    (path, first..last)
}
