//! Which release wrote a file: looked at before anything else is, and before anything is changed.
//!
//! Recovery takes what it does not understand for damage, and mends it: it would set aside a checkpoint of a newer
//! release, cut its log, and write over its term and vote. So a file that is *whole* and of another version has to be
//! told from a damaged one. Whatever changes between versions, this much of a file's beginning does not:
//!
//! ```text
//!   0              8         12        16        20
//!   | magic        | checksum| version | size    |
//! ```
//!
//! The checksum covers the bytes from 12 to *size*, in `stable/`, in runs and in backups to 512. (A segment's header
//! stands twice; the second copy begins at *size*.) A file whose checksum does not fit says nothing about its version.
//! What a checkpoint says of its content has a version of its own, since it travels without the file.

use std::io::ErrorKind;
use std::ops::RangeInclusive;

use quorate_wire::checkpoint::{Manifest, RestoreError};

use crate::disk::{Disk, DiskFile};
use crate::error::{Fatal, OpenError};
use crate::layout::position;
use crate::{backup, checkpoints, segment, stable};

/// A directory whose files have a version.
struct Format {
    directory: &'static str,
    /// How the names of its files end.
    suffix: &'static str,
    magic: &'static [u8; 8],
    known: RangeInclusive<u32>,
    /// How much a checksum covers; nothing when the file says so itself.
    checked_bytes: Option<u64>,
}

const FORMATS: [Format; 4] = [
    Format {
        directory: stable::DIRECTORY,
        suffix: "",
        magic: stable::MAGIC,
        known: stable::VERSION..=stable::VERSION,
        checked_bytes: Some(stable::SLOT_BYTES as u64),
    },
    Format {
        directory: segment::DIRECTORY,
        suffix: ".log",
        magic: segment::MAGIC,
        known: segment::VERSION..=segment::NEWEST_VERSION,
        checked_bytes: None,
    },
    Format {
        directory: checkpoints::DIRECTORY,
        suffix: checkpoints::MANIFEST_SUFFIX,
        magic: checkpoints::MANIFEST_MAGIC,
        known: checkpoints::MANIFEST_VERSION..=checkpoints::MANIFEST_VERSION_WITH_TOKENS,
        checked_bytes: None,
    },
    Format {
        directory: checkpoints::DIRECTORY,
        suffix: checkpoints::RUN_SUFFIX,
        magic: checkpoints::RUN_MAGIC,
        known: checkpoints::RUN_VERSION..=checkpoints::RUN_VERSION,
        checked_bytes: Some(checkpoints::RUN_HEADER_BYTES),
    },
];

/// Backups are no part of a data dir, and name their version in the same way.
const BACKUP: Format = Format {
    directory: "",
    suffix: "",
    magic: backup::MAGIC,
    known: backup::VERSION..=backup::VERSION,
    checked_bytes: Some(backup::HEADER_BYTES as u64),
};

/// How much of a file is looked at: enough for both copies of a header, also with as many join tokens as may be.
const BEGINNING_BYTES: u64 = 256 << 10;

/// Refuses a disk with a file of another version.
///
/// # Errors
/// [`OpenError::UnknownVersion`].
pub(crate) fn refuse_other_versions<D: Disk>(disk: &D) -> Result<(), OpenError> {
    for format in &FORMATS {
        let names = match disk.list(format.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(Fatal::new("list", format.directory))?,
        };
        // What can't be read is met again, by whoever needs it.
        for name in names {
            if name.ends_with(format.suffix) {
                let path = format!("{}/{name}", format.directory);
                if let Some((found, known)) = other_version(disk, &path, format) {
                    return Err(OpenError::UnknownVersion { path, found, known });
                }
            }
        }
    }
    Ok(())
}

/// The version of a file and the newest one that is known, when the file's is not among those.
fn other_version<D: Disk>(disk: &D, path: &str, format: &Format) -> Option<(u32, u32)> {
    let file = disk.open(path).ok()?;
    let mut beginning = vec![0; position(file.len().ok()?.min(BEGINNING_BYTES))];
    let read = file.read_at(&mut beginning, 0).ok()?;
    let pages = beginning[..read].chunks(segment::PAGE_BYTES as usize).count();
    let starts = (0..pages).map(|page| page * segment::PAGE_BYTES as usize);
    let versions: Vec<u32> =
        starts.filter_map(|start| version_at(&beginning[..read], start, format)).collect();
    let other = versions.iter().find(|version| !format.known.contains(version));
    let of_file = other.map(|found| (*found, *format.known.end()));
    let is_manifest = format.magic == checkpoints::MANIFEST_MAGIC && !versions.is_empty();
    of_file.or_else(|| other_content(&beginning[..read]).filter(|_| is_manifest))
}

/// The same for what a manifest, which is whole, says of its content.
fn other_content(file: &[u8]) -> Option<(u32, u32)> {
    match Manifest::decode(checkpoints::manifest_proper(file)?) {
        Err(RestoreError::UnknownVersion { found }) => Some((found.into(), Manifest::VERSION.into())),
        _ => None,
    }
}

/// The version of a backup whose header is whole, when it is not the known one.
pub(crate) fn other_version_of_backup(header: &[u8]) -> Option<u32> {
    version_at(header, 0, &BACKUP).filter(|version| !BACKUP.known.contains(version))
}

/// The version of the header at `start`, if it is whole.
fn version_at(beginning: &[u8], start: usize, format: &Format) -> Option<u32> {
    let bytes = &beginning[start..];
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (checksum, version, size) = (number(8)?, number(12)?, number(16)?);
    let size = position(format.checked_bytes.unwrap_or(size.into()));
    let in_place = start == 0 || start == size;
    let whole = || Some(crc32c::crc32c(bytes.get(12..size)?) == checksum);
    (bytes.starts_with(format.magic) && in_place && whole()?).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_disk::MemoryDisk;
    use crate::{Options, Storage};

    fn options() -> Options {
        Options { segment_bytes: 16 << 10, ..Options::new(1) }
    }

    /// The same file, as a newer release might have written it.
    fn raise(bytes: &mut [u8], size: usize) {
        bytes[12] = 9;
        bytes[size - 1] = 7;
        let checksum = crc32c::crc32c(&bytes[12..size]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    }

    /// The version in the manifest proper, and a checksum of the file that fits.
    fn raise_content(bytes: &mut [u8]) {
        let magic = bytes.windows(8).position(|window| window == b"QUORATKV").unwrap();
        bytes[magic + 8] = 9;
        let checksum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    }

    fn change(disk: &MemoryDisk, path: &str, change: impl FnOnce(&mut [u8])) {
        let mut bytes = disk.content(path).unwrap();
        change(&mut bytes);
        disk.open(path).unwrap().write_at(&bytes, 0).unwrap();
    }

    #[test]
    fn a_directory_that_can_not_be_listed_is_an_error_and_one_that_is_not_there_is_none() {
        let disk = MemoryDisk::new();
        assert!(refuse_other_versions(&disk).is_ok());
        disk.create_dir("log").unwrap();
        disk.fail(crate::Operation::Name, 0);
        assert!(matches!(refuse_other_versions(&disk), Err(OpenError::Disk(_))));
    }

    #[test]
    fn a_file_of_another_version_is_refused_and_nothing_is_changed() {
        let manifest = include_bytes!("../tests/golden/3-2.snap");
        let run = include_bytes!("../tests/golden/3-2.run");
        let (manifest_path, run_path) = ("snaps/0000000000000003-0000000000000002.snap", "snaps/1.run");
        for (path, size, version) in [
            ("stable/a", 512, 1),
            ("stable/b", 512, 1),
            ("log/00000001.log", 4096, 3),
            (manifest_path, manifest.len(), 3),
            (run_path, 512, 1),
            // Its content is of another version, and the file is not.
            ("content", 0, 2),
        ] {
            let disk = MemoryDisk::new();
            drop(Storage::open(disk.clone(), options()).unwrap());
            disk.create(manifest_path).unwrap().write_at(manifest, 0).unwrap();
            disk.create(run_path).unwrap().write_at(run, 0).unwrap();
            let path = if path == "content" {
                change(&disk, manifest_path, raise_content);
                manifest_path
            } else {
                change(&disk, path, |bytes| raise(bytes, size));
                path
            };
            let (files, changes) = (disk.files(), disk.changes());
            let refused = Storage::open(disk.clone(), options()).err().unwrap();
            let OpenError::UnknownVersion { path: named, found: 9, known } = &refused else {
                panic!("{path}: {refused}");
            };
            assert_eq!((named.as_str(), *known), (path, version));
            assert!(!refused.costs_the_id() && refused.to_string().contains(path), "{refused}");
            assert_eq!((disk.files(), disk.changes()), (files, changes), "{path}");
        }
    }

    #[test]
    fn the_second_copy_of_a_header_tells_too_and_damage_tells_nothing() {
        let disk = MemoryDisk::new();
        drop(Storage::open(disk.clone(), options()).unwrap());
        let path = "log/00000001.log";
        let good = disk.content(path).unwrap();
        change(&disk, path, |bytes| raise(&mut bytes[4096..], 4096));
        assert!(matches!(refuse_other_versions(&disk), Err(OpenError::UnknownVersion { found: 9, .. })));
        change(&disk, path, |bytes| bytes[..10].fill(0xa5));
        assert!(matches!(refuse_other_versions(&disk), Err(OpenError::UnknownVersion { found: 9, .. })));
        for rotten in [12, 16, 4090] {
            change(&disk, path, |bytes| {
                bytes.copy_from_slice(&good);
                bytes[rotten] ^= 2;
            });
            assert!(refuse_other_versions(&disk).is_ok(), "byte {rotten}");
            assert!(Storage::open(disk.clone(), options()).is_ok(), "byte {rotten}: the other copy is whole");
        }
    }
    /// With a checksum that does not fit, nothing in the file counts.
    #[test]
    fn a_damaged_manifest_tells_nothing_about_its_content() {
        let disk = MemoryDisk::new();
        let path = "snaps/0000000000000003-0000000000000002.snap";
        disk.create_dir("snaps").unwrap();
        disk.create(path).unwrap().write_at(include_bytes!("../tests/golden/3-2.snap"), 0).unwrap();
        change(&disk, path, raise_content);
        assert!(refuse_other_versions(&disk).is_err());
        change(&disk, path, |bytes| bytes[30] ^= 1);
        assert!(refuse_other_versions(&disk).is_ok());
    }

    /// Only a manifest has content with a version of its own.
    #[test]
    fn what_looks_like_other_content_in_another_file_tells_nothing() {
        let disk = MemoryDisk::new();
        drop(Storage::open(disk.clone(), options()).unwrap());
        let other = [&b"QUORATKV"[..], &[9, 0], &[0; 200]].concat();
        change(&disk, "stable/a", |bytes| {
            // It would be a manifest of a later version, in the place where one stands without a configuration.
            bytes[56..56 + other.len()].copy_from_slice(&other);
            bytes[20..24].fill(0);
            let checksum = crc32c::crc32c(&bytes[12..512]);
            bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        });
        assert!(refuse_other_versions(&disk).is_ok());
    }
}
