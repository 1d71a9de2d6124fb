//! Reads a script, does what it says, and writes it down again with what happened below each command.
//!
//! A line that begins with `> ` is a command; one that begins with `#` is a comment; blank lines stay. All else
//! is what happened when the script was last blessed. What a command does not say happens at once: writes, loads
//! and applies complete, unless a script holds them back. Messages wait until they are delivered.
//!
//! | command | effect |
//! |---|---|
//! | `cluster 3 [keep=0 …]` | begins, with three nodes and settings that differ from the usual |
//! | `log 2 1 1 4 term 7` | gives node 2 a log of these terms, and a term; it restarts |
//! | `quietly …` | any command, without its output |
//! | `elect 1`, `timeout 1` | node 1 is elected, after the others have waited; only its timer fires |
//! | `tick [1 2] 50ms`, `run [1 2] 50ms` | time passes, on some nodes or all; and messages are delivered meanwhile |
//! | `pause 1 2000ms` | node 1 stands still for so long and does not know it |
//! | `stabilize`, `deliver [which]`, `network` | delivers all that comes; delivers these; lists what is on its way |
//! | `drop`, `duplicate`, `reorder` `[which]` | loses, doubles, reverses these; *which* is `1->2`, a kind, `first`, `last` |
//! | `partition {1} {2 3}`, `cut 1 2`, `heal` | cuts links, also for what is on its way; mends all |
//! | `unreachable 1 2` | node 1 is told that its link to 2 broke |
//! | `propose 1 a b*40`, `read 2 7`, `lease-read 2 7` | asks node 1 (or 2) for it |
//! | `add-learner 1 4 [standing] [replaces 3] [by 7]` | asks node 1 for it; by a join token, which that spends |
//! | `token 1 7` | asks node 1 to make a join token of this name |
//! | `promote 1 4`, `remove 1 4`, `change 1 4 5 6 [learners 1]` | asks node 1 for it |
//! | `address 1 2 new:7000` | asks node 1 to say that node 2 is reached there |
//! | `new 4 5`, `transfer 1 [2]` | nodes that know nothing start; node 1 is asked to hand over |
//! | `hold-disk 1`, `finish-disk 1 [n]`, `release-disk 1` | writes wait; some complete; all complete from now on |
//! | `hold-apply 1`, `finish-apply 1` | the state machine waits; goes on |
//! | `crash 1 [keep n]`, `restart 1` | loses all pending writes but the first n; starts again |
//! | `checkpoint 1` | the state machine as it is becomes a durable checkpoint |
//! | `checkpoint 1 anew` | the same, of other bytes: what stood there before was damaged |
//! | `damage 1 5`, `lose-tail 1 5` | the payload of slot 5 is lost; all slots from 5 on rot, terms too |
//! | `forget 1 5` | all slots from 5 on are gone without a trace |
//! | `room 1 3000 2`, `room 1` | 3,000 bytes of node 1's last segment are left, and two spares; as much as it wants |
//! | `status [1 2]`, `state [1 2]` | how nodes stand; what their state machines hold |

use super::disk::Disk;
use super::network::Selector;
use super::{Cluster, first_entry, trace};
use quorate_raft::{
    Cleanup, Config, Contact, Done, Entry, HardState, Index, Input, Learner, LogId, Members, NodeId, Payload,
    Raft, ReadId, ReadMode, Role, Room, Term, Time, TokenHash,
};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The least that a clock moves.
const TICK: Duration = Duration::from_micros(1);

/// Runs a script and returns it with fresh output.
///
/// `place` is the line it is at, for whoever has to say where an invariant broke.
pub(crate) fn run(text: &str, place: &Cell<usize>) -> String {
    let mut cluster = None;
    let mut fresh = String::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') || line.starts_with("> ") {
            fresh += line;
            fresh += "\n";
        }
        let Some(command) = line.strip_prefix("> ") else { continue };
        place.set(number + 1);
        let mut words: Vec<&str> = command.split_whitespace().collect();
        let quietly = words[0] == "quietly";
        words.drain(..usize::from(quietly));
        if words[0] == "cluster" {
            cluster = Some(Cluster::new(words[1].parse().unwrap(), settings(&words[2..])));
        }
        let cluster = cluster.as_mut().expect("a script begins with a cluster");
        perform(cluster, &words);
        for output in std::mem::take(&mut cluster.lines).into_iter().filter(|_| !quietly) {
            fresh += &output;
            fresh += "\n";
        }
    }
    fresh
}

/// `name=number` for each setting that differs from the usual.
fn settings(words: &[&str]) -> Config {
    let mut config = Config { keep_entries: 0, ..Config::new(NodeId(0), 0) };
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("{word:?} is no setting"));
        let number: usize = value.parse().unwrap();
        match name {
            "append-bytes" => config.append_bytes = number,
            "inflight" => config.inflight_appends = number,
            "inflight-bytes" => config.inflight_bytes = number,
            "uncommitted-bytes" => config.uncommitted_bytes = number,
            "cache" => config.cache_bytes = number,
            "keep" => config.keep_entries = number as u64,
            "chunk" => config.chunk_bytes = number as u64,
            "snapshot-rate" => config.snapshot_bytes_per_second = number as u64,
            "cleanup-ms" => {
                let after = Duration::from_millis(number as u64);
                config.cleanup = Some(Cleanup { after, least_voters: 1 });
            }
            "least-voters" => config.cleanup.as_mut().expect("after cleanup-ms").least_voters = number,
            _ => panic!("there is no setting {name:?}"),
        }
    }
    config
}

fn perform(cluster: &mut Cluster, words: &[&str]) {
    let rest = &words[1..];
    match words[0] {
        "cluster" => {}
        "log" => replace_log(cluster, node(rest[0]), &rest[1..]),
        "tick" => tick(cluster, rest, |_| {}),
        "run" => run_for(cluster, rest),
        "pause" => {
            let node = cluster.node(node(rest[0]));
            node.clock = node.clock + millis(rest[1]);
        }
        "timeout" => timeout(cluster, node(rest[0])),
        "elect" => elect(cluster, node(rest[0])),
        "stabilize" => cluster.stabilize(),
        "status" => status(cluster, rest),
        "state" => state(cluster, rest),
        "propose" | "propose-freeing" | "read" | "lease-read" | "promote" | "remove" | "change"
        | "address" | "transfer" | "token" | "add-learner" => {
            ask(cluster, words[0], node(rest[0]), &rest[1..]);
        }
        "new" => rest.iter().for_each(|word| cluster.add_node(node(word), Disk::default())),
        "checkpoint" if rest.len() == 2 => {
            assert_eq!(rest[1], "anew", "a checkpoint is taken as ever, or anew");
            cluster.checkpoint(node(rest[0]), "  ");
        }
        "checkpoint" => cluster.checkpoint(node(rest[0]), " "),
        "unreachable" => cluster.input(node(rest[0]), Input::Unreachable(node(rest[1]))),
        "crash" => {
            let keep = rest.get(2).map_or(0, |count| count.parse().unwrap());
            cluster.crash(node(rest[0]), keep);
        }
        "restart" => cluster.start(node(rest[0])),
        "damage" | "lose-tail" | "forget" | "hold-disk" | "finish-disk" | "release-disk" => {
            disk(cluster, words[0], node(rest[0]), &rest[1..]);
        }
        "room" => room(cluster, node(rest[0]), &rest[1..]),
        "hold-apply" => cluster.node(node(rest[0])).hold_apply = true,
        "finish-apply" => finish_apply(cluster, node(rest[0])),
        _ => network(cluster, words[0], rest),
    }
}

fn network(cluster: &mut Cluster, command: &str, rest: &[&str]) {
    match command {
        "deliver" => {
            for envelope in cluster.network.take(&Selector::parse(rest)) {
                cluster.deliver(envelope);
            }
        }
        "drop" => {
            for envelope in cluster.network.take(&Selector::parse(rest)) {
                let text = cluster.names.message(&envelope.message);
                cluster.line(format!("{}->{} {text} (lost)", envelope.from.0, envelope.to.0));
            }
        }
        "duplicate" => cluster.network.duplicate(&Selector::parse(rest)),
        "reorder" => cluster.network.reorder(&Selector::parse(rest)),
        "network" => {
            for envelope in cluster.network.queue.clone() {
                let text = cluster.names.message(&envelope.message);
                cluster.line(format!("{}->{} {text}", envelope.from.0, envelope.to.0));
            }
        }
        "partition" => partition(cluster, &rest.join(" ")),
        "cut" => {
            cluster.network.cut(node(rest[0]), node(rest[1]));
            cluster.network.cut(node(rest[1]), node(rest[0]));
        }
        "heal" => cluster.network.heal(),
        _ => panic!("there is no command {command:?}"),
    }
}

fn node(word: &str) -> NodeId {
    NodeId(word.parse().unwrap_or_else(|_| panic!("{word:?} is no node")))
}

/// `1 1 1 2 term 3`: the term of every slot, and the term the node is in. The same id is the same entry on all
/// nodes, so what an entry carries is made from its id.
fn replace_log(cluster: &mut Cluster, id: NodeId, words: &[&str]) {
    let (terms, term) = match words.iter().position(|word| *word == "term") {
        Some(at) => (&words[..at], words[at + 1].parse().unwrap()),
        None => (words, words.last().unwrap().parse().unwrap()),
    };
    let entry = |(at, term): (usize, &&str)| {
        let id = LogId::new(term.parse().unwrap(), at as u64 + 1);
        let command = format!("{}.{}", id.term, id.index);
        Entry { id, payload: Payload::Command(command.into_bytes().into()) }
    };
    let mut entries: Vec<Entry> = terms.iter().enumerate().map(entry).collect();
    entries[0] = first_entry(cluster.nodes.len() as u128);
    cluster.crash(id, 0);
    cluster.node(id).disk = Disk::with_log(HardState { term: Term(term), vote: None }, entries);
    cluster.start(id);
}

/// `600ms` on all nodes, or `2 3 600ms` on some.
fn tick(cluster: &mut Cluster, words: &[&str], between: impl Fn(&mut Cluster)) {
    let (duration, ids) = words.split_last().expect("how long?");
    let ids = some_or_all(cluster, ids);
    cluster.tick(&ids, millis(duration), between);
}

fn millis(word: &str) -> Duration {
    let millis = word.strip_suffix("ms").and_then(|number| number.parse().ok()).expect("a time in ms");
    Duration::from_millis(millis)
}

/// Like `tick`, with messages delivered at once. Heartbeats that change nothing are left out.
fn run_for(cluster: &mut Cluster, words: &[&str]) {
    tick(cluster, words, Cluster::stabilize);
    let lines = std::mem::take(&mut cluster.lines);
    let is_dull = |at: usize, line: &str| {
        let beats = line.contains(" Heartbeat round ") || line.contains(" HeartbeatReply round ");
        let next = lines.get(at + 1).filter(|next| next.starts_with("    "));
        let answer = |next: &&String| {
            next.trim_start().strip_prefix("sends ").is_some_and(|sends| {
                sends.split(", ").all(|send| send.starts_with("Heartbeat")) && line_after(&lines, at + 2)
            })
        };
        let timer = line.ends_with(" timer");
        (beats || timer) && next.as_ref().is_none_or(answer)
    };
    let mut kept = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if is_dull(at, &lines[at]) {
            at += 1 + usize::from(lines.get(at + 1).is_some_and(|next| next.starts_with("    ")));
        } else {
            kept.push(lines[at].clone());
            at += 1;
        }
    }
    cluster.lines = kept;
}

/// Whether the line at `at` begins something new.
fn line_after(lines: &[String], at: usize) -> bool {
    lines.get(at).is_none_or(|line| !line.starts_with("    "))
}

/// The node's election timer fires, whatever it was set to.
fn timeout(cluster: &mut Cluster, id: NodeId) {
    let wait = cluster.settings.election_timeout * 2;
    let node = cluster.node(id);
    node.clock = node.clock + wait;
    cluster.line(format!("{} timer", id.0));
    cluster.input(id, Input::Timeout);
}

/// The others have not heard a leader for an election timeout, and this node's timer fires before theirs.
fn elect(cluster: &mut Cluster, id: NodeId) {
    let patience = cluster.settings.election_timeout;
    for other in cluster.running().into_iter().filter(|other| *other != id) {
        let (core, now) = cluster.core(other);
        let status = core.status();
        let fires_in = core.deadline().filter(|_| status.damaged == 0).map(|due| due.since(now));
        let wait = fires_in.map_or(patience, |due| due.saturating_sub(TICK).min(patience));
        let leads = status.role == Role::Leader;
        let node = cluster.node(other);
        node.clock = node.clock + if leads { Duration::ZERO } else { wait };
    }
    timeout(cluster, id);
    cluster.stabilize();
}

fn ask(cluster: &mut Cluster, command: &str, id: NodeId, words: &[&str]) {
    let (core, now) = cluster.core(id);
    let answer = match command {
        "propose" | "propose-freeing" => {
            let mut propose = |bytes: Vec<u8>| match command {
                "propose" => core.propose(now, bytes.into()),
                _ => core.propose_command(now, bytes.into(), true),
            };
            let answers = words.iter().map(|word| match propose(command_bytes(word)) {
                Ok(entry) => entry.to_string(),
                Err(error) => format!("{error:?}"),
            });
            Some(answers.collect::<Vec<_>>().join(", "))
        }
        "read" | "lease-read" => {
            let mode = if command == "read" { ReadMode::Quorum } else { ReadMode::Lease };
            let ids: Vec<ReadId> = words.iter().map(|word| ReadId(word.parse().unwrap())).collect();
            for read in &ids {
                core.read(now, *read, mode).unwrap();
            }
            ids.into_iter().for_each(|read| cluster.history.read_asked(read));
            None
        }
        "promote" => Some(said(core.promote(now, node(words[0])))),
        "remove" => Some(said(core.remove(now, node(words[0])))),
        "change" => {
            let target = target(words);
            Some(said(core.change_members(now, target)))
        }
        "address" => {
            let mut target = core.status().members.clone();
            let contact = target.contacts.get_mut(&node(words[0])).expect("a member");
            contact.address = words[1].to_owned();
            Some(said(core.change_members(now, target)))
        }
        "transfer" => {
            let answer = core.transfer(now, words.first().map(|word| node(word)));
            Some(answer.map_or_else(|error| format!("{error:?}"), |to| format!("to {}", to.0)))
        }
        "token" => {
            let members = core.status().members.with_token(token(words[0]), 1_000, 0).unwrap();
            Some(said(core.change_members(now, members)))
        }
        _ => {
            let answer = add_learner(core, now, words);
            if !cluster.nodes.contains_key(&node(words[0])) {
                cluster.add_node(node(words[0]), Disk::default());
            }
            Some(answer)
        }
    };
    if let Some(answer) = answer {
        // Ids of test nodes are small numbers.
        cluster.line(format!("{} says {}", id.0, answer.replace(&"0".repeat(31), "")));
    }
    cluster.drain(id);
}

/// `4 [standing] [replaces 3] [by 7]`: what is said to that.
fn add_learner(core: &mut Raft, now: Time, words: &[&str]) -> String {
    let id = node(words[0]);
    let learner = if words.contains(&"standing") { Learner::Standing } else { Learner::Joining };
    let after = |word: &str| words.iter().position(|known| *known == word).map(|at| words[at + 1]);
    let members = core.members();
    let members =
        after("replaces").map_or_else(|| members.clone(), |replaced| members.without(node(replaced)));
    let shown = after("by").map(token);
    if let Some(Err(fault)) = shown.map(|shown| members.admits(&shown, id, 0)) {
        return format!("{fault:?}");
    }
    // As the host does: whoever is a member already stays as it is.
    if shown.is_some() && members.contains(id) {
        return said(core.change_members(now, members));
    }
    let target = members.with_learner(id, learner, Contact::default());
    let target = match shown {
        Some(shown) => target.with_spent(&shown, id),
        None => target,
    };
    said(core.change_members(now, target))
}

/// The join token of this name, a number.
fn token(word: &str) -> TokenHash {
    TokenHash([word.parse().unwrap_or_else(|_| panic!("{word:?} is no token")); 32])
}

/// `1 2 3 learners 4`: the configuration of these voters and learners.
fn target(words: &[&str]) -> Members {
    let mut halves = words.split(|word| *word == "learners");
    let ids =
        |half: Option<&[&str]>| half.unwrap_or_default().iter().map(|word| node(word)).collect::<Vec<_>>();
    let (voters, learners) = (ids(halves.next()), ids(halves.next()));
    Members {
        contacts: voters.iter().chain(&learners).map(|id| (*id, Contact::default())).collect(),
        voters: voters.into_iter().collect(),
        outgoing: BTreeSet::new(),
        learners: learners.into_iter().map(|id| (id, Learner::Standing)).collect(),
        tokens: BTreeMap::new(),
    }
}

fn said(answer: Result<LogId, quorate_raft::ChangeError>) -> String {
    answer.map_or_else(|error| format!("{error:?}"), |id| id.to_string())
}

/// `x` is itself; `x*100` is 100 bytes of x.
fn command_bytes(word: &str) -> Vec<u8> {
    match word.split_once('*') {
        Some((text, times)) => text.repeat(times.parse().unwrap()).into_bytes(),
        None => word.as_bytes().to_vec(),
    }
}

fn disk(cluster: &mut Cluster, command: &str, id: NodeId, words: &[&str]) {
    let indices = words.iter().map(|word| word.parse().unwrap());
    match command {
        "hold-disk" => cluster.node(id).disk.held = true,
        "lose-tail" => indices.map(Index).for_each(|from| cluster.node(id).disk.lose_tail(from)),
        "forget" => indices.map(Index).for_each(|from| cluster.node(id).disk.forget(from)),
        "damage" => {
            for index in indices.map(Index) {
                let slot = cluster.node(id).disk.damage(index);
                if cluster.node(id).raft.is_some() {
                    cluster.input(id, Input::Done(Done::Damaged(slot)));
                }
            }
        }
        _ => {
            let disk = &mut cluster.node(id).disk;
            disk.held &= command == "finish-disk";
            let count = words.first().map_or(disk.pending.len(), |word| word.parse().unwrap());
            assert!(count > 0 && count <= disk.pending.len(), "no such write is pending");
            for _ in 0..count {
                let written = cluster.node(id).disk.finish_one().expect("it was counted");
                cluster.line(format!("{} has written #{written}", id.0));
                cluster.input(id, Input::Done(Done::Written(written)));
            }
        }
    }
}

/// `3000 2`: what is left of the last segment, in bytes, and how many spares of 10,000 bytes there are; nothing: as
/// much as anybody wants.
fn room(cluster: &mut Cluster, id: NodeId, words: &[&str]) {
    let number = |at: usize| words[at].parse::<u32>().unwrap();
    let room = (!words.is_empty()).then(|| Room {
        rest_bytes: number(0).into(),
        spare_segments: number(1),
        segment_bytes: 10_000,
        newest_segment: 1,
        is_reserved: false,
    });
    cluster.input(id, Input::Done(Done::Room(room)));
}

fn finish_apply(cluster: &mut Cluster, id: NodeId) {
    cluster.node(id).hold_apply = false;
    let waiting = std::mem::take(&mut cluster.node(id).to_apply);
    assert!(!waiting.is_empty(), "nothing waits to be applied on {}", id.0);
    for output in waiting {
        let answer = cluster.apply(id, output);
        cluster.input(id, answer);
    }
}

fn partition(cluster: &mut Cluster, text: &str) {
    let groups: Vec<Vec<NodeId>> = text
        .split('}')
        .map(|group| group.trim_start_matches([' ', '{']).split_whitespace().map(node).collect())
        .collect();
    for (at, group) in groups.iter().enumerate() {
        for other in groups.iter().enumerate().filter(|(place, _)| *place != at).flat_map(|(_, group)| group)
        {
            group.iter().for_each(|id| cluster.network.cut(*id, *other));
        }
    }
}

fn status(cluster: &mut Cluster, words: &[&str]) {
    for id in some_or_all(cluster, words) {
        let node = &cluster.nodes[&id];
        let line = match &node.raft {
            Some(raft) => trace::status(raft, node.disk.issued.base),
            None => format!("{} is down", id.0),
        };
        cluster.line(line);
    }
}

fn state(cluster: &mut Cluster, words: &[&str]) {
    for id in some_or_all(cluster, words) {
        let machine = &cluster.nodes[&id].machine;
        let commands: Vec<String> =
            machine.commands.iter().map(|command| trace::command(command.as_bytes())).collect();
        let line = format!("{} holds [{}] after {}", id.0, commands.join(" "), machine.applied);
        cluster.line(line);
    }
}

fn some_or_all(cluster: &Cluster, words: &[&str]) -> Vec<NodeId> {
    if words.is_empty() {
        cluster.nodes.keys().copied().collect()
    } else {
        words.iter().map(|word| node(word)).collect()
    }
}
