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
    pub(crate) fn new(action: &'static str, path: impl Into<String>) -> impl FnOnce(io::Error) -> Fatal {
        let path = path.into();
        move |source| Fatal { action, path, source }
    }
}

/// A data dir that cannot be opened. None of these is mended by trying again.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused an operation.
    #[error(transparent)]
    Disk(#[from] Fatal),
    /// Neither file of term and vote can be read. The node may have voted and cannot know for whom.
    #[error(
        "both files in stable/ are damaged: whom this node voted for is lost; remove it from the cluster and let it \
         join again with an empty data dir, under a new id"
    )]
    TermAndVoteLost,
    /// There is a term and a vote, and no log that can be read.
    #[error(
        "the node has written up to batch {acknowledged}, and log/ holds no readable segment; remove the node from \
         the cluster and let it join again with an empty data dir, under a new id"
    )]
    LogLost {
        /// The number of a batch that is known to have been written.
        acknowledged: u64,
    },
    /// The log begins after a checkpoint that cannot be read.
    #[error(
        "the log begins after {base}, and no whole checkpoint reaches that far (the newest ends at {newest:?}); \
         remove the node from the cluster and let it join again with an empty data dir, under a new id"
    )]
    CheckpointLost {
        /// The slot before the log's first.
        base: LogId,
        /// The last slot of the newest checkpoint that is whole.
        newest: Option<LogId>,
    },
    /// A change of membership is damaged, and no copy is left. Without it the node does not know who votes.
    #[error(
        "the membership entry {id} is damaged and neither a segment nor a checkpoint repeats it; remove the node \
         from the cluster and let it join again with an empty data dir, under a new id"
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
