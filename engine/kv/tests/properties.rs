//! Properties of the store, against a model that is too simple to be wrong, and of its snapshots.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use quorate_kv::{Command, Kv, Manifest, Outcome, Restore, RestoreError, Revision, RunRef};

/// A fixed sample by default; `QUORATE_TRIALS` multiplies it.
#[expect(clippy::disallowed_methods, reason = "the size of a campaign, not a setting of the engine")]
fn cases(count: u32) -> ProptestConfig {
    let factor = std::env::var("QUORATE_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(count * factor) }
}

// Few keys, so that they meet again; values from nothing to more than one chunk.
fn key() -> impl Strategy<Value = Arc<[u8]>> {
    prop_oneof![9 => "[ab]{0,2}".prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..40)]
        .prop_map(Arc::from)
}

fn value() -> impl Strategy<Value = Arc<[u8]>> {
    prop_oneof![
        20 => vec(any::<u8>(), 0..20),
        1 => (any::<u8>(), 60_000..140_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
    .prop_map(Arc::from)
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => (key(), value()).prop_map(|(key, value)| Command::Put { key, value }),
        3 => key().prop_map(|key| Command::Delete { key }),
        1 => vec((key(), value()), 0..6).prop_map(|entries| Command::Import { entries }),
    ]
}

/// The model: no sums, no sharing, every number written out.
#[derive(Default)]
struct Model {
    revision: u64,
    rows: BTreeMap<Vec<u8>, ModelRow>,
}

#[derive(Clone, Debug, PartialEq)]
struct ModelRow {
    value: Vec<u8>,
    created: u64,
    modified: u64,
    version: u64,
}

impl Model {
    fn apply(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Put { key, value } => {
                self.revision += 1;
                self.write(key, value);
                Outcome::Put { revision: Revision(self.revision) }
            }
            Command::Delete { key } => {
                let count = u64::from(self.rows.remove(&**key).is_some());
                self.revision += count;
                Outcome::Deleted { count, revision: Revision(self.revision) }
            }
            Command::Import { entries } => {
                let last_of_each: BTreeMap<_, _> = entries.iter().cloned().collect();
                self.revision += u64::from(!entries.is_empty());
                for (key, value) in &last_of_each {
                    self.write(key, value);
                }
                Outcome::Imported { count: last_of_each.len() as u64, revision: Revision(self.revision) }
            }
        }
    }

    fn write(&mut self, key: &[u8], value: &[u8]) {
        let old = self.rows.get(key);
        let row = ModelRow {
            value: value.to_vec(),
            created: old.map_or(self.revision, |old| old.created),
            modified: self.revision,
            version: old.map_or(0, |old| old.version) + 1,
        };
        self.rows.insert(key.to_vec(), row);
    }

    fn assert_is(&self, kv: &Kv, start: &[u8], end: Option<&[u8]>) {
        let mine = self.rows.iter().filter(|(key, _)| key.as_slice() >= start);
        let mine: Vec<_> = mine.filter(|(key, _)| end.is_none_or(|end| key.as_slice() < end)).collect();
        let theirs: Vec<_> = kv.range(start, end).collect();
        assert_eq!(mine.len(), theirs.len());
        for ((key, row), (found_key, entry)) in mine.into_iter().zip(theirs) {
            assert_eq!(key, found_key);
            let found = ModelRow {
                value: entry.value.to_vec(),
                created: entry.create_revision.0,
                modified: entry.mod_revision.0,
                version: entry.version,
            };
            assert_eq!(row, &found);
            assert_eq!(kv.get(key), Some(entry));
        }
    }
}

fn store(commands: &[Command]) -> Kv {
    let mut kv = Kv::new();
    for command in commands {
        kv.apply(command);
    }
    kv
}

/// A checkpoint of `kv` that is made of these runs.
fn stream(kv: &Kv, runs: &[Vec<u8>], has_tail: bool) -> Vec<u8> {
    let name = |run: &Vec<u8>| RunRef { digest: [7; 32], bytes: run.len() as u64 };
    let runs_named = runs.iter().filter(|run| !run.is_empty()).map(name).collect();
    let manifest = Manifest { totals: kv.totals(), has_tail, runs: runs_named, ..Manifest::default() };
    [manifest.encode(), runs.concat()].concat()
}

/// A checkpoint of one run.
fn bytes(kv: &Kv) -> Vec<u8> {
    let mut all = kv.clone();
    all.count_all_as_changed();
    stream(kv, &[all.seal().rows.flatten().collect()], false)
}

fn restore(bytes: &[u8]) -> Result<Kv, RestoreError> {
    let mut restore = Restore::new();
    restore.feed(bytes)?;
    restore.finish().map(|restored| restored.kv)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_store_does_what_the_model_does(
        commands in vec(command(), 0..60),
        start in key(),
        end in proptest::option::of(key()),
    ) {
        let (mut kv, mut model) = (Kv::new(), Model::default());
        for command in &commands {
            prop_assert_eq!(kv.apply(command), model.apply(command));
            prop_assert_eq!(kv.revision(), Revision(model.revision));
        }
        model.assert_is(&kv, b"", None);
        model.assert_is(&kv, &start, end.as_deref());
        let live: usize = model.rows.iter().map(|(key, row)| key.len() + row.value.len()).sum();
        prop_assert_eq!(kv.live_bytes(), live as u64);
        prop_assert_eq!(kv.len(), model.rows.len());
    }

    /// The hash is of the state and not of the way there: compared with a store that never had the
    /// overwritten and deleted rows.
    #[test]
    fn the_hash_forgets_history(commands in vec(command(), 0..60)) {
        let kv = store(&commands);
        let restored = restore(&bytes(&kv)).unwrap();
        prop_assert_eq!(restored.state_hash(), kv.state_hash());
        prop_assert_eq!(restored.live_bytes(), kv.live_bytes());
        prop_assert_eq!(&restored, &kv);
    }

    #[test]
    fn the_hash_changes_with_every_change(commands in vec(command(), 0..60)) {
        let mut kv = Kv::new();
        let mut seen = BTreeSet::from([kv.state_hash()]);
        for command in &commands {
            let before = kv.clone();
            kv.apply(command);
            // The revision is part of the state, so no state ever comes back.
            prop_assert_eq!(before == kv, !seen.insert(kv.state_hash()));
        }
    }

    #[test]
    fn equal_states_give_equal_bytes(commands in vec(command(), 0..60), other in vec(command(), 0..60)) {
        let (kv, other) = (store(&commands), store(&other));
        prop_assert_eq!(kv == other, bytes(&kv) == bytes(&other));
        prop_assert_eq!(bytes(&kv), bytes(&store(&commands)));
    }

    #[test]
    fn a_snapshot_survives_any_cutting(
        commands in vec(command(), 0..40),
        cuts in vec(1..200_000_usize, 1..10),
    ) {
        let kv = store(&commands);
        let bytes = bytes(&kv);
        let mut rest = bytes.as_slice();
        let mut restore = Restore::new();
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            restore.feed(piece).unwrap();
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(restore.finish().unwrap().kv, kv);
    }

    /// However the history is cut into runs, the same state comes back; and whoever restarts in between, from a
    /// boundary or from a tail, seals the same run next.
    #[test]
    fn runs_make_the_state(history in vec((vec(command(), 0..20), any::<bool>()), 0..8)) {
        let (mut kv, mut runs) = (Kv::new(), Vec::new());
        for (commands, tail) in &history {
            let mut other = None;
            for command in commands {
                if *tail && other.is_none() && kv.revision().0 % 3 == 1 {
                    let newest: Vec<u8> = kv.tail().rows.flatten().collect();
                    let has_tail = !newest.is_empty();
                    let with_tail = [&runs[..], &[newest]].concat();
                    other = Some(restore(&stream(&kv, &with_tail, has_tail)).unwrap());
                    prop_assert_eq!(other.as_ref(), Some(&kv));
                }
                kv.apply(command);
                other.iter_mut().for_each(|other| {
                    other.apply(command);
                });
            }
            let run: Vec<u8> = kv.seal().rows.flatten().collect();
            if let Some(mut other) = other {
                prop_assert_eq!(other.seal().rows.flatten().collect::<Vec<u8>>(), run.clone());
            }
            runs.push(run);
            let restored = restore(&stream(&kv, &runs, false)).unwrap();
            prop_assert_eq!((&restored, restored.live_bytes()), (&kv, kv.live_bytes()));
            kv = restored;
        }
    }

    #[test]
    fn a_run_does_not_see_later_writes(commands in vec(command(), 0..40), later in vec(command(), 0..10)) {
        let mut kv = store(&commands);
        let (before, sealed) = (kv.clone(), kv.tail());
        for command in &later {
            kv.apply(command);
        }
        let run = sealed.rows.flatten().collect();
        prop_assert_eq!(restore(&stream(&before, &[run], false)).unwrap(), before);
    }

    /// But for the names of the runs and the host's own numbers, which storage checks.
    #[test]
    fn a_damaged_byte_is_noticed(
        commands in vec(command(), 0..40),
        place in any::<usize>(),
        flip in 1..=255_u8,
    ) {
        let kv = store(&commands);
        let mut bytes = bytes(&kv);
        let place = place % bytes.len();
        bytes[place] ^= flip;
        if (10..12).contains(&place) || (40..96).contains(&place) {
            prop_assert!(restore(&bytes).map_or(true, |restored| restored == kv));
        } else {
            prop_assert!(restore(&bytes).is_err(), "byte {} of {}", place, bytes.len());
        }
    }

    #[test]
    fn a_snapshot_cut_short_is_noticed(commands in vec(command(), 0..40), place in any::<usize>()) {
        let bytes = bytes(&store(&commands));
        let cut = place % bytes.len();
        let error = restore(&bytes[..cut]).unwrap_err();
        let cut_there = matches!(error, RestoreError::Truncated { offset, .. } if offset == cut as u64);
        prop_assert!(cut_there, "{}", error);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        commands in vec(command(), 0..3),
        keep in 0..60_usize,
        noise in vec(any::<u8>(), 0..100),
    ) {
        // A good beginning leads deeper into the decoder than noise alone.
        let mut bytes = bytes(&store(&commands));
        bytes.truncate(keep);
        bytes.extend_from_slice(&noise);
        if let Ok(kv) = restore(&bytes) {
            prop_assert_eq!(restore(&self::bytes(&kv)), Ok(kv));
        }
    }
}
