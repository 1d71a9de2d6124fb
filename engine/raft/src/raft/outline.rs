//! A core written down, to go on from there another time.
//!
//! Nothing of a running core is left out but what it will never look into: the payloads of commands that were applied
//! and are only kept for followers that lag. Of those their lengths are enough, since they decide what fits into a
//! message and when the cache lets go.

use super::Raft;
use super::outbox::Outbox;
use crate::log::Log;
use crate::{Entry, Index, LogId, Members, Payload, TermRuns};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Stands for the length of what is no command.
const NO_COMMAND: u32 = u32::MAX;

/// All of a core but payloads that it needs no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// With an empty cache.
    core: Raft,
    /// The lengths of the cached entries up to `whole`'s first, in bytes, in order.
    lengths: Vec<u32>,
    /// Those of them that are no commands.
    others: Vec<Entry>,
    /// The cached entries after them.
    whole: Vec<Entry>,
}

/// An outline that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOutline {
    /// What is wrong with it.
    pub fault: &'static str,
}

impl fmt::Display for BadOutline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "this is no core that was written down: {}", self.fault)
    }
}

impl core::error::Error for BadOutline {}

impl Raft {
    /// This core, written down, with the payloads of all entries above what is applied; and of those down to
    /// `wanted_above`, when they are all in memory and weigh no more than `most_bytes`.
    ///
    /// # Panics
    /// When it has outputs that were not polled.
    pub fn outline(&self, wanted_above: Index, most_bytes: usize) -> Outline {
        assert!(self.out.is_empty(), "outputs were not polled: {:?}", self.out);
        let applied = self.applied.index;
        let wanted = self.log.cache().rev().skip_while(|entry| entry.id.index > applied);
        let wanted = wanted.take_while(|entry| entry.id.index > wanted_above);
        let mut weights = wanted.map(|entry| (entry.id.index, entry.weight()));
        let lowest = weights.try_fold((applied.next(), 0), |(_, sum), (index, weight)| {
            (sum + weight <= most_bytes).then_some((index, sum + weight))
        });
        let all = lowest.is_some_and(|(index, _)| index <= wanted_above.next());
        let above = if all { wanted_above.min(applied) } else { applied };
        // Mostly of all of them.
        let mut lengths = Vec::with_capacity(self.log.cache().size_hint().0);
        let (mut others, mut whole) = (Vec::new(), Vec::new());
        for entry in self.log.cache() {
            if entry.id.index > above {
                whole.push(entry.clone());
                continue;
            }
            match &entry.payload {
                Payload::Command(bytes) => lengths.push(u32::try_from(bytes.len()).unwrap_or(NO_COMMAND - 1)),
                Payload::Noop | Payload::Members(_) => {
                    lengths.push(NO_COMMAND);
                    others.push(entry.clone());
                }
            }
        }
        Outline { core: self.without_cache(), lengths, others, whole }
    }

    /// Every field but the cache, which may hold a hundred thousand entries.
    fn without_cache(&self) -> Raft {
        Raft {
            config: self.config.clone(),
            random: self.random.clone(),
            now: self.now,
            hard: self.hard,
            hard_write: self.hard_write,
            writer: self.writer.clone(),
            log: Log::new(self.log.terms().clone()),
            membership: self.membership.clone(),
            commit: self.commit,
            applying: self.applying,
            applied: self.applied,
            loading: self.loading,
            snapshots: self.snapshots.clone(),
            room: self.room.clone(),
            damage: self.damage.clone(),
            reads: self.reads.clone(),
            role: self.role.clone(),
            election_at: self.election_at,
            bound_until: self.bound_until,
            held: self.held.clone(),
            out: Outbox::default(),
        }
    }
}

impl Outline {
    /// The last entry that was applied.
    pub fn applied(&self) -> LogId {
        self.core.applied
    }

    /// The configuration in force.
    pub fn members(&self) -> &Members {
        self.core.membership.current()
    }

    /// The entries whose payloads are in it: a gapless end of the log, of those the core had in memory.
    pub fn whole(&self) -> &[Entry] {
        &self.whole
    }

    /// How many bytes the lengths take that stand for payloads.
    pub fn lengths_bytes(&self) -> usize {
        self.lengths.len() * size_of::<u32>()
    }

    /// The core, as it was, but for payloads of zeros where only the length is known.
    ///
    /// # Errors
    /// [`BadOutline`]: the parts do not fit together. A core that nobody wrote down may still panic when it runs.
    pub fn into_core(self) -> Result<Raft, BadOutline> {
        let Outline { mut core, lengths, others, whole } = self;
        let terms: &TermRuns = core.log.terms();
        let count = lengths.len() + whole.len();
        // The cache lets go of more than that as soon as it may; the last entry taken may have gone beyond.
        let most = core.config.cache_bytes as u64 + u64::from(u32::MAX);
        let lengths_sum: u64 =
            lengths.iter().filter(|length| **length != NO_COMMAND).map(|it| u64::from(*it)).sum();
        if lengths_sum > most {
            return Err(BadOutline { fault: "more bytes in memory than its settings allow" });
        }
        let first = terms.last().index.0.checked_add(1).and_then(|end| end.checked_sub(count as u64));
        let first = first.ok_or(BadOutline { fault: "more entries in memory than the log has" })?;
        let mut others = others.into_iter();
        let mut cache = Vec::with_capacity(count);
        for (index, length) in (first..).map(Index).zip(lengths) {
            let id =
                terms.id(index).ok_or(BadOutline { fault: "an entry in memory below the log's first" })?;
            let payload = match length {
                NO_COMMAND => {
                    let other = others.next().filter(|other| other.id == id);
                    other.ok_or(BadOutline { fault: "an entry that is no command is missing" })?.payload
                }
                length => Payload::Command(Arc::from(alloc::vec![0; length as usize])),
            };
            cache.push(Entry { id, payload });
        }
        for entry in whole {
            let follows =
                terms.id(entry.id.index) == Some(entry.id) && entry.id.index.0 == first + cache.len() as u64;
            if !follows {
                return Err(BadOutline { fault: "an entry that is not of the log" });
            }
            cache.push(entry);
        }
        core.log.fill(cache);
        Ok(core)
    }
}
