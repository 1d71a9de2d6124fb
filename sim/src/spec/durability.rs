//! Writes, and what a crash leaves of them (`Restart` of the TLA+ specification, which has no disk: there all that must
//! not be forgotten is kept at once).

use quorate_node::raft::trace::{Configured, Slot, Step};

use super::log::Log;
use super::node::{Hard, LostTail, Node, Remains, Write};
use super::{Guard, Specification, must};

impl Specification {
    /// A server starts: for the first time on an empty disk, but for one that founds the cluster; later on what its
    /// disk was told to keep, with as much of the writes under way as the crash has let through.
    pub(super) fn opens(&mut self, id: u128, step: &Step) -> Guard {
        let Step::Opens { term, vote, base, runs, last, snapshot, installs, .. } = step else {
            return Ok(());
        };
        let Step::Opens { commit, damaged, unknown, configurations, .. } = step else { return Ok(()) };
        let (hard, log) = (Hard { term: *term, vote: *vote }, Log::found(*base, runs.clone(), *last));
        let found = Found { hard, log: &log, snapshot: *snapshot, unknown: *unknown, installs: *installs };
        let former = self.nodes.remove(&id);
        let mut node = Node::new(id, hard, log.clone());
        if *snapshot != Slot::default() {
            must(self.history.committed.holds(*snapshot), || "its checkpoint is not committed".to_owned())?;
        }
        match former {
            Some(former) => {
                let remains = former.remains();
                let known = remains.iter().map(|left| left.commit).max().unwrap_or(0).max(snapshot.index);
                must(*commit <= known, || format!("it knew of nothing committed above {known}"))?;
                let found = |left: &Remains| left.may_find(&found);
                let newest = remains.last().map_or(Ok(()), found);
                if newest.is_err() && !remains.iter().any(|left| found(left).is_ok()) {
                    return newest;
                }
                if let Some(newest) = remains.last().filter(|_| *installs) {
                    // The log that the checkpoint replaces is on the disk until that is written.
                    (node.disk, node.writes) = (newest.disk.clone(), newest.writes.clone());
                    // What they said of the term is known: it was found, or is lost.
                    node.writes.iter_mut().for_each(|write| (write.id, write.hard) = (0, None));
                    node.installing = Some(*snapshot);
                }
                node.before = remains;
            }
            None if log.is_empty() => {
                must(hard == Hard::default() && *commit == 0, || "it has never written".to_owned())?;
            }
            None => {
                must(!self.history.founded, || "it starts with a log that nobody gave it".to_owned())?;
                self.found(configurations);
            }
        }
        self.must_know(configurations)?;
        node.configured = self.history.configured(&log);
        let in_force = configurations.last().map(|configured| configured.at).unwrap_or_default();
        must(node.members_at() == in_force, || {
            format!("the last configuration of its log is that of {:?}", node.members_at())
        })?;
        node.commit = *commit;
        node.snapshot = *snapshot;
        let above = damaged.iter().filter(|slot| slot.index > base.index);
        node.lost = above.map(|slot| (slot.index, slot.term)).collect();
        node.tail = unknown.map(|from| LostTail { from, reaches: Vec::new() });
        self.nodes.insert(id, node);
        Ok(())
    }

    /// The founder's own entries are in no other log.
    fn found(&mut self, configurations: &[Configured]) {
        let entries = configurations.iter().map(|known| (known.at, known.configuration.clone()));
        self.history.configurations.extend(entries);
        self.history.founded = true;
    }

    /// A server starts with configurations that were in some log.
    fn must_know(&self, configurations: &[Configured]) -> Guard {
        for Configured { at, configuration } in configurations.iter().filter(|known| known.at.index > 0) {
            let known = self.history.configurations.get(at);
            must(known == Some(configuration), || format!("the configuration of {at:?} is {known:x?}"))?;
        }
        Ok(())
    }
}

/// What a server starts on.
struct Found<'a> {
    hard: Hard,
    log: &'a Log,
    snapshot: Slot,
    unknown: Option<u64>,
    /// The checkpoint takes the place of a log that does not reach it.
    installs: bool,
}

impl Found<'_> {
    /// Whether a disk with this log can be found so: the same slots above what a checkpoint covers, but for an end
    /// whose loss is told.
    fn is_of(&self, log: &Log) -> bool {
        let (end, ours) = (self.log.last().index, log.last().index);
        if self.installs {
            return !log.holds(self.snapshot);
        }
        let is_told = self.unknown.is_some_and(|unknown| unknown <= end + 1);
        let is_whole = ours <= end || is_told;
        is_whole && end <= ours.max(self.snapshot.index) && self.log.difference(log, end.min(ours)).is_none()
    }
}

impl Remains {
    /// Whether a crash at this moment may leave this.
    fn may_find(&self, found: &Found<'_>) -> Guard {
        let (mut log, mut hard) = (self.disk.clone(), self.durable);
        // Terms and votes from the state of the log on that was found: they are written before it.
        let mut hards = vec![];
        let mut is_found = found.is_of(&log);
        if is_found {
            hards.push(hard);
        }
        for write in &self.writes {
            hard = write.hard.unwrap_or(hard);
            let (before, end) = (log.clone(), found.log.last().index);
            write.apply(&mut log);
            if !is_found {
                let mut part = before;
                write.apply_part(&mut part, end.max(write.added.first().unwrap_or(0)));
                is_found = found.is_of(&log) || found.is_of(&part);
            }
            if is_found {
                hards.push(hard);
            }
        }
        must(is_found, || {
            format!("nothing that its disk was told leaves this: {:?}, then {:?}", self.disk, self.writes)
        })?;
        must(hards.contains(&found.hard), || format!("its term and vote were to be among {hards:x?}"))
    }
}

impl Node {
    /// A write has all that changed since the one before, and nothing else.
    pub(super) fn issues(&mut self, step: &Step) -> Guard {
        let Step::Writes { id, term, vote, install, truncate, first, last } = step else { return Ok(()) };
        must(*id == self.issued + 1, || format!("the write before is {}", self.issued))?;
        let hard = term.map(|term| Hard { term, vote: *vote });
        let is_hard = hard.unwrap_or(self.asked_hard) == self.hard;
        must(is_hard, || format!("its term and vote are {:x?}", self.hard))?;
        must(*install == self.installing, || format!("it is to install {:?}", self.installing))?;
        let added = match (first, last) {
            (Some(first), Some(last)) => {
                must(self.log.holds(*first) && self.log.holds(*last), || {
                    let at = |slot: &Slot| self.log.slot(slot.index);
                    format!("its log has {:?} and {:?} there", at(first), at(last))
                })?;
                self.log.part(first.index, last.index)
            }
            _ => Default::default(),
        };
        let write = Write { id: *id, hard, install: *install, truncate: *truncate, added };
        write.apply(&mut self.asked);
        let (log, asked) = (self.log.last(), self.asked.last());
        must(log == asked && self.asked.difference(&self.log, log.index).is_none(), || {
            format!("its log ends at {log:?}; after this write the disk's does at {asked:?}")
        })?;
        (self.issued, self.asked_hard, self.installing) = (*id, self.hard, None);
        self.mending.values_mut().for_each(|by| *by = by.or(Some(*id)));
        self.writes.push_back(write);
        Ok(())
    }

    /// Writes become durable in their order.
    pub(super) fn hears_of_write(&mut self, id: u64) -> Guard {
        must(id <= self.issued, || format!("the last write is {}", self.issued))?;
        while let Some(write) = self.writes.pop_front_if(|write| write.id <= id) {
            write.apply(&mut self.disk);
            self.durable = write.hard.unwrap_or(self.durable);
            self.written = write.id;
        }
        self.mending.retain(|_, by| by.is_none_or(|by| by > id));
        Ok(())
    }
}
