//! Bytes that nobody wrote: storage may refuse them, never panic.

use proptest::prelude::*;
use quorate_raft::Index;
use quorate_storage::{MemoryDisk, fuzzing};

use crate::common::{append, command, members_entry, noop, open, read, settle, trials, vote};

/// Two segments with a dozen records of all kinds.
fn disk() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 9);
    append(&mut storage, &[noop(1, 1), noop(1, 2), command(1, 3, &[3; 700])]);
    settle(&mut storage);
    append(
        &mut storage,
        &[command(2, 3, &[0; 600]), noop(4, 4), members_entry(4, 5, &["a", "b"]), noop(4, 6)],
    );
    append(&mut storage, &[noop(5, 5), noop(5, 6)]);
    append(
        &mut storage,
        &[command(5, 7, b"a"), command(5, 8, b"b"), command(5, 9, b"c"), command(5, 10, b"d")],
    );
    settle(&mut storage);
    disk
}

fn segments(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    let paths = disk.files().into_iter().filter(|path| path.ends_with(".log"));
    paths.map(|path| (path.clone(), disk.content(&path).unwrap())).collect()
}

/// Where the records are, and how large their headers, by the segment id that each repeats after its own offset; to
/// that a short header adds a little.
fn records(file: &[u8]) -> Vec<(usize, usize)> {
    let id = &file[24..32];
    let header = |at: usize| {
        let said = u32::from_le_bytes(file[at + 12..at + 16].try_into().unwrap()) as usize;
        let size = [96, 56, 56].get(said.wrapping_sub(at));
        size.filter(|_| &file[at + 16..at + 24] == id).map(|size| (at, *size))
    };
    (8192..file.len() - 96).step_by(16).filter_map(header).collect()
}

/// Overwrites a field and makes the checksum fit again. A field beyond a short header is one of its last.
fn forge(file: &mut [u8], (record, size): (usize, usize), field: usize, value: u64) {
    let field = field.min(size - 1);
    let value = &value.to_le_bytes()[..(size - field).min(8)];
    file[record + field..record + field + value.len()].copy_from_slice(value);
    let checksum = crc32c::crc32c(&file[record + 4..record + size]);
    file[record..record + 4].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn there_are_records_of_both_forms_to_forge() {
    let segments = segments(&disk());
    let headers = segments.iter().flat_map(|(_, file)| records(file));
    let short = headers.clone().filter(|(_, size)| *size == 56).count();
    assert!(short == 3 && headers.count() > 10, "{short}");
}

/// Opens the disk, and uses what it finds when it opens.
fn use_it(disk: &MemoryDisk) {
    if let Ok((mut storage, found)) = open(disk) {
        let (base, last) = (found.terms.base().index, found.terms.last().index);
        if last.0 - base.0 < 1000 {
            read(&mut storage, base.0 + 1, last.0);
            let term = found.hard.term.0;
            append(&mut storage, &[noop(term, last.next().0)]);
            assert_eq!(open(disk).unwrap().1.terms.last().index, Index(last.0 + 1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(trials(2000)))]

    /// Records whose checksums are right and whose content makes no sense.
    #[test]
    fn forged_records_are_survived(
        forgeries in prop::collection::vec(
            (any::<prop::sample::Index>(), 4..96_usize, prop_oneof![0..9_u64, Just(u64::MAX), any::<u64>()]),
            1..4,
        ),
        zeroed in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
    ) {
        let disk = disk();
        let mut files = segments(&disk);
        let of = |(at, (_, file)): (usize, &(String, Vec<u8>))| {
            records(file).into_iter().map(move |record| (at, record))
        };
        let all: Vec<(usize, (usize, usize))> = files.iter().enumerate().flat_map(of).collect();
        prop_assert!(files.len() == 2 && all.len() >= 9, "{} in {}", all.len(), files.len());
        for (record, field, value) in &forgeries {
            let (at, record) = *record.get(&all);
            forge(&mut files[at].1, record, *field, *value);
        }
        if let Some((at, sector)) = zeroed {
            let at = at.index(files.len());
            let file = &mut files[at].1;
            let start = 8192 + sector.index((file.len() - 8192) / 512) * 512;
            file[start..start + 512].fill(0);
        }
        for (path, file) in files {
            fuzzing::wal_decode(&file);
            disk.corrupt(&path, |content| *content = file);
        }
        use_it(&disk);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(fuzzing::wal_decode(&bytes), 0);
        fuzzing::data_json(&bytes);
    }

    #[test]
    fn any_json_is_survived(text in "[{\\[\"a-zA-Z0-9_=:, \\]}\\-]{0,60}") {
        fuzzing::data_json(text.as_bytes());
    }
}

#[test]
fn a_real_segment_decodes() {
    let disk = disk();
    let decoded: Vec<usize> = segments(&disk).iter().map(|(_, file)| fuzzing::wal_decode(file)).collect();
    assert_eq!(decoded, [5, 0], "it takes the bytes for the first segment's");
    assert_eq!(fuzzing::data_json(br#"{"a2V5":"dmFsdWU="}"#), 1);
}
