//! Each guard, by a trace that is legal up to its last line.
//!
//! Traces are written as text. Fields of `opens` and `writes` that say nothing may be left out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

mod commits;
mod damage;
mod durability;
mod elections;
mod messages;
mod reads;
mod replication;
mod snapshots;

use quorate_node::raft::trace::Line;

use super::Specification;

/// What `opens` says of a server on an empty disk, and `writes` of a write without anything in it.
const DEFAULTS: [(&str, &str); 2] = [
    (
        "opens",
        "term=0 vote=- base=0/0 runs=- last=0 snapshot=0/0 installs=no commit=0 damaged=- unknown=- \
         configurations=0/0:-|-|-",
    ),
    ("writes", "id=0 term=- vote=- install=- truncate=- first=- last=-"),
];

/// Three servers have started, the first of which has founded the cluster of the three.
const FOUNDED: &str = "
    1: opens term=1 runs=1/1 last=1 configurations=0/0:-|-|-;1/1:1,2,3|-|-
    2: opens
    3: opens";

/// Server 1 is elected in term 2 by server 2.
const ELECTED: &str = "
    1: asks to=2 term=2 last=1/1
    2: would to=1 term=2
    1: counts asking=yes votes=2,1
    1: campaigns term=2 transfer=no
    1: writes id=1 term=2 vote=1
    1: written id=1
    1: calls to=2 term=2 last=1/1
    2: enters term=2
    2: votes candidate=1
    2: writes id=1 term=2 vote=1
    2: written id=1
    2: grants to=1 term=2
    1: counts asking=no votes=2,1
    1: leads term=2
    1: appends slot=2/2";

/// Server 2 has all that server 1 has, and both have it durably.
const FOLLOWED: &str = "
    1: sends to=2 term=2 prev=0/0 last=2/2 commit=0
    1: writes id=2 first=2/2 last=2/2
    2: follows leader=1
    2: configures slot=1/1 configuration=1,2,3|-|-
    2: appends slot=2/2
    2: verifies index=2 members_at=1/1
    2: writes id=2 first=1/1 last=2/2
    2: written id=2
    2: acks to=1 term=2 matched=2
    1: written id=2";

/// Server 1 has committed in its term.
const SETTLED: &str = "
    1: commits index=2 matches=1:2,2:2,3:0";

/// A trace that was accepted up to now.
struct Trace(Specification);

fn founded() -> Trace {
    Trace(Specification::default()).then(FOUNDED)
}

fn elected() -> Trace {
    founded().then(ELECTED)
}

fn followed() -> Trace {
    elected().then(FOLLOWED)
}

fn settled() -> Trace {
    followed().then(SETTLED)
}

fn line(text: &str) -> Line {
    let (node, step) = text.split_once(": ").unwrap();
    let (verb, said) = step.split_once(' ').unwrap_or((step, ""));
    let Some((_, defaults)) = DEFAULTS.iter().find(|(of, _)| *of == verb) else {
        return text.parse().unwrap();
    };
    let words = defaults.split(' ').map(|word| {
        let (name, _) = word.split_once('=').unwrap();
        let named = |said: &&str| said.split_once('=').is_some_and(|(of, _)| of == name);
        said.split(' ').find(named).unwrap_or(word)
    });
    format!("{node}: {verb} {}", words.collect::<Vec<_>>().join(" ")).parse().unwrap()
}

impl Trace {
    /// It goes on so, which is legal.
    #[track_caller]
    fn then(mut self, lines: &str) -> Self {
        for text in lines.lines().map(str::trim).filter(|text| !text.is_empty()) {
            let Line { node, step } = line(text);
            if let Err(what) = self.0.accept(node, &step) {
                panic!("{text} was to be accepted: {what}");
            }
        }
        self
    }

    /// It must not go on so, for this reason.
    #[track_caller]
    fn but_not(mut self, text: &str, why: &str) {
        let Line { node, step } = line(text);
        match self.0.accept(node, &step) {
            Ok(()) => panic!("{text} was to be rejected: {why}"),
            Err(what) => assert!(what.contains(why), "{text} was rejected, but not since {why:?}: {what}"),
        }
    }
}

#[test]
fn a_server_that_has_not_started_takes_no_step() {
    founded().but_not("4: enters term=2", "this server has not started");
}

#[test]
fn a_rejection_says_which_line_it_was_and_how_the_server_stands() {
    let mut trace = founded();
    let Line { node, step } = line("2: enters term=7");
    let what = trace.0.accept(node, &step).unwrap_err();
    assert!(
        what.starts_with("line 4, \"2: enters term=7\": nobody has begun term 7; Node { id: 2"),
        "{what}"
    );
}
