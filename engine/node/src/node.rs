//! The node: inputs, outputs, and what goes between the core and the store.

mod changes;
mod housekeeping;
mod reads;
mod written_down;

use crate::checkpoints::{Checkpoint, Checkpoints};
use crate::clock::Clock;
use crate::held::{Held, HeldWrite};
use crate::holds::Holds;
use crate::pending::{Fate, Pending};
use crate::request::{Refusal, Reply, Request, RequestId};
use crate::state::{Progress, State};
use crate::view::{Standing, View};
use housekeeping::Housekeeping;
use quorate_kv::{Action, Applied, Command, Kv, Once, Op, Settings, Txn};
use quorate_raft::trace::Step;
use quorate_raft::{
    Config, Done, Entry, Envelope, Event, Found, Index, Input as CoreInput, Job, NodeId, OpenError,
    Output as CoreOutput, ProposeError, Raft, Reader, Time,
};
use quorate_wire::entry::encode_command;
use reads::Lookup;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
pub(crate) use written_down::Base;

/// Settings of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Those of its core.
    pub raft: Config,
    /// A checkpoint is taken when an entry was applied whose index is a multiple of this. With another value than on
    /// other nodes a node can't share the files of its checkpoints with them.
    pub checkpoint_entries: u64,
    /// And when the commands applied since hold more than so many bytes. The same is true of this value.
    pub checkpoint_bytes: u64,
    /// The most requests pending; more are refused as overload, but for hand-overs.
    pub pending_requests: usize,
    /// The limits of the state machine. Those of the leader count, on all nodes.
    pub settings: Settings,
}

impl NodeConfig {
    /// The usual bound on requests that wait for the log or for a read round.
    pub const PENDING_REQUESTS: usize = 16_384;
    /// The usual distance of checkpoints in bytes of commands. A restart applies at most about so much again, and rows
    /// that wait to be written hold about so much memory; a smaller run is merged more often.
    pub const CHECKPOINT_BYTES: u64 = 64 << 20;
}

/// How many hand-overs may wait for their end however much else waits.
const WAITING_TRANSFERS: usize = 16;

/// What the host tells the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// The deadline has passed. Early ones are harmless.
    Timeout,
    /// A peer spoke.
    Message(Envelope),
    /// The link to a peer broke.
    Unreachable(NodeId),
    /// Storage has done a job.
    Done(Done),
    /// Somebody asks for something. Exactly one [`Output::Reply`] follows, unless it is canceled before.
    Request {
        /// Names it.
        id: RequestId,
        /// What is asked.
        request: Request,
    },
    /// Nobody waits for this request any more. It may still be carried out, unless the outputs of this input have a
    /// reply to it: then nothing of it was done, for certain.
    Cancel(RequestId),
}

/// What the node asks of the host.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Send(Envelope),
    /// Work for storage.
    Job(Job),
    /// Work for storage: write a checkpoint. Answer: [`Done::SnapshotTaken`] or [`Done::SnapshotLost`].
    Checkpoint(Box<Checkpoint>),
    /// What came of a request.
    Reply {
        /// The request.
        id: RequestId,
        /// What came of it.
        reply: Reply,
    },
    /// Role, term, leader, members or health have changed: look at [`Node::view`] again.
    Changed,
    /// Something worth a line in a log.
    Event(Event),
    /// This node cannot go on: its own checkpoint is unreadable. The text says which and why.
    Failed(String),
}

/// How long deletes on a full disk are gathered before a checkpoint gives their space back.
const RELIEF_PAUSE: Duration = Duration::from_secs(1);

/// A whole node.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    raft: Raft,
    state: State,
    pending: Pending,
    reads: BTreeMap<RequestId, Lookup>,
    /// How many reads were canceled that the core may still have.
    canceled_reads: usize,
    /// Writes that came while leadership is being handed over, and who waits for that to end.
    held: Held,
    transfers: Vec<RequestId>,
    standing: Standing,
    checkpoints: Checkpoints,
    clock: Clock,
    housekeeping: Housekeeping,
    holds: Holds,
    /// The last segment of a full log for which a checkpoint was begun.
    relieved_segment: u32,
    /// When a checkpoint is due that gives the space back that was freed on a full disk.
    relief_at: Option<Time>,
    /// The time of the last input.
    now: Time,
    out: VecDeque<Output>,
}

impl Node {
    /// Starts a node from what recovery found.
    pub fn open(config: NodeConfig, found: Found, now: Time) -> Result<Node, OpenError> {
        let checkpointed = found.snapshot.as_ref().map_or(Index(0), |meta| meta.last.index);
        let checkpoints = Checkpoints::new(config.checkpoint_entries, config.checkpoint_bytes, checkpointed);
        let clock = Clock::new(config.raft.election_timeout, now);
        let raft = Raft::open(config.raft.clone(), found, now)?;
        let state = State::new();
        let standing = standing(&raft, &state);
        Ok(Node {
            config,
            raft,
            state,
            pending: Pending::default(),
            reads: BTreeMap::new(),
            canceled_reads: 0,
            held: Held::default(),
            transfers: Vec::new(),
            standing,
            checkpoints,
            clock,
            housekeeping: Housekeeping::default(),
            holds: Holds::default(),
            relieved_segment: 0,
            relief_at: None,
            now,
            out: VecDeque::new(),
        })
    }

    /// Takes an input.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        self.advance_clock();
        match input {
            Input::Timeout => self.raft.handle(now, CoreInput::Timeout),
            Input::Message(envelope) => self.raft.handle(now, CoreInput::Message(envelope)),
            Input::Unreachable(peer) => self.raft.handle(now, CoreInput::Unreachable(peer)),
            Input::Done(done) => self.done(now, done),
            Input::Request { id, request } => self.request(now, id, request),
            Input::Cancel(id) => {
                self.pending.cancel(id);
                self.checkpoints.cancel(id);
                self.cancel_read(id);
                if self.held.cancel(id) {
                    self.reply(id, Reply::NotLeader { leader: None });
                }
                self.transfers.retain(|waiting| *waiting != id);
            }
        }
        self.relief_tick();
        self.holds.tick(self.now, &mut self.state.kv);
        self.keep_house();
    }

    /// The next thing to do. Feed everything that waits first: it shares one batch.
    pub fn poll(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.out.pop_front() {
                return Some(output);
            }
            match self.raft.poll() {
                Some(output) => self.core_output(output),
                None if self.transfer_ended() => {}
                None => return self.change(),
            }
        }
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(&self) -> Option<Time> {
        [self.raft.deadline(), self.relief_at, self.next_end()].into_iter().flatten().min()
    }

    /// The time of the last input.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The core, to look at.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The steps that the core has taken since this was last asked; none unless its settings have it keep them.
    pub fn take_trace(&mut self) -> Vec<Step> {
        self.raft.take_trace()
    }

    /// The store, to look at; while one is being restored, what was there before.
    pub fn kv(&self) -> &Kv {
        &self.state.kv
    }

    /// How many requests wait for an entry of the log.
    pub fn proposals(&self) -> usize {
        self.pending.count()
    }

    /// How the node stands.
    pub fn view(&self) -> View {
        let status = self.raft.status();
        View {
            id: status.id,
            role: status.role,
            term: status.term,
            leader: status.leader,
            commit: status.commit,
            applied: status.applied.index,
            last: status.last,
            snapshot: status.snapshot,
            members: status.members.clone(),
            members_at: status.members_at,
            settled: status.settled,
            damaged: status.damaged,
            short_of_room: self.raft.room().is_some(),
            restoring: self.state.is_restoring(),
            time: self.clock.now(),
            revision: self.state.kv.revision(),
            keys: self.state.kv.len(),
            state_hash: self.state.kv.state_hash(),
            peers: self.raft.peers().collect(),
        }
    }

    fn done(&mut self, now: Time, done: Done) {
        match done {
            Done::SnapshotLoaded { load, chunk } if load.reader == Reader::Apply => {
                match self.state.restore(&load, chunk) {
                    Ok(Progress::Next(next)) => self.out.push_back(Output::Job(Job::LoadSnapshot(next))),
                    Ok(Progress::Complete(index)) => self.raft.handle(now, CoreInput::Applied(index)),
                    Ok(Progress::Stale) => {}
                    Err(what) => self.out.push_back(Output::Failed(what)),
                }
            }
            Done::SnapshotTaken(meta) => {
                self.checkpointed(meta.last.index);
                let next = self.checkpoints.next(&mut self.state, &self.raft);
                self.begin_checkpoint(next);
                self.raft.handle(now, CoreInput::Done(Done::SnapshotTaken(meta)));
                self.relieve_log();
            }
            Done::Room(room) => {
                self.raft.handle(now, CoreInput::Done(Done::Room(room)));
                self.relieve_log();
            }
            Done::SnapshotLost(last) => {
                let whole = self.checkpoints.lost(last, &mut self.state, &self.raft);
                self.begin_checkpoint(whole);
            }
            done => self.raft.handle(now, CoreInput::Done(done)),
        }
    }

    fn core_output(&mut self, output: CoreOutput) {
        match output {
            CoreOutput::Send(envelope) => self.out.push_back(Output::Send(envelope)),
            CoreOutput::Job(job) => self.out.push_back(Output::Job(job)),
            CoreOutput::Event(event) => self.out.push_back(Output::Event(event)),
            CoreOutput::Apply(entries) => self.apply(&entries),
            CoreOutput::Read(ids) => ids.into_iter().for_each(|id| self.serve_read(RequestId(id.0))),
            CoreOutput::Install(meta) => {
                for id in self.pending.covered(meta.last.index) {
                    self.reply(id, Reply::Unknown);
                }
                self.checkpointed(meta.last.index);
                let first = self.state.begin_restore(*meta);
                self.out.push_back(Output::Job(Job::LoadSnapshot(first)));
            }
        }
    }

    fn apply(&mut self, entries: &[Entry]) {
        for entry in entries {
            let freed_before = self.state.freed_bytes();
            let mut applied = self.state.apply(entry);
            if self.state.freed_bytes() > freed_before && self.raft.room().is_some() {
                self.relief_at.get_or_insert(self.now + RELIEF_PAUSE);
            }
            let mut fates = self.pending.applied(entry).into_iter().peekable();
            while let Some((id, fate)) = fates.next() {
                // Of the few that are told the same, all but the last get a copy.
                let applied = if fates.peek().is_some() { applied.clone() } else { applied.take() };
                self.fulfil(id, fate, applied, entry.id.index);
            }
            let due = self.checkpoints.applied(entry, &mut self.state, &self.raft);
            self.begin_checkpoint(due);
        }
        if let Some(last) = entries.last() {
            self.raft.handle(self.now, CoreInput::Applied(last.id.index));
        }
    }

    fn begin_checkpoint(&mut self, checkpoint: Option<Checkpoint>) {
        self.out.extend(checkpoint.map(|checkpoint| Output::Checkpoint(Box::new(checkpoint))));
    }

    fn checkpointed(&mut self, last: Index) {
        for id in self.checkpoints.taken(last) {
            self.reply(id, Reply::Checkpointed);
        }
    }

    /// A full log gets room by a checkpoint, below which it can be dropped: one for each segment that was begun since.
    fn relieve_log(&mut self) {
        let Some(room) = self.raft.room() else { return };
        if room.newest_segment > self.relieved_segment && !self.checkpoints.are_under_way() {
            let checkpoint = self.checkpoints.asked(&mut self.state, &self.raft);
            if checkpoint.is_some() {
                self.relieved_segment = room.newest_segment;
            }
            self.begin_checkpoint(checkpoint);
        }
    }

    /// What was deleted on a full disk is there until a checkpoint is taken without it.
    fn relief_tick(&mut self) {
        if self.relief_at.is_some_and(|at| at <= self.now) {
            // While one is being written there is nothing to wait for: its end is a time to look again.
            let waits = self.checkpoints.are_under_way();
            self.relief_at = waits.then(|| self.now + RELIEF_PAUSE);
            if !waits && self.raft.room().is_some() {
                let checkpoint = self.checkpoints.relieving(&mut self.state, &self.raft);
                self.begin_checkpoint(checkpoint);
            }
        }
    }

    fn fulfil(&mut self, id: RequestId, fate: Fate, applied: Option<Applied>, index: Index) {
        let reply = match (fate, applied) {
            (Fate::Done, Some(Applied { outcome, is_replay })) => {
                Reply::Written { outcome, is_replay, revision: self.state.kv.revision() }
            }
            (Fate::Done, None) => Reply::MembersChanged { index },
            (Fate::Lost, _) => Reply::Lost,
        };
        self.reply(id, reply);
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.out.push_back(Output::Reply { id, reply });
    }

    fn request(&mut self, now: Time, id: RequestId, request: Request) {
        let waiting = self.pending.count() + self.checkpoints.count() + self.reads.len();
        let waiting = waiting + self.held.count() + self.transfers.len();
        // A node with too much to do has to be able to hand over: that it ends may be for that very reason.
        let may_hand_over =
            matches!(request, Request::Transfer(_)) && self.transfers.len() < WAITING_TRANSFERS;
        if waiting >= self.config.pending_requests && !may_hand_over {
            return self.reply(id, Reply::Refused(Refusal::Overloaded));
        }
        match request {
            Request::Write { action, once } => self.write(now, id, action, once),
            Request::Read { query, level } => self.read(now, id, Lookup::Query(query), level),
            Request::AddLearner { id: member, learner, contact, replaces, entrance } => {
                let target = self.with_learner(member, (learner, contact), replaces, entrance);
                self.change_to(now, id, target);
            }
            Request::AddToken { token, ttl_ms } => {
                let target = self.with_token(token, ttl_ms);
                self.change_to(now, id, target);
            }
            Request::SetMembers { voters, learners } => {
                let target = self.set_members(voters, &learners);
                self.change_to(now, id, target);
            }
            Request::Promote(member) => {
                let change = self.raft.promote(now, member);
                self.changing(id, change);
            }
            Request::Remove(member) => {
                let change = self.raft.remove(now, member);
                self.changing(id, change);
            }
            Request::Transfer(to) => self.transfer(now, id, to),
            Request::Checkpoint => self.checkpoint_asked(id),
        }
    }

    fn write(&mut self, now: Time, id: RequestId, action: Action, once: Option<Once>) {
        let frees_space = frees_space(&action);
        let order = self.order(once, action);
        match encode_command(&Command::Order(order)) {
            Ok(bytes) => self.propose(now, HeldWrite { id, command: Arc::from(bytes), frees_space }),
            Err(error) => self.reply(id, Reply::Refused(Refusal::TooLarge { bytes: error.bytes })),
        }
    }

    fn propose(&mut self, now: Time, write: HeldWrite) {
        let limit_bytes = self.config.raft.uncommitted_bytes;
        let (id, command) = (write.id, Arc::clone(&write.command));
        match self.raft.propose_command(now, command, write.frees_space) {
            Ok(log_id) => self.pending.expect(log_id, id),
            Err(ProposeError::NotLeader(leader)) => self.reply(id, Reply::NotLeader { leader }),
            Err(ProposeError::NoRoom) => self.reply(id, Reply::Refused(Refusal::DiskFull)),
            Err(ProposeError::Transferring) if self.held.push(write, limit_bytes) => {}
            Err(ProposeError::Transferring | ProposeError::Full) => {
                self.reply(id, Reply::Refused(Refusal::Overloaded));
            }
        }
    }

    fn checkpoint_asked(&mut self, id: RequestId) {
        let due = self.checkpoints.asked(&mut self.state, &self.raft);
        self.begin_checkpoint(due);
        if !self.checkpoints.wait(id, self.raft.status().applied.index) {
            self.reply(id, Reply::Checkpointed);
        }
    }

    fn change(&mut self) -> Option<Output> {
        let standing = standing(&self.raft, &self.state);
        if standing == self.standing {
            return None;
        }
        self.standing = standing;
        Some(Output::Changed)
    }
}

/// Whether a full disk takes it from its reserve: it frees space, or is what keeps things that are there from ending.
fn frees_space(action: &Action) -> bool {
    match action {
        Action::Delete { .. }
        | Action::Revoke { .. }
        | Action::KeepAlive { .. }
        | Action::Unlock { .. }
        | Action::Tick => true,
        Action::Txn(txn) => only_deletes(txn),
        Action::Put(_)
        | Action::Import { .. }
        | Action::Grant { .. }
        | Action::Configure(_)
        | Action::Lock { .. } => false,
    }
}

/// Whether a transaction deletes, and writes nothing, whichever of its lists is carried out: so is a delete with a
/// condition.
fn only_deletes(txn: &Txn) -> bool {
    let ops = || txn.success.iter().chain(&txn.failure);
    ops().any(|op| matches!(op, Op::Delete { .. })) && !ops().any(|op| matches!(op, Op::Put(_)))
}

fn standing(raft: &Raft, state: &State) -> Standing {
    let status = raft.status();
    Standing {
        role: status.role,
        term: status.term,
        leader: status.leader,
        members_at: status.members_at,
        settled: status.settled,
        restoring: state.is_restoring(),
        damaged: status.damaged,
        short_of_room: raft.room().is_some(),
    }
}
