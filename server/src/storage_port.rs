//! The line between the driver and whoever owns the storage.
//!
//! In production that is a thread (`real.rs`), under simulation a task: the driver can't tell. Jobs travel in the order
//! issued, all of one turn in one message, so that they wake the other side once and share one sync.

use quorate_node::raft::Done;
use quorate_storage::Job;
use tokio::sync::mpsc;

/// The driver's end. Neither channel has a bound of its own: what is outstanding is bounded by the core's windows.
#[derive(Debug)]
pub struct StoragePort {
    /// Where jobs go. Dropped when no more will come: then the storage finishes what it has and ends.
    pub jobs: mpsc::UnboundedSender<Vec<Job>>,
    /// Where answers come from. Closed when the storage has ended: in good order or by a fatal error.
    pub dones: mpsc::UnboundedReceiver<Vec<Done>>,
}

/// The storage's end.
#[derive(Debug)]
pub struct StorageEnd {
    /// Jobs to perform, in order.
    pub jobs: mpsc::UnboundedReceiver<Vec<Job>>,
    /// Where the answers go.
    pub dones: mpsc::UnboundedSender<Vec<Done>>,
}

/// Both ends.
pub fn storage_channel() -> (StoragePort, StorageEnd) {
    let (jobs_sender, jobs) = mpsc::unbounded_channel();
    let (dones, dones_receiver) = mpsc::unbounded_channel();
    (StoragePort { jobs: jobs_sender, dones: dones_receiver }, StorageEnd { jobs, dones })
}
