//! What goes wrong between peers, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What goes wrong between peers. Each is harmless to correctness, and worth knowing.
#[derive(Debug, Default)]
pub struct PeerCounters {
    /// Messages dropped because the queue of a link was full, or nobody knew the receiver's address.
    pub dropped_messages: Counter,
    /// Connections that broke or could not be made.
    pub broken_links: Counter,
    /// Incoming connections closed for bytes that are no frame, or a message that was not for this node.
    pub malformed_frames: Counter,
    /// Incoming connections refused in the handshake.
    pub refused_handshakes: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
