//! What a data dir becomes, and what is refused before anything is written.

use std::fs;
use std::path::Path;
use std::time::Duration;

use quorate_client::Address;
use quorate_node::kv::Kv;
use quorate_node::raft::{Load, Payload, Reader};
use quorate_node::wire::entry::decode_command;
use tempfile::TempDir;

use super::*;
use crate::config::{LogConfig, LogFormat, TlsConfig};

/// `{"key1": "value1"}` in the seed's format.
const CONTENT: &str = r#"{"a2V5MQ==":"dmFsdWUx"}"#;

fn config(dir: &Path) -> ServeConfig {
    let any: Address = "127.0.0.1:0".parse().unwrap();
    ServeConfig {
        data_dir: dir.to_owned(),
        listen: any.clone(),
        raft_listen: any.clone(),
        advertise_http: any.clone(),
        advertise_raft: any,
        tls: TlsConfig::default(),
        tokens: None,
        probes_need_token: false,
        node_token_file: None,
        join_token_file: None,
        insecure: false,
        bootstrap: false,
        join: Vec::new(),
        name: Some("one".to_owned()),
        max_value_bytes: 100,
        max_request_bytes: 1000,
        max_pending_bytes: 8 << 20,
        max_pending_requests: 1_000,
        max_connections: 100,
        max_watchers: 10,
        max_txn_operations: 128,
        history_revisions: 100_000,
        history_bytes: 64 << 20,
        idempotency_keys: 100_000,
        idempotency_bytes: 64 << 20,
        segment_bytes: 16 << 20,
        backup_bytes_per_second: 64 << 20,
        flight_recorder_bytes: 1 << 20,
        scrub_bytes_per_second: 1 << 20,
        keep_snapshots: 5,
        snapshot_entries: 1000,
        election_timeout: Duration::from_millis(500),
        heartbeat_interval: Duration::from_millis(50),
        snapshot_bytes_per_second: 128 << 20,
        remove_dead_voters_after: None,
        min_voters: 3,
        otlp_endpoint: None,
        log: LogConfig { format: LogFormat::Text, level: "info".to_owned() },
    }
}

fn refused(config: ServeConfig) -> (u8, String) {
    let error = run(config).unwrap_err();
    (error.exit_code(), error.to_string())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The store that the log in `dir` makes.
fn store(dir: &Path) -> Kv {
    let (mut storage, found) = Storage::open(FileDisk::new(dir), quorate_storage::Options::new(1)).unwrap();
    let last = found.terms.last().index;
    let load = Load { reader: Reader::Apply, first: quorate_node::raft::Index(1), last, bytes: usize::MAX };
    let done = storage.perform(vec![quorate_node::raft::Job::Load(load).into()]).unwrap();
    let [quorate_node::raft::Done::Loaded { entries, .. }] = &done[..] else { panic!("{done:?}") };
    assert!(matches!(entries[0].payload, Payload::Members(_)));
    let mut kv = Kv::new();
    for entry in &entries[1..] {
        let Payload::Command(command) = &entry.payload else { panic!("{entry:?}") };
        kv.apply(&decode_command(command).unwrap());
    }
    kv
}

#[test]
fn founding_takes_the_content_along_once() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(DATA_JSON), CONTENT).unwrap();
    bootstrap(&config(dir.path())).unwrap();
    let expected = ["LOCK", "VERSION", "data.json.imported", "log", "node.toml", "snaps", "stable"];
    assert_eq!(names(dir.path()), expected);
    assert_eq!(store(dir.path()).get(b"key1").map(|entry| entry.value.to_vec()), Some(b"value1".to_vec()));

    let error = bootstrap(&config(dir.path())).unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
}

/// A crash after each step of a founding: the next attempt ends where an undisturbed one would.
#[test]
fn an_interrupted_founding_is_done_again() {
    for steps in 1..=3 {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(DATA_JSON), CONTENT).unwrap();
        let runtime = RealRuntime::start();
        let mut data_dir = DataDir::open(dir.path()).unwrap();
        let node = node_id(&runtime, &mut data_dir).unwrap();
        if steps >= 2 {
            let content = first_content(&config(dir.path()), &data_dir).unwrap();
            let entries = first_entries(node, Contact::default(), content).unwrap();
            let (mut storage, _) =
                Storage::open(FileDisk::new(dir.path()), quorate_storage::Options::new(1)).unwrap();
            write_first(&mut storage, true, entries).unwrap();
        }
        if steps >= 3 {
            data_dir.retire_data_json().unwrap();
        }
        drop(data_dir);

        let (code, reason) = refused(config(dir.path()));
        assert_eq!(code, 78, "nobody said again what is wanted: {reason}");
        bootstrap(&config(dir.path())).unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        assert_eq!(member(&data_dir).map(|identity| identity.node), Some(node), "after step {steps}");
        assert_eq!(store(dir.path()).len(), 1, "after step {steps}");
        assert_eq!(names(dir.path()).iter().filter(|name| name.starts_with("data.json")).count(), 1);
    }
}

#[test]
fn a_start_that_makes_no_sense_is_refused_and_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let empty = config(dir.path());
    let founds = ServeConfig { bootstrap: true, ..empty.clone() };
    let joins = ServeConfig { join: vec!["http://127.0.0.1:1".parse().unwrap()], ..empty.clone() };
    let both = ServeConfig { bootstrap: true, ..joins.clone() };
    let (code, reason) = refused(empty);
    assert!(code == 78 && reason.contains("--bootstrap") && reason.contains("--join"), "{code} {reason}");
    let (code, reason) = refused(both);
    assert!(code == 2 && reason.contains("only one"), "{code} {reason}");

    fs::write(dir.path().join(DATA_JSON), CONTENT).unwrap();
    let (code, reason) = refused(joins);
    assert!(code == 78 && reason.contains("data.json") && reason.contains("import"), "{code} {reason}");

    let long = format!(r#"{{"a2V5MQ==":"{}"}}"#, "AAAA".repeat(50));
    for (bad, expected) in
        [("{", "data.json"), (r#"{"!":""}"#, "!"), (&long, "key1"), (r#"{"":""}"#, "data.json")]
    {
        fs::write(dir.path().join(DATA_JSON), bad).unwrap();
        let (code, reason) = refused(founds.clone());
        assert!(code == 78 && reason.contains(expected), "{bad}: {code} {reason}");
        assert_eq!(fs::read_to_string(dir.path().join(DATA_JSON)).unwrap(), bad);
    }
    assert_eq!(names(dir.path()), ["LOCK", DATA_JSON]);
}

#[test]
fn an_address_in_use_is_named_before_anything_is_founded() {
    let dir = TempDir::new().unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken: Address = other.local_addr().unwrap().to_string().parse().unwrap();
    let founds = ServeConfig { bootstrap: true, ..config(dir.path()) };
    let http = ServeConfig { listen: taken.clone(), ..founds.clone() };
    let peers = ServeConfig { raft_listen: taken.clone(), ..founds };
    for (config, flag) in [(http, "--listen"), (peers, "--raft-listen")] {
        let (code, reason) = refused(config);
        assert!(code == 1 && reason.contains(&taken.to_string()) && reason.contains(flag), "{code} {reason}");
    }
    assert_eq!(names(dir.path()), ["LOCK"]);
}

#[test]
fn a_data_dir_in_use_or_of_somebody_else_is_refused() {
    let dir = TempDir::new().unwrap();
    let _other = DataDir::open(dir.path()).unwrap();
    let (code, reason) = refused(config(dir.path()));
    assert!(code == 78 && reason.contains(&std::process::id().to_string()), "{code} {reason}");

    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("thesis.doc"), "").unwrap();
    let (code, reason) = refused(config(dir.path()));
    assert!(code == 78 && reason.contains("thesis.doc"), "{code} {reason}");
}

/// `quorate doctor` looks while the service manager starts the node: that must not be its end.
#[test]
fn a_start_waits_a_moment_for_who_looks_or_ends() {
    let dir = TempDir::new().unwrap();
    drop(DataDir::open(dir.path()).unwrap());
    let looks = fs::File::open(dir.path().join("LOCK")).unwrap();
    looks.lock_shared().unwrap();
    let (code, reason) = refused(config(dir.path()));
    assert!(code == 78 && reason.contains("is being looked at"), "{code} {reason}");
    // Whoever uses it may be ending, too.
    for lock in [fs::File::lock_shared, fs::File::lock] {
        looks.unlock().unwrap();
        lock(&looks).unwrap();
        let mut attempts = 0;
        let taken = when_free(|| {
            attempts += 1;
            if attempts == 3 {
                looks.unlock().unwrap();
            }
            DataDir::open(dir.path())
        });
        assert!(taken.is_ok() && attempts == 3, "{taken:?} after {attempts}");
    }
}
