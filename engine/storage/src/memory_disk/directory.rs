//! The names in one directory, which are durable apart from what they name.

use std::collections::BTreeMap;

use super::counters::Counters;
use super::inode::InodeNumber;

/// A directory. Subdirectories are directories of their own: their path is the key they are found by.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    /// What readers see.
    pub(super) live: BTreeMap<String, InodeNumber>,
    /// What survives anything.
    pub(super) durable: BTreeMap<String, InodeNumber>,
    /// What changed since the last sync, in that order.
    pub(super) pending: Vec<NameChange>,
}

/// A change of names, which happens as a whole or not at all.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Link { name: String, inode: InodeNumber },
    Rename { from: String, to: String },
    Remove { name: String },
}

impl NameChange {
    /// Makes the change, and says which file lost its name by it.
    fn apply(&self, names: &mut BTreeMap<String, InodeNumber>) -> Option<InodeNumber> {
        match self {
            NameChange::Link { name, inode } => names.insert(name.clone(), *inode),
            NameChange::Rename { from, to } => {
                names.remove(from).and_then(|inode| names.insert(to.clone(), inode))
            }
            NameChange::Remove { name } => names.remove(name),
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        match self {
            NameChange::Link { name, .. } | NameChange::Remove { name } => [Some(name), None],
            NameChange::Rename { from, to } => [Some(from), Some(to)],
        }
        .into_iter()
        .flatten()
    }

    pub(super) fn links(&self, number: InodeNumber) -> bool {
        matches!(self, NameChange::Link { inode, .. } if *inode == number)
    }
}

/// What some names stood for.
#[derive(Clone, Debug)]
pub(super) struct Before(pub(super) Vec<(String, Option<InodeNumber>)>);

impl Directory {
    /// What the names that `change` touches stand for now.
    pub(super) fn before(&self, change: &NameChange) -> Before {
        Before(change.names().map(|name| (name.clone(), self.live.get(name).copied())).collect())
    }

    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// The last change was never made.
    pub(super) fn undo(&mut self, before: Before) {
        for (name, inode) in before.0 {
            match inode {
                Some(inode) => self.live.insert(name, inode),
                None => self.live.remove(&name),
            };
        }
        self.pending.pop().expect("a sync that took the change was undone before it");
    }

    /// Makes these changes durable, which a sync took out of `pending`, and says which files lost their names.
    pub(super) fn persist(&mut self, changes: &[NameChange]) -> Vec<InodeNumber> {
        changes.iter().filter_map(|change| change.apply(&mut self.durable)).collect()
    }

    /// Each pending change becomes durable or not, as `keep` says; then that is all there is.
    pub(super) fn crash(&mut self, keep: &mut impl FnMut() -> bool, counters: &mut Counters) {
        for change in std::mem::take(&mut self.pending) {
            if keep() {
                change.apply(&mut self.durable);
            } else {
                counters.name_changes_lost += 1;
            }
        }
        self.live.clone_from(&self.durable);
    }

    /// Drops a durable name that nothing is to become of, and says which file had it.
    pub(super) fn forget(&mut self, name: &str) -> Option<InodeNumber> {
        let number = self.durable.get(name).copied()?;
        let is_settled = self.live.get(name) == Some(&number)
            && self.pending.iter().all(|change| change.names().all(|other| other != name));
        if !is_settled {
            return None;
        }
        self.live.remove(name);
        self.durable.remove(name)
    }

    pub(super) fn knows(&self, number: InodeNumber) -> bool {
        let mut named = self.live.values().chain(self.durable.values());
        named.any(|inode| *inode == number) || self.pending.iter().any(|change| change.links(number))
    }
}
