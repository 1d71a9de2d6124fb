//! Properties of the store, against a model that is too simple to be wrong, and of its snapshots.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use quorate_kv::{
    Action, ClusterTime, Command, Compare, Expiry, Kv, LeaseId, Manifest, Once, Op, Operand, Order, Put,
    Relation, Restore, RestoreError, Revision, RowHead, RunRef, Settings, Txn,
};

mod model;
use model::Model;

/// Where a snapshot has the version of its format.
const VERSION_AT: usize = 8;
/// The other one that is read.
const OLDER_VERSION: u8 = 1;

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

fn unstamped() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => (key(), value()).prop_map(|(key, value)| Command::Put { key, value }),
        3 => key().prop_map(|key| Command::Delete { key }),
        1 => vec((key(), value()), 0..6).prop_map(|entries| Command::Import { entries }),
    ]
}

fn lease() -> impl Strategy<Value = LeaseId> {
    (1..4_u64).prop_map(LeaseId)
}

fn milliseconds() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..100_u64, 2 => 0..2_000_u64, 1 => Just(u64::MAX)]
}

fn a_put() -> impl Strategy<Value = Put> {
    let expiry = prop_oneof![
        3 => Just(Expiry::Never),
        2 => milliseconds().prop_map(|ttl_ms| Expiry::After { ttl_ms }),
        3 => lease().prop_map(Expiry::With),
    ];
    (key(), value(), expiry).prop_map(|(key, value, expiry)| Put { key, value, expiry })
}

fn revision() -> impl Strategy<Value = Revision> {
    (0..20_u64).prop_map(Revision)
}

fn compare() -> impl Strategy<Value = Compare> {
    let relation = prop_oneof![
        Just(Relation::Equal),
        Just(Relation::NotEqual),
        Just(Relation::Less),
        Just(Relation::Greater)
    ];
    let operand = prop_oneof![
        value().prop_map(Operand::Value),
        (0..4_u64).prop_map(Operand::Version),
        revision().prop_map(Operand::CreateRevision),
        revision().prop_map(Operand::ModRevision),
        vec(revision(), 0..9).prop_map(Operand::ModRevisionIn),
        key().prop_map(Operand::Holder),
    ];
    (key(), relation, operand).prop_map(|(key, relation, operand)| Compare { key, relation, operand })
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => a_put().prop_map(Op::Put),
        1 => key().prop_map(|key| Op::Get { key }),
        1 => key().prop_map(|key| Op::Delete { key }),
        1 => key().prop_map(|name| Op::Holder { name }),
    ];
    vec(op, 0..4)
}

fn settings() -> impl Strategy<Value = Settings> {
    let revisions = prop_oneof![0..6_u64, Just(u64::MAX)];
    let bytes = prop_oneof![0..1_500_u64, Just(u64::MAX)];
    let answer_bytes = prop_oneof![1 => 0..2_u64, 3 => Just(u64::MAX)];
    (revisions, bytes, prop_oneof![0..4_u64, Just(u64::MAX)], answer_bytes).prop_map(
        |(history_revisions, history_bytes, answers, answer_bytes)| Settings {
            history_revisions,
            history_bytes,
            answers,
            answer_bytes,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let info = || prop_oneof![Just(Arc::from(b"".as_slice())), Just(Arc::from(b"me".as_slice()))];
    let txn = (vec(compare(), 0..2), ops(), ops());
    prop_oneof![
        2 => Just(Action::Tick),
        6 => a_put().prop_map(Action::Put),
        2 => key().prop_map(|key| Action::Delete { key }),
        4 => txn.prop_map(|(compare, success, failure)| Action::Txn(Txn { compare, success, failure })),
        1 => vec((key(), value()), 0..6).prop_map(|entries| Action::Import { entries }),
        4 => (lease(), milliseconds()).prop_map(|(lease, ttl_ms)| Action::Grant { lease, ttl_ms }),
        2 => lease().prop_map(|lease| Action::KeepAlive { lease }),
        2 => lease().prop_map(|lease| Action::Revoke { lease }),
        1 => settings().prop_map(Action::Configure),
        2 => (key(), key(), info()).prop_map(|(name, holder, info)| Action::Lock { name, holder, info }),
        2 => (key(), proptest::option::of(key())).prop_map(|(name, holder)| Action::Unlock { name, holder }),
    ]
}

fn once() -> impl Strategy<Value = Option<Once>> {
    let name = || "[ab]{0,1}".prop_map(|text| Arc::from(text.into_bytes()));
    let some = (name(), name(), 0..2_u8);
    let some = some.prop_map(|(principal, key, hash)| Once { principal, key, request: [hash; 32] });
    prop_oneof![2 => Just(None), 1 => some.prop_map(Some)]
}

/// Clocks go on, jump, and are behind.
fn commands(most: usize) -> impl Strategy<Value = Vec<Command>> {
    let step =
        prop_oneof![20 => 0..40_u64, 2 => 0..1_000_u64, 1 => Just(300_000_u64), 1 => Just(600_000_u64)];
    let forgets_past = prop_oneof![9 => Just(false), 1 => Just(true)];
    let order = (step, prop_oneof![5 => Just(0), 1 => 0..500_u64], once(), action(), forgets_past);
    let order = order.prop_map(|(step, behind, once, action, forgets_past)| {
        (step, behind, Ok((once, action, forgets_past)))
    });
    let one = prop_oneof![1 => unstamped().prop_map(|command| (0, 0, Err(command))), 5 => order];
    vec(one, 0..most).prop_map(|all| {
        let mut clock = 0_u64;
        let stamped = |(step, behind, what): (u64, u64, Result<_, Command>)| {
            clock += step;
            let time = ClusterTime(clock.saturating_sub(behind));
            what.map_or_else(
                |unstamped| unstamped,
                |(once, action, forgets_past)| Command::Order(Order { time, once, forgets_past, action }),
            )
        };
        all.into_iter().map(stamped).collect()
    })
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

/// The rows of a run, by table and key.
fn rows_of(mut run: &[u8]) -> BTreeMap<(u8, Vec<u8>), Vec<u8>> {
    let mut rows = BTreeMap::new();
    while let Some(head) = run.first_chunk::<10>() {
        let head = RowHead::decode(head).unwrap();
        let (row, rest) = run.split_at(usize::try_from(head.row_bytes()).unwrap());
        let key = row[10..10 + head.key_bytes as usize].to_vec();
        assert!(rows.insert((head.table, key), row.to_vec()).is_none());
        run = rest;
    }
    rows
}

/// As the storage merges: the newer row counts, and below the oldest run nothing needs a tombstone.
fn merged(older: &[u8], newer: &[u8], is_oldest: bool) -> Vec<u8> {
    let mut rows = rows_of(older);
    rows.extend(rows_of(newer));
    rows.into_values().filter(|row| !is_oldest || row[1] == 0).flatten().collect()
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
        commands in commands(60),
        start in key(),
        end in proptest::option::of(key()),
    ) {
        let (mut kv, mut model) = (Kv::new(), Model::new());
        for command in &commands {
            let applied = kv.apply(command);
            prop_assert_eq!((applied.outcome, applied.is_replay), model.apply(command), "{:?}", command);
            model.assert_is(&kv);
        }
        let mine = model.rows.iter().filter(|(key, _)| **key >= start);
        let mine: Vec<_> = mine.filter(|(key, _)| end.as_ref().is_none_or(|end| *key < end)).collect();
        let theirs: Vec<_> = kv.range(&start, end.as_deref()).collect();
        prop_assert_eq!(mine.len(), theirs.len());
        for ((key, row), (found, entry)) in mine.into_iter().zip(theirs) {
            prop_assert_eq!((&**key, row, Some(row)), (found, entry, kv.get(key)));
        }
        let live: usize = model.rows.iter().map(|(key, row)| key.len() + row.value.len()).sum();
        prop_assert_eq!((kv.live_bytes(), kv.len()), (live as u64, model.rows.len()));
    }

    /// What a reader holds is that node's own affair.
    #[test]
    fn what_is_held_can_be_read_and_is_no_part_of_the_state(
        commands in commands(60),
        hold in 0..40_usize,
        release in 0..40_usize,
    ) {
        let (mut kv, mut other, mut model) = (Kv::new(), Kv::new(), Model::new());
        let mut held = None;
        for (number, command) in commands.iter().enumerate() {
            if number == hold {
                held = Some(model.floor.max(model.revision / 2));
                kv.hold(held.map(Revision));
            }
            if number == hold + release {
                held = None;
                kv.hold(None);
            }
            kv.apply(command);
            other.apply(command);
            model.apply(command);
            model.assert_past_is(&kv, held.unwrap_or(model.floor).min(model.floor));
            prop_assert_eq!(&kv, &other);
            prop_assert_eq!(kv.totals(), other.totals());
        }
        prop_assert_eq!(bytes(&kv), bytes(&other));
        prop_assert!(kv.seal().rows.eq(other.seal().rows));
    }

    /// The hash is of the state and not of the way there: compared with a store that never had the
    /// overwritten and deleted rows.
    #[test]
    fn the_hash_forgets_history(commands in commands(60)) {
        let kv = store(&commands);
        let restored = restore(&bytes(&kv)).unwrap();
        prop_assert_eq!(restored.state_hash(), kv.state_hash());
        prop_assert_eq!(restored.live_bytes(), kv.live_bytes());
        prop_assert_eq!(&restored, &kv);
    }

    #[test]
    fn the_hash_changes_with_every_change(commands in commands(60)) {
        let mut kv = Kv::new();
        let mut revisions = BTreeSet::from([kv.revision()]);
        let mut hashes = BTreeMap::from([(kv.state_hash(), kv.revision())]);
        for command in &commands {
            let before = kv.clone();
            kv.apply(command);
            prop_assert_eq!(before == kv, before.state_hash() == kv.state_hash());
            // The revision is part of the state, so none comes back that had another.
            prop_assert_eq!(before.revision() == kv.revision(), !revisions.insert(kv.revision()));
            let same = hashes.insert(kv.state_hash(), kv.revision());
            prop_assert!(same.is_none_or(|same| same == kv.revision()));
        }
    }

    #[test]
    fn equal_states_give_equal_bytes(commands in commands(60), other in commands(60)) {
        let (kv, other) = (store(&commands), store(&other));
        prop_assert_eq!(kv == other, bytes(&kv) == bytes(&other));
        prop_assert_eq!(bytes(&kv), bytes(&store(&commands)));
    }

    #[test]
    fn a_snapshot_survives_any_cutting(
        commands in commands(40),
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
    /// boundary, from a tail or from the whole state, seals the same run next. So it is after runs were merged.
    #[test]
    fn runs_make_the_state(
        commands in commands(80),
        cuts in vec((1..20_usize, 0..20_usize, any::<bool>()), 5),
    ) {
        let (mut kv, mut model, mut runs) = (Kv::new(), Model::new(), Vec::new());
        let mut rest = commands.as_slice();
        for (length, tail_at, merges) in cuts {
            let (some, after) = rest.split_at(rest.len().min(length));
            rest = after;
            let mut others = vec![kv.clone(), restore(&bytes(&kv)).unwrap()];
            for (number, command) in some.iter().enumerate() {
                if number == tail_at {
                    let newest: Vec<u8> = kv.tail().rows.flatten().collect();
                    let has_tail = !newest.is_empty();
                    others.push(restore(&stream(&kv, &[&runs[..], &[newest]].concat(), has_tail)).unwrap());
                }
                for kv in others.iter_mut().chain([&mut kv]) {
                    kv.apply(command);
                }
                model.apply(command);
            }
            let run: Vec<u8> = kv.seal().rows.flatten().collect();
            for mut other in others {
                prop_assert_eq!(&other, &kv);
                prop_assert_eq!(&other.seal().rows.flatten().collect::<Vec<u8>>(), &run);
                model.assert_is(&other);
            }
            runs.push(run);
            if merges && runs.len() > 1 {
                let at = tail_at % (runs.len() - 1);
                let newer = runs.remove(at + 1);
                runs[at] = merged(&runs[at], &newer, at == 0);
            }
            let restored = restore(&stream(&kv, &runs, false)).unwrap();
            prop_assert_eq!((&restored, restored.live_bytes()), (&kv, kv.live_bytes()));
            prop_assert_eq!(restored.totals(), kv.totals());
            model.assert_is(&restored);
            kv = restored;
        }
    }

    /// A backup is restored: another history begins, on top of the runs that are there.
    #[test]
    fn a_history_that_begins_keeps_all_but_the_past_and_the_answers(
        before in commands(40),
        after in commands(40),
        by in 0..1_000_u64,
    ) {
        let mut kv = store(&before);
        let old: Vec<u8> = kv.seal().rows.flatten().collect();
        let was = kv.clone();
        prop_assert!(kv.begin_history(by));
        let raised = Revision(was.revision().0 + by);
        prop_assert_eq!((kv.revision(), kv.oldest_revision(), kv.answers()), (raised, raised, 0));
        prop_assert_eq!((kv.time(), kv.settings()), (was.time(), was.settings()));
        prop_assert_eq!((kv.next_end(), kv.leases()), (was.next_end(), was.leases()));
        prop_assert!(kv.range(b"", None).eq(was.range(b"", None)));
        prop_assert!((1..4).map(LeaseId).all(|id| kv.lease(id) == was.lease(id)));
        prop_assert_eq!(kv.changes(Revision(raised.0 + 1)).unwrap().count(), 0);
        prop_assert_eq!(kv.get_at(b"a", raised).unwrap(), was.get(b"a"));
        prop_assert!(raised.0 == 0 || kv.changes(raised).is_err());
        let new: Vec<u8> = kv.seal().rows.flatten().collect();
        let mut restored = restore(&stream(&kv, &[old, new], false)).unwrap();
        prop_assert_eq!(&restored, &kv);
        let mut whole = restore(&bytes(&kv)).unwrap();
        for command in &after {
            let applied = kv.apply(command);
            prop_assert_eq!(&restored.apply(command), &applied);
            prop_assert_eq!(&whole.apply(command), &applied);
        }
        let run: Vec<u8> = kv.seal().rows.flatten().collect();
        prop_assert_eq!(&restored.seal().rows.flatten().collect::<Vec<u8>>(), &run);
        prop_assert_eq!(&whole.seal().rows.flatten().collect::<Vec<u8>>(), &run);
    }

    #[test]
    fn a_run_does_not_see_later_writes(commands in commands(40), later in commands(10)) {
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
        commands in commands(40),
        place in any::<usize>(),
        flip in 1..=255_u8,
    ) {
        let kv = store(&commands);
        let mut bytes = bytes(&kv);
        let place = place % bytes.len();
        bytes[place] ^= flip;
        if place == VERSION_AT && bytes[place] == OLDER_VERSION {
            // No damage that the content could show: what names the manifest and its file does.
            prop_assert_eq!(restore(&bytes).unwrap(), kv);
        } else if (10..12).contains(&place) || (40..96).contains(&place) {
            prop_assert!(restore(&bytes).map_or(true, |restored| restored == kv));
        } else {
            prop_assert!(restore(&bytes).is_err(), "byte {} of {}", place, bytes.len());
        }
    }

    /// The version before this one is read, too, and to the same end.
    #[test]
    fn the_older_version_is_the_same_state(commands in commands(40)) {
        let kv = store(&commands);
        let mut bytes = bytes(&kv);
        prop_assert_eq!(bytes[VERSION_AT], OLDER_VERSION + 1);
        bytes[VERSION_AT] = OLDER_VERSION;
        prop_assert_eq!(restore(&bytes).unwrap(), kv);
    }

    #[test]
    fn a_snapshot_cut_short_is_noticed(commands in commands(40), place in any::<usize>()) {
        let bytes = bytes(&store(&commands));
        let cut = place % bytes.len();
        let error = restore(&bytes[..cut]).unwrap_err();
        let cut_there = matches!(error, RestoreError::Truncated { offset, .. } if offset == cut as u64);
        prop_assert!(cut_there, "{}", error);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        commands in commands(3),
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
