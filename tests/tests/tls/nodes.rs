//! Nodes that speak TLS, and requests to them.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quorate_tests::cluster::Node;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::{Response, read_response};
use quorate_tests::program::signal;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

use crate::certificates::{Authority, Certified, client};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// What a node says when it has read its files again, and when it could not.
pub(crate) const RELOADED: &str = "the files of TLS were read again; new connections use them";
pub(crate) const NOT_RELOADED: &str = "the files of TLS were read again and can't be used";

/// How long a single request may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// One request on a connection of its own.
pub(crate) fn request(
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
    method: &str,
    target: &str,
    body: &[u8],
) -> io::Result<Response> {
    request_showing(None, (address, tls), method, target, body)
}

/// The same with a token, if there is one.
pub(crate) fn request_showing(
    token: Option<&str>,
    (address, tls): (SocketAddr, &Arc<ClientConfig>),
    method: &str,
    target: &str,
    body: &[u8],
) -> io::Result<Response> {
    let stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    let connection = ClientConnection::new(Arc::clone(tls), ServerName::from(address.ip()));
    let mut stream = StreamOwned::new(connection.map_err(io::Error::other)?, stream);
    let length = body.len();
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{token}content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()?;
    read_response(&mut BufReader::new(stream), method == "HEAD")
}

/// A cluster whose nodes speak TLS to everybody. The files of each are its own: `NAME.pem`, `NAME.key`, `NAME.ca`.
pub(crate) struct TlsCluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) tls: Arc<ClientConfig>,
    /// What it is asked with.
    token: Option<String>,
    pub(crate) folder: TempDir,
}

impl TlsCluster {
    /// Starts `size` nodes that believe `authority` and have certificates of it, and waits until all vote.
    pub(crate) fn start(size: usize, authority: &Authority) -> Self {
        Self::start_with(size, authority, |flags| flags, None)
    }

    /// The same, with what becomes of each node's flags, and asked with a token.
    pub(crate) fn start_with(
        size: usize,
        authority: &Authority,
        change: impl Fn(Vec<String>) -> Vec<String>,
        token: Option<&str>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = client(&[authority], Some(&authority.certify()));
        let mut cluster = Self { nodes: Vec::new(), tls, token: token.map(str::to_owned), folder };
        for number in 0..size {
            let name = format!("node-{number}");
            let flags = change(give(cluster.folder.path(), &name, &authority.certify(), &authority.pem));
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let node = Node::new(PROGRAM, cluster.folder.path().to_owned(), &name, &flags);
            cluster.nodes.push(node);
            let join = cluster.url(0);
            let origin: &[&str] = if number == 0 { &["--bootstrap"] } else { &["--join", &join] };
            cluster.nodes[number].start(origin);
            cluster.wait_for_voters(number + 1);
        }
        cluster
    }

    pub(crate) fn url(&self, number: usize) -> String {
        format!("https://{}", self.nodes[number].http())
    }

    pub(crate) fn ask(&self, number: usize, method: &str, target: &str, body: &[u8]) -> io::Result<Response> {
        let place = (self.nodes[number].http(), &self.tls);
        request_showing(self.token.as_deref(), place, method, target, body)
    }

    fn json(&self, number: usize, target: &str) -> Option<Value> {
        let answer = self.ask(number, "GET", target, b"").ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    pub(crate) fn members(&self) -> Option<Vec<Value>> {
        let members = |number| self.json(number, "/raft/members")?["members"].as_array().cloned();
        (0..self.nodes.len()).find_map(members)
    }

    #[track_caller]
    fn wait_for_voters(&mut self, count: usize) {
        wait_until(&format!("{count} voters"), PATIENCE, || {
            for node in &mut self.nodes {
                if let Some(status) = node.ended() {
                    panic!("a node ended with {status}:\n{}", node.log_tail());
                }
            }
            let members = self.members()?;
            let voters = members.iter().filter(|member| member["role"] == "voter").count();
            (voters == count && members.len() == count).then_some(())
        });
    }

    /// The node that leads.
    #[track_caller]
    pub(crate) fn leader(&mut self) -> usize {
        wait_until("a leader", PATIENCE, || {
            let leads = |number: usize| Some(self.json(number, "/raft/status")?["role"] == "leader");
            (0..self.nodes.len()).find(|&number| leads(number) == Some(true))
        })
    }

    /// Writes a key through a node, trying until it is done.
    #[track_caller]
    pub(crate) fn put(&self, number: usize, key: &str, value: &str) {
        wait_until(&format!("node {number} to write {key}"), PATIENCE, || {
            let answer = self.ask(number, "PUT", &format!("/key/{key}"), value.as_bytes()).ok()?;
            (answer.status == 200).then_some(())
        });
    }

    /// Reads a key at a node, waiting until it serves.
    #[track_caller]
    pub(crate) fn get(&self, number: usize, key: &str) -> String {
        wait_until(&format!("node {number} to read {key}"), PATIENCE, || {
            let answer = self.ask(number, "GET", &format!("/key/{key}"), b"").ok()?;
            (answer.status == 200).then(|| answer.text())
        })
    }

    /// Tells all nodes to read their files again, and waits until each has said `outcome`.
    #[track_caller]
    pub(crate) fn reload(&mut self, outcome: &str) {
        for number in 0..self.nodes.len() {
            let said = |node: &mut Node| node.process().stderr().matches(outcome).count();
            let node = &mut self.nodes[number];
            let before = said(node);
            signal("HUP", node.process().pid());
            let what = format!("node {number} to say: {outcome}");
            wait_until(&what, PATIENCE, || (said(node) > before).then_some(()));
        }
    }
}

/// Writes the files of a node, and gives the flags that name them.
pub(crate) fn give(folder: &Path, name: &str, certified: &Certified, authorities: &str) -> Vec<String> {
    let (certificate, key) = certified.write(folder, name);
    let ca = folder.join(format!("{name}.ca"));
    std::fs::write(&ca, authorities).unwrap();
    let flags = [
        ("--tls-cert", &certificate),
        ("--tls-key", &key),
        ("--tls-client-ca", &ca),
        ("--peer-tls-cert", &certificate),
        ("--peer-tls-key", &key),
        ("--peer-tls-ca", &ca),
    ];
    flags.iter().flat_map(|(flag, path)| [(*flag).to_owned(), text(path)]).collect()
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("temporary folders have UTF-8 names").to_owned()
}
