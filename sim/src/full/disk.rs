//! Who owns a server's storage.

use std::collections::VecDeque;

use quorate_node::raft::Done;
use quorate_server::StorageEnd;
use quorate_storage::{Job, MemoryDisk, Storage};
use tokio::sync::mpsc::error::TryRecvError;

use super::stage::FullStack;
use crate::observe::Observation;
use crate::plan::Host;

/// What the storage thread does in production: takes everything that waits, performs it, answers. Here it is done at
/// once, and a sleep stands for the time that the disk has charged for it, so that a crash finds work that was begun
/// and not done: the disk itself undoes what would have come later.
pub(super) async fn own_storage(
    stack: FullStack,
    host: Host,
    mut storage: Storage<MemoryDisk>,
    disk: MemoryDisk,
    mut end: StorageEnd,
) {
    let one_at_a_time = stack.plan.knobs.one_job_at_a_time;
    let mut waiting: VecDeque<Job> = VecDeque::new();
    loop {
        if !take_jobs(&mut end, &mut waiting, storage.busy()).await {
            return;
        }
        let count = if one_at_a_time { waiting.len().min(1) } else { waiting.len() };
        let jobs: Vec<Job> = waiting.drain(..count).collect();
        let tends = jobs.iter().any(|job| matches!(job, Job::Tend { .. }));
        disk.begin(stack.clock.now());
        end.health.begin(stack.clock.now());
        let performed = storage.perform(jobs);
        for _ in storage.take_findings() {
            stack.observe(Observation::FoundAtRest { host });
        }
        stack.clock.sleep_until(disk.clock()).await;
        let wrote =
            performed.as_ref().is_ok_and(|dones| dones.iter().any(|done| matches!(done, Done::Written(_))));
        end.health.end(stack.clock.now(), wrote);
        if tends {
            end.health.tended();
        }
        match performed {
            Ok(dones) if dones.is_empty() => {}
            Ok(dones) => {
                if end.dones.send(dones).is_err() {
                    return;
                }
            }
            // As in production: dropping this end tells the driver that the disk failed.
            Err(_) => return,
        }
    }
}

/// Adds all jobs that there are to those that wait; when there is nothing else to do it waits for some. False when no
/// more will come and all is done.
async fn take_jobs(end: &mut StorageEnd, waiting: &mut VecDeque<Job>, busy: bool) -> bool {
    if !busy && waiting.is_empty() {
        match end.jobs.recv().await {
            Some(jobs) => waiting.extend(jobs),
            None => return false,
        }
    }
    loop {
        match end.jobs.try_recv() {
            Ok(jobs) => waiting.extend(jobs),
            Err(TryRecvError::Empty) => return true,
            Err(TryRecvError::Disconnected) => return !waiting.is_empty(),
        }
    }
}
