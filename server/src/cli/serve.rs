//! `quorate serve` and `quorate bootstrap`: from the command line into the server.

use crate::cli::exit::Failure;
use crate::cli::logging;
use crate::cli::node_flags::NodeFlags;
use clap::Args;
use rustix::process::{Signal, getpid, kill_process};
use std::io::{self, Read};
use std::thread;

#[derive(Clone, Debug, Args)]
pub(crate) struct ServeCommand {
    #[command(flatten)]
    node: NodeFlags,
    /// End, as after SIGTERM, when stdin does: `dev` holds the other end
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

pub(crate) fn serve(command: &ServeCommand) -> Result<(), Failure> {
    let config = command.node.resolve()?.config;
    logging::start(&config.log)?;
    if command.exit_with_parent {
        thread::spawn(end_with_stdin);
    }
    Ok(crate::serve::run(config)?)
}

/// Founds the cluster offline, so that a later `serve` needs neither `--bootstrap` nor `--join`.
pub(crate) fn bootstrap(flags: &NodeFlags) -> Result<(), Failure> {
    let config = flags.resolve()?.config;
    logging::start(&config.log)?;
    Ok(crate::serve::bootstrap(&config)?)
}

fn end_with_stdin() {
    let mut unused = [0; 64];
    while io::stdin().read(&mut unused).is_ok_and(|length| length > 0) {}
    tracing::warn!("the parent process has ended, so this one does too");
    if let Err(error) = kill_process(getpid(), Signal::TERM) {
        tracing::error!(%error, "this process can't be signalled");
    }
}
