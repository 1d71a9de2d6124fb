//! What a node says of itself in detail: how it is, and how long things took since it began.

use quorate_client::{Condition, Detail, Durations};
use quorate_node::View;

use crate::context::Context;
use crate::http::{Need, Operation};
use crate::metrics::{Histogram, SHORT};
use crate::runtime::Runtime;
use crate::tokens::Role;

/// What counts as a read. Others (files, watches) take as long as they are large.
const READS: [Operation; 3] = [Operation::Get, Operation::List, Operation::Lease];

/// The part of the data dir whose syncs writes wait for.
const LOG: &str = "log";

/// What there is to say of this node, which stands like that.
pub(crate) fn detail_of<R: Runtime, N>(context: &Context<R, N>, view: &View) -> Detail {
    let under_way = context.disk.under_way(context.runtime.now()).unwrap_or_default();
    let metrics = &context.metrics;
    let areas = metrics.machine.iter().flat_map(|machine| machine.disk.areas());
    Detail {
        condition: Condition {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            keys: view.keys as u64,
            damaged: view.damaged as u64,
            disk_full: view.short_of_room,
            restoring: view.restoring,
            disk_busy_ms: u64::try_from(under_way.as_millis()).unwrap_or(u64::MAX),
        },
        reads: together(metrics.http.durations(READS.into_iter())),
        writes: together(metrics.http.durations(writes())),
        syncs: together(areas.filter(|(area, _)| *area == LOG).map(|(_, times)| &times.syncs)),
    }
}

/// What only a writer may do is a write.
fn writes() -> impl Iterator<Item = Operation> {
    Operation::ALL.into_iter().filter(|operation| operation.need() == Need::Role(Role::Write))
}

fn together<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Durations {
    let mut counts = vec![0; SHORT.len() + 1];
    for histogram in histograms {
        assert_eq!(histogram.bounds(), SHORT, "all of these have the same buckets");
        counts.iter_mut().zip(histogram.counts()).for_each(|(sum, count)| *sum += count);
    }
    Durations { bounds_us: SHORT.to_vec(), counts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_the_store_is_a_write() {
        let names: Vec<&str> = writes().map(Operation::name).collect();
        let expected = [
            "put",
            "delete",
            "lock",
            "unlock",
            "txn",
            "lease_grant",
            "import",
            "lease_keepalive",
            "lease_revoke",
        ];
        let (mut names, mut expected) = (names, expected.to_vec());
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
}
