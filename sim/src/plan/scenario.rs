//! What a plan is drawn for.

use serde::{Deserialize, Serialize};

/// A family of plans.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Each seed draws which kinds of faults there are at all, and how hard they strike.
    Swarm,
    /// No faults: asserts what a request may cost in messages and syncs.
    Calm,
    /// Processes and machines end, in the middle of anything, one or all.
    Crash,
    /// The network in all its shapes, and nothing else.
    Partition,
    /// Disks that stall, fail, fill up, rot and are lost.
    Disk,
    /// Clocks that jump, drift and stop; processes that pause.
    Clock,
    /// Servers join while other things break.
    Membership,
    /// Many impatient clients with bursts, large values and stale reads, and some crashes.
    Client,
    /// One server.
    Single,
}

const DISK_FAULTS: [&str; 34] = [
    "disk stall",
    "disk stall of ten election timeouts",
    "slow disk",
    "full disk",
    "read error",
    "write error",
    "short write",
    "sync error",
    "misdirected read",
    "misdirected write",
    "rotten log: flipped bit",
    "rotten log: garbage",
    "rotten log: zeros",
    "rotten log: stray bytes",
    "rotten log: unreadable",
    "segment gone",
    "rotten term and vote: flipped bit",
    "rotten term and vote: garbage",
    "rotten term and vote: zeros",
    "rotten term and vote: unreadable",
    "one file of term and vote gone",
    "lost term and vote",
    "rotten checkpoint: flipped bit",
    "rotten checkpoint: garbage",
    "rotten checkpoint: zeros",
    "rotten checkpoint: stray bytes",
    "rotten checkpoint: unreadable",
    "file of a checkpoint gone",
    "lost disk",
    "wiped disk",
    "torn write",
    "unsynced sector lost",
    "name change lost",
    "operation undone by a crash",
];

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 9] = [
        Scenario::Swarm,
        Scenario::Calm,
        Scenario::Crash,
        Scenario::Partition,
        Scenario::Disk,
        Scenario::Clock,
        Scenario::Membership,
        Scenario::Client,
        Scenario::Single,
    ];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Swarm => "swarm",
            Scenario::Calm => "calm",
            Scenario::Crash => "crash",
            Scenario::Partition => "partition",
            Scenario::Disk => "disk",
            Scenario::Clock => "clock",
            Scenario::Membership => "membership",
            Scenario::Client => "client",
            Scenario::Single => "single",
        }
    }

    /// The kinds of faults that a campaign of it must have seen at work, whatever its plans held: all that may befall a
    /// disk is to be reached.
    pub fn promises(self) -> &'static [&'static str] {
        if self == Scenario::Disk { &DISK_FAULTS } else { &[] }
    }

    /// What it is for, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Scenario::Swarm => "each seed draws which kinds of faults there are, and how hard they strike",
            Scenario::Calm => "no faults; asserts what a request costs in messages and syncs",
            Scenario::Crash => "processes killed, power lost in the middle of a write, one machine or all",
            Scenario::Partition => "cuts of every shape, clogs, loss, delay, duplication, corruption",
            Scenario::Disk => "disks that stall, fail, fill up, rot and are lost",
            Scenario::Clock => "clocks that jump, drift and stop; processes that pause",
            Scenario::Membership => "servers join while other things break",
            Scenario::Client => "many impatient clients, bursts, large values, stale reads; some crashes",
            Scenario::Single => "one server",
        }
    }
}
