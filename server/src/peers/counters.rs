//! What goes on between peers, and what goes wrong, counted.

use crate::metrics::Counter;

/// What goes on between peers. What goes wrong is harmless to correctness, and worth knowing.
#[derive(Debug, Default)]
pub struct PeerCounters {
    /// Messages written to links.
    pub sent_messages: Counter,
    /// Bytes written to links, after the handshake.
    pub sent_bytes: Counter,
    /// Messages that arrived whole.
    pub received_messages: Counter,
    /// Bytes that arrived, after the handshake.
    pub received_bytes: Counter,
    /// Connections that were dialed, and whose handshake went well.
    pub connections: Counter,
    /// Messages dropped because the queue of a link was full, or nobody knew the receiver's address.
    pub dropped_messages: Counter,
    /// Connections that broke or could not be made.
    pub broken_links: Counter,
    /// Incoming connections closed for bytes that are no frame, or a message that was not for this node.
    pub malformed_frames: Counter,
    /// Incoming connections refused in the handshake.
    pub refused_handshakes: Counter,
}
