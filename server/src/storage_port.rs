//! The line between the driver and whoever owns the storage.
//!
//! In production that is a thread (`real.rs`), under simulation a task: the driver can't tell. Jobs travel in the order
//! issued, all of one turn in one message, so that they wake the other side once and share one sync.

use std::sync::Arc;

use quorate_node::raft::{Done, Entry, Index};
use quorate_storage::Job;
use quorate_storage::backup::Answer;
use quorate_storage::lending::Wanted;

use crate::disk_health::DiskHealth;
use crate::sync::{mpsc, oneshot};

/// The driver's end. Neither channel has a bound of its own: what is outstanding is bounded by the core's windows.
#[derive(Debug)]
pub struct StoragePort {
    /// Where jobs go. Dropped when no more will come: then the storage finishes what it has and ends.
    pub jobs: mpsc::UnboundedSender<Vec<Job>>,
    /// Where answers come from. Closed when the storage has ended: in good order or by a fatal error.
    pub dones: mpsc::UnboundedReceiver<Vec<Done>>,
    /// How the disk is.
    pub health: Arc<DiskHealth>,
    /// How much of what is at rest is read in a second, in bytes, to find what has gone bad.
    pub scrub_bytes_per_second: u64,
}

/// The storage's end.
#[derive(Debug)]
pub struct StorageEnd {
    /// Jobs to perform, in order.
    pub jobs: mpsc::UnboundedReceiver<Vec<Job>>,
    /// Where the answers go.
    pub dones: mpsc::UnboundedSender<Vec<Done>>,
    /// Where to write down how the disk is.
    pub health: Arc<DiskHealth>,
}

/// A line to the storage for those who read checkpoints past the node: backups, and peers. It does not keep the storage
/// from ending. One that has ended drops a job, and with it the answer.
#[derive(Clone, Debug)]
pub struct StorageLine(mpsc::WeakUnboundedSender<Vec<Job>>);

impl StorageLine {
    /// To the storage at the other end of `jobs`.
    pub(crate) fn new(jobs: &mpsc::UnboundedSender<Vec<Job>>) -> StorageLine {
        StorageLine(jobs.downgrade())
    }

    /// Has it do a job.
    pub(crate) fn send(&self, job: Job) {
        if let Some(jobs) = self.0.upgrade() {
            // It may end at the same time.
            let _ = jobs.send(vec![job]);
        }
    }

    /// Has it do a job, and waits for what comes of it; nothing when it does not do it.
    pub(crate) async fn ask<T: Send + 'static>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.send(job(Box::new(move |answer| drop(sender.send(answer)))));
        receiver.await.ok()
    }

    /// Entries of the log from `first` to `last`, as many as `bytes` of payload allow; none when the first is not
    /// there. `None` when the storage has ended.
    pub(crate) async fn entries(&self, first: Index, last: Index, bytes: usize) -> Option<Vec<Entry>> {
        self.ask(|answer| Job::Entries { first, last, bytes, answer }).await
    }

    /// A piece of this node's checkpoints, if it is there; `None` when that can't be said: too many ask, or the storage
    /// has ended.
    pub(crate) async fn lend(&self, wanted: Wanted) -> Option<Option<Vec<u8>>> {
        self.ask(|answer| Job::Lend { wanted, answer }).await
    }
}

/// Both ends, for the disk that `directory` is on.
pub fn storage_channel(directory: &str, scrub_bytes_per_second: u64) -> (StoragePort, StorageEnd) {
    let health = Arc::new(DiskHealth::new(directory));
    let (jobs_sender, jobs) = mpsc::unbounded_channel();
    let (dones, dones_receiver) = mpsc::unbounded_channel();
    let port = StoragePort {
        jobs: jobs_sender,
        dones: dones_receiver,
        health: Arc::clone(&health),
        scrub_bytes_per_second,
    };
    (port, StorageEnd { jobs, dones, health })
}
