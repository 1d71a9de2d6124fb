//! The loop that starts, watches, kills and restarts the children.

use crate::cli::dev::child::{self, Handle, Order};
use crate::cli::dev::plan::{NodePlan, Plan};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::config::duration_text;
use quorate_client::{Client, Endpoint, Status};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

const RESTART_DELAY: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const POLL_TIMEOUT: Duration = Duration::from_secs(1);
/// Founding, two joins and two promotions take well under a second; a loaded machine gets its time.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long children may take to finish what is in progress before they are killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How much of a log is shown when its node could not start.
const SHOWN_LOG_LINES: usize = 20;

/// What is done to the children on purpose, and after they died.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chaos {
    pub(crate) kill_every: Option<Duration>,
    pub(crate) restart: bool,
}

/// Everything that can happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A node answered.
    Seen { number: usize, status: Box<Status> },
    /// A child ended; `code` is its exit code, unless a signal ended it.
    Died { number: usize, how: String, code: Option<i32> },
    /// It is time to start a node again.
    StartAgain { number: usize },
    /// It is time to kill somebody.
    KillOne,
    /// The cluster should have been serving by now.
    StartLimit,
    /// Ctrl-C, or a signal that means the same.
    Stop,
    /// The children should have ended by now.
    StopLimit,
}

/// Runs the cluster until a signal ends it.
pub(crate) async fn run(plan: &Plan, chaos: Chaos) -> Result<(), Failure> {
    let (events, queue) = unbounded_channel();
    stop_on_signals(&events)?;
    let nodes = plan.nodes.iter().map(|plan| Node { plan: plan.clone(), child: None, role: None });
    let mut cluster = Cluster { nodes: nodes.collect(), chaos, events, leader: None, serving: false };
    let result = cluster.run(queue).await;
    // After an error children may still live; they are killed when their handles' tasks end with the runtime.
    if result.is_err() {
        cluster.order_all(Order::Kill);
    }
    result
}

struct Node {
    plan: NodePlan,
    /// The child, while it lives.
    child: Option<Handle>,
    /// Its role, once it follows or leads since its last start.
    role: Option<String>,
}

struct Cluster {
    nodes: Vec<Node>,
    chaos: Chaos,
    events: UnboundedSender<Event>,
    /// The newest leader that was seen: its number and term.
    leader: Option<(usize, u64)>,
    /// Whether all nodes have been seen to serve.
    serving: bool,
}

impl Cluster {
    async fn run(&mut self, mut queue: UnboundedReceiver<Event>) -> Result<(), Failure> {
        for number in 1..=self.nodes.len() {
            self.start(number)?;
            tokio::spawn(watch(number, self.nodes[number - 1].plan.endpoint.clone(), self.events.clone()));
        }
        self.later(START_LIMIT, Event::StartLimit);
        while let Some(event) = queue.recv().await {
            match event {
                Event::Seen { number, status } => self.seen(number, &status)?,
                Event::Died { number, how, code } => self.died(number, &how, code)?,
                Event::StartAgain { number } => {
                    self.start(number)?;
                    self.tell(number, "restarted")?;
                }
                Event::KillOne => self.kill_one()?,
                Event::StartLimit if !self.serving => return Err(self.not_serving()),
                Event::StartLimit | Event::StopLimit => {}
                Event::Stop => return self.stop(queue).await,
            }
        }
        Ok(())
    }

    fn start(&mut self, number: usize) -> Result<(), Failure> {
        let node = &mut self.nodes[number - 1];
        let started = child::start(&node.plan, &self.events);
        let child =
            started.map_err(|error| Failure::failed(format!("node {number} can't be started: {error}")))?;
        node.child = Some(child);
        node.role = None;
        Ok(())
    }

    fn seen(&mut self, number: usize, status: &Status) -> Result<(), Failure> {
        let node = &mut self.nodes[number - 1];
        if node.child.is_none() {
            return Ok(());
        }
        // A learner doesn't count yet: who kills the leader at the first sight of these lines wants a majority left.
        let in_office = status.leader.is_some() && matches!(status.role.as_str(), "leader" | "follower");
        let back = self.serving && node.role.is_none() && in_office;
        if in_office {
            node.role = Some(status.role.clone());
        }
        let new_leader = status.role == "leader" && self.leader.is_none_or(|(_, term)| status.term > term);
        if new_leader {
            self.leader = Some((number, status.term));
        }
        match self.serving {
            true if new_leader => self.tell(number, &format!("leader  since term {}", status.term)),
            true if back => self.tell(number, &status.role),
            true => Ok(()),
            false => self.announce_when_serving(),
        }
    }

    /// Prints every node once, when all serve.
    fn announce_when_serving(&mut self) -> Result<(), Failure> {
        let leading = |node: &Node| node.role.as_deref() == Some("leader");
        if !self.nodes.iter().all(|node| node.role.is_some()) || !self.nodes.iter().any(leading) {
            return Ok(());
        }
        self.serving = true;
        for node in &self.nodes {
            self.tell(node.plan.number, node.role.as_deref().unwrap_or_default())?;
        }
        if let Some(interval) = self.chaos.kill_every {
            self.later(interval, Event::KillOne);
        }
        output::say("quorate: all nodes serve; Ctrl-C ends them");
        Ok(())
    }

    fn died(&mut self, number: usize, how: &str, code: Option<i32>) -> Result<(), Failure> {
        // A child that gives up by itself at the start would do so again; one that was killed would not.
        if let Some(code) = code.filter(|_| !self.serving) {
            let exit =
                if code == Exit::BadConfiguration as i32 { Exit::BadConfiguration } else { Exit::Failed };
            let log = self.log_tail(number);
            let message =
                format!("node {number} ended before the cluster served ({how}); the end of its log:\n{log}");
            return Err(Failure::Ended(exit, message));
        }
        let next = if self.chaos.restart { ", starts again in 3s" } else { "" };
        self.tell(number, &format!("died ({how}){next}"))?;
        let node = &mut self.nodes[number - 1];
        (node.child, node.role) = (None, None);
        if self.chaos.restart {
            self.later(RESTART_DELAY, Event::StartAgain { number });
        } else if self.nodes.iter().all(|node| node.child.is_none()) {
            return Err(Failure::failed("every node has died"));
        }
        Ok(())
    }

    fn kill_one(&mut self) -> Result<(), Failure> {
        let living: Vec<&Node> = self.nodes.iter().filter(|node| node.child.is_some()).collect();
        if !living.is_empty() {
            let node = living[rand::random_range(0..living.len())];
            self.tell(node.plan.number, "killed (--kill-every)")?;
            node.child.iter().for_each(|child| child.order(Order::Kill));
        }
        if let Some(interval) = self.chaos.kill_every {
            self.later(interval, Event::KillOne);
        }
        Ok(())
    }

    /// Ends all children: well, if they do so in time; at once, if they don't or a second signal comes.
    async fn stop(&mut self, mut queue: UnboundedReceiver<Event>) -> Result<(), Failure> {
        self.order_all(Order::Terminate);
        self.later(STOP_LIMIT, Event::StopLimit);
        while self.nodes.iter().any(|node| node.child.is_some()) {
            match queue.recv().await {
                Some(Event::Died { number, .. }) => self.nodes[number - 1].child = None,
                Some(Event::StopLimit) => {
                    let limit = duration_text(STOP_LIMIT);
                    output::say(&format!("quorate: nodes that did not end within {limit} are killed"));
                    self.order_all(Order::Kill);
                }
                Some(Event::Stop) => self.order_all(Order::Kill),
                Some(_) => {}
                None => break,
            }
        }
        Ok(())
    }

    fn order_all(&self, order: Order) {
        self.nodes.iter().filter_map(|node| node.child.as_ref()).for_each(|child| child.order(order));
    }

    /// One line of data: the node, and what it is or what happened to it.
    fn tell(&self, number: usize, what: &str) -> Result<(), Failure> {
        let node = &self.nodes[number - 1];
        let pid = node.child.as_ref().map_or_else(|| "-".to_owned(), |child| child.pid.to_string());
        output::line(&format!("node {number}  {}  pid {pid}  {what}", node.plan.endpoint))
    }

    fn not_serving(&self) -> Failure {
        let slow: Vec<usize> =
            (1..).zip(&self.nodes).filter(|(_, node)| node.role.is_none()).map(|(n, _)| n).collect();
        let names = slow.iter().map(|number| format!("node {number}")).collect::<Vec<_>>().join(", ");
        let log = slow.first().map(|number| self.log_tail(*number)).unwrap_or_default();
        let limit = duration_text(START_LIMIT);
        Failure::failed(format!(
            "{names} did not serve within {limit}; the end of the first one's log:\n{log}"
        ))
    }

    fn log_tail(&self, number: usize) -> String {
        let text = std::fs::read_to_string(&self.nodes[number - 1].plan.log_file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..].join("\n")
    }

    fn later(&self, delay: Duration, event: Event) {
        let events = self.events.clone();
        tokio::spawn(async move {
            sleep(delay).await;
            // When the loop is gone, nobody waits for it.
            let _ = events.send(event);
        });
    }
}

/// Asks one node for its status again and again.
async fn watch(number: usize, endpoint: Endpoint, events: UnboundedSender<Event>) {
    let client = Client::new(vec![endpoint], POLL_TIMEOUT);
    while !events.is_closed() {
        if let Ok(status) = client.status().await {
            let _ = events.send(Event::Seen { number, status: Box::new(status) });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Ctrl-C, SIGTERM, and the SIGHUP of a terminal that is closed: the temporary folder would be left behind.
fn stop_on_signals(events: &UnboundedSender<Event>) -> Result<(), Failure> {
    let hangup = (!hangups_are_ignored()).then_some(SignalKind::hangup());
    for kind in [SignalKind::interrupt(), SignalKind::terminate()].into_iter().chain(hangup) {
        let mut signals = signal(kind)?;
        let events = events.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let _ = events.send(Event::Stop);
                // A terminal mostly sends two, of which the second is not meant to hurry anybody.
                if kind == SignalKind::hangup() {
                    break;
                }
            }
        });
    }
    Ok(())
}

/// Whether this was started by `nohup`, which ignores SIGHUP (1) for what it starts; to watch for a signal would undo
/// that. Bit n - 1 of the mask stands for signal n (proc_pid_status(5)).
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
