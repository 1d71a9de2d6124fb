//! Checkpoints, one case at a time: the layout, the chunks, runs on top of each other, and each way of being wrong.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use quorate_kv::{
    Action, Boundary, ClusterTime, Command, Compacted, Expiry, Kv, LeaseId, Manifest, Once, Order, Put,
    Restore, RestoreError, Restored, Revision, RunRef, Sealed, Settings, rows,
};

fn put(key: &str, value: &[u8]) -> Command {
    order(0, Action::Put(Put::for_good(key.as_bytes().into(), value.into())))
}

fn delete(key: &str) -> Command {
    order(0, Action::Delete { key: key.as_bytes().into() })
}

fn small() -> Kv {
    let mut kv = Kv::new();
    kv.apply(&put("a", b"1"));
    kv.apply(&put("b", b"22"));
    kv
}

fn run(sealed: Sealed) -> Vec<u8> {
    sealed.rows.flatten().collect()
}

/// A checkpoint of `kv` that is made of these runs. Their names are for others to check.
fn stream(kv: &Kv, runs: &[Vec<u8>], has_tail: bool) -> Vec<u8> {
    let name = |run: &Vec<u8>| RunRef { digest: [7; 32], bytes: run.len() as u64 };
    let boundary = Boundary { term: 3, index: 9, command_bytes: 100 };
    let manifest =
        Manifest { totals: kv.totals(), boundary, has_tail, runs: runs.iter().map(name).collect() };
    [manifest.encode(), runs.concat()].concat()
}

fn bytes(kv: &Kv) -> Vec<u8> {
    let mut all = kv.clone();
    all.count_all_as_changed();
    stream(kv, &[run(all.seal())], false)
}

fn restore(bytes: &[u8]) -> Result<Restored, RestoreError> {
    let mut restore = Restore::new();
    restore.feed(bytes)?;
    restore.finish()
}

fn refused(bytes: &[u8]) -> RestoreError {
    let mut restore = Restore::new();
    let first = restore.feed(bytes);
    let again = restore.feed(b"");
    assert_eq!(first, again, "an error is for good");
    restore.finish().unwrap_err()
}

/// Where things are in the checkpoint of `small`.
const TAIL: usize = 10;
const RUN_COUNT: usize = 12;
const REVISION: usize = 16;
const ROWS: usize = 24;
const RUN_BYTES: usize = 64 + 32;
const ROW_A: usize = 64 + 40;
const ROW_B: usize = ROW_A + 10 + 1 + 24 + 1;
/// The two events that made them: each a head, 12 bytes of key, 6 bytes and the key that changed.
const EVENT_A: usize = ROW_B + 10 + 1 + 24 + 2;
const EVENT_B: usize = EVENT_A + 10 + 12 + 6 + 1;
const END: usize = EVENT_B + 10 + 12 + 6 + 1;

fn row(table: u8, key: &[u8], body: &[u8]) -> Vec<u8> {
    let [key_bytes, body_bytes] = [key, body].map(|part| u32::try_from(part.len()).unwrap().to_le_bytes());
    [&[table, 0][..], &key_bytes, &body_bytes, key, body].concat()
}

fn tombstone(table: u8, key: &[u8]) -> Vec<u8> {
    let mut bytes = row(table, key, b"");
    bytes[1] = 1;
    bytes
}

fn entry(create_revision: u64, mod_revision: u64, version: u64, value: &[u8]) -> Vec<u8> {
    [&numbers(&[create_revision, mod_revision, version])[..], value].concat()
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn event_key(revision: u64, ordinal: u32) -> Vec<u8> {
    [&revision.to_be_bytes()[..], &ordinal.to_be_bytes()].concat()
}

fn order(time: u64, action: Action) -> Command {
    Command::Order(Order { time: ClusterTime(time), once: None, forgets_past: false, action })
}

fn shared(text: &str) -> Arc<[u8]> {
    Arc::from(text.as_bytes())
}

#[test]
fn the_layout_is_as_drawn() {
    let kv = small();
    let head = numbers(&[2, 4, kv.state_hash(), 3, 9, 100]);
    let length = numbers(&[u64::try_from(END - ROW_A).unwrap()]);
    let head = [b"QUORATKV".as_slice(), &[2, 0, 0, 0, 1, 0, 0, 0], &head, &[7; 32], &length].concat();
    let rows = [
        row(1, b"a", &entry(1, 1, 1, b"1")),
        row(1, b"b", &entry(2, 2, 1, b"22")),
        row(2, &event_key(1, 0), b"\0\0\x01\0\0\0a"),
        row(2, &event_key(2, 0), b"\0\0\x01\0\0\0b"),
    ];
    assert_eq!(bytes(&kv), [head, rows.concat()].concat());
    // A tombstone is a head and a key.
    let mut kv = small();
    kv.seal();
    kv.apply(&delete("a"));
    let event = [b"\x01\x01\x01\0\0\0a".as_slice(), &entry(1, 1, 1, b"1")].concat();
    assert_eq!(run(kv.seal()), [tombstone(1, b"a"), row(2, &event_key(3, 0), &event)].concat());
}

#[test]
fn every_table_is_laid_out_as_drawn() {
    let mut kv = small();
    kv.seal();
    let settings = Settings { history_revisions: 1, history_bytes: 5000, answers: 6, answer_bytes: 7000 };
    let lease = LeaseId(0x0102);
    let put = |key: &str, expiry| Action::Put(Put { key: shared(key), value: shared("v"), expiry });
    kv.apply(&order(9, Action::Grant { lease, ttl_ms: 50 }));
    kv.apply(&order(10, put("b", Expiry::With(lease))));
    let once = Once { principal: shared("who"), key: shared("key"), request: [8; 32] };
    let action = put("c", Expiry::After { ttl_ms: 3 });
    kv.apply(&Command::Order(Order { time: ClusterTime(20), once: Some(once), forgets_past: false, action }));
    let (name, holder, info) = (shared("n"), shared("me"), shared("info"));
    kv.apply(&order(21, Action::Lock { name, holder, info }));
    kv.apply(&order(22, Action::Configure(settings)));
    // The history is cut to one revision: two events of the run below go, and one that no run holds yet.
    let rows = [
        row(0, b"", &numbers(&[22, 3, 1, 5000, 6, 7000])),
        row(1, b"b", &entry(2, 3, 2, b"v")),
        row(1, b"c", &entry(4, 4, 1, b"v")),
        tombstone(2, &event_key(1, 0)),
        tombstone(2, &event_key(2, 0)),
        row(2, &event_key(4, 0), b"\0\0\x01\0\0\0c"),
        row(3, &0x0102_u64.to_be_bytes(), &numbers(&[50, 59])),
        row(4, b"b", &[&[1][..], &numbers(&[0x0102])].concat()),
        row(4, b"c", &[&[0][..], &numbers(&[23])].concat()),
        row(5, b"\x03\0whokey", &[&numbers(&[20])[..], &[8; 32], &[0], &numbers(&[4])].concat()),
        row(6, b"n", b"\x02\0\0\0meinfo"),
    ];
    assert_eq!(run(kv.seal()), rows.concat());
}

/// What a release before this one wrote: keys alone, no tables beside them.
fn version_1() -> (Vec<u8>, Kv) {
    let mut bytes = bytes(&small());
    bytes.truncate(EVENT_A);
    bytes[8] = 1;
    bytes[ROWS] = 2;
    bytes[RUN_BYTES..RUN_BYTES + 8].copy_from_slice(&numbers(&[(EVENT_A - ROW_A) as u64]));
    bytes[ROWS + 8..ROWS + 16].copy_from_slice(&numbers(&[VERSION_1_HASH]));
    let kv = restore(&bytes).unwrap().kv;
    (bytes, kv)
}

/// The function of the hash is frozen.
const VERSION_1_HASH: u64 = 8767678326703119503;

#[test]
fn version_1_is_read_and_has_no_past() {
    let (_, mut kv) = version_1();
    assert!(kv.range(b"", None).eq(small().range(b"", None)));
    // It says itself that it has none, which is a row more.
    assert_ne!(kv.state_hash(), VERSION_1_HASH);
    assert_eq!(kv.oldest_revision(), Revision(2));
    let compacted = Compacted { oldest: Revision(2) };
    assert_eq!(kv.get_at(b"a", Revision(1)).unwrap_err(), compacted);
    assert_eq!(kv.changes(Revision(1)).map(Iterator::count).unwrap_err(), compacted);
    assert_eq!(kv.changes(Revision(3)).unwrap().count(), 0);
    // Nor has it one after it was written in this version, with what happened since.
    kv.apply(&put("a", b"2"));
    let again = restore(&bytes(&kv)).unwrap().kv;
    assert_eq!(again, kv);
    for kv in [kv, again] {
        assert_eq!(kv.changes(Revision(2)).map(Iterator::count).unwrap_err(), compacted);
        assert_eq!(kv.changes(Revision(3)).unwrap().count(), 1);
        assert_eq!(kv.get_at(b"a", Revision(2)).unwrap().unwrap().version, 1);
    }
}

#[test]
fn the_empty_store_is_a_manifest_without_runs() {
    let bytes = stream(&Kv::new(), &[], false);
    assert_eq!(bytes.len(), Manifest::HEAD_BYTES);
    assert_eq!(restore(&bytes).unwrap().kv, Kv::new());
}

#[test]
fn chunks_are_full_but_for_the_last() {
    let mut kv = small();
    kv.apply(&put("large", &vec![7; 5 * rows::CHUNK_BYTES]));
    for number in 0..1000 {
        kv.apply(&put(&format!("key{number}"), &[0; 100]));
    }
    let lengths: Vec<usize> = kv.seal().rows.map(|chunk| chunk.len()).collect();
    let (last, full) = lengths.split_last().unwrap();
    assert!(full.iter().all(|length| *length == rows::CHUNK_BYTES), "{lengths:?}");
    assert!((1..=rows::CHUNK_BYTES).contains(last), "{lengths:?}");
}

/// It is written on the storage thread, while the store moves on in another.
#[test]
fn a_writer_can_go_to_another_thread() {
    fn movable(writer: impl Send + 'static + Iterator<Item = Vec<u8>>) -> Vec<u8> {
        writer.flatten().collect()
    }
    let mut kv = small();
    let writer = kv.seal().rows;
    drop(kv);
    assert_eq!(movable(writer), run(small().seal()));
}

/// Whoever frees hundred thousands of values at once holds others up.
#[test]
fn a_writer_lets_go_of_what_it_holds_a_part_at_a_time() {
    const KEYS: usize = 2_000;
    let value: Arc<[u8]> = shared("a value");
    let mut kv = Kv::new();
    for number in 0..KEYS {
        let (key, value) = (format!("key-{number}").as_bytes().into(), Arc::clone(&value));
        kv.apply(&order(0, Action::Put(Put::for_good(key, value))));
        // Gone before the checkpoint: a row, and two events.
        kv.apply(&put("short-lived", b"x"));
        kv.apply(&delete("short-lived"));
    }
    kv.apply(&order(1, Action::Grant { lease: LeaseId(1), ttl_ms: 10 }));
    let mut writer = kv.seal().rows;
    drop(kv);
    let clone = writer.clone();
    assert!(!writer.let_go(), "a clone goes on by itself");
    drop(clone);
    let mut left = vec![Arc::strong_count(&value)];
    while writer.let_go() {
        left.push(Arc::strong_count(&value));
    }
    assert_eq!((left[0] > KEYS, left.last()), (true, Some(&1)), "{left:?}");
    let parts: Vec<usize> = left.windows(2).map(|two| two[0] - two[1]).collect();
    assert!(parts.len() > 5 && parts.iter().all(|part| *part <= 1_024), "{parts:?}");
}

#[test]
fn what_was_sealed_is_not_sealed_again_and_a_tail_takes_nothing() {
    let mut kv = small();
    let first = run(kv.seal());
    assert!(run(kv.seal()).is_empty());
    kv.apply(&put("b", b"3"));
    kv.apply(&delete("a"));
    kv.apply(&delete("never was"));
    let tail = run(kv.tail());
    assert_eq!(run(kv.tail()), tail);
    let restored = restore(&stream(&kv, &[first.clone(), tail.clone()], true)).unwrap();
    assert_eq!(restored.kv, kv);
    assert_eq!(restored.boundary, Boundary { term: 3, index: 9, command_bytes: 100 });
    // Whoever starts from a tail writes the same run at the next boundary.
    let mut both = [kv, restored.kv];
    let [one, other] = both.each_mut().map(|kv| {
        kv.apply(&put("c", b"4"));
        run(kv.seal())
    });
    assert_eq!(one, other);
    // The same rows as a run of the chain are no longer news.
    let before_c = {
        let mut kv = small();
        kv.apply(&put("b", b"3"));
        kv.apply(&delete("a"));
        kv
    };
    let mut restored = restore(&stream(&before_c, &[first, tail], false)).unwrap().kv;
    assert!(run(restored.seal()).is_empty());
}

#[test]
fn the_newest_run_decides_and_a_tombstone_below_nothing_is_nothing() {
    let mut kv = Kv::new();
    let mut runs = Vec::new();
    for commands in [
        vec![put("a", b"1"), put("b", b"1"), put("gone", b"1"), delete("gone")],
        vec![put("a", b"2"), delete("b"), put("c", b"1")],
        vec![put("b", b"again"), delete("c"), put("d", b"1"), delete("d")],
    ] {
        commands.iter().for_each(|command| {
            kv.apply(command);
        });
        runs.push(run(kv.seal()));
    }
    assert_eq!(restore(&stream(&kv, &runs, false)).unwrap().kv, kv);
    runs.swap(1, 2);
    let order = "an event above those of older runs (its revision given)";
    let error = refused(&stream(&kv, &runs, false));
    assert!(matches!(error, RestoreError::Malformed { expected, .. } if expected == order), "{error}");
}

#[test]
fn all_rows_can_be_counted_as_changed() {
    let mut kv = small();
    kv.seal();
    kv.apply(&delete("a"));
    kv.count_all_as_changed();
    let everything = run(kv.seal());
    assert_eq!(restore(&stream(&kv, &[everything], false)).unwrap().kv, kv);
}

#[test]
fn each_wrong_field_is_named_with_its_place() {
    let malformed = |place: usize, patch: &[u8]| {
        let mut bytes = bytes(&small());
        bytes[place..place + patch.len()].copy_from_slice(patch);
        match refused(&bytes) {
            RestoreError::Malformed { offset, expected, found } => {
                (usize::try_from(offset).unwrap(), expected, found)
            }
            other => panic!("{other:?}"),
        }
    };
    let u64s = |number: u64| number.to_le_bytes();
    assert_eq!(malformed(TAIL, &[2]), (0, "0 or 1 as the manifest's tail", 2));
    let runs = "at most 1024 runs, and one at least with a tail";
    assert_eq!(malformed(RUN_COUNT, &[1, 4]), (0, runs, 1025));
    assert_eq!(malformed(TAIL, &[1, 0, 0]), (0, runs, 0));
    assert_eq!(malformed(REVISION, &u64s(1 << 63)), (0, "a revision below 2^63", 1 << 63));
    let sum = "runs of 1 to 2^63 bytes together";
    assert_eq!(malformed(RUN_BYTES, &u64s(0)), (0, sum, 0));
    assert_eq!(malformed(RUN_BYTES, &u64s(1 << 63)), (0, sum, 1 << 63));
    let ends = "a row that ends where its run does (bytes left given)";
    assert_eq!(malformed(RUN_BYTES, &u64s(71)), (ROW_B, ends, 35));
    assert_eq!(malformed(RUN_BYTES, &u64s(40)), (ROW_B, ends, 4));
    assert_eq!(malformed(ROW_A, &[7]), (ROW_A, "a table from 0 to 6", 7));
    assert_eq!(malformed(ROW_A + 1, &[2]), (ROW_A, "0 or 1 as the kind of a row", 2));
    assert_eq!(malformed(ROW_A + 1, &[1]), (ROW_A, "a tombstone without a body", 25));
    assert_eq!(malformed(ROW_A + 6, &[23]), (ROW_A, "a row's body as long as its table has them", 23));
    let created = ROW_B + 11;
    assert_eq!(malformed(created, &u64s(0)).1, "1 <= create_revision <= mod_revision");
    assert_eq!(malformed(created, &u64s(3)), (ROW_B, "1 <= create_revision <= mod_revision", 3));
    assert_eq!(malformed(created + 8, &u64s(3)), (ROW_B, "a mod_revision up to the store's revision", 3));
    assert_eq!(malformed(created + 16, &u64s(0)).1, "1 <= version <= mod_revision - create_revision + 1");
    assert_eq!(malformed(created + 16, &u64s(2)).1, "1 <= version <= mod_revision - create_revision + 1");
    assert_eq!(
        malformed(ROW_B + 10, b"a"),
        (ROW_B, "a row above the one before (its key's length given)", 1)
    );
    let (end, event) = (END, EVENT_B + 22);
    assert_eq!(malformed(EVENT_B + 2, &[11]), (EVENT_B, "a row's key as long as its table has them", 11));
    assert_eq!(malformed(event, &[3]), (EVENT_B, "0, 1 or 2 as the kind of an event", 3));
    assert_eq!(malformed(event + 1, &[2]), (EVENT_B, "what was there before, or nothing and a put", 2));
    assert_eq!(malformed(event, &[1]), (EVENT_B, "what was there before, or nothing and a put", 0));
    assert_eq!(malformed(event + 2, &[2]), (EVENT_B, "an event's key that ends where its row does", 2));
    // What only all rows together tell is told of their end.
    let right_after = "an event right after the one before (its revision given)";
    assert_eq!(malformed(EVENT_B + 21, &[1]), (end, right_after, 2));
    assert_eq!(malformed(EVENT_B + 17, &[3]), (end, "an event up to the store's revision", 3));
    assert_eq!(malformed(EVENT_B + 10, &[255; 12]).1, "an event up to the store's revision");
    let leads = "an event that leads to what is there (its revision given)";
    assert_eq!(malformed(event + 6, b"a"), (end, leads, 1));
    assert_eq!(malformed(event + 6, b"c"), (end, leads, 2));
    assert_eq!(malformed(created, &u64s(1)), (end, leads, 2));
}

#[test]
fn another_file_and_another_version_are_told_apart() {
    let mut bytes = bytes(&small());
    let other = [b"{\"a\":\"b\"}".as_slice(), &[b' '; 80]].concat();
    assert_eq!(refused(&other), RestoreError::NotASnapshot { found: *b"{\"a\":\"b\"" });
    for version in [0, 3] {
        bytes[8] = version;
        let error = refused(&bytes);
        assert_eq!(error, RestoreError::UnknownVersion { found: u16::from(version) });
        let text = "snapshot at offset 8: expected a format version from 1 to 2, found";
        assert_eq!(error.to_string(), format!("{text} {version}"));
    }
}

#[test]
fn totals_that_do_not_match_are_refused() {
    let mut bytes = bytes(&small());
    bytes[ROWS] = 3;
    let offset = END as u64;
    assert_eq!(
        refused(&bytes),
        RestoreError::WrongTotal { offset, total: "row count", expected: 3, found: 4 }
    );
    bytes[ROWS] = 4;
    bytes[ROW_B + 10 + 1 + 24] = b'3';
    assert!(matches!(refused(&bytes), RestoreError::WrongTotal { total: "state hash", .. }));
}

#[test]
fn nothing_may_follow_the_last_run() {
    let mut bytes = bytes(&small());
    let offset = bytes.len() as u64;
    bytes.extend_from_slice(&[7; 100]);
    let expected = "the end, after the last run";
    assert_eq!(refused(&bytes), RestoreError::Malformed { offset, expected, found: 7 });
}

/// A row that announces 8 GiB: nothing is reserved for it, or this test would not get far.
#[test]
fn an_announced_length_reserves_nothing() {
    let mut manifest = Manifest { totals: small().totals(), ..Manifest::default() };
    manifest.runs = vec![RunRef { digest: [0; 32], bytes: 1 << 40 }];
    let row = [&[1, 0][..], &[255; 8]].concat();
    let bytes = [manifest.encode(), row].concat();
    for _ in 0..10_000 {
        let mut restore = Restore::new();
        restore.feed(&bytes).unwrap();
        let end = bytes.len() as u64;
        let expected = RestoreError::Truncated { offset: end, expected: "the rest of a row" };
        assert_eq!(restore.finish().unwrap_err(), expected);
    }
}

#[test]
fn values_are_shared_with_the_command() {
    let mut kv = Kv::new();
    let value: Arc<[u8]> = Arc::from(b"value".as_slice());
    kv.apply(&Command::Put { key: b"key".as_slice().into(), value: value.clone() });
    assert!(Arc::ptr_eq(&kv.get(b"key").unwrap().value, &value));
}

/// The rows are well formed one by one; together no store could have had them.
#[test]
fn rows_that_contradict_each_other_are_refused() {
    let wrong = |revision: u64, rows: &[Vec<u8>]| {
        let mut kv = small();
        let mut manifest = Manifest { totals: kv.totals(), has_tail: true, ..Manifest::default() };
        manifest.totals.revision = Revision(revision);
        let runs = [run(kv.seal()), rows.concat()];
        let name = |run: &Vec<u8>| RunRef { digest: [7; 32], bytes: run.len() as u64 };
        manifest.runs = runs.iter().map(name).collect();
        match refused(&[manifest.encode(), runs.concat()].concat()) {
            RestoreError::Malformed { expected, found, .. } => (expected, found),
            other => panic!("{other:?}"),
        }
    };
    let put = |revision, key: &[u8], before: Option<Vec<u8>>| {
        let body =
            [&[0, u8::from(before.is_some()), 1, 0, 0, 0][..], key, &before.unwrap_or_default()].concat();
        row(2, &event_key(revision, 0), &body)
    };
    let written = |revision| row(1, b"c", &entry(revision, revision, 1, b""));
    // The past goes from its oldest end, and grows at the other.
    let oldest = "the oldest event as one that is gone (its revision given)";
    assert_eq!(wrong(2, &[tombstone(2, &event_key(2, 0))]), (oldest, 2));
    assert_eq!(wrong(3, &[put(3, b"c", None), tombstone(2, &event_key(4, 0))]), (oldest, 4));
    let above = "an event above those of older runs (its revision given)";
    assert_eq!(wrong(2, &[put(1, b"a", None)]), (above, 1));
    // It has no holes, and its floor is where it begins.
    assert_eq!(wrong(3, &[written(3)]), ("events up to the store's revision", 2));
    let right_after = "an event right after the one before (its revision given)";
    assert_eq!(wrong(4, &[written(4), put(4, b"c", None)]), (right_after, 4));
    let meta = |floor| row(0, b"", &numbers(&[0, floor, 0, 0, 0, 0]));
    let gone = tombstone(2, &event_key(1, 0));
    let every = "events of every revision since the oldest";
    let both_gone = [gone, tombstone(2, &event_key(2, 0))].concat();
    assert_eq!(wrong(2, &[meta(1), both_gone]), (every, 2));
    assert_eq!(wrong(2, &[meta(3)]), ("an oldest revision up to the store's", 3));
    // It leads to what is there.
    let leads = "an event that leads to what is there (its revision given)";
    assert_eq!(wrong(3, &[put(3, b"c", None)]), (leads, 3));
    assert_eq!(wrong(3, &[row(1, b"b", &entry(3, 3, 1, b"")), put(3, b"b", None)]), (leads, 2));
    let unknown = [written(3), put(3, b"c", Some(entry(1, 1, 1, b"")))];
    assert_eq!(wrong(3, &unknown), (leads, 3));
    assert_eq!(wrong(2, &[written(2)]), ("an event that wrote what is there", 2));
    // The other tables.
    let answer = row(5, b"\0\0k", &[&numbers(&[1])[..], &[0; 32], &[10]].concat());
    assert_eq!(wrong(2, &[answer]), ("an answer given up to the store's time", 1));
    let until = |key: &[u8], kind, number| row(4, key, &[&[kind][..], &numbers(&[number])].concat());
    let lease = "a lease that is there as one that a key goes with";
    assert_eq!(wrong(2, &[until(b"a", 1, 9)]), (lease, 9));
    assert_eq!(wrong(2, &[until(b"a", 2, 9)]), ("0 or 1 as what a key goes with", 2));
    let stray = "a key that is there as one that goes (its length given)";
    assert_eq!(wrong(2, &[until(b"ccc", 0, 9)]), (stray, 3));
    let lock = "a lock as it was written (its length given)";
    assert_eq!(wrong(2, &[row(6, b"n", &[2, 0, 0, 0, 7])]), (lock, 5));
    let time = row(0, b"", &numbers(&[(u64::MAX / 4) + 1, 0, 0, 0, 0, 0]));
    assert_eq!(wrong(2, &[time]), ("a cluster time below 2^62", 1 << 62));
}
