//! All of a node's storage, with one owner.

use std::collections::VecDeque;

use quorate_raft::{
    Done, Entry, Found, HardState, Index, LogId, Members, Payload, Room, SnapshotMeta, TermRuns, Write,
};
use quorate_wire::checkpoint::Manifest;

use crate::backup::Sources;
use crate::ballast::Ballast;
use crate::checkpoints::{self, Checkpoints};
use crate::disk::Disk;
use crate::error::{Fatal, OpenError};
use crate::job::{Job, Lent};
use crate::lending::{Wanted, lend};
use crate::log::{Log, Position};
use crate::options::Options;
use crate::places::Places;
use crate::recovery::{Recovered, list, recover};
use crate::replay::Replay;
use crate::scrub::{Finding, Scrubbed, Scrubber};
use crate::segment::{self, Link, LogFile, SegmentNumber};
use crate::spares::Spares;
use crate::stable::{self, Stable, StableState, StableValue};
use crate::versions::refuse_other_versions;

/// How many peers' wishes may wait.
const MOST_LENDS: usize = 64;

/// How much is read of what is at rest in one call, when there are no idle ones, in slices.
const TENDING_SLICES: usize = 8;

/// How many calls with jobs there are to one slice of a checkpoint, while there are no others.
const LOADED_CALLS: u32 = 4;

/// Log, term and vote, and checkpoints of one node.
///
/// Synchronous, with one owner. Group commit is in the interface: all writes of one [`Storage::perform`] become
/// durable with one sync, so a host takes everything that is queued, performs it, and comes back.
pub struct Storage<D: Disk> {
    disk: D,
    stable: Stable<D::File>,
    log: Log<D::File>,
    checkpoints: Checkpoints<D::File>,
    backups: Sources<D::File>,
    ballast: Ballast<D::File>,
    /// Writes that have not been done yet: the first of them found no room in the log.
    waiting: VecDeque<Write>,
    /// There was no space for a spare segment or for the ballast, and not all of them are back.
    short_of_room: bool,
    /// What was said last of the room there is.
    told: Option<Room>,
    scrubber: Scrubber,
    /// See [`Storage::behind_gap`].
    behind_gap: Option<LogId>,
    /// What peers have asked for.
    lends: VecDeque<(Wanted, Lent)>,
    /// Calls with jobs since the last one without.
    loaded_calls: u32,
    slice_bytes: usize,
    failed: bool,
}

impl<D: Disk> Storage<D> {
    /// Opens what is on the disk, or begins on an empty one, and says what was found.
    ///
    /// # Errors
    /// [`OpenError`]: something is lost that this node cannot do without, or the disk refused an operation.
    pub fn open(disk: D, options: Options) -> Result<(Storage<D>, Found), OpenError> {
        refuse_other_versions(&disk)?;
        for directory in [segment::DIRECTORY, stable::DIRECTORY, checkpoints::DIRECTORY] {
            disk.create_dir(directory).map_err(Fatal::new("create", directory))?;
        }
        let files = list(&disk)?;
        let checkpoints = Checkpoints::open(&disk, &options)?;
        let has_log = files.iter().any(|file| matches!(file, LogFile::Segment(_)));
        let stable = match stable::read(&disk)? {
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
        let waits = self.checkpoints.waits_for_space();
        let ballast_busy = !waits && self.ballast.busy(self.checkpoints.newest());
        self.checkpoints.busy()
            || self.log.spares.busy()
            || ballast_busy
            || self.log.wants_mark()
            || self.may_scrub()
            || !self.lends.is_empty()
    }

    /// Whether somebody waits for what [`Storage::busy`] speaks of, or will soon. Merges and the checkpoint of a
    /// boundary have time, as long as no other waits behind it: a host does well to leave the disk and the processor to
    /// others.
    pub fn is_pressed(&self) -> bool {
        self.checkpoints.is_pressed()
            || self.log.spares.busy() && !self.log.spares.only_removes()
            || self.log.wants_mark()
            || !self.lends.is_empty()
    }

    /// The slot before the log's first, when the newest whole checkpoint ends before that: newer ones are lost. What
    /// lies between was found to be damaged; a checkpoint that reaches that far would make up for it
    /// ([`crate::mending`]).
    pub fn behind_gap(&self) -> Option<LogId> {
        self.behind_gap
    }

    /// What was found bad at rest, or in what a leader sends, since this was asked last. The core hears of slots in any
    /// case.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        let mut findings = std::mem::take(&mut self.scrubber.findings);
        findings.extend(self.checkpoints.take_other_version().map(|(found, last)| Finding::UnknownContent {
            last,
            found,
            known: Manifest::VERSION,
        }));
        findings
    }

    /// How much was read at rest.
    pub fn scrubbed(&self) -> Scrubbed {
        self.scrubber.scrubbed
    }

    /// Whether a checkpoint or a merge waits for room on the disk: it was found full. What was half done is dropped,
    /// and tried again after some more calls of [`Storage::perform`], empty ones among them.
    pub fn waits_for_space(&self) -> bool {
        self.checkpoints.waits_for_space()
    }

    fn try_perform(&mut self, jobs: Vec<Job>) -> Result<Vec<Done>, Fatal> {
        let idle = jobs.is_empty();
        // Under steady load there is no idle moment; then each time that storage is told to tend its disk is one.
        let is_quiet = idle || jobs.iter().any(|job| matches!(job, Job::Tend { .. }));
        let mut writes = Vec::new();
        let mut others = Vec::new();
        for job in jobs {
            match job {
                Job::Core(quorate_raft::Job::Write(write)) => writes.push(write),
                other => others.push(other),
            }
        }
        self.waiting.extend(writes);
        let mut done = Vec::new();
        self.write_waiting(&mut done)?;
        for job in others {
            self.perform_other(job, &mut done)?;
        }
        if idle && self.log.wants_mark() {
            self.log.mark()?;
        }
        if self.checkpoints.needs_space() {
            self.keep_space_for_checkpoint(self.slice_bytes)?;
        }
        let has_time = self.may_work_on_checkpoints(idle);
        if has_time {
            done.extend(self.checkpoints.work(&self.disk)?);
        }
        if has_time || !self.log.spares.only_removes() {
            self.log.spares.work(&self.disk, self.slice_bytes)?;
        }
        // Taken back while a checkpoint waits, its space would be given up again for the next attempt, and so for ever.
        if !self.log.spares.busy() && !self.checkpoints.wants_disk() && !self.checkpoints.waits_for_space() {
            self.ballast.work(&self.disk, self.checkpoints.newest(), self.slice_bytes)?;
        }
        // The only call for a while, under load: then it does what an idle storage would do in several.
        for _ in 0..if idle { 1 } else { TENDING_SLICES } {
            if is_quiet && self.may_scrub() {
                self.scrub(&mut done)?;
            }
        }
        if idle && let Some((wanted, answer)) = self.lends.pop_front() {
            answer(lend(&self.disk, &wanted));
        }
        self.tell_room(&mut done);
        if self.short_of_room || self.checkpoints.waits_for_space() {
            // A slow reader must not keep a full disk full.
            self.backups.let_go(&self.checkpoints);
        }
        Ok(done)
    }

    /// Does the writes for which the log has room. Those for which it has none wait, with all behind them; if some of
    /// these drop what is not needed any more, that is done at once.
    fn write_waiting(&mut self, done: &mut Vec<Done>) -> Result<(), Fatal> {
        let mut compacted = None;
        while !self.waiting.is_empty() {
            let fitting = self.log.make_room(&self.disk, &self.waiting)?;
            if fitting > 0 {
                let writes = self.waiting.drain(..fitting).collect();
                done.push(self.write(writes)?);
            }
            self.log.spares.remove_large(&self.disk)?;
            // A checkpoint covers what they drop, and no write ever goes back behind one.
            let to = self.waiting.iter().filter_map(|write| write.compact_to).max();
            let Some(to) = to.filter(|to| Some(*to) > compacted) else { break };
            self.log.compact(&self.disk, to)?;
            compacted = Some(to);
        }
        Ok(())
    }

    /// Gives the ballast up when the file system has no space left for another `bytes` of a checkpoint.
    fn keep_space_for_checkpoint(&mut self, bytes: usize) -> Result<(), Fatal> {
        /// Names, the checkpoint's head and foot, and what the file system itself needs.
        const MARGIN_BYTES: u64 = 64 << 10;
        let wanted = 2 * bytes as u64 + MARGIN_BYTES;
        // A file system that does not say is asked by writing.
        let is_short = self.disk.free_bytes().is_ok_and(|free| free < wanted);
        if is_short && self.ballast.give_up(&self.disk)? {
            self.short_of_room = true;
        }
        Ok(())
    }

    /// Whether to go on with a checkpoint. Whoever comes meanwhile waits for it, so under load it is done after one
    /// call in [`LOADED_CALLS`] only.
    fn may_work_on_checkpoints(&mut self, idle: bool) -> bool {
        self.loaded_calls = if idle { 0 } else { self.loaded_calls + 1 };
        self.loaded_calls.is_multiple_of(LOADED_CALLS)
    }

    /// Whether to read what is at rest. Not while writes wait for room: that is what the disk is for then.
    fn may_scrub(&self) -> bool {
        self.scrubber.busy() && self.waiting.is_empty()
    }

    /// Reads a slice of what is at rest.
    fn scrub(&mut self, done: &mut Vec<Done>) -> Result<(), Fatal> {
        let Storage { disk, stable, log, checkpoints, scrubber, slice_bytes, .. } = self;
        for found in scrubber.work(disk, log, stable, checkpoints, *slice_bytes)? {
            if let Done::Damaged(id) = found {
                log.damaged.insert(id.index);
            }
            done.push(found);
        }
        Ok(())
    }

    /// Whether the next checkpoint finds space, as far as the file system tells. It has at most what the newest has,
    /// and what was logged since.
    fn next_checkpoint_fits(&self) -> bool {
        let (last, bytes) =
            self.checkpoints.newest().map_or((Index(0), 0), |newest| (newest.last.index, newest.bytes));
        let most = bytes + bytes / 8 + self.log.bytes_above(last);
        // A file system that does not say is asked by writing.
        let free = self.disk.free_bytes().unwrap_or(u64::MAX);
        self.ballast.bytes().saturating_add(free) >= most
    }

    /// Says how much room there is, when that has changed.
    fn tell_room(&mut self, done: &mut Vec<Done>) {
        let spares = &self.log.spares;
        let is_reserved = !self.next_checkpoint_fits();
        let refused = spares.are_refused() || self.ballast.is_refused() || !self.waiting.is_empty();
        if refused || is_reserved {
            self.short_of_room = true;
        } else if spares.are_all_ready() && self.ballast.is_whole(self.checkpoints.newest()) {
            self.short_of_room = false;
        }
        let room = self.short_of_room.then(|| self.log.room(is_reserved));
        if room != self.told {
            self.told = room;
            done.push(Done::Room(room));
        }
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
            Job::Core(Core::StoreSnapshot(store)) => {
                self.keep_space_for_checkpoint(store.chunk.data.len())?;
                done.extend(self.checkpoints.store(&self.disk, store)?);
            }
            Job::Entries { first, last, bytes, answer } => {
                let loaded = self.log.load(first, last, bytes);
                if let Some(id) = loaded.damaged {
                    self.log.damaged.insert(id.index);
                    done.push(Done::Damaged(id));
                }
                answer(loaded.entries);
            }
            Job::Backup(job) => done.extend(self.backups.perform(&self.disk, &mut self.checkpoints, job)),
            Job::Tend { scrub_bytes } => {
                self.scrubber.allow(scrub_bytes);
                self.log.spares.retry();
                self.ballast.retry();
                self.checkpoints.retry();
            }
            // Not before what was written is acknowledged.
            Job::Lend { wanted, answer } if self.lends.len() < MOST_LENDS => {
                self.lends.push_back((wanted, answer));
            }
            Job::Lend { .. } => {}
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
            version: segment::NEWEST_VERSION,
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
        let Recovered { segments, version, mut replay, position, dead, stale } = recovered;
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
        let behind_gap = replay.behind_gap;
        let unknown = replay.unknown.or_else(|| self.stable.value().lost_from(last));
        let members = replay.membership(newest.as_ref())?;
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
                .map(|(id, members)| Entry { id: *id, payload: Payload::Members(Box::new(members.clone())) })
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
            version,
            stale,
            spares: self.spares()?,
            batch: Default::default(),
            options: self.options.clone(),
        };
        log.version = log.version.max(segment::least_version(&log.config().1));
        self.remove_dead(&dead)?;
        if let Some(meta) = newest.filter(|_| behind) {
            log.reset(&self.disk, &mut self.stable, &meta)?;
        }
        if !repeated {
            log.begin_segment(&self.disk, &mut self.stable, 0)?;
        }
        Ok((Storage { behind_gap, ..self.storage(log) }, found))
    }

    /// Removes what is no part of the log any more.
    fn remove_dead(&self, dead: &[String]) -> Result<(), Fatal> {
        let directory = segment::DIRECTORY;
        let sync = || self.disk.sync_dir(directory).map_err(Fatal::new("sync", directory));
        // The process before may have died between giving a segment its name and syncing the directory. What that
        // segment takes the place of must not go before the name is there to stay.
        sync()?;
        for path in dead {
            self.disk.remove(path).map_err(Fatal::new("remove", path))?;
        }
        if dead.is_empty() { Ok(()) } else { sync() }
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
        Storage {
            ballast: Ballast::open(&disk, options.segment_bytes.into()),
            disk,
            stable,
            log,
            checkpoints,
            backups: Sources::default(),
            waiting: VecDeque::new(),
            short_of_room: false,
            told: None,
            scrubber: Scrubber::new(),
            behind_gap: None,
            lends: VecDeque::new(),
            loaded_calls: 0,
            slice_bytes: options.slice_bytes,
            failed: false,
        }
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
