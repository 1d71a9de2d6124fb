//! Reading checkpoints at rest, a block at a time, for the scrubber.

use std::collections::VecDeque;

use quorate_raft::LogId;
use quorate_wire::checkpoint::RunRef;

use super::file::{self, Described};
use super::run::{BLOCK_BYTES, HEADER_BYTES, RunFile, Verification};
use super::shelf::Shelf;
use crate::disk::{Disk, DiskFile};

/// What is left to be read of one round.
pub(super) struct Reading<F> {
    manifests: VecDeque<LogId>,
    runs: VecDeque<RunRef>,
    run: Option<Verification<F>>,
}

/// What a slice has shown.
pub(super) enum Seen {
    /// So many bytes are sound.
    Sound(u64),
    /// The file of this manifest is not.
    BadManifest(LogId),
    /// This run is not, from this offset of its file on.
    BadRun(RunRef, u64),
    /// Everything was read.
    End,
}

impl<F: DiskFile> Reading<F> {
    /// All that the shelf names.
    pub(super) fn begin(shelf: &Shelf) -> Reading<F> {
        Reading { manifests: shelf.lasts().collect(), runs: shelf.runs().copied().collect(), run: None }
    }

    /// Closes a run that nobody needs any more: its file has no name, and keeps its space while it is open.
    pub(super) fn let_go(&mut self, shelf: &Shelf) {
        self.run.take_if(|verification| !shelf.runs().any(|run| run == verification.run()));
    }

    /// Reads a manifest or a block. What was removed in the meantime is passed over.
    pub(super) fn go_on<D: Disk<File = F>>(&mut self, disk: &D, shelf: &Shelf) -> Seen {
        if let Some(last) = self.manifests.pop_front() {
            let sound = !shelf.holds(last) || Described::read(disk, &file::path(last)).is_some();
            return if sound { Seen::Sound(file::USUAL_BYTES) } else { Seen::BadManifest(last) };
        }
        let Some(mut verification) = self.run.take() else { return self.next_run(disk, shelf) };
        let before = verification.offset();
        let verdict = verification.go_on(BLOCK_BYTES.into());
        let read = verification.offset() - before;
        match verdict {
            Some(false) => Seen::BadRun(*verification.run(), HEADER_BYTES + verification.offset()),
            Some(true) => Seen::Sound(read),
            None => {
                self.run = Some(verification);
                Seen::Sound(read)
            }
        }
    }

    fn next_run<D: Disk<File = F>>(&mut self, disk: &D, shelf: &Shelf) -> Seen {
        let Some(next) = self.runs.pop_front() else { return Seen::End };
        match RunFile::open(disk, &next) {
            Some(file) => {
                file.drop_cached();
                self.run = Some(Verification::new(file));
                Seen::Sound(HEADER_BYTES)
            }
            None if shelf.runs().any(|run| *run == next) => Seen::BadRun(next, 0),
            None => Seen::Sound(0),
        }
    }
}
