//! Quorate's core, and a host whose disk is a vector.

use std::time::Duration;

use anyhow::Result;
use quorate_raft::Envelope;
use quorate_speed::Core;

use super::Node;

pub(super) struct Host {
    core: Core,
    /// What the clock said when the measuring began.
    start: quorate_raft::Time,
}

impl Node for Host {
    type Message = Envelope;

    fn cluster() -> Result<Vec<Self>> {
        Ok(Core::cluster().into_iter().map(|core| Self { start: core.now(), core }).collect())
    }

    fn campaign(&mut self) {
        self.core.campaign();
        self.start = self.core.now();
    }

    fn is_leader(&self) -> bool {
        self.core.is_leader()
    }

    fn pass(&mut self, since_start: Duration) {
        self.core.pass_until(self.start + since_start);
    }

    fn propose(&mut self, payload: &[u8]) -> Result<()> {
        self.core.propose(payload);
        Ok(())
    }

    fn receive(&mut self, message: Envelope) -> Result<()> {
        self.core.receive(message);
        Ok(())
    }

    fn work(&mut self, send: &mut dyn FnMut(usize, Envelope)) -> Result<()> {
        self.core.work(send);
        Ok(())
    }

    fn applied(&self) -> u64 {
        self.core.applied()
    }
}
