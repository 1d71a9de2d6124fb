//! The checkpoints of a node: those it has, the one it writes, the merges behind it, the one a leader sends.
//!
//! A checkpoint is a manifest and the runs that it names (`docs/adr/0005-checkpoints.md`). Runs are shared: a boundary
//! adds one run of what changed, and when the policy says so, the newer runs are merged meanwhile, for the *next*
//! boundary to name. So which runs a manifest names depends on the log alone, and only when it is written on the node.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | what is done in which order |
//! | `chain.rs` | the runs of the last boundary, and how they are merged |
//! | `draft.rs` | a checkpoint that is to be written |
//! | `run.rs`, `file.rs` | the files: a run, a manifest |
//! | `merge.rs`, `policy.rs` | merging, and when |
//! | `reader.rs` | a checkpoint as one stream |
//! | `reading.rs` | reading them at rest |
//! | `incoming.rs` | one that a leader sends |
//! | `shelf.rs` | which manifests and runs are kept, and what a start finds |
//! | `aside.rs`, `bad.rs` | where damaged files go; which runs were found bad |

pub(crate) mod aside;
mod bad;
mod chain;
mod draft;
mod file;
mod incoming;
mod merge;
mod policy;
mod reader;
mod reading;
mod run;
mod shelf;

use std::collections::VecDeque;
use std::io;

use quorate_raft::{Done, LoadSnapshot, LogId, Reader, SnapshotMeta, StoreSnapshot};
use quorate_wire::checkpoint::{Boundary, Manifest, RunRef};

use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;
use crate::options::Options;
use bad::BadRuns;
use chain::{Chain, Step};
pub use draft::{Content, Draft};
use draft::{Stage, Writing};
pub(crate) use file::{
    Described, MAGIC as MANIFEST_MAGIC, Publication, SUFFIX as MANIFEST_SUFFIX, VERSION as MANIFEST_VERSION,
    VERSION_WITH_TOKENS as MANIFEST_VERSION_WITH_TOKENS, manifest_proper, name as manifest_name,
    path as manifest_path, publish, slot_in_name,
};
use incoming::{Incoming, Taken};
pub(crate) use reader::Checkpoint;
use reading::{Reading, Seen};
pub use run::BLOCK_BYTES;
pub(crate) use run::{
    HEADER_BYTES as RUN_HEADER_BYTES, MAGIC as RUN_MAGIC, RunFile, RunTable, SUFFIX as RUN_SUFFIX,
    VERSION as RUN_VERSION, Verification, path as run_path,
};
use shelf::Shelf;

/// The directory of the checkpoints.
pub(crate) const DIRECTORY: &str = "snaps";
const WRITING: &str = "snaps/writing.tmp";
const INCOMING: &str = "snaps/incoming.tmp";
const MANIFEST: &str = "snaps/manifest.tmp";

/// After the disk was found full, this many calls do nothing.
const PAUSE_CALLS: u32 = 64;
/// One that tends the disk counts for so many: they come now and then also when there is nothing else to do.
const TENDING_CALLS: u32 = 16;
/// Each checkpoint that waits, to be written or to be freed, makes slices larger by so many...
const SLICES_WAITING: usize = 4;
/// ... up to so many at once.
const MOST_SLICES: usize = 32;
/// Reading costs less than writing: this many times a slice is read at a time.
const READ_SLICES: u64 = 4;
/// One that was not read from while so many were taken, and is no longer kept, is closed.
const IDLE_CHECKPOINTS: u32 = 8;
/// The most checkpoints that are read from at the same time.
const MOST_READERS: usize = 3;

/// Why a step was not done.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There is no room. What was begun is dropped and tried again later: nobody relies on it yet.
    Full,
    /// The process has to end.
    Fatal(Fatal),
}

impl Trouble {
    /// For whom a full disk is an error like any other.
    pub(crate) fn into_fatal(self, path: &str) -> Fatal {
        match self {
            Trouble::Fatal(fatal) => fatal,
            Trouble::Full => Fatal::new("write", path)(io::ErrorKind::StorageFull.into()),
        }
    }

    fn of(action: &'static str, path: &str) -> impl FnOnce(io::Error) -> Trouble {
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full,
            _ => Trouble::Fatal(Fatal::new(action, path)(error)),
        }
    }
}

/// What a slice of reading at rest has shown.
pub(crate) enum Scrub {
    /// So many bytes are sound.
    Sound(u64),
    /// A manifest was not, and is now.
    ManifestMended(String),
    /// A run is not, from an offset of its file on. What builds on it is lost, if it is of the newest checkpoint.
    RunLost { path: String, offset: u64, lost: Option<LogId> },
    /// Everything was read.
    End,
}

/// All checkpoints below `snaps/`.
pub(crate) struct Checkpoints<F> {
    shelf: Shelf,
    chain: Chain<F>,
    waiting: VecDeque<Draft>,
    writing: Option<Writing<F>>,
    /// What was written and is still in memory.
    written: VecDeque<Content>,
    incoming: Option<Incoming<F>>,
    reading: VecDeque<Checkpoint<F>>,
    scrubbing: Option<Reading<F>>,
    bad: BadRuns,
    /// A checkpoint was added: older ones, and what only they name, are not needed any more.
    has_surplus: bool,
    /// The version of the content of a leader's checkpoint that is not known here; its slot, until it was said.
    other_version: Option<(u16, Option<LogId>)>,
    /// So many calls are left in which nothing is tried, because the disk is full.
    pause: u32,
    slice_bytes: usize,
}

impl<F: DiskFile> Checkpoints<F> {
    /// Finds the newest checkpoint that is whole; what is not gets out of the way.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, options: &Options) -> Result<Checkpoints<F>, Fatal> {
        let shelf = Shelf::open(disk, options.keep_snapshots.max(1))?;
        let chain = shelf.newest().map_or_else(Chain::default, Chain::of);
        Ok(Checkpoints {
            shelf,
            chain,
            waiting: VecDeque::new(),
            writing: None,
            written: VecDeque::new(),
            incoming: None,
            reading: VecDeque::new(),
            scrubbing: None,
            bad: BadRuns::default(),
            has_surplus: false,
            other_version: None,
            pause: 0,
            slice_bytes: options.checkpoint_slice_bytes,
        })
    }

    /// The newest whole checkpoint.
    pub(crate) fn newest(&self) -> Option<&SnapshotMeta> {
        self.shelf.newest().map(|described| &described.meta)
    }

    /// Those that are kept, the oldest first.
    pub(crate) fn kept(&self) -> impl DoubleEndedIterator<Item = &Described> {
        self.shelf.kept()
    }

    /// Which version of content a leader has sent that is not known here, and in which checkpoint: once.
    pub(crate) fn take_other_version(&mut self) -> Option<(u16, LogId)> {
        let (version, last) = self.other_version.as_mut()?;
        Some((*version, last.take()?))
    }

    /// Puts a checkpoint in the queue.
    pub(crate) fn begin(&mut self, draft: Draft) {
        self.waiting.push_back(draft);
    }

    /// Whether there's something to go on with now.
    pub(crate) fn busy(&self) -> bool {
        self.wants_disk() || self.pause == 0 && !self.written.is_empty()
    }

    /// Whether there's something to go on with now that has to do with files.
    pub(crate) fn wants_disk(&self) -> bool {
        self.pause == 0 && (self.has_surplus || self.has_checkpoint_under_way() || self.chain.wants_merge())
    }

    /// Whether somebody waits for what there is to do: a leader, a user who wants a checkpoint now, or another
    /// boundary.
    pub(crate) fn is_pressed(&self) -> bool {
        let in_hand = self.writing.iter().map(|writing| &writing.draft);
        let mut drafts = in_hand.chain(&self.waiting);
        let is_for_a_user = drafts.any(|draft| draft.tail_bytes.is_some());
        let count = self.waiting.len() + usize::from(self.writing.is_some());
        is_for_a_user || count > 1 || self.incoming.as_ref().is_some_and(Incoming::verifies)
    }

    /// Whether something waits for room on the disk.
    pub(crate) fn waits_for_space(&self) -> bool {
        self.pause > 0
    }

    /// Whether there is more to do than to merge what is written.
    pub(crate) fn needs_space(&self) -> bool {
        self.pause == 0 && self.has_checkpoint_under_way()
    }

    /// Time has passed: there may be room again.
    pub(crate) fn retry(&mut self) {
        self.pause = self.pause.saturating_sub(TENDING_CALLS);
    }

    fn has_checkpoint_under_way(&self) -> bool {
        let verifies = self.incoming.as_ref().is_some_and(Incoming::verifies);
        self.writing.is_some() || !self.waiting.is_empty() || verifies
    }

    /// Does a slice of what there is to do.
    pub(crate) fn work<D: Disk<File = F>>(&mut self, disk: &D) -> Result<Option<Done>, Fatal> {
        self.let_go();
        if self.pause > 0 {
            self.pause -= 1;
            return Ok(None);
        }
        let done = if self.has_surplus {
            self.collect(disk).map(|()| None)
        } else if self.incoming.as_ref().is_some_and(Incoming::verifies) {
            self.verify(disk)
        } else {
            self.write(disk)
        };
        match done {
            Ok(done) => Ok(done),
            Err(Trouble::Fatal(fatal)) => Err(fatal),
            Err(Trouble::Full) => self.make_room(disk).map(|()| None),
        }
    }

    /// Frees a part of what was written; more of it when more has piled up.
    fn let_go(&mut self) {
        for _ in 0..slices(self.written.len().saturating_sub(1)) {
            self.written.pop_front_if(|written| !written.let_go());
        }
    }

    /// Drops what is half done, and older checkpoints, and waits.
    fn make_room<D: Disk<File = F>>(&mut self, disk: &D) -> Result<(), Fatal> {
        self.shelf.drop_older(disk, |_| true)?;
        self.pause = PAUSE_CALLS;
        self.chain.forget_merges(disk)?;
        self.writing.iter_mut().for_each(Writing::begin_again);
        self.incoming.iter_mut().for_each(Incoming::forget_run);
        for path in [WRITING, INCOMING, MANIFEST] {
            match disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Fatal::new("remove", path)(error));
                }
                _ => {}
            }
        }
        self.collect(disk).map_err(|trouble| trouble.into_fatal(DIRECTORY))
    }

    fn write<D: Disk<File = F>>(&mut self, disk: &D) -> Result<Option<Done>, Trouble> {
        if self.writing.is_none() {
            self.writing = self.waiting.pop_front().map(Writing::new);
        }
        // Those that wait hold rows in memory.
        let slice_bytes = self.slice_bytes * slices(self.waiting.len());
        let Some(mut writing) = self.writing.take() else {
            let lost = self.chain.merge(disk, slice_bytes)? == Step::Lost;
            return Ok(lost.then_some(Done::SnapshotLost(self.chain.boundary())));
        };
        if writing.draft.base == LogId::ZERO && self.chain.boundary() != LogId::ZERO && writing.is_new() {
            // What was merged for a chain that ends here is of no use any more, and its space is.
            self.chain.replace(disk, Chain::default()).map_err(Trouble::Fatal)?;
            self.collect(disk)?;
        }
        let goes_on = self.chain.goes_on_from(disk, writing.draft.base, &self.shelf);
        if !goes_on.map_err(Trouble::Fatal)? || self.chain.names().any(|run| self.bad.contains(run)) {
            return Ok(Some(Done::SnapshotLost(writing.draft.last)));
        }
        match writing.go_on(disk, slice_bytes) {
            Ok(()) => {}
            Err(trouble) => {
                self.writing = Some(writing);
                return Err(trouble);
            }
        }
        let Stage::Written(run) = writing.stage else {
            self.writing = Some(writing);
            return Ok(None);
        };
        let is_boundary = writing.draft.tail_bytes.is_none();
        if is_boundary && self.chain.owes_merge() {
            // It names what comes of the merge.
            let step = self.chain.merge(disk, slice_bytes);
            if !matches!(step, Ok(Step::Lost)) {
                self.writing = Some(writing);
                return step.map(|_| None);
            }
            return Ok(Some(Done::SnapshotLost(writing.draft.last)));
        }
        let described = || describe(&writing.draft, run, &self.chain);
        let publication = writing.publication.get_or_insert_with(|| Publication::new(described()));
        match publication.go_on(disk) {
            Ok(true) => {}
            unfinished => {
                self.writing = Some(writing);
                return unfinished.map(|_| None);
            }
        }
        let described = publication.described.clone();
        if is_boundary {
            self.chain.advance(disk, &described).map_err(Trouble::Fatal)?;
        }
        let meta = described.meta.clone();
        self.keep(described);
        self.written.push_back(writing.draft.rows);
        self.has_surplus = true;
        Ok(Some(Done::SnapshotTaken(Box::new(meta))))
    }

    /// Makes a checkpoint durable at once. Another one that is on its way there uses the same temporary file.
    fn publish<D: Disk<File = F>>(&mut self, disk: &D, described: &Described) -> Result<(), Trouble> {
        self.writing.iter_mut().for_each(|writing| writing.publication = None);
        publish(disk, described)
    }

    /// Takes a checkpoint that is durable.
    fn keep(&mut self, described: Described) {
        // One of the same name is another now.
        let last = described.meta.last;
        self.reading.retain(|checkpoint| checkpoint.described.meta.last != last);
        // A run that was written again, or sent, may have the name of one that had gone bad.
        self.bad.forget(&described);
        self.shelf.add(described);
    }

    /// Reads on in what is at rest.
    pub(crate) fn scrub<D: Disk<File = F>>(&mut self, disk: &D) -> Result<Scrub, Fatal> {
        if self.scrubbing.is_none() {
            self.bad.begin_round();
        }
        let reading = self.scrubbing.get_or_insert_with(|| Reading::begin(&self.shelf));
        match reading.go_on(disk, &self.shelf) {
            Seen::Sound(bytes) => Ok(Scrub::Sound(bytes)),
            Seen::End => {
                self.scrubbing = None;
                self.bad.end_round();
                Ok(Scrub::End)
            }
            Seen::BadManifest(last) => {
                // What it says is in memory.
                let described = self.shelf.get(last).cloned();
                match described.map(|described| self.publish(disk, &described)) {
                    Some(Err(Trouble::Fatal(fatal))) => Err(fatal),
                    // The next round will find it again.
                    Some(Err(Trouble::Full)) => Ok(Scrub::Sound(0)),
                    Some(Ok(())) | None => Ok(Scrub::ManifestMended(file::path(last))),
                }
            }
            Seen::BadRun(run, _) if !self.bad.note(run) => Ok(Scrub::Sound(0)),
            Seen::BadRun(run, offset) => {
                let lost = self.lost_with(&run);
                Ok(Scrub::RunLost { path: run::path(&run), offset, lost })
            }
        }
    }

    /// So many bytes of a run could not be read from there on. That is remembered when it is so of the file that has
    /// its name now: what was opened long ago may be another. Says which checkpoint is lost with it.
    pub(crate) fn doubt<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        (run, from, bytes): (RunRef, u64, u64),
    ) -> Option<LogId> {
        let is_sound = || RunFile::open(disk, &run).is_some_and(|file| file.read(from, bytes).is_some());
        if !self.shelf.runs().any(|named| *named == run) || is_sound() {
            return None;
        }
        self.bad.note(run);
        self.lost_with(&run)
    }

    /// Whether a run of it was found bad.
    pub(crate) fn is_bad(&self, described: &Described) -> bool {
        self.bad.spoil(described)
    }

    /// What is lost with a run: the newest checkpoint, or what the next one builds on; nothing when neither needs it.
    fn lost_with(&self, run: &RunRef) -> Option<LogId> {
        let newest = self.shelf.newest().filter(|newest| newest.manifest.runs.contains(run));
        let is_in_chain = || self.chain.names().any(|named| named == run);
        let of_newest = newest.map(|described| described.meta.last);
        of_newest.or_else(|| is_in_chain().then(|| self.chain.boundary()))
    }

    /// Removes what is no longer needed.
    fn collect<D: Disk<File = F>>(&mut self, disk: &D) -> Result<(), Trouble> {
        self.has_surplus = false;
        self.shelf.drop_older(disk, |described| self.bad.spoil(described)).map_err(Trouble::Fatal)?;
        self.shelf.remove_aside(disk).map_err(Trouble::Fatal)?;
        if let Some(reading) = &mut self.scrubbing {
            reading.let_go(&self.shelf);
        }
        let incoming = self.incoming.as_ref().map_or(&[][..], Incoming::names);
        let written = self.writing.as_ref().and_then(Writing::run);
        let pinned: Vec<RunRef> = self.chain.names().chain(incoming).chain(written).copied().collect();
        self.shelf.collect(disk, &pinned).map_err(Trouble::Fatal)?;
        // A reader that nobody asks any more holds the room of files that nobody sees.
        let shelf = &self.shelf;
        self.reading.iter_mut().for_each(|checkpoint| checkpoint.idle += 1);
        self.reading.retain(|checkpoint| {
            checkpoint.idle <= IDLE_CHECKPOINTS || shelf.holds(checkpoint.described.meta.last)
        });
        Ok(())
    }

    /// Reads a piece of a checkpoint.
    pub(crate) fn load<D: Disk<File = F>>(&mut self, disk: &D, load: LoadSnapshot) -> Vec<Done> {
        let known = self.reading.iter().position(|checkpoint| checkpoint.described.meta.last == load.last);
        let checkpoint = match known.and_then(|at| self.reading.remove(at)) {
            Some(checkpoint) => Some(checkpoint),
            // Without its state the node serves nothing that could be held up.
            None if load.reader == Reader::Apply => Checkpoint::open(disk, load.last),
            None => Checkpoint::open(disk, load.last).map(Checkpoint::without_read_ahead),
        };
        let chunk = checkpoint.as_ref().and_then(|checkpoint| checkpoint.chunk(load.offset, load.bytes));
        // Its own node, which holds the state, can still write it anew.
        let lost = chunk.is_none() && load.reader != Reader::Apply && self.newest_is(load);
        let ended = chunk.as_ref().is_some_and(|chunk| chunk.done);
        if let Some(mut checkpoint) = checkpoint.filter(|_| chunk.is_some() && !ended) {
            checkpoint.idle = 0;
            self.reading.push_back(checkpoint);
            self.reading.drain(..self.reading.len().saturating_sub(MOST_READERS));
        }
        let mut done = vec![Done::SnapshotLoaded { load, chunk }];
        done.extend(lost.then_some(Done::SnapshotLost(load.last)));
        done
    }

    fn newest_is(&self, load: LoadSnapshot) -> bool {
        let newest = self.shelf.newest();
        newest.is_some_and(|newest| newest.meta.last == load.last && load.offset <= newest.meta.bytes)
    }

    /// Writes a piece of a checkpoint that a leader sends. A piece that is not the next one is not written, and the
    /// answer names the offset that's wanted. While runs that are here are looked at there is no answer yet, and none
    /// without room on the disk: the piece will come again.
    pub(crate) fn store<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        store: StoreSnapshot,
    ) -> Result<Option<Done>, Fatal> {
        let StoreSnapshot { meta, chunk } = store;
        if self.incoming.as_ref().is_none_or(|incoming| incoming.meta != *meta) {
            if chunk.offset > 0 {
                return Ok(Some(Done::SnapshotStored { meta, next: 0, complete: false }));
            }
            self.incoming = Some(Incoming::new(*meta));
        }
        let Some(mut incoming) = self.incoming.take() else { return Ok(None) };
        let taken = incoming.take(disk, &chunk);
        self.incoming = Some(incoming);
        match taken.and_then(|taken| self.stored(disk, taken)) {
            Ok(done) => Ok(done),
            Err(Trouble::Fatal(fatal)) => Err(fatal),
            Err(Trouble::Full) => self.make_room(disk).map(|()| None),
        }
    }

    fn verify<D: Disk<File = F>>(&mut self, disk: &D) -> Result<Option<Done>, Trouble> {
        let Some(incoming) = &mut self.incoming else { return Ok(None) };
        let taken = incoming.verify(disk, self.slice_bytes as u64 * READ_SLICES);
        self.stored(disk, taken)
    }

    /// What is said of the checkpoint on its way here.
    fn stored<D: Disk<File = F>>(&mut self, disk: &D, taken: Taken) -> Result<Option<Done>, Trouble> {
        let Some(meta) = self.incoming.as_ref().map(|incoming| incoming.meta.clone()) else {
            return Ok(None);
        };
        let (next, complete) = match taken {
            Taken::Later => return Ok(None),
            Taken::Next(next) => (next, false),
            Taken::Refused => {
                self.incoming = None;
                (0, false)
            }
            Taken::OtherVersion(found) => {
                self.incoming = None;
                // The leader sends it again and again.
                if self.other_version.is_none_or(|(version, _)| version != found) {
                    self.other_version = Some((found, Some(meta.last)));
                }
                (0, false)
            }
            Taken::Whole(described) => {
                self.publish(disk, &described)?;
                self.keep(*described);
                self.incoming = None;
                self.collect(disk)?;
                (meta.bytes, true)
            }
        };
        Ok(Some(Done::SnapshotStored { meta: Box::new(meta), next, complete }))
    }
}

/// How much is done at once while others wait.
fn slices(waiting: usize) -> usize {
    (1 + SLICES_WAITING * waiting).min(MOST_SLICES)
}

/// The checkpoint that a draft becomes, with its own run as the newest.
fn describe<F: DiskFile>(draft: &Draft, run: Option<RunRef>, chain: &Chain<F>) -> Described {
    let Draft { last, members, members_at, base, tail_bytes, totals, .. } = draft;
    let boundary = if tail_bytes.is_some() { base } else { last };
    let boundary = Boundary {
        term: boundary.term.0,
        index: boundary.index.0,
        command_bytes: tail_bytes.unwrap_or_default(),
    };
    let is_tail = tail_bytes.is_some();
    let runs = if is_tail { chain.runs().to_vec() } else { chain.merged_runs() };
    let runs = runs.into_iter().chain(run).collect();
    let has_tail = is_tail && run.is_some();
    Described::new(
        *last,
        members.clone(),
        *members_at,
        Manifest { totals: *totals, boundary, has_tail, runs },
    )
}
