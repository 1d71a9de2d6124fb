//! Term and vote, and checkpoints.

use std::io::ErrorKind;

use super::{CheckpointSight, StableSight, Survey};
use crate::checkpoint::{BLOCK_BYTES, Checkpoint};
use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;
use crate::layout::is_zero;
use crate::snapshots;
use crate::stable::{self, StableValue};

/// The names of the checkpoints, sorted. One that was put aside as damaged is none any more.
pub(super) fn checkpoints<D: Disk>(disk: &D) -> Result<Vec<String>, Fatal> {
    let directory = snapshots::DIRECTORY;
    let mut names = match disk.list(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(Fatal::new("list", directory))?,
    };
    names.retain(|name| name.ends_with(".snap"));
    Ok(names)
}

impl<D: Disk> Survey<'_, D> {
    /// Both files. That they hold different values is no fault: a crash came between the two writes.
    pub(super) fn stable(&mut self) {
        for (number, path) in stable::PATHS.into_iter().enumerate() {
            let mut slot = [0; stable::SLOT_BYTES];
            let reason = match self.disk.open(path).and_then(|file| file.read_at(&mut slot, 0)) {
                Err(error) => format!("it can't be read: {error}"),
                Ok(read) => match StableValue::decode(&slot[..read]) {
                    Some(value) => {
                        self.surveyed.stable[number] = Some(StableSight {
                            sequence: value.sequence,
                            hard: value.hard,
                            acknowledged: value.acknowledged,
                            acknowledged_batch: value.acknowledged_batch,
                        });
                        (self.progress)(read as u64);
                        continue;
                    }
                    None if is_zero(&slot[..read]) => format!("it holds nothing but {read} bytes of zeros"),
                    None => "its checksum does not fit".to_owned(),
                },
            };
            self.fault(path, 0, None, reason);
        }
    }

    pub(super) fn checkpoints(&mut self) -> Result<(), Fatal> {
        for name in checkpoints(self.disk)? {
            let path = format!("{}/{name}", snapshots::DIRECTORY);
            self.checkpoint(&path);
        }
        Ok(())
    }

    /// Header, table, every block, and the checksum of the whole.
    fn checkpoint(&mut self, path: &str) {
        let (file, bytes) = match self.disk.open(path).and_then(|file| Ok((file.len()?, file))) {
            Ok((bytes, file)) => (file, bytes),
            Err(error) => return self.fault(path, 0, None, format!("it can't be read: {error}")),
        };
        // Where the content begins, by a header that is believed only when the checkpoint opens.
        let mut header_bytes = [0; 4];
        let read = file.read_at(&mut header_bytes, 16);
        let content_start = u64::from(u32::from_le_bytes(header_bytes));
        let opened = Checkpoint::open(file).filter(|_| read.is_ok());
        let last = opened.as_ref().map(|checkpoint| checkpoint.meta.last);
        self.surveyed.checkpoints.push(CheckpointSight { file: path.to_owned(), bytes, last });
        let Some(checkpoint) = opened else {
            (self.progress)(bytes);
            return self.fault(path, 0, None, "the checksum of its header or of its table does not fit");
        };
        let (mut offset, mut checksum, mut is_whole) = (0, 0, true);
        while offset < checkpoint.meta.bytes {
            let length = u64::from(BLOCK_BYTES).min(checkpoint.meta.bytes - offset);
            match checkpoint.chunk(offset, length) {
                Some(chunk) => checksum = crc32c::crc32c_append(checksum, &chunk.data),
                None => {
                    is_whole = false;
                    self.fault(path, content_start + offset, None, "the checksum of this block does not fit");
                }
            }
            offset += length;
            (self.progress)(length);
        }
        if is_whole && checksum != checkpoint.meta.checksum {
            self.fault(path, content_start, None, "the checksum of the whole content does not fit");
        }
        (self.progress)(bytes.saturating_sub(checkpoint.meta.bytes));
    }
}
