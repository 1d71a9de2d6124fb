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
const NO_COMMAND: u32 = 0xffff_ffff;

/// Stands for the length of a command that is as long or longer, if there ever were one.
const LONGEST: u32 = 0xffff_fffe;

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
                Payload::Command(bytes) => lengths.push(u32::try_from(bytes.len()).unwrap_or(LONGEST)),
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
            let id = terms.id(index).filter(|id| id.index > terms.base().index);
            let id = id.ok_or(BadOutline { fault: "an entry in memory below the log's first" })?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Config, Contact, Done, Envelope, Found, HardState, Input, Job, Message, NodeId, Output, Term, Time,
    };
    use alloc::string::ToString;
    use alloc::vec;

    const ME: NodeId = NodeId(1);
    const LEADER: NodeId = NodeId(2);

    fn entry(index: u64, payload: Payload) -> Entry {
        Entry { id: LogId::new(1, index), payload }
    }

    fn command(index: u64, bytes: usize) -> Entry {
        entry(index, Payload::Command(vec![7; bytes].into()))
    }

    fn founding() -> Entry {
        let members = Members {
            voters: [ME, LEADER].into(),
            contacts: [ME, LEADER].map(|id| (id, Contact::default())).into(),
            ..Members::default()
        };
        entry(1, Payload::Members(members.into()))
    }

    fn hear(raft: &mut Raft, message: Message) {
        raft.handle(Time(1), Input::Message(Envelope { from: LEADER, to: ME, term: Term(1), message }));
    }

    /// Its log has six entries, of which four are applied and all but the first are in memory: one that is no command
    /// and weighs 32 bytes, and commands that weigh 42, 52, 62 and 72.
    fn follower() -> Raft {
        let mut terms = TermRuns::new(LogId::ZERO);
        terms.push(LogId::new(1, 1));
        let hard = HardState { term: Term(1), vote: None };
        let found = Found { hard, terms, members: vec![founding()], ..Found::default() };
        let mut raft = Raft::open(Config::new(ME, 1), found, Time(0)).expect("it is in order");
        let entries = [(3, 10), (4, 20), (5, 30), (6, 40)].map(|(index, bytes)| command(index, bytes));
        let entries = [vec![entry(2, Payload::Noop)], entries.to_vec()].concat();
        hear(&mut raft, Message::Append { prev: LogId::new(1, 1), entries, commit: Index(4) });
        while let Some(output) = raft.poll() {
            let input = match output {
                Output::Job(Job::Write(write)) => Input::Done(Done::Written(write.id)),
                Output::Job(Job::Load(load)) => Input::Done(Done::Loaded { load, entries: vec![founding()] }),
                Output::Apply(entries) => {
                    Input::Applied(entries.last().map_or(Index(0), |last| last.id.index))
                }
                _ => continue,
            };
            raft.handle(Time(1), input);
        }
        assert_eq!((raft.applied(), raft.log.last()), (LogId::new(1, 4), LogId::new(1, 6)));
        raft
    }

    #[test]
    fn what_is_not_applied_is_whole_and_so_is_what_is_wanted_and_fits() {
        let raft = follower();
        let whole = |wanted_above, most_bytes| {
            let outline = raft.outline(Index(wanted_above), most_bytes);
            assert_eq!(outline.lengths_bytes(), 4 * (5 - outline.whole().len()));
            assert_eq!((outline.applied(), outline.members()), (raft.applied(), raft.membership.current()));
            let cached: Vec<&Entry> = raft.log.cache().skip(5 - outline.whole().len()).collect();
            assert_eq!(outline.whole().iter().collect::<Vec<_>>(), cached);
            outline.whole()[0].id.index.0
        };
        assert_eq!([whole(9, 1000), whole(4, 1000), whole(3, 0)], [5, 5, 5]);
        assert_eq!((whole(2, 94), whole(2, 93)), (3, 5), "the two weigh 94 bytes");
        assert_eq!((whole(1, 126), whole(1, 125)), (2, 5), "the three weigh 126 bytes");
        assert_eq!(whole(0, 1000), 5, "the first is not in memory");
    }

    #[test]
    fn a_core_comes_back_as_it_was_but_for_the_payloads_it_needs_no_more() {
        let raft = follower();
        assert_eq!(raft.outline(Index(1), 1000).into_core().as_ref(), Ok(&raft));
        let again = raft.outline(Index(3), 1000).into_core().expect("it was written down");
        assert_eq!(again.log.cached(Index(4), Index(6), 1000), raft.log.cached(Index(4), Index(6), 1000));
        let below = again.log.cached(Index(2), Index(3), 1000);
        let zeros = entry(3, Payload::Command([0; 10].into()));
        assert_eq!(below, Some(vec![entry(2, Payload::Noop), zeros]));
        assert_eq!(again.outline(Index(3), 1000), raft.outline(Index(3), 1000));
    }

    #[test]
    #[should_panic(expected = "outputs were not polled")]
    fn a_core_that_still_has_something_to_say_is_not_written_down() {
        let mut raft = follower();
        hear(&mut raft, Message::Heartbeat { round: 1, commit: Index(4) });
        raft.outline(Index(0), 0);
    }

    /// The fault of an outline of which something was changed.
    fn fault(change: impl FnOnce(&mut Outline)) -> Option<&'static str> {
        let mut outline = follower().outline(Index(9), 0);
        assert_eq!(outline.lengths, [NO_COMMAND, 10, 20]);
        change(&mut outline);
        outline.into_core().err().map(|error| error.fault)
    }

    #[test]
    fn what_does_not_fit_together_is_no_core() {
        assert_eq!(fault(|_| ()), None);
        let missing = Some("an entry that is no command is missing");
        assert_eq!(fault(|outline| outline.others.clear()), missing);
        assert_eq!(fault(|outline| outline.others[0].id = LogId::new(1, 3)), missing);
        assert_eq!(fault(|outline| outline.lengths[2] = NO_COMMAND), missing);
        let foreign = Some("an entry that is not of the log");
        assert_eq!(fault(|outline| outline.whole[1].id.term = Term(2)), foreign);
        assert_eq!(fault(|outline| outline.whole[1] = outline.whole[0].clone()), foreign, "twice");
        assert_eq!(fault(|outline| outline.whole.swap(0, 1)), foreign);
        assert_eq!(fault(|outline| outline.lengths[0] = 8), None, "others that nobody asks for do no harm");
        let text = BadOutline { fault: "it is torn" }.to_string();
        assert!(text.contains("no core") && text.contains("it is torn"), "{text}");
    }

    #[test]
    fn no_more_entries_are_in_memory_than_the_log_has() {
        assert_eq!(fault(|outline| outline.lengths.insert(0, 8)), None, "all six");
        let below = Some("an entry in memory below the log's first");
        assert_eq!(fault(|outline| outline.lengths.extend([8; 2])), below, "one at its base");
        let more = Some("more entries in memory than the log has");
        assert_eq!(fault(|outline| outline.lengths.extend([8; 3])), more);
    }

    /// What a file says may not make a server take gigabytes. The cache may hold what its settings allow and one entry
    /// of any length.
    #[test]
    fn no_more_bytes_are_in_memory_than_the_settings_allow() {
        let of_length = |first: u32, second: u32| {
            fault(|outline| {
                outline.core.config.cache_bytes = 1000;
                outline.lengths = vec![NO_COMMAND, first, NO_COMMAND, second];
                // So that it is refused at once if not for that.
                outline.lengths.extend([NO_COMMAND; 9]);
            })
        };
        assert_eq!(of_length(LONGEST, 1001), Some("more entries in memory than the log has"), "just as many");
        assert_eq!(of_length(LONGEST, 1002), Some("more bytes in memory than its settings allow"));
    }
}
