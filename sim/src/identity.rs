//! Who the servers are, and what each is told when it starts; the same on both stacks.

use std::time::Duration;

use quorate_node::raft::{Cleanup, Config, Contact, NodeId};
use quorate_node::{NodeConfig, kv};
use quorate_server::{first_entries, write_first};
use quorate_storage::{MemoryDisk, Options, Storage};

use crate::plan::{Host, Plan};

/// The host that founds the cluster.
pub(crate) const FOUNDER: Host = 1;

/// The port of peer links on every server.
pub(crate) const RAFT_PORT: u16 = 9080;

/// The port of HTTP on every server.
pub(crate) const HTTP_PORT: u16 = 8080;

/// What separates the numbers of the servers that one host has in turn, each on a disk of its own.
const NEXT_SERVER: Host = 10;

/// The number of the server that a host has after so many wipes: the first has the host's own.
pub(crate) fn server_of(host: Host, wipes: Host) -> Host {
    host + wipes * NEXT_SERVER
}

/// The host of a server.
pub(crate) fn machine_of(server: Host) -> Host {
    server % NEXT_SERVER
}

/// The address of a host, without a port.
pub(crate) fn address(host: Host) -> String {
    format!("10.0.0.{host}")
}

pub(crate) fn node_id(server: Host) -> NodeId {
    NodeId(server.into())
}

pub(crate) fn contact(server: Host) -> Contact {
    let address = address(machine_of(server));
    Contact {
        address: format!("{address}:{RAFT_PORT}"),
        url: format!("http://{address}:{HTTP_PORT}"),
        name: format!("server-{server}"),
    }
}

pub(crate) fn node_config(plan: &Plan, server: Host, seed: u64) -> NodeConfig {
    let knobs = &plan.knobs;
    let cleanup = plan.cleans_up().then(|| Cleanup {
        after: Duration::from_millis(knobs.cleanup_after_ms),
        least_voters: knobs.cleanup_least_voters,
    });
    let raft = Config {
        election_timeout: plan.election_timeout(),
        heartbeat_interval: Duration::from_millis(knobs.heartbeat_ms),
        append_bytes: knobs.append_bytes,
        inflight_appends: knobs.inflight_appends,
        uncommitted_bytes: knobs.uncommitted_bytes,
        cache_bytes: knobs.cache_bytes,
        keep_entries: knobs.keep_entries,
        chunk_bytes: knobs.chunk_bytes,
        cleanup,
        trace: true,
        ..Config::new(node_id(server), seed)
    };
    NodeConfig {
        raft,
        checkpoint_entries: knobs.checkpoint_entries,
        // Now one bound is met first, and now the other.
        checkpoint_bytes: knobs.checkpoint_entries * 250,
        pending_requests: NodeConfig::PENDING_REQUESTS,
        settings: settings(plan),
    }
}

fn settings(plan: &Plan) -> kv::Settings {
    let (usual, knobs) = (kv::Settings::default(), &plan.knobs);
    let or_usual = |drawn: u64, usual: u64| if drawn > 0 { drawn } else { usual };
    kv::Settings {
        history_revisions: or_usual(knobs.history_revisions, usual.history_revisions),
        answers: or_usual(knobs.answers, usual.answers),
        ..usual
    }
}

/// How much of what is at rest is read in a second: all of it several times, in a simulated life.
pub(crate) const SCRUB_BYTES_PER_SECOND: u64 = 32 << 10;

/// In how many slices a segment is filled with zeros, at most: hundreds of them would take most of a run.
const MOST_SLICES: usize = 32;

pub(crate) fn storage_options(plan: &Plan, seed: u64) -> Options {
    let knobs = &plan.knobs;
    Options {
        segment_bytes: knobs.segment_bytes,
        slice_bytes: knobs.slice_bytes.max(knobs.segment_bytes as usize / MOST_SLICES),
        checkpoint_slice_bytes: knobs.slice_bytes,
        ..Options::new(seed)
    }
}

/// Writes what `quorate bootstrap` writes.
pub(crate) fn found(disk: &MemoryDisk, plan: &Plan) {
    let opened = Storage::open(disk.clone(), storage_options(plan, plan.seed));
    let (mut storage, _) = opened.expect("an empty disk opens");
    let entries = first_entries(node_id(FOUNDER), contact(FOUNDER), Vec::new());
    let entries = entries.expect("without content nothing is too large");
    write_first(&mut storage, true, entries).expect("a sound disk takes a write");
}
