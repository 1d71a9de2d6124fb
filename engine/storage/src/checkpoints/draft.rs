//! A checkpoint that is to be written.

use std::fmt;

use quorate_raft::{LogId, Members};
use quorate_wire::checkpoint::{RunRef, Totals};

use super::file::Publication;
use super::run::{self, RunFileWriter};
use super::{Trouble, WRITING};
use crate::disk::{Disk, DiskFile};

type Pieces = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// The rows of a checkpoint, piece by piece. The sizes of the pieces don't matter. They can be asked for again from the
/// beginning: the disk may be full the first time.
pub struct Content(Box<dyn Source + Send>);

/// What a content is made of.
trait Source {
    fn pieces(&self) -> Pieces;
    /// Frees a part of it; false when there is nothing left.
    fn let_go(&mut self) -> bool;
}

struct Rows<R, L> {
    rows: R,
    let_go: L,
}

impl<R, L> Source for Rows<R, L>
where
    R: Iterator<Item = Vec<u8>> + Clone + Send + 'static,
    L: Fn(&mut R) -> bool,
{
    fn pieces(&self) -> Pieces {
        Box::new(self.rows.clone())
    }

    fn let_go(&mut self) -> bool {
        (self.let_go)(&mut self.rows)
    }
}

impl Content {
    /// From something that can be gone through more than once.
    pub fn new(rows: impl Iterator<Item = Vec<u8>> + Clone + Send + 'static) -> Content {
        Content::in_parts(rows, |_| false)
    }

    /// The same. Once all is written, `let_go` frees what the rows hold, a part at each call, and says whether there
    /// was any: to free much at once keeps the log waiting, and whoever allocates meanwhile.
    pub fn in_parts<R>(rows: R, let_go: impl Fn(&mut R) -> bool + Send + 'static) -> Content
    where
        R: Iterator<Item = Vec<u8>> + Clone + Send + 'static,
    {
        Content(Box::new(Rows { rows, let_go }))
    }

    pub(super) fn let_go(&mut self) -> bool {
        self.0.let_go()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Content")
    }
}

/// A checkpoint that is to be written: the runs up to `base`, and one more.
#[derive(Debug)]
pub struct Draft {
    /// The last slot it covers, which is durable in the log.
    pub last: LogId,
    /// The configuration in force there.
    pub members: Members,
    /// The entry that set that configuration.
    pub members_at: LogId,
    /// The boundary that the rows say the changes since; zero when they are the whole state.
    pub base: LogId,
    /// For a checkpoint between two boundaries: the commands applied since `base`, in bytes. Nothing when `last` is
    /// the next boundary itself.
    pub tail_bytes: Option<u64>,
    /// What all rows must amount to.
    pub totals: Totals,
    /// The rows that changed, as quorate-kv draws a run. They're asked for a slice at a time, while other work is done.
    pub rows: Content,
}

/// The checkpoint in hand.
pub(super) struct Writing<F> {
    pub(super) draft: Draft,
    pub(super) stage: Stage<F>,
    /// Once its runs are durable.
    pub(super) publication: Option<Publication>,
}

/// How far it has come.
pub(super) enum Stage<F> {
    Begun,
    Rows(Pieces, RunFileWriter<F>),
    /// The run has its name; nothing when there was no row.
    Written(Option<RunRef>),
}

impl<F: DiskFile> Writing<F> {
    pub(super) fn new(draft: Draft) -> Writing<F> {
        Writing { draft, stage: Stage::Begun, publication: None }
    }

    /// Whether nothing of it was written yet.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.stage, Stage::Begun)
    }

    /// The run, once it is whole.
    pub(super) fn run(&self) -> Option<&RunRef> {
        match &self.stage {
            Stage::Written(run) => run.as_ref(),
            Stage::Begun | Stage::Rows(..) => None,
        }
    }

    /// The temporary files are gone; a run that is whole stays.
    pub(super) fn begin_again(&mut self) {
        self.publication = None;
        if let Stage::Rows(..) = self.stage {
            self.stage = Stage::Begun;
        }
    }

    /// Writes about so many bytes of the run.
    pub(super) fn go_on<D: Disk<File = F>>(&mut self, disk: &D, bytes: usize) -> Result<(), Trouble> {
        if let Stage::Begun = self.stage {
            let file = disk.create(WRITING).map_err(Trouble::of("create", WRITING))?;
            self.stage = Stage::Rows(self.draft.rows.0.pieces(), RunFileWriter::new(file));
        }
        let Stage::Rows(pieces, writer) = &mut self.stage else { return Ok(()) };
        let mut slice = Vec::with_capacity(bytes);
        let mut ended = false;
        while slice.len() < bytes && !ended {
            match pieces.next() {
                Some(piece) => slice.extend_from_slice(&piece),
                None => ended = true,
            }
        }
        writer.write(&slice).map_err(Trouble::of("write", WRITING))?;
        if !ended {
            return writer.write_out().map_err(Trouble::of("sync", WRITING));
        }
        let Stage::Rows(_, writer) = std::mem::replace(&mut self.stage, Stage::Begun) else { return Ok(()) };
        if writer.bytes() == 0 {
            disk.remove(WRITING).map_err(Trouble::of("remove", WRITING))?;
            self.stage = Stage::Written(None);
            return Ok(());
        }
        let run = writer.finish().map_err(Trouble::of("write", WRITING))?;
        disk.rename(WRITING, &run::path(&run)).map_err(Trouble::of("rename", WRITING))?;
        self.stage = Stage::Written(Some(run));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_printed_without_its_rows() {
        let rows = Content::new(std::iter::once(vec![7; 1000]));
        assert_eq!(format!("{rows:?}"), "Content");
    }
}
