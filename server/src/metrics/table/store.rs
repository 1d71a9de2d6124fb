//! What is stored, and who watches it.

use super::{Row, counter, gauge};

pub(super) const ROWS: &[Row] = &[
    gauge("quorate_store_revision", "The store's revision on this node.", |scrape, to| {
        to.put(scrape.figures.view.revision.0);
    }),
    gauge("quorate_store_oldest_revision", "The oldest revision that can be read.", |scrape, to| {
        to.put(scrape.figures.oldest_revision);
    }),
    gauge("quorate_store_keys", "Keys that are there.", |scrape, to| to.put(scrape.figures.view.keys)),
    gauge("quorate_store_live_bytes", "Keys and values that are there.", |scrape, to| {
        to.put(scrape.figures.live_bytes);
    }),
    gauge("quorate_store_history_bytes", "What the past takes that can still be read.", |scrape, to| {
        to.put(scrape.figures.history_bytes);
    }),
    gauge("quorate_store_leases", "Leases that live.", |scrape, to| to.put(scrape.figures.leases)),
    gauge(
        "quorate_store_idempotency_keys",
        "Answers that are kept for requests that are repeated.",
        |scrape, to| to.put(scrape.figures.answers),
    ),
    gauge(
        "quorate_store_restoring",
        "1 while the store is being restored from a checkpoint.",
        |scrape, to| to.put(scrape.figures.view.restoring),
    ),
    gauge("quorate_watchers", "Watches that are open at this node, dashboards included.", |scrape, to| {
        to.put(scrape.watches.watchers);
    }),
    gauge(
        "quorate_watchers_behind",
        "Those of them that read the past: they asked for it, or did not take events as fast as they came.",
        |scrape, to| to.put(scrape.watches.behind),
    ),
    gauge("quorate_watch_events_queued", "Events that wait for their watchers.", |scrape, to| {
        to.put(scrape.watches.queued);
    }),
    counter("quorate_watch_events_total", "Events sent to watchers.", |scrape, to| {
        to.put(scrape.watches.delivered);
    }),
    counter("quorate_watch_overflows_total", "How often a watcher's queue was full.", |scrape, to| {
        to.put(scrape.watches.overflows);
    }),
    counter("quorate_watch_resets_total", "How often a watcher was told to begin anew.", |scrape, to| {
        to.put(scrape.watches.resets);
    }),
];
