//! `quorate dev`: a whole cluster on this machine, each node a child process that runs `quorate serve`.
//!
//! | module | what it holds |
//! |---|---|
//! | `plan` | which node gets which port, folder and flags |
//! | `ports` | the ports of an earlier run on the same folder |
//! | `child` | one child process: its pipes, its log, its end |
//! | `cluster` | the loop that starts, watches, kills and restarts them |
//!
//! Everything that happens (a child died, a status came, a signal, a timer) is an event in one queue, so that the
//! loop is a plain match and never waits for two things at once.

mod child;
mod cluster;
mod plan;
mod ports;

use crate::cli::arguments::parse_timeout;
use crate::cli::exit::Failure;
use crate::real::block_on;
use clap::Args;
use plan::Plan;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, Args)]
pub(crate) struct DevFlags {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    nodes: u16,
    /// The HTTP port of node 1; node i gets port + i - 1, and peers 1000 more; 0 finds free ones
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Where the nodes keep their data, and their ports [default: a temporary folder, removed at exit]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Kill a random node this often, as kill -9 does
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    kill_every: Option<Duration>,
    /// Leave a node that died dead, instead of starting it again after 3 s
    #[arg(long)]
    no_restart: bool,
}

pub(crate) fn run(flags: &DevFlags) -> Result<(), Failure> {
    // Held until the end: dropping it removes the folder.
    let temporary;
    let folder = match &flags.data_dir {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::failed(format!("the data dir {} can't be made: {error}", folder.display()))
            })?;
            folder
        }
        None => {
            let made = tempfile::Builder::new().prefix("quorate-dev-").tempdir();
            temporary = made.map_err(|error| {
                Failure::failed(format!("no temporary folder can be made: {error}; give one with --data-dir"))
            })?;
            temporary.path()
        }
    };
    let plan = Plan::new(flags.nodes, ports::of_nodes_in(folder, flags.port)?, folder)?;
    ports::remember(folder, plan.nodes[0].endpoint.address().port())?;
    let chaos = cluster::Chaos { kill_every: flags.kill_every, restart: !flags.no_restart };
    block_on(cluster::run(&plan, chaos))?
}
