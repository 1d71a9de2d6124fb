//! A line of a trace is read back as what it was, whatever it says.

use crate::cases;
use proptest::prelude::*;
use quorate_raft::trace::{Configuration, Configured, Line, Match, Slot, Step};
use quorate_raft::{
    Config, Contact, Done, Entry, Found, Input, Job, LogId, Members, NodeId, Output, Payload, Raft, TermRuns,
    Time,
};
use std::collections::BTreeSet;

/// Numbers to make steps of, large and small.
struct Numbers(Vec<u64>);

impl Numbers {
    fn next(&mut self) -> u64 {
        let number = self.0.pop().unwrap_or_default();
        self.0.insert(0, number.rotate_left(7));
        if number.is_multiple_of(3) { number } else { number % 10 }
    }

    fn node(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    fn slot(&mut self) -> Slot {
        Slot { term: self.next(), index: self.next() }
    }

    fn flag(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    fn perhaps<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.flag() { Some(make(self)) } else { None }
    }

    fn some<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.next() % 4).map(|_| make(self)).collect()
    }

    fn configuration(&mut self) -> Configuration {
        let (voters, outgoing) = (self.some(Self::node), self.some(Self::node));
        Configuration { voters, outgoing, learners: self.some(Self::node) }
    }
}

fn opens(of: &mut Numbers) -> Step {
    let configured = |of: &mut Numbers| Configured { at: of.slot(), configuration: of.configuration() };
    Step::Opens {
        term: of.next(),
        vote: of.perhaps(Numbers::node),
        base: of.slot(),
        runs: of.some(Numbers::slot),
        last: of.next(),
        snapshot: of.slot(),
        installs: of.flag(),
        commit: of.next(),
        damaged: of.some(Numbers::slot),
        unknown: of.perhaps(Numbers::next),
        configurations: of.some(configured),
    }
}

fn writes(of: &mut Numbers) -> Step {
    Step::Writes {
        id: of.next(),
        term: of.perhaps(Numbers::next),
        vote: of.perhaps(Numbers::node),
        install: of.perhaps(Numbers::slot),
        truncate: of.perhaps(Numbers::next),
        first: of.perhaps(Numbers::slot),
        last: of.perhaps(Numbers::slot),
    }
}

/// What a server does by itself.
fn done(of: &mut Numbers) -> Vec<Step> {
    let counted = |of: &mut Numbers| Match { node: of.node(), index: of.next() };
    vec![
        opens(of),
        writes(of),
        Step::Enters { term: of.next() },
        Step::Counts { asking: of.flag(), votes: of.some(Numbers::node) },
        Step::Campaigns { term: of.next(), transfer: of.flag() },
        Step::Votes { candidate: of.node() },
        Step::Leads { term: of.next() },
        Step::Yields { term: of.next() },
        Step::Resigns { term: of.next() },
        Step::Follows { leader: of.node() },
        Step::Appends { slot: of.slot() },
        Step::Configures { slot: of.slot(), configuration: of.configuration() },
        Step::Truncates { from: of.next() },
        Step::Verifies { index: of.next(), members_at: of.slot() },
        Step::Written { id: of.next() },
        Step::Commits { index: of.next(), matches: of.some(counted) },
        Step::Learns { index: of.next() },
        Step::Hears { slot: of.slot() },
        Step::Applies { last: of.slot() },
        Step::Stores { last: of.slot(), own: of.flag() },
        Step::Installs { last: of.slot(), members_at: of.slot() },
        Step::Compacts { to: of.slot() },
        Step::Loses { slot: of.slot() },
        Step::Mends { slot: of.slot() },
        Step::Recalls { end: of.next() },
        Step::Doubts { term: of.next(), slot: of.slot() },
        Step::Drops { slot: of.slot(), never: of.some(Numbers::node) },
        Step::Asked { by: of.node(), batch: of.next() },
        Step::Rounds { round: of.next(), index: of.next() },
        Step::Confirms { round: of.next(), index: of.next() },
        Step::Leases { by: of.perhaps(Numbers::node), index: of.next() },
    ]
}

/// What it says to another.
fn said(of: &mut Numbers) -> Vec<Step> {
    let (to, term) = (of.node(), of.next());
    vec![
        Step::Asks { to, term, last: of.slot() },
        Step::Would { to, term },
        Step::Calls { to, term, last: of.slot() },
        Step::Grants { to, term },
        Step::Sends { to, term, prev: of.slot(), last: of.slot(), commit: of.next() },
        Step::Acks { to, term, matched: of.next() },
        Step::Refuses { to, term, prev: of.slot() },
        Step::Beats { to, term, round: of.next(), commit: of.next() },
        Step::Answers { to, term, round: of.next(), verified: of.next(), matched: of.next() },
        Step::Hands { to, term },
        Step::Names { to, term, batch: of.next(), index: of.next() },
        Step::Tells {
            to,
            term,
            leads_to: of.perhaps(Numbers::slot),
            committed: of.slot(),
            never: of.perhaps(Numbers::slot),
        },
        Step::Says { to, term },
    ]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn every_line_is_read_back_as_it_was(numbers in proptest::collection::vec(any::<u64>(), 50..200)) {
        let mut numbers = Numbers(numbers);
        let steps = [done(&mut numbers), said(&mut numbers)].concat();
        let mut verbs = BTreeSet::new();
        for step in steps {
            let line = Line { node: numbers.node(), step };
            let text = line.to_string();
            prop_assert!(!text.contains('\n'));
            verbs.extend(text.split(' ').nth(1).map(str::to_owned));
            prop_assert_eq!(text.parse(), Ok(line));
        }
        let known: BTreeSet<String> = Step::VERBS.iter().map(|verb| (*verb).to_owned()).collect();
        prop_assert_eq!(verbs, known, "a step of each kind");
    }

    #[test]
    fn other_text_is_refused_and_never_panics(text in ".{0,60}") {
        prop_assert!(text.parse::<Line>().is_err());
    }
}

/// A cluster of one that is founded, elects itself and commits: its outputs and the steps that it noted.
fn alone(trace: bool) -> (Vec<Output>, Vec<Step>) {
    let (first, members) = (LogId::new(1, 1), Members::founder(NodeId(1), Contact::default()));
    let mut terms = TermRuns::new(LogId::ZERO);
    terms.push(first);
    let members = vec![Entry { id: first, payload: Payload::Members(Box::new(members)) }];
    let found = Found { terms, members, ..Found::default() };
    let mut raft = Raft::open(Config { trace, ..Config::new(NodeId(1), 7) }, found, Time(0)).unwrap();
    let (mut outputs, mut steps) = (Vec::new(), raft.take_trace());
    raft.handle(Time(10_000_000), Input::Timeout);
    while let Some(output) = raft.poll() {
        if let Output::Job(Job::Write(write)) = &output {
            raft.handle(Time(10_000_001), Input::Done(Done::Written(write.id)));
        }
        outputs.push(output);
        steps.extend(raft.take_trace());
    }
    (outputs, steps)
}

#[test]
fn steps_are_noted_when_they_are_wanted_and_change_nothing() {
    let ((quiet, none), (loud, steps)) = (alone(false), alone(true));
    assert_eq!((none, quiet), (Vec::new(), loud));
    let verbs: Vec<String> =
        steps.iter().filter_map(|step| step.to_string().split(' ').next().map(str::to_owned)).collect();
    let expected =
        "opens enters counts campaigns counts writes written counts leads appends writes written commits";
    assert_eq!(verbs[..13].join(" "), expected, "{steps:#?}");
}

#[test]
fn what_is_wrong_with_a_line_is_said() {
    let wanted = |text: &str| text.parse::<Line>().unwrap_err().to_string();
    assert!(wanted("1: dances").contains("a node, a colon and a step is wanted"));
    assert!(wanted("x: enters term=1").contains("a node, a colon and a step is wanted"));
    assert!(wanted("1: enters term=one").contains("term is wanted"));
    assert!(wanted("1: enters index=1").contains("term is wanted"));
    assert!(wanted("1: appends slot=1").contains("slot is wanted"));
    assert!(wanted("1: configures slot=1/2 configuration=1|2").contains("configuration is wanted"));
    assert!(wanted("1: enters term=1 term=1").contains("nothing after the last field is wanted"));
    assert_eq!("1f: acks to=2 term=3 matched=17".parse::<Line>().unwrap().node, 31);
}
