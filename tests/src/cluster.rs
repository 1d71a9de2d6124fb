//! Clusters of real `quorate serve` processes, each with its own data dir and ports.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::deadline::{PATIENCE, wait_until};
use crate::http::Client;
use crate::ports::free_port;
use crate::program::{Program, Running};
use crate::relay::Relay;

/// How long a status may take; a node that has to think longer is asked again.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// One node: its place, and its process while it runs.
#[derive(Debug)]
pub struct Node {
    name: String,
    program: String,
    folder: PathBuf,
    http: SocketAddr,
    raft: SocketAddr,
    flags: Vec<String>,
    /// What it is asked with.
    token: Option<String>,
    /// Whether it listens on every interface, and not on loopback alone.
    exposed: bool,
    running: Option<Running>,
}

impl Node {
    /// A node that is not running yet, with its data dir in `folder`.
    pub fn new(program: &str, folder: PathBuf, name: &str, flags: &[&str]) -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            folder,
            http: loopback(free_port()),
            raft: loopback(free_port()),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            token: None,
            exposed: false,
            running: None,
        }
    }

    /// The same, listening on every interface; it is still reached by loopback.
    #[must_use]
    pub fn exposed(self) -> Self {
        Self { exposed: true, ..self }
    }

    /// The same, to be asked with a token.
    #[must_use]
    pub fn asked_with(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// Where it serves HTTP.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where it talks to its peers.
    pub fn raft(&self) -> SocketAddr {
        self.raft
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Its data dir.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(self.http).bearing(self.token.as_deref())
    }

    fn hasty_client(&self) -> Client {
        Client::with_timeout(self.http, STATUS_TIMEOUT).bearing(self.token.as_deref())
    }

    /// Its process.
    ///
    /// # Panics
    /// When it isn't running.
    #[track_caller]
    pub fn process(&mut self) -> &mut Running {
        let name = &self.name;
        self.running.as_mut().unwrap_or_else(|| panic!("{name} is not running"))
    }

    /// Starts it, with flags that only this start has, and returns at once.
    ///
    /// # Panics
    /// When it is running already.
    pub fn start(&mut self, more_flags: &[&str]) {
        assert!(self.running.is_none(), "{} is running already", self.name);
        let (data_dir, url) = (self.data_dir(), self.url());
        let data_dir = data_dir.to_str().expect("temporary folders have UTF-8 names");
        let everywhere = |address: SocketAddr| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        let listen = |address| if self.exposed { everywhere(address) } else { address }.to_string();
        let (http, raft, advertised) = (listen(self.http), listen(self.raft), self.raft.to_string());
        let mut arguments = vec!["serve", "--data-dir", data_dir, "--listen", &http, "--raft-listen", &raft];
        if self.exposed {
            arguments.extend(["--advertise-url", &url, "--advertise-raft", &advertised, "--insecure"]);
        }
        arguments.extend(self.flags.iter().map(String::as_str));
        arguments.extend(more_flags);
        self.running = Some(Program::new(&self.program, &arguments).start_tied(&self.folder, &self.name));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process().kill();
        self.running = None;
    }

    /// Ends it with SIGTERM, and returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let what = format!("{} to end after SIGTERM", self.name);
        self.process().terminate();
        let code = self.process().wait(&what, PATIENCE).code();
        self.running = None;
        code
    }

    /// From the next start on it is this program.
    pub fn run_as(&mut self, program: &str) {
        program.clone_into(&mut self.program);
    }

    /// Removes its data dir, as a lost disk does.
    ///
    /// # Panics
    /// While it is running.
    pub fn wipe(&mut self) {
        assert!(self.running.is_none(), "{} is running", self.name);
        std::fs::remove_dir_all(self.data_dir()).expect("its files are ours");
    }

    /// The id that it has given itself.
    ///
    /// # Panics
    /// When it doesn't serve.
    #[track_caller]
    pub fn id(&mut self) -> String {
        self.wait_until_up()["id"].as_str().expect("an id is a text").to_owned()
    }

    /// What `/raft/status` says now, if it answers.
    pub fn status(&self) -> Option<Value> {
        let answer = self.hasty_client().request("GET", "/raft/status", b"").ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    /// What `/readyz?verbose` says now, and whether all of it is well, if it answers.
    pub fn readiness(&self) -> Option<(bool, Value)> {
        let answer = self.hasty_client().request("GET", "/readyz?verbose", b"").ok()?;
        matches!(answer.status, 200 | 503).then(|| (answer.status == 200, answer.json()))
    }

    /// How its process ended, if it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.running.as_mut()?.ended()
    }

    /// Ends it with `kill -9` if it runs; one that has ended by itself may be started again after this, too.
    pub fn put_down(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Waits until it answers `/raft/status`, and returns that.
    ///
    /// # Panics
    /// When it ends instead, or doesn't within [`PATIENCE`].
    #[track_caller]
    pub fn wait_until_up(&mut self) -> Value {
        wait_until(&format!("{} to serve", self.name), PATIENCE, || {
            if let Some(status) = self.running.as_mut().and_then(Running::ended) {
                panic!("{} ended with {status}:\n{}", self.name, self.log_tail());
            }
            self.status()
        })
    }

    /// Waits until it serves and knows a leader, which may be itself.
    ///
    /// # Panics
    /// As [`Self::wait_until_up`].
    #[track_caller]
    pub fn wait_until_led(&mut self) {
        self.wait_until_up();
        let what = format!("{} to know a leader", self.name);
        wait_until(&what, PATIENCE, || {
            self.status()?.get("leader").filter(|leader| !leader.is_null()).cloned()
        });
    }

    /// Waits until all that `/readyz` asks for is well: it follows, has caught up, and has nothing left to mend.
    ///
    /// # Panics
    /// As [`Self::wait_until_up`].
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        self.wait_until_led();
        let what = format!("{} to be ready", self.name);
        wait_until(&what, PATIENCE, || self.readiness()?.0.then_some(()));
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        let log = self.running.as_ref().map(Running::stderr).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

/// A whole cluster. Nodes are named by their number, from 0.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// How many nodes there ever were: none gets the data dir of another.
    made: usize,
    program: String,
    /// Removed last: the nodes' files are in it.
    folder: TempDir,
}

impl Cluster {
    /// Starts `size` nodes: node 0 founds the cluster, the others join it one after the other.
    ///
    /// # Panics
    /// When they don't all become voters.
    #[track_caller]
    pub fn start(program: &str, size: usize) -> Self {
        Self::start_with(program, size, &[])
    }

    /// The same, with nodes that are named `node-0` and so on.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[track_caller]
    pub fn start_named(program: &str, size: usize) -> Self {
        let folder = tempfile::tempdir().expect("the system has room for a temporary folder");
        let name = |number| format!("node-{number}");
        let nodes = (0..size).map(|number| {
            Node::new(program, folder.path().to_owned(), &name(number), &["--name", &name(number)])
        });
        Self::found(program, nodes.collect(), folder)
    }

    /// The same, with flags for each node.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[track_caller]
    pub fn start_with(program: &str, size: usize, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("the system has room for a temporary folder");
        let nodes = (0..size)
            .map(|number| Node::new(program, folder.path().to_owned(), &format!("node-{number}"), flags))
            .collect();
        Self::found(program, nodes, folder)
    }

    /// The same, where each node is asked with a token.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[track_caller]
    pub fn start_asked_with(program: &str, size: usize, flags: &[&str], token: &str) -> Self {
        let folder = tempfile::tempdir().expect("the system has room for a temporary folder");
        let node = |number| Node::new(program, folder.path().to_owned(), &format!("node-{number}"), flags);
        let nodes = (0..size).map(|number| node(number).asked_with(token)).collect();
        Self::found(program, nodes, folder)
    }

    /// The same, where each node is reached by its peers through a relay.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[track_caller]
    pub fn start_behind_relays(program: &str, size: usize) -> (Self, Vec<Relay>) {
        let folder = tempfile::tempdir().expect("the system has room for a temporary folder");
        let (nodes, relays) = (0..size)
            .map(|number| {
                let mut node = Node::new(program, folder.path().to_owned(), &format!("node-{number}"), &[]);
                let relay = Relay::start(node.raft);
                node.flags = vec!["--advertise-raft".to_owned(), relay.address().to_string()];
                (node, relay)
            })
            .unzip();
        (Self::found(program, nodes, folder), relays)
    }

    /// A cluster of one node that listens on every interface.
    ///
    /// # Panics
    /// When it does not found itself.
    #[track_caller]
    pub fn start_exposed(program: &str) -> Self {
        let folder = tempfile::tempdir().expect("the system has room for a temporary folder");
        let node = Node::new(program, folder.path().to_owned(), "node-0", &[]).exposed();
        Self::found(program, vec![node], folder)
    }

    /// Another node, exposed as the first one is, that does not run yet.
    pub fn newcomer(&mut self) -> usize {
        let number = self.nodes.len();
        let (folder, name) = (self.folder.path().to_owned(), format!("node-{}", self.made));
        self.made += 1;
        let exposed = self.nodes[0].exposed;
        self.nodes.push(Node { exposed, ..Node::new(&self.program, folder, &name, &[]) });
        number
    }

    /// A folder for the test's own files, which goes with the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    #[track_caller]
    fn found(program: &str, nodes: Vec<Node>, folder: TempDir) -> Self {
        let size = nodes.len();
        let mut cluster = Self { nodes, made: size, program: program.to_owned(), folder };
        cluster.nodes[0].start(&["--bootstrap"]);
        cluster.nodes[0].wait_until_led();
        let url = cluster.nodes[0].url();
        for number in 1..size {
            cluster.nodes[number].start(&["--join", &url]);
            cluster.nodes[number].wait_until_led();
            cluster.wait_for_voters(number + 1);
        }
        cluster
    }

    /// Starts another node, which joins through node `by`, and waits until it serves.
    ///
    /// # Panics
    /// When it isn't taken in.
    #[track_caller]
    pub fn join(&mut self, by: usize) -> usize {
        let number = self.nodes.len();
        let (folder, name) = (self.folder.path().to_owned(), format!("node-{}", self.made));
        self.made += 1;
        self.nodes.push(Node::new(&self.program, folder, &name, &[]));
        let url = self.nodes[by].url();
        self.nodes[number].start(&["--join", &url]);
        self.nodes[number].wait_until_led();
        number
    }

    /// Posts a change through node `by`, and demands success.
    ///
    /// # Panics
    /// Without it.
    #[track_caller]
    pub fn change(&self, by: usize, target: &str, body: &Value) {
        let answer = self.nodes[by].client().post(target, body.to_string().as_bytes());
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, r#"{"status":"success"}"#),
            "{target} {body}"
        );
    }

    /// Waits until the membership has this many voters, and no learner.
    ///
    /// # Panics
    /// When it doesn't within [`PATIENCE`].
    #[track_caller]
    pub fn wait_for_voters(&self, count: usize) {
        let mut seen = Value::Null;
        wait_until(&format!("{count} voters"), PATIENCE, || {
            let leader = self.leader_now()?;
            seen = self.nodes[leader].client().request("GET", "/raft/members", b"").ok()?.json();
            let members = seen.get("members")?.as_array()?;
            let voters = members.iter().filter(|member| member["role"] == "voter").count();
            (voters == count && members.len() == count && seen["joint"].is_null()).then_some(())
        });
    }

    /// The node that leads, waiting for one.
    ///
    /// # Panics
    /// When there is none within [`PATIENCE`].
    #[track_caller]
    pub fn leader(&self) -> usize {
        wait_until("a leader", PATIENCE, || self.leader_now())
    }

    /// The node that says it leads, in the highest term if several do; one that doesn't answer doesn't count.
    pub fn leader_now(&self) -> Option<usize> {
        let leads = |node: &Node| {
            let status = node.running.as_ref().and_then(|_| node.status())?;
            (status["role"] == "leader").then(|| status["term"].as_u64())?
        };
        let terms = self.nodes.iter().enumerate().filter_map(|(number, node)| Some((leads(node)?, number)));
        terms.max().map(|(_, number)| number)
    }

    /// A node that does not lead.
    #[track_caller]
    pub fn follower(&self) -> usize {
        let leader = self.leader();
        (0..self.nodes.len()).find(|&number| number != leader).expect("the cluster has several nodes")
    }

    /// Waits until a node has applied what the leader has committed by now.
    ///
    /// # Panics
    /// When it doesn't within [`PATIENCE`].
    #[track_caller]
    pub fn wait_until_caught_up(&self, number: usize) {
        let leader = self.leader();
        let goal =
            wait_until("the leader's status", PATIENCE, || self.nodes[leader].status())["commit"].as_u64();
        let what = format!("node {number} to apply index {goal:?}");
        wait_until(&what, PATIENCE, || {
            let applied = self.nodes[number].status()?["applied"].as_u64();
            (applied >= goal).then_some(())
        });
    }
}

impl Drop for Cluster {
    #[allow(clippy::print_stderr, reason = "a failed test shows what its servers logged")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("--- end of the log of {} ({}):\n{}", node.name, node.http, node.log_tail());
            }
        }
    }
}
