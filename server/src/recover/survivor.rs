//! What one data dir holds.

use std::path::{Path, PathBuf};

use quorate_node::raft::{Found, Index, LogId, Members, NodeId, Payload, Term, TermRuns};
use quorate_node::wire::{ClusterId, HistoryId};
use quorate_storage::data_dir::DataDirError;
use quorate_storage::{Disk, FileDisk, InUse, Look, OpenError, Options, Overlay, Storage, write_term_anew};

use crate::context::Identity;

/// What the log and the checkpoints of a node hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// The term the node was in; when that is lost, one above every term in its log.
    pub(crate) term: Term,
    /// Term and vote are lost: it may have voted in later terms, and acknowledged more than its log shows.
    pub(crate) is_term_lost: bool,
    /// Up to here it knew the log to be committed, at least.
    pub(crate) commit: Index,
    /// The last slot that its newest whole checkpoint covers.
    pub(crate) checkpoint: Option<LogId>,
    /// The term of every slot of its log.
    pub(crate) terms: TermRuns,
    /// The configuration in force at the end of its log, and the entry that set it.
    pub(crate) members: Members,
    pub(crate) members_at: LogId,
    /// Every configuration that may be in force: that at the commit index, and all after it.
    pub(crate) in_force: Vec<Members>,
    /// Slots that no checkpoint covers and whose payload is lost.
    pub(crate) damaged: Vec<LogId>,
    /// Where its log ends as far as anybody can tell, although it was longer.
    pub(crate) unknown: Option<Index>,
}

impl Holdings {
    pub(crate) fn of(found: &Found) -> Holdings {
        let checkpoint = found.snapshot.as_ref();
        let covered = checkpoint.map_or(Index::default(), |meta| meta.last.index);
        let in_log = found.members.iter().filter_map(|entry| match &entry.payload {
            Payload::Members(members) => Some((entry.id, Members::clone(members))),
            _ => None,
        });
        let in_checkpoint = checkpoint.map(|meta| (meta.members_at, meta.members.clone()));
        let mut known: Vec<(LogId, Members)> = in_checkpoint.into_iter().chain(in_log).collect();
        known.sort_by_key(|(id, _)| *id);
        let (members_at, members) = known.last().cloned().unwrap_or_default();
        let committed = known.partition_point(|(id, _)| id.index <= found.commit_hint);
        let in_force = known.split_off(committed.saturating_sub(1));
        Holdings {
            term: found.hard.term,
            is_term_lost: false,
            commit: found.commit_hint,
            checkpoint: checkpoint.map(|meta| meta.last),
            terms: found.terms.clone(),
            members,
            members_at,
            in_force: in_force.into_iter().map(|(_, members)| members).collect(),
            damaged: found.damaged.iter().copied().filter(|id| id.index > covered).collect(),
            unknown: found.unknown,
        }
    }

    /// What a node would find that is started on this disk, without starting it or changing anything; when its term and
    /// vote are lost, what a recovery would find.
    pub(crate) fn on<D: Disk>(disk: D) -> Result<Holdings, OpenError> {
        let overlay = Overlay::new(disk);
        let is_term_lost = write_term_anew(&overlay)?.is_some();
        // The seed is for segments that only the overlay will have.
        let (_, found) = Storage::open(overlay, Options::new(0))?;
        Ok(Holdings { is_term_lost, ..Holdings::of(&found) })
    }

    pub(crate) fn in_directory(directory: &Path) -> Result<Holdings, OpenError> {
        Holdings::on(FileDisk::read_only(directory))
    }

    /// The end of the log.
    pub(crate) fn last(&self) -> LogId {
        self.terms.last()
    }

    /// Whether it shows as much of the log as another that has lost its term and vote, and has its own.
    pub(crate) fn is_as_good(&self, lost: &Holdings) -> bool {
        !self.is_term_lost && self.last() == lost.last()
    }

    /// Why `node`, which holds this, can't go on alone; nothing when it can.
    pub(crate) fn flaw(&self, node: NodeId) -> Option<String> {
        if let Some(from) = self.unknown {
            return Some(format!("the end of its log is lost: it had acknowledged entries from {from} on"));
        }
        if let Some(first) = self.damaged.first() {
            let count = self.damaged.len();
            return Some(format!(
                "{count} of its entries that no checkpoint covers are damaged, the first is {first}: alone it \
                 could never get beyond that one"
            ));
        }
        if !self.members.contains(node) {
            return Some(
                "it is no member of the configuration that it holds: what it has may be old".to_owned(),
            );
        }
        None
    }
}

/// A data dir that is left of a member.
#[derive(Debug)]
pub(crate) struct Survivor {
    pub(crate) dir: PathBuf,
    pub(crate) identity: Identity,
    /// The history that an interrupted recovery was to begin.
    pub(crate) recovering: Option<HistoryId>,
    pub(crate) in_use: Option<InUse>,
    /// What it holds, or why that can't be told.
    pub(crate) holdings: Result<Holdings, OpenError>,
    look: Option<Look>,
}

impl Survivor {
    /// Looks at a data dir. No process can take it until [`Survivor::release`].
    pub(crate) fn at(dir: &Path) -> Result<Survivor, DataDirError> {
        let look = Look::at(dir)?;
        let (Some(cluster), Some(history)) = (look.identity.cluster, look.identity.history) else {
            return Err(DataDirError::NoMember { path: dir.to_owned() });
        };
        let identity = Identity { node: look.identity.node, cluster, history };
        Ok(Survivor {
            dir: dir.to_owned(),
            identity,
            recovering: look.recovering,
            in_use: look.in_use,
            holdings: Holdings::in_directory(dir),
            look: Some(look),
        })
    }

    /// Lets a process take the directory again.
    pub(crate) fn release(&mut self) {
        self.look = None;
    }

    pub(crate) fn node(&self) -> NodeId {
        self.identity.node
    }

    pub(crate) fn belongs_to(&self) -> (ClusterId, HistoryId) {
        (self.identity.cluster, self.identity.history)
    }

    /// Whether what it holds is all that it ever acknowledged, and of the history that it says.
    pub(crate) fn holds_its_log(&self) -> bool {
        self.can_be_named() && !self.is_term_lost()
    }

    /// Whether it can be named beside another one that is gone on with.
    pub(crate) fn can_be_named(&self) -> bool {
        let has_end = self.holdings.as_ref().is_ok_and(|holdings| holdings.unknown.is_none());
        has_end && self.recovering.is_none()
    }

    /// Whether its term and vote are lost.
    pub(crate) fn is_term_lost(&self) -> bool {
        self.holdings.as_ref().is_ok_and(|holdings| holdings.is_term_lost)
    }

    /// Why it can't be recovered from; nothing when it can.
    pub(crate) fn flaw(&self) -> Option<String> {
        match &self.holdings {
            Ok(holdings) => holdings.flaw(self.node()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Why what it holds can't be told at all, though that may be mended: the system refuses to read it.
    pub(crate) fn unread(&self) -> Option<&OpenError> {
        self.holdings
            .as_ref()
            .err()
            .filter(|error| matches!(error, OpenError::Disk(_) | OpenError::Unread { .. }))
    }

    /// Its name for people, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        let contact = self.holdings.as_ref().ok()?.members.contacts.get(&self.node())?;
        (!contact.name.is_empty()).then_some(contact.name.as_str())
    }
}
