//! Clusters of Quorate and of etcd on loopback, with their data side by side in one folder.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};

use crate::ask::{ask, ask_json};
use crate::process::{Process, free_address, wait_until};

/// Whose nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Quorate,
    Etcd,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) process: Process,
    /// Where clients are served.
    pub(crate) address: SocketAddr,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) kind: Kind,
    pub(crate) nodes: Vec<Node>,
}

impl Cluster {
    /// Starts so many nodes with default settings, and waits until one of them leads all of them.
    pub(crate) fn start(kind: Kind, quorate: &Path, folder: &Path, size: usize) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let nodes = match kind {
            Kind::Quorate => quorate_nodes(quorate, folder, size)?,
            Kind::Etcd => etcd_nodes(folder, size)?,
        };
        let cluster = Self { kind, nodes };
        wait_until("a leader", || Ok(cluster.leader()))?;
        Ok(cluster)
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.process.pid()).collect()
    }

    /// The number of the node that leads, if one says so.
    pub(crate) fn leader(&self) -> Option<usize> {
        (0..self.nodes.len()).find(|&number| {
            let address = self.nodes[number].address;
            match self.kind {
                Kind::Quorate => ask_json(address, "GET", "/raft/status", "")
                    .is_ok_and(|status| status["role"] == "leader"),
                Kind::Etcd => ask_json(address, "POST", "/v3/maintenance/status", "{}").is_ok_and(|status| {
                    status["leader"].is_string() && status["leader"] == status["header"]["member_id"]
                }),
            }
        })
    }

    /// The addresses of the leader and of a node that follows it.
    pub(crate) fn leader_and_follower(&self) -> Result<(SocketAddr, SocketAddr)> {
        let leader = self.leader().context("there is no leader any more")?;
        let follower = (leader + 1) % self.nodes.len();
        Ok((self.nodes[leader].address, self.nodes[follower].address))
    }
}

impl Node {
    /// Whether a linearizable read is answered, be it that there is no such key.
    pub(crate) fn serves(&self, kind: Kind) -> bool {
        let answer = match kind {
            Kind::Quorate => ask(self.address, "GET", "/key/key-00000000", ""),
            Kind::Etcd => ask(self.address, "POST", "/v3/kv/range", r#"{"key":"a2V5LTAwMDAwMDAw"}"#),
        };
        answer.is_ok_and(|(status, _)| status == 200 || status == 404)
    }
}

fn quorate_nodes(program: &Path, folder: &Path, size: usize) -> Result<Vec<Node>> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 0..size {
        let (address, raft) = (free_address()?, free_address()?);
        let data_dir = folder.join(format!("node-{number}"));
        let mut arguments = vec![
            "serve".to_owned(),
            format!("--data-dir={}", data_dir.display()),
            format!("--listen={address}"),
            format!("--raft-listen={raft}"),
        ];
        match nodes.first() {
            None => arguments.push("--bootstrap".to_owned()),
            Some(first) => arguments.push(format!("--join=http://{}", first.address)),
        }
        let log = folder.join(format!("node-{number}.log"));
        let mut node = Node { process: Process::new(program, arguments, log), address };
        node.process.start()?;
        let founder = nodes.first().map_or(address, |first| first.address);
        node.process.wait_until("all nodes to vote", || {
            let members = ask_json(founder, "GET", "/raft/members", "").ok()?;
            let voters = members["members"].as_array()?.iter().filter(|member| member["role"] == "voter");
            (voters.count() == number + 1).then_some(())
        })?;
        nodes.push(node);
    }
    Ok(nodes)
}

fn etcd_nodes(folder: &Path, size: usize) -> Result<Vec<Node>> {
    let addresses = (0..size).map(|_| Ok((free_address()?, free_address()?))).collect::<Result<Vec<_>>>()?;
    let peers = addresses.iter().enumerate().map(|(number, (_, peer))| format!("n{number}=http://{peer}"));
    let peers = peers.collect::<Vec<_>>().join(",");
    let mut nodes = Vec::new();
    for (number, (address, peer)) in addresses.into_iter().enumerate() {
        let arguments = [
            format!("--name=n{number}"),
            format!("--data-dir={}", folder.join(format!("n{number}")).display()),
            format!("--listen-client-urls=http://{address}"),
            format!("--advertise-client-urls=http://{address}"),
            format!("--listen-peer-urls=http://{peer}"),
            format!("--initial-advertise-peer-urls=http://{peer}"),
            format!("--initial-cluster={peers}"),
            "--initial-cluster-state=new".to_owned(),
            "--logger=zap".to_owned(),
            "--log-level=error".to_owned(),
        ];
        let log = folder.join(format!("n{number}.log"));
        let mut process = Process::new("etcd", arguments.to_vec(), log);
        process.start()?;
        nodes.push(Node { process, address });
    }
    Ok(nodes)
}
