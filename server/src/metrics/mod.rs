//! What this node tells a monitoring system at `GET /metrics`: counted and measured where it happens, read at a scrape.
//!
//! Every metric is a row of a table, which says its name, its type, its labels, what it means, and where its values
//! come from. The answer is made from the table, and so is `docs/METRICS.md`.
//!
//! | module | what it holds |
//! |---|---|
//! | `cells` | counters, levels and histograms: relaxed atomics |
//! | `http` | requests, counted |
//! | `node` | the node, watched by its driver |
//! | `disk` | a disk that is timed |
//! | `host` | the process and the machine that it runs on |
//! | `scrape` | all that one scrape reads |
//! | `table` | the table |
//! | `exposition` | the text |

mod cells;
mod disk;
mod exposition;
mod host;
mod http;
mod node;
#[cfg(test)]
mod page;
mod scrape;
mod table;

pub use cells::Counter;
pub(crate) use cells::{Histogram, SHORT};
pub(crate) use disk::{DiskTimes, TimedDisk};
pub(crate) use exposition::text;
pub(crate) use host::Machine;
pub(crate) use http::PassedOn;
pub(crate) use node::{Figures, NodeWatch};
pub(crate) use scrape::Scrape;
#[cfg(test)]
pub(crate) use table::rows;

use http::HttpMetrics;
use node::NodeMetrics;
use quorate_node::raft::SnapshotMeta;

/// The content type of the text.
pub(crate) const CONTENT_TYPE: &str = prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// What a server counts and measures.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) http: HttpMetrics,
    pub(crate) node: NodeMetrics,
    /// What it runs on.
    pub(crate) machine: Option<Machine>,
}

impl Metrics {
    /// Of a server that runs on this.
    pub(crate) fn on(machine: Machine) -> Metrics {
        Metrics { machine: Some(machine), ..Metrics::default() }
    }

    /// The node starts with this checkpoint.
    pub(crate) fn starts_with(&self, checkpoint: Option<&SnapshotMeta>) {
        self.node.checkpoint_bytes.set(checkpoint.map_or(0, |meta| meta.bytes));
    }
}
