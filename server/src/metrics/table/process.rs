//! The process, under the names that all programs give these.

use super::{Row, counter, gauge};

pub(super) const ROWS: &[Row] = &[
    gauge("process_start_time_seconds", "When the process began, in seconds since 1970.", |scrape, to| {
        if let Some(machine) = &scrape.machine {
            to.put(machine.began_seconds);
        }
    }),
    counter("process_cpu_seconds_total", "Processor time that the process has used.", |scrape, to| {
        if let Some(machine) = &scrape.machine {
            to.put(machine.cpu_seconds);
        }
    }),
    gauge(
        "process_resident_memory_bytes",
        "Memory that the process has in use. Linux alone.",
        |scrape, to| {
            if let Some(bytes) = scrape.machine.as_ref().and_then(|machine| machine.resident_bytes) {
                to.put(bytes);
            }
        },
    ),
    gauge("process_open_fds", "Files and sockets that the process has open. Linux alone.", |scrape, to| {
        if let Some(files) = scrape.machine.as_ref().and_then(|machine| machine.open_files) {
            to.put(files);
        }
    }),
    gauge("process_max_fds", "How many files and sockets it may have open.", |scrape, to| {
        if let Some(files) = scrape.machine.as_ref().and_then(|machine| machine.most_files) {
            to.put(files);
        }
    }),
];
