//! What was reported as durable is found again after a restart, or its loss is (FAST'17, "Redundancy Does Not Imply
//! Fault Tolerance": silent loss is what kills clusters). Damage is found only where a disk was hurt.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_node::raft::{Index, LogId};

use super::{Checker, Evidence};
use crate::identity::machine_of;
use crate::observe::{Ended, FoundLog, LogWrite, Observation};
use crate::plan::{Fault, Host, Plan};

/// Compares what is found with what was durable.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// The hosts whose disks the plan hurts.
    hurt: BTreeSet<Host>,
    /// Those whose disks refuse something: hurt ones may, and full ones.
    refusing: BTreeSet<Host>,
    /// The servers whose term and vote are lost.
    forgot: BTreeSet<Host>,
    /// The writes under way that drop slots: what they put in their place may be there though nobody was told.
    dropping: BTreeMap<Host, VecDeque<Dropping>>,
}

/// A write that drops slots.
#[derive(Debug)]
struct Dropping {
    write: u64,
    dropped: Dropped,
}

#[derive(Debug)]
enum Dropped {
    /// Those from here on, in whose place it puts others; or none, when a damaged slot is given up.
    From { first: Index, end: Index },
    /// All: a snapshot up to here takes the place of the log.
    Under(Index),
}

impl Dropping {
    fn of(write: &LogWrite) -> Option<Dropping> {
        let installed = write.install.map(|snapshot| Dropped::Under(snapshot.index));
        let truncated = write.truncate_from.map(|first| Dropped::From {
            first,
            end: write.append.first().map_or(first.previous(), |(id, _)| id.index),
        });
        let dropped = installed.or(truncated)?;
        Some(Dropping { write: write.id, dropped })
    }

    /// Whether the slot at `index` may be gone from a log that ends at `end`, of which a snapshot covers what is up to
    /// `covered`. A write takes effect as a whole: where it dropped slots, what it put there instead is found.
    fn explains(&self, index: Index, covered: Index, end: Index) -> bool {
        match self.dropped {
            Dropped::From { first, end: left } => first <= index && left <= end,
            Dropped::Under(snapshot) => snapshot <= covered,
        }
    }
}

impl Recovery {
    pub(crate) fn new(plan: &Plan) -> Self {
        let hurts = |fault: &Fault| {
            matches!(
                fault,
                Fault::Rot { .. }
                    | Fault::ReadError { .. }
                    | Fault::MisdirectedRead { .. }
                    | Fault::MisdirectedWrite { .. }
                    | Fault::LoseDisk { .. }
                    | Fault::LoseTermAndVote { .. }
            )
        };
        let refuses = |fault: &Fault| {
            use Fault::{FullDisk, ShortWrite, SyncError, WriteError};
            hurts(fault)
                || matches!(fault, FullDisk { .. } | ShortWrite { .. } | SyncError { .. } | WriteError { .. })
        };
        let struck = |by: &dyn Fn(&Fault) -> bool| {
            let faults = plan.faults.iter().map(|timed| &timed.fault);
            faults.filter(|fault| by(fault)).filter_map(Fault::host).collect()
        };
        Recovery {
            hurt: struck(&hurts),
            refusing: struck(&refuses),
            forgot: BTreeSet::new(),
            dropping: BTreeMap::new(),
        }
    }

    fn check(&mut self, host: Host, found: &FoundLog, evidence: &Evidence<'_>) -> Result<(), String> {
        let dropping = self.dropping.remove(&host).unwrap_or_default();
        let Some(log) = evidence.ledger.host(host) else { return Ok(()) };
        let hurt = self.hurt.contains(&machine_of(host));
        if !hurt && let Some(slot) = found.damaged.first() {
            return Err(format!("host {host} found slot {slot} damaged; nothing has hurt its disk"));
        }
        if !hurt && let Some(index) = found.unknown {
            return Err(format!(
                "host {host} found the slots from {index} on lost; nothing has hurt its disk"
            ));
        }
        let (covered, end) = (found.base.index.max(found.snapshot.index), log.durable.last());
        for (id, _) in log.before.slots().filter(|(id, _)| id.index > covered) {
            let told = found.unknown.is_some_and(|unknown| id.index >= unknown);
            let replaced = || dropping.iter().any(|dropping| dropping.explains(id.index, covered, end));
            if !log.durable.covers(id) && !told && !replaced() {
                return Err(format!(
                    "host {host} had slot {id} durably before it ended; now its log ends at {end} without it"
                ));
            }
        }
        Ok(())
    }
}

fn summary(found: Option<&FoundLog>) -> String {
    let Some(found) = found else { return "nothing to start from".to_owned() };
    let (end, unknown) =
        (found.last(), found.unknown.map_or("nothing".to_owned(), |index| index.to_string()));
    let damaged: Vec<String> = found.damaged.iter().map(LogId::to_string).collect();
    format!("a log that ends at {end}, [{}] damaged, lost from {unknown} on", damaged.join(" "))
}

impl Checker for Recovery {
    fn name(&self) -> &'static str {
        "recovery"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Forgot { host } => {
                self.forgot.insert(*host);
                Ok(())
            }
            Observation::Started { host, .. } if self.forgot.contains(host) => Err(format!(
                "host {host} starts, though its term and vote are lost: it can't know whom it voted for"
            )),
            // A record names its own place, so that a drive that misses does no harm but where it hits.
            Observation::Astray { host, with_stray, with_garbage } if with_stray != with_garbage => {
                let [with_stray, with_garbage] =
                    [with_stray, with_garbage].map(|found| summary(found.as_ref()));
                Err(format!(
                    "host {host} believes bytes that belong elsewhere: with them it would find {with_stray}, \
                     with garbage there {with_garbage}"
                ))
            }
            Observation::Started { host, found } => self.check(*host, found, evidence),
            Observation::Writes { host, write } => {
                self.dropping.entry(*host).or_default().extend(Dropping::of(write));
                Ok(())
            }
            Observation::Durable { host, write } => {
                let dropping = self.dropping.entry(*host).or_default();
                while dropping.pop_front_if(|dropping| dropping.write <= *write).is_some() {}
                Ok(())
            }
            Observation::Ended { host, why: Ended::Refused(why) }
                if !self.hurt.contains(&machine_of(*host)) =>
            {
                Err(format!("host {host} will not start, though nothing has hurt its disk: {why}"))
            }
            Observation::Ended { host, why: Ended::DiskFailed }
                if !self.refusing.contains(&machine_of(*host)) =>
            {
                Err(format!("host {host} ends because its disk failed, and its disk has refused nothing"))
            }
            _ => Ok(()),
        }
    }
}
