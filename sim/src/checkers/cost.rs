//! What a request may cost when nothing is wrong: a message to each follower and back, and a sync on each server.
//!
//! A store that sends or syncs more than it must is slow in a way that no other checker sees.

use super::{Checker, Evidence};
use crate::audit::Errand;
use crate::history::{Call, Operation};
use crate::observe::{MessageKind, Observation};
use crate::plan::Plan;

/// Counts messages and syncs.
#[derive(Debug)]
pub(crate) struct Cost {
    servers: u64,
    /// Appends and their answers.
    replication: u64,
    /// Questions of followers for an index, and the answers.
    reads: u64,
    syncs: u64,
    /// What auditors ask, and how many writes and reads that may take.
    errands: [u64; 2],
}

/// A share of writes may need two appends: those under way when a window is full or an append is probed.
const SLACK_PERCENT: u64 = 130;

/// Elections, joining, segments and checkpoints have costs of their own, for each server.
const HOUSEKEEPING: u64 = 150;

impl Cost {
    pub(crate) fn new(plan: &Plan) -> Self {
        Cost { servers: plan.cluster.servers.into(), replication: 0, reads: 0, syncs: 0, errands: [0; 2] }
    }
}

/// How many writes and reads an errand takes at most.
fn taken_by(errand: &Errand) -> [u64; 2] {
    match errand {
        Errand::Follow { .. } | Errand::Watch { .. } | Errand::Past { .. } => [0, 0],
        Errand::List { fresh, .. } => [0, u64::from(*fresh)],
        Errand::Transfer { .. } | Errand::Guarded { .. } | Errand::Revoke { .. } => [1, 0],
        Errand::Leased { .. } | Errand::KeepAlive { .. } => [1, 0],
        // What ends by itself takes a write more when its time is over.
        Errand::Fleeting { .. } | Errand::Grant { .. } => [2, 0],
    }
}

impl Checker for Cost {
    fn name(&self) -> &'static str {
        "cost"
    }

    fn hears_messages(&self) -> bool {
        true
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Sent { said, .. } => match said.kind {
                MessageKind::Append | MessageKind::Appended => self.replication += 1,
                MessageKind::ReadIndex | MessageKind::ReadIndexReply => self.reads += 1,
                _ => {}
            },
            Observation::Cost { syncs, .. } => self.syncs += syncs,
            Observation::Errand { errand, .. } => {
                let [writes, reads] = taken_by(errand);
                self.errands[0] += writes;
                self.errands[1] += reads;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &Evidence<'_>, history: &[Operation]) -> Result<(), String> {
        let writes = history.iter().filter(|operation| operation.call != Call::Get).count() as u64;
        let reads = history.len() as u64 - writes + self.errands[1];
        let writes = writes + self.errands[0];
        let (followers, housekeeping) = (self.servers - 1, HOUSEKEEPING * self.servers);
        let bounds = [
            ("append messages", self.replication, 2 * followers * writes),
            ("read index messages", self.reads, 2 * reads),
            ("syncs", self.syncs, self.servers * writes),
        ];
        for (what, seen, least) in bounds {
            let most = least * SLACK_PERCENT / 100 + housekeeping;
            if seen > most {
                return Err(format!(
                    "{writes} writes and {reads} reads took {seen} {what}; {most} is the most"
                ));
            }
        }
        Ok(())
    }
}
