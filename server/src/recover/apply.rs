//! Making a survivor the only voter, under a new history.
//!
//! Each step is durable before the next:
//!
//! 1. the lock of the data dir is taken, the survivors' are held as by a reader
//! 2. everything that could be refused is looked at, on an overlay: nothing is changed
//! 3. the data dir is copied aside
//! 4. `node.toml` says that a recovery was begun, and names the new history
//! 5. term and vote, when they are lost; then the log: a new term, and in it an entry that names this node as the only
//!    voter
//! 6. `node.toml` with the new history, and nothing of a recovery any more
//!
//! Up to the third, a crash leaves the old data dir intact. From the fourth to the sixth no node can be started on it:
//! it might be the only voter already and still bear the history of the old cluster, and that would make two clusters
//! that nobody can tell apart. Done again, the whole goes on where it was. The sixth step is one rename.
//!
//! The new entry comes in a term after every term that the node and the other survivors have seen, behind all that the
//! log holds. What was not known to be committed is kept: it may bring back a write that nobody was told of, and never
//! loses one that somebody was. That no old member can have another entry in that place matters no more, because no
//! message passes between two histories: which is also why a node may go on that has lost its term and vote
//! (`docs/PROTOCOL.md`, "Going on alone").

use std::path::{Path, PathBuf};

use quorate_node::raft::{
    Entry, HardState, Index, Job, LogId, Members, NodeId, Payload, Term, Write, WriteId,
};
use quorate_node::wire::{ClusterId, HistoryId};
use quorate_storage::data_dir::{self, DataDir, DataDirError};
use quorate_storage::{Disk, Fatal, FileDisk, OpenError, Options, Storage, TERM_AND_VOTE, write_term_anew};

use super::aside::{AsideError, copy_aside};
use super::survivor::{Holdings, Survivor};
use crate::context::Identity;
use crate::paths::with_suffix;
use crate::real::when_free;
use crate::runtime::{Runtime, random_id};

/// What somebody wants to be done.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// The data dir to go on with.
    pub(crate) dir: PathBuf,
    /// The cluster that somebody believes it to be of.
    pub(crate) confirm: ClusterId,
    /// The other data dirs that are left.
    pub(crate) survivors: Vec<PathBuf>,
    /// Where the copy goes, if not beside the data dir.
    pub(crate) aside: Option<PathBuf>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// The node is the only voter now.
    Recovered {
        /// Who it is now.
        identity: Identity,
        /// The history it belonged to.
        before: HistoryId,
        /// The entry that made it the only voter.
        entry: LogId,
        /// Where the copy is; unknown when an earlier attempt has put it somewhere else.
        aside: Option<PathBuf>,
        /// Term and vote were lost, so the end of the log may be.
        was_term_lost: bool,
        /// Files that could not be read and that the copy lacks, all of them of term and vote.
        not_copied: Vec<&'static str>,
    },
    /// The node is the only voter already, so it has its quorum: it was recovered before, or never had others.
    AlreadyAlone(Identity),
}

/// Why nothing was done, or not all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The data dir can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Somebody meant another cluster.
    #[error("the data dir is of cluster {found}, and --confirm says {given}: is it the right data dir?")]
    OtherCluster {
        /// What was confirmed.
        given: ClusterId,
        /// What the data dir says.
        found: ClusterId,
    },
    /// What the node holds does not let it go on alone.
    #[error(
        "the data dir can't be recovered from: {0}; take another survivor, or restore a backup into an empty data dir"
    )]
    Flawed(String),
    /// A survivor can't be looked at.
    #[error("{}: {reason}; leave it out if it is lost for good", dir.display())]
    SurvivorUnreadable {
        /// Its data dir.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A survivor is of another cluster, or of another history.
    #[error(
        "{} is of cluster {}, history {}; this data dir is of cluster {}, history {}: they hold nothing of each other",
        dir.display(), theirs.0, theirs.1, ours.0, ours.1
    )]
    SurvivorElsewhere {
        /// Its data dir.
        dir: PathBuf,
        /// Its cluster and history.
        theirs: (ClusterId, HistoryId),
        /// Those of the data dir to go on with.
        ours: (ClusterId, HistoryId),
    },
    /// A recovery was begun on a survivor.
    #[error(
        "a recovery to history {history} was begun on {}: finish that one, or put back the copy that it made; two \
         recoveries would make two clusters",
        dir.display()
    )]
    SurvivorRecovering {
        /// Its data dir.
        dir: PathBuf,
        /// The history that it will lead to.
        history: HistoryId,
    },
    /// Two data dirs are of one node.
    #[error("{} is of the same node, {node}: name each survivor once", dir.display())]
    SameNode {
        /// The other data dir.
        dir: PathBuf,
        /// The node.
        node: NodeId,
    },
    /// A survivor is running.
    #[error(
        "the survivor {} is in use{}: the cluster may still have a quorum; stop it first",
        dir.display(),
        pid.map_or(String::new(), |pid| format!(" by process {pid}"))
    )]
    SurvivorLive {
        /// Its data dir.
        dir: PathBuf,
        /// Who uses it, if it has said so.
        pid: Option<u32>,
    },
    /// A survivor holds more.
    #[error(
        "the survivor {} is ahead: its log ends at {theirs}, this one at {ours} (term/index); recover from that one",
        dir.display()
    )]
    SurvivorAhead {
        /// Its data dir.
        dir: PathBuf,
        /// The end of its log.
        theirs: LogId,
        /// The end of the log of the data dir to go on with.
        ours: LogId,
    },
    /// A survivor holds as much, and has its term and vote.
    #[error(
        "the term and vote of this data dir are lost, and the survivor {} holds as much of the log: recover from that one",
        dir.display()
    )]
    SurvivorSounder {
        /// Its data dir.
        dir: PathBuf,
    },
    /// There is no copy.
    #[error(transparent)]
    Aside(#[from] AsideError),
    /// The node's files can't be read.
    #[error("the data dir can't be recovered from: {0}")]
    Storage(#[from] OpenError),
    /// The disk failed in the middle.
    #[error("{0}; run the same command again once the cause is gone")]
    Disk(#[from] Fatal),
}

impl ApplyError {
    /// The exit code that the contract has for it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            ApplyError::DataDir(
                DataDirError::Locked { .. } | DataDirError::LookedAt { .. } | DataDirError::NoMember { .. },
            ) => 4,
            ApplyError::DataDir(DataDirError::Unusable { .. }) => 1,
            ApplyError::DataDir(_) | ApplyError::Storage(OpenError::UnknownVersion { .. }) => 78,
            ApplyError::Aside(AsideError::Io { .. })
            | ApplyError::Storage(OpenError::Disk(_) | OpenError::Unread { .. })
            | ApplyError::Disk(_) => 1,
            _ => 4,
        }
    }
}

/// Does all the steps, or those that an interrupted attempt has left.
///
/// # Errors
/// [`ApplyError`].
pub(crate) fn apply(order: &Order, runtime: &impl Runtime) -> Result<Applied, ApplyError> {
    let mut dir = when_free(|| DataDir::open_for_recovery(&order.dir))?;
    let identity = member(&dir, &order.dir)?;
    if identity.cluster != order.confirm {
        return Err(ApplyError::OtherCluster { given: order.confirm, found: identity.cluster });
    }
    let aside = place_aside(order, identity.history)?;
    let mut holdings = Holdings::in_directory(&order.dir)?;
    // An earlier attempt may have written them anew. Then the copy tells, which is of before.
    holdings.is_term_lost |=
        dir.recovering().is_some() && Holdings::in_directory(&aside).is_ok_and(|copied| copied.is_term_lost);
    // Without term and vote it can't be started, and what it had acknowledged may be lost: that begins a history, too.
    if dir.recovering().is_none() && is_alone(&holdings, identity.node) && !holdings.is_term_lost {
        return Ok(Applied::AlreadyAlone(identity));
    }
    if let Some(flaw) = holdings.flaw(identity.node) {
        return Err(ApplyError::Flawed(flaw));
    }
    let guards = check_survivors(order, identity, &holdings)?;
    let terms = guards.iter().filter_map(|survivor| Some(survivor.holdings.as_ref().ok()?.term));
    let seen = terms.max().unwrap_or_default();

    let mut not_copied = Vec::new();
    if dir.recovering().is_none() {
        let lost: &[&str] = if holdings.is_term_lost { &TERM_AND_VOTE } else { &[] };
        not_copied = copy_aside(&order.dir, &aside, lost)?;
        dir.begin_recovery(HistoryId(random_id(runtime)))?;
    }
    let aside = Some(aside).filter(|aside| aside.exists());
    let history = dir.recovering().unwrap_or(identity.history);
    let disk = FileDisk::new(dir.path());
    let entry = become_only_voter(disk, identity.node, seen, Options::new(runtime.random()))?;
    let Identity { node, cluster, history: before } = identity;
    dir.identify(data_dir::Identity { node, cluster: Some(cluster), history: Some(history) })?;
    let identity = Identity { history, ..identity };
    let was_term_lost = holdings.is_term_lost;
    Ok(Applied::Recovered { identity, before, entry, aside, was_term_lost, not_copied })
}

fn member(dir: &DataDir, path: &Path) -> Result<Identity, DataDirError> {
    let identity = dir.identity().and_then(|identity| {
        Some(Identity { node: identity.node, cluster: identity.cluster?, history: identity.history? })
    });
    identity.ok_or_else(|| DataDirError::NoMember { path: path.to_owned() })
}

fn is_alone(holdings: &Holdings, node: NodeId) -> bool {
    let members = &holdings.members;
    !members.is_joint() && members.voters.len() == 1 && members.voters.contains(&node)
}

/// Looks at the other survivors. While what it returns lives, no process can take them.
fn check_survivors(order: &Order, own: Identity, held: &Holdings) -> Result<Vec<Survivor>, ApplyError> {
    let (mut survivors, last) = (Vec::new(), held.last());
    for dir in &order.survivors {
        let dir = dir.clone();
        let survivor = match Survivor::at(&dir) {
            Ok(survivor) => survivor,
            Err(error) => return Err(ApplyError::SurvivorUnreadable { dir, reason: error.to_string() }),
        };
        let (ours, theirs) = ((own.cluster, own.history), survivor.belongs_to());
        if survivor.node() == own.node {
            return Err(ApplyError::SameNode { dir, node: own.node });
        }
        if theirs != ours {
            return Err(ApplyError::SurvivorElsewhere { dir, theirs, ours });
        }
        if let Some(user) = survivor.in_use {
            return Err(ApplyError::SurvivorLive { dir, pid: user.pid });
        }
        if let Some(history) = survivor.recovering {
            return Err(ApplyError::SurvivorRecovering { dir, history });
        }
        match &survivor.holdings {
            Ok(holdings) if holdings.last() > last => {
                return Err(ApplyError::SurvivorAhead { dir, theirs: holdings.last(), ours: last });
            }
            Ok(holdings) if holdings.unknown.is_some() => {
                let reason = "the end of its log is lost, so nobody can tell whether it was ahead".to_owned();
                return Err(ApplyError::SurvivorUnreadable { dir, reason });
            }
            Ok(theirs) if held.is_term_lost && theirs.is_as_good(held) && survivor.flaw().is_none() => {
                return Err(ApplyError::SurvivorSounder { dir });
            }
            Ok(_) => survivors.push(survivor),
            Err(error) => return Err(ApplyError::SurvivorUnreadable { dir, reason: error.to_string() }),
        }
    }
    Ok(survivors)
}

/// Where the copy goes: beside the data dir, under its name and that of the history that ends.
fn place_aside(order: &Order, history: HistoryId) -> Result<PathBuf, AsideError> {
    if let Some(place) = &order.aside {
        return Ok(place.clone());
    }
    let whole = order.dir.canonicalize();
    let whole = whole.map_err(|source| AsideError::Io { action: "find", path: order.dir.clone(), source })?;
    Ok(with_suffix(&whole, &format!(".before-recovery-{:.8}", history.to_string())))
}

/// Makes `node` the only voter of the log on `disk`, durably, in a term after that which others have `seen`. Done
/// again, it finds that it was done.
///
/// # Errors
/// [`ApplyError::Flawed`], [`ApplyError::Storage`], [`ApplyError::Disk`].
pub(crate) fn become_only_voter<D: Disk>(
    disk: D,
    node: NodeId,
    seen: Term,
    options: Options,
) -> Result<LogId, ApplyError> {
    write_term_anew(&disk)?;
    let (mut storage, found) = Storage::open(disk, options)?;
    let holdings = Holdings::of(&found);
    if let Some(flaw) = holdings.flaw(node) {
        return Err(ApplyError::Flawed(flaw));
    }
    let last = holdings.last();
    let contact = holdings.members.contacts.get(&node).cloned().unwrap_or_default();
    let alone = Members::founder(node, contact);
    // The entry of a recovery comes together with its term. One that is older has founded the log: what a node that
    // lost its term and vote has acknowledged behind it may be gone, and its ids must not be given anew.
    if holdings.members_at == last && holdings.members == alone && holdings.term == last.term {
        return Ok(last);
    }
    let term = holdings.term.max(last.term).max(seen).next();
    let id = LogId { term, index: last.index.next() };
    let write = Write {
        id: WriteId(1),
        hard: Some(HardState { term, vote: None }),
        commit_hint: Index(0),
        install: None,
        truncate_from: None,
        append: vec![Entry { id, payload: Payload::Members(Box::new(alone)) }],
        compact_to: None,
        repair: Vec::new(),
    };
    storage.perform(vec![Job::Write(write).into()])?;
    Ok(id)
}
