//! Data dirs offline: what earlier releases wrote, what later ones will, and what is wrong with one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quorate_kv::{Kv, Manifest, Restore};
use quorate_raft::{Done, Index, Load, LoadSnapshot, LogId, Payload, Reader, Term};
use quorate_storage::{FileDisk, Options, Overlay, Storage};
use quorate_tests::cluster::Node;
use quorate_tests::harm::contents;
use quorate_tests::ports::free_port;
use quorate_tests::program::{Finished, Program};
use quorate_wire::entry::decode_command;
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const FAILED: i32 = 1;
const BAD_CONFIGURATION: i32 = 78;

/// What `data-dir-1` holds.
const NODE: &str = "9bd587772dcf80491021273b44116578";
const CLUSTER: &str = "08f8ce682552dbd432329f8e5be9645e";
const HISTORY: &str = "b31b4c3088cc5ec9b8d7b8d04579ba4f";
/// As version 2 of the content counts it: it says besides that there is no past.
const STATE_HASH: u64 = 0x4101_26ce_0b34_b65c;

/// A fixture, as the node left it.
fn fixture(name: &str, to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/data-dir-{name}"));
    for (path, content) in contents(&from) {
        let copy = to.join(path.strip_prefix(&from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(&copy, &content).unwrap();
        if copy.extension().is_some_and(|extension| extension == "log") {
            let bytes = u64::from_le_bytes(content[32..40].try_into().unwrap());
            fs::OpenOptions::new().write(true).open(&copy).unwrap().set_len(bytes).unwrap();
        }
    }
}

fn quorate(arguments: &[&str]) -> Finished {
    Program::new(QUORATE, arguments).run()
}

fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The store that the log in a data dir makes, and the log's end.
fn replayed(dir: &Path) -> (Kv, LogId) {
    let disk = Overlay::new(FileDisk::read_only(dir));
    let (mut storage, found) = Storage::open(disk, Options::new(1)).unwrap();
    assert_eq!((found.unknown, &found.damaged[..]), (None, &[][..]));
    let last = found.terms.last();
    let load = Load { reader: Reader::Apply, first: Index(1), last: last.index, bytes: usize::MAX };
    let done = storage.perform(vec![quorate_raft::Job::Load(load).into()]).unwrap();
    let [Done::Loaded { entries, .. }] = &done[..] else { panic!("{done:?}") };
    let mut kv = Kv::new();
    for entry in entries {
        if let Payload::Command(command) = &entry.payload {
            kv.apply(&decode_command(command).unwrap());
        }
    }
    (kv, last)
}

#[test]
fn what_version_1_wrote_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    fixture("1", &dir);
    let (kv, last) = replayed(&dir);
    assert_eq!((last, kv.len()), (LogId { term: Term(3), index: Index(12) }, 6));
    assert_eq!(kv.state_hash(), STATE_HASH, "the state hash is {:#018x}", kv.state_hash());
    let verified = quorate(&["verify", text_of(&dir)]);
    assert_eq!((verified.code, verified.stdout.as_str()), (Some(0), ""), "{verified:?}");

    let mut node = Node::new(QUORATE, folder.path().to_owned(), "node", &[]);
    node.start(&[]);
    node.wait_until_led();
    let status = node.status().unwrap();
    let ids = ["id", "cluster", "history"].map(|name| status[name].as_str().unwrap().to_owned());
    assert_eq!(ids, [NODE, CLUSTER, HISTORY]);
    let url = node.url();
    for (key, value) in
        [("a", "2"), ("key/with/slash", ""), ("again", "after a kill"), ("imported", "from data.json")]
    {
        let got = quorate(&["get", key, "--endpoints", &url]);
        assert_eq!((got.code, got.stdout.as_str()), (Some(0), value), "{key}");
    }
    assert_eq!(node.client().get("/key/gone").status, 404);
    let keys: BTreeMap<String, String> =
        serde_json::from_str(&quorate(&["export", "-", "--endpoints", &url]).stdout).unwrap();
    let mut names: Vec<&str> = keys.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["YQ==", "YWdhaW4=", "Ynl0ZXM=", "a2V5L3dpdGgvc2xhc2g=", "aW1wb3J0ZWQ=", "emVyb3M="]);
    assert_eq!((keys["Ynl0ZXM="].as_str(), keys["emVyb3M="].len()), ("AAD_Cg==", 4000));
}

/// Most of its records have short headers.
#[test]
fn a_log_of_version_3_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    fixture("1-log-3", &dir);
    let (kv, last) = replayed(&dir);
    assert_eq!((last, kv.len()), (LogId { term: Term(2), index: Index(51) }, 23));
    for number in 10..33 {
        let value = kv.get(format!("key-{number}").as_bytes()).map(|entry| &entry.value[..]);
        assert_eq!(value, Some(format!("value {number} of round 2").as_bytes()));
    }
    let verified = quorate(&["verify", text_of(&dir)]);
    assert_eq!((verified.code, verified.stdout.as_str()), (Some(0), ""), "{verified:?}");

    let mut node = Node::new(QUORATE, folder.path().to_owned(), "node", &[]);
    node.start(&[]);
    node.wait_until_led();
    assert_eq!(node.client().get("/key/key-32").text(), "value 32 of round 2");
    assert_eq!(node.client().get("/key/key-33").status, 404);
}

/// A file as a version to come may write it: the same beginning, and a checksum that fits.
fn raise(path: &Path, size: usize) {
    let mut content = fs::read(path).unwrap();
    content[12..16].copy_from_slice(&9_u32.to_le_bytes());
    content[size - 1] = 7;
    let checksum = crc32c(&content[12..size]);
    content[8..12].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, content).unwrap();
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[test]
fn a_downgraded_node_refuses_and_changes_nothing() {
    type Raise = fn(&Path);
    // With the newest version that is known.
    let raised: [(&str, Raise, &str); 5] = [
        ("VERSION", |path| fs::write(path, "quorate 9\n").unwrap(), "1"),
        ("stable/a", |path| raise(path, 512), "is 1"),
        ("stable/b", |path| raise(path, 512), "is 1"),
        ("log/00000001.log", |path| raise(path, 4096), "is 3"),
        ("log/00000003.log", |path| raise(path, 4096), "is 3"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (number, (file, raise, known)) in raised.into_iter().enumerate() {
        let dir = folder.path().join(number.to_string());
        fixture("1", &dir);
        raise(&dir.join(file));
        let before = contents(&dir);
        let (http, raft) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let serve = ["serve", "--data-dir", text_of(&dir), "--listen", &http, "--raft-listen", &raft];
        let join = [&serve[..], &["--join", "http://127.0.0.1:1"]].concat();
        for command in [&serve[..], &join, &["verify", text_of(&dir)], &["inspect", text_of(&dir)]] {
            let refused = quorate(command);
            assert_eq!(refused.code, Some(BAD_CONFIGURATION), "{file}: {command:?}: {refused:?}");
            for word in [file, "9", known, "use the release that wrote it", "nothing was changed"] {
                assert!(refused.stderr.contains(word), "{file}: {word:?} is not named in {}", refused.stderr);
            }
            assert_eq!(contents(&dir), before, "{file}: {command:?}");
        }
        let plan = quorate(&["recover", "plan", text_of(&dir)]);
        assert!(plan.code != Some(0) || plan.stdout.contains("use the release that wrote it"), "{plan:?}");
        assert_eq!(contents(&dir), before, "{file}");
    }
}

/// What the newest checkpoint in a data dir holds, by itself.
fn restored(dir: &Path) -> (Kv, LogId, bool, usize) {
    let disk = Overlay::new(FileDisk::read_only(dir));
    let (mut storage, found) = Storage::open(disk, Options::new(1)).unwrap();
    let meta = found.snapshot.unwrap();
    let load = LoadSnapshot { reader: Reader::Apply, last: meta.last, offset: 0, bytes: u64::MAX };
    let done = storage.perform(vec![quorate_raft::Job::LoadSnapshot(load).into()]).unwrap();
    let [Done::SnapshotLoaded { chunk: Some(chunk), .. }] = &done[..] else { panic!("{done:?}") };
    assert!(chunk.done && chunk.data.len() as u64 == meta.bytes);
    let manifest = Manifest::decode(&chunk.data).unwrap().unwrap();
    let mut restore = Restore::new();
    restore.feed(&chunk.data).unwrap();
    (restore.finish().unwrap().kv, meta.last, manifest.has_tail, manifest.runs.len())
}

#[test]
fn checkpoints_of_today_are_read() {
    let key = |number: usize| format!("key-{number:02}");
    let folder = tempfile::tempdir().unwrap();
    for (name, index, has_tail, keys) in [("1-boundary", 40, false, 33), ("1-tail", 28, true, 24)] {
        let dir = folder.path().join(name);
        fixture(name, &dir);
        let (kv, last, tail, runs) = restored(&dir);
        assert_eq!((last.index, tail, runs, kv.len()), (Index(index), has_tail, 2, keys), "{name}");
        let value = |number: usize| kv.get(key(number).as_bytes()).map(|entry| entry.value.to_vec());
        let text = |text: String| Some(text.into_bytes());
        if has_tail {
            assert_eq!(
                (value(4), value(5), value(25)),
                (text("value 04".into()), None, text("value 25".into()))
            );
        } else {
            assert_eq!(
                (value(3), value(4), value(30)),
                (text("changed 03".into()), text("value 04".into()), None)
            );
        }
        let verified = quorate(&["verify", text_of(&dir)]);
        assert_eq!((verified.code, verified.stdout.as_str()), (Some(0), ""), "{verified:?}");

        let mut node = Node::new(QUORATE, folder.path().to_owned(), name, &[]);
        node.start(&[]);
        node.wait_until_led();
        let mut client = node.client();
        assert_eq!(client.get("/key/key-04").text(), "value 04");
        let (key, answer) = if has_tail { ("after", "after") } else { ("key-36", "value 36") };
        assert_eq!(client.get(&format!("/key/{key}")).text(), answer, "what the log holds beyond it");
        assert_eq!(node.stop(), Some(0));
    }
}

#[test]
fn a_downgraded_node_refuses_a_checkpoint_of_a_later_version() {
    type Raise = fn(&mut [u8]);
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    fixture("1-boundary", &whole);
    let names = contents(&whole);
    let of = |suffix: &str| {
        let newest = names.keys().rfind(|path| path.to_string_lossy().ends_with(suffix)).unwrap();
        newest.strip_prefix(&whole).unwrap().to_owned()
    };
    // The file of a manifest, what it says of its content, which also travels by itself, and a run.
    let raised: [(PathBuf, Raise, [&str; 2]); 3] = [
        (of(".snap"), |content| content[12] = 4, ["4", "3"]),
        (
            of(".snap"),
            |content| {
                let magic = content.windows(8).position(|window| window == b"QUORATKV").unwrap();
                content[magic + 8] = 3;
            },
            ["3", "2"],
        ),
        (of(".run"), |content| content[12] = 2, ["2", "1"]),
    ];
    for (number, (file, raise, versions)) in raised.into_iter().enumerate() {
        let dir = folder.path().join(number.to_string());
        fixture("1-boundary", &dir);
        let path = dir.join(&file);
        let mut content = fs::read(&path).unwrap();
        raise(&mut content);
        let checked = if number == 2 { 512 } else { content.len() };
        let checksum = crc32c(&content[12..checked]);
        content[8..12].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&path, content).unwrap();
        let before = contents(&dir);
        let (http, raft) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let serve = ["serve", "--data-dir", text_of(&dir), "--listen", &http, "--raft-listen", &raft];
        for command in [&serve[..], &["verify", text_of(&dir)], &["inspect", text_of(&dir)]] {
            let refused = quorate(command);
            assert_eq!(refused.code, Some(BAD_CONFIGURATION), "{file:?}: {command:?}: {refused:?}");
            for word in [text_of(&file), versions[0], versions[1], "nothing was changed"] {
                assert!(refused.stderr.contains(word), "{file:?}: {word:?} is not in {}", refused.stderr);
            }
            assert_eq!(contents(&dir), before, "{file:?}: {command:?}");
        }
    }
}

#[test]
fn verify_names_every_place_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    fixture("1", &dir);
    let path = dir.join("log/00000003.log");
    let mut content = fs::read(&path).unwrap();
    // The payload of the first record behind the header's two copies, and a byte of the second copy.
    let record = (8192..content.len()).step_by(512).find(|at| content[at + 92] == 2).unwrap();
    let index = u64::from_le_bytes(content[record + 40..record + 48].try_into().unwrap());
    content[record + 96] ^= 1;
    content[4096 + 60] ^= 1;
    fs::write(&path, content).unwrap();
    fs::write(dir.join("stable/b"), [0xa5; 512]).unwrap();
    let before = contents(&dir);

    let verified = quorate(&["verify", text_of(&dir)]);
    assert_eq!(verified.code, Some(FAILED), "{verified:?}");
    let lines: Vec<Vec<&str>> =
        verified.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let (offset, index) = ((record + 96).to_string(), index.to_string());
    assert_eq!(lines[0][..4], ["FILE", "OFFSET", "INDEX", "REASON"]);
    assert_eq!(lines[1][..3], ["stable/b", "0", "-"]);
    assert_eq!(lines[2][..3], ["log/00000003.log", "4096", "-"]);
    assert_eq!(lines[3][..3], ["log/00000003.log", &offset, &index]);
    assert!(verified.stderr.contains("3 places are wrong"), "{verified:?}");

    let verified = quorate(&["verify", "-o", "json", text_of(&dir)]);
    assert_eq!(verified.code, Some(FAILED));
    let report: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(report["faults"][2]["index"].as_u64().map(|index| index.to_string()), Some(index));
    assert_eq!(contents(&dir), before, "nothing is mended");

    fs::write(dir.join("node.toml"), "garbage").unwrap();
    let verified = quorate(&["verify", text_of(&dir)]);
    assert!(verified.code == Some(FAILED) && verified.stdout.contains("node.toml"), "{verified:?}");
    let nothing = folder.path().join("nothing");
    fs::create_dir(&nothing).unwrap();
    assert_eq!(quorate(&["verify", text_of(&nothing)]).code, Some(BAD_CONFIGURATION));
}

#[test]
fn inspect_shows_what_a_data_dir_holds() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    fixture("1", &dir);
    let before = contents(&dir);
    let shown = quorate(&["inspect", text_of(&dir), "-o", "json"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let report: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!([&report["node"], &report["cluster"], &report["history"]], [NODE, CLUSTER, HISTORY]);
    assert_eq!((report["term"].as_u64(), report["vote"].as_str()), (Some(3), Some(NODE)));
    assert_eq!((report["log"]["last"].as_str(), report["log"]["error"].is_null()), (Some("3/12"), true));
    let segments = report["segments"].as_array().unwrap();
    let slots: Vec<_> =
        segments.iter().map(|s| (s["first_index"].as_u64(), s["last_index"].as_u64())).collect();
    assert_eq!(slots, [(Some(1), Some(1)), (Some(2), Some(12))]);
    assert_eq!(report["members"][0]["name"], "fixture");
    assert_eq!(report["faults"], serde_json::json!([]));
    let table = quorate(&["inspect", text_of(&dir)]).stdout;
    for word in [NODE, CLUSTER, HISTORY, "3/12", "log/00000003.log", "2-12", "voter"] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }
    assert_eq!(contents(&dir), before);
}

#[test]
fn a_data_dir_in_use_is_looked_at_from_outside_and_not_verified() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(QUORATE, folder.path().to_owned(), "node", &[]);
    node.start(&["--bootstrap"]);
    node.wait_until_led();
    let (dir, pid) = (node.data_dir(), node.process().pid().to_string());
    let verified = quorate(&["verify", text_of(&dir)]);
    assert_eq!(verified.code, Some(BAD_CONFIGURATION), "{verified:?}");
    assert!(verified.stderr.contains(&pid), "{verified:?}");
    let shown = quorate(&["inspect", text_of(&dir), "-o", "json"]);
    let report: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((report["in_use"].as_str(), report["log"].is_null()), (Some(pid.as_str()), true));
    assert_eq!(report["node"], node.id());
    assert_eq!(node.client().post("/key/a", b"1").status, 200);
}
