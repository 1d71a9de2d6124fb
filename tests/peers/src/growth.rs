//! One node, and more and more keys in it: what a key takes, whether it gets slower, how long it takes to come back.
//!
//! A node of each system stands beside the other, and they are measured in turn. For each number of keys: those that
//! lack are written; then any of them are written again; then the node is killed (`kill -9`), started, and asked until
//! a linearizable read is answered.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::ask::ask_for;
use crate::clusters::{Cluster, Kind};
use crate::conditions;
use crate::loader::{at_random, in_order, put};
use crate::options::Options;
use crate::process::{resident_bytes, wait_until};
use crate::results::{Checkpoints, Growth, GrowthSample, System};

/// Beyond what is asked for, with `--large`.
const LARGE: usize = 10_000_000;
/// With fewer keys a checkpoint is over before it is seen.
const LEAST_FOR_CHECKPOINTS: usize = 50_000;
/// A checkpoint may take so long.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(300);

/// A node that grows.
struct Grower {
    cluster: Cluster,
    keys: usize,
    empty_bytes: f64,
}

/// Measures all of it; says on standard error how it goes.
pub(crate) fn run(options: &Options) -> Result<Growth> {
    let conditions = conditions::now(options)?;
    let folder = tempfile::tempdir_in(&options.folder)?;
    let start = |kind, name: &str| Grower::start(kind, &options.quorate, &folder.path().join(name));
    let mut growers = vec![start(Kind::Quorate, "quorate")?, start(Kind::Etcd, "etcd")?];
    let (mut samples, mut checkpoints) = (Vec::new(), Vec::new());
    let mut sizes = options.keys.clone();
    sizes.extend(options.large.then_some(LARGE));
    for keys in sizes {
        growers.truncate(if keys == LARGE { 1 } else { 2 });
        for grower in &mut growers {
            let sample = grower.grow_to(keys, options)?;
            eprintln!(
                "{keys} keys, {}: {:.0} puts/s, {:.0} bytes a key, {:.0} ms to start",
                sample.system.name(),
                sample.put_per_second,
                sample.bytes_per_key,
                sample.restart_ms,
            );
            samples.push(sample);
        }
        if keys >= LEAST_FOR_CHECKPOINTS {
            checkpoints.push(growers[0].checkpoints(options)?);
        }
    }
    Ok(Growth { conditions, samples, checkpoints })
}

impl Grower {
    fn start(kind: Kind, quorate: &Path, folder: &Path) -> Result<Self> {
        let cluster = Cluster::start(kind, quorate, folder, 1)?;
        let empty_bytes = resident_bytes(cluster.nodes[0].process.pid())?;
        Ok(Self { cluster, keys: 0, empty_bytes })
    }

    fn grow_to(&mut self, keys: usize, options: &Options) -> Result<GrowthSample> {
        let (kind, address) = (self.cluster.kind, self.cluster.nodes[0].address);
        ensure!(keys > self.keys, "numbers of keys have to grow");
        let loaded = put(kind, address, in_order(self.keys..keys))?;
        self.keys = keys;
        let bytes = resident_bytes(self.cluster.nodes[0].process.pid())? - self.empty_bytes;
        let end = Instant::now() + Duration::from_secs(options.seconds);
        let again = put(kind, address, at_random(keys, || Instant::now() < end))?;
        let restart_ms = self.restart()?.as_secs_f64() * 1000.0;
        Ok(GrowthSample {
            system: if kind == Kind::Quorate { System::Quorate } else { System::Etcd },
            keys,
            load_per_second: loaded.per_second,
            load_most_ms: loaded.latencies.most_us / 1000.0,
            load_silence_ms: loaded.silence_us / 1000.0,
            bytes_per_key: bytes / keys as f64,
            put_per_second: again.per_second,
            put_p99_ms: again.latencies.p99_us / 1000.0,
            restart_ms,
        })
    }

    /// How long it takes from `kill -9` to the first linearizable read.
    fn restart(&mut self) -> Result<Duration> {
        let kind = self.cluster.kind;
        let node = &mut self.cluster.nodes[0];
        let began = Instant::now();
        node.process.kill();
        node.process.start()?;
        wait_until("a read after the restart", || Ok(node.serves(kind).then_some(())))?;
        Ok(began.elapsed())
    }

    /// Puts with one checkpoint after the other beside them, and without.
    fn checkpoints(&self, options: &Options) -> Result<Checkpoints> {
        let address = self.cluster.nodes[0].address;
        let time = Duration::from_secs(options.seconds);
        let end = Instant::now() + time;
        let before = put(Kind::Quorate, address, at_random(self.keys, || Instant::now() < end))?;
        let over = AtomicBool::new(false);
        let (during, taken) = std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let (end, mut taken) = (Instant::now() + time, 0);
                while Instant::now() < end || taken == 0 {
                    let answer = ask_for(address, "POST", "/raft/snapshot", "", CHECKPOINT_TIMEOUT);
                    taken += 1;
                    if !answer.is_ok_and(|(status, _)| status == 200) {
                        break;
                    }
                }
                over.store(true, Ordering::Relaxed);
                taken
            });
            let goes_on = || !over.load(Ordering::Relaxed);
            let during = put(Kind::Quorate, address, at_random(self.keys, goes_on));
            (during, taker.join())
        });
        Ok(Checkpoints {
            keys: self.keys,
            taken: taken.ok().context("taking checkpoints failed")?,
            p99_before_ms: before.latencies.p99_us / 1000.0,
            p99_during_ms: during?.latencies.p99_us / 1000.0,
        })
    }
}
