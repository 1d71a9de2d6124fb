//! From a seed to a plan.
//!
//! Swarm testing (Groce et al., ISSTA 2012): each seed has only some kinds of faults, so that none hides another, and
//! each seed has its own settings, so that what is rare under the usual ones is common under some.

use super::draw::{
    CLOCK, DISK, Draw, Drawing, MEMBERS, NETWORK, PROCESS, crash_again, cut, delay, forgotten_promise, kill,
    kill_all, late_votes, loss, pause, power_loss, reset, slow, stop, transfer, wipe,
};
use super::fault::{Fault, Place, Timed};
use super::scenario::Scenario;
use super::{Asks, Cluster, Host, Knobs, Plan, Workload};
use crate::random::Random;

/// How long faults last in most scenarios.
const FAULTS_MS: u64 = 60_000;

/// The plan of a seed.
pub(super) fn plan(scenario: Scenario, seed: u64) -> Plan {
    // Concerns have generators of their own, so that a new kind of fault doesn't change the workload of old seeds.
    let label = |what: &str| Random::labelled(seed, &format!("{} {what}", scenario.name()));
    let mut cluster = cluster(scenario, &mut label("cluster"));
    let joining =
        if scenario == Scenario::Membership { joiners(&mut cluster, &mut label("joining")) } else { 0 };
    let mut knobs = knobs(scenario, &mut label("knobs"));
    let mut draw = Draw {
        random: label("faults"),
        servers: cluster.servers + joining,
        core: cluster.core.clone(),
        election_timeout_ms: knobs.election_timeout_ms,
        mild_clocks: label("clocks").one_in(2),
    };
    let mut faults = faults(scenario, &cluster, &mut draw);
    for number in 1..=joining {
        let at_ms = draw.random.between(0, cluster.faults_ms / 2);
        faults.push(Timed { at_ms, fault: Fault::Join { host: cluster.servers + number } });
    }
    faults.sort_by_key(|timed| timed.at_ms);
    clean_up(scenario, &cluster, joining, &mut knobs, &mut label("cleanup"));
    let mut workload = workload(scenario, &mut label("workload"));
    store(scenario, &mut workload, &mut knobs, &mut label("store"));
    let mut plan = Plan { seed, scenario, cluster, knobs, workload, faults: Vec::new() };
    keep_to_the_atlas(&mut plan, faults);
    plan
}

/// Adds those of the faults that keep within what can be survived.
fn keep_to_the_atlas(plan: &mut Plan, faults: Vec<Timed>) {
    for timed in faults {
        let of_members = |fault: &Fault| matches!(fault, Fault::Change { .. } | Fault::Member { .. });
        let must_fit = of_members(&timed.fault) || takes_the_id(&timed.fault);
        plan.faults.push(timed);
        if must_fit && plan.check().is_err() {
            plan.faults.pop();
        }
    }
    // Where a log may go bad is reckoned with the configuration of the beginning. Of logs that go bad and servers that
    // are replaced whatever comes first excludes the other.
    let rots = |timed: &Timed| matches!(timed.fault, Fault::Rot { place: Place::Log, .. });
    let replaces = |timed: &Timed| takes_the_id(&timed.fault);
    let first = plan.faults.iter().find(|timed| rots(timed) || replaces(timed));
    if plan.changes_members() || first.is_some_and(replaces) {
        plan.faults.retain(|timed| !rots(timed));
    } else if first.is_some() {
        plan.faults.retain(|timed| !replaces(timed));
    }
}

/// Whether the server of a host comes back as another one.
fn takes_the_id(fault: &Fault) -> bool {
    matches!(fault, Fault::Wipe { .. } | Fault::LoseTermAndVote { .. })
}

/// Leaders of some clusters take out voters that they don't hear; where all are of the core, or those that can be
/// reckoned with in the end could be among them.
fn clean_up(scenario: Scenario, cluster: &Cluster, joining: u8, knobs: &mut Knobs, random: &mut Random) {
    let all_core = cluster.core.len() == usize::from(cluster.servers + joining);
    let fits = match scenario {
        Scenario::Membership => random.one_in(2),
        Scenario::Swarm => random.one_in(4),
        _ => false,
    };
    if fits && all_core && cluster.servers + joining > 1 {
        knobs.cleanup_after_ms = knobs.election_timeout_ms * random.between(2, 6);
        knobs.cleanup_least_voters = 1 + random.below(3);
    }
}

fn cluster(scenario: Scenario, random: &mut Random) -> Cluster {
    let servers = match (scenario, random.between(1, 20)) {
        (Scenario::Single, _) | (Scenario::Swarm, 1) => 1,
        (Scenario::Swarm, 2) => 2,
        (Scenario::Swarm, 3) => 4,
        (Scenario::Swarm, 4) => 6,
        (Scenario::Swarm, 5) => 7,
        (Scenario::Membership, 1..=4) => 1,
        (Scenario::Membership, 5..=16) => 3,
        (Scenario::Membership, 17..) => 4,
        (_, ..=11) => 3,
        _ => 5,
    };
    let ahead = |random: &mut Random| if random.one_in(2) { random.between(0, 100_000_000) } else { 0 };
    let clocks_ahead_ms = if matches!(scenario, Scenario::Swarm | Scenario::Clock) {
        (1..=servers).map(|_| ahead(random)).collect()
    } else {
        Vec::new()
    };
    let faults_ms = if scenario == Scenario::Calm { 20_000 } else { FAULTS_MS };
    Cluster {
        servers,
        core: majority(servers, scenario == Scenario::Calm, random),
        faults_ms,
        clocks_ahead_ms,
    }
}

/// Some majority of the hosts; sometimes more than needed, sometimes all.
fn majority(servers: u8, all: bool, random: &mut Random) -> Vec<Host> {
    let least = servers / 2 + 1;
    let count = if all || random.one_in(4) { servers } else { least };
    let mut hosts: Vec<Host> = (1..=servers).collect();
    while hosts.len() > usize::from(count) {
        hosts.remove(random.below(hosts.len()));
    }
    hosts
}

/// Lets some servers join. With all of them in the core it is a majority of any configuration on the way.
fn joiners(cluster: &mut Cluster, random: &mut Random) -> u8 {
    let joining = u8::try_from(random.between(1, 3)).unwrap_or(1);
    cluster.core.extend(cluster.servers + 1..=cluster.servers + joining);
    joining
}

fn faults(scenario: Scenario, cluster: &Cluster, draw: &mut Draw) -> Vec<Timed> {
    let members: &[Drawing] = if draw.random.one_in(2) { MEMBERS } else { &[] };
    let (kinds, one_in): (Vec<Drawing>, u64) = match scenario {
        Scenario::Calm => return Vec::new(),
        Scenario::Single => ([NETWORK, PROCESS, CLOCK, DISK].concat(), 3),
        Scenario::Swarm => ([NETWORK, PROCESS, CLOCK, DISK, &[transfer], members].concat(), 3),
        Scenario::Membership => {
            let often = [MEMBERS, MEMBERS, MEMBERS, &[transfer, transfer, stop]];
            ([NETWORK, PROCESS, CLOCK, DISK, &often.concat()].concat(), 3)
        }
        Scenario::Crash => ([PROCESS, &[transfer]].concat(), 2),
        Scenario::Partition => ([NETWORK, &[transfer]].concat(), 2),
        Scenario::Disk => ([DISK, &[kill, power_loss, power_loss, crash_again, cut, wipe]].concat(), 2),
        Scenario::Clock => (
            [
                CLOCK,
                &[pause, pause, slow, kill, stop, cut, delay, transfer, forgotten_promise, forgotten_promise],
                &[late_votes, late_votes, late_votes],
            ]
            .concat(),
            2,
        ),
        Scenario::Client => (vec![kill, kill_all, stop, power_loss, cut, reset, delay, loss, transfer], 2),
    };
    let enabled: Vec<Drawing> = kinds.iter().copied().filter(|_| draw.random.one_in(one_in)).collect();
    let enabled = if enabled.is_empty() { vec![kinds[draw.random.below(kinds.len())]] } else { enabled };
    let count = draw.random.between(6, 24);
    let mut faults = Vec::new();
    for _ in 0..count {
        let at_ms = draw.random.between(0, cluster.faults_ms * 9 / 10);
        let kind = enabled[draw.random.below(enabled.len())];
        faults.extend(kind(draw, at_ms));
    }
    // A fault of links needs two ends.
    faults.retain(|timed| !needs_links(&timed.fault) || !timed.fault.links().is_empty());
    faults.iter_mut().for_each(|timed| timed.at_ms = timed.at_ms.min(cluster.faults_ms));
    faults
}

fn needs_links(fault: &Fault) -> bool {
    matches!(fault, Fault::Cut { .. } | Fault::Clog { .. } | Fault::Lag { .. } | Fault::Reset { .. })
}

fn knobs(scenario: Scenario, random: &mut Random) -> Knobs {
    let pick = |random: &mut Random, values: &[u64]| values[random.below(values.len())];
    let size = |random: &mut Random, values: &[u64]| usize::try_from(pick(random, values)).unwrap_or(1);
    if scenario == Scenario::Calm {
        return usual_knobs(pick(random, &[200, 1_000]), pick(random, &[200, 2_000]));
    }
    let election_timeout_ms = pick(random, &[300, 500, 500, 1_000]);
    Knobs {
        election_timeout_ms,
        heartbeat_ms: election_timeout_ms / pick(random, &[4, 5, 10]),
        append_bytes: size(random, &[1, 200, 4_000, 1 << 20]),
        inflight_appends: size(random, &[1, 2, 8, 64]),
        uncommitted_bytes: size(random, &[2_000, 64_000, 64 << 20]),
        cache_bytes: size(random, &[1, 1, 2_000, 16 << 20]),
        keep_entries: pick(random, &[0, 5, 50, 10_000]),
        chunk_bytes: pick(random, &[2_000, 20_000, 1 << 20]),
        checkpoint_entries: pick(random, &[10, 40, 200, 10_000]),
        segment_bytes: [16 << 10, 16 << 10, 64 << 10, 256 << 10][random.below(4)],
        slice_bytes: size(random, &[500, 20_000, 1 << 20]),
        latency_us: pick(random, &[200, 1_000, 1_000, 5_000, 20_000]),
        sync_us: pick(random, &[200, 2_000, 2_000, 15_000]),
        early_timeouts: if random.one_in(3) { 50 } else { 0 },
        false_alarms: if random.one_in(4) { 5 } else { 0 },
        one_job_at_a_time: random.one_in(4),
        cleanup_after_ms: 0,
        cleanup_least_voters: 0,
        history_revisions: 0,
        answers: 0,
    }
}

/// What production has: nothing is rare by accident, and what a request costs can be told.
fn usual_knobs(latency_us: u64, sync_us: u64) -> Knobs {
    Knobs {
        election_timeout_ms: 500,
        heartbeat_ms: 50,
        append_bytes: 1 << 20,
        inflight_appends: 64,
        uncommitted_bytes: 64 << 20,
        cache_bytes: 16 << 20,
        keep_entries: 10_000,
        chunk_bytes: 1 << 20,
        checkpoint_entries: 10_000,
        segment_bytes: 256 << 10,
        slice_bytes: 1 << 20,
        latency_us,
        sync_us,
        early_timeouts: 0,
        false_alarms: 0,
        one_job_at_a_time: false,
        cleanup_after_ms: 0,
        cleanup_least_voters: 0,
        history_revisions: 0,
        answers: 0,
    }
}

fn workload(scenario: Scenario, random: &mut Random) -> Workload {
    let number =
        |random: &mut Random, least: u64, most: u64| u32::try_from(random.between(least, most)).unwrap_or(1);
    let busy = scenario == Scenario::Client;
    let clients =
        u8::try_from(random.between(if busy { 8 } else { 4 }, if busy { 20 } else { 8 })).unwrap_or(4);
    let put_percent = number(random, 20, 70);
    let large_per_mille = if busy || random.one_in(5) { 20 } else { 0 };
    Workload {
        clients: (1..=clients).collect(),
        requests: 150,
        skip: 0,
        keys: [1, 3, 10, 200][random.below(4)],
        hot_percent: number(random, 0, 80),
        put_percent,
        delete_percent: number(random, 0, 15),
        stale_percent: if busy || random.one_in(3) { 20 } else { 0 },
        lease_percent: if random.one_in(2) { 50 } else { 0 },
        named_percent: 0,
        swap_percent: 0,
        auditors: 0,
        value_bytes: value_bytes(random),
        large_per_mille,
        large_bytes: usize::try_from(random.between(1_000, 60_000)).unwrap_or(1_000),
        pause_ms: random.between(700, 2_500),
        burst: number(random, 5, 60),
        gap_ms: random.between(0, 3_000),
        patience_ms: [300, 2_000, 4_000][random.below(3)],
        retries: number(random, 0, 3),
        asks: if random.one_in(2) { Asks::Anyone } else { Asks::Sticky },
    }
}

/// Mostly small, so that many requests share a batch of the log; sometimes of several sectors, so that a loss of power
/// tears one.
fn value_bytes(random: &mut Random) -> usize {
    let (least, most) = if random.one_in(3) { (500, 4_000) } else { (8, 200) };
    usize::try_from(random.between(least, most)).unwrap_or(8)
}

/// What of the store's features clients use.
fn store(scenario: Scenario, workload: &mut Workload, knobs: &mut Knobs, random: &mut Random) {
    let percent = |random: &mut Random| if random.one_in(2) { [20, 50, 100][random.below(3)] } else { 0 };
    workload.named_percent = percent(random);
    workload.swap_percent = percent(random).min(60);
    workload.auditors = [0, 0, 1, 2][random.below(4)];
    // What a request costs is counted with what production has.
    if scenario == Scenario::Calm {
        return;
    }
    knobs.history_revisions = if random.one_in(3) { random.between(20, 200) } else { 0 };
    knobs.answers = if random.one_in(4) { random.between(4, 16) } else { 0 };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_kind_of_fault_is_drawn_and_every_plan_makes_sense() {
        let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
        for seed in 0..2_000 {
            let plan = Plan::new(Scenario::Swarm, seed);
            plan.check().unwrap();
            plan.faults.iter().for_each(|timed| *kinds.entry(timed.fault.kind()).or_default() += 1);
        }
        for seed in 0..100 {
            Plan::new(Scenario::Membership, seed).check().unwrap();
        }
        assert_eq!(kinds.len(), 63, "{kinds:?}");
        assert!(kinds.values().all(|count| *count > 30), "{kinds:?}");
    }

    #[test]
    fn the_plans_of_a_scenario_hold_what_it_promises() {
        let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
        for seed in 0..1_000 {
            let plan = Plan::new(Scenario::Disk, seed);
            plan.check().unwrap();
            plan.faults.iter().for_each(|timed| *kinds.entry(timed.fault.kind()).or_default() += 1);
        }
        // What a loss of power takes away is seen on the disk, not in the plan.
        let by_power =
            ["torn write", "unsynced sector lost", "name change lost", "operation undone by a crash"];
        for kind in Scenario::Disk.promises().iter().filter(|kind| !by_power.contains(kind)) {
            assert!(kinds.get(kind).is_some_and(|count| *count > 20), "{kind}: {kinds:?}");
        }
    }

    #[test]
    fn a_cut_cuts_something_and_nobody_from_itself() {
        for seed in 0..500 {
            for timed in Plan::new(Scenario::Partition, seed).faults {
                assert!(timed.fault.links().iter().all(|(from, to)| from != to));
                assert!(!needs_links(&timed.fault) || !timed.fault.links().is_empty());
            }
        }
    }
}
