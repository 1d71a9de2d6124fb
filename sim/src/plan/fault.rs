//! What can break.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Host;

/// A direction from one machine to another.
pub type Link = (Host, Host);

/// A fault and when it strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// After the cluster has formed.
    pub at_ms: u64,
    /// What breaks.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What can break.
///
/// `host` is where, `for_ms` how long it lasts until it mends itself; `nth` counts from 0, from when the fault
/// begins, and `per_mille` is a share of a thousand.
#[allow(missing_docs, reason = "the fields are explained above, or in the line of their variant")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// A process is killed and started again: all that it had written is there.
    Kill { host: Host, for_ms: u64 },
    /// All processes are killed at once.
    KillAll { for_ms: u64 },
    /// A machine loses power at the next change on its disk after so many, or at the latest after `within_ms`. What
    /// was not synced survives sector by sector, or not.
    PowerLoss { host: Host, changes: u64, within_ms: u64, for_ms: u64 },
    /// All machines lose power at once.
    PowerLossAll { for_ms: u64 },
    /// A process stands still, with its connections and its disk; its clock goes on.
    Pause { host: Host, for_ms: u64 },
    /// A process is asked to end, as by SIGTERM: it hands leadership over first. It is started again this long after it
    /// has ended.
    Stop { host: Host, for_ms: u64 },
    /// Everything that a process hears, it hears late, by up to so much.
    Slow { host: Host, by_us: u64, for_ms: u64 },
    /// Nothing passes on these links. With `flaps` above one they are cut and mended that often within the time.
    Cut { shape: Shape, links: Vec<Link>, for_ms: u64, flaps: u32 },
    /// What is sent on these links is held back until the end, then all of it arrives.
    Clog { links: Vec<Link>, for_ms: u64, swizzle: bool },
    /// Of a thousand packets so many are lost: messages for good, bytes of a stream until they are sent again.
    Loss { per_mille: u32, for_ms: u64 },
    /// Of a thousand messages so many arrive twice.
    Duplicate { per_mille: u32, for_ms: u64 },
    /// Of a thousand messages so many arrive once more, much later.
    Replay { per_mille: u32, late_ms: u64, for_ms: u64 },
    /// Of a thousand messages so many are overtaken by those sent within this time.
    Reorder { per_mille: u32, by_ms: u64, for_ms: u64 },
    /// Packets are late, by up to so much.
    Delay { by_ms: u64, for_ms: u64 },
    /// Whatever is sent on these links takes so much longer.
    Lag { links: Vec<Link>, by_ms: u64, for_ms: u64 },
    /// Of a thousand packets so many arrive with a bit flipped.
    Corrupt { per_mille: u32, for_ms: u64 },
    /// All links are slow, and their queues are bounded.
    Congest { bytes_per_second: u64, for_ms: u64 },
    /// Connections on these links break; what was under way is lost.
    Reset { links: Vec<Link> },
    /// A clock leaps.
    ClockJump { host: Host, by_ms: i64 },
    /// A clock runs fast or slow.
    ClockDrift { host: Host, per_mille: i64, for_ms: u64 },
    /// A clock stands still.
    ClockStop { host: Host, for_ms: u64 },
    /// A disk finishes nothing.
    DiskStall { host: Host, for_ms: u64 },
    /// A disk takes this many times as long for everything.
    SlowDisk { host: Host, factor: u32, for_ms: u64 },
    /// The nth write from now on fails. The process has to end, and is started again.
    WriteError { host: Host, nth: u64 },
    /// Of the nth write from now on only so many bytes get to their place, and it fails.
    ShortWrite { host: Host, nth: u64, bytes: usize },
    /// The nth sync from now on fails, and what it was to make durable is not.
    SyncError { host: Host, nth: u64 },
    /// The nth read from now on fails.
    ReadError { host: Host, nth: u64 },
    /// There is room for so many more bytes only.
    FullDisk { host: Host, spare_bytes: u64, for_ms: u64 },
    /// Something at rest goes bad. `pick` chooses where.
    Rot { host: Host, place: Place, damage: Damage, pick: u64 },
    /// The nth read from now on gives the bytes of another place.
    MisdirectedRead { host: Host, nth: u64 },
    /// The nth write of a checkpoint from now on lands elsewhere. Only hosts outside the core are struck.
    MisdirectedWrite { host: Host, nth: u64 },
    /// A disk is lost with all that is on it. The machine stays away.
    LoseDisk { host: Host },
    /// A disk is lost with all that is on it. After this time the machine is back with an empty one, and on it a new
    /// server, which joins and takes the place of its former self. Only hosts outside the core are struck.
    Wipe { host: Host, for_ms: u64 },
    /// A process dies, and both files of term and vote are found to be lost when it is started again: it never runs on
    /// that disk any more. A new server begins, which joins and takes the place of its former self. Only hosts outside
    /// the core are struck. `pick` chooses how the files went bad.
    LoseTermAndVote { host: Host, pick: u64, for_ms: u64 },
    /// A new server joins the cluster.
    Join { host: Host },
    /// An operator has leadership handed over, to this host or to the best.
    Transfer { to: Option<Host> },
    /// An operator makes these the voters and those the learners.
    Change { voters: Vec<Host>, learners: Vec<Host> },
    /// An operator has one member changed, by a request about that one alone.
    Member { host: Host, order: Order },
}

/// What becomes of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// It leaves.
    Remove,
    /// A voter becomes a learner.
    Demote,
    /// A learner becomes a voter.
    Promote,
    /// It is taken in, as a learner that is to become a voter.
    Add,
}

/// How links are chosen for a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Two groups.
    Halves,
    /// One host and all others.
    Isolated,
    /// One direction only.
    OneWay,
    /// Each reaches only its two neighbors.
    Ring,
    /// Two groups and one host that reaches both.
    Bridge,
}

/// Which files go bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The log.
    Log,
    /// One of the two files of term and vote.
    Stable,
    /// The newest checkpoint.
    Checkpoint,
}

/// How bytes go bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// One bit flips.
    Flip,
    /// A sector is garbage.
    Garbage,
    /// Some sectors read as zeros.
    Zeros,
    /// Some sectors hold what stands elsewhere in the file.
    Stray,
    /// Some sectors can't be read.
    Unreadable,
    /// A file is gone.
    Gone,
}

/// The longest election timeout that is drawn, ten times.
const TEN_ELECTION_TIMEOUTS_MS: u64 = 10_000;

/// The name of what went bad, and how.
fn rot(place: Place, damage: Damage) -> &'static str {
    match (place, damage) {
        (Place::Log, Damage::Flip) => "rotten log: flipped bit",
        (Place::Log, Damage::Garbage) => "rotten log: garbage",
        (Place::Log, Damage::Zeros) => "rotten log: zeros",
        (Place::Log, Damage::Stray) => "rotten log: stray bytes",
        (Place::Log, Damage::Unreadable) => "rotten log: unreadable",
        (Place::Log, Damage::Gone) => "segment gone",
        (Place::Stable, Damage::Flip) => "rotten term and vote: flipped bit",
        (Place::Stable, Damage::Garbage) => "rotten term and vote: garbage",
        (Place::Stable, Damage::Zeros) => "rotten term and vote: zeros",
        (Place::Stable, Damage::Stray) => "rotten term and vote: stray bytes",
        (Place::Stable, Damage::Unreadable) => "rotten term and vote: unreadable",
        (Place::Stable, Damage::Gone) => "one file of term and vote gone",
        (Place::Checkpoint, Damage::Flip) => "rotten checkpoint: flipped bit",
        (Place::Checkpoint, Damage::Garbage) => "rotten checkpoint: garbage",
        (Place::Checkpoint, Damage::Zeros) => "rotten checkpoint: zeros",
        (Place::Checkpoint, Damage::Stray) => "rotten checkpoint: stray bytes",
        (Place::Checkpoint, Damage::Unreadable) => "rotten checkpoint: unreadable",
        (Place::Checkpoint, Damage::Gone) => "file of a checkpoint gone",
    }
}

impl Fault {
    /// Its name in counts and lists.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill { .. } => "kill",
            Fault::KillAll { .. } => "kill all",
            Fault::PowerLoss { .. } => "power loss",
            Fault::PowerLossAll { .. } => "power loss of all",
            Fault::Pause { .. } => "pause",
            Fault::Stop { .. } => "graceful end",
            Fault::Slow { .. } => "slow process",
            Fault::Cut { flaps: 2.., .. } => "flapping",
            Fault::Cut { shape: Shape::Halves, .. } => "cut in halves",
            Fault::Cut { shape: Shape::Isolated, .. } => "isolated",
            Fault::Cut { shape: Shape::OneWay, .. } => "one way",
            Fault::Cut { shape: Shape::Ring, .. } => "ring",
            Fault::Cut { shape: Shape::Bridge, .. } => "bridge",
            Fault::Clog { swizzle: false, .. } => "clog",
            Fault::Clog { swizzle: true, .. } => "swizzle clog",
            Fault::Loss { .. } => "loss",
            Fault::Duplicate { .. } => "duplication",
            Fault::Replay { .. } => "late replay",
            Fault::Reorder { .. } => "reordering",
            Fault::Delay { .. } => "delay",
            Fault::Lag { .. } => "slow links",
            Fault::Corrupt { .. } => "corruption",
            Fault::Congest { .. } => "congestion",
            Fault::Reset { .. } => "reset",
            Fault::ClockJump { .. } => "clock jump",
            Fault::ClockDrift { .. } => "clock drift",
            Fault::ClockStop { .. } => "clock stop",
            Fault::DiskStall { for_ms: TEN_ELECTION_TIMEOUTS_MS.., .. } => {
                "disk stall of ten election timeouts"
            }
            Fault::DiskStall { .. } => "disk stall",
            Fault::SlowDisk { .. } => "slow disk",
            Fault::WriteError { .. } => "write error",
            Fault::ShortWrite { .. } => "short write",
            Fault::SyncError { .. } => "sync error",
            Fault::ReadError { .. } => "read error",
            Fault::FullDisk { .. } => "full disk",
            Fault::Rot { place, damage, .. } => rot(*place, *damage),
            Fault::MisdirectedRead { .. } => "misdirected read",
            Fault::MisdirectedWrite { .. } => "misdirected write",
            Fault::LoseDisk { .. } => "lost disk",
            Fault::Wipe { .. } => "wiped disk",
            Fault::LoseTermAndVote { .. } => "lost term and vote",
            Fault::Join { .. } => "join",
            Fault::Transfer { .. } => "transfer",
            Fault::Change { .. } => "change of members",
            Fault::Member { order: Order::Remove, .. } => "member removed",
            Fault::Member { order: Order::Demote, .. } => "member demoted",
            Fault::Member { order: Order::Promote, .. } => "member promoted",
            Fault::Member { order: Order::Add, .. } => "member added",
        }
    }

    /// How long it lasts; `None` for what happens in an instant.
    pub fn lasts(&self) -> Option<Duration> {
        let mut copy = self.clone();
        copy.for_ms_mut().map(|for_ms| Duration::from_millis(*for_ms))
    }

    /// The duration, to change it.
    pub(crate) fn for_ms_mut(&mut self) -> Option<&mut u64> {
        match self {
            Fault::Kill { for_ms, .. }
            | Fault::KillAll { for_ms }
            | Fault::PowerLoss { for_ms, .. }
            | Fault::PowerLossAll { for_ms }
            | Fault::Pause { for_ms, .. }
            | Fault::Stop { for_ms, .. }
            | Fault::Slow { for_ms, .. }
            | Fault::Cut { for_ms, .. }
            | Fault::Clog { for_ms, .. }
            | Fault::Loss { for_ms, .. }
            | Fault::Duplicate { for_ms, .. }
            | Fault::Replay { for_ms, .. }
            | Fault::Reorder { for_ms, .. }
            | Fault::Delay { for_ms, .. }
            | Fault::Lag { for_ms, .. }
            | Fault::Corrupt { for_ms, .. }
            | Fault::Congest { for_ms, .. }
            | Fault::ClockDrift { for_ms, .. }
            | Fault::ClockStop { for_ms, .. }
            | Fault::DiskStall { for_ms, .. }
            | Fault::SlowDisk { for_ms, .. }
            | Fault::FullDisk { for_ms, .. }
            | Fault::Wipe { for_ms, .. }
            | Fault::LoseTermAndVote { for_ms, .. } => Some(for_ms),
            Fault::Reset { .. }
            | Fault::ClockJump { .. }
            | Fault::WriteError { .. }
            | Fault::ShortWrite { .. }
            | Fault::SyncError { .. }
            | Fault::ReadError { .. }
            | Fault::Rot { .. }
            | Fault::MisdirectedRead { .. }
            | Fault::MisdirectedWrite { .. }
            | Fault::LoseDisk { .. }
            | Fault::Join { .. }
            | Fault::Transfer { .. }
            | Fault::Change { .. }
            | Fault::Member { .. } => None,
        }
    }

    /// The host it strikes, when it is one.
    pub fn host(&self) -> Option<Host> {
        match self {
            Fault::Kill { host, .. }
            | Fault::PowerLoss { host, .. }
            | Fault::Pause { host, .. }
            | Fault::Stop { host, .. }
            | Fault::Slow { host, .. }
            | Fault::ClockJump { host, .. }
            | Fault::ClockDrift { host, .. }
            | Fault::ClockStop { host, .. }
            | Fault::DiskStall { host, .. }
            | Fault::SlowDisk { host, .. }
            | Fault::WriteError { host, .. }
            | Fault::ShortWrite { host, .. }
            | Fault::SyncError { host, .. }
            | Fault::ReadError { host, .. }
            | Fault::FullDisk { host, .. }
            | Fault::Rot { host, .. }
            | Fault::MisdirectedRead { host, .. }
            | Fault::MisdirectedWrite { host, .. }
            | Fault::LoseDisk { host }
            | Fault::Wipe { host, .. }
            | Fault::LoseTermAndVote { host, .. }
            | Fault::Join { host }
            | Fault::Member { host, .. } => Some(*host),
            _ => None,
        }
    }

    /// The links it is about.
    pub fn links(&self) -> &[Link] {
        match self {
            Fault::Cut { links, .. }
            | Fault::Clog { links, .. }
            | Fault::Lag { links, .. }
            | Fault::Reset { links } => links,
            _ => &[],
        }
    }
}
