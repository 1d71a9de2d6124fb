//! What is observed of a run: one stream, the same whatever stack it comes from. Checkers, trace hash and timeline are
//! made from it and from nothing else.

use std::hash::{Hash, Hasher};

use quorate_node::raft::trace::Step;
use quorate_node::raft::{Event, HardState, Index, LogId, NodeId, Role, Term, Time, TokenHash};

use crate::audit::{Account, Errand};
use crate::history::{Call, Outcome};
use crate::plan::Host;

/// Something that happened. `host` is where; a server that takes the place of a wiped one counts as another.
#[allow(missing_docs, reason = "the fields are explained in the line of their variant, or by their types")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Observation {
    /// The run enters its next phase.
    Phase(Phase),
    /// The plan's fault of this number (from 0) begins or ends.
    Fault { number: usize, begins: bool },
    /// A server starts on what its disk holds.
    Started { host: Host, found: FoundLog },
    /// Its recovery has ended: what it found is durable now.
    Recovered { host: Host },
    /// A server ends.
    Ended { host: Host, why: Ended },
    /// Both files of term and vote of a server are lost, while it does not run.
    Forgot { host: Host },
    /// Bytes of a server's log go astray: what a start would find (if it would start) with them, and with garbage in
    /// their place.
    Astray { host: Host, with_stray: Option<FoundLog>, with_garbage: Option<FoundLog> },
    /// How a server stands after a turn, when that has changed.
    Stands { host: Host, stand: Stand },
    /// The configuration in force at a server.
    Members { host: Host, at: LogId, voters: Vec<NodeId>, outgoing: Vec<NodeId> },
    /// An operator was told that a node was let in by a join token.
    LetIn { token: TokenHash, node: NodeId },
    /// A server has become leader, and these leaders of earlier terms hold a lease at that moment (on the core stack
    /// only, where it can be seen).
    Leases { host: Host, held: Vec<Host> },
    /// A machine's clock shows this from now on, and runs at so many thousandths of true time.
    Clock { host: Host, shows: Time, rate: u64 },
    /// A leader has answered a read by its lease: at once, although it has others to ask.
    ServedByLease { host: Host },
    /// Something that the node itself would log.
    Event { host: Host, event: Event },
    /// The steps that a server's core has taken in a turn.
    Traced { host: Host, steps: Steps },
    /// A server sends a message. It may never arrive.
    Sent { from: Host, to: Host, said: Said },
    /// A server takes a message.
    Received { from: Host, to: Host, said: Said },
    /// A server asks its storage for a write.
    Writes { host: Host, write: LogWrite },
    /// A server hears that this write and all before it are durable.
    Durable { host: Host, write: u64 },
    /// A server hears that a snapshot, its own or one that a leader sent, is whole and durable.
    Stored { host: Host, last: LogId },
    /// What a server has applied, whenever that has changed.
    Applied { host: Host, index: Index, state_hash: u64, revision: u64 },
    /// What a server's disk has cost when the faults are over: all syncs of files and directories.
    Cost { host: Host, syncs: u64 },
    /// A server finds something bad at rest that nobody had asked for.
    FoundAtRest { host: Host },
    /// An operator has the members changed. The number is that of the order among all of the run.
    Orders { number: u64, wanted: Wanted },
    /// An operator hears that an order is done.
    Told { number: u64 },
    /// A client makes a request. With `content`, a hash of the command as it will stand in the log, when no other
    /// request makes the same one.
    Asks { client: u8, number: u32, to: Host, key: String, call: Call, stale: bool, content: Option<u64> },
    /// What a client makes of the answer, or of none; and the revision of the key, when the answer named one.
    Hears { client: u8, number: u32, outcome: Outcome, revision: Option<u64> },
    /// A client's machine gets an answer that nodes have passed on, the last of them last.
    PassedOn { to: Host, by: Vec<String> },
    /// An auditor makes a request, or repeats it under the same number.
    Errand { auditor: u8, number: u64, errand: Errand },
    /// What an auditor is told.
    Account { auditor: u8, number: u64, account: Account },
}

/// Steps of a core, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps(pub Vec<Step>);

/// What they say follows from what else is observed, and they are many: their number is enough for the trace hash.
impl Hash for Steps {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.len().hash(state);
    }
}

/// The parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The cluster forms.
    Boot,
    /// Things break.
    Safety,
    /// The core is healed, everything else stays as it is.
    Liveness,
    /// Everything that was acknowledged is looked for.
    Scan,
}

/// Why a server ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The process was killed.
    Killed,
    /// It was asked to end, and has.
    Stopped,
    /// The machine lost power.
    PowerLost,
    /// It stopped itself: its disk failed.
    DiskFailed,
    /// It would not start on what its disk holds.
    Refused(String),
    /// Its disk is gone for good.
    DiskLost,
}

/// How a server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stand {
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// The leader of that term, as far as it knows.
    pub leader: Option<NodeId>,
    /// Committed up to here.
    pub commit: Index,
    /// The end of its log.
    pub last: LogId,
    /// How many slots are damaged.
    pub damaged: usize,
}

/// What recovery found in a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FoundLog {
    /// Term and vote.
    pub hard: HardState,
    /// The slot before the log's first.
    pub base: LogId,
    /// The term of each slot after `base`.
    pub terms: Vec<Term>,
    /// The last slot of the newest checkpoint.
    pub snapshot: LogId,
    /// Slots whose content is lost.
    pub damaged: Vec<LogId>,
    /// The first of the slots whose very term is lost.
    pub unknown: Option<Index>,
}

impl FoundLog {
    /// The end of the log.
    pub fn last(&self) -> LogId {
        let index = Index(self.base.index.0 + self.terms.len() as u64);
        self.terms.last().map_or(self.base, |term| LogId { term: *term, index })
    }
}

/// What a write does to the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogWrite {
    /// Its number; they count up within one life of a server.
    pub id: u64,
    /// Term and vote, when they changed.
    pub hard: Option<HardState>,
    /// A snapshot that takes the place of the log.
    pub install: Option<LogId>,
    /// Entries from here on are dropped.
    pub truncate_from: Option<Index>,
    /// Entries that are appended, with a hash of each one's content.
    pub append: Vec<(LogId, u64)>,
    /// Damaged slots that are written anew, likewise.
    pub repair: Vec<(LogId, u64)>,
    /// What those of the appended entries say that are about the members.
    pub members: Vec<(LogId, Configuration)>,
}

impl LogWrite {
    /// Whether another slot, or none, is at `index` afterwards, or the same one anew.
    pub(crate) fn replaces(&self, index: Index) -> bool {
        let first = self.append.first().map(|(id, _)| id.index);
        self.install.is_some_and(|last| index <= last.index)
            || self.truncate_from.or(first).is_some_and(|from| index >= from)
            || self.repair.iter().any(|(id, _)| id.index == index)
    }
}

/// Who is a member, and what each is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// The voters.
    pub voters: Vec<NodeId>,
    /// In a joint configuration, the voters before.
    pub outgoing: Vec<NodeId>,
    /// The learners.
    pub learners: Vec<NodeId>,
}

/// What an operator wants of the members. Ids ascend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// This one is a member, and nobody else of its host is.
    Member(NodeId),
    /// These are all voters and all learners.
    Members {
        /// The voters.
        voters: Vec<NodeId>,
        /// The learners.
        learners: Vec<NodeId>,
    },
    /// This one votes.
    Voter(NodeId),
    /// This one is no member.
    Gone(NodeId),
}

/// The gist of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Said {
    /// What kind of message it is.
    pub kind: MessageKind,
    /// The sender's term.
    pub term: Term,
    /// Its numbers, by kind: see [`MessageKind`].
    pub numbers: [u64; 3],
}

/// The kinds of messages, with what their numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// Index and term of the log's end.
    PreVote,
    /// 1 when granted.
    PreVoteReply,
    /// Index and term of the log's end, and 1 when the leader told the candidate to run.
    Vote,
    /// 1 when granted.
    VoteReply,
    /// Index before the first entry, how many entries, commit index.
    Append,
    /// The last slot verified and durable.
    Appended,
    /// The index that was wanted, and the hint.
    Conflict,
    /// Round and commit index.
    Heartbeat,
    /// Round, verified, durable.
    HeartbeatReply,
    /// The question's number, and 1 when a lease is confirmation enough.
    ReadIndex,
    /// The question's number and the index.
    ReadIndexReply,
    /// The last slot, the offset, and 1 for the last piece.
    Snapshot,
    /// The last slot and the offset wanted next.
    SnapshotReply,
    /// First and last slot wanted, and the end of the sound prefix.
    Ask,
    /// How many entries, and where the log ends.
    Tell,
    /// Nothing more.
    TimeoutNow,
}

/// A hash that is the same everywhere: words are mixed little-endian, and nothing depends on the machine.
#[derive(Clone, Debug)]
pub(crate) struct TraceHasher(u64);

impl TraceHasher {
    pub(crate) fn new() -> Self {
        TraceHasher(0x9e37_79b9_7f4a_7c15)
    }

    fn mix(&mut self, word: u64) {
        // The finisher of MurmurHash3 (Appleby): all bits of a word reach all bits of the state.
        let mut mixed = (self.0.rotate_left(23) ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^= mixed >> 33;
        self.0 = mixed.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    }
}

impl Hasher for TraceHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last));
        self.mix(bytes.len() as u64);
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number.cast_unsigned() as u64);
    }
}

/// The hash of one thing by itself.
pub(crate) fn digest(thing: &impl Hash) -> u64 {
    let mut hasher = TraceHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}
