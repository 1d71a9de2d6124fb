//! Every checker alarms when its promise is broken, in each way that it can be, and keeps quiet over what is legal.
//!
//! A [`Story`] is a stream of observations by hand, a line each. It ends with what the judge makes of it.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod answers;
mod audits;
mod commits;
mod costs;
mod deletes;
mod elections;
mod expiries;
mod logs;
mod offices;
mod orders;
mod pasts;
mod rare_states;
mod reads;
mod restarts;
mod steps;
mod transactions;
mod watches;

use std::collections::BTreeMap;

use quorate_node::raft::{Event, HardState, Index, LogId, NodeId, Role, Term, Time};

use crate::history::{Call, Operation, Outcome};
use crate::judge::Judge;
use crate::observe::{Ended, FoundLog, LogWrite, MessageKind, Observation, Said, Stand};
use crate::plan::{Host, Plan, Scenario, Timed};
use crate::verdict::Verdict;

/// Who does not say so is never asked about one, and would be blind without anybody noticing.
#[test]
fn whoever_looks_at_messages_says_so() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/checkers");
    let mut looking = 0;
    for file in std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let looks = ["Sent", "Received"].iter().any(|kind| text.contains(&format!("Observation::{kind}")));
        if text.contains("impl Checker for") && !file.ends_with("tests.rs") {
            assert_eq!(looks, text.contains("fn hears_messages"), "{}", file.display());
            looking += usize::from(looks);
        }
    }
    assert_eq!(looking, 9);
}

/// A run by hand.
struct Story {
    judge: Judge,
    now: Time,
    /// The history that the clients' stories make.
    history: Vec<Operation>,
    asked: BTreeMap<(u8, u32), (Time, String, Call, bool)>,
}

impl Story {
    /// Nothing is wrong with any disk.
    fn new() -> Self {
        Story::under(&[])
    }

    /// The plan has these faults.
    fn under(faults: &[Timed]) -> Self {
        let mut plan = Plan::new(Scenario::Swarm, 1);
        plan.faults = faults.to_vec();
        Story::of(&plan)
    }

    fn of(plan: &Plan) -> Self {
        let judge = Judge::new(plan, false);
        Story { judge, now: Time(0), history: Vec::new(), asked: BTreeMap::new() }
    }

    /// A cluster of so many whose hosts have started on empty disks, each with the configuration.
    fn cluster(hosts: Host) -> Self {
        let all: Vec<Host> = (1..=hosts).collect();
        let start =
            |story: Story, host: &Host| story.starts(*host, found(0, &[])).members(*host, &all, &[]).waits();
        all.iter().fold(Story::new(), start)
    }

    fn sees(mut self, observation: Observation) -> Self {
        self.judge.observe(self.now, observation);
        self
    }

    /// Time passes. Whatever is told without it is told of the same moment.
    fn waits(mut self) -> Self {
        self.now = Time(self.now.0 + 1);
        self
    }

    fn waits_for_ms(mut self, milliseconds: u64) -> Self {
        self.now = Time(self.now.0 + milliseconds * 1_000);
        self
    }

    fn starts(self, host: Host, found: FoundLog) -> Self {
        self.sees(Observation::Started { host, found }).sees(Observation::Recovered { host })
    }

    fn ends(self, host: Host, why: Ended) -> Self {
        self.sees(Observation::Ended { host, why })
    }

    fn event(self, host: Host, event: Event) -> Self {
        self.sees(Observation::Event { host, event })
    }

    fn leads(self, host: Host, term: u64) -> Self {
        self.event(host, Event::BecameLeader { term: Term(term) })
    }

    fn stands(self, host: Host, role: Role, term: u64, commit: u64) -> Self {
        let stand = Stand {
            role,
            term: Term(term),
            leader: None,
            commit: Index(commit),
            last: LogId::ZERO,
            damaged: 0,
        };
        self.sees(Observation::Stands { host, stand })
    }

    /// A leader of `term` has committed up to `commit`.
    fn commits(self, host: Host, term: u64, commit: u64) -> Self {
        self.stands(host, Role::Leader, term, commit).waits()
    }

    /// A follower in `term` has heard that all up to `commit` is committed.
    fn follows(self, host: Host, term: u64, commit: u64) -> Self {
        self.stands(host, Role::Follower, term, commit).waits()
    }

    fn members(self, host: Host, voters: &[Host], outgoing: &[Host]) -> Self {
        let ids = |hosts: &[Host]| hosts.iter().map(|host| NodeId((*host).into())).collect();
        let (voters, outgoing) = (ids(voters), ids(outgoing));
        self.sees(Observation::Members { host, at: LogId::ZERO, voters, outgoing })
    }

    fn says(self, from: Host, to: Host, term: u64, kind: MessageKind, numbers: [u64; 3]) -> Self {
        self.sees(Observation::Sent { from, to, said: Said { kind, term: Term(term), numbers } })
    }

    /// A server takes a message.
    fn hears_message(self, from: Host, to: Host, term: u64, kind: MessageKind, numbers: [u64; 3]) -> Self {
        self.sees(Observation::Received { from, to, said: Said { kind, term: Term(term), numbers } })
    }

    /// A server asks its storage for a write.
    fn writes(self, host: Host, write: LogWrite) -> Self {
        self.sees(Observation::Writes { host, write })
    }

    fn durable(self, host: Host, write: u64) -> Self {
        self.sees(Observation::Durable { host, write }).waits()
    }

    /// A server writes and is told that it is durable.
    fn holds(self, host: Host, write: LogWrite) -> Self {
        let id = write.id;
        self.writes(host, write).durable(host, id)
    }

    /// The leader's snapshot is whole and durable.
    fn stored(self, host: Host, term: u64, index: u64) -> Self {
        self.sees(Observation::Stored { host, last: LogId::new(term, index) })
    }

    fn applies(self, host: Host, index: u64, state_hash: u64, revision: u64) -> Self {
        self.sees(Observation::Applied { host, index: Index(index), state_hash, revision }).waits()
    }

    /// Client `client` asks for `key`; a put's content in the log is [`request`].
    fn asks(mut self, client: u8, number: u32, key: &str, call: Call) -> Self {
        self.asked.entry((client, number)).or_insert((self.now, key.to_owned(), call.clone(), false));
        let content = matches!(call, Call::Put(_)).then(|| request(client, number));
        let key = key.to_owned();
        self.sees(Observation::Asks { client, number, to: 1, key, call, stale: false, content }).waits()
    }

    fn asks_stale(mut self, client: u8, number: u32, key: &str) -> Self {
        self.asked.insert((client, number), (self.now, key.to_owned(), Call::Get, true));
        let (key, call) = (key.to_owned(), Call::Get);
        self.sees(Observation::Asks { client, number, to: 1, key, call, stale: true, content: None }).waits()
    }

    fn puts(self, client: u8, number: u32, key: &str) -> Self {
        self.asks(client, number, key, Call::Put(name(client, number)))
    }

    fn gets(self, client: u8, number: u32, key: &str) -> Self {
        self.asks(client, number, key, Call::Get)
    }

    fn hears(mut self, client: u8, number: u32, outcome: Outcome, revision: Option<u64>) -> Self {
        let (invoked, key, call, stale) = self.asked.remove(&(client, number)).unwrap();
        let invoked_nanoseconds = invoked.0 * 1_000;
        let heard = outcome.clone();
        if !stale {
            self.history.push(Operation { client: client.into(), key, call, invoked_nanoseconds, outcome });
        }
        self.sees(Observation::Hears { client, number, outcome: heard, revision }).waits()
    }

    /// The write is acknowledged, at this revision.
    fn written(self, client: u8, number: u32, revision: u64) -> Self {
        let at_nanoseconds = self.now.0 * 1_000;
        let revision = Some(revision);
        self.hears(client, number, Outcome::Written { at_nanoseconds, revision }, revision)
    }

    /// The removal is acknowledged.
    fn deleted(self, client: u8, number: u32) -> Self {
        let at_nanoseconds = self.now.0 * 1_000;
        self.hears(client, number, Outcome::Written { at_nanoseconds, revision: None }, None)
    }

    /// The read finds what request `of` wrote, at this revision.
    fn reads(self, client: u8, number: u32, of: (u8, u32), revision: u64) -> Self {
        let (at_nanoseconds, value) = (self.now.0 * 1_000, Some(name(of.0, of.1)));
        self.hears(client, number, Outcome::Read { at_nanoseconds, value }, Some(revision))
    }

    /// The read finds nothing.
    fn reads_nothing(self, client: u8, number: u32) -> Self {
        let at_nanoseconds = self.now.0 * 1_000;
        self.hears(client, number, Outcome::Read { at_nanoseconds, value: None }, None)
    }

    fn verdict(mut self) -> (Judge, Option<Verdict>) {
        self.judge.finish(self.now, &self.history);
        let verdict = self.judge.broken().map(|(_, verdict)| verdict.clone());
        (self.judge, verdict)
    }

    /// Nothing is wrong with it.
    #[track_caller]
    fn passes(self) {
        let (_, verdict) = self.verdict();
        assert_eq!(verdict, None, "a legal story");
    }

    /// This checker, and no other one before it, says this of it.
    #[track_caller]
    fn alarms(self, expected: &str, gist: &str) {
        match self.verdict().1 {
            Some(Verdict::Safety { checker, what }) => {
                assert_eq!(checker, expected, "{what}");
                assert!(what.contains(gist), "{gist:?} is not in {what:?}");
            }
            other => panic!("{expected} was to alarm; the verdict is {other:?}"),
        }
    }
}

/// The value that a request writes.
fn name(client: u8, number: u32) -> String {
    format!("{client}.{number}")
}

/// The content of a request in the log.
fn request(client: u8, number: u32) -> u64 {
    1_000_000 + u64::from(client) * 1_000 + u64::from(number)
}

/// A write that does nothing yet.
fn write(id: u64) -> LogWrite {
    LogWrite {
        id,
        hard: None,
        install: None,
        truncate_from: None,
        append: Vec::new(),
        repair: Vec::new(),
        members: Vec::new(),
    }
}

/// A write of these slots, by term and index, each with a content of its own.
fn append(id: u64, slots: &[(u64, u64)]) -> LogWrite {
    let slot = |(term, index): &(u64, u64)| (LogId::new(*term, *index), term * 1_000 + index);
    LogWrite { append: slots.iter().map(slot).collect(), ..write(id) }
}

/// A write of one slot with the content of a request.
fn append_request(id: u64, slot: (u64, u64), (client, number): (u8, u32)) -> LogWrite {
    LogWrite { append: vec![(LogId::new(slot.0, slot.1), request(client, number))], ..write(id) }
}

/// A write that drops what stands from the first slot on, and puts these there.
fn replace(id: u64, slots: &[(u64, u64)]) -> LogWrite {
    LogWrite { truncate_from: slots.first().map(|(_, index)| Index(*index)), ..append(id, slots) }
}

fn install(id: u64, term: u64, index: u64) -> LogWrite {
    LogWrite { install: Some(LogId::new(term, index)), ..write(id) }
}

fn hard(term: u64, vote: Option<Host>) -> HardState {
    HardState { term: Term(term), vote: vote.map(|host| NodeId(host.into())) }
}

fn hard_write(id: u64, term: u64, vote: Option<Host>) -> LogWrite {
    LogWrite { hard: Some(hard(term, vote)), ..write(id) }
}

/// A sound log from index 1 on with these terms, and this term.
fn found(term: u64, terms: &[u64]) -> FoundLog {
    FoundLog {
        hard: hard(term, None),
        base: LogId::ZERO,
        terms: terms.iter().copied().map(Term).collect(),
        snapshot: LogId::ZERO,
        damaged: Vec::new(),
        unknown: None,
    }
}
