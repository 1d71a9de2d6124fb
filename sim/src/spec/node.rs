//! One server, as the specification sees it.

use std::collections::{BTreeMap, VecDeque};

use quorate_node::raft::trace::{Configuration, Slot};

use super::history::History;
use super::log::{Log, Part};
use super::quorum::is_voter;
use super::reads::Reads;
use super::{Guard, must};

/// A term, and the vote in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hard {
    pub(super) term: u64,
    pub(super) vote: Option<u128>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Follows this leader, or nobody.
    Follower(Option<u128>),
    Candidate,
    Leader,
}

/// A write that the disk was asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Write {
    pub(super) id: u64,
    pub(super) hard: Option<Hard>,
    pub(super) install: Option<Slot>,
    pub(super) truncate: Option<u64>,
    pub(super) added: Part,
}

impl Write {
    /// What it makes of a log.
    pub(super) fn apply(&self, log: &mut Log) {
        self.apply_part(log, self.added.last());
    }

    /// What it makes of a log of which a crash has left only the entries up to `last`. The first of them and what it
    /// drops are one record: no crash shows the one without the other.
    pub(super) fn apply_part(&self, log: &mut Log, last: u64) {
        if let Some(snapshot) = self.install {
            *log = Log::new(snapshot);
        }
        if let Some(from) = self.truncate {
            log.truncate(from);
        }
        log.add(&self.added, last);
    }
}

/// What was on a disk when a server ended, and what it was being told.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) durable: Hard,
    pub(super) disk: Log,
    pub(super) writes: VecDeque<Write>,
    pub(super) commit: u64,
}

/// The end of the log that is lost, terms and all.
#[derive(Clone, Debug)]
pub(super) struct LostTail {
    pub(super) from: u64,
    /// How far leaders have said since the start that their logs go, with the terms.
    pub(super) reaches: Vec<(u64, u64)>,
}

/// A server.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: u128,
    /// `currentTerm` and `votedFor`.
    pub(super) hard: Hard,
    /// What the disk was asked to keep of them, and what it keeps.
    pub(super) asked_hard: Hard,
    pub(super) durable: Hard,
    pub(super) role: Role,
    /// Whether the votes counted last were answers to a question before an election, and whose they were.
    pub(super) counted: Option<(bool, Vec<u128>)>,
    pub(super) log: Log,
    /// What the disk's log will be when all writes are done, and what it is.
    pub(super) asked: Log,
    pub(super) disk: Log,
    pub(super) writes: VecDeque<Write>,
    pub(super) issued: u64,
    /// Nothing is said before this write is durable.
    pub(super) silent_until: u64,
    pub(super) written: u64,
    /// The next write has this snapshot take the place of the log.
    pub(super) installing: Option<Slot>,
    /// The entries that set configurations, the last of which is in force.
    pub(super) configured: Vec<Slot>,
    pub(super) commit: u64,
    pub(super) applying: u64,
    /// `matchIndex` as this server knows it: how far its log is that of its leader in this term.
    pub(super) verified: u64,
    /// The last slot of the newest durable checkpoint.
    pub(super) snapshot: Slot,
    /// Slots whose payload is lost, with their terms.
    pub(super) lost: BTreeMap<u64, u64>,
    /// Those that are being written anew, with the write, once that is issued.
    pub(super) mending: BTreeMap<u64, Option<u64>>,
    pub(super) tail: Option<LostTail>,
    /// In the terms up to this one a slot that is lost may have been acknowledged.
    pub(super) acknowledged_in: u64,
    /// This slot is given up.
    pub(super) dropping: Option<Slot>,
    pub(super) reads: Reads,
    /// What was left before this life, until its recovery has ended: what it has found need not be durable before.
    pub(super) before: Vec<Remains>,
}

impl Node {
    /// One that has just started on this log.
    pub(super) fn new(id: u128, hard: Hard, log: Log) -> Self {
        Node {
            id,
            hard,
            asked_hard: hard,
            durable: hard,
            role: Role::Follower(None),
            counted: None,
            asked: log.clone(),
            disk: log.clone(),
            log,
            writes: VecDeque::new(),
            issued: 0,
            silent_until: 0,
            written: 0,
            installing: None,
            configured: Vec::new(),
            commit: 0,
            applying: 0,
            verified: 0,
            snapshot: Slot::default(),
            lost: BTreeMap::new(),
            mending: BTreeMap::new(),
            tail: None,
            acknowledged_in: hard.term,
            dropping: None,
            reads: Reads::default(),
            before: Vec::new(),
        }
    }

    /// What a crash at this moment begins with, the newest last.
    pub(super) fn remains(self) -> Vec<Remains> {
        let Node { durable, disk, writes, commit, mut before, .. } = self;
        before.push(Remains { durable, disk, writes, commit });
        before
    }

    pub(super) fn leads(&self) -> bool {
        self.role == Role::Leader
    }

    /// # Errors
    /// It does not lead.
    pub(super) fn must_lead(&self) -> Guard {
        must(self.leads(), || "it does not lead".to_owned())
    }

    /// The entry that set the configuration in force.
    pub(super) fn members_at(&self) -> Slot {
        self.configured.last().copied().unwrap_or_default()
    }

    pub(super) fn in_force<'a>(&self, history: &'a History) -> Option<&'a Configuration> {
        history.configurations.get(&self.members_at())
    }

    /// Whether it votes in a configuration that may count: the last one, or one before that it may yet give way to,
    /// while that is not known to be committed (thesis §4.2.2).
    pub(super) fn may_be_needed(&self, history: &History) -> bool {
        let from = self.configured.partition_point(|at| at.index <= self.commit).saturating_sub(1);
        let mut open = self.configured[from.min(self.configured.len())..].iter();
        open.any(|at| history.configurations.get(at).is_some_and(|members| is_voter(members, self.id)))
    }

    /// Whether the slot at `index` is durable and intact here, in the log or in a checkpoint, and all before it.
    pub(super) fn holds_durably(&self, index: u64) -> bool {
        let is_written = || self.disk.slot(index).is_some_and(|slot| self.log.holds(slot));
        index <= self.snapshot.index || (index <= self.sound_end() && is_written())
    }

    /// The end of the prefix of which nothing is lost.
    fn sound_end(&self) -> u64 {
        let first = [self.lost.keys().next(), self.mending.keys().next()].into_iter().flatten().min();
        first.map_or(u64::MAX, |first| first - 1)
    }

    /// The lowest slot above the commit that is lost and not being written anew.
    pub(super) fn lowest_doubtful(&self) -> Option<Slot> {
        let above = self.lost.range(self.commit + 1..).next();
        above.filter(|_| self.tail.is_none()).map(|(index, term)| Slot { term: *term, index: *index })
    }

    /// Whether damage keeps it from running for office.
    pub(super) fn is_fit_to_lead(&self) -> bool {
        let above = |index: Option<&u64>| index.is_some_and(|index| *index > self.commit);
        self.tail.is_none() && !above(self.lost.keys().next_back()) && !above(self.mending.keys().next_back())
    }

    /// Damage from `from` on is gone with the slots.
    pub(super) fn forget_damage(&mut self, gone: impl Fn(u64) -> bool) {
        self.lost.retain(|index, _| !gone(*index));
        self.mending.retain(|index, _| !gone(*index));
    }

    /// A message in `term` may leave: it is the server's own, and durable with the vote in it (thesis §3.8).
    pub(super) fn may_speak(&self, term: u64) -> Guard {
        must(term == self.hard.term, || format!("it speaks in term {term} and is in {}", self.hard.term))?;
        must(self.durable == self.hard, || {
            format!("it speaks while {:?} is not durable: the disk has {:?}", self.hard, self.durable)
        })?;
        must(self.written >= self.silent_until, || {
            "it speaks before what it gave up is durably gone".to_owned()
        })
    }

    /// Another term begins here.
    pub(super) fn move_to(&mut self, hard: Hard, role: Role) {
        self.hard = hard;
        self.role = role;
        self.verified = 0;
        self.counted = None;
    }

    /// The log has lost or won slots other than at its end.
    pub(super) fn look_for_configurations(&mut self, history: &History) {
        self.configured = history.configured(&self.log);
    }
}
