//! The network: who reaches whom, how late, how often.

use crate::plan::Plan;
use crate::random::Random;
use quorate_raft::{Envelope, NodeId};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub(crate) struct Network {
    random: Random,
    loss: u64,
    duplication: u64,
    delay: (u64, u64),
    late: (u64, u64),
    /// How many in a thousand messages are followed by a much older one.
    replay: u64,
    replays: Random,
    old: Vec<Envelope>,
    /// From, to: nothing passes.
    cut: BTreeSet<(NodeId, NodeId)>,
}

impl Network {
    pub(crate) fn new(seed: u64, plan: &Plan) -> Self {
        Network {
            random: Random::new(seed, "network"),
            loss: plan.loss,
            duplication: plan.duplication,
            delay: plan.delay,
            late: plan.late,
            replay: plan.replay,
            replays: Random::new(seed, "replays"),
            old: Vec::new(),
            cut: BTreeSet::new(),
        }
    }

    /// When copies of a message arrive, from now on.
    pub(crate) fn route(&mut self, from: NodeId, to: NodeId) -> Vec<u64> {
        let mut copies = 1;
        if self.random.chance(self.loss) || self.cut.contains(&(from, to)) {
            copies = 0;
        }
        if copies > 0 && self.random.chance(self.duplication) {
            copies += 1;
        }
        (0..copies).map(|_| self.delay()).collect()
    }

    /// Remembers some messages for good, and now and then brings one of them again.
    pub(crate) fn replayed(&mut self, sent: &Envelope) -> Option<Envelope> {
        const MOST_OLD: usize = 64;
        if self.replay == 0 {
            return None;
        }
        if self.replays.chance(50) {
            if self.old.len() == MOST_OLD {
                self.old.swap_remove(self.replays.index(MOST_OLD));
            }
            self.old.push(sent.clone());
        }
        let again = !self.old.is_empty() && self.replays.chance(self.replay);
        again.then(|| self.old[self.replays.index(self.old.len())].clone())
    }

    /// A message on its way when the cut came arrives late or never.
    pub(crate) fn still_passes(&mut self, from: NodeId, to: NodeId) -> bool {
        !self.cut.contains(&(from, to)) || self.random.chance(300)
    }

    fn delay(&mut self) -> u64 {
        let usual = self.random.between(self.delay.0, self.delay.1);
        if self.random.chance(self.late.0) { usual + self.random.below(self.late.1 + 1) } else { usual }
    }

    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    pub(crate) fn join_all(&mut self) {
        self.cut.clear();
    }

    /// No faults any more, for good.
    pub(crate) fn calm(&mut self) {
        self.join_all();
        (self.loss, self.duplication, self.late, self.replay) = (0, 0, (0, 0), 0);
        self.delay.1 = self.delay.1.min(2_000);
        self.delay.0 = self.delay.0.min(self.delay.1);
    }
}
