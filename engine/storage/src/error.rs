//! What can go wrong, by what the caller does next.

use std::io;

use quorate_raft::{LogId, Term};

/// Storage cannot say any longer what is durable. The process must end: after a failed sync the system may report
/// the next one as done although the bytes are gone, so there is nothing to try again. A restart finds out what is
/// really there.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}; what is durable is unknown now, so the node has to stop")]
pub struct Fatal {
    /// What was tried.
    pub action: &'static str,
    /// The file or directory, relative to the data dir.
    pub path: String,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl Fatal {
    /// The path is made of `path` only when there is an error: this is called for every operation.
    pub(crate) fn new(action: &'static str, path: impl Into<String>) -> impl FnOnce(io::Error) -> Fatal {
        move |source| Fatal { action, path: path.into(), source }
    }
}

/// A data dir that cannot be opened. None of these is mended by trying again.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused an operation.
    #[error(transparent)]
    Disk(#[from] Fatal),
    /// A file was written by another release, in a format that this one does not know. It is no damage.
    #[error(
        "{path} has version {found} of its format, and the newest that this release knows is {known}: use the release that \
         wrote it; nothing was changed"
    )]
    UnknownVersion {
        /// The file, relative to the data dir.
        path: String,
        /// Its version.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// The system does not let a file of term and vote be read. It may be sound.
    #[error(
        "cannot read {path}: {source}; what it holds may be sound, so it is not taken for lost, and nothing was changed: \
         see to it that this user may read and write it, and that the system can open it, and try again"
    )]
    Unread {
        /// The file, relative to the data dir.
        path: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Neither file of term and vote holds them any more. The node may have voted and cannot know for whom.
    #[error(
        "both files in stable/ are damaged: whom this node voted for is lost; it can only come back under a new id"
    )]
    TermAndVoteLost,
    /// There is a term and a vote, and no log that can be read.
    #[error(
        "the node has written up to batch {acknowledged}, and log/ holds no readable segment; it can only come back \
         under a new id"
    )]
    LogLost {
        /// The number of a batch that is known to have been written.
        acknowledged: u64,
    },
    /// The log begins after a checkpoint that cannot be read.
    #[error(
        "the log begins after {base}, and no whole checkpoint reaches that far ({}); the node can only come back \
         under a new id",
        newest.map_or("there is none".to_owned(), |last| format!("the newest ends at {last}"))
    )]
    CheckpointLost {
        /// The slot before the log's first.
        base: LogId,
        /// The last slot of the newest checkpoint that is whole.
        newest: Option<LogId>,
    },
    /// A change of membership is damaged, and no copy is left. Without it the node does not know who votes.
    #[error(
        "the membership entry {id} is damaged and neither a segment nor a checkpoint repeats it; the node can only \
         come back under a new id"
    )]
    MembershipLost {
        /// The entry.
        id: LogId,
    },
    /// The log holds a term that the node, by its own record, never reached.
    #[error(
        "the log ends at {last}, but stable/ says that this node never went beyond term {term}: the files are not of \
         one node, or stable/ is from an old copy; restore the whole data dir, or none of it"
    )]
    TermBehindLog {
        /// The log's last slot.
        last: LogId,
        /// The recorded term.
        term: Term,
    },
}

impl OpenError {
    /// Whether the node has lost what it must not forget, so that it can only come back under a new id. Not so when
    /// the files contradict each other: what they are is for a person to find out.
    pub fn costs_the_id(&self) -> bool {
        match self {
            OpenError::TermAndVoteLost
            | OpenError::LogLost { .. }
            | OpenError::CheckpointLost { .. }
            | OpenError::MembershipLost { .. } => true,
            OpenError::Disk(_)
            | OpenError::Unread { .. }
            | OpenError::UnknownVersion { .. }
            | OpenError::TermBehindLog { .. } => false,
        }
    }
}
