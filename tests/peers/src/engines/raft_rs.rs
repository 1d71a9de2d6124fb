//! raft-rs, TiKV's core, with its own storage in memory.

use std::time::Duration;

use anyhow::Result;
use raft::eraftpb::{Entry, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};

use super::{NODES, Node};

/// The core counts ticks; the leader speaks at each, and ten without hearing it are an election timeout.
const TICK: Duration = Duration::from_millis(50);
const ELECTION_TICKS: usize = 10;

pub(super) struct Host {
    core: RawNode<MemStorage>,
    ticks: u32,
    commands: u64,
}

impl Node for Host {
    type Message = Message;

    fn cluster() -> Result<Vec<Self>> {
        let ids: Vec<u64> = (1..=NODES as u64).collect();
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let open = |&id: &u64| {
            let config = Config {
                id,
                election_tick: ELECTION_TICKS,
                heartbeat_tick: 1,
                // As much as Quorate's core sends at once.
                max_size_per_msg: 1 << 20,
                max_inflight_msgs: 64,
                // Several proposals go out as one message.
                batch_append: true,
                ..Config::default()
            };
            let storage = MemStorage::new_with_conf_state((ids.clone(), Vec::new()));
            let core = RawNode::new(&config, storage, &logger)?;
            Ok(Self { core, ticks: 0, commands: 0 })
        };
        ids.iter().map(open).collect()
    }

    fn campaign(&mut self) {
        // It fails only where it leads already.
        let _ = self.core.campaign();
    }

    fn is_leader(&self) -> bool {
        self.core.raft.state == StateRole::Leader
    }

    fn pass(&mut self, since_start: Duration) {
        while TICK * (self.ticks + 1) <= since_start {
            self.ticks += 1;
            self.core.tick();
        }
    }

    fn propose(&mut self, payload: &[u8]) -> Result<()> {
        Ok(self.core.propose(Vec::new(), payload.to_vec())?)
    }

    fn receive(&mut self, message: Message) -> Result<()> {
        Ok(self.core.step(message)?)
    }

    fn work(&mut self, send: &mut dyn FnMut(usize, Message)) -> Result<()> {
        let mut send = |message: Message| send(message.to as usize - 1, message);
        while self.core.has_ready() {
            let mut ready = self.core.ready();
            ready.take_messages().into_iter().for_each(&mut send);
            self.apply(&ready.take_committed_entries());
            let storage = self.core.store().clone();
            storage.wl().append(ready.entries())?;
            if let Some(hard) = ready.hs() {
                storage.wl().set_hardstate(hard.clone());
            }
            ready.take_persisted_messages().into_iter().for_each(&mut send);
            let mut rest = self.core.advance(ready);
            if let Some(commit) = rest.commit_index() {
                storage.wl().mut_hard_state().set_commit(commit);
            }
            rest.take_messages().into_iter().for_each(&mut send);
            self.apply(&rest.take_committed_entries());
            self.core.advance_apply();
        }
        Ok(())
    }

    fn applied(&self) -> u64 {
        self.commands
    }
}

impl Host {
    fn apply(&mut self, entries: &[Entry]) {
        // The entry that a leader begins with is empty.
        self.commands += entries.iter().filter(|entry| !entry.data.is_empty()).count() as u64;
    }
}
