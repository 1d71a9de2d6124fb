//! Who owns a server's storage, and how long a disk takes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_node::raft::Time;
use quorate_server::{Runtime, StorageEnd};
use quorate_storage::{MemoryDisk, Storage};

use crate::fired::Fired;
use crate::plan::DISK_STALL;
use crate::random::Random;
use crate::runtime::SimRuntime;

/// How fast a host's disk is; shared with whoever breaks it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speed {
    stalled_until: Arc<Mutex<Time>>,
}

impl Speed {
    /// Nothing is finished before `until`.
    pub(crate) fn stall(&self, until: Time) {
        *self.stalled_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn stalled_until(&self) -> Time {
        *self.stalled_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the storage thread does in production: takes everything that waits, performs it, answers. Here a sleep stands
/// for the time it takes, so that a crash finds work that was begun and not done.
pub(crate) async fn own_storage(
    mut storage: Storage<MemoryDisk>,
    mut end: StorageEnd,
    runtime: SimRuntime,
    mut random: Random,
    speed: Speed,
    fired: Fired,
) {
    loop {
        let mut waiting = Vec::new();
        if storage.busy() {
            while let Ok(jobs) = end.jobs.try_recv() {
                waiting.push(jobs);
            }
        } else if end.jobs.recv_many(&mut waiting, usize::MAX).await == 0 {
            return;
        }
        let takes = Duration::from_micros(random.between(50, 2_000));
        let stalled = speed.stalled_until().since(runtime.now());
        if stalled > takes && !waiting.is_empty() {
            fired.note(DISK_STALL);
        }
        runtime.sleep(takes.max(stalled)).await;
        match storage.perform(waiting.into_iter().flatten().collect()) {
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
