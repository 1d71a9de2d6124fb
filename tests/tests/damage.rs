//! Real data dirs of a loaded cluster, hurt at random while it is down.
//!
//! On one node anything may be hurt; on all three, different places, so that of each entry one intact copy stays. Then
//! the cluster comes back with every acknowledged write, and its disks are whole again afterwards. A node that lost
//! something for which it has no substitute comes back under a new id, or says what that is and ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_sim::random::Random;
use quorate_storage::lending::{Wanted, lend};
use quorate_storage::mending::{Mending, Step};
use quorate_storage::{FileDisk, OpenError, Options, Overlay, Storage};
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::harm::{Before, Harm, files, replace_directory};
use quorate_tests::load::{Ledger, Load};
use tempfile::TempDir;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");
/// Far more than it needs: a machine may be busy with other tests.
const LOAD_LIMIT: Duration = Duration::from_secs(120);
/// How many trials use one load.
const TRIALS_A_LOAD: u64 = 10;

/// What a data dir holds, as the node would find it.
#[derive(Debug)]
struct Holds {
    last: u64,
    checkpoint: u64,
    /// The intact slots of the log, with their terms.
    intact: BTreeMap<u64, u64>,
    damaged: BTreeSet<u64>,
    unknown: Option<u64>,
}

impl Holds {
    fn at(data_dir: &Path) -> Result<Holds, OpenError> {
        Holds::on(Overlay::new(FileDisk::read_only(data_dir)))
    }

    fn on(disk: Overlay<FileDisk>) -> Result<Holds, OpenError> {
        let (_, found) = Storage::open(disk, Options::new(0))?;
        let checkpoint = found.snapshot.as_ref().map_or(0, |meta| meta.last.index.0);
        let damaged: BTreeSet<u64> = found.damaged.iter().map(|id| id.index.0).collect();
        let (base, last) = (found.terms.base().index, found.terms.last().index);
        let mut intact = BTreeMap::new();
        let mut next = base.next();
        while next <= last {
            let term = found.terms.term(next).unwrap().0;
            if !damaged.contains(&next.0) {
                intact.insert(next.0, term);
            }
            next = next.next();
        }
        let unknown = found.unknown.map(|index| index.0);
        Ok(Holds { last: last.0, checkpoint, intact, damaged, unknown })
    }

    /// What is lost of the log and not made up for by a checkpoint.
    fn is_whole(&self) -> bool {
        self.unknown.is_none() && self.damaged.iter().all(|index| *index <= self.checkpoint)
    }
}

/// A loaded cluster that was ended by `kill -9`, and its data dirs as they were then.
struct Ruins {
    cluster: Cluster,
    kept: TempDir,
    ledger: Ledger,
    healthy: Vec<Holds>,
}

impl Ruins {
    /// `writes` decides how much of the log checkpoints have taken the place of.
    fn new(writes: u64, flags: &[&str], seed: u64) -> Ruins {
        let mut cluster = Cluster::start_with(QUORATE, 3, flags);
        let addresses = cluster.nodes.iter().map(|node| node.http()).collect();
        let loading = Load { addresses, writers: 48, value_bytes: 1200, seed }.start();
        loading.wait_for(writes, LOAD_LIMIT);
        cluster.nodes.iter_mut().for_each(|node| node.kill());
        let ledger = loading.finish();
        let kept = tempfile::tempdir().unwrap();
        let healthy = (0..3).map(|number| {
            let copy = kept.path().join(number.to_string());
            replace_directory(&cluster.nodes[number].data_dir(), &copy).unwrap();
            Holds::at(&copy).unwrap()
        });
        let healthy = healthy.collect();
        Ruins { cluster, kept, ledger, healthy }
    }

    fn of_load(number: u64) -> Ruins {
        let flags = ["--max-value-bytes", "16KiB", "--segment-bytes"];
        match number % 2 {
            // The log begins after a checkpoint, whose loss nothing makes up for.
            1 => {
                Ruins::new(14_000, &[&flags[..], &["512KiB", "--snapshot-entries", "4000"]].concat(), number)
            }
            // There is nothing but the log.
            _ => Ruins::new(2_500, &[&flags[..], &["128KiB"]].concat(), number),
        }
    }

    fn restore(&self) {
        for (number, node) in self.cluster.nodes.iter().enumerate() {
            replace_directory(&self.kept.path().join(number.to_string()), &node.data_dir()).unwrap();
        }
    }

    fn dir(&self, number: usize) -> PathBuf {
        self.cluster.nodes[number].data_dir()
    }

    /// Whether this node has lost nothing but what it knows to have lost. Zeros over a last batch that no mark follows
    /// read like a batch that was never synced (FORMAT.md, Recovery).
    fn tells(&self, number: usize, holds: &Result<Holds, OpenError>) -> bool {
        holds.as_ref().map_or(true, |now| now.unknown.is_some() || now.last >= self.healthy[number].last)
    }

    /// What the nodes hold once they have mended each other's checkpoints, as far as they can.
    fn mended(&self) -> Vec<Result<Holds, OpenError>> {
        let disks: Vec<_> =
            (0..3).map(|number| Overlay::new(FileDisk::read_only(self.dir(number)))).collect();
        let mut waiting: Vec<_> = (0..3)
            .filter_map(|number| match Storage::open(disks[number].clone(), Options::new(0)) {
                Err(OpenError::CheckpointLost { base, .. }) => {
                    Some((number, Mending::new(disks[number].clone(), base)))
                }
                _ => None,
            })
            .collect();
        let mut gets_on = true;
        while std::mem::take(&mut gets_on) {
            waiting.retain_mut(|(number, mending)| {
                let peers = || (0..3).filter(|peer| peer != number).map(|peer| &disks[peer]);
                mending.begin();
                for peer in peers() {
                    mending.offer(&lend(peer, &Wanted::List).unwrap());
                }
                loop {
                    match mending.step().unwrap() {
                        Step::Ask(wanted) => {
                            let takes = |piece: Vec<u8>| mending.take(&piece).unwrap();
                            if peers().filter_map(|peer| lend(peer, &wanted)).any(takes) {
                                gets_on = true;
                            } else {
                                mending.pass();
                            }
                        }
                        Step::Whole(_) => {
                            gets_on = true;
                            return false;
                        }
                        Step::Nothing => return true,
                    }
                }
            });
        }
        disks.into_iter().map(Holds::on).collect()
    }

    /// Whether an intact copy of everything is left where a majority finds it.
    fn can_come_back(&self, holds: &[Result<Holds, OpenError>]) -> bool {
        let mended = holds.iter().any(Result::is_err).then(|| self.mended());
        let holds = mended.as_deref().unwrap_or(holds);
        let Ok(now) = holds.iter().map(Result::as_ref).collect::<Result<Vec<&Holds>, _>>() else {
            return false;
        };
        let longest = self.healthy.iter().max_by_key(|healthy| healthy.last).unwrap();
        let checkpoint = now.iter().map(|holds| holds.checkpoint).max().unwrap();
        let copied = |index: &u64| {
            let term = longest.intact.get(index);
            now.iter().any(|holds| term.is_some() && holds.intact.get(index) == term)
        };
        (checkpoint + 1..=longest.last).all(|index| copied(&index))
            && now.iter().filter(|holds| holds.unknown.is_some()).count() <= 1
    }
}

/// What was done in all trials.
#[derive(Default)]
struct Tally {
    harms: BTreeMap<(Harm, String), u32>,
    taken_back: u32,
    slots_lost: usize,
    tails_lost: u32,
    refused: u32,
    mended: u32,
    new_ids: u32,
}

/// A file to hurt, of those that a node may lose one of.
fn target(data_dir: &Path, spared: &str, random: &mut Random) -> (String, PathBuf) {
    let mut all = Vec::new();
    for (directory, end) in [("log", ".log"), ("log", ".log"), ("log", ".log"), ("snaps", ""), ("stable", "")]
    {
        let mut paths = files(data_dir, directory, end).unwrap();
        paths.retain(|path| !path.ends_with(spared));
        if !paths.is_empty() {
            all.push((directory.to_owned(), paths));
        }
    }
    let (directory, paths) = &all[random.below(all.len())];
    (directory.clone(), paths[random.below(paths.len())].clone())
}

/// Hurts these nodes, each so often, but not so that `allowed` says no. What was done, and what each node holds now.
fn hurt(
    ruins: &Ruins,
    victims: &[usize],
    times: u64,
    random: &mut Random,
    tally: &mut Tally,
    allowed: impl Fn(&Ruins, &[Result<Holds, OpenError>]) -> bool,
) -> (Vec<String>, Vec<Result<Holds, OpenError>>) {
    let mut holds: Vec<_> = (0..3).map(|number| Holds::at(&ruins.dir(number))).collect();
    let mut done = Vec::new();
    for &number in victims {
        let spared = ["stable/a", "stable/b"][random.below(2)];
        let mut left = times;
        for _ in 0..times * 20 {
            let (directory, path) = target(&ruins.dir(number), spared, random);
            let harm = Harm::ALL[random.below(Harm::ALL.len())];
            let before = Before::of(&path).unwrap();
            let said = harm.strike(&path, random).unwrap();
            let old = std::mem::replace(&mut holds[number], Holds::at(&ruins.dir(number)));
            if !ruins.tells(number, &holds[number]) || !allowed(ruins, &holds) {
                before.restore().unwrap();
                holds[number] = old;
                tally.taken_back += 1;
                continue;
            }
            *tally.harms.entry((harm, directory)).or_default() += 1;
            done.push(said);
            left -= 1;
            if left == 0 {
                break;
            }
        }
    }
    (done, holds)
}

/// One node loses all of its log, its checkpoints, or its term and vote to one kind of damage.
fn hurt_whole_directory(
    ruins: &Ruins,
    random: &mut Random,
    tally: &mut Tally,
) -> (Vec<String>, Vec<Result<Holds, OpenError>>) {
    let victim = random.below(3);
    let (directory, end) = [("log", ".log"), ("snaps", ""), ("stable", "")][random.below(3)];
    let harm = Harm::ALL[random.below(Harm::ALL.len())];
    let paths = files(&ruins.dir(victim), directory, end).unwrap();
    let done = paths.iter().map(|path| harm.strike(path, random).unwrap()).collect();
    let look = || (0..3).map(|number| Holds::at(&ruins.dir(number))).collect::<Vec<_>>();
    let holds = look();
    if !ruins.tells(victim, &holds[victim]) {
        tally.taken_back += 1;
        ruins.restore();
        return (Vec::new(), look());
    }
    *tally.harms.entry((harm, format!("all of {directory}"))).or_default() += 1;
    (done, holds)
}

/// Starts all nodes, and returns those that serve in the end. One that can start heals; one that has lost what it must
/// not forget comes back under a new id, or says what is lost and ends.
#[allow(clippy::print_stdout, reason = "the tally says why")]
fn start(ruins: &mut Ruins, holds: &[Result<Holds, OpenError>], tally: &mut Tally) -> Vec<usize> {
    for node in &mut ruins.cluster.nodes {
        node.start(&[]);
    }
    let mut serving = Vec::new();
    for (number, holds) in holds.iter().enumerate() {
        let node = &mut ruins.cluster.nodes[number];
        let (mut seen, mut has_ended) = (None, false);
        wait_until(&format!("node {number} to be ready, or to end: {holds:?}"), PATIENCE, || {
            has_ended = node.ended().is_some();
            seen = node.readiness().or(seen.take());
            (has_ended || seen.as_ref().is_some_and(|(ready, _)| *ready)).then_some(())
        });
        match (holds, has_ended) {
            (Ok(_), false) => serving.push(number),
            (Err(_), false) => {
                serving.push(number);
                if node.log_tail().contains("a checkpoint was mended with pieces from peers") {
                    tally.mended += 1;
                } else {
                    tally.new_ids += 1;
                }
            }
            (Ok(_), true) => panic!("node {number} ended:\n{}", node.log_tail()),
            (Err(error), true) => {
                let (log, error) = (node.log_tail(), error.to_string());
                // Where all of stable/ is gone, it's not the storage that says so.
                let said = [error.split(';').next().unwrap(), "stable is missing"];
                assert!(said.iter().any(|said| log.contains(said)), "no {error:?} in:\n{log}");
                println!("node {number} refuses to start: {error}");
                tally.refused += 1;
            }
        }
    }
    serving
}

/// Every node that serves has every acknowledged write, and takes new ones; afterwards its disk is whole.
fn check(ruins: &mut Ruins, serving: &[usize], seed: u64) {
    let new = format!("after trial {seed}");
    let written = ruins.cluster.nodes[serving[0]].client().post("/key/after", new.as_bytes());
    assert_eq!(written.status, 200, "{}", written.text());
    for &number in serving {
        let mut client = ruins.cluster.nodes[number].client();
        let export = client.get("/data.json");
        assert_eq!(export.status, 200, "{}", export.text());
        ruins.ledger.check(&export.json()).unwrap_or_else(|lost| panic!("node {number}: {lost}"));
        assert_eq!(client.get("/key/after").text(), new);
    }
    ruins.cluster.nodes.iter_mut().for_each(|node| node.put_down());
    for &number in serving {
        let healed = Holds::at(&ruins.dir(number)).unwrap();
        assert!(healed.is_whole(), "node {number} still lacks {:?}, {:?}", healed.damaged, healed.unknown);
    }
}

/// Prints what was done, if the trial fails.
struct Trial {
    seed: u64,
    done: Vec<String>,
}

impl Drop for Trial {
    #[allow(clippy::print_stdout, reason = "a failed trial shows what was done")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("trial with QUORATE_SEED={}:\n{}", self.seed, self.done.join("\n"));
        }
    }
}

fn trial(ruins: &mut Ruins, seed: u64, tally: &mut Tally) {
    let mut random = Random::new(seed);
    ruins.restore();
    let (done, holds) = match seed % 4 {
        0 => {
            let (victim, times) = (random.below(3), random.between(1, 12));
            hurt(ruins, &[victim], times, &mut random, tally, |_, _| true)
        }
        2 => hurt_whole_directory(ruins, &mut random, tally),
        _ => {
            let times = random.between(1, 8);
            hurt(ruins, &[0, 1, 2], times, &mut random, tally, Ruins::can_come_back)
        }
    };
    let trial = Trial { seed, done };
    tally.slots_lost += holds.iter().flatten().map(|holds| holds.damaged.len()).sum::<usize>();
    tally.tails_lost += u32::from(holds.iter().flatten().any(|holds| holds.unknown.is_some()));
    let serving = start(ruins, &holds, tally);
    check(ruins, &serving, seed);
    drop(trial);
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_is_damaged_the_cluster_comes_back_with_every_acknowledged_write() {
    let trials = 20 * setting("QUORATE_TRIALS").unwrap_or(1);
    let chosen = setting("QUORATE_SEED");
    let mut tally = Tally::default();
    for load in 0..trials.div_ceil(TRIALS_A_LOAD) {
        let seeds = load * TRIALS_A_LOAD..(load + 1) * TRIALS_A_LOAD;
        let seeds: Vec<u64> = seeds.filter(|seed| chosen.is_none_or(|chosen| chosen == *seed)).collect();
        if seeds.is_empty() {
            continue;
        }
        let mut ruins = Ruins::of_load(load);
        println!("load {load}: {} keys, up to {}", ruins.ledger.keys(), ruins.healthy[0].last);
        seeds.into_iter().for_each(|seed| trial(&mut ruins, seed, &mut tally));
    }
    for ((harm, directory), count) in &tally.harms {
        println!("{count:>5} {harm:?} in {directory}/");
    }
    println!(
        "{} slots and {} tails were lost, {} nodes mended their checkpoints, {} came back under new ids, {} refused to \
         start, {} harms would have been too much",
        tally.slots_lost, tally.tails_lost, tally.mended, tally.new_ids, tally.refused, tally.taken_back
    );
    println!("{trials} trials, nothing lost");
}

/// Whether a line of the log says that this slot is damaged.
fn names_damaged(line: &str, slot: u64) -> bool {
    let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let index = |field: &str| line[field].as_str()?.rsplit('/').next()?.parse::<u64>().ok();
    let says = line["message"].as_str().is_some_and(|message| message.contains("damaged on disk"));
    says && index("first").zip(index("last")).is_some_and(|(first, last)| (first..=last).contains(&slot))
}

/// Slots that no node has any more are not made up: nothing is read past them, their names are in the log, and a copy
/// that comes back is enough for all.
#[test]
fn what_no_copy_is_left_of_is_named_and_waited_for() {
    let mut ruins = Ruins::of_load(0);
    ruins.restore();
    let mut random = Random::new(5);
    let mut lost = BTreeSet::new();
    let mut holds = Vec::new();
    // The batches of the nodes differ, so the same places hold different slots; but not all of them, for long.
    while lost.is_empty() {
        let number = random.below(3);
        let paths = files(&ruins.dir(number), "log", ".log").unwrap();
        Harm::Zeroed.strike(&paths[paths.len() / 2], &mut random).unwrap();
        holds = (0..3).map(|number| Holds::at(&ruins.dir(number)).unwrap()).collect();
        let [one, other, third] = [0, 1, 2].map(|number: usize| &holds[number].damaged);
        lost = one.iter().copied().filter(|index| other.contains(index) && third.contains(index)).collect();
    }
    assert!(holds.iter().all(|holds| holds.unknown.is_none()), "the ends of the logs are whole");
    let first = lost.first().copied().unwrap();
    for node in &mut ruins.cluster.nodes {
        node.start(&[]);
    }
    for (number, node) in ruins.cluster.nodes.iter_mut().enumerate() {
        node.wait_until_up();
        wait_until(&format!("node {number} to name slot {first}"), PATIENCE, || {
            node.log_tail().lines().any(|line| names_damaged(line, first)).then_some(())
        });
        let read = node.client().get("/data.json?timeout=2s");
        assert!(matches!(read.status, 503 | 504), "node {number} reads past {first}: {}", read.status);
        let (ready, why) = node.readiness().unwrap();
        assert!(!ready && why["checks"]["disk"]["status"] == "failed", "{why}");
    }
    // One of them was restored from a copy.
    let node = &mut ruins.cluster.nodes[0];
    node.put_down();
    replace_directory(&ruins.kept.path().join("0"), &node.data_dir()).unwrap();
    node.start(&[]);
    for node in &ruins.cluster.nodes {
        wait_until("all to be ready", PATIENCE, || node.readiness().filter(|(ready, _)| *ready));
    }
    check(&mut ruins, &[0, 1, 2], 0);
    println!("{} slots were lost everywhere, {first} first: named, waited for, and back", lost.len());
}
