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
                self.run = Some(Verification::new(file.without_read_ahead()));
                Seen::Sound(HEADER_BYTES)
            }
            None if shelf.runs().any(|run| *run == next) => Seen::BadRun(next, 0),
            None => Seen::Sound(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::checkpoint::Manifest;

    use super::*;
    use crate::checkpoints::run::RunFileWriter;
    use crate::checkpoints::{DIRECTORY, publish, run};
    use crate::memory_disk::{MemoryDisk, MemoryFile};

    const RUN_BYTES: u64 = 150_000;

    /// A checkpoint of one run that is all `fill`.
    fn put(disk: &MemoryDisk, last: LogId, fill: u8) -> Described {
        let mut writer = RunFileWriter::new(disk.create("snaps/new.tmp").unwrap());
        writer.write(&vec![fill; usize::try_from(RUN_BYTES).unwrap()]).unwrap();
        let run = writer.finish().unwrap();
        disk.rename("snaps/new.tmp", &run::path(&run)).unwrap();
        let manifest = Manifest { runs: vec![run], ..Manifest::default() };
        let described = Described::new(last, Default::default(), LogId::ZERO, manifest);
        publish(disk, &described).unwrap();
        described
    }

    /// Checkpoints with a run each.
    fn shelf(count: u64) -> (MemoryDisk, Shelf) {
        let disk = MemoryDisk::new();
        disk.create_dir(DIRECTORY).unwrap();
        for number in 1..=count {
            put(&disk, LogId::new(1, number), number.to_le_bytes()[0]);
        }
        let shelf = Shelf::open(&disk, 5).unwrap();
        (disk, shelf)
    }

    /// Reads on until a run is in hand.
    fn with_a_run_in_hand(disk: &MemoryDisk, shelf: &Shelf) -> Reading<MemoryFile> {
        let mut reading = Reading::begin(shelf);
        while reading.run.is_none() {
            assert!(matches!(reading.go_on(disk, shelf), Seen::Sound(_)));
        }
        reading
    }

    #[test]
    fn every_byte_is_counted_once() {
        let (disk, shelf) = shelf(2);
        let mut reading = Reading::begin(&shelf);
        let mut bytes = 0;
        while let Seen::Sound(read) = reading.go_on(&disk, &shelf) {
            bytes += read;
        }
        assert_eq!(bytes, 2 * (file::USUAL_BYTES + HEADER_BYTES + RUN_BYTES));
        assert!(matches!(reading.go_on(&disk, &shelf), Seen::End));
    }

    #[test]
    fn a_run_in_hand_is_let_go_when_no_checkpoint_names_it() {
        for count in [1, 2] {
            let (disk, shelf) = shelf(count);
            let mut reading = with_a_run_in_hand(&disk, &shelf);
            reading.let_go(&shelf);
            assert!(reading.run.is_some(), "it is still needed, among {count}");
        }
        let (disk, before) = shelf(1);
        let (_, mut after) = shelf(0);
        let mut reading = with_a_run_in_hand(&disk, &before);
        after.add(put(&disk, LogId::new(1, 9), 9));
        reading.let_go(&after);
        assert!(reading.run.is_none());
    }

    #[test]
    fn a_run_that_is_gone_is_bad_as_long_as_a_checkpoint_names_it() {
        let (disk, one) = shelf(1);
        let run = *one.runs().next().unwrap();
        disk.remove(&run::path(&run)).unwrap();
        let seen = |shelf: &Shelf| {
            let mut reading: Reading<MemoryFile> = Reading::begin(&one);
            assert!(matches!(reading.go_on(&disk, shelf), Seen::Sound(_)));
            reading.go_on(&disk, shelf)
        };
        assert!(matches!(seen(&one), Seen::BadRun(bad, 0) if bad == run));
        assert!(matches!(seen(&shelf(0).1), Seen::Sound(0)), "it was dropped in the meantime");
    }
}
