//! Clusters of three side by side, on one machine and one disk, and the load on one after the other.
//!
//! Within a round all systems take the same load, right one after the other; the next round begins with another one. So
//! drift of the machine meets all of them, and only ratios of one round are claims. Before the rounds each system has
//! the load for a while that is not counted.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::ask::{ask, ask_json};
use crate::ceilings;
use crate::clusters::{Cluster, Kind};
use crate::conditions;
use crate::grpc;
use crate::options::Options;
use crate::process::{Process, free_address, number_after, used};
use crate::results::{Comparison, LogBytes, Operation, Sample, System};
use crate::wrk::{Dialect, Outcome, Wrk};

/// Followers are measured with so many connections.
pub(crate) const FOLLOWERS_AT: usize = 64;
/// So long that segments are filled by what is written meanwhile.
const LONG_ENOUGH_SECONDS: u64 = 5;
/// In so many records a segment's header does not count.
const ENOUGH_RECORDS: f64 = 1_000.0;
/// The keys are written first, with so many connections.
const FILL_CONNECTIONS: usize = 64;

/// Whom the load is put on.
#[derive(Debug)]
struct Target {
    system: System,
    address: SocketAddr,
    /// The processes that are at work for it.
    pids: Vec<u32>,
}

/// All that is running.
struct Field<'a> {
    options: &'a Options,
    wrk: Wrk,
    targets: Vec<Target>,
}

/// Measures all of it; says on standard error how it goes.
pub(crate) fn run(options: &Options) -> Result<Comparison> {
    let conditions = conditions::now(options)?;
    let folder = tempfile::tempdir_in(&options.folder)?;
    let syncs = ceilings::measure(folder.path(), Duration::from_secs(options.seconds))?;
    let quorate = Cluster::start(Kind::Quorate, &options.quorate, &folder.path().join("quorate"), 3)?;
    let etcd = Cluster::start(Kind::Etcd, &options.quorate, &folder.path().join("etcd"), 3)?;
    let hyper = bare_hyper(folder.path())?;
    let leader = quorate.leader().context("Quorate has no leader")?;
    let targets = targets(&quorate, &etcd, &hyper)?;
    let field = Field { options, wrk: Wrk::new(folder.path())?, targets };
    let mut samples = Vec::new();
    for target in &field.targets[..2] {
        eprintln!("filling {}", target.system.name());
        field.load(target, Operation::Put, FILL_CONNECTIONS, options.seconds)?;
    }
    for operation in Operation::ALL {
        for &connections in &options.connections {
            field.measure(operation, connections, &mut samples)?;
        }
    }
    ensure!(quorate.leader() == Some(leader), "Quorate's leader changed: measure again");
    let data_dir = folder.path().join(format!("quorate/node-{leader}"));
    let logs = field.log_bytes(quorate, &data_dir)?;
    Ok(Comparison { conditions, rounds: options.rounds, seconds: options.seconds, samples, logs, syncs })
}

fn bare_hyper(folder: &Path) -> Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let program = std::env::current_exe()?.with_file_name("bare-hyper");
    let mut process = Process::new(program, vec![address.port().to_string()], folder.join("hyper.log"));
    process.start()?;
    process.wait_until("bare hyper to serve", || ask(address, "GET", "/", "").ok())?;
    Ok((process, address))
}

fn targets(quorate: &Cluster, etcd: &Cluster, hyper: &(Process, SocketAddr)) -> Result<Vec<Target>> {
    let (quorate_leader, quorate_follower) = quorate.leader_and_follower()?;
    let (etcd_leader, etcd_follower) = etcd.leader_and_follower()?;
    let target = |system, address, pids| Target { system, address, pids };
    Ok(vec![
        target(System::Quorate, quorate_leader, quorate.pids()),
        target(System::Etcd, etcd_leader, etcd.pids()),
        target(System::EtcdGrpc, etcd_leader, etcd.pids()),
        target(System::BareHyper, hyper.1, vec![hyper.0.pid()]),
        target(System::QuorateFollower, quorate_follower, quorate.pids()),
        target(System::EtcdFollower, etcd_follower, etcd.pids()),
    ])
}

impl Field<'_> {
    /// All rounds of one load.
    fn measure(&self, operation: Operation, connections: usize, samples: &mut Vec<Sample>) -> Result<()> {
        let takes_part = |target: &&Target| {
            let is_follower = matches!(target.system, System::QuorateFollower | System::EtcdFollower);
            !is_follower || connections == FOLLOWERS_AT
        };
        let targets: Vec<&Target> = self.targets.iter().filter(takes_part).collect();
        for target in &targets {
            self.load(target, operation, connections, self.options.warm_seconds)?;
        }
        for round in 0..self.options.rounds {
            for place in 0..targets.len() {
                // Every other round goes backwards, so that no system is always behind the same one.
                let place = if round % 2 == 0 { place } else { targets.len() - 1 - place };
                let sample = self.sample(targets[place], operation, connections, round)?;
                eprintln!(
                    "{} c={connections} round {round}: {:26} {:9.0}/s p50 {:8.0} us p99 {:8.0} us {:6.1} us of CPU",
                    operation.name(),
                    sample.system.name(),
                    sample.per_second,
                    sample.latencies.p50_us,
                    sample.latencies.p99_us,
                    sample.cpu_us_per_operation,
                );
                samples.push(sample);
            }
        }
        Ok(())
    }

    fn sample(
        &self,
        target: &Target,
        operation: Operation,
        connections: usize,
        round: usize,
    ) -> Result<Sample> {
        let before = used(&target.pids)?;
        let outcome = self.load(target, operation, connections, self.options.seconds)?;
        let after = used(&target.pids)?;
        let operations = outcome.operations;
        Ok(Sample {
            system: target.system,
            operation,
            connections,
            round,
            per_second: operations / outcome.seconds,
            errors: outcome.errors,
            latencies: outcome.latencies,
            cpu_us_per_operation: (after.cpu_us - before.cpu_us) / operations,
            disk_bytes_per_operation: (after.disk_bytes - before.disk_bytes) / operations,
        })
    }

    fn load(
        &self,
        target: &Target,
        operation: Operation,
        connections: usize,
        seconds: u64,
    ) -> Result<Outcome> {
        let wrk = |dialect| self.wrk.run(dialect, target.address, operation, connections, seconds);
        match target.system {
            System::Quorate | System::QuorateFollower | System::BareHyper => wrk(Dialect::Quorate),
            System::Etcd | System::EtcdFollower => wrk(Dialect::Etcd),
            System::EtcdGrpc => grpc::run(target.address, operation, connections, seconds),
        }
    }

    /// What a put takes in the log with the most connections. This is the last load of all: `quorate inspect` looks at
    /// data dirs of nodes that are down. The disk's own counters are no help, they have the zeros as well that were
    /// written before, where there would be entries.
    fn log_bytes(&self, quorate: Cluster, data_dir: &Path) -> Result<Vec<LogBytes>> {
        let connections = self.options.connections.iter().copied().max().context("no connections")?;
        let [ours, theirs] = [&self.targets[0], &self.targets[1]];
        let (before, position) = (last_entry(ours)?, wal_bytes(theirs)?);
        self.load(ours, Operation::Put, connections, self.options.seconds.max(LONG_ENOUGH_SECONDS))?;
        let puts = self.load(theirs, Operation::Put, connections, self.options.seconds)?.operations;
        let of_etcd = (wal_bytes(theirs)? - position) / puts;
        drop(quorate);
        let of_quorate = bytes_an_entry(&self.options.quorate, data_dir, before)?;
        let row = |system, bytes_per_put| LogBytes { system, connections, bytes_per_put };
        Ok(vec![row(System::Quorate, of_quorate), row(System::Etcd, of_etcd)])
    }
}

/// The last entry of the log.
fn last_entry(target: &Target) -> Result<f64> {
    let status = ask_json(target.address, "GET", "/raft/status", "")?;
    status["last"].as_f64().context("a status without `last`")
}

/// What was written to etcd's log so far.
fn wal_bytes(target: &Target) -> Result<f64> {
    let metrics = ask(target.address, "GET", "/metrics", "")?.1;
    number_after(&metrics, "\netcd_disk_wal_write_bytes_total ")
}

/// What an entry takes in the segments that begin after this one. A checkpoint may have let go of most of them.
fn bytes_an_entry(quorate: &Path, data_dir: &Path, after: f64) -> Result<f64> {
    let output = Command::new(quorate).args(["inspect", "-o", "json"]).arg(data_dir).output()?;
    let found: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let segments = found["segments"].as_array().context("no segments")?;
    let of_the_load = segments.iter().filter(|segment| segment["first_index"].as_f64() > Some(after));
    let sum = |name: &str| of_the_load.clone().filter_map(|segment| segment[name].as_f64()).sum::<f64>();
    let (bytes, records) = (sum("used_bytes"), sum("records"));
    ensure!(records >= ENOUGH_RECORDS, "only {records} records are there to be measured");
    Ok(bytes / records)
}
