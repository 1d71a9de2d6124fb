//! What the thread does that owns the storage.
//!
//! It shares nothing with the driver but the line between them (`storage_port.rs`) and what is known of the disk
//! (`disk_health.rs`). What the driver learns from an answer is true by then: the work is over, its time is noted, and
//! so is what was found. `server/threads` looks at the orders in which the two may meet.

use std::time::Duration;

use quorate_node::raft::{Done, Time};
use quorate_storage::{Disk, Job, Storage};
use tracing::error;

use crate::log_lines;
use crate::storage_port::StorageEnd;
use crate::sync::mpsc;

/// The time that passes for the storage.
pub(crate) trait Clock {
    /// Now.
    fn time(&self) -> Time;

    /// Rests for a moment: far less than a write takes.
    fn nap(&self);
}

/// After a slice of work that nobody asked for the storage rests as long as that took, but never longer.
const LONGEST_REST: Duration = Duration::from_millis(20);

/// When nobody will wait for it either, the rest is so many times as long. The nodes of a cluster merge at about the
/// same time: where several share processors or a disk, a third of each one's time is most of what there is.
const LEISURE: u32 = 4;

/// Takes *everything* that waits, performs it with one sync, and answers in one message: what arrives during a sync
/// shares the next one. That is group commit.
pub(crate) fn run_storage<D: Disk>(mut storage: Storage<D>, mut end: StorageEnd, clock: &impl Clock) {
    let mut waiting = Vec::new();
    // How long the last call took, if nobody asked for it.
    let mut worked = Duration::ZERO;
    loop {
        if storage.busy() {
            let times = if storage.is_pressed() { 1 } else { LEISURE };
            let until = clock.time() + worked.min(LONGEST_REST) * times;
            if !take_jobs(&mut end.jobs, &mut waiting, clock, until) {
                return;
            }
        } else if end.jobs.blocking_recv_many(&mut waiting, usize::MAX) == 0 {
            return;
        }
        let jobs: Vec<Job> = waiting.drain(..).flatten().collect();
        let tends = jobs.iter().any(|job| matches!(job, Job::Tend { .. }));
        let (began, idle) = (clock.time(), jobs.is_empty());
        end.health.begin(began);
        let performed = storage.perform(jobs);
        let wrote =
            performed.as_ref().is_ok_and(|dones| dones.iter().any(|done| matches!(done, Done::Written(_))));
        end.health.end(clock.time(), wrote);
        worked = if idle { clock.time().since(began) } else { Duration::ZERO };
        if tends {
            end.health.tended();
        }
        for finding in storage.take_findings() {
            end.health.note(&finding);
            log_lines::finding(&finding);
        }
        match performed {
            Ok(dones) if dones.is_empty() => {}
            Ok(dones) => {
                if end.dones.send(dones).is_err() {
                    return;
                }
            }
            Err(fatal) => {
                // Dropping this end tells the driver. What was pending stays unanswered: it is unknown, not failed.
                error!(%fatal, "the disk failed; this node has to stop");
                return;
            }
        }
    }
}

/// Takes the jobs that wait. With none it rests, until then at most: a checkpoint is written in slices, and must not
/// wait for new jobs, but whoever comes should mostly find the storage, the disk and the processor free. False when no
/// more will come.
fn take_jobs(
    jobs: &mut mpsc::UnboundedReceiver<Vec<Job>>,
    waiting: &mut Vec<Vec<Job>>,
    clock: &impl Clock,
    until: Time,
) -> bool {
    loop {
        match jobs.try_recv() {
            Ok(taken) => waiting.push(taken),
            Err(mpsc::error::TryRecvError::Disconnected) => return !waiting.is_empty(),
            Err(mpsc::error::TryRecvError::Empty) if waiting.is_empty() && clock.time() < until => {
                clock.nap();
            }
            Err(mpsc::error::TryRecvError::Empty) => return true,
        }
    }
}
