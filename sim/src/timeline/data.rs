//! A run as data for the page's script: numbers in columns and short rows, every text once.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::clients::{Operation, Operations};
use super::messages::Messages;
use super::servers::{Life, Mark, Servers, Stand};
use super::{Scene, Subject};
use crate::observe::{Observation, Phase};
use crate::plan::{FIRST_CLIENT, Host, Link, Plan, Timed};

/// Everything the page knows. Times are microseconds of virtual time.
#[derive(Serialize)]
pub(super) struct Data {
    about: About,
    strings: Vec<String>,
    hosts: Vec<Host>,
    clients: Vec<u8>,
    phases: Vec<(u64, &'static str)>,
    faults: Vec<FaultSpan>,
    lives: Vec<Life>,
    stands: Vec<Stand>,
    marks: Vec<Mark>,
    messages: Messages,
    operations: Vec<Operation>,
}

/// What the head of the page says.
#[derive(Serialize)]
struct About {
    title: String,
    stack: &'static str,
    servers: usize,
    core: Vec<Host>,
    verdict: String,
    violated_at: Option<u64>,
    trace_hash: String,
    again: String,
    ends_at: u64,
}

/// A fault from when it began until it ended: number, kind, group, host or 0, begin, end or `None`, fields. What
/// strikes in an instant ends as it begins.
#[derive(Serialize)]
struct FaultSpan(usize, &'static str, &'static str, Host, u64, Option<u64>, Vec<(String, String)>);

/// Texts by number, so that each is in the page once.
#[derive(Default)]
pub(super) struct Strings {
    numbers: HashMap<String, usize>,
    all: Vec<String>,
}

impl Strings {
    pub(super) fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.all.len();
        self.numbers.insert(text.to_owned(), number);
        self.all.push(text.to_owned());
        number
    }
}

impl Data {
    pub(super) fn of(scene: &Scene) -> Data {
        let mut strings = Strings::default();
        let mut servers = Servers::default();
        let mut messages = Messages::default();
        let mut operations = Operations::default();
        let (mut phases, mut faults) = (Vec::new(), Vec::new());
        for (time, observation) in scene.trace {
            let at = time.0;
            match observation {
                Observation::Phase(phase) => phases.push((at, name_of(*phase))),
                Observation::Fault { number, begins: true } => {
                    faults.extend(scene.subject.plan().and_then(|plan| begin(plan, *number, at)));
                }
                Observation::Fault { number, begins: false } => end(&mut faults, *number, at),
                Observation::Sent { from, to, said } => messages.sent(at, *from, *to, *said),
                Observation::Received { from, to, said } => messages.received(at, *from, *to, *said),
                Observation::Asks { .. } | Observation::Hears { .. } => {
                    operations.see(at, observation, &mut strings);
                }
                of_a_server => servers.see(at, of_a_server, &mut strings),
            }
        }
        // A host whose disk was wiped has another server then, and that a lane of its own.
        let hosts: BTreeSet<Host> = scene.subject.hosts().into_iter().chain(servers.started()).collect();
        let (lives, stands, marks) = servers.into_parts();
        let operations = operations.into_rows();
        Data {
            about: about(scene),
            hosts: hosts.into_iter().collect(),
            clients: clients(scene.subject.plan(), &operations),
            strings: strings.all,
            phases,
            faults,
            lives,
            stands,
            marks,
            messages: messages.in_order(),
            operations,
        }
    }
}

impl<'a> Subject<'a> {
    fn plan(self) -> Option<&'a Plan> {
        match self {
            Subject::Plan(plan) => Some(plan),
            Subject::Recording { .. } => None,
        }
    }

    fn title(self) -> String {
        match self {
            Subject::Plan(plan) => format!("{}, seed {}", plan.scenario.name(), plan.seed),
            Subject::Recording { node, .. } => format!("recording of node {node}, which is s1"),
        }
    }

    fn hosts(self) -> Vec<Host> {
        match self {
            Subject::Plan(plan) => plan.hosts().collect(),
            Subject::Recording { hosts, .. } => hosts.values().copied().collect(),
        }
    }

    /// Whom the run is about most.
    fn core(self) -> Vec<Host> {
        match self {
            Subject::Plan(plan) => plan.cluster.core.clone(),
            Subject::Recording { .. } => vec![1],
        }
    }
}

fn about(scene: &Scene) -> About {
    let last = scene.trace.last().map_or(0, |(time, _)| time.0);
    About {
        title: scene.subject.title(),
        stack: scene.stack,
        servers: scene.subject.hosts().len(),
        core: scene.subject.core(),
        verdict: scene.verdict.clone(),
        violated_at: scene.violated_at.map(|time| time.0),
        trace_hash: format!("{:016x}", scene.trace_hash),
        again: scene.again.clone(),
        ends_at: scene.violated_at.map_or(last, |time| last.max(time.0)),
    }
}

/// The clients of the plan, and whoever else asked: a scan has a client of its own.
fn clients(plan: Option<&Plan>, operations: &[Operation]) -> Vec<u8> {
    let mut clients = plan.map(|plan| plan.workload.clients.clone()).unwrap_or_default();
    clients.extend(operations.iter().map(Operation::client));
    clients.sort_unstable();
    clients.dedup();
    clients
}

fn name_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Boot => "boot",
        Phase::Safety => "safety",
        Phase::Liveness => "liveness",
        Phase::Scan => "scan",
    }
}

/// `None` for a number that the plan doesn't have: then there is nothing to say about it.
fn begin(plan: &Plan, number: usize, at: u64) -> Option<FaultSpan> {
    let timed = plan.faults.get(number)?;
    let fault = &timed.fault;
    let end = fault.lasts().is_none().then_some(at);
    Some(FaultSpan(
        number,
        fault.kind(),
        group(fault.kind()),
        fault.host().unwrap_or(0),
        at,
        end,
        fields(timed),
    ))
}

/// The newest one of this number ends, also one that was thought to strike in an instant.
fn end(faults: &mut [FaultSpan], number: usize, at: u64) {
    if let Some(span) = faults.iter_mut().rev().find(|span| span.0 == number) {
        span.5 = Some(at);
    }
}

/// Which of the page's colors and patterns a kind of fault has.
fn group(kind: &str) -> &'static str {
    match kind {
        "kill" | "kill all" | "power loss" | "power loss of all" | "pause" | "slow process"
        | "graceful end" => "process",
        "clock jump" | "clock drift" | "clock stop" => "clock",
        "join" | "transfer" | "change of members" => "membership",
        order if order.starts_with("member ") => "membership",
        disk if ["disk", "write", "sync", "read", "rot"].iter().any(|word| disk.contains(word)) => "disk",
        _ => "network",
    }
}

/// What the plan says about a fault, by the names it has there.
fn fields(timed: &Timed) -> Vec<(String, String)> {
    let value = serde_json::to_value(timed).expect("a fault has a JSON form: plans are saved");
    let members = value.as_object().into_iter().flatten();
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    members
        .map(|(name, value)| match name.as_str() {
            "links" => ("links".to_owned(), links(timed.fault.links())),
            name => (name.replace('_', " "), text(value)),
        })
        .collect()
}

/// Directions as arrows, and both directions as one: `1↔2 3→4`.
fn links(links: &[Link]) -> String {
    let mut words = Vec::new();
    for &(from, to) in links {
        if !links.contains(&(to, from)) {
            words.push(format!("{}→{}", machine(from), machine(to)));
        } else if from < to {
            words.push(format!("{}↔{}", machine(from), machine(to)));
        }
    }
    words.join(" ")
}

/// What a machine is called on the page.
fn machine(host: Host) -> String {
    match host.checked_sub(FIRST_CLIENT) {
        Some(client) => format!("c{client}"),
        None => format!("s{host}"),
    }
}
