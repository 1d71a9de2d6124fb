//! Runs merged into one, from file to file, a slice at a time.

use quorate_wire::checkpoint::{ROW_HEAD_BYTES, RowHead, RunRef};

use super::Trouble;
use super::run::{RunFile, RunFileWriter};
use crate::disk::{Disk, DiskFile};
use crate::layout::position;

/// How much of a run is read at a time: whole blocks, so that none is read twice.
const READ_BYTES: u64 = 4 * super::run::BLOCK_BYTES as u64;

/// Neighbouring runs on their way into one.
pub(crate) struct Merge<F> {
    inputs: Vec<Input<F>>,
    /// With the oldest run among them nothing lies below, and tombstones have done their work.
    into_oldest: bool,
    writer: RunFileWriter<F>,
    taken_bytes: u64,
}

/// What came of a slice.
pub(crate) enum Merged {
    /// There is more to do.
    More,
    /// The new run is durable, under its temporary name; nothing when no row is left.
    Run(Option<RunRef>),
    /// One of the runs can't be read any more.
    Damaged,
}

impl<F: DiskFile> Merge<F> {
    /// Begins a merge into a file at `path`; `None` when one of the runs can't be read.
    pub(crate) fn begin<D: Disk<File = F>>(
        disk: &D,
        runs: &[RunRef],
        into_oldest: bool,
        path: &str,
    ) -> Result<Option<Merge<F>>, Trouble> {
        let inputs: Option<Vec<Input<F>>> =
            runs.iter().map(|run| Input::new(RunFile::open(disk, run)?.without_read_ahead())).collect();
        let Some(inputs) = inputs else { return Ok(None) };
        let file = disk.create(path).map_err(Trouble::of("create", path))?;
        Ok(Some(Merge { inputs, into_oldest, writer: RunFileWriter::new(file), taken_bytes: 0 }))
    }

    /// How much was taken of the runs, in bytes.
    pub(crate) fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    /// Takes about so many bytes of the runs.
    pub(crate) fn go_on(mut self, bytes: usize, path: &str) -> Result<(Merged, Option<Merge<F>>), Trouble> {
        let (mut slice, mut taken) = (Vec::with_capacity(bytes), 0);
        while taken < bytes {
            match self.take_row(&mut slice) {
                None => return Ok((Merged::Damaged, None)),
                Some(0) => {
                    self.writer.write(&slice).map_err(Trouble::of("write", path))?;
                    if self.writer.bytes() == 0 {
                        return Ok((Merged::Run(None), None));
                    }
                    let run = self.writer.finish().map_err(Trouble::of("write", path))?;
                    return Ok((Merged::Run(Some(run)), None));
                }
                Some(row_bytes) => taken += row_bytes,
            }
        }
        self.taken_bytes += taken as u64;
        self.writer.write(&slice).map_err(Trouble::of("write", path))?;
        self.writer.write_out().map_err(Trouble::of("sync", path))?;
        Ok((Merged::More, Some(self)))
    }

    /// Takes the least row off all runs that have it, and keeps the newest one's. Says how many bytes it took: none
    /// when there is no row left; nothing when a run can't be read.
    fn take_row(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        let least = self.inputs.iter().filter(|input| !input.ended()).map(Input::key).min();
        let Some(least) = least else { return Some(0) };
        let has_it: Vec<bool> =
            self.inputs.iter().map(|input| !input.ended() && input.key() == least).collect();
        let newest = has_it.iter().rposition(|has| *has)?;
        if !(self.into_oldest && self.inputs[newest].head.is_tombstone) {
            out.extend_from_slice(self.inputs[newest].row());
        }
        let mut taken = 0;
        for (input, _) in self.inputs.iter_mut().zip(has_it).filter(|(_, has)| *has) {
            taken += input.row().len();
            input.advance()?;
        }
        Some(taken)
    }
}

/// A run that is read row by row.
struct Input<F> {
    file: RunFile<F>,
    /// Where in the run the buffer ends.
    read_bytes: u64,
    buffer: Vec<u8>,
    /// The row in hand: where in the buffer it begins, and what its head says. At the end of the run it is empty.
    at: usize,
    row_bytes: usize,
    head: RowHead,
}

impl<F: DiskFile> Input<F> {
    /// Stands at the first row; `None` when it can't be read.
    fn new(file: RunFile<F>) -> Option<Input<F>> {
        let head = RowHead { table: 0, is_tombstone: false, key_bytes: 0, body_bytes: 0 };
        let mut input = Input { file, read_bytes: 0, buffer: Vec::new(), at: 0, row_bytes: 0, head };
        input.advance()?;
        Some(input)
    }

    fn ended(&self) -> bool {
        self.row_bytes == 0
    }

    fn row(&self) -> &[u8] {
        &self.buffer[self.at..self.at + self.row_bytes]
    }

    fn key(&self) -> (u8, &[u8]) {
        (self.head.table, &self.row()[ROW_HEAD_BYTES..ROW_HEAD_BYTES + self.head.key_bytes as usize])
    }

    /// Goes on to the next row. Fails when it can't be read, or isn't one.
    fn advance(&mut self) -> Option<()> {
        self.at += self.row_bytes;
        self.row_bytes = 0;
        if self.at == self.buffer.len() && self.read_bytes == self.file.run().bytes {
            return Some(());
        }
        self.fill(ROW_HEAD_BYTES)?;
        let head = self.buffer[self.at..].first_chunk::<ROW_HEAD_BYTES>()?;
        self.head = RowHead::decode(head).ok()?;
        let row_bytes = position(self.head.row_bytes());
        self.fill(row_bytes)?;
        self.row_bytes = row_bytes;
        Some(())
    }

    /// Has at least so many bytes from `at` on.
    fn fill(&mut self, bytes: usize) -> Option<()> {
        if self.buffer.len() - self.at >= bytes {
            return Some(());
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        while self.buffer.len() < bytes {
            let more = self.file.read(self.read_bytes, READ_BYTES).filter(|more| !more.is_empty())?;
            self.read_bytes += more.len() as u64;
            self.buffer.extend_from_slice(&more);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoints::{DIRECTORY, run};
    use crate::disk::Disk;
    use crate::memory_disk::MemoryDisk;

    fn row(key: u8, body_bytes: usize) -> Vec<u8> {
        let body = u32::try_from(body_bytes).unwrap();
        let head = RowHead { table: 1, is_tombstone: false, key_bytes: 1, body_bytes: body };
        [&head.encode()[..], &[key], &vec![key; body_bytes]].concat()
    }

    fn put(disk: &MemoryDisk, rows: &[u8]) -> RunRef {
        let path = format!("{DIRECTORY}/new.tmp");
        let mut writer = RunFileWriter::new(disk.create(&path).unwrap());
        writer.write(rows).unwrap();
        let run = writer.finish().unwrap();
        disk.rename(&path, &run::path(&run)).unwrap();
        run
    }

    /// Also the last one of a run, behind which there is nothing to be read.
    #[test]
    fn a_row_may_be_longer_than_what_is_read_at_a_time() {
        let disk = MemoryDisk::new();
        disk.create_dir(DIRECTORY).unwrap();
        let long = row(2, position(READ_BYTES) + 1000);
        let runs = [put(&disk, &[row(1, 10), long.clone()].concat()), put(&disk, &row(3, 10))];
        let path = "snaps/merging.tmp";
        let merge = Merge::begin(&disk, &runs, true, path).unwrap().unwrap();
        let (Merged::Run(Some(merged)), None) = merge.go_on(1 << 20, path).unwrap() else {
            panic!("all of it fits into one slice")
        };
        let expected = [row(1, 10), long, row(3, 10)].concat();
        assert_eq!(merged.digest, *blake3::hash(&expected).as_bytes());
    }
}
