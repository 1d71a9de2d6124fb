//! Who this is, and what it is busy with.

use super::{Row, gauge, histogram};

pub(super) const ROWS: &[Row] = &[
    gauge("quorate_build_info", "Always 1: the release that runs.", |_, to| {
        to.put_for(&[env!("CARGO_PKG_VERSION")], 1_u64);
    })
    .by(&["version"]),
    gauge(
        "quorate_node_info",
        "Always 1: who this node is, by the ids that other metrics name.",
        |scrape, to| {
            let identity = scrape.identity;
            let ids = [identity.node.to_string(), identity.cluster.to_string(), identity.history.to_string()];
            to.put_for(&[&ids[0], &scrape.name, &ids[1], &ids[2]], 1_u64);
        },
    )
    .by(&["node", "name", "cluster", "history"]),
    gauge("quorate_node_requests_waiting", "Requests that wait for the node's reply.", |scrape, to| {
        to.put(scrape.figures.waiting);
    }),
    histogram(
        "quorate_node_turn_duration_seconds",
        "How long the one task that owns the node was at work before it looked for more. When turns take long, the \
             processor is short.",
        |scrape, to| to.put(&scrape.metrics.node.turns),
    ),
    gauge(
        "quorate_node_recorder_bytes",
        "What the flight recorder holds of the latest inputs.",
        |scrape, to| to.put(scrape.figures.recorder_bytes),
    ),
];
