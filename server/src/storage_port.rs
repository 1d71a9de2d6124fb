//! The line between the driver and whoever owns the storage.
//!
//! In production that is a thread (`real.rs`), under simulation a task: the driver can't tell. Jobs travel in the order
//! issued, all of one turn in one message, so that they wake the other side once and share one sync.

use std::sync::Arc;

use quorate_node::raft::Done;
use quorate_storage::Job;
use tokio::sync::mpsc;

use crate::disk_health::DiskHealth;

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
