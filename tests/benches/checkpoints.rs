//! What checkpoints cost, on a real disk: `cargo bench -p quorate-tests --bench checkpoints [keys]`.
//!
//! A store of 1,000,000 keys with values of 256 bytes; what a checkpoint of it writes, what one writes after a
//! hundredth has changed (in one range, and anywhere), what a hundred such checkpoints write with all merges, how long
//! a start takes, what a follower fetches that missed a hundredth, and how much memory a key takes.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use quorate_node::kv::{Command, Kv, Restore, RunWriter};
use quorate_node::raft::{
    Contact, Done, Entry, Found, HardState, Index, LoadSnapshot, LogId, Members, NodeId, Payload, Reader,
    SnapshotMeta, StoreSnapshot, Term, Write, WriteId,
};
use quorate_storage::{Content, Draft, FileDisk, Job, Options, Storage};

const VALUE_BYTES: usize = 256;
const ONE: LogId = LogId { term: Term(1), index: Index(1) };

fn main() {
    if let Some(path) = std::env::args().nth(1).filter(|argument| argument.starts_with('/')) {
        let before = resident_bytes();
        let kv = start(Path::new(&path));
        return report_memory("in memory, after a start", kv.len() as u64, resident_bytes() - before);
    }
    let keys = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(1_000_000_u64);
    let folder = tempfile::tempdir().unwrap();
    let (leader, follower) = (folder.path().join("leader"), folder.path().join("follower"));
    let before = resident_bytes();
    let mut bench = Bench::begin(&leader, keys);
    println!("{keys} keys of 16 bytes with values of {VALUE_BYTES}; {}", std::env::consts::ARCH);
    report_memory("in memory, as written", keys, resident_bytes() - before);
    let full = bench.checkpoint("the first checkpoint");
    report_memory("in memory, after it", keys, resident_bytes() - before);
    let hundredth = keys / 100;
    bench.change(keys / 2..keys / 2 + hundredth);
    let ranged = bench.checkpoint("1 % changed in one range");
    bench.change_anywhere(hundredth);
    let anywhere = bench.checkpoint("1 % changed anywhere");
    println!(
        "  of the first: {:.2} % in one range, {:.2} % anywhere",
        share(ranged, full),
        share(anywhere, full)
    );
    bench.settle();
    copy(&leader, &follower);
    bench.change_anywhere(hundredth);
    bench.checkpoint("1 % more");
    bench.fetch(&follower);
    let (started, written) = (Instant::now(), written_bytes());
    for _ in 0..100 {
        bench.change_anywhere(hundredth);
        bench.take();
    }
    bench.settle();
    let written = written_bytes() - written;
    println!(
        "a hundred checkpoints of 1 % anywhere: {} MB in {:.1} s, {:.2} times what changed; {} MB on the disk",
        written / 1_000_000,
        started.elapsed().as_secs_f64(),
        written as f64 / (full as f64),
        directory_bytes(&leader.join("snaps")) / 1_000_000,
    );
    drop(bench);
    // In a process of its own: this one's allocator keeps what was freed.
    let program = std::env::current_exe().unwrap();
    assert!(std::process::Command::new(program).arg(&leader).status().unwrap().success());
}

struct Bench {
    kv: Kv,
    storage: Storage<FileDisk>,
    keys: u64,
    index: u64,
    base: LogId,
    random: u64,
    newest: Option<SnapshotMeta>,
}

impl Bench {
    fn begin(path: &Path, keys: u64) -> Bench {
        std::fs::create_dir(path).unwrap();
        let (mut storage, _) = open(path);
        let members = Members::founder(NodeId(1), Contact::default());
        let mut append = vec![Entry { id: ONE, payload: Payload::Members(Box::new(members)) }];
        append.extend((2..=300).map(|index| Entry { id: LogId::new(1, index), payload: Payload::Noop }));
        let write = Write {
            id: WriteId(1),
            hard: Some(HardState { term: Term(1), vote: None }),
            commit_hint: Index(0),
            install: None,
            truncate_from: None,
            repair: Vec::new(),
            append,
            compact_to: None,
        };
        storage.perform(vec![Job::Core(quorate_node::raft::Job::Write(write))]).unwrap();
        let (kv, base) = (Kv::new(), LogId::ZERO);
        let mut bench = Bench { kv, storage, keys, index: 1, base, random: 1, newest: None };
        bench.change(0..keys);
        bench
    }

    fn put(&mut self, key: u64) {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = format!("key-{key:012}").into_bytes().into();
        let value = self.random.to_le_bytes().repeat(VALUE_BYTES / 8).into();
        self.kv.apply(&Command::Put { key, value });
    }

    fn change(&mut self, keys: std::ops::Range<u64>) {
        keys.for_each(|key| self.put(key));
    }

    fn change_anywhere(&mut self, count: u64) {
        for _ in 0..count {
            let key = (self.random >> 11) % self.keys;
            self.put(key);
        }
    }

    /// Takes a checkpoint, and says what it wrote.
    fn checkpoint(&mut self, what: &str) -> u64 {
        let (started, written) = (Instant::now(), written_bytes());
        self.take();
        let (written, elapsed) = (written_bytes() - written, started.elapsed());
        println!("{what}: {written} bytes in {:.2} s", elapsed.as_secs_f64());
        written
    }

    fn take(&mut self) {
        self.index += 1;
        let last = LogId::new(1, self.index);
        let members = Members::founder(NodeId(1), Contact::default());
        let sealed = self.kv.seal();
        let (totals, rows, base) =
            (sealed.totals, Content::in_parts(sealed.rows, RunWriter::let_go), self.base);
        let draft = Draft { last, members, members_at: ONE, base, tail_bytes: None, totals, rows };
        self.base = last;
        let mut jobs = vec![Job::Checkpoint(draft)];
        loop {
            for done in self.storage.perform(std::mem::take(&mut jobs)).unwrap() {
                if let Done::SnapshotTaken(meta) = done {
                    self.newest = Some(*meta);
                    return;
                }
            }
        }
    }

    fn settle(&mut self) {
        while self.storage.busy() {
            self.storage.perform(Vec::new()).unwrap();
        }
    }

    /// What a follower fetches that has all but the newest checkpoint.
    fn fetch(&mut self, follower: &Path) {
        let meta = self.newest.clone().unwrap();
        let (mut to, _) = open(follower);
        let (mut offset, mut sent, mut pieces) = (0, 0, 0);
        let started = Instant::now();
        loop {
            let load =
                LoadSnapshot { reader: Reader::Peer(NodeId(2)), last: meta.last, offset, bytes: 256 << 10 };
            let job = Job::Core(quorate_node::raft::Job::LoadSnapshot(load));
            let done = self.storage.perform(vec![job]).unwrap();
            let chunk = done.into_iter().find_map(|done| match done {
                Done::SnapshotLoaded { chunk, .. } => chunk,
                _ => None,
            });
            let chunk = chunk.unwrap();
            sent += chunk.data.len() as u64;
            pieces += 1;
            let store = StoreSnapshot { meta: Box::new(meta.clone()), chunk };
            let mut jobs = vec![Job::Core(quorate_node::raft::Job::StoreSnapshot(store))];
            let (next, complete) = loop {
                let done = to.perform(std::mem::take(&mut jobs)).unwrap();
                let answer = done.into_iter().find_map(|done| match done {
                    Done::SnapshotStored { next, complete, .. } => Some((next, complete)),
                    _ => None,
                });
                if let Some(answer) = answer {
                    break answer;
                }
            };
            if complete {
                break;
            }
            offset = next;
        }
        println!(
            "a follower that missed 1 % fetches {sent} bytes of {} ({:.2} %) in {pieces} pieces, {:.2} s",
            meta.bytes,
            share(sent, meta.bytes),
            started.elapsed().as_secs_f64(),
        );
    }
}

fn open(path: &Path) -> (Storage<FileDisk>, Found) {
    Storage::open(FileDisk::new(path), Options::new(7)).unwrap()
}

/// Opens the storage and restores the store.
fn start(path: &Path) -> Kv {
    let started = Instant::now();
    let (mut storage, found) = open(path);
    let opened = started.elapsed();
    let meta = found.snapshot.unwrap();
    let (mut restore, mut offset) = (Restore::new(), 0);
    loop {
        let load = LoadSnapshot { reader: Reader::Apply, last: meta.last, offset, bytes: 1 << 20 };
        let done = storage.perform(vec![Job::Core(quorate_node::raft::Job::LoadSnapshot(load))]).unwrap();
        let chunk = done.into_iter().find_map(|done| match done {
            Done::SnapshotLoaded { chunk, .. } => chunk,
            _ => None,
        });
        let chunk = chunk.unwrap();
        restore.feed(&chunk.data).unwrap();
        offset += chunk.data.len() as u64;
        if chunk.done {
            break;
        }
    }
    let kv = restore.finish().unwrap().kv;
    println!(
        "a start: {:.2} s, of them {:.2} s to open and verify {} MB; {:.2} s of a processor",
        started.elapsed().as_secs_f64(),
        opened.as_secs_f64(),
        meta.bytes / 1_000_000,
        processor_seconds(),
    );
    kv
}

fn report_memory(what: &str, keys: u64, bytes: u64) {
    let each = bytes / keys;
    println!(
        "{what}: {} MB, {each} bytes a key, {} beside key and value",
        bytes / 1_000_000,
        each - 16 - VALUE_BYTES as u64
    );
}

fn share(part: u64, of: u64) -> f64 {
    part as f64 * 100.0 / of as f64
}

/// What this process has written so far, in bytes.
fn written_bytes() -> u64 {
    field("/proc/self/io", "wchar:")
}

fn resident_bytes() -> u64 {
    field("/proc/self/status", "VmRSS:") * 1024
}

/// The time that processors have spent on this process, in seconds; the system counts hundredths.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = text.rsplit_once(')').unwrap().1.split_whitespace();
    let hundredths: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    hundredths as f64 / 100.0
}

fn field(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn directory_bytes(path: &Path) -> u64 {
    std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
