//! Backups: what is in one, and what interrupts it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use quorate_sim::random::Random;
use quorate_sim::trials::scaled;
use quorate_storage::backup::Verifier;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::wait_until;
use quorate_tests::http::Client;
use quorate_tests::program::Running;

use super::{LOAD_LIMIT, PRECONDITION, QUORATE, begun, filled, length, partial, quorate, read, record, text};

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
        // Killed when all of it was there: then the next run asks for one of that time.
        let mut was_whole = false;
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
            was_whole |= is_whole(&partial(&file));
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
                assert!((was_whole || resumed > 0) && resumed <= length(&file), "{resumed}");
                break;
            }
        }
        let (header, kv) = read(&file);
        let is_begun = header.revision.0 == revision;
        assert!(
            is_begun || was_whole && header.revision.0 > revision,
            "it is of revision {}",
            header.revision
        );
        assert_eq!(kv.get(b"large/2").unwrap().value.len(), 1 << 20);
        assert!(!partial(&file).exists());
        let again = quorate(&arguments);
        assert_eq!(again.code, Some(PRECONDITION), "{again:?}");
        assert!(again.stderr.contains("--overwrite"), "{again:?}");
    }
    assert!(caught > 0, "none was killed under way");
    println!("{rounds} backups, killed {caught} times under way, {torn} times with a torn file: all whole");
}

fn is_whole(file: &Path) -> bool {
    let mut verifier = Verifier::new();
    fs::read(file).is_ok_and(|bytes| verifier.feed(&bytes).is_ok()) && verifier.is_complete()
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
    assert!(kills > 0, "none was killed under way");
    println!(
        "{rounds} backups, {kills} times the node that sent one was killed, {anew} begun again: all whole"
    );
}

/// The largest run of a node.
fn largest_run(cluster: &Cluster) -> PathBuf {
    let snaps = fs::read_dir(cluster.nodes[0].data_dir().join("snaps")).unwrap();
    let runs = snaps.map(|entry| entry.unwrap().path()).filter(|path| text(path).ends_with(".run"));
    runs.max_by_key(|path| length(path)).unwrap()
}

/// Flips a bit of a file under the node that has it open.
fn rot(file: &Path, at: u64) {
    let mut byte = [0];
    let file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Nobody writes, so there would never be another checkpoint. What is in memory is sound: it is written anew.
#[test]
fn a_rotten_block_does_not_keep_an_idle_node_from_being_backed_up() {
    let cluster = filled(1, 2, &[]);
    assert_eq!(cluster.nodes[0].client().post("/raft/snapshot", b"").status, 200);
    let revision = cluster.nodes[0].status().unwrap()["revision"].as_u64().unwrap();
    let run = largest_run(&cluster);
    rot(&run, length(&run) / 2);

    let (folder, url) = (tempfile::tempdir().unwrap(), cluster.nodes[0].url());
    let file = folder.path().join("backup");
    let taken = record(&quorate(&["backup", text(&file), "--endpoints", &url, "-o", "json"]));
    let (header, kv) = read(&file);
    assert_eq!((header.revision.0, &taken["revision"]), (revision, &revision.into()));
    for number in [0_u8, 1] {
        assert!(*kv.get(format!("large/{number}").as_bytes()).unwrap().value == vec![b'a' + number; 1 << 20]);
    }
}

/// It was begun with a checkpoint that is kept and not the newest any more, and the rest of that has gone bad: whoever
/// goes on with it breaks off there, however often.
#[test]
fn a_backup_of_an_older_checkpoint_that_has_gone_bad_begins_again() {
    let cluster = filled(1, 3, &["--backup-rate", "1MiB"]);
    let (folder, url) = (tempfile::tempdir().unwrap(), cluster.nodes[0].url());
    let file = folder.path().join("backup");
    let arguments = ["backup", text(&file), "--endpoints", &url, "-o", "json"];
    let mut running = begun(folder.path(), "begun", &arguments);
    wait_for_growth(&file, 300_000, &mut running);
    running.kill();
    let (first, run) = (revision_of(&partial(&file)).unwrap(), largest_run(&cluster));
    assert!(!file.exists() && length(&partial(&file)) + 200_000 < length(&run));
    assert_eq!(cluster.nodes[0].client().post("/key/later", b"value").status, 200);
    assert_eq!(cluster.nodes[0].client().post("/raft/snapshot", b"").status, 200);
    rot(&run, length(&run) - 100_000);

    let mut again = begun(folder.path(), "again", &arguments);
    let status = again.wait("the backup to end", LOAD_LIMIT);
    assert_eq!(status.code(), Some(0), "{}", again.stderr());
    assert!(again.stderr().contains("begins again"), "{}", again.stderr());
    let (header, kv) = read(&file);
    assert!(header.revision.0 > first && kv.get(b"later").is_some());
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
