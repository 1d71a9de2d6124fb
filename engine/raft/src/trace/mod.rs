//! What a core says of its own steps, for an executable specification to judge.
//!
//! A step is one action of the protocol: a vote, an entry appended, a commit with what it was counted from. It is said
//! by the core where it happens, so that nobody outside has to guess it from what came in and went out; what it says is
//! plain numbers, so that whoever judges it shares no type with the core. Nothing is noted unless
//! [`Config::trace`](crate::Config::trace) asks for it.
//!
//! A [`Line`] is a step with the node that took it. It has one form as text, `1: acks to=2 term=3 matched=17`, which
//! can be read back.

mod text;

pub use text::ParseLineError;
use text::Word;

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

/// A step and the node that took it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// The node.
    pub node: u128,
    /// Its step.
    pub step: Step,
}

/// A place in the log, with the term of the entry there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The term. Slots are ordered by it first, as votes compare them.
    pub term: u64,
    /// The index.
    pub index: u64,
}

/// Who votes, and who only listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// The voters.
    pub voters: Vec<u128>,
    /// In a joint configuration, the voters before; else nobody.
    pub outgoing: Vec<u128>,
    /// The learners.
    pub learners: Vec<u128>,
}

/// A configuration and the entry that sets it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Configured {
    /// The entry.
    pub at: Slot,
    /// The configuration.
    pub configuration: Configuration,
}

/// How far a leader counts a voter's log as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Match {
    /// The voter.
    pub node: u128,
    /// The last index that counts.
    pub index: u64,
}

/// The steps, each with its word in a line.
macro_rules! steps {
    ($($(#[$about:meta])* $name:ident $verb:literal {
        $($(#[$says:meta])* $field:ident: $kind:ty,)*
    })*) => {
        /// One action of the protocol.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Step {
            $($(#[$about])* $name { $($(#[$says])* $field: $kind,)* },)*
        }

        impl Step {
            /// The words that lines begin with, one for each kind of step.
            pub const VERBS: &[&str] = &[$($verb,)*];
        }

        impl fmt::Display for Step {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Step::$name { $($field,)* } => {
                        formatter.write_str($verb)?;
                        $(
                            formatter.write_str(concat!(" ", stringify!($field), "="))?;
                            $field.write(formatter)?;
                        )*
                        Ok(())
                    })*
                }
            }
        }

        impl FromStr for Step {
            type Err = ParseLineError;

            fn from_str(line: &str) -> Result<Self, ParseLineError> {
                let mut words = line.split(' ');
                let step = match words.next().unwrap_or_default() {
                    $($verb => Step::$name {
                        $($field: text::field(line, stringify!($field), words.next())?,)*
                    },)*
                    _ => return Err(ParseLineError::verb(line)),
                };
                if words.next().is_some() { Err(ParseLineError::rest(line)) } else { Ok(step) }
            }
        }
    };
}

steps! {
    /// Starts on what its disk holds.
    Opens "opens" {
        /// The term.
        term: u64,
        /// Whom it voted for there.
        vote: Option<u128>,
        /// The slot before the log's first.
        base: Slot,
        /// The first slot of each run of slots of one term.
        runs: Vec<Slot>,
        /// The last index.
        last: u64,
        /// The last slot of the newest checkpoint.
        snapshot: Slot,
        /// Whether that takes the place of a log that does not reach it.
        installs: bool,
        /// What it knows to be committed.
        commit: u64,
        /// Slots whose payload is lost.
        damaged: Vec<Slot>,
        /// The first of the slots at the end whose very term is lost.
        unknown: Option<u64>,
        /// The configurations of the log, and the one that is in force at its base.
        configurations: Vec<Configured>,
    }
    /// Enters a term that somebody else has begun, with no vote given there.
    Enters "enters" {
        /// The term.
        term: u64,
    }
    /// Counts who has said yes so far: to a pre-vote, or to a vote.
    Counts "counts" {
        /// Whether it is still asking whether it should run.
        asking: bool,
        /// Who said yes, itself included where that counts.
        votes: Vec<u128>,
    }
    /// Enters the next term and votes for itself.
    Campaigns "campaigns" {
        /// The term.
        term: u64,
        /// Because its leader told it to.
        transfer: bool,
    }
    /// Gives its vote. Nobody is told before that is durable.
    Votes "votes" {
        /// To whom.
        candidate: u128,
    }
    /// Leads, by the votes counted last.
    Leads "leads" {
        /// The term.
        term: u64,
    }
    /// Runs no longer: too many have said no.
    Yields "yields" {
        /// The term it ran in.
        term: u64,
    }
    /// Leads no longer.
    Resigns "resigns" {
        /// The term it led.
        term: u64,
    }
    /// Follows the leader of its term.
    Follows "follows" {
        /// The leader.
        leader: u128,
    }
    /// Adds an entry to its log: one of its own as a leader, else one of its leader's.
    Appends "appends" {
        /// The entry.
        slot: Slot,
    }
    /// Adds an entry that sets a configuration, in force from now on.
    Configures "configures" {
        /// The entry.
        slot: Slot,
        /// The configuration.
        configuration: Configuration,
    }
    /// Drops the end of its log.
    Truncates "truncates" {
        /// The first index that goes.
        from: u64,
    }
    /// Holds all that its leader holds up to here, durable or not.
    Verifies "verifies" {
        /// The last index.
        index: u64,
        /// The entry that set the configuration in force.
        members_at: Slot,
    }
    /// Asks its disk for a write.
    Writes "writes" {
        /// Its number, one more than that of the write before.
        id: u64,
        /// The term and the vote there, when they changed.
        term: Option<u64>,
        /// The vote, when the term is named.
        vote: Option<u128>,
        /// The snapshot that takes the place of the log.
        install: Option<Slot>,
        /// The first index that is dropped.
        truncate: Option<u64>,
        /// The first entry that is added.
        first: Option<Slot>,
        /// The last one.
        last: Option<Slot>,
    }
    /// Hears that this write and all before it are durable.
    Written "written" {
        /// The write.
        id: u64,
    }
    /// Commits, as a leader, by counting.
    Commits "commits" {
        /// Up to here.
        index: u64,
        /// How far it counts each voter.
        matches: Vec<Match>,
    }
    /// Commits what its leader has, as far as it has verified it.
    Learns "learns" {
        /// Up to here.
        index: u64,
    }
    /// Commits what somebody says is committed, because it holds that very slot.
    Hears "hears" {
        /// The slot.
        slot: Slot,
    }
    /// Hands entries to the state machine.
    Applies "applies" {
        /// The last of them.
        last: Slot,
    }
    /// Has a checkpoint, durably.
    Stores "stores" {
        /// The last slot that it covers.
        last: Slot,
        /// Whether it was taken here, and not received.
        own: bool,
    }
    /// Puts a checkpoint in place of its state.
    Installs "installs" {
        /// The last slot that it covers.
        last: Slot,
        /// The entry that set the configuration in force there.
        members_at: Slot,
    }
    /// Drops the beginning of its log.
    Compacts "compacts" {
        /// The last slot that goes.
        to: Slot,
    }
    /// Finds that a slot's payload is lost.
    Loses "loses" {
        /// The slot.
        slot: Slot,
    }
    /// Has a lost payload again, and writes it with its next write.
    Mends "mends" {
        /// The slot.
        slot: Slot,
    }
    /// Holds again all that it may have acknowledged before it lost the end of its log.
    Recalls "recalls" {
        /// How far it holds its leader's log, durably and intact.
        end: u64,
    }
    /// Begins a term to ask about a slot that it lost.
    Doubts "doubts" {
        /// The term.
        term: u64,
        /// The slot.
        slot: Slot,
    }
    /// Gives a lost slot up, and all after it.
    Drops "drops" {
        /// The slot.
        slot: Slot,
        /// Who never had it.
        never: Vec<u128>,
    }
    /// Takes, as a leader, a follower's question for an index to read at.
    Asked "asked" {
        /// The follower.
        by: u128,
        /// The question's number.
        batch: u64,
    }
    /// Begins a round of heartbeats for all reads and questions that wait.
    Rounds "rounds" {
        /// The round.
        round: u64,
        /// The index that they are to be served at.
        index: u64,
    }
    /// Has a round confirmed.
    Confirms "confirms" {
        /// The round.
        round: u64,
        /// The index.
        index: u64,
    }
    /// Settles a read by its lease.
    Leases "leases" {
        /// The follower whose read it is, when it is not its own.
        by: Option<u128>,
        /// The index.
        index: u64,
    }
    /// Says: would you vote for me?
    Asks "asks" {
        /// To whom.
        to: u128,
        /// The term it would run in.
        term: u64,
        /// The end of its log.
        last: Slot,
    }
    /// Says that it would vote for the other.
    Would "would" {
        /// To whom.
        to: u128,
        /// The term asked about.
        term: u64,
    }
    /// Says: vote for me.
    Calls "calls" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
        /// The end of its log.
        last: Slot,
    }
    /// Says that its vote is the other's.
    Grants "grants" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
    }
    /// Says, as a leader, which entries follow a slot.
    Sends "sends" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
        /// The slot before.
        prev: Slot,
        /// The last entry; the slot before when there is none.
        last: Slot,
        /// What it has committed.
        commit: u64,
    }
    /// Says how far its log is its leader's, durably.
    Acks "acks" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
        /// The last index.
        matched: u64,
    }
    /// Says that it does not hold a slot.
    Refuses "refuses" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
        /// The slot.
        prev: Slot,
    }
    /// Says that it leads.
    Beats "beats" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
        /// The round.
        round: u64,
        /// What it has committed.
        commit: u64,
    }
    /// Says that it follows.
    Answers "answers" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
        /// The round that is answered.
        round: u64,
        /// How far its log is the leader's, durable or not.
        verified: u64,
        /// How far it is so durably.
        matched: u64,
    }
    /// Says: run now.
    Hands "hands" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
    }
    /// Says at which index a read may be served.
    Names "names" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
        /// The question's number.
        batch: u64,
        /// The index.
        index: u64,
    }
    /// Answers one who has lost something.
    Tells "tells" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
        /// The end of its log, when it leads.
        leads_to: Option<Slot>,
        /// The last slot that it knows to be committed.
        committed: Slot,
        /// A slot that it never had.
        never: Option<Slot>,
    }
    /// Says anything else, which promises nothing but that its term is durable.
    Says "says" {
        /// To whom.
        to: u128,
        /// Its term.
        term: u64,
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.write(formatter)?;
        write!(formatter, ": {}", self.step)
    }
}

impl FromStr for Line {
    type Err = ParseLineError;

    fn from_str(line: &str) -> Result<Self, ParseLineError> {
        let (node, step) = line.split_once(": ").ok_or_else(|| ParseLineError::verb(line))?;
        Ok(Line { node: u128::read(node).ok_or_else(|| ParseLineError::verb(line))?, step: step.parse()? })
    }
}
