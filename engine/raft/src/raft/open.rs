//! From what recovery found to a running core.

use super::election::random_timeout;
use super::follower::Follower;
use super::membership::Membership;
use super::outbox::{Outbox, slot};
use super::reads::Reads;
use super::repair::Damage;
use super::snapshots::Snapshots;
use super::writer::Writer;
use super::{Raft, RoleState};
use crate::log::Log;
use crate::random::Random;
use crate::trace::Step;
use crate::{Config, Found, HardState, Index, LogId, Output, Payload, Time, WriteId};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// Why a core cannot start from what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The log begins above the newest checkpoint: entries between them are missing.
    Gap {
        /// The last slot of the checkpoint.
        snapshot: LogId,
        /// The slot before the first of the log.
        base: LogId,
    },
    /// A configuration in the log is none.
    BadMembers {
        /// The entry.
        at: LogId,
        /// What is wrong with it.
        fault: &'static str,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Gap { snapshot, base } => write!(
                formatter,
                "the log begins after {base} but the newest checkpoint ends at {snapshot}: entries between them \
                 are missing; restore the newer checkpoint or let this node join anew"
            ),
            OpenError::BadMembers { at, fault } => {
                write!(formatter, "the configuration at {at} is not one: {fault}")
            }
        }
    }
}

impl core::error::Error for OpenError {}

impl Raft {
    /// Starts a core, as a follower, always, even alone (thesis §3.8: volatile state is lost, and a leader that
    /// forgot that it led must not go on in the same term).
    pub fn open(config: Config, found: Found, now: Time) -> Result<Self, OpenError> {
        let base = found.terms.base();
        let covered = found.snapshot.as_ref().map_or(LogId::ZERO, |meta| meta.last);
        if base.index > covered.index {
            return Err(OpenError::Gap { snapshot: covered, base });
        }
        check_members(&found)?;
        // A checkpoint that the log does not reach was received whole, and the crash came before it took the
        // log's place. It is of committed entries, so finishing the installation is always right.
        let unfinished = found.snapshot.clone().filter(|meta| !found.terms.holds(meta.last));
        // What a log held that goes is gone with it.
        let (terms, members, damaged) = match &unfinished {
            Some(meta) => (crate::TermRuns::new(meta.last), Vec::new(), Vec::new()),
            None => (found.terms, found.members, found.damaged),
        };
        let mut hard = found.hard;
        let last = terms.last();
        if last.term > hard.term {
            // Only a received snapshot can be ahead of the term. This node never voted in that term.
            hard = HardState { term: last.term, vote: None };
        }
        let mut random = Random::new(config.seed);
        let election_at = now + random_timeout(&config, &mut random);
        let membership = Membership::new(found.snapshot.as_ref(), members);
        let mut raft = Raft {
            now,
            hard,
            hard_write: WriteId(0),
            writer: Writer::new(last.index),
            room: super::room::Account::of(membership.current()),
            membership,
            commit: covered.index.max(found.commit_hint.min(last.index)),
            applying: Index(0),
            applied: LogId::ZERO,
            loading: false,
            reads: Reads::new(random.next()),
            damage: Damage::new(random.next(), &damaged, found.unknown, hard.term),
            snapshots: Snapshots { newest: found.snapshot, incoming: None },
            role: RoleState::Follower(Follower::default()),
            election_at,
            // It forgot whom it promised what before it restarted.
            bound_until: now + config.election_timeout,
            held: Vec::new(),
            out: Outbox::new(config.trace),
            log: Log::new(terms),
            random,
            config,
        };
        raft.note_opening(found.hard, found.unknown, unfinished.is_some());
        if hard != found.hard {
            raft.note_hard(hard);
        }
        if let Some(meta) = unfinished {
            raft.writer.install(Box::new(meta));
        }
        raft.drop_covered_damage();
        if let Some(meta) = raft.snapshots.newest.clone() {
            raft.applying = meta.last.index;
            raft.out.push_back(Output::Install(Box::new(meta)));
        }
        if raft.may_run() && raft.led_alone() {
            raft.election_at = now;
        }
        Ok(raft)
    }

    /// Notes what it starts on. The term is the one that is durable.
    fn note_opening(&mut self, hard: HardState, unknown: Option<Index>, installs: bool) {
        let Raft { log, membership, snapshots, damage, commit, out, .. } = self;
        let terms = log.terms();
        out.note(|| Step::Opens {
            term: hard.term.0,
            vote: hard.vote.map(|vote| vote.0),
            base: slot(terms.base()),
            runs: terms.first_slots().map(slot).collect(),
            last: terms.last().index.0,
            snapshot: slot(snapshots.newest_id()),
            installs,
            commit: commit.0,
            damaged: damage.lost_slots().map(slot).collect(),
            unknown: unknown.map(|index| index.0),
            configurations: membership.configured(),
        });
    }
}

fn check_members(found: &Found) -> Result<(), OpenError> {
    let entries = found.members.iter().filter_map(|entry| match &entry.payload {
        Payload::Members(members) => Some((entry.id, &**members)),
        Payload::Noop | Payload::Command(_) => None,
    });
    let snapshot = found.snapshot.iter().map(|meta| (meta.members_at, &meta.members));
    for (at, members) in entries.chain(snapshot) {
        if let Some(fault) = members.fault() {
            return Err(OpenError::BadMembers { at, fault });
        }
    }
    Ok(())
}
