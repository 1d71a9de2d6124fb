//! SIGINT and SIGTERM, for commands that have something to end in order.

use std::io;

use tokio::signal::unix::{self, SignalKind, signal};

use crate::cli::exit::Failure;

/// What this process was asked to end by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Asked {
    pub(crate) fn signal(self) -> rustix::process::Signal {
        match self {
            Self::Interrupt => rustix::process::Signal::INT,
            Self::Terminate => rustix::process::Signal::TERM,
        }
    }

    /// How shells tell that a signal ended a command.
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Interrupt => Failure::Code(128 + 2),
            Self::Terminate => Failure::Code(128 + 15),
        }
    }
}

/// Both signals, which end nothing by themselves any more.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    /// Takes them over. Within a tokio runtime only.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Asked::Terminate,
            _ = self.interrupt.recv() => Asked::Interrupt,
        }
    }
}
