//! Quorate's core, and a host whose disk is a vector.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use quorate_raft::{
    Config, Contact, Done, Entry, Envelope, Found, HardState, Index, Input, Job, Learner, LogId, Members,
    NodeId, Output, Payload, Raft, TermRuns, Time,
};

use super::{NODES, Node};

/// Nobody is bound any more by a leader from before the start, and no node runs for office by itself yet.
const FREE: Time = Time(500_001);

pub(super) struct Host {
    core: Raft,
    /// What the clock says when the measuring begins.
    start: Time,
    now: Time,
    disk: Vec<Entry>,
    commands: u64,
}

impl Node for Host {
    type Message = Envelope;

    fn cluster() -> Result<Vec<Self>> {
        let id = |number: usize| NodeId(number as u128 + 1);
        let members = (1..NODES).fold(Members::founder(id(0), Contact::default()), |members, number| {
            members.with_learner(id(number), Learner::Standing, Contact::default()).with_voter(id(number))
        });
        let first = Entry { id: LogId::new(1, 1), payload: Payload::Members(members) };
        let open = |number: usize| {
            let mut terms = TermRuns::new(LogId::ZERO);
            terms.push(first.id);
            let found = Found {
                hard: HardState { term: first.id.term, vote: None },
                commit_hint: Index(1),
                terms,
                members: vec![first.clone()],
                ..Found::default()
            };
            let config = Config::new(id(number), number as u64 + 1);
            let core = Raft::open(config, found, Time(0)).map_err(|error| anyhow!("{error}"))?;
            let disk = vec![first.clone()];
            Ok(Self { core, start: FREE, now: FREE, disk, commands: 0 })
        };
        (0..NODES).map(open).collect()
    }

    fn campaign(&mut self) {
        self.now = self.core.deadline().unwrap_or_default();
        self.start = self.now;
        self.core.handle(self.now, Input::Timeout);
    }

    fn is_leader(&self) -> bool {
        self.core.leads_in().is_some()
    }

    fn pass(&mut self, since_start: Duration) {
        self.now = self.now.max(self.start + since_start);
        if self.core.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.core.handle(self.now, Input::Timeout);
        }
    }

    fn propose(&mut self, payload: &[u8]) -> Result<()> {
        self.core.propose(self.now, Arc::from(payload)).map_err(|error| anyhow!("{error}"))?;
        Ok(())
    }

    fn receive(&mut self, message: Envelope) -> Result<()> {
        self.core.handle(self.now, Input::Message(message));
        Ok(())
    }

    fn work(&mut self, send: &mut dyn FnMut(usize, Envelope)) -> Result<()> {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Send(envelope) => send(envelope.to.0 as usize - 1, envelope),
                Output::Job(Job::Write(write)) => {
                    self.disk.extend(write.append);
                    self.core.handle(self.now, Input::Done(Done::Written(write.id)));
                }
                Output::Job(Job::Load(load)) => {
                    let entries = self.disk[load.first.0 as usize - 1..load.last.0 as usize].to_vec();
                    self.core.handle(self.now, Input::Done(Done::Loaded { load, entries }));
                }
                Output::Apply(entries) => {
                    let is_command = |entry: &&Entry| matches!(entry.payload, Payload::Command(_));
                    self.commands += entries.iter().filter(is_command).count() as u64;
                    let last = entries.last().map_or(Index(0), |entry| entry.id.index);
                    self.core.handle(self.now, Input::Applied(last));
                }
                Output::Read(_) | Output::Event(_) => {}
                other => return Err(anyhow!("no snapshot was taken, and this came: {other:?}")),
            }
        }
        Ok(())
    }

    fn applied(&self) -> u64 {
        self.commands
    }
}
