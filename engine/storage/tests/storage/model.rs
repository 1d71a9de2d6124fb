//! A node's storage as plain data, and a script of what the core may ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use quorate_raft::{
    Chunk, Done, Entry, Found, HardState, Index, LoadSnapshot, LogId, Members, Payload, Reader, SnapshotMeta,
    StoreSnapshot, Write,
};
use quorate_storage::{Fatal, Job, MemoryDisk, Storage};
use quorate_wire::checkpoint::Manifest;

use crate::common::{command, hard, members, members_entry, noop, read, rows, take, whole, write};

/// One thing that a host lets storage do.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Entries at the end, in as many writes, all in one call.
    Append { sizes: Vec<usize> },
    /// A new leader's entries in place of the last few.
    Replace { back: u64, sizes: Vec<usize> },
    /// The last few entries go, in a new term.
    Truncate { back: u64 },
    /// A new term.
    Vote,
    /// Nothing to do, several times.
    Idle { times: u8 },
    /// A checkpoint of all but the last few, and the log below it is dropped.
    Checkpoint { back: u64, bytes: usize },
    /// A snapshot from a leader that is this far ahead.
    Install { ahead: u64, bytes: usize },
    /// The payloads of all damaged slots, from a peer.
    Repair,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sizes = || prop::collection::vec(prop_oneof![0..40_usize, 0..900_usize, 2000..12_000_usize], 1..6);
    let step = prop_oneof![
        6 => sizes().prop_map(|sizes| Step::Append { sizes }),
        2 => (1..5_u64, sizes()).prop_map(|(back, sizes)| Step::Replace { back, sizes }),
        1 => (1..4_u64).prop_map(|back| Step::Truncate { back }),
        1 => Just(Step::Vote),
        3 => (1..6_u8).prop_map(|times| Step::Idle { times }),
        2 => (0..4_u64, 0..200_000_usize).prop_map(|(back, bytes)| Step::Checkpoint { back, bytes }),
        1 => (1..5_u64, 0..200_000_usize).prop_map(|(ahead, bytes)| Step::Install { ahead, bytes }),
    ];
    prop::collection::vec(step, 1..14)
}

/// What a node holds at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) hard: HardState,
    /// The slot before the log's first; what a compaction dropped is still in `log`.
    pub(crate) base: LogId,
    pub(crate) log: BTreeMap<u64, Entry>,
    /// The newest checkpoint.
    pub(crate) snapshot: Option<SnapshotMeta>,
    /// The slots of the log that have lost their payloads, and are known to.
    pub(crate) damaged: BTreeSet<u64>,
}

impl State {
    pub(crate) fn last(&self) -> LogId {
        self.log.last_key_value().map_or(self.base, |(_, entry)| entry.id)
    }

    /// Without the payloads.
    fn summary(&self) -> String {
        let State { hard, base, log, snapshot, damaged } = self;
        let ids: Vec<String> = log.values().map(|entry| entry.id.to_string()).collect();
        let snapshot = snapshot.as_ref().map(|meta| meta.last);
        format!("{hard:?}, {base} then {ids:?}, snapshot to {snapshot:?}, damaged {damaged:?}")
    }

    fn drop_from(&mut self, index: u64) {
        self.log.split_off(&index);
        self.damaged.split_off(&index);
    }

    fn set(&mut self, entry: &Entry) {
        self.drop_from(entry.id.index.0);
        self.log.insert(entry.id.index.0, entry.clone());
    }
}

/// A storage under test, every state it has been in, and which of them it has promised.
pub(crate) struct Model {
    pub(crate) states: Vec<State>,
    /// The first state that may be found after a crash.
    pub(crate) promised: usize,
    /// Makes payloads differ.
    counter: u64,
}

impl Model {
    pub(crate) fn new(state: State) -> Model {
        Model { states: vec![state], promised: 0, counter: 0 }
    }

    pub(crate) fn now(&self) -> &State {
        self.states.last().unwrap()
    }

    fn push(&mut self, change: impl FnOnce(&mut State)) {
        let mut state = self.now().clone();
        change(&mut state);
        self.states.push(state);
    }

    fn entry(&mut self, term: u64, index: u64, size: usize) -> Entry {
        self.counter += 1;
        match self.counter % 7 {
            0 => members_entry(term, index, &["a", &format!("b{}", self.counter)]),
            1 => noop(term, index),
            _ => {
                // Zeros too: recovery must not take a client's zeros for sectors that were never written.
                let filler = if self.counter.is_multiple_of(3) { 0 } else { self.counter.to_le_bytes()[0] };
                command(term, index, &vec![filler; size])
            }
        }
    }

    fn entries(&mut self, from: u64, sizes: &[usize]) -> Vec<Entry> {
        let term = self.now().hard.term.0;
        (from..).zip(sizes).map(|(index, size)| self.entry(term, index, *size)).collect()
    }

    /// Takes a step. When it fails, some of its states may be what is found.
    pub(crate) fn take(&mut self, storage: &mut Storage<MemoryDisk>, step: &Step) -> Result<(), Fatal> {
        let last = self.now().last();
        let floor =
            self.now().base.index.0.max(self.now().snapshot.as_ref().map_or(0, |meta| meta.last.index.0));
        let term = self.now().hard.term.0;
        match step {
            Step::Append { sizes } => {
                let append = self.entries(last.index.0 + 1, sizes);
                let writes =
                    append.iter().map(|entry| Write { append: vec![entry.clone()], ..write(1) }).collect();
                append.iter().for_each(|entry| self.push(|state| state.set(entry)));
                self.write(storage, writes)?;
            }
            Step::Replace { back, sizes } if last.index.0 > floor => {
                let from = (last.index.0 + 1).saturating_sub(*back).max(floor + 1);
                self.push(|state| state.hard = hard(term + 1));
                let append = self.entries(from, sizes);
                append.iter().for_each(|entry| self.push(|state| state.set(entry)));
                let truncate_from = Some(Index(from));
                self.write(
                    storage,
                    vec![Write { hard: Some(hard(term + 1)), truncate_from, append, ..write(1) }],
                )?;
            }
            Step::Truncate { back } if last.index.0 > floor => {
                let from = (last.index.0 + 1).saturating_sub(*back).max(floor + 1);
                self.push(|state| state.hard = hard(term + 1));
                self.push(|state| state.drop_from(from));
                let truncate_from = Some(Index(from));
                self.write(storage, vec![Write { hard: Some(hard(term + 1)), truncate_from, ..write(1) }])?;
            }
            Step::Replace { .. } | Step::Truncate { .. } | Step::Vote => {
                self.push(|state| state.hard = hard(term + 1));
                self.write(storage, vec![Write { hard: Some(hard(term + 1)), ..write(1) }])?;
            }
            Step::Idle { times } => {
                for _ in 0..*times {
                    storage.perform(Vec::new())?;
                }
            }
            Step::Checkpoint { back, bytes } => self.checkpoint(storage, *back, *bytes, floor)?,
            Step::Install { ahead, bytes } => self.install(storage, last.index.0 + ahead, *bytes)?,
            Step::Repair => self.repair(storage)?,
        }
        self.promised = self.states.len() - 1;
        Ok(())
    }

    fn repair(&mut self, storage: &mut Storage<MemoryDisk>) -> Result<(), Fatal> {
        let repair: Vec<Entry> =
            self.now().damaged.iter().map(|index| self.now().log[index].clone()).collect();
        for entry in &repair {
            self.push(|state| state.damaged.retain(|index| *index != entry.id.index.0));
        }
        self.write(storage, vec![Write { repair, ..write(1) }])
    }

    fn write(&mut self, storage: &mut Storage<MemoryDisk>, writes: Vec<Write>) -> Result<(), Fatal> {
        let commit_hint = self.now().snapshot.as_ref().map_or(Index(0), |meta| meta.last.index);
        let hint = |write| Write { commit_hint, ..write };
        let jobs = writes.into_iter().map(|write| Job::Core(quorate_raft::Job::Write(hint(write)))).collect();
        storage.perform(jobs).map(drop)
    }

    /// The latest configuration up to `index`.
    fn config(&self, index: u64) -> (LogId, Members) {
        let state = self.now();
        let in_log = state.log.range(..=index).rev().find_map(|(_, entry)| match &entry.payload {
            Payload::Members(members) => Some((entry.id, Members::clone(members))),
            _ => None,
        });
        let from_snapshot = || state.snapshot.as_ref().map(|meta| (meta.members_at, meta.members.clone()));
        in_log.or_else(from_snapshot).unwrap_or_default()
    }

    fn checkpoint(
        &mut self,
        storage: &mut Storage<MemoryDisk>,
        back: u64,
        bytes: usize,
        floor: u64,
    ) -> Result<(), Fatal> {
        let index = self.now().last().index.0.saturating_sub(back);
        let Some(entry) = self.now().log.get(&index).filter(|_| index > floor) else { return Ok(()) };
        let last = entry.id;
        let (members_at, members) = self.config(index);
        let (draft, meta, _) = whole(last, members, members_at, &rows(seed(last), bytes));
        self.push(|state| state.snapshot = Some(meta.clone()));
        assert_eq!(take(storage, draft)?, meta);
        self.promised = self.states.len() - 1;
        self.write(storage, vec![Write { compact_to: Some(last.index), ..write(1) }])
    }

    fn install(&mut self, storage: &mut Storage<MemoryDisk>, index: u64, bytes: usize) -> Result<(), Fatal> {
        let term = self.now().hard.term.0 + 1;
        self.push(|state| state.hard = hard(term));
        self.write(storage, vec![Write { hard: Some(hard(term)), ..write(1) }])?;
        self.promised = self.states.len() - 1;
        let last = LogId::new(term, index.max(1));
        let (members, members_at) = (members(&["snapshot"]), LogId::new(1, 1));
        let (_, meta, content) = whole(last, members, members_at, &rows(seed(last), bytes));
        self.push(|state| {
            let hard = state.hard;
            *state = State { hard, base: last, snapshot: Some(meta.clone()), ..State::default() };
        });
        let mut offset = 0;
        loop {
            let end = content.len().min(offset + 70_000);
            let (data, done) = (Arc::from(&content[offset..end]), end == content.len());
            let chunk = Chunk { offset: offset as u64, data, done };
            let store =
                quorate_raft::Job::StoreSnapshot(StoreSnapshot { meta: Box::new(meta.clone()), chunk });
            storage.perform(vec![Job::Core(store)])?;
            offset = end;
            if done {
                break;
            }
        }
        self.write(storage, vec![Write { install: Some(Box::new(meta)), ..write(1) }])
    }

    /// Checks that what was found is a state that may be found, whole. Says which.
    pub(crate) fn check(&self, storage: &mut Storage<MemoryDisk>, found: &Found) -> State {
        assert_eq!(found.unknown, None, "no tail was lost");
        let candidates = &self.states[self.promised..];
        let state = candidates.iter().rev().find(|state| matches(state, found));
        let Some(state) = state else {
            let held: Vec<String> = candidates.iter().map(State::summary).collect();
            panic!("found {found:?}, but none of these was held:\n{}", held.join("\n"))
        };
        let (base, last) = (found.terms.base().index.0, found.terms.last().index.0);
        let (entries, damaged) = read(storage, base + 1, last);
        let sound = |(index, entry): (&u64, &Entry)| (!state.damaged.contains(index)).then(|| entry.clone());
        let expected: Vec<Entry> = state.log.range(base + 1..).filter_map(sound).collect();
        assert_eq!(entries, expected);
        assert_eq!(damaged, found.damaged);
        if let Some(meta) = &found.snapshot {
            let loaded = load_snapshot(storage, meta);
            let manifest = Manifest::decode(&loaded).unwrap().unwrap();
            let of_runs = &loaded[usize::try_from(manifest.bytes()).unwrap()..];
            assert!(of_runs == rows(seed(meta.last), of_runs.len()), "another state at {}", meta.last);
        }
        state.clone()
    }
}

/// Whether this state is what was found. A crash may come between a checkpoint's name and anything else, and whole
/// segments below a checkpoint may or may not be gone.
fn matches(state: &State, found: &Found) -> bool {
    let base = found.terms.base();
    let snapshot = found.snapshot.as_ref();
    let terms = (base.index.0 + 1..=found.terms.last().index.0).map(|index| found.terms.id(Index(index)));
    let expected = state.log.range(base.index.0 + 1..).map(|(_, entry)| Some(entry.id));
    let damaged = state.damaged.range(base.index.0 + 1..).map(|index| state.log[index].id);
    let members = found.members.iter();
    let expected_members = state.log.range(base.index.0 + 1..).map(|(_, entry)| entry);
    let expected_members = expected_members.filter(|entry| matches!(entry.payload, Payload::Members(_)));
    state.hard == found.hard
        && state.last() == found.terms.last()
        && state.snapshot.as_ref() == snapshot
        && base >= state.base
        && base.index <= snapshot.map_or(Index(0), |meta| meta.last.index)
        && damaged.eq(found.damaged.iter().copied())
        && terms.eq(expected)
        && members.eq(expected_members)
}

fn seed(last: LogId) -> u64 {
    last.index.0.wrapping_mul(31) ^ last.term.0
}

pub(crate) fn load_snapshot(storage: &mut Storage<MemoryDisk>, meta: &SnapshotMeta) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let offset = content.len() as u64;
        let load = LoadSnapshot { reader: Reader::Apply, last: meta.last, offset, bytes: 50_000 };
        let done = storage.perform(vec![Job::Core(quorate_raft::Job::LoadSnapshot(load))]).unwrap();
        let chunk = done.into_iter().find_map(|done| match done {
            Done::SnapshotLoaded { chunk, .. } => chunk,
            _ => None,
        });
        let chunk = chunk.expect("a whole snapshot can be read");
        content.extend_from_slice(&chunk.data);
        if chunk.done {
            return content;
        }
    }
}
