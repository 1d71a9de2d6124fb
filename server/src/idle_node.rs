//! A node that nobody drives, for tests of what only looks at one.

use quorate_node::kv::Settings;
use quorate_node::raft::{Config, NodeId, Time};
use quorate_node::{Node, NodeConfig};
use quorate_storage::{MemoryDisk, Options, Storage};

/// A follower without a cluster, on an empty disk.
pub(crate) fn idle_node() -> Node {
    let (_, found) = Storage::open(MemoryDisk::new(), Options::new(1)).expect("an empty disk opens");
    let config = NodeConfig {
        raft: Config::new(NodeId(1), 1),
        checkpoint_entries: 1,
        checkpoint_bytes: 1,
        pending_requests: 1,
        settings: Settings::default(),
    };
    Node::open(config, found, Time(0)).expect("nothing was found that makes no sense")
}
