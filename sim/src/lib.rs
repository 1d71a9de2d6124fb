//! The deterministic simulation harness of Quorate.
//!
//! A seed becomes a plan; a plan is run on one of two stacks; what happens becomes one stream of observations, from
//! which come the trace hash, the page and the verdict. One plan is one course of events, the same on every machine:
//! `docs/SIMULATION.md`.
//!
//! | module | what it holds |
//! |---|---|
//! | `plan` | what a seed means: a cluster, settings, a workload, faults at times |
//! | `world`, `agenda`, `identity` | the machines, what the plan does to them when, who the servers are |
//! | `net_model`, `clock`, `rot` | the network with its two faces, a host's clock, where a disk may go bad |
//! | `workload`, `source`, `bounds` | what clients ask, of whom and how often, and how long things may take |
//! | [`audit`] | clients that use all that the store can do, and report what they are told |
//! | `core`, `full` | the two stacks: nodes and storage under a queue of events; the whole server on madsim |
//! | [`observe`], `tap` | what is observed, and how it is taken from a node |
//! | `ledger`, `chronicle` | every log and what of it is durable; what auditors were told, put together |
//! | `spec` | the protocol as a specification that is asked whether each step of the cores may be taken |
//! | `checkers`, `judge` | a property a file; who asks them all |
//! | `outlook`, `verdict` | how the servers stand together; what a run came to |
//! | [`history`], [`linearizability`] | what clients did and saw, and whether one order explains it |
//! | `run`, `campaign`, `shrink`, `timeline`, `cli` | one plan; many seeds; smaller plans; the page; the command |
//! | `recorded` | recordings of real nodes, replayed |
//! | `hunt` | `cargo zoo`: the simulator sent after known bugs |
//! | [`random`], [`trials`], `counts` | seeded numbers, how many seeds to run, how often what happened |

#[cfg(not(madsim))]
compile_error!(
    "the simulator needs `--cfg madsim`, which .cargo/config.toml sets: a RUSTFLAGS variable overrides it; \
     unset it or add the flag"
);

mod agenda;
mod allocator;
pub mod audit;
mod bounds;
mod campaign;
mod checkers;
mod chronicle;
mod cli;
mod clock;
mod core;
mod counts;
mod full;
pub mod history;
mod hunt;
mod identity;
mod judge;
mod ledger;
pub mod linearizability;
mod net_model;
pub mod observe;
mod outlook;
mod plan;
pub mod random;
mod recorded;
mod rot;
mod run;
mod shrink;
mod source;
mod spec;
mod tap;
mod timeline;
pub mod trials;
mod verdict;
mod workload;
mod world;

pub use campaign::{Campaign, Seed, Totals, run_campaign};
pub use cli::main;
pub use counts::Counts;
pub use hunt::main as hunt;
pub use plan::{
    Asks, Cluster, Damage, Fault, Host, Knobs, Link, Order, Place, Plan, PlanError, Scenario, Shape, Timed,
    Workload,
};
pub use recorded::{Recorded, RecordedError, Rerun, replay_recording};
pub use run::{Jury, Options, Report, Stack, run_plan};
pub use shrink::{Shrunk, shrink};
pub use verdict::Verdict;
