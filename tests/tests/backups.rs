//! Backup and restore with real processes: what is in a backup, what interrupts it, and what is made of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quorate_kv::{Kv, Restore};
use quorate_sim::random::Random;
use quorate_sim::trials::scaled;
use quorate_storage::backup::{Header, Verifier};
use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Client;
use quorate_tests::program::{Finished, Program, Running};
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const FAILED: i32 = 1;
const PRECONDITION: i32 = 4;
const UNAVAILABLE: i32 = 5;
const BAD_CONFIGURATION: i32 = 78;

/// How much higher a restored store's revision is.
const JUMP: u64 = 1 << 40;

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

/// The fixture of version 1; every release reads it. `fixtures/README.md` says how it was made.
#[test]
fn what_version_1_wrote_is_read_and_restored() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/backup-1");
    let (header, kv) = read(&fixture);
    assert_eq!(header.origin.cluster.to_string(), "741171afd18efdba531da9ceef16e5bc");
    assert_eq!(header.origin.history.to_string(), "98e12b6ad56acd54c69521741a554717");
    assert_eq!((header.last.term.0, header.last.index.0, header.revision.0), (2, 15, 13));
    assert_eq!(header.state_hash, 0xd6aa_337a_08d4_b828);
    // What was written before there was a past has none, and that is part of the state.
    assert_eq!(kv.oldest_revision(), header.revision);
    let zeros = vec![0; 3000];
    let expected: [(&str, &[u8], u64); 8] = [
        ("a", b"again", 9),
        ("c", b"value of c", 3),
        ("d", b"value of d", 4),
        ("e", b"value of e", 5),
        ("key/with/slash", b"", 6),
        ("late/1", b"tail", 11),
        ("late/2", b"tail", 12),
        ("zeros", &zeros, 7),
    ];
    let found: Vec<_> = kv.range(b"", None).collect();
    assert_eq!(found.len(), expected.len());
    for ((key, entry), (name, value, revision)) in found.into_iter().zip(expected) {
        assert_eq!((key, &*entry.value, entry.mod_revision.0), (name.as_bytes(), value, revision));
    }

    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(QUORATE, folder.path().to_owned(), "node", &[]);
    let dir = node.data_dir();
    let restored = record(&quorate(&["restore", text(&fixture), "--data-dir", text(&dir), "-o", "json"]));
    assert_eq!((&restored["revision"], &restored["keys"]), (&(13 + JUMP).into(), &8.into()));
    node.start(&["--snapshot-entries", "5"]);
    node.wait_until_led();
    let got = node.client().get("/key/a");
    assert_eq!((got.text().as_str(), got.header("etag")), ("again", Some("\"9\"")));
    assert_eq!(got.header("quorate-revision"), Some(&*(13 + JUMP).to_string()));
    // Later checkpoints build on what was restored.
    for number in 0..20 {
        assert_eq!(node.client().post(&format!("/key/new/{number}"), b"value").status, 200);
    }
    assert_eq!(node.client().post("/raft/snapshot", b"").status, 200);
    let export = node.client().get("/data.json").json();
    assert_eq!(export.as_object().unwrap().len(), 8 + 20);
    node.kill();
    let verified = quorate(&["verify", text(&dir)]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    node.start(&[]);
    node.wait_until_led();
    assert!(node.client().get("/data.json").json() == export);
}

/// What a writer wrote: key, value and revision of each, in order.
type Written = Vec<(String, Vec<u8>, u64)>;

/// Writers that remember at which revision each of their writes was done.
struct Writers {
    stop: Arc<AtomicBool>,
    /// The highest revision that was acknowledged.
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Written>>,
}

impl Writers {
    fn start(cluster: &Cluster) -> Writers {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..6).map(|writer: usize| {
            let address = cluster.nodes[writer % cluster.nodes.len()].http();
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            std::thread::spawn(move || {
                let (mut client, mut random) = (Client::new(address), Random::new(writer as u64));
                let mut written = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let key = format!("w{writer}-{}", random.below(20));
                    let value = vec![b'a' + u8::try_from(written.len() % 26).unwrap(); random.below(2000)];
                    let answer = client.post(&format!("/key/{key}"), &value);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    let revision = answer.header("etag").unwrap().trim_matches('"').parse().unwrap();
                    acknowledged.fetch_max(revision, Ordering::SeqCst);
                    written.push((key, value, revision));
                }
                written
            })
        });
        let threads = threads.collect();
        Writers { stop, acknowledged, threads }
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// All that was written, by revision.
    fn finish(self) -> BTreeMap<u64, (String, Vec<u8>)> {
        self.stop.store(true, Ordering::Relaxed);
        let written = self.threads.into_iter().flat_map(|thread| thread.join().unwrap());
        written.map(|(key, value, revision)| (revision, (key, value))).collect()
    }
}

/// A backup is the store as it was at one revision, to the last key, and that is no earlier than any write that was
/// acknowledged before it was asked for. The history that says so has every write: none was lost or uncertain.
#[test]
fn a_backup_under_load_from_a_follower_is_the_store_at_its_revision() {
    // So that some are taken at boundaries, some between, and runs are merged meanwhile.
    let cluster = Cluster::start_with(QUORATE, 3, &["--snapshot-entries", "150"]);
    let folder = tempfile::tempdir().unwrap();
    let writers = Writers::start(&cluster);
    let rounds = scaled(5);
    let mut taken = Vec::new();
    for round in 0..rounds {
        let goal = writers.acknowledged() + 60;
        wait_until("more writes", LOAD_LIMIT, || (writers.acknowledged() >= goal).then_some(()));
        let (file, url) = (folder.path().join(round.to_string()), cluster.nodes[cluster.follower()].url());
        let floor = writers.acknowledged();
        let record = record(&quorate(&["backup", text(&file), "--endpoints", &url, "-o", "json"]));
        let (header, kv) = read(&file);
        assert_eq!(record["revision"], header.revision.0);
        assert!(
            header.revision.0 >= floor,
            "{} was acknowledged, and the backup is of {}",
            floor,
            header.revision
        );
        taken.push((header.revision.0, kv));
    }
    let written = writers.finish();
    let last = *written.last_key_value().unwrap().0;
    assert_eq!(written.len() as u64, last, "the history has every revision");
    for (revision, kv) in &taken {
        let mut expected: BTreeMap<&[u8], (&[u8], u64)> = BTreeMap::new();
        for (at, (key, value)) in written.range(..=revision) {
            expected.insert(key.as_bytes(), (value, *at));
        }
        let found = kv.range(b"", None);
        let found: BTreeMap<&[u8], (&[u8], u64)> =
            found.map(|(key, entry)| (key, (&*entry.value, entry.mod_revision.0))).collect();
        assert!(found == expected, "the backup at revision {revision} is another state");
    }
    assert!(taken.is_sorted_by_key(|(revision, _)| *revision));
    println!("{rounds} backups under {last} writes: each the store at its revision");
}

/// Waits until a backup has grown beyond so many bytes, or has ended.
fn wait_for_growth(file: &Path, beyond: u64, running: &mut Running) {
    wait_until("the backup to grow", LOAD_LIMIT, || {
        (length(&partial(file)) > beyond || running.ended().is_some()).then_some(())
    });
}

#[test]
fn a_backup_goes_on_after_kill_9_of_the_client() {
    let cluster = filled(1, 3, &["--backup-rate", "2MiB"]);
    let (folder, url) = (tempfile::tempdir().unwrap(), cluster.nodes[0].url());
    let (rounds, mut random, mut caught, mut torn) = (scaled(3), Random::new(21), 0, 0);
    for round in 0..rounds {
        let file = folder.path().join(format!("backup-{round}"));
        let revision = cluster.nodes[0].status().unwrap()["revision"].as_u64().unwrap();
        let arguments = ["backup", text(&file), "--endpoints", &url, "-o", "json"];
        loop {
            let before = length(&partial(&file));
            let mut running = begun(folder.path(), &format!("run-{round}"), &arguments);
            wait_for_growth(&file, before + random.between(0, 900_000), &mut running);
            running.kill();
            if file.exists() {
                break;
            }
            caught += 1;
            let left = length(&partial(&file));
            assert!(left >= before, "{before} bytes were there, and {left} are left");
            // Whoever took a new one instead of going on would be found out.
            let put = cluster.nodes[0].client().post(&format!("/key/later/{round}/{caught}"), b"value");
            assert_eq!(put.status, 200);
            // And a machine that crashes may lose what was written last, or leave something else there.
            if left > 600 && random.below(3) == 0 {
                torn += 1;
                tear(&partial(&file), &mut random);
            }
            if random.below(6) == 0 {
                let resumed = record(&quorate(&arguments))["resumed_bytes"].as_u64().unwrap();
                assert!(resumed > 0 && resumed <= length(&file), "{resumed}");
                break;
            }
        }
        let (header, kv) = read(&file);
        assert_eq!(header.revision.0, revision, "the one that was begun");
        assert_eq!(kv.get(b"large/2").unwrap().value.len(), 1 << 20);
        assert!(!partial(&file).exists());
        let again = quorate(&arguments);
        assert_eq!(again.code, Some(PRECONDITION), "{again:?}");
        assert!(again.stderr.contains("--overwrite"), "{again:?}");
    }
    println!("{rounds} backups, killed {caught} times under way, {torn} times with a torn file: all whole");
}

/// The revision of a backup of which this is the beginning, once its header is there.
fn revision_of(file: &Path) -> Option<u64> {
    let mut verifier = Verifier::new();
    let _ = verifier.feed(&fs::read(file).ok()?);
    verifier.header().map(|header| header.revision.0)
}

/// Cuts the end of a file off, or writes something else there.
fn tear(file: &Path, random: &mut Random) {
    let mut bytes = fs::read(file).unwrap();
    // The header is left: without it nobody knows which backup this was.
    let from = (bytes.len() - 1 - random.below(bytes.len().min(100_000) - 1)).max(600);
    match random.below(2) {
        0 => bytes.truncate(from),
        _ => bytes[from..].fill(0),
    }
    fs::write(file, bytes).unwrap();
}

/// The node that serves it is killed under way, again and again. One that comes back still has the checkpoint; one that
/// doesn't has to be given up, and the backup begins again with another node's.
#[test]
fn a_backup_goes_on_after_kill_9_of_the_node_that_serves_it() {
    let mut cluster = filled(3, 3, &["--backup-rate", "2MiB"]);
    let (folder, mut random) = (tempfile::tempdir().unwrap(), Random::new(22));
    let (rounds, mut kills, mut anew) = (scaled(3), 0, 0);
    for round in 0..rounds {
        let comes_back = round % 3 != 2;
        let victim = cluster.follower();
        let others: Vec<usize> = (0..3).filter(|other| *other != victim).collect();
        let mut urls = vec![cluster.nodes[victim].url()];
        urls.extend(others.iter().map(|other| cluster.nodes[*other].url()));
        let file = folder.path().join(format!("backup-{round}"));
        let endpoints = urls.join(",");
        let arguments = ["backup", text(&file), "--endpoints", &endpoints, "-o", "json"];
        let floor = cluster.nodes[victim].status().unwrap()["revision"].as_u64().unwrap();
        let name = format!("run-{round}");
        let mut running = begun(folder.path(), &name, &arguments);
        let mut first = None;
        for _ in 0..2 {
            let there = length(&partial(&file));
            wait_for_growth(&file, there + random.between(1, 900_000), &mut running);
            if running.ended().is_some() {
                break;
            }
            first = first.or_else(|| revision_of(&partial(&file)));
            cluster.nodes[victim].kill();
            kills += 1;
            let put = cluster.nodes[others[0]].client().post(&format!("/key/meanwhile/{kills}"), b"value");
            assert_eq!(put.status, 200, "{}", put.text());
            if !comes_back {
                break;
            }
            cluster.nodes[victim].start(&[]);
            cluster.nodes[victim].wait_until_led();
        }
        let status = running.wait("the backup to end", LOAD_LIMIT);
        assert_eq!(status.code(), Some(0), "{}", running.stderr());
        let (header, kv) = read(&file);
        assert!(header.revision.0 >= floor && kv.get(b"large/2").is_some());
        let began_again = running.stderr().contains("begins again");
        let is_first = first.is_none_or(|first| first == header.revision.0);
        assert!(is_first || began_again, "it went on with another: {}", running.stderr());
        anew += u64::from(began_again);
        if !comes_back {
            cluster.nodes[victim].start(&[]);
            cluster.nodes[victim].wait_until_led();
        }
    }
    println!(
        "{rounds} backups, {kills} times the node that sent one was killed, {anew} begun again: all whole"
    );
}

/// So many bytes may have come at most, whatever time it was: a machine that is busy only makes it fewer.
fn watch_rate(file: &Path, bytes_per_second: f64, mut running: Running) {
    // What stands in buffers and passes before the first pause.
    const AHEAD_BYTES: f64 = 1.5 * 1024.0 * 1024.0;
    let since = Instant::now();
    wait_until("two mebibytes of a backup", LOAD_LIMIT, || {
        let came = length(&partial(file)) as f64;
        let most = since.elapsed().as_secs_f64() * bytes_per_second + AHEAD_BYTES;
        assert!(came <= most, "{came} bytes came where {most} may");
        assert!(running.ended().is_none(), "it ended early: {}", running.stderr());
        (came > 2.0 * 1024.0 * 1024.0).then_some(())
    });
    running.kill();
}

#[test]
fn neither_side_takes_more_than_its_rate() {
    let slow = filled(1, 4, &["--backup-rate", "512KiB"]);
    let folder = tempfile::tempdir().unwrap();
    let (file, url) = (folder.path().join("by-node"), slow.nodes[0].url());
    let running = begun(folder.path(), "by-node", &["backup", text(&file), "--endpoints", &url]);
    watch_rate(&file, 512.0 * 1024.0, running);
    drop(slow);
    let fast = filled(1, 4, &[]);
    let (file, url) = (folder.path().join("by-client"), fast.nodes[0].url());
    let arguments = ["backup", text(&file), "--endpoints", &url, "--rate", "512KiB"];
    watch_rate(&file, 512.0 * 1024.0, begun(folder.path(), "by-client", &arguments));
}

#[test]
fn what_can_not_be_done_is_said_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let nobody = format!("http://127.0.0.1:{}", quorate_tests::ports::free_port());
    let unavailable = quorate(&["backup", text(&file), "--endpoints", &nobody, "--timeout", "1s"]);
    assert_eq!(unavailable.code, Some(UNAVAILABLE), "{unavailable:?}");
    assert!(unavailable.stderr.contains(&nobody), "{unavailable:?}");
    let slow = quorate(&["backup", text(&file), "--rate", "1B"]);
    assert_eq!(slow.code, Some(2), "{slow:?}");

    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/backup-1");
    let good = fs::read(&fixture).unwrap();
    let dir = folder.path().join("dir");
    let restore = || quorate(&["restore", text(&file), "--data-dir", text(&dir)]);
    assert_eq!(restore().code, Some(FAILED), "there is no file");
    let mut rotten = good.clone();
    rotten[2000] ^= 1;
    fs::write(&file, &rotten).unwrap();
    let refused = restore();
    assert_eq!(refused.code, Some(FAILED), "{refused:?}");
    for word in [text(&file), "run 0, block 0", "checksum", "nothing was written"] {
        assert!(refused.stderr.contains(word), "no {word:?} in {refused:?}");
    }
    let verified = quorate(&["verify", text(&file)]);
    assert_eq!(verified.code, Some(FAILED), "{verified:?}");
    assert!(verified.stdout.contains("664") && verified.stdout.contains("run 0, block 0"), "{verified:?}");
    let verified = quorate(&["verify", text(&fixture)]);
    assert!(verified.code == Some(0) && verified.stderr.contains("8 keys at revision 13"), "{verified:?}");
    fs::write(&file, &good[..3000]).unwrap();
    let cut = restore();
    assert!(cut.code == Some(FAILED) && cut.stderr.contains("byte 3000"), "{cut:?}");
    let mut later = good;
    later[12] = 2;
    let checksum = crc32c::crc32c(&later[12..512]);
    later[8..12].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&file, &later).unwrap();
    let later = restore();
    assert_eq!(later.code, Some(BAD_CONFIGURATION), "{later:?}");
    assert!(
        later.stderr.contains("version 2") && later.stderr.contains("the release that wrote it"),
        "{later:?}"
    );
    let occupied = folder.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("thesis.doc"), "").unwrap();
    let refused = quorate(&["restore", text(&fixture), "--data-dir", text(&occupied)]);
    assert!(refused.code == Some(PRECONDITION) && refused.stderr.contains("thesis.doc"), "{refused:?}");
}

#[test]
fn a_restore_is_finished_by_the_same_command_after_kill_9() {
    let mut cluster = filled(1, 4, &[]);
    let folder = tempfile::tempdir().unwrap();
    let (file, url) = (folder.path().join("file"), cluster.nodes[0].url());
    record(&quorate(&["backup", text(&file), "--endpoints", &url, "-o", "json"]));
    let export = cluster.nodes[0].client().get("/data.json").text();
    cluster.nodes[0].stop();
    let (rounds, mut random) = (scaled(4), Random::new(23));
    let (mut kills, mut begun_in, mut whole) = (0, 0, 0);
    for round in 0..rounds {
        let mut node = Node::new(QUORATE, folder.path().to_owned(), &format!("node-{round}"), &[]);
        let dir = node.data_dir();
        let arguments = ["restore", text(&file), "--data-dir", text(&dir)];
        for _ in 0..3 {
            let mut running = begun(folder.path(), &format!("restore-{round}"), &arguments);
            // Sometimes while it verifies, mostly while it writes.
            let verifies = random.below(4) == 0;
            if !verifies {
                wait_until("the restore to write", PATIENCE, || {
                    (dir.join("node.toml").exists() || running.ended().is_some()).then_some(())
                });
            }
            let since = Instant::now();
            let pause = Duration::from_millis(random.between(0, if verifies { 120 } else { 25 }));
            wait_until("time to pass", PATIENCE, || (since.elapsed() >= pause).then_some(()));
            running.kill();
            kills += 1;
            if is_begun(&dir) {
                begun_in += 1;
                let refused = quorate(&["serve", "--data-dir", text(&dir), "--bootstrap"]);
                assert_eq!(refused.code, Some(BAD_CONFIGURATION), "{refused:?}");
                assert!(refused.stderr.contains("quorate restore"), "{refused:?}");
                let inspected = quorate(&["inspect", text(&dir)]);
                assert!(inspected.stdout.contains("restoring"), "{inspected:?}");
            }
        }
        let finished = quorate(&arguments);
        match finished.code {
            Some(0) => {}
            // The last kill came too late.
            Some(PRECONDITION) => whole += 1,
            _ => panic!("{finished:?}"),
        }
        let verified = quorate(&["verify", text(&dir)]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        node.start(&[]);
        node.wait_until_led();
        assert!(node.client().get("/data.json").text() == export, "another content");
        assert!(node.status().unwrap()["revision"].as_u64().unwrap() > JUMP);
        node.kill();
    }
    println!(
        "{rounds} data dirs, restores killed {kills} times, {begun_in} times with half of it there, {whole} times \
         too late: all served"
    );
}

/// Whether a restore was begun there and not finished.
fn is_begun(dir: &Path) -> bool {
    fs::read_to_string(dir.join("node.toml")).is_ok_and(|node| !node.contains("cluster"))
}

/// From the backup of a cluster of three to a new one of three, which the old members don't get into.
#[test]
fn a_restored_node_serves_all_keys_lets_others_join_and_keeps_old_members_out() {
    let mut cluster = filled(3, 1, &[]);
    let leader = cluster.leader();
    let mut client = cluster.nodes[leader].client();
    for number in 0..50 {
        assert_eq!(client.post(&format!("/key/{number}"), number.to_string().as_bytes()).status, 200);
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, url) = (folder.path().join("file"), cluster.nodes[leader].url());
    let taken = record(&quorate(&["backup", text(&file), "--endpoints", &url, "-o", "json"]));
    let export = client.get("/data.json").text();
    let lost = client.post("/key/after", b"the backup");
    assert_eq!(lost.status, 200);
    cluster.nodes.iter_mut().for_each(Node::kill);

    // Node 0's machine gets it, at the same addresses.
    cluster.nodes[0].wipe();
    let dir = cluster.nodes[0].data_dir();
    let restored = record(&quorate(&["restore", text(&file), "--data-dir", text(&dir), "-o", "json"]));
    assert_eq!((&restored["cluster"], &restored["history_before"]), (&taken["cluster"], &taken["history"]));
    cluster.nodes[0].start(&[]);
    cluster.nodes[0].wait_until_led();
    let mut client = cluster.nodes[0].client();
    let answer = client.get("/data.json");
    assert!(answer.text() == export, "another content");
    assert_eq!(answer.header("quorate-history"), restored["history"].as_str());
    assert_ne!(restored["history"], taken["history"]);
    let put = client.post("/key/again", b"value");
    let revision: u64 = put.header("quorate-revision").unwrap().parse().unwrap();
    let before: u64 = lost.header("quorate-revision").unwrap().parse().unwrap();
    assert!(revision > JUMP && revision - JUMP == taken["revision"].as_u64().unwrap() + 1 && before < JUMP);

    old_members_stay_out(&mut cluster, &restored, &taken);
    for old in [1, 2] {
        cluster.nodes[old].put_down();
        cluster.nodes[old].wipe();
        let url = cluster.nodes[0].url();
        cluster.nodes[old].start(&["--join", &url]);
        cluster.nodes[old].wait_until_led();
        cluster.wait_for_voters(old + 1);
    }
    for number in 0..3 {
        cluster.wait_until_caught_up(number);
        assert_eq!(cluster.nodes[number].client().get("/key/again").text(), "value");
        assert_eq!(cluster.nodes[number].status().unwrap()["history"], restored["history"]);
    }
    // And a backup of it is one of the new history.
    let url = cluster.nodes[2].url();
    let next = folder.path().join("next");
    let again = record(&quorate(&["backup", text(&next), "--endpoints", &url, "-o", "json"]));
    assert_eq!(again["history"], restored["history"]);
    assert!(again["revision"].as_u64().unwrap() >= revision);
}

/// They are two of three to each other, serve what they had, and nothing of it reaches the restored one.
fn old_members_stay_out(cluster: &mut Cluster, restored: &Value, taken: &Value) {
    let term = cluster.nodes[0].status().unwrap()["term"].clone();
    for old in [1, 2] {
        cluster.nodes[old].start(&[]);
    }
    for old in [1, 2] {
        cluster.nodes[old].wait_until_led();
        let answer = cluster.nodes[old].client().get("/key/after");
        assert_eq!((answer.status, answer.header("quorate-history")), (200, taken["history"].as_str()));
    }
    wait_until("an old member to be refused", PATIENCE, || {
        let log = cluster.nodes[0].process().stderr();
        let history = taken["history"].as_str().unwrap();
        let refused = |line: &str| line.contains("refused a peer's connection") && line.contains(history);
        log.lines().any(refused).then_some(())
    });
    let old = cluster.nodes[1].status().unwrap();
    let (id, raft, url) =
        (old["id"].as_str().unwrap(), cluster.nodes[1].raft().to_string(), cluster.nodes[0].url());
    let added = quorate(&["add", id, &raft, "--endpoints", &url]);
    assert!(added.code != Some(0) && added.stderr.contains("another history"), "{added:?}");
    let status = cluster.nodes[0].status().unwrap();
    assert_eq!(
        (&status["term"], &status["role"]),
        (&term, &"leader".into()),
        "nobody disturbed it: {status}"
    );
    assert_eq!(status["history"], restored["history"]);
    assert_eq!(cluster.nodes[0].client().get("/key/after").status, 404);
    let members = cluster.nodes[0].client().get("/raft/members").json();
    assert_eq!(members["members"].as_array().unwrap().len(), 1, "{members}");
}
