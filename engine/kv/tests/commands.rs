//! What each command does, one case at a time.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use quorate_kv::{Command, Kv, Outcome, Revision};

fn put(key: &str, value: &str) -> Command {
    Command::Put { key: key.as_bytes().into(), value: value.as_bytes().into() }
}

fn delete(key: &str) -> Command {
    Command::Delete { key: key.as_bytes().into() }
}

fn import(entries: &[(&str, &str)]) -> Command {
    let shared = |text: &str| Arc::from(text.as_bytes());
    Command::Import { entries: entries.iter().map(|(key, value)| (shared(key), shared(value))).collect() }
}

fn value<'a>(kv: &'a Kv, key: &str) -> Option<&'a [u8]> {
    kv.get(key.as_bytes()).map(|entry| &*entry.value)
}

/// The seed's TestGetSetDelete.
#[test]
fn test_get_set_delete() {
    let mut kv = Kv::new();
    assert_eq!(value(&kv, "key"), None);
    assert_eq!(kv.apply(&put("key", "value")).outcome, Outcome::Put { revision: Revision(1) });
    assert_eq!(value(&kv, "key"), Some(b"value".as_slice()));
    assert_eq!(kv.apply(&delete("key")).outcome, Outcome::Deleted { count: 1, revision: Revision(2) });
    assert_eq!(value(&kv, "key"), None);
}

/// The seed's TestGet: key1, key2 and key4 are there, key3 is missing.
#[test]
fn test_get() {
    let mut kv = Kv::new();
    kv.apply(&import(&[("key1", "value1"), ("key2", "value2"), ("key4", "")]));
    assert_eq!(value(&kv, "key1"), Some(b"value1".as_slice()));
    assert_eq!(value(&kv, "key2"), Some(b"value2".as_slice()));
    assert_eq!(value(&kv, "key3"), None);
    assert_eq!(value(&kv, "key4"), Some(b"".as_slice()));
}

#[test]
fn a_key_remembers_its_creation_its_last_write_and_how_often() {
    let mut kv = Kv::new();
    for command in [put("a", "1"), put("b", "1"), put("a", "2"), put("a", "3")] {
        kv.apply(&command);
    }
    let entry = kv.get(b"a").unwrap();
    assert_eq!((entry.create_revision, entry.mod_revision, entry.version), (Revision(1), Revision(4), 3));
    kv.apply(&delete("a"));
    kv.apply(&put("a", "again"));
    let entry = kv.get(b"a").unwrap();
    assert_eq!((entry.create_revision, entry.mod_revision, entry.version), (Revision(6), Revision(6), 1));
}

#[test]
fn what_changes_nothing_does_not_raise_the_revision() {
    let mut kv = Kv::new();
    kv.apply(&put("a", "1"));
    let before = kv.clone();
    assert_eq!(kv.apply(&delete("b")).outcome, Outcome::Deleted { count: 0, revision: Revision(1) });
    assert_eq!(kv.apply(&import(&[])).outcome, Outcome::Imported { count: 0, revision: Revision(1) });
    assert_eq!(kv, before);
}

#[test]
fn an_import_is_one_revision_and_the_last_of_a_key_counts() {
    let mut kv = Kv::new();
    kv.apply(&put("a", "old"));
    let outcome = kv.apply(&import(&[("b", "1"), ("a", "2"), ("b", "3"), ("a", "4")])).outcome;
    assert_eq!(outcome, Outcome::Imported { count: 2, revision: Revision(2) });
    assert_eq!((value(&kv, "a"), value(&kv, "b")), (Some(b"4".as_slice()), Some(b"3".as_slice())));
    let versions: Vec<u64> = kv.range(b"", None).map(|(_, entry)| entry.version).collect();
    assert_eq!(versions, [2, 1]);
}

#[test]
fn a_range_is_half_open_and_may_be_empty() {
    let mut kv = Kv::new();
    kv.apply(&import(&[("a", ""), ("b", ""), ("ba", ""), ("c", "")]));
    let keys = |start: &str, end: Option<&str>| -> Vec<Vec<u8>> {
        kv.range(start.as_bytes(), end.map(str::as_bytes)).map(|(key, _)| key.to_vec()).collect()
    };
    assert_eq!(keys("b", Some("c")), vec![b"b".to_vec(), b"ba".to_vec()]);
    assert_eq!(keys("bb", None), vec![b"c".to_vec()]);
    assert!(keys("b", Some("b")).is_empty());
    assert!(keys("c", Some("a")).is_empty());
}

#[test]
fn live_bytes_are_those_of_keys_and_values() {
    let mut kv = Kv::new();
    kv.apply(&put("key", "value"));
    kv.apply(&put("key", "longer value"));
    assert_eq!((kv.live_bytes(), kv.len()), (15, 1));
    kv.apply(&delete("key"));
    assert_eq!((kv.live_bytes(), kv.is_empty()), (0, true));
}
