//! The node: inputs, outputs, and what goes between the core and the store.

use crate::pending::{Fate, Pending};
use crate::request::{ReadLevel, Refusal, Reply, Request, RequestId};
use crate::state::{Progress, State};
use crate::view::{Standing, View};
use quorate_kv::{Command, Kv, Outcome, SnapshotWriter};
use quorate_raft::{
    ChangeError, Config, Contact, Done, Entry, Envelope, Event, Found, Index, Input as CoreInput, Job,
    Learner, LogId, Members, NodeId, OpenError, Output as CoreOutput, ProposeError, Raft, ReadId, Reader,
    Time,
};
use quorate_wire::entry::encode_command;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Those of its core.
    pub raft: Config,
    /// A checkpoint is taken after this many entries were applied since the last.
    pub checkpoint_entries: u64,
    /// The most requests pending; more are refused as overload.
    pub pending_requests: usize,
}

impl NodeConfig {
    /// The usual bound on requests that wait for the log or for a read round.
    pub const PENDING_REQUESTS: usize = 16_384;
}

/// What the host tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Nobody waits for this request any more. It may still be carried out.
    Cancel(RequestId),
}

/// What the node asks of the host.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Send(Envelope),
    /// Work for storage.
    Job(Job),
    /// Work for storage: write a checkpoint. Answer: [`Done::SnapshotTaken`].
    Checkpoint {
        /// The last slot it covers.
        last: LogId,
        /// The configuration in force there.
        members: Members,
        /// The entry that set it.
        members_at: LogId,
        /// Its content, a piece at a time.
        content: SnapshotWriter,
    },
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

/// A whole node.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    raft: Raft,
    state: State,
    pending: Pending,
    reads: BTreeMap<RequestId, Query>,
    standing: Standing,
    /// Where the last checkpoint was begun, and whether it still runs.
    checkpoint: (Index, bool),
    /// The time of the last input.
    now: Time,
    out: VecDeque<Output>,
}

/// A read that waits for its index.
#[derive(Debug)]
enum Query {
    Key(Arc<[u8]>),
    All,
}

impl Node {
    /// Starts a node from what recovery found.
    pub fn open(config: NodeConfig, found: Found, now: Time) -> Result<Node, OpenError> {
        let checkpointed = found.snapshot.as_ref().map_or(Index(0), |meta| meta.last.index);
        let raft = Raft::open(config.raft.clone(), found, now)?;
        let state = State::new();
        let standing = standing(&raft, &state);
        Ok(Node {
            config,
            raft,
            state,
            pending: Pending::default(),
            reads: BTreeMap::new(),
            standing,
            checkpoint: (checkpointed, false),
            now,
            out: VecDeque::new(),
        })
    }

    /// Takes an input.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Timeout => self.raft.handle(now, CoreInput::Timeout),
            Input::Message(envelope) => self.raft.handle(now, CoreInput::Message(envelope)),
            Input::Unreachable(peer) => self.raft.handle(now, CoreInput::Unreachable(peer)),
            Input::Done(done) => self.done(now, done),
            Input::Request { id, request } => self.request(now, id, request),
            Input::Cancel(id) => {
                self.pending.cancel(id);
                self.reads.remove(&id);
            }
        }
    }

    /// The next thing to do. Feed everything that waits first: it shares one batch.
    pub fn poll(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.out.pop_front() {
                return Some(output);
            }
            match self.raft.poll() {
                Some(output) => self.core_output(output),
                None => return self.change(),
            }
        }
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(&self) -> Option<Time> {
        self.raft.deadline()
    }

    /// The core, to look at.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The store, to look at; while one is being restored, what was there before.
    pub fn kv(&self) -> &Kv {
        &self.state.kv
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
            restoring: self.state.is_restoring(),
            revision: self.state.kv.revision(),
            keys: self.state.kv.len(),
            state_hash: self.state.kv.state_hash(),
            peers: status.peers,
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
                self.checkpoint.1 = false;
                for id in std::mem::take(&mut self.pending.checkpoints) {
                    self.reply(id, Reply::Checkpointed);
                }
                self.raft.handle(now, CoreInput::Done(Done::SnapshotTaken(meta)));
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
                for (id, fate) in self.pending.covered(meta.last.index) {
                    self.fulfil(id, fate, None, meta.last.index);
                }
                self.checkpoint.0 = meta.last.index;
                let first = self.state.begin_restore(meta);
                self.out.push_back(Output::Job(Job::LoadSnapshot(first)));
            }
        }
    }

    fn apply(&mut self, entries: &[Entry]) {
        for entry in entries {
            let outcome = self.state.apply(entry);
            for (id, fate) in self.pending.applied(entry.id) {
                self.fulfil(id, fate, outcome, entry.id.index);
            }
        }
        if let Some(last) = entries.last() {
            self.raft.handle(self.now, CoreInput::Applied(last.id.index));
            if last.id.index.0 - self.checkpoint.0.0 >= self.config.checkpoint_entries {
                self.begin_checkpoint();
            }
        }
    }

    fn begin_checkpoint(&mut self) {
        let (last, members, members_at) = self.raft.checkpoint();
        if self.checkpoint.1 || last.index <= self.checkpoint.0 {
            return;
        }
        self.checkpoint = (last.index, true);
        let content = self.state.kv.snapshot();
        self.out.push_back(Output::Checkpoint { last, members, members_at, content });
    }

    fn fulfil(&mut self, id: RequestId, fate: Fate, outcome: Option<Outcome>, index: Index) {
        let reply = match (fate, outcome) {
            (Fate::Done, Some(outcome)) => Reply::Written { outcome, revision: self.state.kv.revision() },
            (Fate::Done, None) => Reply::MembersChanged { index },
            (Fate::Lost, _) => Reply::Lost,
            (Fate::Unknown, _) => Reply::Unknown,
        };
        self.reply(id, reply);
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.out.push_back(Output::Reply { id, reply });
    }

    fn request(&mut self, now: Time, id: RequestId, request: Request) {
        if self.pending.count() + self.reads.len() >= self.config.pending_requests {
            return self.reply(id, Reply::Refused(Refusal::Overloaded));
        }
        match request {
            Request::Write(command) => self.write(now, id, &command),
            Request::Read { key, level } => self.read(now, id, Query::Key(key), level),
            Request::Export { level } => self.read(now, id, Query::All, level),
            Request::AddLearner { id: member, learner, contact } => {
                self.add_learner(now, id, member, learner, contact);
            }
            Request::Promote(member) => {
                let change = self.raft.promote(now, member);
                self.changing(id, change);
            }
            Request::Checkpoint => self.checkpoint_asked(id),
        }
    }

    fn write(&mut self, now: Time, id: RequestId, command: &Command) {
        let proposed = match encode_command(command) {
            Ok(bytes) => self.raft.propose(now, Arc::from(bytes)),
            Err(error) => {
                return self.reply(id, Reply::Refused(Refusal::TooLarge { bytes: error.bytes }));
            }
        };
        match proposed {
            Ok(log_id) => self.pending.expect(log_id, id),
            Err(ProposeError::NotLeader(leader)) => self.reply(id, Reply::NotLeader { leader }),
            Err(ProposeError::Full) => self.reply(id, Reply::Refused(Refusal::Overloaded)),
        }
    }

    fn read(&mut self, now: Time, id: RequestId, query: Query, level: ReadLevel) {
        // A store that is being restored has nothing to show yet, not even something stale.
        if level == ReadLevel::Stale && !self.state.is_restoring() {
            let reply = self.look_up(&query);
            return self.reply(id, reply);
        }
        match self.raft.read(now, ReadId(id.0)) {
            Ok(()) => drop(self.reads.insert(id, query)),
            Err(_) => self.reply(id, Reply::Refused(Refusal::Overloaded)),
        }
    }

    fn serve_read(&mut self, id: RequestId) {
        if let Some(query) = self.reads.remove(&id) {
            let reply = self.look_up(&query);
            self.reply(id, reply);
        }
    }

    fn look_up(&self, query: &Query) -> Reply {
        let kv = &self.state.kv;
        match query {
            Query::Key(key) => Reply::Read { entry: kv.get(key).cloned(), revision: kv.revision() },
            Query::All => Reply::Exported(kv.clone()),
        }
    }

    fn add_learner(&mut self, now: Time, id: RequestId, member: NodeId, learner: Learner, contact: Contact) {
        let members = self.raft.status().members;
        let holder =
            members.contacts.iter().find(|(of, known)| **of != member && known.address == contact.address);
        if let Some((by, _)) = holder {
            let by = *by;
            return self.reply(id, Reply::Refused(Refusal::AddressInUse { by }));
        }
        let mut target = members.clone();
        if members.contains(member) {
            target.contacts.insert(member, contact);
        } else {
            target = members.with_learner(member, learner, contact);
        }
        let change = self.raft.change_members(now, target);
        self.changing(id, change);
    }

    fn changing(&mut self, id: RequestId, change: Result<LogId, ChangeError>) {
        let reply = match change {
            Ok(log_id) if log_id.index <= self.raft.status().applied.index => {
                Reply::MembersChanged { index: log_id.index }
            }
            Ok(log_id) => return self.pending.expect(log_id, id),
            Err(ChangeError::NotLeader(leader)) => Reply::NotLeader { leader },
            Err(ChangeError::NotSettled) => Reply::Refused(Refusal::NotSettled),
            Err(ChangeError::InProgress) => Reply::Refused(Refusal::ChangeInProgress),
            Err(ChangeError::NotMember(member)) => Reply::Refused(Refusal::MemberNotFound(member)),
            Err(ChangeError::NotCaughtUp(member)) => Reply::Refused(Refusal::NotCaughtUp(member)),
            Err(error @ (ChangeError::Invalid(_) | ChangeError::TooMuch)) => {
                Reply::Refused(Refusal::BadChange(error.to_string()))
            }
        };
        self.reply(id, reply);
    }

    fn checkpoint_asked(&mut self, id: RequestId) {
        self.begin_checkpoint();
        if self.checkpoint.1 {
            self.pending.checkpoints.push(id);
        } else {
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
    }
}
