//! One checkpoint file.
//!
//! ```text
//!   0              8         12        16        20        24                  32
//!   | "QRTESNAP"   | checksum| version | header  | content | content bytes     |
//!   |              |         |         | bytes   | checksum|                   |
//!   32                  40                  48                  56                  64        68
//!   | last term         | last index        | members at: term  | members at: index | block   | table   |
//!   |                   |                   |                   |                   | bytes   | checksum|
//!   72        76        80
//!   | members | 0       | the configuration in force, as quorate-wire's codec writes it; zeros up to the header's size
//!   | bytes   |         |
//!   header bytes:                  the content, as one piece
//!   header bytes + content bytes:  the table, a CRC-32C for each block of 64 KiB of content
//! ```
//!
//! The header's checksum covers the header but itself and the magic. The content is written first, to a file with a
//! temporary name; then table and header; all of it is synced before the file gets its name. So a named file that
//! does not verify is damage.

use std::io;

use quorate_raft::{Chunk, Index, LogId, Members, SnapshotMeta, Term};
use quorate_wire::codec;

use crate::disk::DiskFile;
use crate::layout::{Packer, Unpacker, length, position, round_up};
use crate::reread::settled;

/// The version of the format of `snaps/`.
const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"QRTESNAP";
const FIXED_BYTES: u32 = 80;
const PAGE_BYTES: u32 = 4096;
/// No configuration makes a header larger.
const MAX_HEADER_BYTES: u32 = 1 << 20;
/// The unit of checksums of content.
pub(crate) const BLOCK_BYTES: u32 = 64 << 10;

fn header_bytes(members: &Members) -> u32 {
    round_up(FIXED_BYTES + length(codec::encode(members).len()), PAGE_BYTES)
}

/// Writes a checkpoint's content from front to back.
#[derive(Debug)]
pub(crate) struct ContentWriter<F> {
    file: F,
    header_bytes: u32,
    bytes: u64,
    checksum: u32,
    table: Vec<u8>,
    block_checksum: u32,
}

impl<F: DiskFile> ContentWriter<F> {
    /// Begins in an empty file. The configuration is known from the start and sizes the header.
    pub(crate) fn new(file: F, members: &Members) -> ContentWriter<F> {
        let header_bytes = header_bytes(members);
        ContentWriter { file, header_bytes, bytes: 0, checksum: 0, table: Vec::new(), block_checksum: 0 }
    }

    /// How many bytes of content have been written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The CRC-32C of the content so far.
    pub(crate) fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Appends content.
    pub(crate) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_at(content, u64::from(self.header_bytes) + self.bytes)?;
        self.checksum = crc32c::crc32c_append(self.checksum, content);
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

    /// Makes what was written so far durable, so that the last sync has little left to do.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Writes table and header and makes the file durable.
    pub(crate) fn finish(
        mut self,
        last: LogId,
        members: Members,
        members_at: LogId,
    ) -> io::Result<SnapshotMeta> {
        if !self.bytes.is_multiple_of(u64::from(BLOCK_BYTES)) {
            self.close_block();
        }
        let meta = SnapshotMeta { last, members, members_at, bytes: self.bytes, checksum: self.checksum };
        self.file.write_at(&self.table, u64::from(self.header_bytes) + self.bytes)?;
        self.file.write_at(&encode_header(&meta, crc32c::crc32c(&self.table)), 0)?;
        self.file.sync_data()?;
        Ok(meta)
    }

    fn close_block(&mut self) {
        self.table.extend_from_slice(&self.block_checksum.to_le_bytes());
        self.block_checksum = 0;
    }
}

fn encode_header(meta: &SnapshotMeta, table_checksum: u32) -> Vec<u8> {
    let members = codec::encode(&meta.members);
    let mut header = vec![0; header_bytes(&meta.members) as usize];
    let header_bytes = length(header.len());
    assert!(header_bytes <= MAX_HEADER_BYTES, "a configuration of {} bytes", members.len());
    Packer::new(&mut header)
        .put(MAGIC)
        .u32(0)
        .u32(VERSION)
        .u32(header_bytes)
        .u32(meta.checksum)
        .u64(meta.bytes)
        .u64(meta.last.term.0)
        .u64(meta.last.index.0)
        .u64(meta.members_at.term.0)
        .u64(meta.members_at.index.0)
        .u32(BLOCK_BYTES)
        .u32(table_checksum)
        .u32(length(members.len()))
        .u32(0)
        .put(&members);
    let checksum = crc32c::crc32c(&header[12..]);
    header[8..12].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// A checkpoint to read from. Its header and table have been verified, its blocks are when they're read.
#[derive(Debug)]
pub(crate) struct Checkpoint<F> {
    pub(crate) meta: SnapshotMeta,
    file: F,
    header_bytes: u32,
    table: Vec<u8>,
}

impl<F: DiskFile> Checkpoint<F> {
    /// Opens a file; `None` when its header or its table is damaged.
    pub(crate) fn open(file: F) -> Option<Checkpoint<F>> {
        let Opened { meta, header_bytes, table_bytes, table_checksum } =
            settled(|| read_header(&file), Option::is_some)?;
        let table_start = meta.bytes.checked_add(u64::from(header_bytes))?;
        if table_start.checked_add(table_bytes)? > file.len().ok()? {
            return None;
        }
        let read = || read_exactly(&file, table_start, position(table_bytes));
        let sound = |table: &Vec<u8>| crc32c::crc32c(table) == table_checksum;
        let table = settled(read, |table| table.as_ref().is_some_and(sound)).filter(sound)?;
        Some(Checkpoint { meta, file, header_bytes, table })
    }

    /// Whether every byte of the content verifies.
    pub(crate) fn is_whole(&self) -> bool {
        const PIECE_BYTES: u64 = 1 << 20;
        let (mut offset, mut checksum) = (0, 0);
        while offset < self.meta.bytes {
            let Some(piece) = self.read(offset, PIECE_BYTES) else { return false };
            checksum = crc32c::crc32c_append(checksum, &piece);
            offset += piece.len() as u64;
        }
        checksum == self.meta.checksum
    }

    /// A piece of the content; `None` when the offset lies outside, or a block is damaged.
    pub(crate) fn chunk(&self, offset: u64, bytes: u64) -> Option<Chunk> {
        let data = self.read(offset, bytes.max(1))?;
        let done = offset + data.len() as u64 == self.meta.bytes;
        Some(Chunk { offset, data: data.into(), done })
    }

    fn read(&self, offset: u64, bytes: u64) -> Option<Vec<u8>> {
        let end = self.meta.bytes.min(offset.checked_add(bytes)?);
        let count = position(end.checked_sub(offset)?);
        let block = u64::from(BLOCK_BYTES);
        let first = offset / block * block;
        let last = self.meta.bytes.min(end.next_multiple_of(block));
        let mut content = settled(|| self.read_blocks(first, last), Option::is_some)?;
        content.drain(..position(offset - first));
        content.truncate(count);
        Some(content)
    }

    /// Whole blocks, if each of them verifies.
    fn read_blocks(&self, first: u64, last: u64) -> Option<Vec<u8>> {
        let content = read_exactly(&self.file, u64::from(self.header_bytes) + first, position(last - first))?;
        let block = BLOCK_BYTES as usize;
        let checksums = self.table.chunks_exact(4).skip(position(first) / block);
        let mut pieces = content.chunks(block).zip(checksums);
        let sound = pieces.all(|(piece, checksum)| crc32c::crc32c(piece).to_le_bytes() == *checksum);
        sound.then_some(content)
    }
}

/// What a header says.
#[derive(PartialEq)]
struct Opened {
    meta: SnapshotMeta,
    header_bytes: u32,
    table_bytes: u64,
    table_checksum: u32,
}

fn read_header<F: DiskFile>(file: &F) -> Option<Opened> {
    let fixed = read_exactly(file, 0, FIXED_BYTES as usize)?;
    let mut fields = Unpacker::new(&fixed);
    if fields.array::<8>() != *MAGIC {
        return None;
    }
    let (header_checksum, version, header_bytes) = (fields.u32(), fields.u32(), fields.u32());
    if version != VERSION || !(FIXED_BYTES..=MAX_HEADER_BYTES).contains(&header_bytes) {
        return None;
    }
    let header = read_exactly(file, 0, header_bytes as usize)?;
    // The two reads may differ.
    if header[..FIXED_BYTES as usize] != fixed || crc32c::crc32c(&header[12..]) != header_checksum {
        return None;
    }
    let (checksum, bytes) = (fields.u32(), fields.u64());
    let mut log_id = || LogId { term: Term(fields.u64()), index: Index(fields.u64()) };
    let (last, members_at) = (log_id(), log_id());
    let (block_bytes, table_checksum, members_bytes) = (fields.u32(), fields.u32(), fields.u32());
    let members_end = FIXED_BYTES.checked_add(members_bytes)?;
    let members = header.get(FIXED_BYTES as usize..members_end as usize)?;
    let members = codec::decode(members).ok()?;
    if block_bytes != BLOCK_BYTES {
        return None;
    }
    let table_bytes = bytes.div_ceil(u64::from(BLOCK_BYTES)).checked_mul(4)?;
    let meta = SnapshotMeta { last, members, members_at, bytes, checksum };
    Some(Opened { meta, header_bytes, table_bytes, table_checksum })
}

fn read_exactly<F: DiskFile>(file: &F, offset: u64, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    (file.read_at(&mut bytes, offset).ok()? == count).then_some(bytes)
}
