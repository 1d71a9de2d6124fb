//! The disk, and what is on it.

use super::{Row, counter, gauge, histogram};
use crate::metrics::disk::AreaTimes;
use crate::metrics::scrape::Scrape;

fn areas(scrape: &Scrape) -> impl Iterator<Item = (&'static str, &AreaTimes)> {
    scrape.metrics.machine.iter().flat_map(|machine| machine.disk.areas())
}

pub(super) const ROWS: &[Row] = &[
        histogram(
            "quorate_disk_sync_duration_seconds",
            "How long the disk took to make a file or a directory durable (fsync), by the part of the data dir: `log`, \
             with the files that are prepared ahead; `stable` (term and vote); `snaps` (checkpoints).",
            |scrape, to| areas(scrape).for_each(|(area, times)| to.put_for(&[area], &times.syncs)),
        )
        .by(&["area"]),
        counter("quorate_disk_written_bytes_total", "Bytes written, by the same parts.", |scrape, to| {
            areas(scrape).for_each(|(area, times)| to.put_for(&[area], &times.written_bytes));
        })
        .by(&["area"]),
        counter("quorate_disk_read_bytes_total", "Bytes read, by the same parts.", |scrape, to| {
            areas(scrape).for_each(|(area, times)| to.put_for(&[area], &times.read_bytes));
        })
        .by(&["area"]),
        gauge(
            "quorate_disk_busy_seconds",
            "For how long the storage has been at what it does now; 0 when it waits for work.",
            |scrape, to| to.put(scrape.busy.as_secs_f64()),
        ),
        counter(
            "quorate_disk_findings_total",
            "What was found bad at rest: `bad` slots, headers and runs, and what was `mended` at once.",
            |scrape, to| {
                let (bad, mended) = scrape.findings;
                to.put_for(&["bad"], bad);
                to.put_for(&["mended"], mended);
            },
        )
        .by(&["kind"]),
        gauge(
            "quorate_disk_is_full",
            "1 when writes that need space are refused, or will be soon.",
            |scrape, to| to.put(scrape.figures.view.short_of_room),
        ),
        gauge("quorate_disk_free_bytes", "What the data dir's file system has left for this process.", |scrape, to| {
            if let Some(system) = scrape.machine.as_ref().and_then(|machine| machine.file_system) {
                to.put(system.free_bytes);
            }
        }),
        gauge("quorate_disk_size_bytes", "How large the data dir's file system is.", |scrape, to| {
            if let Some(system) = scrape.machine.as_ref().and_then(|machine| machine.file_system) {
                to.put(system.bytes);
            }
        }),
        gauge("quorate_data_bytes", "How large the files in the data dir are, by its parts.", |scrape, to| {
            for (area, bytes) in scrape.machine.iter().flat_map(|machine| &machine.data_bytes) {
                to.put_for(&[area], *bytes);
            }
        })
        .by(&["area"]),
        counter("quorate_checkpoints_total", "Checkpoints taken.", |scrape, to| {
            to.put(&scrape.metrics.node.checkpoints);
        }),
        counter(
            "quorate_checkpoints_lost_total",
            "Checkpoints that could not be written, because one that they build on was damaged; the next has it all.",
            |scrape, to| to.put(&scrape.metrics.node.checkpoints_lost),
        ),
        histogram(
            "quorate_checkpoint_duration_seconds",
            "From when a checkpoint was due to when it was durable. Requests do not wait for it.",
            |scrape, to| to.put(&scrape.metrics.node.checkpoint),
        ),
        gauge("quorate_checkpoint_bytes", "The size of the newest checkpoint; 0 before the first.", |scrape, to| {
            to.put(scrape.metrics.node.checkpoint_bytes.value());
        }),
];
