//! Servers: their lives, how they stand, and what is marked on their lanes.

use serde::Serialize;

use super::data::Strings;
use crate::observe::{Ended, FoundLog, LogWrite, Observation};
use crate::plan::Host;
use quorate_node::raft::{Event, HardState, LogId, NodeId, Role};

/// Longer lists are cut.
const SHOWN_SLOTS: usize = 12;

/// Host, start, end or `None`, and why it ended.
#[derive(Serialize)]
pub(super) struct Life(Host, u64, Option<u64>, String);

/// Time, host, role, term, leader's text, commit, the last slot's term and index, damaged slots.
#[derive(Serialize)]
pub(super) struct Stand(u64, Host, &'static str, u64, usize, u64, u64, u64, usize);

/// Time, host, sort, text, and fields by name. The sort decides how it looks and which filter it obeys.
#[derive(Serialize)]
pub(super) struct Mark(u64, Host, &'static str, usize, Vec<(&'static str, String)>);

/// What was seen of servers so far.
#[derive(Default)]
pub(super) struct Servers {
    lives: Vec<Life>,
    stands: Vec<Stand>,
    marks: Vec<Mark>,
}

impl Servers {
    /// Takes an observation of a server. Those that are not of one server are no concern of it.
    pub(super) fn see(&mut self, at: u64, observation: &Observation, strings: &mut Strings) {
        let (host, sort, text, fields) = match observation {
            Observation::Started { host, found } => {
                self.lives.push(Life(*host, at, None, String::new()));
                (*host, "life", format!("starts: log ends at {}", found.last().index), found_fields(found))
            }
            Observation::Ended { host, why } => {
                (*host, "life", format!("ends: {}", self.ends(at, *host, why)), Vec::new())
            }
            Observation::Stands { host, stand } => {
                let leader = strings.number(&stand.leader.map_or_else(|| "none".to_owned(), node));
                let (role, last) = (role_name(stand.role), stand.last);
                let (term, commit) = (stand.term.0, stand.commit.0);
                let row = (last.term.0, last.index.0, stand.damaged);
                self.stands.push(Stand(at, *host, role, term, leader, commit, row.0, row.1, row.2));
                return;
            }
            Observation::Members { host, at: slot, voters, outgoing } => {
                let text = format!("members set at {slot}: {}", nodes(voters));
                let fields = vec![("voters", nodes(voters)), ("outgoing", nodes(outgoing))];
                (*host, "members", text, fields)
            }
            Observation::Leases { held, .. } if held.is_empty() => return,
            Observation::Leases { host, held } => {
                (*host, "event", format!("leads while the hosts {held:?} hold a lease"), Vec::new())
            }
            Observation::ServedByLease { host } => {
                (*host, "event", "answers by its lease".to_owned(), Vec::new())
            }
            Observation::Event { host, event } => (*host, "event", event_text(event), Vec::new()),
            Observation::Writes { host, write } => (*host, "write", write_text(write), write_fields(write)),
            Observation::Durable { host, write } => {
                (*host, "durable", format!("write {write} and all before it durable"), Vec::new())
            }
            Observation::Stored { host, last } => {
                (*host, "durable", format!("snapshot to {last} durable"), Vec::new())
            }
            Observation::Applied { host, index, state_hash, revision } => {
                let fields =
                    vec![("revision", revision.to_string()), ("state hash", format!("{state_hash:016x}"))];
                (*host, "applied", format!("applied to {index}"), fields)
            }
            Observation::Cost { host, syncs } => {
                (*host, "event", format!("its disk has made {syncs} syncs"), Vec::new())
            }
            Observation::Recovered { host } => (*host, "event", "has recovered".to_owned(), Vec::new()),
            Observation::Forgot { host } => {
                (*host, "event", "has lost its term and vote".to_owned(), Vec::new())
            }
            Observation::FoundAtRest { host } => {
                (*host, "event", "finds something bad at rest".to_owned(), Vec::new())
            }
            Observation::Phase(_)
            | Observation::Fault { .. }
            | Observation::Astray { .. }
            | Observation::Traced { .. }
            | Observation::Sent { .. }
            | Observation::Received { .. }
            | Observation::Clock { .. }
            | Observation::Orders { .. }
            | Observation::Told { .. }
            | Observation::LetIn { .. }
            | Observation::Asks { .. }
            | Observation::Hears { .. }
            | Observation::Errand { .. }
            | Observation::PassedOn { .. }
            | Observation::Account { .. } => return,
        };
        self.marks.push(Mark(at, host, sort, strings.number(&text), fields));
    }

    /// The life of a server is over; says why.
    fn ends(&mut self, at: u64, host: Host, why: &Ended) -> String {
        let why = why_ended(why);
        if let Some(life) = self.lives.iter_mut().rev().find(|life| life.0 == host) {
            life.2.get_or_insert(at);
            life.3.clone_from(&why);
        }
        why
    }

    /// Every server that ever started.
    pub(super) fn started(&self) -> impl Iterator<Item = Host> {
        self.lives.iter().map(|life| life.0)
    }

    pub(super) fn into_parts(self) -> (Vec<Life>, Vec<Stand>, Vec<Mark>) {
        (self.lives, self.stands, self.marks)
    }
}

/// Simulated servers have small ids, which read better than 32 digits; any other keeps its beginning.
fn node(id: NodeId) -> String {
    if id.0 < 1000 { format!("s{}", id.0) } else { format!("{:.8}…", id.to_string()) }
}

fn nodes(ids: &[NodeId]) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    ids.iter().map(|id| node(*id)).collect::<Vec<_>>().join(" ")
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
    }
}

fn why_ended(why: &Ended) -> String {
    match why {
        Ended::Killed => "killed".to_owned(),
        Ended::Stopped => "ended when asked to".to_owned(),
        Ended::PowerLost => "power lost".to_owned(),
        Ended::DiskFailed => "disk failed".to_owned(),
        Ended::Refused(why) => format!("refused to start: {why}"),
        Ended::DiskLost => "disk lost".to_owned(),
    }
}

fn event_text(event: &Event) -> String {
    match event {
        Event::Campaign { term, cause } => {
            format!("campaigns in term {term}: {}", words(&format!("{cause:?}")))
        }
        Event::BecameLeader { term } => format!("leads term {term}"),
        Event::SteppedDown { term, cause } => {
            format!("steps down from term {term}: {}", words(&format!("{cause:?}")))
        }
        Event::TransferBegun { to } => format!("hands over to {}", node(*to)),
        Event::TransferGivenUp { to } => format!("gives up handing over to {}", node(*to)),
        Event::Follows { term, leader } => format!("follows {} in term {term}", node(*leader)),
        Event::MembersChanged { at } => format!("members changed at {at}"),
        Event::Damaged { slot } => format!("slot {slot} damaged"),
        Event::Doubts { term, slot } => format!("enters term {term} to ask for slot {slot}"),
        Event::GaveUp { slot } => format!("slot {slot} given up"),
        Event::Repaired { slot } => format!("slot {slot} repaired"),
        Event::ShortOfRoom => "is short of room".to_owned(),
        Event::RoomAgain => "has room again".to_owned(),
        Event::Nonsense { from: Some(from), what } => format!("nonsense from {}: {what}", node(*from)),
        Event::Nonsense { from: None, what } => format!("nonsense: {what}"),
    }
}

/// `NoLeader` becomes `no leader`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

fn hard_state(hard: &HardState) -> String {
    format!("term {}, vote {}", hard.term, hard.vote.map_or_else(|| "none".to_owned(), node))
}

fn found_fields(found: &FoundLog) -> Vec<(&'static str, String)> {
    let terms = found.terms.chunk_by(|one, next| one == next);
    let terms: Vec<String> = terms.map(|run| format!("{} of term {}", run.len(), run[0])).collect();
    let unknown = found.unknown.map_or_else(|| "none".to_owned(), |index| format!("{index} and on"));
    vec![
        ("term and vote", hard_state(&found.hard)),
        ("log begins after", found.base.to_string()),
        ("slots", if terms.is_empty() { "none".to_owned() } else { terms.join(", ") }),
        ("newest checkpoint", found.snapshot.to_string()),
        ("damaged", slots(&found.damaged)),
        ("terms lost from", unknown),
    ]
}

fn slots(slots: &[LogId]) -> String {
    if slots.is_empty() {
        return "none".to_owned();
    }
    let mut words: Vec<String> = slots.iter().take(SHOWN_SLOTS).map(LogId::to_string).collect();
    if slots.len() > SHOWN_SLOTS {
        words.push(format!("and {} more", slots.len() - SHOWN_SLOTS));
    }
    words.join(" ")
}

fn write_text(write: &LogWrite) -> String {
    let mut words = Vec::new();
    words.extend(write.hard.as_ref().map(hard_state));
    words.extend(write.install.map(|last| format!("snapshot to {last}")));
    words.extend(write.truncate_from.map(|index| format!("truncate from {index}")));
    match write.append.as_slice() {
        [] => {}
        [(only, _)] => words.push(format!("append {only}")),
        [(first, _), .., (last, _)] => words.push(format!("append {first} to {last}")),
    }
    format!("write {}: {}", write.id, words.join(", "))
}

fn write_fields(write: &LogWrite) -> Vec<(&'static str, String)> {
    let entries = write.append.iter().take(SHOWN_SLOTS);
    let mut entries: Vec<String> = entries.map(|(slot, hash)| format!("{slot} ({hash:016x})")).collect();
    if write.append.len() > SHOWN_SLOTS {
        entries.push(format!("and {} more", write.append.len() - SHOWN_SLOTS));
    }
    if entries.is_empty() { Vec::new() } else { vec![("entries (hash)", entries.join(", "))] }
}
