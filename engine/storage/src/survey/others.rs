//! Term and vote, and checkpoints.

use std::io::ErrorKind;

use super::{CheckpointSight, StableSight, Survey};
use crate::checkpoint_files;
use crate::checkpoints;
use crate::disk::{Disk, DiskFile};
use crate::error::Fatal;
use crate::layout::is_zero;
use crate::stable::{self, StableValue};

/// The names of the manifests and runs, sorted. One that was put aside as damaged is none any more.
pub(super) fn checkpoints<D: Disk>(disk: &D) -> Result<Vec<String>, Fatal> {
    let directory = checkpoints::DIRECTORY;
    let mut names = match disk.list(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(Fatal::new("list", directory))?,
    };
    names.retain(|name| {
        name.ends_with(checkpoints::MANIFEST_SUFFIX) || name.ends_with(checkpoints::RUN_SUFFIX)
    });
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

    /// Every run to its end, and every manifest.
    pub(super) fn checkpoints(&mut self) -> Result<(), Fatal> {
        let names = checkpoints(self.disk)?;
        let listing = checkpoint_files::list(self.disk, |bytes| (self.progress)(bytes));
        let listing = match listing {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(Fatal::new("list", checkpoints::DIRECTORY))?,
        };
        for file in names.into_iter().filter(|name| name.ends_with(checkpoints::MANIFEST_SUFFIX)) {
            let file = format!("{}/{file}", checkpoints::DIRECTORY);
            let found = listing.checkpoints.iter().find(|found| found.path() == file);
            let bytes = found.map_or(0, |found| found.meta.bytes);
            self.surveyed.checkpoints.push(CheckpointSight {
                file,
                bytes,
                last: found.map(|found| found.meta.last),
            });
        }
        for flaw in listing.flaws {
            self.fault(&flaw.path, flaw.offset, None, flaw.reason);
        }
        Ok(())
    }
}
