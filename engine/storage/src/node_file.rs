//! `node.toml`: who the node is.
//!
//! Lines of `name = "value"` in a fixed order, those that are known, and a checksum over all before it. An id that
//! rotted into another would be worse than none.

use quorate_raft::NodeId;
use quorate_wire::{ClusterId, HistoryId};

/// Whose directory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node. Durable before it first speaks to anybody.
    pub node: NodeId,
    /// The cluster; not known before the node was let in.
    pub cluster: Option<ClusterId>,
    /// The line of history; not known before the node was let in.
    pub history: Option<HistoryId>,
}

/// The content of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeFile {
    pub(crate) identity: Identity,
    /// The history that a recovery from lost quorum will lead to, from its first change to its last.
    pub(crate) recovering: Option<HistoryId>,
    /// The id under which a node comes back that has lost what it must not forget, until it is a member again.
    pub(crate) successor: Option<NodeId>,
    /// The history that a backup will begin that is being restored here, from the first change to the last.
    pub(crate) restoring: Option<HistoryId>,
}

impl NodeFile {
    /// Of a node that nothing is being done to.
    pub(crate) fn new(identity: Identity) -> NodeFile {
        NodeFile { identity, recovering: None, successor: None, restoring: None }
    }

    pub(crate) fn encode(&self) -> String {
        let Identity { node, cluster, history } = &self.identity;
        let mut text =
            String::from("# Who this node is. Written by quorate; a change by hand makes it unreadable.\n");
        text.push_str(&format!("node = \"{node}\"\n"));
        if let Some(cluster) = cluster {
            text.push_str(&format!("cluster = \"{cluster}\"\n"));
        }
        if let Some(history) = history {
            text.push_str(&format!("history = \"{history}\"\n"));
        }
        if let Some(recovering) = self.recovering {
            text.push_str(&format!("recovering = \"{recovering}\"\n"));
        }
        if let Some(successor) = self.successor {
            text.push_str(&format!("successor = \"{successor}\"\n"));
        }
        if let Some(restoring) = self.restoring {
            text.push_str(&format!("restoring = \"{restoring}\"\n"));
        }
        let checksum = crc32c::crc32c(text.as_bytes());
        text.push_str(&format!("checksum = \"{checksum:08x}\"\n"));
        text
    }

    /// Reads it, or says what is wrong with it.
    pub(crate) fn decode(content: &[u8]) -> Result<NodeFile, String> {
        let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())?;
        let (mut node, mut cluster, mut history) = (None, None, None);
        let (mut recovering, mut successor, mut restoring) = (None, None, None);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let parts = line.strip_suffix('"').and_then(|line| line.split_once(" = \""));
            let Some((name, value)) = parts else {
                return Err(format!("the line {line:?} is not understood"));
            };
            let id = || quorate_raft::parse_id(value).map_err(|error| error.to_string());
            match name {
                "node" => node = Some(NodeId(id()?)),
                "cluster" => cluster = Some(ClusterId(id()?)),
                "history" => history = Some(HistoryId(id()?)),
                "recovering" => recovering = Some(HistoryId(id()?)),
                "successor" => successor = Some(NodeId(id()?)),
                "restoring" => restoring = Some(HistoryId(id()?)),
                "checksum" => {}
                _ => return Err(format!("the name {name:?} is not known")),
            }
        }
        let Some(node) = node else { return Err("it names no node".to_owned()) };
        let identity = Identity { node, cluster, history };
        let file = NodeFile { identity, recovering, successor, restoring };
        if file.encode() != text {
            return Err("its checksum does not fit".to_owned());
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_written_and_no_flipped_bit_passes() {
        let identity = Identity { node: NodeId(7), cluster: Some(ClusterId(8)), history: Some(HistoryId(9)) };
        let plain = NodeFile::new(identity);
        let more = [
            plain,
            NodeFile { recovering: Some(HistoryId(10)), ..plain },
            NodeFile { successor: Some(NodeId(11)), ..plain },
            NodeFile { restoring: Some(HistoryId(12)), ..plain },
        ];
        for file in more {
            let good = file.encode().into_bytes();
            assert_eq!(NodeFile::decode(&good), Ok(file));
            for bit in 0..good.len() * 8 {
                let mut rotten = good.clone();
                rotten[bit / 8] ^= 1 << (bit % 8);
                assert!(NodeFile::decode(&rotten).is_err(), "bit {bit}");
            }
            for length in 0..good.len() {
                assert!(NodeFile::decode(&good[..length]).is_err(), "cut at {length}");
            }
        }
    }
}
