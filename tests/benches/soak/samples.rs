//! What the nodes take, looked at again and again.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::memory::resident_bytes;

use crate::clients::Clients;

/// What one node takes at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) memory_bytes: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    pub(crate) disk_bytes: u64,
}

/// What to call it, and how to get it.
type Measure = (&'static str, fn(&Taken) -> f64);

pub(crate) const MEASURES: [Measure; 4] = [
    ("memory in MB", |taken| taken.memory_bytes as f64 / 1e6),
    ("file descriptors", |taken| taken.descriptors as f64),
    ("threads", |taken| taken.threads as f64),
    ("data dir in MB", |taken| taken.disk_bytes as f64 / 1e6),
];

/// All of them at a time, and what was served since the sample before.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) nodes: Vec<Taken>,
}

impl Sample {
    /// The last of several, with the worst of all latencies and the mean of what was served.
    pub(crate) fn worst_of(samples: &[Self]) -> Self {
        let worst = |of: fn(&Self) -> f64| samples.iter().map(of).fold(0.0, f64::max);
        Self {
            per_second: samples.iter().map(|sample| sample.per_second).sum::<f64>() / samples.len() as f64,
            p50_ms: worst(|sample| sample.p50_ms),
            p99_ms: worst(|sample| sample.p99_ms),
            max_ms: worst(|sample| sample.max_ms),
            ..samples[samples.len() - 1].clone()
        }
    }

    pub(crate) const HEADER: &str = " minute  requests/s   p50 ms   p99 ms   max ms   node by node: memory in MB, descriptors, data dir in MB";
}

impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minute = self.at.as_secs_f64() / 60.0;
        let Self { per_second, p50_ms, p99_ms, max_ms, .. } = self;
        write!(formatter, "{minute:7.1} {per_second:11.0} {p50_ms:8.2} {p99_ms:8.2} {max_ms:8.0}  ")?;
        for Taken { memory_bytes, descriptors, disk_bytes, .. } in &self.nodes {
            write!(
                formatter,
                " {:6} {descriptors:4} {:5};",
                memory_bytes / 1_000_000,
                disk_bytes / 1_000_000
            )?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Sampler {
    began: Instant,
    last: Instant,
    answered: u64,
}

impl Sampler {
    pub(crate) fn new(clients: &Clients) -> Self {
        // What was before does not count.
        let _ = clients.take_latencies();
        Self { began: Instant::now(), last: Instant::now(), answered: clients.answered() }
    }

    /// How long it is until so long after the beginning.
    pub(crate) fn until(&self, after: Duration) -> Duration {
        after.saturating_sub(self.began.elapsed())
    }

    pub(crate) fn take(&mut self, cluster: &mut Cluster, clients: &Clients) -> Sample {
        let (answered, latencies) = (clients.answered(), clients.take_latencies());
        let served = answered - std::mem::replace(&mut self.answered, answered);
        let passed = std::mem::replace(&mut self.last, Instant::now()).elapsed();
        let quantile = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Sample {
            at: self.began.elapsed(),
            per_second: served as f64 / passed.as_secs_f64(),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            max_ms: latencies.max() as f64 / 1000.0,
            nodes: cluster.nodes.iter_mut().map(taken).collect(),
        }
    }
}

fn taken(node: &mut Node) -> Taken {
    let pid = node.process().pid();
    let entries = |folder| fs::read_dir(format!("/proc/{pid}/{folder}")).unwrap().count();
    Taken {
        memory_bytes: resident_bytes(pid),
        descriptors: entries("fd"),
        threads: entries("task"),
        disk_bytes: bytes_below(&node.data_dir()),
    }
}

/// What the files in a folder take on the disk; they come and go meanwhile.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Saves them, a line each.
pub(crate) fn save(samples: &[Sample], path: &Path) {
    let mut text = "seconds,per_second,p50_ms,p99_ms,max_ms".to_owned();
    for node in 0..samples[0].nodes.len() {
        text += &format!(",memory_bytes_{node},descriptors_{node},threads_{node},disk_bytes_{node}");
    }
    for Sample { at, per_second, p50_ms, p99_ms, max_ms, nodes } in samples {
        text += &format!("\n{:.1},{per_second:.0},{p50_ms:.3},{p99_ms:.3},{max_ms:.3}", at.as_secs_f64());
        for Taken { memory_bytes, descriptors, threads, disk_bytes } in nodes {
            text += &format!(",{memory_bytes},{descriptors},{threads},{disk_bytes}");
        }
    }
    fs::write(path, text + "\n").unwrap();
}
