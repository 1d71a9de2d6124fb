//! All of a node's storage, with one owner.

use quorate_raft::{Done, Entry, Found, HardState, LogId, Members, Payload, SnapshotMeta, TermRuns, Write};

use crate::checkpoints::{self, Checkpoints, Draft};
use crate::disk::Disk;
use crate::error::{Fatal, OpenError};
use crate::log::{Log, Position};
use crate::options::Options;
use crate::places::Places;
use crate::recovery::{Recovered, list, recover};
use crate::replay::Replay;
use crate::segment::{self, Link, LogFile, SegmentNumber};
use crate::spares::Spares;
use crate::stable::{self, Stable, StableState, StableValue};

/// Work for storage.
pub enum Job {
    /// What the core asks for.
    Core(quorate_raft::Job),
    /// A checkpoint that the node takes. Answer: [`Done::SnapshotTaken`], when it is durable, or
    /// [`Done::SnapshotLost`], when what it builds on can't be read.
    Checkpoint(Draft),
}

impl From<quorate_raft::Job> for Job {
    fn from(job: quorate_raft::Job) -> Job {
        Job::Core(job)
    }
}

/// Log, term and vote, and checkpoints of one node.
///
/// Synchronous, with one owner. Group commit is in the interface: all writes of one [`Storage::perform`] become
/// durable with one sync, so a host takes everything that is queued, performs it, and comes back.
pub struct Storage<D: Disk> {
    disk: D,
    stable: Stable<D::File>,
    log: Log<D::File>,
    checkpoints: Checkpoints<D::File>,
    slice_bytes: usize,
    failed: bool,
}

impl<D: Disk> Storage<D> {
    /// Opens what is on the disk, or begins on an empty one, and says what was found.
    ///
    /// # Errors
    /// [`OpenError`]: something is lost that this node cannot do without, or the disk refused an operation.
    pub fn open(disk: D, options: Options) -> Result<(Storage<D>, Found), OpenError> {
        for directory in [segment::DIRECTORY, stable::DIRECTORY, checkpoints::DIRECTORY] {
            disk.create_dir(directory).map_err(Fatal::new("create", directory))?;
        }
        let files = list(&disk)?;
        let checkpoints = Checkpoints::open(&disk, &options)?;
        let has_log = files.iter().any(|file| matches!(file, LogFile::Segment(_)));
        let stable = match stable::read(&disk) {
            StableState::Value(value, whole) => Stable::open(&disk, value, whole)?,
            StableState::Empty if !has_log && checkpoints.newest().is_none() => Stable::create(&disk)?,
            StableState::Empty | StableState::Lost => return Err(OpenError::TermAndVoteLost),
        };
        let acknowledged = stable.value().acknowledged_batch;
        if has_log {
            let recovered = recover(&disk, &files, checkpoints.newest(), acknowledged)?;
            Opening { disk, options, files, checkpoints, stable }.with_log(recovered)
        } else if acknowledged == 0 {
            Opening { disk, options, files, checkpoints, stable }.without_log()
        } else {
            Err(OpenError::LogLost { acknowledged })
        }
    }

    /// Does the jobs. All writes become durable together; the answer to them is one [`Done::Written`], which names
    /// the last. With nothing to do it goes on with what it does in slices.
    ///
    /// # Errors
    /// [`Fatal`]: the process must end.
    ///
    /// # Panics
    /// When it is called again after it failed, or when a write doesn't fit the log: appends with a gap, a
    /// truncation of what was compacted, a checkpoint beyond the log's end.
    pub fn perform(&mut self, jobs: Vec<Job>) -> Result<Vec<Done>, Fatal> {
        assert!(!self.failed, "storage failed before: the process had to end");
        let result = self.try_perform(jobs);
        self.failed = result.is_err();
        result
    }

    /// Whether there's something to go on with when nothing else waits: call [`Storage::perform`] with nothing.
    pub fn busy(&self) -> bool {
        self.checkpoints.busy() || self.log.spares.busy() || self.log.wants_mark()
    }

    /// Whether a checkpoint or a merge waits for room on the disk: it was found full. What was half done is dropped,
    /// and tried again after some more calls of [`Storage::perform`], empty ones among them.
    pub fn waits_for_space(&self) -> bool {
        self.checkpoints.waits_for_space()
    }

    fn try_perform(&mut self, jobs: Vec<Job>) -> Result<Vec<Done>, Fatal> {
        let idle = jobs.is_empty();
        let mut writes = Vec::new();
        let mut others = Vec::new();
        for job in jobs {
            match job {
                Job::Core(quorate_raft::Job::Write(write)) => writes.push(write),
                other => others.push(other),
            }
        }
        let mut done = Vec::new();
        if !writes.is_empty() {
            done.push(self.write(writes)?);
        }
        for job in others {
            self.perform_other(job, &mut done)?;
        }
        if idle && self.log.wants_mark() {
            self.log.mark()?;
        }
        done.extend(self.checkpoints.work(&self.disk)?);
        self.log.spares.work(&self.disk, self.slice_bytes)?;
        Ok(done)
    }

    /// All writes, in their order, with one sync of the log when they fit into one batch.
    fn write(&mut self, writes: Vec<Write>) -> Result<Done, Fatal> {
        // Term and vote first. Only the last value counts: it is durable before any entry of its term is.
        if let Some(hard) = writes.iter().rev().find_map(|write| write.hard) {
            self.write_hard(hard)?;
        }
        let (mut last_id, mut compact_to, mut commit_hint) = (None, None, self.log.commit_hint);
        for write in writes {
            commit_hint = commit_hint.max(write.commit_hint);
            if let Some(meta) = &write.install {
                self.log.flush()?;
                self.log.reset(&self.disk, &mut self.stable, meta)?;
            }
            let replaced = write.append.first().map(|entry| entry.id.index);
            if let Some(from) = write.truncate_from.filter(|from| Some(*from) != replaced) {
                self.log.truncate(&self.disk, &mut self.stable, from)?;
            }
            for entry in &write.append {
                self.log.append(&self.disk, &mut self.stable, entry)?;
            }
            for entry in &write.repair {
                self.log.repair(&self.disk, &mut self.stable, entry)?;
            }
            compact_to = compact_to.max(write.compact_to);
            last_id = Some(write.id);
        }
        self.log.flush()?;
        // Not before: a hint counts the slots of its own write. Of a batch that a crash cuts off it would vouch for
        // the old slots at those places instead.
        self.log.commit_hint = self.log.commit_hint.max(commit_hint);
        if let Some(to) = compact_to {
            self.log.compact(&self.disk, to)?;
        }
        Ok(Done::Written(last_id.expect("the caller has at least one write")))
    }

    fn write_hard(&mut self, hard: HardState) -> Result<(), Fatal> {
        let (last, batch) = self.log.durable();
        let value = self.stable.value().with_log(last, batch);
        self.stable.write(StableValue { hard, ..value })
    }

    fn perform_other(&mut self, job: Job, done: &mut Vec<Done>) -> Result<(), Fatal> {
        use quorate_raft::Job as Core;
        match job {
            Job::Core(Core::Write(_)) => unreachable!("writes were taken out before"),
            Job::Core(Core::Load(load)) => {
                let loaded = self.log.load(load.first, load.last, load.bytes);
                done.push(Done::Loaded { load, entries: loaded.entries });
                if let Some(id) = loaded.damaged {
                    self.log.damaged.insert(id.index);
                    done.push(Done::Damaged(id));
                }
            }
            Job::Core(Core::LoadSnapshot(load)) => done.extend(self.checkpoints.load(&self.disk, load)),
            Job::Core(Core::StoreSnapshot(store)) => done.extend(self.checkpoints.store(&self.disk, store)?),
            Job::Checkpoint(draft) => {
                let (last, durable) = (draft.last, self.log.terms.last());
                assert!(last.index <= durable.index, "a checkpoint of {last}, but the log ends at {durable}");
                self.checkpoints.begin(draft);
            }
        }
        Ok(())
    }
}

/// What opening needs, step by step.
struct Opening<D: Disk> {
    disk: D,
    options: Options,
    files: Vec<LogFile>,
    checkpoints: Checkpoints<D::File>,
    stable: Stable<D::File>,
}

impl<D: Disk> Opening<D> {
    /// Begins an empty log, after the checkpoint if there is one.
    fn without_log(mut self) -> Result<(Storage<D>, Found), OpenError> {
        let start = Start::of(self.checkpoints.newest());
        let position =
            Position { offset: 0, batch: 0, marked: true, previous: Link::default(), closed: true };
        let mut log = Log {
            segments: [].into(),
            terms: TermRuns::new(start.last),
            places: Places::new(start.last.index),
            damaged: [].into(),
            members: Vec::new(),
            base_members: (start.members_at, start.members),
            commit_hint: start.last.index,
            position,
            stale: Vec::new(),
            spares: self.spares()?,
            batch: Default::default(),
            options: self.options.clone(),
        };
        log.begin_segment(&self.disk, &mut self.stable, 0)?;
        let found = Found {
            hard: self.stable.value().hard,
            commit_hint: log.commit_hint,
            snapshot: self.checkpoints.newest().cloned(),
            terms: log.terms.clone(),
            ..Found::default()
        };
        Ok((self.storage(log), found))
    }

    /// Goes on with the log that was found.
    fn with_log(mut self, recovered: Recovered<D::File>) -> Result<(Storage<D>, Found), OpenError> {
        let Recovered { segments, mut replay, position, dead, stale } = recovered;
        let hard = self.stable.value().hard;
        let newest = self.checkpoints.newest().cloned();
        let start = Start::of(newest.as_ref());
        let base = replay.terms.base();
        if base.index > start.last.index || (newest.is_none() && base != LogId::ZERO) {
            return Err(OpenError::CheckpointLost { base, newest: newest.map(|meta| meta.last) });
        }
        let end = replay.terms.last();
        if end.term > hard.term {
            return Err(OpenError::TermBehindLog { last: end, term: hard.term });
        }
        // A snapshot that a leader sent is durable, and a crash came before the log was reset. It is committed, so
        // what the log holds instead never can be. Whatever is unknown stays so.
        replay.doubt(hard.term);
        let behind = !replay.terms.holds(start.last);
        if behind {
            replay.restart(start.last, Some(start.members_at.index));
            replay.unknown = replay.unknown.map(|_| start.last.index.next());
        }
        let last = replay.terms.last();
        self.note(&replay)?;
        let unknown = replay.unknown.or_else(|| self.stable.value().lost_from(last));
        let members = membership(&replay, newest.as_ref())?;
        // Not so when a crash came between a membership entry and the segment that is begun behind it.
        let repeated =
            members.last().is_none_or(|(id, _)| *id == start.members_at || replay.copies.contains_key(id));
        let found = Found {
            hard: self.stable.value().hard,
            commit_hint: replay.commit_hint.max(start.last.index).min(last.index),
            snapshot: newest.clone(),
            terms: replay.terms.clone(),
            members: members
                .iter()
                .map(|(id, members)| Entry { id: *id, payload: Payload::Members(members.clone()) })
                .collect(),
            damaged: replay.damaged.iter().filter_map(|index| replay.terms.id(*index)).collect(),
            unknown,
        };
        let mut log = Log {
            segments,
            terms: replay.terms,
            places: replay.places,
            damaged: replay.damaged,
            members,
            // Not what the first segment's header says: that may be an entry that was replaced afterwards.
            base_members: (start.members_at, start.members),
            commit_hint: found.commit_hint,
            position,
            stale,
            spares: self.spares()?,
            batch: Default::default(),
            options: self.options.clone(),
        };
        for path in dead {
            self.disk.remove(&path).map_err(Fatal::new("remove", path))?;
        }
        let directory = segment::DIRECTORY;
        self.disk.sync_dir(directory).map_err(Fatal::new("sync", directory))?;
        if let Some(meta) = newest.filter(|_| behind) {
            log.reset(&self.disk, &mut self.stable, &meta)?;
        }
        if !repeated {
            log.begin_segment(&self.disk, &mut self.stable, 0)?;
        }
        Ok((self.storage(log), found))
    }

    /// Makes what was found out durable before anything is written that relies on it.
    fn note(&mut self, replay: &Replay) -> Result<(), Fatal> {
        let found = *self.stable.value();
        let (mut value, last) = (found, replay.terms.last());
        if replay.unknown.is_some() {
            // What comes behind the loss would make it look like a log that was never longer.
            value.lost_tail = found.hard.term;
        }
        if last.term > found.hard.term {
            // Only a stored snapshot can be ahead of the term; the node never voted in that one. Begun after it, the
            // log would be ahead too, and at the next start nobody would know why.
            value.hard = HardState { term: last.term, vote: None };
        }
        if value != found { self.stable.write(value) } else { Ok(()) }
    }

    fn spares(&self) -> Result<Spares<D::File>, Fatal> {
        let numbers = self.files.iter().map(|file| match file {
            LogFile::Segment(number) | LogFile::Spare(number) | LogFile::Filling(number) => *number,
        });
        let next = numbers.max().unwrap_or(SegmentNumber(0)).next();
        let options = &self.options;
        Spares::open(&self.disk, &self.files, next, options.segment_bytes, options.spare_segments)
    }

    fn storage(self, log: Log<D::File>) -> Storage<D> {
        let Opening { disk, options, checkpoints, stable, .. } = self;
        Storage { disk, stable, log, checkpoints, slice_bytes: options.slice_bytes, failed: false }
    }
}

/// Where the log must begin at the latest.
struct Start {
    last: LogId,
    members: Members,
    members_at: LogId,
}

impl Start {
    fn of(snapshot: Option<&SnapshotMeta>) -> Start {
        match snapshot {
            Some(meta) => {
                Start { last: meta.last, members: meta.members.clone(), members_at: meta.members_at }
            }
            None => Start { last: LogId::ZERO, members: Members::default(), members_at: LogId::ZERO },
        }
    }
}

/// The membership entries of the log. One whose payload is lost is known from a segment header or from the checkpoint;
/// one that the checkpoint covers is not needed.
fn membership(replay: &Replay, newest: Option<&SnapshotMeta>) -> Result<Vec<(LogId, Members)>, OpenError> {
    let mut found = Vec::new();
    for slot in &replay.members {
        let from_snapshot = newest.filter(|meta| meta.members_at == slot.id).map(|meta| &meta.members);
        let known = slot.members.as_ref().or_else(|| replay.copies.get(&slot.id)).or(from_snapshot);
        match known {
            Some(members) => found.push((slot.id, members.clone())),
            None if newest.is_some_and(|meta| slot.id.index <= meta.last.index) => {}
            None => return Err(OpenError::MembershipLost { id: slot.id }),
        }
    }
    Ok(found)
}
