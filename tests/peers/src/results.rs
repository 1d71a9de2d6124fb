//! What was measured, as it is kept in a file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operation {
    Put,
    Get,
}

impl Operation {
    pub(crate) const ALL: [Self; 2] = [Self::Put, Self::Get];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
        }
    }
}

/// Who is asked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum System {
    /// The leader of three nodes.
    Quorate,
    /// A node that follows it.
    QuorateFollower,
    /// The leader of three nodes of etcd, through its HTTP/JSON gateway.
    Etcd,
    /// A node that follows it, in the same way.
    EtcdFollower,
    /// The leader by gRPC.
    EtcdGrpc,
    /// One process of hyper that answers with bodies as large, and does nothing else.
    BareHyper,
}

impl System {
    /// Who is shown with each number of connections.
    pub(crate) const SIDE_BY_SIDE: [Self; 4] = [Self::Quorate, Self::Etcd, Self::EtcdGrpc, Self::BareHyper];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Quorate => "Quorate",
            Self::QuorateFollower => "Quorate, a follower",
            Self::Etcd => "etcd, HTTP/JSON",
            Self::EtcdFollower => "etcd, HTTP/JSON, a follower",
            Self::EtcdGrpc => "etcd, gRPC",
            Self::BareHyper => "bare hyper",
        }
    }
}

/// How long operations took, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Latencies {
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) most_us: f64,
}

impl Latencies {
    /// Of these times in microseconds.
    pub(crate) fn of(mut times_us: Vec<u32>) -> Self {
        times_us.sort_unstable();
        let at = |share: f64| {
            let place = (times_us.len() as f64 * share).ceil() as usize;
            times_us.get(place.saturating_sub(1)).map_or(0.0, |&time| f64::from(time))
        };
        Self { p50_us: at(0.5), p90_us: at(0.9), p99_us: at(0.99), p999_us: at(0.999), most_us: at(1.0) }
    }
}

/// One run of the load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) system: System,
    pub(crate) operation: Operation,
    pub(crate) connections: usize,
    pub(crate) round: usize,
    pub(crate) per_second: f64,
    pub(crate) errors: u64,
    pub(crate) latencies: Latencies,
    /// Of all nodes together.
    pub(crate) cpu_us_per_operation: f64,
    /// What all nodes together wrote to the disk.
    pub(crate) disk_bytes_per_operation: f64,
}

/// Appends of 4 KiB, each synced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Syncs {
    pub(crate) what: String,
    pub(crate) per_second: f64,
    pub(crate) latencies: Latencies,
}

/// What a put takes in the log of the leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LogBytes {
    pub(crate) system: System,
    pub(crate) connections: usize,
    pub(crate) bytes_per_put: f64,
}

/// What the measuring depends on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Conditions {
    pub(crate) machine: String,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    pub(crate) load_before: String,
    pub(crate) quorate: String,
    pub(crate) etcd: String,
    pub(crate) wrk: String,
    pub(crate) command: String,
    pub(crate) day: String,
}

/// Clusters side by side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) conditions: Conditions,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) samples: Vec<Sample>,
    pub(crate) logs: Vec<LogBytes>,
    pub(crate) syncs: Vec<Syncs>,
}

impl Comparison {
    fn of(
        &self,
        system: System,
        operation: Operation,
        connections: usize,
    ) -> impl Iterator<Item = &Sample> + '_ {
        self.samples.iter().filter(move |sample| {
            (sample.system, sample.operation, sample.connections) == (system, operation, connections)
        })
    }

    /// The numbers of connections that were measured.
    pub(crate) fn connections(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.samples.iter().map(|sample| sample.connections).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The median over the rounds.
    pub(crate) fn median(
        &self,
        system: System,
        operation: Operation,
        connections: usize,
        value: fn(&Sample) -> f64,
    ) -> Option<f64> {
        median(self.of(system, operation, connections).map(value).collect())
    }

    /// The median of each round's own ratio: drift of the machine meets both.
    pub(crate) fn ratio(
        &self,
        (one, other): (System, System),
        operation: Operation,
        connections: usize,
        value: fn(&Sample) -> f64,
    ) -> Option<f64> {
        let ratios = self.of(one, operation, connections).filter_map(|sample| {
            let beside = self.of(other, operation, connections).find(|other| other.round == sample.round)?;
            (value(beside) > 0.0).then(|| value(sample) / value(beside))
        });
        median(ratios.collect())
    }

    /// How many operations failed.
    pub(crate) fn errors(&self) -> u64 {
        self.samples.iter().map(|sample| sample.errors).sum()
    }
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { (values[middle - 1] + upper) / 2.0 })
}

/// What is known of each part; parts may be measured at different times.
#[derive(Clone, Debug, Default)]
pub(crate) struct All {
    pub(crate) comparison: Option<Comparison>,
    pub(crate) engines: Option<Engines>,
    pub(crate) growth: Option<Growth>,
}

impl All {
    /// What was kept in this folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        Ok(Self {
            comparison: kept(folder, "compare")?,
            engines: kept(folder, "engines")?,
            growth: kept(folder, "growth")?,
        })
    }
}

/// Keeps a part in a file of its own, in place of an older one.
pub(crate) fn keep<T: Serialize>(folder: &Path, name: &str, part: &T) -> Result<()> {
    Ok(fs::write(folder.join(name).with_extension("json"), serde_json::to_string_pretty(part)?)?)
}

/// A part, unless it was never measured.
fn kept<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>> {
    let path = folder.join(name).with_extension("json");
    if !path.exists() {
        return Ok(None);
    }
    let part = serde_json::from_str(&fs::read_to_string(&path)?);
    part.map(Some).with_context(|| format!("{} is of another version: measure again", path.display()))
}

/// One run of a core alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EngineSample {
    pub(crate) engine: String,
    pub(crate) batch: usize,
    pub(crate) round: usize,
    pub(crate) per_second: f64,
}

/// The cores alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Engines {
    pub(crate) conditions: Conditions,
    pub(crate) samples: Vec<EngineSample>,
}

impl Engines {
    /// The names, in the order in which they were measured.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for sample in &self.samples {
            if !names.contains(&sample.engine.as_str()) {
                names.push(&sample.engine);
            }
        }
        names
    }

    /// Entries in a second, the median over the rounds.
    pub(crate) fn median(&self, engine: &str, batch: usize) -> Option<f64> {
        let samples = self.samples.iter().filter(|sample| sample.engine == engine && sample.batch == batch);
        median(samples.map(|sample| sample.per_second).collect())
    }

    /// Quorate's rate over the best of the others'.
    pub(crate) fn lead(&self, batch: usize) -> Option<f64> {
        let of = |engine: &&str| self.median(engine, batch);
        let names = self.names();
        let others = names.iter().filter(|engine| **engine != "Quorate").filter_map(of);
        Some(self.median("Quorate", batch)? / others.max_by(f64::total_cmp)?)
    }
}

/// One node with so many keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GrowthSample {
    pub(crate) system: System,
    pub(crate) keys: usize,
    /// While the keys that lacked were written.
    pub(crate) load_per_second: f64,
    /// The longest that one of these took.
    pub(crate) load_most_ms: f64,
    /// The longest time in which none was answered.
    pub(crate) load_silence_ms: f64,
    /// Memory that the process has more than without any key, after the load.
    pub(crate) bytes_per_key: f64,
    /// Keys at random written again.
    pub(crate) put_per_second: f64,
    pub(crate) put_p99_ms: f64,
    /// From `kill -9` to the first linearizable read.
    pub(crate) restart_ms: f64,
}

/// Puts beside checkpoints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Checkpoints {
    pub(crate) keys: usize,
    pub(crate) taken: usize,
    pub(crate) p99_before_ms: f64,
    pub(crate) p99_during_ms: f64,
}

/// One node of each with more and more keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Growth {
    pub(crate) conditions: Conditions,
    pub(crate) samples: Vec<GrowthSample>,
    pub(crate) checkpoints: Vec<Checkpoints>,
}

impl Growth {
    /// With so many keys.
    pub(crate) fn at(&self, system: System, keys: usize) -> Option<&GrowthSample> {
        self.samples.iter().find(|sample| sample.system == system && sample.keys == keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_one_of_the_same_round() {
        let sample = |system, round, per_second| Sample {
            system,
            operation: Operation::Put,
            connections: 1,
            round,
            per_second,
            errors: 0,
            latencies: Latencies::default(),
            cpu_us_per_operation: 0.0,
            disk_bytes_per_operation: 0.0,
        };
        let (ours, theirs) = (System::Quorate, System::Etcd);
        // The machine got ten times as slow in the second round, and the third was cut short.
        let comparison = Comparison {
            conditions: Conditions::default(),
            rounds: 3,
            seconds: 1,
            samples: vec![
                sample(ours, 0, 400.0),
                sample(theirs, 0, 100.0),
                sample(theirs, 1, 10.0),
                sample(ours, 1, 50.0),
                sample(ours, 2, 400.0),
            ],
            logs: Vec::new(),
            syncs: Vec::new(),
        };
        let ratio = comparison.ratio((ours, theirs), Operation::Put, 1, |sample| sample.per_second);
        assert_eq!(ratio, Some(4.5));
        assert_eq!(comparison.median(ours, Operation::Put, 1, |sample| sample.per_second), Some(400.0));
        assert_eq!(comparison.median(ours, Operation::Get, 1, |sample| sample.per_second), None);
    }

    #[test]
    fn percentiles_are_times_that_were_taken() {
        let latencies = Latencies::of((1..=1000).rev().collect());
        let Latencies { p50_us, p90_us, p99_us, p999_us, most_us } = latencies;
        assert_eq!([p50_us, p90_us, p99_us, p999_us, most_us], [500.0, 900.0, 990.0, 999.0, 1000.0]);
    }
}
