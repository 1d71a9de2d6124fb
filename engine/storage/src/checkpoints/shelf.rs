//! Which checkpoints are kept, what a start finds, and what nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};

use quorate_raft::LogId;
use quorate_wire::checkpoint::RunRef;

use super::DIRECTORY;
use super::aside;
use super::file::{self, Described};
use super::reader::damaged_run;
use super::run;
use crate::disk::Disk;
use crate::error::Fatal;

/// The manifests on the disk.
pub(super) struct Shelf {
    kept: BTreeMap<LogId, Described>,
    keep: usize,
}

impl Shelf {
    /// Finds the newest checkpoint that is whole. Newer ones that aren't get out of the way under another name, and so
    /// do their damaged runs; what is unfinished and what no manifest names is removed.
    pub(super) fn open<D: Disk>(disk: &D, keep: usize) -> Result<Shelf, Fatal> {
        let names = disk.list(DIRECTORY).map_err(Fatal::new("list", DIRECTORY))?;
        for name in names.iter().filter(|name| name.ends_with(".tmp")) {
            let path = format!("{DIRECTORY}/{name}");
            disk.remove(&path).map_err(Fatal::new("remove", path))?;
        }
        let mut kept = BTreeMap::new();
        for name in names.iter().rev().filter(|name| name.ends_with(file::SUFFIX)) {
            let path = format!("{DIRECTORY}/{name}");
            let found = Described::read(disk, &path);
            // Older ones are only looked at when they are needed.
            let damaged =
                if kept.is_empty() { found.as_ref().and_then(|it| damaged_run(disk, it)) } else { None };
            if let (Some(described), Some(number)) = (&found, damaged) {
                let run = &described.manifest.runs[number];
                // Gone when a newer checkpoint named it too.
                if disk.open(&run::path(run)).is_ok() {
                    put_aside(disk, &run::path(run))?;
                }
            }
            match found.filter(|_| damaged.is_none()) {
                Some(described) => drop(kept.insert(described.meta.last, described)),
                None => put_aside(disk, &path)?,
            }
        }
        let mut shelf = Shelf { kept, keep };
        // What is sound of a damaged checkpoint is what it can be mended with; whether it has to be, the log decides.
        let is_any_aside = disk.list(DIRECTORY).map_err(Fatal::new("list", DIRECTORY))?;
        if !is_any_aside.iter().any(|name| name.ends_with(aside::SUFFIX)) {
            shelf.collect(disk, &[])?;
        }
        disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        Ok(shelf)
    }

    /// The newest checkpoint.
    pub(super) fn newest(&self) -> Option<&Described> {
        self.kept.last_key_value().map(|(_, described)| described)
    }

    /// The last slots of all that are kept.
    pub(super) fn lasts(&self) -> impl Iterator<Item = LogId> {
        self.kept.keys().copied()
    }

    /// The checkpoint that ends there.
    pub(super) fn get(&self, last: LogId) -> Option<&Described> {
        self.kept.get(&last)
    }

    /// The runs that they name, each once.
    pub(super) fn runs(&self) -> impl Iterator<Item = &RunRef> {
        let named = self.kept.values().flat_map(|described| &described.manifest.runs);
        named.collect::<BTreeSet<_>>().into_iter()
    }

    /// Drops these checkpoints, but never the newest: whatever it lacks, it is what there is.
    pub(super) fn drop_older<D: Disk>(
        &mut self,
        disk: &D,
        which: impl Fn(&Described) -> bool,
    ) -> Result<(), Fatal> {
        let newest = self.newest().map(|described| described.meta.last);
        let older = self.kept.extract_if(.., |last, described| Some(*last) != newest && which(described));
        for (last, _) in older {
            let path = file::path(last);
            disk.remove(&path).map_err(Fatal::new("remove", path))?;
        }
        Ok(())
    }

    /// Removes what was put aside: there is a checkpoint now that makes up for it.
    pub(super) fn remove_aside<D: Disk>(&self, disk: &D) -> Result<(), Fatal> {
        let names = disk.list(DIRECTORY).map_err(Fatal::new("list", DIRECTORY))?;
        for name in names.iter().filter(|name| name.ends_with(aside::SUFFIX)) {
            let path = format!("{DIRECTORY}/{name}");
            disk.remove(&path).map_err(Fatal::new("remove", path))?;
        }
        Ok(())
    }

    /// All that are kept, the oldest first.
    pub(super) fn kept(&self) -> impl DoubleEndedIterator<Item = &Described> {
        self.kept.values()
    }

    /// Whether the checkpoint that ends there is kept.
    pub(super) fn holds(&self, last: LogId) -> bool {
        self.kept.contains_key(&last)
    }

    /// The newest checkpoint that builds on that boundary.
    pub(super) fn with_boundary(&self, boundary: LogId) -> Option<&Described> {
        self.kept.values().rev().find(|described| described.boundary() == boundary)
    }

    /// Takes a checkpoint that is durable.
    pub(super) fn add(&mut self, described: Described) {
        self.kept.insert(described.meta.last, described);
    }

    /// Drops the oldest checkpoints, and the runs that neither those that are kept nor `pinned` name.
    pub(super) fn collect<D: Disk>(&mut self, disk: &D, pinned: &[RunRef]) -> Result<(), Fatal> {
        let mut removed = false;
        let mut remove = |path: String| {
            removed = true;
            disk.remove(&path).map_err(Fatal::new("remove", path))
        };
        while self.kept.len() > self.keep {
            let Some((last, _)) = self.kept.pop_first() else { break };
            remove(file::path(last))?;
        }
        let kept = self.kept.values().flat_map(|described| &described.manifest.runs);
        let needed: BTreeSet<String> = kept.chain(pinned).map(run::file_name).collect();
        for name in disk.list(DIRECTORY).map_err(Fatal::new("list", DIRECTORY))? {
            if name.ends_with(run::SUFFIX) && !needed.contains(&name) {
                removed = true;
                let path = format!("{DIRECTORY}/{name}");
                disk.discard(&path).map_err(Fatal::new("remove", path))?;
            }
        }
        if removed {
            disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        }
        Ok(())
    }
}

fn put_aside<D: Disk>(disk: &D, path: &str) -> Result<(), Fatal> {
    disk.rename(path, &aside::path(path)).map_err(Fatal::new("rename", path))
}
