//! Where the log of a node goes: stderr, as text for people or as JSON for machines.

use crate::cli::exit::Failure;
use crate::config::{LogConfig, LogFormat};
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log of this process.
pub(crate) fn start(config: &LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.level).map_err(|error| Failure::usage(error.to_string()))?;
    let terminal = io::stderr().is_terminal();
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(terminal);
    // Otherwise a line that can't be written (the reader of stderr is gone) is reported with `eprintln!`, which panics.
    let builder = builder.log_internal_errors(false);
    let json = match config.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let started = if json {
        builder.json().flatten_event(true).finish().try_init()
    } else {
        builder.finish().try_init()
    };
    started.map_err(|error| Failure::failed(format!("the log can't be started: {error}")))
}
