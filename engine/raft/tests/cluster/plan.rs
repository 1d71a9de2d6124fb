//! From a seed to a plan: how big, how tight, and what goes wrong.

use crate::random::Random;
use quorate_raft::{Cleanup, Config, NodeId};
use std::time::Duration;

pub(crate) const MILLI: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Halves,
    OneWay,
    IsolateLeader,
    Bridge,
    Crash,
    CrashLeader,
    CrashAll,
    Stall,
    Pause,
    LinkBroke,
    Damage,
    LoseTail,
    /// Power is lost everywhere, and what was never committed is damaged in every copy.
    RotUncommitted,
}

const FAULTS: [Fault; 12] = [
    Fault::Halves,
    Fault::OneWay,
    Fault::IsolateLeader,
    Fault::Bridge,
    Fault::Crash,
    Fault::CrashLeader,
    Fault::CrashAll,
    Fault::Stall,
    Fault::Pause,
    Fault::LinkBroke,
    Fault::Damage,
    Fault::LoseTail,
];

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) founders: u64,
    pub(crate) nodes: u64,
    pub(crate) faults: Vec<Fault>,
    /// Time between two faults, at most.
    pub(crate) fault_every: u64,
    /// Time between two checkpoints of some node, at most.
    pub(crate) checkpoint_every: u64,
    /// Time between two changes of the members, at most.
    pub(crate) change_every: u64,
    /// Time between two things clients do, at most.
    pub(crate) client_every: u64,
    /// Members come and go in any way and leadership is handed over. Not together with lost data, of which some
    /// minority of the *founders* is the most that may happen.
    pub(crate) any_change: bool,
    /// Reads are served by leases too, and clocks run at different rates.
    pub(crate) leases: bool,
    pub(crate) safety: u64,
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) delay: (u64, u64),
    /// How many in a thousand messages are late, and by how much at most.
    pub(crate) late: (u64, u64),
    /// How many in a thousand messages are followed by an old one again.
    pub(crate) replay: u64,
    pub(crate) write_time: (u64, u64),
    pub(crate) apply_time: u64,
    /// Inputs are fed in batches gathered over this time, or one by one when zero.
    pub(crate) gather: u64,
    pub(crate) election_timeout: u64,
    pub(crate) heartbeat_interval: u64,
    pub(crate) config: Config,
}

fn is_new(seed: u64) -> bool {
    crate::NOTABLE.iter().all(|(notable, _)| *notable != seed)
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "plan");
        let founders = random.pick(&[1, 2, 3, 3, 3, 3, 4, 5, 5, 7]);
        let intensity = random.pick(&[0, 200, 400, 400, 800]);
        let mut faults: Vec<Fault> = FAULTS.into_iter().filter(|_| random.chance(intensity)).collect();
        let rough = intensity > 0;
        let rots = is_new(seed) && Random::new(seed, "rot").chance(intensity / 2);
        let election_timeout = random.pick(&[100, 200, 400]) * MILLI;
        let heartbeat_interval = election_timeout / random.pick(&[4, 5, 10]);
        let safety = election_timeout * random.between(15, 40);
        let mut config = Config::new(NodeId(0), 0);
        config.election_timeout = Duration::from_micros(election_timeout);
        config.heartbeat_interval = Duration::from_micros(heartbeat_interval);
        config.append_bytes = random.pick(&[1, 64, 300, 1 << 20]);
        config.inflight_appends = random.pick(&[1, 2, 8, 64]);
        config.inflight_bytes = random.pick(&[1, 200, 2_000, 8 << 20]);
        config.uncommitted_bytes = random.pick(&[1, 1_000, 64 << 20, 64 << 20]);
        config.cache_bytes = random.pick(&[0, 64, 1_000, 16 << 20]);
        config.keep_entries = random.pick(&[0, 1, 5, 50]);
        config.chunk_bytes = random.pick(&[5, 16, 64, 1 << 20]);
        // What was found once is found by the plan of then.
        let mut later = Random::new(seed, "later");
        let is_new = is_new(seed);
        if rots {
            faults.extend([Fault::RotUncommitted, Fault::RotUncommitted, Fault::IsolateLeader]);
        }
        let loses_data = rots || faults.contains(&Fault::Damage) || faults.contains(&Fault::LoseTail);
        let any_change = is_new && !loses_data;
        if any_change && later.chance(200) {
            config.cleanup = Some(Cleanup { after: config.election_timeout * 3, least_voters: 2 });
        }
        Plan {
            founders,
            nodes: (founders + random.pick(&[0, 1, 2])).min(7),
            faults,
            fault_every: election_timeout * random.pick(&[1, 2, 4]),
            checkpoint_every: election_timeout * random.pick(&[1, 4, 40]) / 4,
            change_every: election_timeout * random.between(1, 10),
            client_every: safety / random.pick(&[50, 200, 400]),
            any_change,
            leases: is_new && later.chance(700),
            safety,
            loss: if rough { random.pick(&[0, 0, 10, 100, 300]) } else { 0 },
            duplication: if rough { random.pick(&[0, 0, 50, 300]) } else { 0 },
            delay: random.pick(&[(100, 200), (200, 2_000), (1_000, 8_000)]),
            late: if rough {
                random.pick(&[(0, 0), (50, 30_000), (100, 300_000), (20, 3_000_000), (400, 300_000)])
            } else {
                (0, 0)
            },
            write_time: random.pick(&[(10, 100), (500, 3_000), (1_000, 15_000), (5_000, 60_000)]),
            apply_time: random.pick(&[10, 1_000, 20_000]),
            gather: random.pick(&[0, 0, 500, 3_000]),
            replay: if rough { random.pick(&[0, 0, 30, 200]) } else { 0 },
            election_timeout,
            heartbeat_interval,
            config,
        }
    }
}
