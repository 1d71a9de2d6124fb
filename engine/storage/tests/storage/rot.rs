//! Anything may rot anywhere. What is found then is the same, or known to be lost; never something else, and never
//! silently less.

use std::ops::Range;

use proptest::prelude::*;
use quorate_raft::{Found, Index};
use quorate_storage::{MemoryDisk, Storage};

use crate::common::{open, read, settle, trials};
use crate::model::{Model, State, Step, load_snapshot, steps};

/// Checks what was found on a rotten disk against what the node held. `at` says what was done to it.
fn check(state: &State, storage: &mut Storage<MemoryDisk>, found: &Found, at: &str) {
    assert_eq!(found.hard, state.hard, "{at}: the term and vote are in two files");
    let (base, last) = (found.terms.base(), found.terms.last());
    if let Some(meta) = &found.snapshot {
        load_snapshot(storage, meta);
        assert!(state.snapshot.as_ref().is_some_and(|newest| meta.last <= newest.last), "{at}");
    }
    let covered = found.snapshot.as_ref().map_or(0, |meta| meta.last.index.0);
    assert!(base.index.0 <= covered, "{at}: nothing is missing between the checkpoint and the log");
    match found.unknown {
        None => assert_eq!(last, state.last(), "{at}: not silently shorter: {found:?}"),
        Some(from) => assert_eq!(from, last.index.next(), "{at}"),
    }
    let (entries, damaged) = read(storage, base.index.0 + 1, last.index.0);
    assert_eq!(damaged, found.damaged, "{at}");
    for entry in entries {
        let held = state.log.get(&entry.id.index.0);
        assert_eq!(Some(&entry), held, "{at}: an entry that the node never held");
    }
    for id in found.damaged.iter().chain([&last].into_iter().filter(|last| last.index > base.index)) {
        assert_eq!(state.log.get(&id.index.0).map(|entry| entry.id), Some(*id), "{at}: a slot's term");
    }
    let members =
        state.log.values().filter(|entry| matches!(entry.payload, quorate_raft::Payload::Members(_)));
    let expected: Vec<_> = members.filter(|entry| entry.id.index > base.index && entry.id <= last).collect();
    let missing: Vec<_> = expected.iter().filter(|entry| !found.members.contains(entry)).collect();
    assert!(missing.iter().all(|entry| entry.id.index.0 <= covered), "{at}: unknown members {missing:?}");
    assert!(found.members.iter().all(|entry| expected.contains(&entry)), "{at}");
}

/// A disk after these steps, and what it holds.
fn written(steps: &[Step], idle: bool) -> (MemoryDisk, State) {
    let disk = MemoryDisk::new();
    let mut model = Model::new(State::default());
    let (mut storage, _) = open(&disk).unwrap();
    for step in steps {
        model.take(&mut storage, step).unwrap();
    }
    if idle {
        settle(&mut storage);
    }
    (disk, model.now().clone())
}

fn rot(disk: &MemoryDisk, state: &State, at: &str, change: impl FnOnce(&MemoryDisk)) -> bool {
    let disk = disk.duplicate();
    change(&disk);
    let Ok((mut storage, found)) = open(&disk) else { return false };
    check(state, &mut storage, &found, at);
    let whole = found.damaged.is_empty() && found.unknown.is_none();
    drop(storage);
    // What was found is found again: recovery itself loses nothing.
    let (mut storage, again) = open(&disk).unwrap();
    check(state, &mut storage, &again, at);
    assert_eq!(
        (again.terms, again.damaged, again.unknown),
        (found.terms, found.damaged, found.unknown),
        "{at}"
    );
    whole
}

fn script() -> Vec<Step> {
    vec![
        Step::Vote,
        Step::Append { sizes: vec![10, 700, 3000] },
        Step::Idle { times: 2 },
        Step::Append { sizes: vec![100; 30] },
        Step::Replace { back: 7, sizes: vec![4000, 10, 60, 1500] },
        Step::Checkpoint { back: 6, bytes: 70_000 },
        Step::Append { sizes: vec![900, 800] },
        Step::Checkpoint { back: 1, bytes: 70_000 },
        Step::Append { sizes: vec![2000, 1500, 0] },
    ]
}

/// Every byte of the log and of term and vote that is not zero, one bit each; of the others and of checkpoints a
/// sample.
#[test]
fn a_single_flipped_bit_is_never_wrong_data() {
    for idle in [false, true] {
        let (disk, state) = written(&script(), idle);
        let mut harmless = 0;
        let mut tried = 0;
        for path in disk.files() {
            let content = disk.content(&path).unwrap();
            let sparse = path.starts_with("snaps/") || path.ends_with(".spare");
            let step = if sparse { 4999 } else { (7 / trials(1) as usize).max(1) };
            for at in (0..content.len()).step_by(step).filter(|at| content[*at] != 0 || at % 512 < 7) {
                let bit = at as u64 * 8 + at as u64 % 8;
                tried += 1;
                let label = format!("bit {bit} of {path}");
                harmless += u32::from(rot(&disk, &state, &label, |disk| disk.flip_bit(&path, bit)));
            }
        }
        assert!(harmless > 0 && harmless < tried, "{harmless} of {tried}");
    }
}

/// Whole sectors and pages of garbage, of zeros, or that can't be read, in a log that is idle. (A sector of zeros in
/// the last batch without a mark is a torn write, and a page of zeros may swallow the last batch and its mark.)
#[test]
fn a_lost_sector_or_page_is_never_wrong_data() {
    let (disk, state) = written(&script(), true);
    for path in disk.files().iter().filter(|path| !path.ends_with(".spare")) {
        let length = disk.content(path).unwrap().len();
        for size in [512, 4096] {
            for start in (0..length).step_by(size) {
                let range: Range<usize> = start..length.min(start + size);
                let wide = range.start as u64..range.end as u64;
                let at = format!("{range:?} of {path}");
                if size == 512 || !path.starts_with("log/") {
                    rot(&disk, &state, &format!("zeros at {at}"), |disk| disk.zero(path, range.clone()));
                }
                rot(&disk, &state, &format!("unreadable {at}"), |disk| {
                    disk.make_unreadable(path, wide.clone());
                });
                rot(&disk, &state, &format!("garbage at {at}"), |disk| {
                    disk.corrupt(path, |content| content[range.clone()].fill(0x6b));
                });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(trials(150)))]

    /// Any script, any bit; and the log can go on.
    #[test]
    fn a_flipped_bit_after_any_script(steps in steps(), idle: bool, spot: u64, bits in 1..20_u8) {
        let (disk, state) = written(&steps, idle);
        let files = disk.files();
        for number in 0..u64::from(bits) {
            let spot = spot.wrapping_mul(number * 2 + 1).rotate_left(13);
            let path = &files[usize::try_from(spot % files.len() as u64).unwrap()];
            let length = disk.content(path).unwrap().len() as u64 * 8;
            if length == 0 {
                continue;
            }
            let bit = (spot >> 8) % length;
            rot(&disk, &state, &format!("bit {bit} of {path}"), |disk| disk.flip_bit(path, bit));
        }
    }
}

/// What is damaged stays known while the log goes on, over restarts.
#[test]
fn a_damaged_log_goes_on() {
    let (disk, state) = written(&script(), true);
    let paths: Vec<String> = disk.files().into_iter().filter(|path| path.ends_with(".log")).collect();
    let sectors =
        |path: &String| (8192..disk.content(path).unwrap().len()).step_by(512).collect::<Vec<usize>>();
    let sectors = paths.iter().flat_map(|path| sectors(path).into_iter().map(move |start| (path, start)));
    let mut damages = 0;
    for (path, start) in sectors {
        let disk = disk.duplicate();
        disk.corrupt(path, |content| content[start..start + 512].fill(0x6b));
        let Ok((mut storage, found)) = open(&disk) else { continue };
        damages += usize::from(!found.damaged.is_empty());
        let mut held = state.clone();
        held.log.split_off(&found.terms.last().index.next().0);
        let mut model = Model::new(held);
        for step in [Step::Vote, Step::Append { sizes: vec![10, 300] }, Step::Idle { times: 3 }] {
            model.take(&mut storage, &step).unwrap();
        }
        let (mut storage, again) = open(&disk).unwrap();
        assert_eq!(again.unknown, None, "a later term is as far as anything that was lost");
        assert_eq!(again.damaged, found.damaged);
        let index = Index(model.now().last().index.0);
        assert_eq!(again.terms.last().index, index);
        check(model.now(), &mut storage, &again, &format!("sector {start} of {path}"));
    }
    assert!(damages > 0);
}
