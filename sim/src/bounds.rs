//! How long things may take when nothing breaks any more, and who asks then.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::history::Operation;
use crate::plan::{Host, Plan};
use crate::source::Wish;

/// The client that shows that a healed core takes writes and serves reads.
pub(crate) const PROBER: u8 = 91;

/// The client that reads everything in the end.
pub(crate) const SCANNER: u8 = 92;

/// The client that writes once more when everything has been read, for those who watch.
pub(crate) const LAST_WRITER: u8 = 94;

/// The operator that has the plan's orders carried out.
pub(crate) const OPERATOR: u8 = 93;

/// How long the operator tries to have an order carried out.
pub(crate) const ORDER_PATIENCE: Duration = Duration::from_secs(6);

/// How many election timeouts a cluster may take to form: each server joins, catches up and is promoted in turn.
const BOOT_TIMEOUTS: u32 = 60;

/// How many election timeouts a healed core may take to a first write and a first read: recovery, some lost elections
/// (each server may have to wait for two timeouts), and catching up with what was committed.
const FIRST_ANSWERS_TIMEOUTS: u32 = 40;

/// How many election timeouts it may then take until all of it is level: whole snapshots may have to be sent, in small
/// pieces over a slow network.
const CONVERGENCE_TIMEOUTS: u32 = 120;

/// How long a cluster may take to form.
pub(crate) fn boot(plan: &Plan) -> Duration {
    plan.election_timeout() * BOOT_TIMEOUTS
}

/// How long a healed core may take to its first write and read.
pub(crate) fn first_answers(plan: &Plan) -> Duration {
    plan.election_timeout() * FIRST_ANSWERS_TIMEOUTS
}

/// How long the core may then take to come together.
pub(crate) fn convergence(plan: &Plan) -> Duration {
    plan.election_timeout() * CONVERGENCE_TIMEOUTS
}

/// What shows that a healed core takes writes and serves reads.
pub(crate) fn probe(plan: &Plan) -> [Wish; 2] {
    let core = &plan.cluster.core;
    [(core[0], "key-1".to_owned(), true), (core[core.len() - 1], "key-1".to_owned(), false)]
}

/// Every key that anybody asked for, each to be read from another server of the core.
pub(crate) fn scan(plan: &Plan, history: &[Operation]) -> Vec<Wish> {
    let keys: BTreeSet<&str> = history.iter().map(|operation| &*operation.key).collect();
    let core = plan.cluster.core.iter().cycle();
    keys.into_iter().zip(core).map(|(key, host)| (*host, key.to_owned(), false)).collect()
}

/// What happens last.
pub(crate) fn last_write(plan: &Plan) -> [Wish; 1] {
    [(plan.cluster.core[0], "key-1".to_owned(), true)]
}

/// The host of the core after this one.
pub(crate) fn another(plan: &Plan, host: Host) -> Host {
    let core = &plan.cluster.core;
    let at = core.iter().position(|of| *of == host).map_or(0, |at| at + 1);
    core[at % core.len()]
}
