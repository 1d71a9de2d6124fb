//! What a seed means. A seed becomes a plan, and the plan is data: the runner reads nothing else.

use std::fmt;
use std::time::Duration;

use crate::network::Host;
use crate::random::Random;

/// The kind of [`Fault::Delay`].
pub(crate) const DELAY: &str = "delay";
/// The kind of [`Fault::DiskStall`].
pub(crate) const DISK_STALL: &str = "disk stall";

/// One simulated life of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where it came from; it also seeds everything that is drawn while it runs.
    pub seed: u64,
    /// How many servers.
    pub servers: u8,
    /// How many clients, each one request at a time.
    pub clients: u8,
    /// How many requests each client makes.
    pub requests: u32,
    /// How many keys they share.
    pub keys: u64,
    /// A checkpoint is taken after this many entries.
    pub checkpoint_entries: u64,
    /// What breaks, by time.
    pub faults: Vec<Timed>,
}

/// A fault and when it strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// After the cluster has formed.
    pub after: Duration,
    /// What breaks.
    pub fault: Fault,
}

/// What can break. Everything is mended when the faults are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed and started again.
    Kill {
        /// Where.
        host: Host,
        /// How long it is gone.
        gone: Duration,
    },
    /// A machine loses power in the middle of what its disk does: unsynced sectors survive or not, each by itself.
    PowerLoss {
        /// Where.
        host: Host,
        /// After how many more changes on the disk.
        changes: u64,
        /// How long it is gone.
        gone: Duration,
    },
    /// All processes are killed at once.
    KillAll {
        /// How long they are gone.
        gone: Duration,
    },
    /// Hosts of this group and the others do not reach each other.
    Partition {
        /// One side.
        group: Vec<Host>,
        /// For how long.
        lasts: Duration,
    },
    /// Nothing passes in one direction.
    OneWay {
        /// From here.
        from: Host,
        /// To there.
        to: Host,
        /// For how long.
        lasts: Duration,
    },
    /// Packets are late.
    Delay {
        /// By up to this much.
        most: Duration,
        /// For how long.
        lasts: Duration,
    },
    /// A disk finishes nothing.
    DiskStall {
        /// Where.
        host: Host,
        /// For how long.
        lasts: Duration,
    },
}

impl Fault {
    /// Its name, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill { .. } => "kill",
            Fault::PowerLoss { .. } => "power loss",
            Fault::KillAll { .. } => "kill all",
            Fault::Partition { .. } => "partition",
            Fault::OneWay { .. } => "one way",
            Fault::Delay { .. } => DELAY,
            Fault::DiskStall { .. } => DISK_STALL,
        }
    }
}

impl Plan {
    /// The plan of a seed. It changes when this function does: save plans, not seeds, for ever.
    pub fn from_seed(seed: u64) -> Plan {
        let mut random = Random::labelled(seed, "plan");
        let servers = if random.one_in(4) { 5 } else { 3 };
        // Swarm testing (Groce et al., ISSTA 2012): each seed has only some kinds, so that none masks another.
        let kinds: Vec<u64> = (0..7).filter(|_| !random.one_in(3)).collect();
        let mut faults = Vec::new();
        let mut after = Duration::ZERO;
        for _ in 0..random.between(2, 6) {
            after += Duration::from_millis(random.between(200, 3_000));
            let kind = if kinds.is_empty() { 0 } else { kinds[random.below(kinds.len())] };
            faults.push(Timed { after, fault: draw(kind, servers, &mut random) });
        }
        if faults.iter().all(|timed| matches!(timed.fault, Fault::OneWay { .. })) {
            // Two followers have nothing to say to each other, so all of these could cut nothing.
            faults.push(Timed { after, fault: draw(0, servers, &mut random) });
        }
        Plan {
            seed,
            servers,
            clients: 4,
            requests: 30,
            keys: random.between(1, 6),
            checkpoint_entries: random.between(20, 60),
            faults,
        }
    }
}

fn draw(kind: u64, servers: u8, random: &mut Random) -> Fault {
    let host = |random: &mut Random| Host::try_from(random.between(1, servers.into())).unwrap_or(1);
    let lasts = |random: &mut Random| Duration::from_millis(random.between(100, 3_000));
    match kind {
        0 => Fault::Kill { host: host(random), gone: lasts(random) },
        1 => Fault::PowerLoss { host: host(random), changes: random.between(0, 12), gone: lasts(random) },
        2 => Fault::KillAll { gone: lasts(random) },
        3 => {
            // Somebody on either side, or nothing would be cut.
            let (inside, outside) = two_hosts(servers, random);
            let joins = |at: &Host| *at == inside || (*at != outside && random.one_in(2));
            Fault::Partition { group: (1..=servers).filter(joins).collect(), lasts: lasts(random) }
        }
        4 => {
            let (from, to) = two_hosts(servers, random);
            Fault::OneWay { from, to, lasts: lasts(random) }
        }
        5 => Fault::Delay { most: Duration::from_millis(random.between(5, 400)), lasts: lasts(random) },
        _ => Fault::DiskStall { host: host(random), lasts: lasts(random) },
    }
}

/// Two hosts that differ.
fn two_hosts(servers: u8, random: &mut Random) -> (Host, Host) {
    let one = random.between(1, servers.into());
    let other = (one - 1 + random.between(1, u64::from(servers) - 1)) % u64::from(servers) + 1;
    (Host::try_from(one).unwrap_or(1), Host::try_from(other).unwrap_or(2))
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, servers, clients, requests, keys, checkpoint_entries, faults } = self;
        writeln!(
            formatter,
            "seed {seed}: {servers} servers, {clients} clients, {requests} requests each, {keys} keys"
        )?;
        write!(formatter, "a checkpoint every {checkpoint_entries} entries")?;
        for Timed { after, fault } in faults {
            write!(formatter, "\nat {after:?}: {fault:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_cuts_something() {
        let mut cuts = 0;
        for seed in 0..500 {
            let plan = Plan::from_seed(seed);
            for Timed { fault, .. } in &plan.faults {
                match fault {
                    Fault::Partition { group, .. } => {
                        assert!((1..usize::from(plan.servers)).contains(&group.len()), "{plan}");
                        cuts += 1;
                    }
                    Fault::OneWay { from, to, .. } => assert_ne!(from, to, "{plan}"),
                    _ => {}
                }
            }
        }
        assert!(cuts > 100, "only {cuts} partitions");
    }
}
