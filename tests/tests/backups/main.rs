//! Backup and restore with real processes: what is in a backup, what interrupts it, and what is made of it.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test fails by panicking")]

mod restoring;
mod taking;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_kv::{Kv, Restore};
use quorate_storage::backup::{Header, Verifier};
use quorate_tests::cluster::Cluster;
use quorate_tests::program::{Finished, Program, Running};
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const FAILED: i32 = 1;
const PRECONDITION: i32 = 4;
const UNAVAILABLE: i32 = 5;
const BAD_CONFIGURATION: i32 = 78;

/// Far more than it takes: a machine may be busy with other tests.
const LOAD_LIMIT: Duration = Duration::from_secs(120);

fn quorate(arguments: &[&str]) -> Finished {
    Program::new(QUORATE, arguments).run()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn partial(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.partial", text(file)))
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// A command that runs; what it says goes to `<name>.stderr` in the folder.
fn begun(folder: &Path, name: &str, arguments: &[&str]) -> Running {
    Program::new(QUORATE, arguments).start_tied(folder, name)
}

/// Reads a backup as a stranger would, who knows the format alone.
fn read(file: &Path) -> (Header, Kv) {
    let bytes = fs::read(file).unwrap();
    let mut verifier = Verifier::new();
    verifier.feed(&bytes).unwrap_or_else(|flaw| panic!("{}: {flaw}", file.display()));
    verifier.finish().unwrap_or_else(|flaw| panic!("{}: {flaw}", file.display()));
    let header = verifier.header().unwrap().clone();
    let position = |offset: u64| usize::try_from(offset).unwrap();
    let mut restore = Restore::new();
    restore.feed(&bytes[position(header.manifest_start())..position(header.tables_start())]).unwrap();
    restore.feed(&bytes[position(verifier.runs_start().unwrap())..]).unwrap();
    (header, restore.finish().unwrap().kv)
}

fn record(finished: &Finished) -> Value {
    assert_eq!(finished.code, Some(0), "{finished:?}");
    serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"))
}

/// A cluster that holds about so many mebibytes.
fn filled(size: usize, mebibytes: u8, flags: &[&str]) -> Cluster {
    let cluster = Cluster::start_with(QUORATE, size, flags);
    let leader = cluster.leader();
    for number in 0..mebibytes {
        let value = vec![b'a' + number; 1 << 20];
        assert_eq!(cluster.nodes[leader].client().post(&format!("/key/large/{number}"), &value).status, 200);
    }
    (0..size).for_each(|number| cluster.wait_until_caught_up(number));
    cluster
}
