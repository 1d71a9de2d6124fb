//! How much may wait for the driver.
//!
//! A driver that lags, because its disk does, must not be buried by what arrives: each connection waits for room before
//! it hands on bulk, reads no more meanwhile, and so slows its peer down.

use std::sync::Arc;

use quorate_node::raft::Envelope;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::PeerEvent;
use super::queue::bulk_weight;

/// How many events may wait.
const EVENTS: usize = 1024;

/// How much bulk may wait, in bytes, from all peers together: what the core has under way for a few. A single larger
/// message takes all of it.
const ROOM_BYTES: u32 = 32 << 20;

/// The driver is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// The way to the driver, shared by all connections.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    events: mpsc::Sender<PeerEvent>,
    room: Arc<Semaphore>,
}

/// What a message takes up until it is dropped; nothing, for one that is not bulk.
#[derive(Debug)]
pub(crate) struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Delivery {
    /// A way, and its end.
    pub(super) fn new() -> (Delivery, mpsc::Receiver<PeerEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        (Delivery { events, room: Arc::new(Semaphore::new(ROOM_BYTES as usize)) }, receiver)
    }

    /// Hands on a message of so many bytes, when there is room.
    pub(super) async fn message(&self, envelope: Envelope, bytes: usize) -> Result<(), Gone> {
        let permit = if bulk_weight(&envelope.message).is_some() {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(ROOM_BYTES);
            Some(Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| Gone)?)
        } else {
            None
        };
        self.event(PeerEvent::Message(envelope, Room { _permit: permit })).await
    }

    /// Hands on anything else.
    pub(super) async fn event(&self, event: PeerEvent) -> Result<(), Gone> {
        self.events.send(event).await.map_err(|_| Gone)
    }

    /// Hands on what may as well be lost: a full channel means a driver that lags.
    pub(super) fn try_event(&self, event: PeerEvent) {
        let _ = self.events.try_send(event);
    }

    /// Ready when the driver is gone.
    pub(super) async fn closed(&self) {
        self.events.closed().await;
    }
}
