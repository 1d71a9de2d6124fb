//! Restores: what is made of a backup, what of one that is none, and what interrupts it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use quorate_sim::random::Random;
use quorate_sim::trials::scaled;
use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use serde_json::Value;

use super::{
    BAD_CONFIGURATION, FAILED, PRECONDITION, QUORATE, UNAVAILABLE, begun, filled, quorate, read, record, text,
};

/// How much higher a restored store's revision is.
const JUMP: u64 = 1 << 40;

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
    assert!(begun_in > 0 && whole < rounds, "no restore was killed with half of it there");
    println!(
        "{rounds} data dirs, restores killed {kills} times, {begun_in} times with half of it there, {whole} times \
         too late: all served"
    );
}

/// Whether a restore was begun there and not finished.
fn is_begun(dir: &Path) -> bool {
    fs::read_to_string(dir.join("node.toml")).is_ok_and(|node| node.contains("restoring"))
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
