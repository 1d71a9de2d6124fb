//! Nodes that must not start: each ends with its exit code and says what to do, and leaves the data dir alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use quorate_tests::cluster::Node;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Client;
use quorate_tests::ports::free_port;
use quorate_tests::program::{Finished, Program};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const USAGE: i32 = 2;
const BAD_CONFIGURATION: i32 = 78;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Asserts that a run ended with this code, said nothing on stdout, and named all of `words` on stderr.
#[track_caller]
fn ended(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:#?}");
    assert_eq!(finished.stdout, "", "stdout carries data, not talk");
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is not named in: {}", finished.stderr);
    }
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

/// `serve` on free ports.
fn serve(data_dir: &Path, flags: &[&str]) -> Finished {
    let (http, raft) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let place = ["serve", "--data-dir", text(data_dir), "--listen", &http, "--raft-listen", &raft];
    Program::new(QUORATE, &[&place, flags].concat()).run()
}

/// Every file below a folder, with what it holds.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

/// A data dir in which a node has run, and which it left in order, with one key in it.
fn used_data_dir(folder: &Path) -> PathBuf {
    let mut node = Node::new(QUORATE, folder.to_owned(), "node", &[]);
    node.start(&["--bootstrap"]);
    node.wait_until_led();
    assert_eq!(node.client().post("/key/kept", b"value").status, 200);
    assert_eq!(node.stop(), Some(0));
    node.data_dir()
}

/// Asserts that the node in a data dir that `used_data_dir` made starts, and has lost nothing.
fn still_starts(folder: &Path) {
    let mut node = Node::new(QUORATE, folder.to_owned(), "node", &[]);
    node.start(&[]);
    node.wait_until_led();
    assert_eq!(node.client().get("/key/kept").text(), "value");
}

#[test]
fn a_command_line_that_makes_no_sense_is_usage() {
    let cases: [(&[&str], &str); 8] = [
        (&[], "Usage"),
        (&["fly"], "fly"),
        (&["serve"], "--data-dir"),
        (&["serve", "--data-dir", "d", "--colour", "red"], "--colour"),
        (&["serve", "--data-dir", "d", "--listen", "nowhere"], "nowhere"),
        (&["serve", "--data-dir", "d", "--max-value-bytes", "many"], "many"),
        (&["get"], "KEY"),
        (&["get", "a", "--timeout", "soon"], "soon"),
    ];
    for (arguments, word) in cases {
        ended(&Program::new(QUORATE, arguments).run(), USAGE, &[word]);
    }
}

/// Only builds with the feature `otel` have somebody who could do it.
#[test]
#[cfg(not(feature = "otel"))]
fn what_this_build_lacks_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (setting, url) = ("--otlp-endpoint", "http://127.0.0.1:4318");
    let words = [setting, "can't export traces", "--features otel"];
    ended(&serve(folder.path(), &["--bootstrap", setting, url]), USAGE, &words);

    let file = folder.path().join("quorate.toml");
    fs::write(&file, format!("otlp-endpoint = \"{url}\"")).unwrap();
    let words = ["otlp-endpoint", text(&file), "--features otel"];
    ended(&serve(folder.path(), &["--bootstrap", "--config", text(&file)]), BAD_CONFIGURATION, &words);
}

#[test]
fn an_empty_data_dir_needs_exactly_one_of_bootstrap_and_join() {
    let folder = tempfile::tempdir().unwrap();
    ended(&serve(folder.path(), &[]), BAD_CONFIGURATION, &["--bootstrap", "--join"]);
    let both = ["--bootstrap", "--join", "http://127.0.0.1:1"];
    ended(&serve(folder.path(), &both), USAGE, &["--bootstrap", "--join"]);
    fs::write(folder.path().join("data.json"), "{}").unwrap();
    ended(&serve(folder.path(), &["--join", "http://127.0.0.1:1"]), BAD_CONFIGURATION, &["data.json"]);
    assert_eq!(fs::read_to_string(folder.path().join("data.json")).unwrap(), "{}");
}

#[test]
fn an_address_that_nobody_can_dial_is_not_advertised() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = text(folder.path());
    let wildcard = format!("0.0.0.0:{}", free_port());
    let loopback = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{wildcard}");
    let cases: [&[&str]; 4] = [
        &["--listen", &wildcard],
        &["--listen", "[::]:0"],
        &["--listen", &loopback, "--advertise-url", &url],
        &["--listen", &loopback, "--advertise-raft", &wildcard],
    ];
    for flags in cases {
        let finished =
            Program::new(QUORATE, &[&["serve", "--bootstrap", "--data-dir", data_dir], flags].concat()).run();
        ended(&finished, BAD_CONFIGURATION, &["--advertise-"]);
    }
    assert_eq!(contents(folder.path()), BTreeMap::new(), "nothing was founded");
}

/// On every interface, where strangers could come: only if somebody says so, and then each start says it once.
#[test]
fn an_open_port_is_refused_unless_somebody_means_it() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let (http, raft) = (free_port(), free_port());
    let (listen, raft_listen) = (format!("0.0.0.0:{http}"), format!("127.0.0.1:{raft}"));
    let url = format!("http://127.0.0.1:{http}");
    let flags = ["--listen", &listen, "--raft-listen", &raft_listen, "--advertise-url", &url];
    let arguments = [&["serve", "--bootstrap", "--data-dir", text(&data_dir)], &flags[..]].concat();
    ended(&Program::new(QUORATE, &arguments).run(), BAD_CONFIGURATION, &[&listen, "--insecure"]);
    assert!(!data_dir.exists(), "nothing was founded");

    let insecure = [&arguments[..], &["--insecure"]].concat();
    let node = Program::new(QUORATE, &insecure).start_tied(folder.path(), "node");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http));
    wait_until("the node to serve", PATIENCE, || {
        Client::new(address).request("GET", "/raft/status", b"").is_ok().then_some(())
    });
    assert_eq!(node.stderr().matches("--insecure was given").count(), 1, "{}", node.stderr());
}

#[test]
fn settings_in_the_environment_and_in_a_file_are_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let arguments = ["serve", "--bootstrap", "--data-dir", text(&data_dir)];
    let by_variable =
        Program::new(QUORATE, &arguments).with_variable("QUORATE_MAX_VALUE_BYTES", "many").run();
    ended(&by_variable, BAD_CONFIGURATION, &["QUORATE_MAX_VALUE_BYTES", "many"]);
    let by_seed = Program::new(QUORATE, &arguments).with_variable("PORT", "eighty").run();
    ended(&by_seed, BAD_CONFIGURATION, &["PORT", "eighty"]);
    let file = folder.path().join("quorate.toml");
    fs::write(&file, "colour = 'red'").unwrap();
    let by_file = Program::new(QUORATE, &[&arguments[..], &["--config", text(&file)]].concat()).run();
    ended(&by_file, BAD_CONFIGURATION, &["quorate.toml", "colour"]);
    let missing = Program::new(QUORATE, &[&arguments[..], &["--config", "missing.toml"]].concat()).run();
    ended(&missing, BAD_CONFIGURATION, &["missing.toml"]);
    assert!(!data_dir.exists());
}

#[test]
fn a_data_json_with_one_bad_entry_is_refused_whole_and_left_alone() {
    let cases = [
        ("", "data.json"),
        ("not JSON", "data.json"),
        ("[]", "data.json"),
        (r#"{"a2V5":1}"#, "a2V5"),
        (r#"{"a2V5":"dmFsdWU=","***":"dmFsdWU="}"#, "***"),
        (r#"{"a2V5":"dmFsdWU=","a2V5Mg":"dmFsdWU="}"#, "a2V5Mg"),
        (r#"{"a2V5":"%%%"}"#, "a2V5"),
        (r#"{"":"dmFsdWU="}"#, "data.json"),
        (r#"{"_w==":"dmFsdWU="}"#, "UTF-8"),
        (r#"{"a2V5":"dmFsdWU="} x"#, "data.json"),
    ];
    for (data, word) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut node = Node::new(QUORATE, folder.path().to_owned(), "node", &[]);
        fs::create_dir(node.data_dir()).unwrap();
        let file = node.data_dir().join("data.json");
        fs::write(&file, data).unwrap();
        ended(&serve(&node.data_dir(), &["--bootstrap"]), BAD_CONFIGURATION, &["data.json", word]);
        assert_eq!(fs::read_to_string(&file).unwrap(), data);
        fs::write(&file, r#"{"a2VwdA==":"dmFsdWU="}"#).unwrap();
        node.start(&["--bootstrap"]);
        node.wait_until_led();
        assert_eq!(node.client().get("/key/kept").text(), "value", "after {data:?} was mended");
    }
}

#[test]
fn a_data_dir_that_can_not_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    fs::write(&file, "x").unwrap();
    // Not even root can make a folder below a file, or in /proc.
    for unusable in [file.clone(), file.join("below"), PathBuf::from("/proc/quorate")] {
        ended(&serve(&unusable, &["--bootstrap"]), BAD_CONFIGURATION, &[text(&unusable)]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "x");

    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("photo.jpeg"), "x").unwrap();
    let before = contents(&foreign);
    ended(&serve(&foreign, &["--bootstrap"]), BAD_CONFIGURATION, &[text(&foreign), "photo.jpeg"]);
    let mut after = contents(&foreign);
    after.remove(&foreign.join("LOCK"));
    assert_eq!(after, before);
}

#[test]
fn a_data_dir_is_used_by_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(QUORATE, folder.path().to_owned(), "node", &[]);
    node.start(&["--bootstrap"]);
    node.wait_until_led();
    let pid = node.process().pid().to_string();
    for flags in [&["--bootstrap"][..], &[], &["--join", "http://127.0.0.1:1"]] {
        ended(&serve(&node.data_dir(), flags), BAD_CONFIGURATION, &[&pid, text(&node.data_dir())]);
    }
    let bootstrap = Program::new(QUORATE, &["bootstrap", "--data-dir", text(&node.data_dir())]).run();
    ended(&bootstrap, BAD_CONFIGURATION, &[&pid]);
    assert_eq!(node.client().post("/key/a", b"1").status, 200);
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = used_data_dir(folder.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let free = format!("127.0.0.1:{}", free_port());
    for (listen, raft_listen) in [(&address, &free), (&free, &address)] {
        let place =
            ["serve", "--data-dir", text(&data_dir), "--listen", listen, "--raft-listen", raft_listen];
        let finished = Program::new(QUORATE, &place).run();
        assert!(matches!(finished.code, Some(1 | BAD_CONFIGURATION)), "{finished:#?}");
        ended(&finished, finished.code.unwrap(), &[&address]);
    }
    still_starts(folder.path());
}

#[test]
fn a_node_is_never_taken_for_an_empty_data_dir() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = used_data_dir(folder.path());
    let identity = fs::read_to_string(data_dir.join("node.toml")).unwrap();
    let version = fs::read_to_string(data_dir.join("VERSION")).unwrap();
    let damage = |file: &str, bytes: Option<&str>| {
        match bytes {
            Some(bytes) => fs::write(data_dir.join(file), bytes).unwrap(),
            None => fs::remove_file(data_dir.join(file)).unwrap(),
        }
        for flags in [&[][..], &["--bootstrap"], &["--join", "http://127.0.0.1:1"]] {
            ended(&serve(&data_dir, flags), BAD_CONFIGURATION, &[file]);
        }
    };
    damage("node.toml", Some("garbage"));
    damage("node.toml", Some(""));
    damage("node.toml", Some(&identity[..identity.len() / 2]));
    damage("node.toml", None);
    fs::write(data_dir.join("node.toml"), &identity).unwrap();
    damage("VERSION", Some("999\n"));
    damage("VERSION", Some("garbage"));
    fs::write(data_dir.join("VERSION"), &version).unwrap();
    still_starts(folder.path());
}

/// The flags that founded or joined stay in scripts: on a dir that holds a node they mean nothing.
#[test]
fn founding_and_joining_again_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    used_data_dir(folder.path());
    let id = |flags: &[&str]| {
        let mut node = Node::new(QUORATE, folder.path().to_owned(), "node", &[]);
        node.start(flags);
        node.wait_until_led();
        assert_eq!(node.client().get("/key/kept").text(), "value");
        let status = node.status().unwrap();
        (status["id"].clone(), status["cluster"].clone())
    };
    let without = id(&[]);
    assert_eq!(id(&["--bootstrap"]), without);
    assert_eq!(id(&["--join", "http://127.0.0.1:1"]), without);
}

#[test]
fn a_cluster_that_was_founded_offline_needs_no_flag() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(QUORATE, folder.path().to_owned(), "node", &[]);
    let bootstrap = ["bootstrap", "--data-dir", text(&node.data_dir())].map(str::to_owned);
    let arguments: Vec<&str> = bootstrap.iter().map(String::as_str).collect();
    let founded = Program::new(QUORATE, &arguments).run();
    assert_eq!(founded.code, Some(0), "{founded:#?}");
    node.start(&[]);
    node.wait_until_led();
    assert_eq!(node.client().post("/key/a", b"1").status, 200);
    assert_eq!(node.stop(), Some(0));
    let again = Program::new(QUORATE, &arguments).run();
    assert!(again.code != Some(0), "a cluster is founded once: {again:#?}");
}
