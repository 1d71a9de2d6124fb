//! Tells the judge what goes into a node and comes out of it.

use quorate_node::{Input, Node, Output};
use quorate_server::Inspector;

use super::stage::FullStack;
use crate::plan::Host;
use crate::tap::Tap;

/// Looks over the shoulder of one life's node. The judge is told true times, not the host's own, which may be wrong.
pub(super) struct Witness {
    stack: FullStack,
    tap: Tap,
}

impl Witness {
    pub(super) fn new(stack: FullStack, host: Host) -> Self {
        Witness { stack, tap: Tap::new(host) }
    }
}

impl Inspector for Witness {
    fn input(&mut self, input: &Input) {
        if let Some(observation) = self.tap.input(input) {
            self.stack.observe(observation);
        }
    }

    fn output(&mut self, output: &Output) {
        if let Some(observation) = self.tap.output(output) {
            self.stack.observe(observation);
        }
    }

    fn turned(&mut self, node: &mut Node) {
        let now = self.stack.clock.now();
        let judge = &mut self.stack.stage().world.judge;
        self.tap.turned(node, |observation| judge.observe(now, observation));
    }
}
