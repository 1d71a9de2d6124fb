//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable (or several, as `HOST and PORT`).
    Environment(String),
    /// The file of `--config`.
    File(PathBuf),
    /// Nowhere: it is the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => formatter.write_str("flag"),
            Self::Environment(variables) => write!(formatter, "environment {variables}"),
            Self::File(path) => write!(formatter, "file {}", path.display()),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// Why there is no usable configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that can't be read or used.
    #[error("{} has the value {value:?}: {problem}", place(setting, origin))]
    BadValue {
        /// The setting's name.
        setting: &'static str,
        /// Where the value came from.
        origin: Origin,
        /// The value.
        value: String,
        /// What is wrong with it, and what to write instead.
        problem: String,
    },
    /// A setting without a default was given nowhere.
    #[error("{0} is needed: give --{0}, or set {1}")]
    Missing(&'static str, String),
    /// Two settings, or a setting and the network, that do not go together.
    #[error("{0}")]
    Unusable(String),
    /// The file can't be read.
    #[error("the file {} of --config can't be read: {problem}", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        problem: String,
    },
    /// The file is not TOML.
    #[error("the file {} of --config is not TOML: {problem}", path.display())]
    FileMalformed {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        problem: String,
    },
    /// The file has a key that is no setting.
    #[error("the file {} of --config has the key {key:?}, which is no setting: {suggestion}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What to write instead.
        suggestion: String,
    },
}

impl ConfigError {
    /// Whether the command line alone is at fault (exit code 2); otherwise it's the configuration (78).
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::BadValue { origin: Origin::Flag, .. } | Self::Missing(..))
    }
}

/// How a message calls the place that a value came from.
pub(crate) fn place(setting: &str, origin: &Origin) -> String {
    match origin {
        Origin::Flag => format!("--{setting}"),
        Origin::Environment(variables) => format!("the environment variable {variables}"),
        Origin::File(path) => format!("{setting:?} in the file {}", path.display()),
        Origin::Default => format!("the default of --{setting}"),
    }
}
