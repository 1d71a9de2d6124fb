//! How a command ends.

use crate::cli::output;
use crate::config::ConfigError;
use crate::serve::ServeError;
use quorate_client::ClientError;
use std::io;
use std::process::ExitCode;

/// The exit codes of every command (contract, section 2); success is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was tried and did not work.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The key, the member, or the lease is not there.
    NotFound = 3,
    /// A condition did not hold.
    PreconditionFailed = 4,
    /// Nobody could serve the request, and it took no effect.
    Unavailable = 5,
    /// A write may or may not have been done.
    OutcomeUnknown = 6,
    /// The environment, a file or a data dir can't be used (`EX_CONFIG` of BSD's sysexits).
    BadConfiguration = 78,
}

impl Exit {
    /// Every one, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Failed,
        Self::Usage,
        Self::NotFound,
        Self::PreconditionFailed,
        Self::Unavailable,
        Self::OutcomeUnknown,
        Self::BadConfiguration,
    ];

    /// What it tells the user, as in the table of `docs/COMMANDS.md`.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "it was tried and did not work",
            Self::Usage => "the command line makes no sense",
            Self::NotFound => "the key, the member or the lease is not there",
            Self::PreconditionFailed => "a condition did not hold",
            Self::Unavailable => "nobody could serve the request, and nothing was done",
            Self::OutcomeUnknown => "a write may or may not have been done",
            Self::BadConfiguration => "the configuration, the environment or the data dir can't be used",
        }
    }
}

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be said on stderr, with the exit code.
    Ended(Exit, String),
    /// With the exit code of something that was run; there is nothing to say.
    Code(u8),
    /// clap's own: usage errors on stderr, but also `--help` and `--version`, which go to stdout and are no failure.
    Clap(Box<clap::Error>),
}

impl Failure {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Ended(Exit::Failed, message.into())
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Ended(Exit::Usage, message.into())
    }

    /// Says what happened, and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Ended(exit, message) => {
                output::say(&format!("quorate: {message}"));
                ExitCode::from(exit as u8)
            }
            Self::Code(code) => ExitCode::from(code),
            Self::Clap(error) => {
                // A closed stdout or stderr leaves nobody to tell.
                let _ = error.print();
                if error.use_stderr() { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS }
            }
        }
    }
}

impl From<&ClientError> for Exit {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::NotFound(_) | ClientError::LeaseNotFound(_) => Exit::NotFound,
            ClientError::PreconditionFailed(_) | ClientError::Locked { .. } => Exit::PreconditionFailed,
            ClientError::Unavailable(_) => Exit::Unavailable,
            ClientError::OutcomeUnknown(_) => Exit::OutcomeUnknown,
            ClientError::Refused { .. } | ClientError::Compacted { .. } | ClientError::NotQuorate(_) => {
                Exit::Failed
            }
            ClientError::BadEndpoint(_) => Exit::Usage,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Ended(Exit::from(&error), error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let exit = if error.is_usage() { Exit::Usage } else { Exit::BadConfiguration };
        Self::Ended(exit, error.to_string())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let exit = match error.exit_code() {
            2 => Exit::Usage,
            4 => Exit::PreconditionFailed,
            78 => Exit::BadConfiguration,
            _ => Exit::Failed,
        };
        Self::Ended(exit, error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error.to_string())
    }
}
