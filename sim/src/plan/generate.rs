//! From a seed to a plan.
//!
//! Swarm testing (Groce et al., ISSTA 2012): each seed has only some kinds of faults, so that none hides another, and
//! each seed has its own settings, so that what is rare under the usual ones is common under some.

use super::fault::{Damage, Fault, Link, Place, Shape, Timed};
use super::scenario::Scenario;
use super::{Asks, Cluster, DRIFT, Host, Knobs, Plan, Workload};
use crate::random::Random;

/// How long faults last in most scenarios.
const FAULTS_MS: u64 = 60_000;

/// Draws faults of one kind that begin at about the time given.
type Drawing = fn(&mut Draw, at_ms: u64) -> Vec<Timed>;

const NETWORK: &[Drawing] = &[
    cut, cut, one_way, flapping, clog, swizzle, loss, duplicate, replay, reorder, delay, corrupt, congest,
    reset,
];
const PROCESS: &[Drawing] = &[kill, kill, kill_all, power_loss, power_loss, power_loss_all, pause, slow];
const CLOCK: &[Drawing] = &[clock_jump, clock_drift, clock_stop];
const OPERATOR: &[Drawing] = &[transfer, change, change];
const DISK: &[Drawing] = &[
    disk_stall,
    slow_disk,
    write_error,
    sync_error,
    read_error,
    full_disk,
    rot_log,
    rot_log,
    rot_log,
    rot_stable,
    rot_checkpoint,
    misdirected_read,
    misdirected_write,
    lose_disk,
];

/// The plan of a seed.
pub(super) fn plan(scenario: Scenario, seed: u64) -> Plan {
    // Concerns have generators of their own, so that a new kind of fault doesn't change the workload of old seeds.
    let label = |what: &str| Random::labelled(seed, &format!("{} {what}", scenario.name()));
    let mut cluster = cluster(scenario, &mut label("cluster"));
    let joining =
        if scenario == Scenario::Membership { joiners(&mut cluster, &mut label("joining")) } else { 0 };
    let mut draw = Draw {
        random: label("faults"),
        servers: cluster.servers + joining,
        core: cluster.core.clone(),
        mild_clocks: label("clocks").one_in(2),
    };
    let mut faults = faults(scenario, &cluster, &mut draw);
    for number in 1..=joining {
        let at_ms = draw.random.between(0, cluster.faults_ms / 2);
        faults.push(Timed { at_ms, fault: Fault::Join { host: cluster.servers + number } });
    }
    faults.sort_by_key(|timed| timed.at_ms);
    let knobs = knobs(scenario, &mut label("knobs"));
    Plan { seed, scenario, cluster, knobs, workload: workload(scenario, &mut label("workload")), faults }
}

fn cluster(scenario: Scenario, random: &mut Random) -> Cluster {
    let servers = match (scenario, random.between(1, 20)) {
        (Scenario::Single, _) | (Scenario::Swarm, 1) => 1,
        (Scenario::Swarm, 2) => 2,
        (Scenario::Swarm, 3) => 4,
        (Scenario::Swarm, 4) => 6,
        (Scenario::Swarm, 5) => 7,
        (Scenario::Membership, 1..=4) => 1,
        (Scenario::Membership, 5..) => 3,
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
    let (kinds, one_in): (Vec<Drawing>, u64) = match scenario {
        Scenario::Calm => return Vec::new(),
        Scenario::Single => ([NETWORK, PROCESS, CLOCK, DISK].concat(), 3),
        Scenario::Swarm => ([NETWORK, PROCESS, CLOCK, DISK, OPERATOR].concat(), 3),
        Scenario::Membership => ([NETWORK, PROCESS, CLOCK, DISK, OPERATOR, OPERATOR, OPERATOR].concat(), 3),
        Scenario::Crash => ([PROCESS, &[transfer]].concat(), 2),
        Scenario::Partition => ([NETWORK, &[transfer]].concat(), 2),
        Scenario::Disk => ([DISK, &[kill, power_loss, power_loss, cut]].concat(), 2),
        Scenario::Clock => ([CLOCK, &[pause, pause, slow, kill, kill, cut, delay, transfer]].concat(), 2),
        Scenario::Client => (vec![kill, kill_all, power_loss, cut, reset, delay, loss, transfer], 2),
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
    // The atlas counts on the configuration of the beginning.
    if faults.iter().any(|timed| matches!(timed.fault, Fault::Change { .. })) {
        faults.retain(|timed| !matches!(timed.fault, Fault::Rot { place: Place::Log, .. }));
    }
    faults
}

fn needs_links(fault: &Fault) -> bool {
    matches!(fault, Fault::Cut { .. } | Fault::Clog { .. } | Fault::Reset { .. })
}

/// What the drawings draw from.
struct Draw {
    random: Random,
    servers: u8,
    core: Vec<Host>,
    /// Clocks stay within what leases reckon with.
    mild_clocks: bool,
}

impl Draw {
    fn host(&mut self) -> Host {
        Host::try_from(self.random.between(1, self.servers.into())).unwrap_or(1)
    }

    /// A host that won't be healed in the end, if there is one.
    fn outsider(&mut self) -> Option<Host> {
        let outside: Vec<Host> = (1..=self.servers).filter(|host| !self.core.contains(host)).collect();
        (!outside.is_empty()).then(|| outside[self.random.below(outside.len())])
    }

    /// Mostly short, sometimes many election timeouts.
    fn for_ms(&mut self) -> u64 {
        let most = if self.random.one_in(4) { 12_000 } else { 3_000 };
        self.random.between(50, most)
    }

    fn share(&mut self) -> u32 {
        let most = if self.random.one_in(3) { 300 } else { 50 };
        u32::try_from(self.random.between(5, most)).unwrap_or(5)
    }

    fn nth(&mut self) -> u64 {
        let most = if self.random.one_in(2) { 4 } else { 60 };
        self.random.between(0, most)
    }

    fn links(&self, chosen: impl Fn(Host, Host) -> bool) -> Vec<Link> {
        let all = 1..=self.servers;
        let pairs = all.clone().flat_map(|from| all.clone().map(move |to| (from, to)));
        pairs.filter(|(from, to)| from != to && chosen(*from, *to)).collect()
    }

    /// All links of some hosts.
    fn links_of_some(&mut self) -> Vec<Link> {
        let some: Vec<Host> = (1..=self.servers).filter(|_| self.random.one_in(2)).collect();
        self.links(|from, to| some.contains(&from) || some.contains(&to))
    }
}

fn at(at_ms: u64, fault: Fault) -> Vec<Timed> {
    vec![Timed { at_ms, fault }]
}

fn cut(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let servers = draw.servers;
    if servers < 2 {
        return Vec::new();
    }
    let one = draw.host();
    let (shape, links) = match draw.random.between(1, 4) {
        1 => {
            let other = one % servers + 1;
            let inside: Vec<bool> =
                (1..=servers).map(|host| host == one || (host != other && draw.random.one_in(2))).collect();
            let side = |host: Host| inside[usize::from(host) - 1];
            (Shape::Halves, draw.links(|from, to| side(from) != side(to)))
        }
        2 if servers > 3 => {
            let apart = |from: Host, to: Host| from.abs_diff(to).min(servers - from.abs_diff(to));
            (Shape::Ring, draw.links(|from, to| apart(from, to) > 1))
        }
        3 if servers > 2 => {
            // One host reaches both sides, which do not reach each other.
            let side = |host: Host| (host + servers - one) % servers > servers / 2;
            (Shape::Bridge, draw.links(|from, to| from != one && to != one && side(from) != side(to)))
        }
        _ => (Shape::Isolated, draw.links(|from, to| from == one || to == one)),
    };
    let for_ms = draw.for_ms();
    at(at_ms, Fault::Cut { shape, links, for_ms, flaps: 1 })
}

fn one_way(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let from = draw.host();
    // To one, or to all.
    let to = draw.random.one_in(2).then(|| draw.host());
    let inward = draw.random.one_in(2);
    let links = draw.links(|a, b| {
        let (here, there) = if inward { (b, a) } else { (a, b) };
        here == from && to.is_none_or(|to| to == there)
    });
    let for_ms = draw.for_ms();
    at(at_ms, Fault::Cut { shape: Shape::OneWay, links, for_ms, flaps: 1 })
}

fn flapping(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let one = draw.host();
    let links = draw.links(|from, to| from == one || to == one);
    let flaps = u32::try_from(draw.random.between(3, 12)).unwrap_or(3);
    let for_ms = draw.random.between(1_000, 8_000);
    at(at_ms, Fault::Cut { shape: Shape::Isolated, links, for_ms, flaps })
}

fn clog(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let links = draw.links_of_some();
    let for_ms = draw.for_ms();
    at(at_ms, Fault::Clog { links, for_ms, swizzle: false })
}

/// One host after the other is clogged, and they come free in another order (FoundationDB's swizzle-clogging, Wilson,
/// Strange Loop 2014).
fn swizzle(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let mut faults = Vec::new();
    let mut from_ms = at_ms;
    for host in 1..=draw.servers {
        if draw.random.one_in(3) {
            continue;
        }
        let links = draw.links(|from, to| from == host || to == host);
        let for_ms = draw.random.between(500, 6_000);
        faults.push(Timed { at_ms: from_ms, fault: Fault::Clog { links, for_ms, swizzle: true } });
        from_ms += draw.random.between(1, 800);
    }
    faults
}

fn loss(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (per_mille, for_ms) = (draw.share(), draw.for_ms());
    at(at_ms, Fault::Loss { per_mille, for_ms })
}

fn duplicate(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (per_mille, for_ms) = (draw.share(), draw.for_ms());
    at(at_ms, Fault::Duplicate { per_mille, for_ms })
}

fn replay(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (per_mille, late_ms, for_ms) = (draw.share(), draw.random.between(200, 8_000), draw.for_ms());
    at(at_ms, Fault::Replay { per_mille, late_ms, for_ms })
}

fn reorder(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (per_mille, by_ms, for_ms) = (draw.share(), draw.random.between(2, 500), draw.for_ms());
    at(at_ms, Fault::Reorder { per_mille, by_ms, for_ms })
}

fn delay(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let most = if draw.random.one_in(3) { 1_500 } else { 200 };
    let (by_ms, for_ms) = (draw.random.between(5, most), draw.for_ms());
    at(at_ms, Fault::Delay { by_ms, for_ms })
}

fn corrupt(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (per_mille, for_ms) = (draw.share().min(100), draw.for_ms());
    at(at_ms, Fault::Corrupt { per_mille, for_ms })
}

fn congest(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (bytes_per_second, for_ms) = (draw.random.between(2_000, 100_000), draw.for_ms());
    at(at_ms, Fault::Congest { bytes_per_second, for_ms })
}

fn reset(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let links = draw.links_of_some();
    at(at_ms, Fault::Reset { links })
}

fn kill(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::Kill { host, for_ms })
}

fn kill_all(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let for_ms = draw.random.between(10, 2_000);
    at(at_ms, Fault::KillAll { for_ms })
}

fn power_loss(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, changes, for_ms) = (draw.host(), draw.random.between(0, 12), draw.for_ms());
    at(at_ms, Fault::PowerLoss { host, changes, within_ms: 500, for_ms })
}

fn power_loss_all(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let for_ms = draw.random.between(10, 2_000);
    at(at_ms, Fault::PowerLossAll { for_ms })
}

fn pause(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::Pause { host, for_ms })
}

fn slow(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, by_us, for_ms) = (draw.host(), draw.random.between(500, 30_000), draw.for_ms());
    at(at_ms, Fault::Slow { host, by_us, for_ms })
}

fn clock_jump(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    if draw.mild_clocks {
        return clock_drift(draw, at_ms);
    }
    let most = if draw.random.one_in(4) { 3_600_000 } else { 3_000 };
    let by_ms = i64::try_from(draw.random.between(10, most)).unwrap_or(10);
    // A monotonic clock never goes back; should one do so for once, it must not be by much, or the node stands still.
    let by_ms = if draw.random.one_in(3) { -by_ms.min(2_000) } else { by_ms };
    let host = draw.host();
    at(at_ms, Fault::ClockJump { host, by_ms })
}

fn clock_drift(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let slow = draw.random.one_in(2);
    let by = i64::try_from(draw.random.between(10, if slow { 800 } else { 4_000 })).unwrap_or(10);
    let by = if draw.mild_clocks { by.min(DRIFT) } else { by };
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::ClockDrift { host, per_mille: if slow { -by } else { by }, for_ms })
}

fn clock_stop(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    if draw.mild_clocks {
        return pause(draw, at_ms);
    }
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::ClockStop { host, for_ms })
}

fn transfer(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let to = draw.random.one_in(2).then(|| draw.host());
    at(at_ms, Fault::Transfer { to })
}

/// Any voters of which the core is a majority, so that the core can go on alone, and any learners.
fn change(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (mut core, mut others): (Vec<Host>, Vec<Host>) =
        (1..=draw.servers).partition(|host| draw.core.contains(host));
    let voting = draw.random.between(1, core.len() as u64);
    let take = |draw: &mut Draw, from: &mut Vec<Host>| from.remove(draw.random.below(from.len()));
    let mut voters: Vec<Host> = (0..voting).map(|_| take(draw, &mut core)).collect();
    let outsiders = draw.random.between(0, voting - 1).min(others.len() as u64);
    voters.extend((0..outsiders).map(|_| take(draw, &mut others)));
    let rest = core.into_iter().chain(others);
    let learners: Vec<Host> = rest.filter(|_| draw.random.one_in(3)).collect();
    voters.sort_unstable();
    if draw.servers < 2 { Vec::new() } else { at(at_ms, Fault::Change { voters, learners }) }
}

fn disk_stall(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::DiskStall { host, for_ms })
}

fn slow_disk(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let factor = u32::try_from(draw.random.between(5, 100)).unwrap_or(5);
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::SlowDisk { host, factor, for_ms })
}

fn write_error(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, nth) = (draw.host(), draw.nth());
    at(at_ms, Fault::WriteError { host, nth })
}

fn sync_error(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, nth) = (draw.host(), draw.nth());
    at(at_ms, Fault::SyncError { host, nth })
}

fn read_error(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, nth) = (draw.host(), draw.random.between(0, 2));
    at(at_ms, Fault::ReadError { host, nth })
}

fn full_disk(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, spare_bytes, for_ms) = (draw.host(), draw.random.between(0, 60_000), draw.for_ms());
    at(at_ms, Fault::FullDisk { host, spare_bytes, for_ms })
}

fn damage(draw: &mut Draw) -> Damage {
    [Damage::Flip, Damage::Garbage, Damage::Zeros, Damage::Unreadable][draw.random.below(4)]
}

/// On some hosts, of which the leader may be one, and often while another is cut off: then what goes bad is soon
/// read, for that one to catch up.
fn rot_log(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let first = draw.host();
    let mut faults = Vec::new();
    for number in 0..draw.random.between(1, 3) {
        let host = (first + u8::try_from(number).unwrap_or(0)) % draw.servers + 1;
        let (damage, pick) = (damage(draw), draw.random.bits() >> 16);
        faults.extend(at(at_ms + 1_500, Fault::Rot { host, place: Place::Log, damage, pick }));
    }
    if draw.servers > 2 && draw.random.one_in(2) {
        let links = draw.links(|from, to| from == first || to == first);
        faults.extend(at(at_ms, Fault::Cut { shape: Shape::Isolated, links, for_ms: 2_000, flaps: 1 }));
    }
    faults
}

fn rot_stable(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, damage, pick) = (draw.host(), damage(draw), draw.random.bits() >> 16);
    at(at_ms, Fault::Rot { host, place: Place::Stable, damage, pick })
}

/// Only hosts outside the core: a node whose checkpoint is gone, and the log before it, has to be replaced.
fn rot_checkpoint(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (damage, pick) = (damage(draw), draw.random.bits() >> 16);
    let host = draw.outsider();
    host.map_or(Vec::new(), |host| at(at_ms, Fault::Rot { host, place: Place::Checkpoint, damage, pick }))
}

fn misdirected_read(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, nth) = (draw.host(), draw.random.between(0, 2));
    at(at_ms, Fault::MisdirectedRead { host, nth })
}

/// Only hosts outside the core: what is hit is a checkpoint.
fn misdirected_write(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let nth = draw.random.between(0, 2);
    let host = draw.outsider();
    host.map_or(Vec::new(), |host| at(at_ms, Fault::MisdirectedWrite { host, nth }))
}

fn lose_disk(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let host = draw.outsider();
    host.map_or(Vec::new(), |host| at(at_ms, Fault::LoseDisk { host }))
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
        heartbeat_ms: election_timeout_ms / pick(random, &[5, 10, 10]),
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
        value_bytes: usize::try_from(random.between(8, 200)).unwrap_or(8),
        large_per_mille,
        large_bytes: usize::try_from(random.between(1_000, 60_000)).unwrap_or(1_000),
        pause_ms: random.between(600, 2_200),
        burst: number(random, 5, 60),
        gap_ms: random.between(0, 3_000),
        patience_ms: [300, 2_000, 4_000][random.below(3)],
        retries: number(random, 0, 3),
        asks: if random.one_in(2) { Asks::Anyone } else { Asks::Sticky },
    }
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
        assert_eq!(kinds.len(), 40, "{kinds:?}");
        assert!(kinds.values().all(|count| *count > 30), "{kinds:?}");
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
