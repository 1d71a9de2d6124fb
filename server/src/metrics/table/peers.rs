//! Links between nodes.

use super::{Row, counter};

pub(super) const ROWS: &[Row] = &[
    counter("quorate_peer_sent_messages_total", "Messages sent to peers.", |scrape, to| {
        to.put(&scrape.peers.sent_messages);
    }),
    counter("quorate_peer_sent_bytes_total", "Bytes sent to peers, before TLS.", |scrape, to| {
        to.put(&scrape.peers.sent_bytes);
    }),
    counter("quorate_peer_received_messages_total", "Messages received from peers.", |scrape, to| {
        to.put(&scrape.peers.received_messages);
    }),
    counter("quorate_peer_received_bytes_total", "Bytes received from peers, after TLS.", |scrape, to| {
        to.put(&scrape.peers.received_bytes);
    }),
    counter("quorate_peer_connections_total", "Connections that this node made to peers.", |scrape, to| {
        to.put(&scrape.peers.connections);
    }),
    counter(
        "quorate_peer_broken_links_total",
        "Connections to peers that broke or could not be made.",
        |scrape, to| to.put(&scrape.peers.broken_links),
    ),
    counter(
        "quorate_peer_dropped_messages_total",
        "Messages dropped because the queue of a link was full, or there was no way to the peer. Raft sends them again.",
        |scrape, to| to.put(&scrape.peers.dropped_messages),
    ),
    counter(
        "quorate_peer_malformed_frames_total",
        "Connections closed for what is no frame, or for a message to somebody else.",
        |scrape, to| to.put(&scrape.peers.malformed_frames),
    ),
    counter(
        "quorate_peer_refused_handshakes_total",
        "Connections that this node refused in the handshake.",
        |scrape, to| to.put(&scrape.peers.refused_handshakes),
    ),
];
