//! The deterministic simulation harness of Quorate.
#[cfg(not(madsim))]
compile_error!(
    "the simulator needs `--cfg madsim`, which .cargo/config.toml sets: a RUSTFLAGS variable overrides it; \
     unset it or add the flag"
);

mod agenda;
mod bounds;
mod campaign;
mod checkers;
mod cli;
mod clock;
mod core;
mod counts;
mod full;
pub mod history;
mod identity;
mod judge;
mod ledger;
pub mod linearizability;
mod net_model;
pub mod observe;
mod outlook;
mod plan;
pub mod random;
mod rot;
mod run;
mod shrink;
mod tap;
mod timeline;
pub mod trials;
mod verdict;
mod workload;
mod world;

pub use campaign::{Campaign, Seed, Totals, run_campaign};
pub use cli::main;
pub use counts::Counts;
pub use plan::{Damage, Fault, Host, Link, Place, Plan, PlanError, Scenario, Shape, Timed};
pub use run::{Options, Report, Stack, run_plan};
pub use shrink::{Shrunk, shrink};
pub use verdict::Verdict;
