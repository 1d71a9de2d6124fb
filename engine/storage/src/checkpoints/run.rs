//! One run: a file of sorted rows, which never changes and is named by the BLAKE3 of what it holds.
//!
//! ```text
//!   0              8         12        16              24              56        60        64
//!   | "QRTE-RUN"   | checksum| version | content bytes | digest        | block   | table   | zeros up to 512
//!   |              |         |         |               |               | bytes   | checksum|
//!   512:                  the content, rows as quorate-kv draws them
//!   512 + content bytes:  the table, a CRC-32C for each block of 64 KiB of content
//! ```
//!
//! The header's checksum covers the header but itself and the magic. The content is written first, to a file with a
//! temporary name; then table and header; all of it is synced before the file gets its name. So a named file that
//! does not verify is damage.

use std::io;

use quorate_wire::checkpoint::RunRef;

use crate::disk::{Disk, DiskFile};
use crate::layout::{Packer, Unpacker, length, position};
use crate::reread::settled;

/// The version of the format of runs.
pub(crate) const VERSION: u32 = 1;
pub(crate) const MAGIC: &[u8; 8] = b"QRTE-RUN";
/// Where the content begins.
pub(crate) const HEADER_BYTES: u64 = 512;
/// The unit of checksums of a run's content, in bytes.
pub const BLOCK_BYTES: u32 = 64 << 10;

/// The end of the names of runs.
pub(crate) const SUFFIX: &str = ".run";

/// The name of a run's file.
pub(crate) fn file_name(run: &RunRef) -> String {
    format!("{}{SUFFIX}", quorate_raft::Digest(run.digest))
}

/// The path of a run's file.
pub(crate) fn path(run: &RunRef) -> String {
    format!("{}/{}", super::DIRECTORY, file_name(run))
}

/// Writes a run's content from front to back.
#[derive(Debug)]
pub(crate) struct RunFileWriter<F> {
    file: F,
    digest: Digest,
    bytes: u64,
    table: Vec<u8>,
    block_checksum: u32,
    synced_bytes: u64,
}

impl<F: DiskFile> RunFileWriter<F> {
    /// Begins in an empty file.
    pub(crate) fn new(file: F) -> RunFileWriter<F> {
        RunFileWriter {
            file,
            digest: Digest::default(),
            bytes: 0,
            table: Vec::new(),
            block_checksum: 0,
            synced_bytes: 0,
        }
    }

    /// How many bytes of content have been written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends content.
    pub(crate) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_at(content, HEADER_BYTES + self.bytes)?;
        self.digest.update(content);
        let block = u64::from(BLOCK_BYTES);
        let mut rest = content;
        while !rest.is_empty() {
            let room = position(block - self.bytes % block);
            let (piece, after) = rest.split_at(room.min(rest.len()));
            self.block_checksum = crc32c::crc32c_append(self.block_checksum, piece);
            self.bytes += piece.len() as u64;
            if self.bytes.is_multiple_of(block) {
                self.close_block();
            }
            rest = after;
        }
        Ok(())
    }

    /// Has what was written go to the disk meanwhile, so that no sync has much left to do: the log waits for it. One
    /// comes now and then, for a disk that does not keep up.
    pub(crate) fn write_out(&mut self) -> io::Result<()> {
        const UNSYNCED_BYTES: u64 = 4 << 20;
        let written = self.bytes - self.synced_bytes;
        if written < UNSYNCED_BYTES {
            self.file.drop_cached(HEADER_BYTES + self.synced_bytes, written);
            return Ok(());
        }
        self.synced_bytes = self.bytes;
        self.file.sync_data()
    }

    /// Writes table and header and makes the file durable: it may get its name.
    pub(crate) fn finish(mut self) -> io::Result<RunRef> {
        if !self.bytes.is_multiple_of(u64::from(BLOCK_BYTES)) {
            self.close_block();
        }
        let run = RunRef { digest: self.digest.finish(), bytes: self.bytes };
        self.file.write_at(&self.table, HEADER_BYTES + self.bytes)?;
        self.file.write_at(&encode_header(&run, crc32c::crc32c(&self.table)), 0)?;
        self.file.sync_data()?;
        Ok(run)
    }

    fn close_block(&mut self) {
        self.table.extend_from_slice(&self.block_checksum.to_le_bytes());
        self.block_checksum = 0;
    }
}

/// The digest of a content that comes in pieces of any size.
///
/// BLAKE3 hashes many of its chunks in parallel, but only of one piece, and of large ones only where they begin at a
/// multiple of their size.
#[derive(Debug, Default)]
struct Digest {
    /// Two kilobytes, in a box of its own.
    hasher: Box<blake3::Hasher>,
    unhashed: Vec<u8>,
}

impl Digest {
    const PIECE_BYTES: usize = 16 << 10;

    fn update(&mut self, content: &[u8]) {
        let (head, rest) = content.split_at(content.len().min(Self::PIECE_BYTES - self.unhashed.len()));
        self.unhashed.extend_from_slice(head);
        if self.unhashed.len() == Self::PIECE_BYTES {
            self.hasher.update(&self.unhashed);
            self.unhashed.clear();
            let (pieces, tail) = rest.split_at(rest.len() / Self::PIECE_BYTES * Self::PIECE_BYTES);
            self.hasher.update(pieces);
            self.unhashed.extend_from_slice(tail);
        }
    }

    fn finish(mut self) -> [u8; 32] {
        self.hasher.update(&self.unhashed);
        *self.hasher.finalize().as_bytes()
    }
}

fn encode_header(run: &RunRef, table_checksum: u32) -> Vec<u8> {
    let mut header = vec![0; position(HEADER_BYTES)];
    Packer::new(&mut header)
        .put(MAGIC)
        .u32(0)
        .u32(VERSION)
        .u64(run.bytes)
        .put(&run.digest)
        .u32(BLOCK_BYTES)
        .u32(table_checksum);
    let checksum = crc32c::crc32c(&header[12..]);
    header[8..12].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// What a run's content has to match: its name, its length, and a checksum for each block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunTable {
    pub(crate) run: RunRef,
    checksums: Vec<u8>,
}

impl RunTable {
    /// Reads what [`RunTable::encode`] wrote; `None` when that is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<RunTable> {
        let (header, checksums) = bytes.split_at_checked(position(HEADER_BYTES))?;
        let (run, table_checksum) = decode_header(header)?;
        let right = table_bytes(&run)? == checksums.len() && crc32c::crc32c(checksums) == table_checksum;
        right.then(|| RunTable { run, checksums: checksums.to_vec() })
    }

    /// A run's file without the content: its header, then the table.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = encode_header(&self.run, crc32c::crc32c(&self.checksums));
        bytes.extend_from_slice(&self.checksums);
        bytes
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> u32 {
        length(self.checksums.len() / 4)
    }

    /// Whether this is the content of a block.
    pub(crate) fn proves(&self, block: u32, content: &[u8]) -> bool {
        let (_, bytes) = self.place(block);
        let checksum = self.checksums.chunks_exact(4).nth(block as usize);
        content.len() as u64 == bytes && checksum == Some(&crc32c::crc32c(content).to_le_bytes())
    }

    /// A block of a file whose header and table may be anything.
    pub(crate) fn read<F: DiskFile>(&self, file: &F, block: u32) -> Option<Vec<u8>> {
        let (start, bytes) = self.place(block);
        read_exactly(file, HEADER_BYTES + start, position(bytes))
            .filter(|content| self.proves(block, content))
    }

    /// Where in the content a block begins, and how long it is.
    fn place(&self, block: u32) -> (u64, u64) {
        let start = u64::from(block) * u64::from(BLOCK_BYTES);
        (start, self.run.bytes.saturating_sub(start).min(u64::from(BLOCK_BYTES)))
    }

    /// Writes header and table into a run's file.
    pub(crate) fn write<F: DiskFile>(&self, file: &F) -> io::Result<()> {
        file.write_at(&self.checksums, HEADER_BYTES + self.run.bytes)?;
        file.write_at(&encode_header(&self.run, crc32c::crc32c(&self.checksums)), 0)
    }
}

/// The length of the table.
fn table_bytes(run: &RunRef) -> Option<usize> {
    run.bytes.div_ceil(u64::from(BLOCK_BYTES)).checked_mul(4).map(position)
}

/// A run to read from. Its header and table have been verified, its blocks are when they're read.
#[derive(Debug)]
pub(crate) struct RunFile<F> {
    file: F,
    table: RunTable,
}

impl<F: DiskFile> RunFile<F> {
    /// Opens the run of that name; `None` when it isn't there, or its header or its table is damaged.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, run: &RunRef) -> Option<RunFile<F>> {
        RunFile::open_named(disk, &path(run)).filter(|file| file.run() == run)
    }

    /// Opens the run in a file; `None` when its header or its table is damaged, or its name is another one's.
    pub(crate) fn open_named<D: Disk<File = F>>(disk: &D, file_path: &str) -> Option<RunFile<F>> {
        RunFile::open_any(disk, file_path).filter(|file| path(file.run()) == file_path)
    }

    /// Opens the run in a file, whatever its name; `None` when its header or its table is damaged.
    pub(crate) fn open_any<D: Disk<File = F>>(disk: &D, file_path: &str) -> Option<RunFile<F>> {
        let file = disk.open(file_path).ok()?;
        let (run, table_checksum) = settled(|| read_header(&file), Option::is_some)?;
        let table_bytes = table_bytes(&run)?;
        let table_start = HEADER_BYTES.checked_add(run.bytes)?;
        if table_start.checked_add(table_bytes as u64)? > file.len().ok()? {
            return None;
        }
        let read = || read_exactly(&file, table_start, table_bytes);
        let sound = |table: &Vec<u8>| crc32c::crc32c(table) == table_checksum;
        let table = settled(read, |table| table.as_ref().is_some_and(sound)).filter(sound)?;
        Some(RunFile { file, table: RunTable { run, checksums: table } })
    }

    /// Which run it is.
    pub(crate) fn run(&self) -> &RunRef {
        &self.table.run
    }

    /// What its content has to match.
    pub(crate) fn into_table(self) -> RunTable {
        self.table
    }

    /// The same, to be read beside a log that is written.
    pub(crate) fn without_read_ahead(self) -> RunFile<F> {
        self.file.read_nothing_ahead();
        self
    }

    /// Has the next reads come from the disk.
    pub(crate) fn drop_cached(&self) {
        self.file.drop_cached(0, u64::MAX);
    }

    /// The checksums of its blocks.
    pub(crate) fn checksums(&self) -> &[u8] {
        &self.table.checksums
    }

    /// The content from `offset` on, so many bytes or up to the end; `None` when a block of it is damaged.
    pub(crate) fn read(&self, offset: u64, bytes: u64) -> Option<Vec<u8>> {
        let end = self.run().bytes.min(offset.checked_add(bytes)?);
        let count = position(end.checked_sub(offset)?);
        let block = u64::from(BLOCK_BYTES);
        let first = offset / block * block;
        let last = self.run().bytes.min(end.next_multiple_of(block));
        let mut content = settled(|| self.read_blocks(first, last), Option::is_some)?;
        content.drain(..position(offset - first));
        content.truncate(count);
        Some(content)
    }

    /// Whole blocks, if each of them verifies.
    fn read_blocks(&self, first: u64, last: u64) -> Option<Vec<u8>> {
        let content = read_exactly(&self.file, HEADER_BYTES + first, position(last - first))?;
        let blocks = length(position(first / u64::from(BLOCK_BYTES)))..;
        let mut pieces = blocks.zip(content.chunks(BLOCK_BYTES as usize));
        pieces.all(|(block, piece)| self.table.proves(block, piece)).then_some(content)
    }
}

/// Whether a run is what its name says, found out piece by piece.
#[derive(Debug)]
pub(crate) struct Verification<F> {
    file: RunFile<F>,
    offset: u64,
    /// Two kilobytes, in a box of its own.
    hasher: Box<blake3::Hasher>,
}

impl<F: DiskFile> Verification<F> {
    pub(crate) fn new(file: RunFile<F>) -> Verification<F> {
        Verification { file, offset: 0, hasher: Box::default() }
    }

    /// The run that is looked at.
    pub(crate) fn run(&self) -> &RunRef {
        self.file.run()
    }

    /// How far it has come: where in the content a damaged block was found, or begins to be looked for next.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads so many bytes more, in whole blocks: each is read as a whole anyway. The verdict, when there is one.
    pub(crate) fn go_on(&mut self, bytes: u64) -> Option<bool> {
        let piece = self.file.read(self.offset, bytes.next_multiple_of(BLOCK_BYTES.into()));
        let Some(piece) = piece else { return Some(false) };
        self.hasher.update(&piece);
        self.offset += piece.len() as u64;
        let ended = self.offset == self.file.run().bytes;
        ended.then(|| self.hasher.finalize().as_bytes() == &self.file.run().digest)
    }

    /// The verdict, however long it takes.
    pub(crate) fn verdict(mut self) -> bool {
        const PIECE_BYTES: u64 = 1 << 20;
        loop {
            if let Some(verdict) = self.go_on(PIECE_BYTES) {
                return verdict;
            }
        }
    }
}

/// What a header says: which run it is, and the checksum of its table.
fn read_header<F: DiskFile>(file: &F) -> Option<(RunRef, u32)> {
    decode_header(&read_exactly(file, 0, position(HEADER_BYTES))?)
}

fn decode_header(header: &[u8]) -> Option<(RunRef, u32)> {
    let mut fields = Unpacker::new(header);
    if fields.array::<8>() != *MAGIC || fields.u32() != crc32c::crc32c(&header[12..]) {
        return None;
    }
    if fields.u32() != VERSION {
        return None;
    }
    let bytes = fields.u64();
    let run = RunRef { digest: fields.array(), bytes };
    (fields.u32() == BLOCK_BYTES).then(|| (run, fields.u32()))
}

pub(crate) fn read_exactly<F: DiskFile>(file: &F, offset: u64, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    (file.read_at(&mut bytes, offset).ok()? == count).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use proptest::prelude::*;

    use super::*;
    use crate::memory_disk::MemoryDisk;

    const MIB: usize = 1 << 20;

    proptest! {
        #[test]
        fn a_digest_does_not_depend_on_how_the_content_came(
            pieces in prop::collection::vec(prop_oneof![0..3_000_usize, 0..70_000_usize], 0..12),
        ) {
            let bytes: usize = pieces.iter().sum();
            let content: Vec<u8> = (0..bytes).map(|at| at.to_le_bytes()[at % 3]).collect();
            let (mut digest, mut rest) = (Digest::default(), &content[..]);
            for bytes in pieces {
                let (piece, after) = rest.split_at(bytes);
                digest.update(piece);
                rest = after;
            }
            prop_assert_eq!(digest.finish(), *blake3::hash(&content).as_bytes());
        }
    }

    /// A file that takes everything, and notes what is asked of it beside that.
    #[derive(Default)]
    struct Noting {
        syncs: Cell<u32>,
        dropped: RefCell<Vec<(u64, u64)>>,
    }

    impl DiskFile for &Noting {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            self.syncs.set(self.syncs.get() + 1);
            Ok(())
        }

        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }

        fn drop_cached(&self, offset: u64, bytes: u64) {
            self.dropped.borrow_mut().push((offset, bytes));
        }
    }

    /// What was written since the last sync, wherever that ended.
    #[test]
    fn a_run_goes_to_the_disk_while_it_is_written_with_a_sync_every_four_mebibytes() {
        let (file, mib) = (Noting::default(), vec![0; MIB]);
        let mut writer = RunFileWriter::new(&file);
        let mut sum = 0;
        let mut write = |bytes: usize, expected: (u64, u32)| {
            writer.write(&mib[..bytes]).unwrap();
            writer.write_out().unwrap();
            sum += bytes as u64;
            let (dropped, syncs) = expected;
            let noted = file.dropped.borrow_mut().drain(..).collect::<Vec<_>>();
            let part = (dropped > 0).then_some((HEADER_BYTES + sum - dropped, dropped));
            assert_eq!((noted, file.syncs.get()), (part.into_iter().collect(), syncs), "at {sum}");
        };
        let mib = MIB as u64;
        write(MIB, (mib, 0));
        write(MIB, (2 * mib, 0));
        write(MIB, (3 * mib, 0));
        write(MIB - 1, (4 * mib - 1, 0));
        write(1, (0, 1));
        write(100, (100, 1));
        write(50, (150, 1));
    }

    #[test]
    fn what_is_read_at_rest_comes_from_the_disk() {
        let file = Noting::default();
        let table = RunTable { run: RunRef { digest: [0; 32], bytes: 0 }, checksums: Vec::new() };
        RunFile { file: &file, table }.drop_cached();
        assert_eq!(*file.dropped.borrow(), [(0, u64::MAX)]);
    }

    /// Three blocks and a bit.
    fn written() -> (MemoryDisk, RunRef) {
        let disk = MemoryDisk::new();
        let mut writer = RunFileWriter::new(disk.create("new").unwrap());
        writer.write(&[7; 200_000]).unwrap();
        (disk, writer.finish().unwrap())
    }

    #[test]
    fn a_table_is_as_long_as_its_run_wants_and_as_its_checksum_says() {
        let (disk, run) = written();
        let table = RunFile::open_any(&disk, "new").unwrap().into_table();
        assert_eq!((table.run, table.blocks()), (run, 4));
        assert_eq!(RunTable::decode(&table.encode()), Some(table.clone()));
        let mut rotten = table.encode();
        *rotten.last_mut().unwrap() ^= 1;
        assert_eq!(RunTable::decode(&rotten), None, "another checksum");
        let long = RunTable { checksums: [&table.checksums[..], &[0; 4]].concat(), ..table };
        assert_eq!(RunTable::decode(&long.encode()), None, "five blocks");
    }

    #[test]
    fn what_stands_behind_a_run_does_not_hurt_and_what_is_missing_does() {
        let (disk, run) = written();
        disk.corrupt("new", |content| content.extend_from_slice(&[9; 100]));
        let file = RunFile::open_any(&disk, "new").unwrap();
        assert_eq!(*file.run(), run);
        assert!(Verification::new(file).verdict());
        disk.corrupt("new", |content| content.truncate(content.len() - 101));
        assert!(RunFile::open_any(&disk, "new").is_none());
    }
}
