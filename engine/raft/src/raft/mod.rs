//! The core itself: one struct, its inputs and its outputs. Each file next to this one holds one activity.

mod apply;
mod changes;
mod doubt;
mod election;
mod follower;
mod leader;
mod membership;
mod open;
mod outbox;
mod outline;
mod progress;
mod reads;
mod repair;
mod replicate;
mod room;
mod snapshots;
mod transfer;
mod writer;

pub use changes::ChangeError;
pub use open::OpenError;
pub use outline::{BadOutline, Outline};
pub use reads::{ReadError, ReadMode};
pub use transfer::TransferError;

use crate::log::Log;
use crate::random::Random;
use crate::trace::Step;
use crate::{
    Config, Done, Entry, Envelope, Event, HardState, Index, Input, Job, LogId, Members, Message, NodeId,
    Output, Payload, Role, Status, StepDownCause, Term, Time, WriteId,
};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use election::Candidate;
use follower::Follower;
use leader::Leader;
use membership::Membership;
use outbox::{Outbox, configuration, slot};
use reads::Reads;
use repair::Damage;
use serde::{Deserialize, Serialize};
use snapshots::Snapshots;
use writer::Writer;

/// The most messages that wait for a term to be durable.
const MOST_HELD: usize = 1024;

/// One node's consensus core.
///
/// Invariants, asserted always: `applied <= applying <= commit <= last`; a leader never truncates its log; what
/// is committed is never truncated; terms only grow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Raft {
    config: Config,
    random: Random,
    now: Time,
    hard: HardState,
    /// The write that makes `hard` durable.
    hard_write: WriteId,
    writer: Writer,
    log: Log,
    membership: Membership,
    commit: Index,
    /// Handed to the state machine up to here.
    applying: Index,
    applied: LogId,
    /// The state machine waits for entries that are being read from disk.
    loading: bool,
    snapshots: Snapshots,
    room: room::Account,
    damage: Damage,
    reads: Reads,
    role: RoleState,
    /// When a node that hears no leader runs for office.
    election_at: Time,
    /// Until then no other leader is helped into office.
    bound_until: Time,
    /// Messages of this term that wait for the term to be durable.
    held: Vec<Envelope>,
    /// Empty in what is written down.
    #[serde(skip)]
    out: Outbox,
}

/// A role owns only its own data; what it held ends with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum RoleState {
    Follower(Follower),
    Candidate(Candidate),
    Leader(Box<Leader>),
}

/// Why a proposal was not taken. It is certain that it will have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// Ask this node instead, when one is known.
    NotLeader(Option<NodeId>),
    /// Too much is waiting to be committed: try again later.
    Full,
    /// There is no room for it, in the log or in those of so many others that it could not be committed; but perhaps
    /// for something that frees space.
    NoRoom,
    /// Leadership is being handed over: ask again when that has ended, after an election timeout at most.
    Transferring,
}

impl fmt::Display for ProposeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProposeError::NotLeader(Some(leader)) => write!(formatter, "not the leader: ask {leader}"),
            ProposeError::NotLeader(None) => write!(formatter, "not the leader, and none is known"),
            ProposeError::Full => {
                write!(formatter, "too many proposals wait to be committed: try again later")
            }
            ProposeError::NoRoom => write!(formatter, "the disk is full: only what frees space is taken"),
            ProposeError::Transferring => {
                write!(formatter, "leadership is being handed over: try again soon")
            }
        }
    }
}

impl core::error::Error for ProposeError {}

impl Raft {
    /// Takes an input. What makes no sense is dropped with an [`Event::Nonsense`].
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Timeout => {}
            Input::Message(envelope) => self.receive(envelope),
            Input::Unreachable(peer) => self.link_broke(peer),
            Input::Done(done) => self.done(done),
            Input::Applied(index) => self.applied_up_to(index),
        }
        self.tick();
    }

    /// The next thing to do. Appends, writes, reads and applies are gathered here, not in `handle`, so that
    /// everything a host feeds before it polls shares one batch.
    pub fn poll(&mut self) -> Option<Output> {
        if self.out.is_empty() {
            self.gather();
        }
        self.out.pop_front()
    }

    /// When [`Input::Timeout`] is due, if nothing else comes before. Early or spurious ones are harmless.
    pub fn deadline(&self) -> Option<Time> {
        let role = match &self.role {
            RoleState::Leader(leader) => Some(self.leader_deadline(leader)),
            RoleState::Follower(_) | RoleState::Candidate(_) => {
                (self.may_run() || self.in_doubt().is_some()).then_some(self.election_at)
            }
        };
        [role, self.read_deadline(), self.damage.deadline()].into_iter().flatten().min()
    }

    /// Proposes a command. The id is its name, not a promise. It is *done* when that id is applied; *lost* only
    /// when another id is committed at that index (truncation proves nothing: another node may still carry it
    /// to commit); else, when a snapshot covers it, unknown.
    pub fn propose(&mut self, now: Time, command: Arc<[u8]>) -> Result<LogId, ProposeError> {
        self.propose_command(now, command, false)
    }

    /// As [`Raft::propose`]. A command that frees space may take from the reserve on a full disk.
    pub fn propose_command(
        &mut self,
        now: Time,
        command: Arc<[u8]>,
        frees_space: bool,
    ) -> Result<LogId, ProposeError> {
        self.now = self.now.max(now);
        let RoleState::Leader(leader) = &self.role else {
            return Err(ProposeError::NotLeader(self.leader()));
        };
        if leader.is_handing_over() {
            return Err(ProposeError::Transferring);
        }
        if !frees_space && self.too_few_have_room() {
            return Err(ProposeError::NoRoom);
        }
        if leader.uncommitted_bytes + command.len() > self.config.uncommitted_bytes
            && leader.uncommitted_bytes > 0
        {
            return Err(ProposeError::Full);
        }
        let payload = Payload::Command(command);
        if !self.has_room_for(&payload, frees_space) {
            self.hand_over_for_room();
            return Err(ProposeError::NoRoom);
        }
        Ok(self.append_own(payload))
    }

    /// How this node stands.
    pub fn status(&self) -> Status<'_> {
        Status {
            id: self.config.id,
            role: self.current_role(),
            term: self.hard.term,
            leader: self.leader(),
            commit: self.commit,
            applied: self.applied,
            last: self.log.last(),
            snapshot: self.snapshots.newest_id(),
            members: self.membership.current(),
            members_at: self.membership.current_at(),
            damaged: self.damage.count(),
            settled: self.is_settled(),
        }
    }

    /// What a checkpoint of the state machine must carry that is taken right after `last` was applied: the
    /// configuration in force there, and the entry that set it. `None` when there is nothing to keep: nothing is
    /// applied yet, or a snapshot that goes further is being installed.
    pub fn checkpoint(&self, last: LogId) -> Option<(Members, LogId)> {
        let (members_at, members) = self.membership.at(last.index).clone();
        (last != LogId::ZERO && self.log.terms().holds(last)).then_some((members, members_at))
    }

    /// The steps taken since this was last asked, in order; none unless [`Config::trace`] is set.
    pub fn take_trace(&mut self) -> Vec<Step> {
        self.out.take_steps()
    }

    /// The leader of this term, when known.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            RoleState::Leader(_) => Some(self.config.id),
            RoleState::Follower(follower) => follower.leader,
            RoleState::Candidate(_) => None,
        }
    }

    /// The term in which this node leads, if it does.
    pub fn leads_in(&self) -> Option<Term> {
        matches!(self.role, RoleState::Leader(_)).then_some(self.hard.term)
    }

    /// Committed up to here, as far as this node knows.
    pub fn committed(&self) -> Index {
        self.commit
    }

    /// The configuration in force.
    pub fn members(&self) -> &Members {
        self.membership.current()
    }

    /// The last slot that the state machine has applied.
    pub fn applied(&self) -> LogId {
        self.applied
    }

    /// The role as people see it.
    fn current_role(&self) -> Role {
        match &self.role {
            RoleState::Leader(_) => Role::Leader,
            RoleState::Candidate(_) => Role::Candidate,
            RoleState::Follower(_) if self.membership.current().is_voter(self.config.id) => Role::Follower,
            RoleState::Follower(_) => Role::Learner,
        }
    }

    /// Dispatches a message after the rules on terms (thesis §3.3).
    fn receive(&mut self, envelope: Envelope) {
        let in_range = envelope.is_in_range();
        let Envelope { from, to, term, message } = envelope;
        if !in_range {
            return self.nonsense(Some(from), "a number that no cluster reaches");
        }
        if to != self.config.id || from == self.config.id {
            return self.nonsense(Some(from), "a message that is not for this node");
        }
        let of_another_term =
            matches!(message, Message::PreVote { .. } | Message::PreVoteReply { granted: true });
        if !of_another_term {
            if term > self.hard.term {
                if !self.heeds(from, &message) {
                    return;
                }
                self.enter_term(term);
            }
            if term < self.hard.term && !matches!(message, Message::Ask { .. } | Message::Tell { .. }) {
                return self.answer_the_past(from, &message);
            }
        }
        if term == self.hard.term {
            self.heard_from(from);
        }
        match message {
            Message::PreVote { last } => self.pre_vote_asked(from, term, last),
            Message::PreVoteReply { granted } => self.pre_vote_answered(from, term, granted),
            Message::Vote { last, transfer } => self.vote_asked(from, last, transfer),
            Message::VoteReply { granted } => self.vote_answered(from, granted),
            Message::Append { prev, entries, commit } => self.append_received(from, prev, entries, commit),
            Message::Appended { matched } => self.appended(from, matched),
            Message::Conflict { prev, hint } => self.conflicted(from, prev, hint),
            Message::Heartbeat { round, commit } => self.heartbeat_received(from, round, commit),
            Message::HeartbeatReply { round, verified, matched, full } => {
                self.heartbeat_answered(from, round, verified, matched, full);
            }
            Message::ReadIndex { batch, lease } => self.read_index_asked(from, batch, lease),
            Message::ReadIndexReply { batch, index } => self.read_index_answered(from, batch, index),
            Message::Snapshot { meta, chunk } => self.snapshot_received(from, *meta, chunk),
            Message::SnapshotReply { last, next } => self.snapshot_answered(from, last, next),
            Message::Ask { nonce, first, last, sound, doubt } => {
                self.peer_lost(from, sound);
                self.asked(from, nonce, first, last, doubt);
            }
            Message::Tell { nonce, entries, leads_to, committed, report } if nonce == self.damage.nonce => {
                self.told(term, from, entries, leads_to);
                self.commit_told(committed);
                self.reported(term, from, report);
            }
            Message::Tell { .. } => {}
            Message::TimeoutNow => self.told_to_run(from),
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Written(id) => self.written(id),
            Done::Loaded { load, entries } => self.loaded(load, entries),
            Done::SnapshotLoaded { load, chunk } => self.snapshot_loaded(load, chunk),
            Done::SnapshotStored { meta, next, complete } => self.snapshot_stored(&meta, next, complete),
            Done::SnapshotTaken(meta) => self.snapshot_taken(*meta),
            // For the host, which will give another one.
            Done::SnapshotLost(_) => {}
            Done::Damaged(slot) => self.found_damaged(slot),
            Done::Room(room) => self.room_reported(room),
        }
    }

    /// What became durable may release votes, answers, a commit and leadership.
    fn written(&mut self, id: WriteId) {
        if !self.writer.finish(id) {
            return self.nonsense(None, "a write finished that was never issued");
        }
        self.out.note(|| Step::Written { id: id.0 });
        self.room.written(id);
        if self.hard_write <= self.writer.written() {
            for envelope in core::mem::take(&mut self.held) {
                self.out.push_back(Output::Send(envelope));
            }
        }
        self.count_votes();
        self.repairs_written();
        self.answer_leader();
        self.advance_commit();
        self.log.evict(self.config.cache_bytes, self.writer.durable());
    }

    /// What time brings.
    fn tick(&mut self) {
        if matches!(self.role, RoleState::Leader(_)) {
            self.leader_tick();
        } else if self.now >= self.election_at {
            self.election_due();
        }
        self.read_tick();
        self.repair_tick();
    }

    fn gather(&mut self) {
        self.begin_read_round();
        self.replicate();
        self.supply_snapshots();
        if let Some(write) = self.writer.take(self.now, self.commit) {
            self.out.push_back(Output::Job(Job::Write(write)));
        }
        self.serve_reads();
        self.apply_committed();
        assert!(
            self.applied.index <= self.applying
                && self.applying <= self.commit
                && self.commit <= self.log.last().index,
            "applied {}, applying {}, commit {}, last {}",
            self.applied,
            self.applying,
            self.commit,
            self.log.last()
        );
    }

    /// Sends in the current term, once the term is durable. While a disk stands still the others go on talking; answers
    /// beyond the bound are as good as lost.
    fn send(&mut self, to: NodeId, message: Message) {
        let envelope = Envelope { from: self.config.id, to, term: self.hard.term, message };
        if self.hard_write <= self.writer.written() {
            self.out.push_back(Output::Send(envelope));
        } else if self.held.len() < MOST_HELD {
            self.held.push(envelope);
        }
    }

    fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    fn nonsense(&mut self, from: Option<NodeId>, what: &'static str) {
        self.event(Event::Nonsense { from, what });
    }

    /// Moves to `term` with no vote given there, as a follower.
    fn enter_term(&mut self, term: Term) {
        assert!(term > self.hard.term, "term {term} does not follow {}", self.hard.term);
        self.become_follower(None, StepDownCause::HigherTerm);
        self.note_hard(HardState { term, vote: None });
        self.damage.leader_changed();
    }

    /// From here on nothing leaves in this term before this is durable. What was held in an older state may
    /// never leave, which is as if it had been lost.
    fn note_hard(&mut self, hard: HardState) {
        if hard.term > self.hard.term {
            self.held.clear();
        }
        if hard.vote.is_none() {
            self.out.note(|| Step::Enters { term: hard.term.0 });
        }
        self.hard = hard;
        self.writer.hard(hard);
        self.hard_write = self.writer.next_id();
    }

    /// Appends to the log in memory and on its way to disk.
    fn append(&mut self, entry: Entry) {
        self.out.note(|| match &entry.payload {
            Payload::Members(members) => {
                Step::Configures { slot: slot(entry.id), configuration: configuration(members) }
            }
            Payload::Noop | Payload::Command(_) => Step::Appends { slot: slot(entry.id) },
        });
        if self.membership.note(&entry) {
            self.members_changed();
        }
        self.room.issue(self.writer.next_id(), &entry.payload);
        self.writer.append(entry.clone());
        self.log.push(entry);
    }

    fn members_changed(&mut self) {
        let at = self.membership.current_at();
        self.event(Event::MembersChanged { at });
        self.sync_peers();
    }
}
