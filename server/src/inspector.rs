//! How a simulation looks over the node's shoulder.

use quorate_node::{Input, Node, Output};

/// Sees everything that goes into a node and comes out of it, in order, and changes nothing.
///
/// The simulator's checkers judge by it: what clients see comes too late, and too little, to tell which promise was
/// broken. In production there is none.
pub trait Inspector: Send {
    /// The node is about to take this.
    fn input(&mut self, input: &Input);

    /// The node asks for this, and the host is about to do it.
    fn output(&mut self, output: &Output);

    /// The node has nothing more to ask for. What it notes for whoever looks on may be taken.
    fn turned(&mut self, node: &mut Node);
}
