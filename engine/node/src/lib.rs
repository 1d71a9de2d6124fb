//! A whole Quorate node without I/O: the Raft core, the state machine, and the requests that wait for them.
//!
//! The contract with the host is the core's own: feed inputs, then poll outputs until there are none; every
//! output may be performed the moment it is polled. What this crate adds is the state machine between the two,
//! and the fate of each request: *done*, *definitely not done*, or *unknown*, never a guess.
//!
//! | module | what it holds |
//! |---|---|
//! | `clock` | cluster time, as a leader counts it |
//! | `checkpoints` | when a checkpoint is taken, and what it builds on |
//! | `node` | [`Node`]: inputs, outputs, dispatch; below it `reads`, `changes`: members and hand-overs, and `housekeeping`: what a leader proposes by itself |
//! | `request` | what can be asked of a node, and what it answers |
//! | `pending` | requests that wait for the log |
//! | `holds` | revisions that readers here still read at |
//! | `held` | writes that wait for the end of a hand-over |
//! | [`recording`] | a flight recorder: the latest inputs, and how they are replayed |
//! | `state` | the key-value store, and how it is restored from a checkpoint |
//! | `view` | how a node stands |

mod checkpoints;
mod clock;
mod held;
mod holds;
mod node;
mod pending;
pub mod recording;
mod request;
mod state;
mod view;

pub use checkpoints::Checkpoint;
pub use node::{Input, Node, NodeConfig, Output};
pub use quorate_kv as kv;
pub use quorate_raft as raft;
pub use quorate_wire as wire;
pub use request::{Entrance, List, Page, Query, ReadLevel, Refusal, Reply, Request, RequestId};
pub use view::View;
