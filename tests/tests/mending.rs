//! Nodes whose checkpoints have all gone bad, and whose logs begin after them: they mend each other before they serve.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::harm::{files, replace_directory};
use quorate_tests::load::{Ledger, Load};
use tempfile::TempDir;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const BAD_CONFIGURATION: Option<i32> = Some(78);

/// Far more than it needs: a machine may be busy with other tests.
const LOAD_LIMIT: Duration = Duration::from_secs(120);

/// What a node says then.
const MENDED: &str = "a checkpoint was mended with pieces from peers";

/// As `docs/FORMAT.md` draws a run.
const HEADER_BYTES: u64 = 512;
const BLOCK_BYTES: u64 = 64 << 10;

/// A cluster that was ended by `kill -9` when its logs began after checkpoints of several blocks.
struct Ruins {
    cluster: Cluster,
    ids: Vec<String>,
    ledger: Ledger,
    /// The data dirs as they were then.
    kept: TempDir,
    /// How often each node has said that it was mended.
    times_mended: [usize; 3],
}

impl Ruins {
    fn new() -> Ruins {
        let flags = ["--segment-bytes", "512KiB", "--max-value-bytes", "16KiB", "--snapshot-entries", "2000"];
        let mut cluster = Cluster::start_with(QUORATE, 3, &flags);
        let addresses = cluster.nodes.iter().map(|node| node.http()).collect();
        let loading = Load { addresses, writers: 48, value_bytes: 3_000, seed: 1 }.start();
        // A log keeps ten thousand entries below a checkpoint, so that it is not needed until there are more.
        loading.wait_for(13_000, LOAD_LIMIT);
        for node in &cluster.nodes {
            wait_until("a checkpoint that the log begins after", LOAD_LIMIT, || {
                (node.status()?["snapshot"].as_u64()? >= 12_000).then_some(())
            });
        }
        let ids = ids(&mut cluster);
        cluster.nodes.iter_mut().for_each(|node| node.kill());
        let kept = tempfile::tempdir().unwrap();
        for (number, node) in cluster.nodes.iter().enumerate() {
            replace_directory(&node.data_dir(), &kept.path().join(number.to_string())).unwrap();
        }
        Ruins { cluster, ids, ledger: loading.finish(), kept, times_mended: [0; 3] }
    }

    fn restore(&mut self) {
        for (number, node) in self.cluster.nodes.iter_mut().enumerate() {
            node.put_down();
            replace_directory(&self.kept.path().join(number.to_string()), &node.data_dir()).unwrap();
        }
    }
}

fn ids(cluster: &mut Cluster) -> Vec<String> {
    cluster.nodes.iter_mut().map(|node| node.id()).collect()
}

fn runs(cluster: &Cluster, number: usize) -> Vec<PathBuf> {
    files(&cluster.nodes[number].data_dir(), "snaps", ".run").unwrap()
}

/// Flips bits of the byte at `offset`.
fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

/// How many bytes of rows a run has.
fn content_bytes(path: &Path) -> u64 {
    let mut bytes = [0; 8];
    OpenOptions::new().read(true).open(path).unwrap().read_exact_at(&mut bytes, 16).unwrap();
    u64::from_le_bytes(bytes)
}

fn blocks(path: &Path) -> u64 {
    content_bytes(path).div_ceil(BLOCK_BYTES)
}

/// Whether every checksum in a run holds.
fn is_sound(run: &PathBuf) -> bool {
    let Ok(bytes) = fs::read(run) else { return false };
    let position = |offset: u64| usize::try_from(offset).unwrap();
    let (header, rest) = bytes.split_at(position(HEADER_BYTES));
    let checksum = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    if crc32c::crc32c(&header[12..]) != checksum(8) {
        return false;
    }
    let content_bytes = u64::from_le_bytes(header[16..24].try_into().unwrap());
    let (content, table) = rest.split_at(position(content_bytes));
    let found: Vec<u8> =
        content.chunks(position(BLOCK_BYTES)).flat_map(|block| crc32c::crc32c(block).to_le_bytes()).collect();
    crc32c::crc32c(table) == checksum(60) && found == table
}

/// Starts all nodes and waits until each is ready, as who it was, with every acknowledged write and sound files.
/// `mended` are those that can't be without help.
fn come_back(ruins: &mut Ruins, mended: &[usize]) {
    let cluster = &mut ruins.cluster;
    cluster.nodes.iter_mut().for_each(|node| node.start(&[]));
    for number in 0..3 {
        let node = &mut cluster.nodes[number];
        wait_until(&format!("node {number} to be ready"), PATIENCE, || {
            assert!(node.ended().is_none(), "node {number} ended:\n{}", node.log_tail());
            node.readiness().filter(|(ready, _)| *ready)
        });
        let times = node.process().stderr().matches(MENDED).count();
        let is_mended = std::mem::replace(&mut ruins.times_mended[number], times) < times;
        assert_eq!(is_mended, mended.contains(&number), "node {number}:\n{}", node.log_tail());
        cluster.wait_until_caught_up(number);
        let export = cluster.nodes[number].client().get("/data.json");
        ruins.ledger.check(&export.json()).unwrap_or_else(|lost| panic!("node {number}: {lost}"));
    }
    assert_eq!(ids(cluster), ruins.ids, "who was mended is who it was");
    for node in &cluster.nodes {
        assert_eq!(node.client().post("/raft/snapshot", b"").status, 200);
    }
    // What is left of damaged checkpoints goes once there is another one.
    for number in 0..3 {
        wait_until("damaged files to go", PATIENCE, || {
            let is_set_aside = |path: &PathBuf| path.extension().is_some_and(|end| end == "damaged");
            let all = files(&cluster.nodes[number].data_dir(), "snaps", "").unwrap();
            (!all.iter().any(is_set_aside) && runs(cluster, number).iter().all(is_sound)).then_some(())
        });
    }
    cluster.nodes.iter_mut().for_each(|node| node.put_down());
    for (number, node) in cluster.nodes.iter().enumerate() {
        let verified = Command::new(QUORATE).arg("verify").arg(node.data_dir()).output().unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        let places = String::from_utf8_lossy(&verified.stdout);
        assert!(verified.status.success(), "node {number}: {said}{places}");
    }
}

#[test]
fn checkpoints_that_have_gone_bad_everywhere_are_mended_with_pieces_from_peers() {
    let mut ruins = Ruins::new();
    all_are_damaged_in_different_places(&mut ruins);
    one_has_no_checkpoint_at_all(&mut ruins);
    what_nobody_has_is_named(&mut ruins);
}

/// Every third block of every run is bad on one node, the next on another. On the second all headers are bad as well,
/// on the third all tables. No node has one whole checkpoint.
fn all_are_damaged_in_different_places(ruins: &mut Ruins) {
    let mut most_blocks = 0;
    for number in 0..3 {
        for run in runs(&ruins.cluster, number) {
            most_blocks = most_blocks.max(blocks(&run));
            for block in (0..blocks(&run)).filter(|block| block % 3 == number as u64) {
                flip(&run, HEADER_BYTES + block * BLOCK_BYTES);
            }
            match number {
                1 => flip(&run, 20),
                2 => flip(&run, HEADER_BYTES + content_bytes(&run) + 1),
                _ => {}
            }
        }
    }
    assert!(most_blocks > 6, "{most_blocks} blocks are too few to show much");
    come_back(ruins, &[0, 1, 2]);
}

fn one_has_no_checkpoint_at_all(ruins: &mut Ruins) {
    ruins.restore();
    let snaps = ruins.cluster.nodes[1].data_dir().join("snaps");
    fs::read_dir(&snaps).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    come_back(ruins, &[1]);
}

/// One block of each run is bad on all three nodes: nobody makes anything up. Each says what it lacks, and ends; with
/// the runs of one of them they all come back.
fn what_nobody_has_is_named(ruins: &mut Ruins) {
    ruins.restore();
    let sound: Vec<(PathBuf, Vec<u8>)> = runs(&ruins.cluster, 0)
        .into_iter()
        .map(|run| {
            let content = fs::read(&run).unwrap();
            (run, content)
        })
        .collect();
    for number in 0..3 {
        runs(&ruins.cluster, number).iter().for_each(|run| flip(run, HEADER_BYTES));
    }
    ruins.cluster.nodes.iter_mut().for_each(|node| node.start(&[]));
    for node in &mut ruins.cluster.nodes {
        let code = node.process().wait("the node to end", PATIENCE).code();
        let said = node.process().stderr();
        assert_eq!(code, BAD_CONFIGURATION, "{said}");
        assert!(said.contains(".run at byte 512") && said.contains("quorate recover"), "{said}");
        node.put_down();
    }
    for (path, content) in sound {
        fs::write(path, content).unwrap();
    }
    come_back(ruins, &[0, 1, 2]);
}
