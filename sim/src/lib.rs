//! The deterministic simulation harness of Quorate.
//!
//! The real server, hyper included, runs on madsim's executor and virtual time, over a network and disks of our
//! own, while the plan of a seed breaks things. What the clients saw is then judged. One seed is one plan is one
//! course of events, the same on every machine: `docs/SIMULATION.md`.
//!
//! | module | what it holds |
//! |---|---|
//! | `plan` | what a seed means: a cluster, faults at times, a workload |
//! | `run` | one plan, from boot to verdict |
//! | `world` | the hosts: starting, crashing and restarting servers |
//! | `runtime` | the server's `Runtime`, on madsim |
//! | `network`, `stream` | the server's `Net`: connections that can be cut, stalled and reset |
//! | `disk` | who owns a server's storage, and how long a disk takes |
//! | `fired` | which faults really had an effect |
//! | `client` | clients that keep unknown outcomes unknown |
//! | `observe` | the course of events and its hash |
//! | [`history`], [`linearizability`] | what clients did and saw, and whether one order explains it |
//! | [`random`], [`trials`] | seeded numbers, and how many seeds to run |

#[cfg(not(madsim))]
compile_error!(
    "the simulator needs `--cfg madsim`, which .cargo/config.toml sets: a RUSTFLAGS variable overrides it; \
     unset it or add the flag"
);

mod client;
mod disk;
mod fired;
pub mod history;
pub mod linearizability;
mod network;
mod observe;
mod plan;
pub mod random;
mod run;
mod runtime;
mod stream;
pub mod trials;
mod world;

pub use plan::{Fault, Plan, Timed};
pub use run::{Report, Verdict, run_plan};
