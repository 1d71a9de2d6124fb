//! A checkpoint that a leader sends: only the runs that are not here travel.
//!
//! The stream begins with the manifest, which names the runs. Those that are here already are read through, a slice at
//! a time, before anybody relies on them; then the answer names the beginning of the first run that is missing. Each
//! run gets its name as soon as it is whole, and whatever interrupts the transfer, the next one needn't send it again.

use quorate_raft::{Chunk, SnapshotMeta};
use quorate_wire::checkpoint::{Manifest, RestoreError, RunRef};

use super::file::Described;
use super::run::{self, RunFile, RunFileWriter, Verification};
use super::{INCOMING, Trouble};
use crate::disk::{Disk, DiskFile};
use crate::layout::position;

/// A checkpoint on its way here.
pub(crate) struct Incoming<F> {
    pub(crate) meta: SnapshotMeta,
    /// What has come of the manifest, until it is whole.
    head: Vec<u8>,
    runs: Option<Runs<F>>,
}

/// Its runs, once the manifest is known.
struct Runs<F> {
    manifest: Manifest,
    /// Which of them are here.
    here: Vec<bool>,
    /// Those that have a file here, still to be looked at, the last one first.
    unverified: Vec<usize>,
    verifying: Option<(usize, Verification<F>)>,
    /// The first that is missing, as far as it has come.
    writer: Option<RunFileWriter<F>>,
}

/// What came of a piece.
pub(crate) enum Taken {
    /// The offset of the next piece that is wanted.
    Next(u64),
    /// The answer comes when the runs that are here have been looked at.
    Later,
    /// Everything is here and durable but the manifest, which gets its name last.
    Whole(Box<Described>),
    /// It is not what was announced.
    Refused,
    /// Its content is of this version, which is not known here.
    OtherVersion(u16),
}

impl<F: DiskFile> Incoming<F> {
    pub(crate) fn new(meta: SnapshotMeta) -> Incoming<F> {
        Incoming { meta, head: Vec::new(), runs: None }
    }

    /// The runs it is made of, which must not be removed.
    pub(crate) fn names(&self) -> &[RunRef] {
        self.runs.as_ref().map_or(&[], |runs| &runs.manifest.runs)
    }

    /// Whether runs that are here are being looked at.
    pub(crate) fn verifies(&self) -> bool {
        self.runs.as_ref().is_some_and(Runs::verifies)
    }

    /// The offset of the next piece that is wanted.
    pub(crate) fn next(&self) -> u64 {
        self.runs.as_ref().map_or(self.head.len() as u64, Runs::next)
    }

    /// Takes the next piece.
    pub(crate) fn take<D: Disk<File = F>>(&mut self, disk: &D, chunk: &Chunk) -> Result<Taken, Trouble> {
        if self.verifies() {
            return Ok(Taken::Later);
        }
        if chunk.offset != self.next() {
            // Nothing may be missing but its name, for which there was no room.
            return Ok(self.progress());
        }
        let Some(runs) = &mut self.runs else { return self.take_head(disk, &chunk.data) };
        runs.take(disk, &chunk.data)?;
        Ok(self.progress())
    }

    /// Looks at so many bytes more of the runs that are here.
    pub(crate) fn verify<D: Disk<File = F>>(&mut self, disk: &D, bytes: u64) -> Taken {
        let Some(runs) = &mut self.runs else { return Taken::Later };
        runs.verify(disk, bytes);
        if runs.verifies() { Taken::Later } else { self.progress() }
    }

    /// Gives up what has come of the run in hand: there is no room for it.
    pub(crate) fn forget_run(&mut self) {
        self.runs.iter_mut().for_each(|runs| runs.writer = None);
    }

    fn progress(&self) -> Taken {
        match &self.runs {
            Some(runs) if runs.missing().is_none() => {
                let SnapshotMeta { last, members, members_at, .. } = self.meta.clone();
                Taken::Whole(Box::new(Described::new(last, members, members_at, runs.manifest.clone())))
            }
            _ => Taken::Next(self.next()),
        }
    }

    fn take_head<D: Disk<File = F>>(&mut self, disk: &D, data: &[u8]) -> Result<Taken, Trouble> {
        self.head.extend_from_slice(data);
        let manifest = match Manifest::decode(&self.head) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Ok(Taken::Next(self.next())),
            Err(RestoreError::UnknownVersion { found }) => return Ok(Taken::OtherVersion(found)),
            Err(_) => return Ok(Taken::Refused),
        };
        let rest = self.head.split_off(position(manifest.bytes()));
        let announced = &self.meta;
        let (last, members_at) = (announced.last, announced.members_at);
        if Described::new(last, announced.members.clone(), members_at, manifest.clone()).meta != *announced {
            return Ok(Taken::Refused);
        }
        let mut runs = Runs::new(disk, manifest);
        let later = runs.verifies();
        if !later {
            runs.take(disk, &rest)?;
        }
        self.runs = Some(runs);
        Ok(if later { Taken::Later } else { self.progress() })
    }
}

impl<F: DiskFile> Runs<F> {
    fn new<D: Disk<File = F>>(disk: &D, manifest: Manifest) -> Runs<F> {
        let has_file = |number: &usize| RunFile::open(disk, &manifest.runs[*number]).is_some();
        let unverified = (0..manifest.runs.len()).rev().filter(has_file).collect();
        let here = vec![false; manifest.runs.len()];
        Runs { manifest, here, unverified, verifying: None, writer: None }
    }

    fn verifies(&self) -> bool {
        self.verifying.is_some() || !self.unverified.is_empty()
    }

    fn verify<D: Disk<File = F>>(&mut self, disk: &D, bytes: u64) {
        if self.verifying.is_none() {
            let Some(number) = self.unverified.pop() else { return };
            let file = RunFile::open(disk, &self.manifest.runs[number]).map(RunFile::without_read_ahead);
            self.verifying = file.map(|file| (number, Verification::new(file)));
        }
        let Some((number, verification)) = &mut self.verifying else { return };
        if let Some(verdict) = verification.go_on(bytes) {
            self.here[*number] = verdict;
            self.verifying = None;
        }
    }

    fn missing(&self) -> Option<usize> {
        self.here.iter().position(|here| !here)
    }

    /// Where a run begins in the stream.
    fn start(&self, number: usize) -> u64 {
        let before = self.manifest.runs[..number].iter().map(|run| run.bytes);
        self.manifest.bytes() + before.sum::<u64>()
    }

    fn next(&self) -> u64 {
        let Some(missing) = self.missing() else { return self.manifest.content_bytes() };
        self.start(missing) + self.writer.as_ref().map_or(0, RunFileWriter::bytes)
    }

    /// Takes bytes that begin where the next ones are wanted. What belongs to a run that is here is passed over.
    fn take<D: Disk<File = F>>(&mut self, disk: &D, data: &[u8]) -> Result<(), Trouble> {
        let mut at = self.next();
        let mut rest = data;
        while let Some(number) = self.missing().filter(|_| !rest.is_empty()) {
            let passed = position(self.next() - at).min(rest.len());
            rest = &rest[passed..];
            at += passed as u64;
            let run = self.manifest.runs[number];
            let left = run.bytes - self.writer.as_ref().map_or(0, RunFileWriter::bytes);
            let (piece, after) = rest.split_at(rest.len().min(position(left)));
            if piece.is_empty() {
                break;
            }
            if self.writer.is_none() {
                let file = disk.create(INCOMING).map_err(Trouble::of("create", INCOMING))?;
                self.writer = Some(RunFileWriter::new(file));
            }
            let writer = self.writer.as_mut().expect("one was made");
            writer.write(piece).map_err(Trouble::of("write", INCOMING))?;
            at += piece.len() as u64;
            rest = after;
            if piece.len() as u64 == left && !self.end_run(disk, number)? {
                // Its beginning is wanted again, and nothing behind it.
                return Ok(());
            }
        }
        match &mut self.writer {
            Some(writer) => writer.write_out().map_err(Trouble::of("sync", INCOMING)),
            None => Ok(()),
        }
    }

    /// The last byte of a run has come. One that does not hash to its name is dropped, and asked for again.
    fn end_run<D: Disk<File = F>>(&mut self, disk: &D, number: usize) -> Result<bool, Trouble> {
        let writer = self.writer.take().expect("the run in hand has a writer");
        let run = writer.finish().map_err(Trouble::of("write", INCOMING))?;
        let right = run == self.manifest.runs[number];
        if right {
            disk.rename(INCOMING, &run::path(&run)).map_err(Trouble::of("rename", INCOMING))?;
            // The same run may be named more than once.
            for (here, named) in self.here.iter_mut().zip(&self.manifest.runs) {
                *here |= *named == run;
            }
        }
        Ok(right)
    }
}
