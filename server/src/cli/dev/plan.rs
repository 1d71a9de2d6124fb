//! Which node gets which port, folder and flags.

use crate::cli::exit::Failure;
use quorate_client::{Address, Endpoint};
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// How far a node's peer port is above its HTTP port; the same as the default of `serve`.
const RAFT_PORT_OFFSET: u16 = 1000;

/// All nodes, node 1 first.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<NodePlan>,
}

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct NodePlan {
    /// From 1 on, as it is printed.
    pub(crate) number: usize,
    /// Where it serves HTTP.
    pub(crate) endpoint: Endpoint,
    /// Everything that it logs.
    pub(crate) log_file: PathBuf,
    /// The arguments of the child process.
    pub(crate) arguments: Vec<OsString>,
}

impl Plan {
    /// Plans `count` nodes on consecutive ports from `port` on, all of which have to be free now.
    pub(crate) fn new(count: u16, port: u16, folder: &Path) -> Result<Self, Failure> {
        let first = if port == 0 { free_range(count)? } else { port };
        check_ports(first, count)?;
        let leader = endpoint(first);
        let nodes = (0..count).map(|offset| {
            let (number, endpoint) = (usize::from(offset) + 1, endpoint(first + offset));
            let arguments = arguments(number, &endpoint, &leader, folder);
            let log_file = folder.join(format!("node-{number}.log"));
            NodePlan { number, endpoint, log_file, arguments }
        });
        Ok(Self { nodes: nodes.collect() })
    }
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::new(Address::new("127.0.0.1", port).expect("an IP address is an address"))
}

/// Node 1 founds the cluster and the others join it; on a folder that holds nodes already, both do nothing.
fn arguments(number: usize, endpoint: &Endpoint, leader: &Endpoint, folder: &Path) -> Vec<OsString> {
    let name = format!("node-{number}");
    let mut arguments: Vec<OsString> = vec!["serve".into(), "--data-dir".into(), folder.join(&name).into()];
    arguments.extend(["--listen".into(), endpoint.address().to_string().into()]);
    arguments.extend(["--name".into(), name.into()]);
    arguments.extend(["--log-format", "text", "--exit-with-parent"].map(OsString::from));
    if number == 1 {
        arguments.push("--bootstrap".into());
    } else {
        arguments.extend(["--join".into(), leader.to_string().into()]);
    }
    arguments
}

/// Ports are checked before anything starts, because a child's complaint would come late and in its own log.
fn check_ports(first: u16, count: u16) -> Result<(), Failure> {
    if first.checked_add(count - 1).is_none() {
        let most = u16::MAX - count + 1;
        return Err(Failure::usage(format!(
            "--port {first} leaves no room for {count} nodes below port 65536; give at most --port {most}"
        )));
    }
    for offset in 0..count {
        let (number, http) = (offset + 1, first + offset);
        let raft = http.checked_add(RAFT_PORT_OFFSET).map(|port| (port, "peer"));
        for (port, use_of_it) in [(http, "HTTP")].into_iter().chain(raft) {
            if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
                return Err(Failure::failed(format!(
                    "port {port}, the {use_of_it} port of node {number}, can't be used: {error}; end what listens \
                     there (ss -ltnp 'sport = :{port}' names it), or choose others with --port"
                )));
            }
        }
    }
    Ok(())
}

/// The first of `count` ports that are free now, as well as those of their peers.
fn free_range(count: u16) -> Result<u16, Failure> {
    const ATTEMPTS: usize = 100;
    for _ in 0..ATTEMPTS {
        let first = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr())?.port();
        if check_ports(first, count).is_ok() {
            return Ok(first);
        }
    }
    Err(Failure::failed(format!("no {count} free ports in a row were found; choose them with --port")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn node_one_founds_and_the_others_join_it() {
        let plan = Plan::new(3, 0, Path::new("/data")).unwrap();
        let first = plan.nodes[0].endpoint.address().port();
        for (index, node) in plan.nodes.iter().enumerate() {
            let expected_port = first + u16::try_from(index).unwrap();
            assert_eq!((node.number, node.endpoint.address().port()), (index + 1, expected_port));
            assert_eq!(node.log_file, PathBuf::from(format!("/data/node-{}.log", index + 1)));
        }
        let text = |node: &NodePlan| {
            node.arguments.iter().map(|a| a.to_str().unwrap()).collect::<Vec<_>>().join(" ")
        };
        let common = |number: u16| {
            let port = first + number - 1;
            format!(
                "serve --data-dir /data/node-{number} --listen 127.0.0.1:{port} --name node-{number} \
                 --log-format text --exit-with-parent"
            )
        };
        assert_eq!(text(&plan.nodes[0]), format!("{} --bootstrap", common(1)));
        assert_eq!(text(&plan.nodes[2]), format!("{} --join http://127.0.0.1:{first}", common(3)));
    }

    #[test]
    fn a_port_in_use_is_named() {
        // Below 64536 the peers' port exists; the system gives ports of either kind.
        let (listener, taken) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            if (2000..64000).contains(&port) {
                break (listener, port);
            }
        };
        for (first, use_of_it) in [(taken, "the HTTP port"), (taken - RAFT_PORT_OFFSET, "the peer port")] {
            let Failure::Ended(exit, message) = Plan::new(1, first, Path::new("/data")).unwrap_err() else {
                panic!("a port in use is no failure of the command line");
            };
            assert_eq!(exit, Exit::Failed);
            assert!(message.contains(&format!("port {taken}, {use_of_it} of node 1")), "{message}");
        }
        drop(listener);
    }

    #[test]
    fn ports_beyond_the_last_one_are_a_usage_error() {
        let Failure::Ended(exit, message) = Plan::new(3, 65534, Path::new("/data")).unwrap_err() else {
            panic!("the message is ours");
        };
        assert_eq!(exit, Exit::Usage);
        assert!(message.contains("at most --port 65533"), "{message}");
    }
}
