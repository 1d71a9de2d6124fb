//! Whether a plan can be run.

use std::collections::BTreeSet;

use super::{FIRST_CLIENT, Fault, Host, Order, Plan};

/// What is wrong with a plan, if anything: what was wanted, and the value seen.
pub(super) fn fault_of(plan: &Plan) -> Option<String> {
    cluster(plan)
        .or_else(|| knobs(plan))
        .or_else(|| workload(plan))
        .or_else(|| faults(plan))
        .or_else(|| members(plan))
        .or_else(|| wipes(plan))
}

fn unless(holds: bool, what: impl FnOnce() -> String) -> Option<String> {
    (!holds).then(what)
}

fn cluster(plan: &Plan) -> Option<String> {
    let cluster = &plan.cluster;
    let servers = cluster.servers;
    let core: BTreeSet<Host> = cluster.core.iter().copied().collect();
    let all = plan.hosts().last().unwrap_or(servers);
    unless(Plan::SERVERS.contains(&servers), || format!("a cluster has 1 to 7 servers, not {servers}"))
        .or_else(|| {
            unless(Plan::SERVERS.contains(&all), || {
                format!("with those that join there are {all} servers, not 1 to 7")
            })
        })
        .or_else(|| {
            let inside = core.iter().all(|host| (1..=all).contains(host)) && core.len() == cluster.core.len();
            unless(inside && core.len() * 2 > usize::from(all), || {
                format!(
                    "the core must be a majority of the hosts 1 to {all}, each once, not {:?}",
                    cluster.core
                )
            })
        })
        .or_else(|| {
            unless(cluster.faults_ms <= 3_600_000, || {
                format!("faults_ms is {}: an hour is the most", cluster.faults_ms)
            })
        })
}

fn knobs(plan: &Plan) -> Option<String> {
    let knobs = &plan.knobs;
    let least = |name: &str, value: u64, least: u64| {
        unless(value >= least, || format!("{name} is {value}: it must be at least {least}"))
    };
    unless(knobs.segment_bytes >= 16 << 10 && knobs.segment_bytes.is_multiple_of(4 << 10), || {
        format!("segment_bytes is {}: it must be a multiple of 4096, and at least 16384", knobs.segment_bytes)
    })
    .or_else(|| least("heartbeat_ms", knobs.heartbeat_ms, 1))
    .or_else(|| least("election_timeout_ms", knobs.election_timeout_ms, 3 * knobs.heartbeat_ms))
    .or_else(|| least("append_bytes", knobs.append_bytes as u64, 1))
    .or_else(|| least("inflight_appends", knobs.inflight_appends as u64, 1))
    .or_else(|| least("chunk_bytes", knobs.chunk_bytes, 1))
    .or_else(|| least("checkpoint_entries", knobs.checkpoint_entries, 1))
    .or_else(|| least("slice_bytes", knobs.slice_bytes as u64, 1))
    .or_else(|| least("latency_us", knobs.latency_us, 1))
    .or_else(|| least("sync_us", knobs.sync_us, 1))
}

fn workload(plan: &Plan) -> Option<String> {
    let workload = &plan.workload;
    let clients: BTreeSet<u8> = workload.clients.iter().copied().collect();
    let most = u8::MAX - FIRST_CLIENT - 1;
    unless(workload.keys > 0, || "keys is 0: clients need at least one".to_owned())
        .or_else(|| {
            let named = clients.len() == workload.clients.len()
                && clients.iter().all(|client| (1..=most).contains(client));
            unless(named, || {
                format!("clients must be numbers from 1 to {most}, each once, not {:?}", workload.clients)
            })
        })
        .or_else(|| {
            let writes = workload.put_percent + workload.delete_percent;
            unless(writes <= 100, || {
                format!("put_percent and delete_percent are {writes} together: above 100")
            })
        })
        .or_else(|| unless(workload.patience_ms > 0, || "patience_ms is 0: no answer could come".to_owned()))
        .or_else(|| {
            unless(workload.value_bytes.max(workload.large_bytes) <= 1 << 20, || {
                format!(
                    "a value of {} bytes: 1048576 is the most",
                    workload.value_bytes.max(workload.large_bytes)
                )
            })
        })
}

fn faults(plan: &Plan) -> Option<String> {
    let all = plan.hosts().last().unwrap_or(1);
    plan.faults.iter().enumerate().find_map(|(number, timed)| {
        let named = |host: &Host| (1..=all).contains(host);
        let about =
            |what: String| format!("fault {number} (at {} ms, {}) {what}", timed.at_ms, timed.fault.kind());
        let hosts = timed
            .fault
            .host()
            .into_iter()
            .chain(timed.fault.links().iter().flat_map(|link| [link.0, link.1]));
        let ordered = match &timed.fault {
            Fault::Transfer { to } => to.iter().copied().collect(),
            Fault::Change { voters, learners } => [&voters[..], &learners[..]].concat(),
            _ => Vec::new(),
        };
        for host in hosts.chain(ordered) {
            if !named(&host) {
                return Some(about(format!("names host {host}: there are the hosts 1 to {all}")));
            }
        }
        if timed.at_ms > plan.cluster.faults_ms {
            return Some(about(format!("comes after faults_ms, which is {}", plan.cluster.faults_ms)));
        }
        match timed.fault {
            Fault::ClockDrift { per_mille, .. } if !(-900..=10_000).contains(&per_mille) => {
                Some(about(format!("has a drift of {per_mille} in a thousand: -900 to 10000 is possible")))
            }
            Fault::Congest { bytes_per_second: 0, .. } => {
                Some(about("lets nothing pass: use a cut".to_owned()))
            }
            Fault::Wipe { host, .. } | Fault::LoseTermAndVote { host, .. }
                if plan.cluster.core.contains(&host) =>
            {
                let core = &plan.cluster.core;
                Some(about(format!("costs host {host} of the core {core:?} its server: choose another")))
            }
            _ => None,
        }
    })
}

/// The most often that a host may get another server: each of its servers has a number of its own, below the
/// clients'.
const MOST_WIPES: usize = 9;

/// The core must be a majority of the voters whatever operators, newcomers and leaders that clean up make of them, and
/// in whatever order, so that it can go on alone.
fn members(plan: &Plan) -> Option<String> {
    let core: BTreeSet<Host> = plan.cluster.core.iter().copied().collect();
    let (mut leave, mut come) = (BTreeSet::new(), BTreeSet::new());
    let first: BTreeSet<Host> = (1..=plan.cluster.servers).collect();
    let mut ways = vec![first];
    for timed in &plan.faults {
        match &timed.fault {
            Fault::Change { voters, .. } => ways.push(voters.iter().copied().collect()),
            Fault::Member { host, order: Order::Remove | Order::Demote } => drop(leave.insert(*host)),
            Fault::Member { host, order: Order::Promote | Order::Add } => drop(come.insert(*host)),
            Fault::Wipe { host, .. } | Fault::LoseTermAndVote { host, .. } => drop(come.insert(*host)),
            _ => {}
        }
    }
    let outside = plan.hosts().find(|host| !core.contains(host)).filter(|_| plan.cleans_up());
    if let Some(host) = outside {
        return Some(format!(
            "cleanup_after_ms is {}, and host {host} is not of the core {:?}: voters of the core could be taken out \
             until it is no majority",
            plan.knobs.cleanup_after_ms, plan.cluster.core
        ));
    }
    ways.iter().find_map(|voters| {
        let inside = voters.iter().filter(|host| core.contains(host) && !leave.contains(host)).count();
        let outside = voters.union(&come).filter(|host| !core.contains(host)).count();
        unless(inside > outside, || {
            format!(
                "of the voters {voters:?}, without {leave:?} and with {come:?}, the core {:?} must be a majority",
                plan.cluster.core
            )
        })
    })
}

fn wipes(plan: &Plan) -> Option<String> {
    plan.hosts().find_map(|host| {
        let of_host = |fault: &Fault| match fault {
            Fault::Wipe { host: of, .. } | Fault::LoseTermAndVote { host: of, .. } => *of == host,
            _ => false,
        };
        let count = plan.faults.iter().filter(|timed| of_host(&timed.fault)).count();
        unless(count <= MOST_WIPES, || {
            format!("host {host} gets another server {count} times: {MOST_WIPES} is the most")
        })
    })
}
