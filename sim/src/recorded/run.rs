//! A recording replayed, and what is observed of it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use quorate_node::raft::{Envelope, LogId, NodeId, Time};
use quorate_node::recording::{Diverged, Replayed, Step, replay};
use quorate_node::{Input, Output};

use super::file::{Beginning, Recorded, RecordedError};
use crate::observe::Observation;
use crate::plan::Host;
use crate::run::panic_text;
use crate::tap::Tap;
use crate::verdict::Verdict;

/// The checker that a replay which differs is reported by.
const CHECKER: &str = "replay";

/// What came of a replay.
#[derive(Clone, Debug)]
pub struct Rerun {
    /// Whether it was the same; if not, how it differs.
    pub verdict: Verdict,
    /// When it was noticed that it differs, since the recording begins.
    pub broken_at: Option<Time>,
    /// The last entry that the node had applied where the recording begins.
    pub begins_after: LogId,
    /// How many inputs were given, and how many turns there were.
    pub replayed: Replayed,
    /// How much time passed for the node.
    pub virtual_time: Duration,
    /// The hash of the state in the end.
    pub state_hash: u64,
    /// Which number each node has on the page.
    pub hosts: BTreeMap<NodeId, Host>,
    /// What was observed, if it was to be kept, in time since the recording begins.
    pub trace: Vec<(Time, Observation)>,
}

/// Gives the recorded node the same inputs once more.
///
/// # Errors
/// [`RecordedError`]: there is nothing to replay.
pub fn replay_recording(recorded: &Recorded, keep_trace: bool) -> Result<Rerun, RecordedError> {
    let Beginning { mut node, id, members, at } = recorded.begin()?;
    let begins_after = node.raft().applied();
    let mut witness = Witness::new(id, members.ids(), keep_trace);
    let mut passed = Time(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        replay(&mut node, &recorded.events, recorded.end(), |now, step| {
            passed = Time(passed.0.max(now.0.saturating_sub(at.0)));
            witness.see(passed, &step);
        })
    }));
    let verdict = match result {
        Ok(Ok(_)) => Verdict::Passed,
        Ok(Err(Diverged::Unreadable(bad))) => return Err(bad.into()),
        Ok(Err(diverged)) => Verdict::Safety { checker: CHECKER, what: diverged.to_string() },
        Err(panic) => Verdict::Crash(panic_text(&*panic)),
    };
    Ok(Rerun {
        broken_at: (verdict != Verdict::Passed).then_some(passed),
        verdict,
        begins_after,
        replayed: witness.replayed,
        virtual_time: passed.since(Time(0)),
        state_hash: node.kv().state_hash(),
        hosts: witness.hosts,
        trace: witness.trace,
    })
}

/// Looks over the node's shoulder.
struct Witness {
    hosts: BTreeMap<NodeId, Host>,
    tap: Tap,
    keep_trace: bool,
    trace: Vec<(Time, Observation)>,
    /// So far: a replay that breaks off does not say.
    replayed: Replayed,
}

impl Witness {
    fn new(id: NodeId, members: impl Iterator<Item = NodeId>, keep_trace: bool) -> Witness {
        // The page has numbers for servers, and no more of them than this.
        let others = members.filter(|member| *member != id);
        let hosts: BTreeMap<NodeId, Host> = std::iter::once(id).chain(others).zip(1..Host::MAX).collect();
        let replayed = Replayed { inputs: 0, turns: 0 };
        Witness { tap: Tap::new(1), hosts, keep_trace, trace: Vec::new(), replayed }
    }

    fn see(&mut self, at: Time, step: &Step<'_>) {
        match step {
            Step::Input(input) => {
                self.replayed.inputs += 1;
                self.input(at, input);
            }
            Step::Output(output) => self.output(at, output),
            Step::Turned(node) => {
                self.replayed.turns += 1;
                if self.keep_trace {
                    let mut seen = Vec::new();
                    self.tap.stands(node, |observation| seen.push(observation));
                    seen.into_iter().for_each(|observation| self.keep(at, observation));
                }
            }
        }
    }

    fn input(&mut self, at: Time, input: &Input) {
        if !self.keep_trace {
            return;
        }
        let renamed = match input {
            Input::Message(envelope) => Some(Input::Message(self.renamed(envelope))),
            _ => None,
        };
        if let Some(observation) = self.tap.input(renamed.as_ref().unwrap_or(input)) {
            // When it was sent is not known here.
            if let Observation::Received { from, to, said } = observation {
                self.keep(at, Observation::Sent { from, to, said });
            }
            self.keep(at, observation);
        }
    }

    fn output(&mut self, at: Time, output: &Output) {
        if !self.keep_trace {
            return;
        }
        let renamed = match output {
            Output::Send(envelope) => Some(Output::Send(self.renamed(envelope))),
            _ => None,
        };
        if let Some(observation) = self.tap.output(renamed.as_ref().unwrap_or(output)) {
            // Whether it arrived, and when, is not known here.
            let arrives = match observation {
                Observation::Sent { from, to, said } => Some(Observation::Received { from, to, said }),
                _ => None,
            };
            self.keep(at, observation);
            arrives.into_iter().for_each(|observation| self.keep(at, observation));
        }
    }

    fn renamed(&mut self, envelope: &Envelope) -> Envelope {
        let (from, to) = (self.number(envelope.from), self.number(envelope.to));
        Envelope { from, to, ..envelope.clone() }
    }

    /// The id that a node has on the page; one that joins later gets the next.
    fn number(&mut self, id: NodeId) -> NodeId {
        let next = Host::try_from(self.hosts.len() + 1).unwrap_or(Host::MAX);
        NodeId(u128::from(*self.hosts.entry(id).or_insert(next)))
    }

    fn keep(&mut self, at: Time, observation: Observation) {
        let mut observation = observation;
        match &mut observation {
            Observation::Stands { stand, .. } => stand.leader = stand.leader.map(|id| self.number(id)),
            Observation::Members { voters, outgoing, .. } => {
                for id in voters.iter_mut().chain(outgoing) {
                    *id = self.number(*id);
                }
            }
            _ => {}
        }
        self.trace.push((at, observation));
    }
}
