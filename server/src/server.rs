//! A running server, put together from its parts.
//!
//! It can't tell a real world from a simulated one: runtime, network and storage come in as parts.

use std::sync::Arc;
use std::time::Duration;

use quorate_node::raft::{Contact, Found, NodeId, OpenError};
use quorate_node::recording::Recorder;
use quorate_node::{Node, NodeConfig, Refusal, Reply, Request};
use quorate_storage::backup::Origin;

use crate::announce::announce;
use crate::backups::Backups;
use crate::compare::{Divergence, compare};
use crate::context::{Context, Identity, Limits};
use crate::driver::{Driver, DriverEnd};
use crate::handle::Answer;
use crate::http;
use crate::inspector::Inspector;
use crate::metrics::Metrics;
use crate::net::Net;
use crate::peers::{Inbound, Links};
use crate::runtime::{Runtime, race, timeout_at};
use crate::shutdown::Shutdown;
use crate::storage_port::{StorageLine, StoragePort};
use crate::telemetry::Telemetry;
use crate::tokens::Guard;
use crate::watch;
use crate::watching::Watches;

/// How long a node that ends still serves as ever, at most: long enough for busy clients to be told with an answer that
/// they should not keep their connections.
const FAREWELL: Duration = Duration::from_millis(250);

/// The pause between two looks for a successor.
const SUCCESSOR_PAUSE: Duration = Duration::from_millis(20);

/// How long a graceful end waits for requests in progress.
const DRAIN: Duration = Duration::from_secs(10);

/// How long it then waits for the answers of those who were still waiting for something.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long it then waits for the storage. A disk that hangs must not keep a process for ever: what it was asked to
/// write was never acknowledged.
const STORAGE: Duration = Duration::from_secs(10);

/// What a server is made of.
pub struct Parts<R, N: Net> {
    /// Settings of the node.
    pub config: NodeConfig,
    /// Time, tasks and randomness.
    pub runtime: R,
    /// The network.
    pub net: N,
    /// The line to the storage, which runs already.
    pub storage: StoragePort,
    /// What the storage found when it was opened.
    pub found: Found,
    /// The names in `node.toml`.
    pub identity: Identity,
    /// What this node advertises.
    pub contact: Contact,
    /// Bounds on what HTTP takes in.
    pub limits: Limits,
    /// Peers' connections, being accepted already.
    pub inbound: Inbound,
    /// Where HTTP connections arrive.
    pub http: N::Listener,
    /// Who asks HTTP clients for tokens; without it, nobody does.
    pub guard: Option<Arc<Guard>>,
    /// Whether a new node is taken in without a join token.
    pub joins_are_open: bool,
    /// Who looks over the node's shoulder: nobody in production.
    pub inspector: Option<Box<dyn Inspector>>,
    /// What is counted and measured.
    pub metrics: Metrics,
    /// Where requests leave their spans.
    pub telemetry: Telemetry,
}

/// A running server.
#[derive(Debug)]
pub struct Server<R, N> {
    /// What all its parts know.
    pub context: Arc<Context<R, N>>,
    /// Set when the driver has ended.
    end: watch::Receiver<Option<DriverEnd>>,
    /// Whether HTTP connections are still accepted.
    accepts: watch::Receiver<bool>,
    /// How long leadership may take to be handed over.
    hand_over_limit: Duration,
}

impl<R: Runtime, N: Net> Server<R, N> {
    /// Starts the driver and HTTP. They run on their own; dropping the server does not end them.
    pub fn start(parts: Parts<R, N>) -> Result<Self, OpenError> {
        let Parts { config, runtime, net, storage, found, identity, contact, .. } = parts;
        let Parts { limits, inbound, http, guard, joins_are_open, inspector, metrics, telemetry, .. } = parts;
        // The core gives a hand-over up after one election timeout, and a successor then has to be heard.
        let election_timeout = config.raft.election_timeout;
        let hand_over_limit = election_timeout * 3 / 2;
        let settings = config.settings;
        let metrics = Arc::new(metrics);
        metrics.starts_with(found.snapshot.as_ref());
        let node = Node::open(config, found, runtime.now())?;
        let Inbound { local, deliver, events, counters } = inbound;
        local.settle(identity);
        let links =
            Links::new(runtime.clone(), net.clone(), local, deliver, Arc::clone(&counters), election_timeout);
        let disk = Arc::clone(&storage.health);
        let Identity { cluster, history, .. } = identity;
        let origin = Origin { cluster, history };
        let line = StorageLine::new(&storage.jobs);
        let backups = Backups::new(line.clone(), origin, limits.backup_bytes_per_second);
        let watches = Arc::<Watches>::default();
        let recorder =
            (limits.flight_recorder_bytes > 0).then(|| Recorder::new(limits.flight_recorder_bytes));
        let observers = (inspector, recorder);
        let tellers = (Arc::clone(&metrics), Arc::clone(&watches));
        let (driver, handle) = Driver::new(runtime.clone(), node, storage, events, links, observers, tellers);
        let shutdown = Shutdown::default();
        let divergence = watch::Sender::new(None);
        let context = Arc::new(Context {
            runtime,
            net,
            handle,
            identity,
            contact,
            limits,
            settings,
            disk,
            storage: line,
            guard,
            joins_are_open,
            backups,
            counters,
            metrics,
            telemetry,
            divergence,
            shutdown,
            watches,
        });
        let (end_sender, end) = watch::channel(None);
        let watches = Arc::clone(&context.watches);
        context.runtime.spawn(async move {
            let ended = driver.run().await;
            // Nobody tells them anything any more.
            watches.close();
            end_sender.replace(Some(ended));
        });
        let (accepts_sender, accepts) = watch::channel(true);
        let serve = http::serve(Arc::clone(&context), http);
        context.runtime.spawn(async move {
            serve.await;
            accepts_sender.replace(false);
        });
        context.runtime.spawn(announce(Arc::clone(&context)));
        context.runtime.spawn(compare(Arc::clone(&context)));
        Ok(Server { context, end, accepts, hand_over_limit })
    }

    /// Ready when the driver has ended, which it does by itself only when it must.
    pub async fn ended(&self) -> DriverEnd {
        let mut end = self.end.clone();
        // A driver that ended without a word was dropped with its runtime, or panicked.
        end.wait_for(Option::is_some).await.ok().flatten().unwrap_or(DriverEnd::NodeFailed)
    }

    /// How this node's state differs from that of a majority, if that was found out: the driver has ended for it.
    pub fn divergence(&self) -> Option<Divergence> {
        self.context.divergence.current()
    }

    /// Ends in good order: hands leadership over while it serves on, then takes no new requests, finishes those in
    /// progress, then the node, then its storage, then the sending of traces. The membership stays as it is. Returns
    /// once all is done, or its time is up.
    pub async fn stop(&self) -> DriverEnd {
        let runtime = &self.context.runtime;
        self.context.shutdown.leave();
        match self.hand_over().await {
            Some(leader) => tracing::info!(%leader, "leadership was handed over"),
            None => tracing::debug!("there was no leadership to hand over, or nobody to take it"),
        }
        // It may be elected again: by votes that were under way, or because another that ends chose it.
        let _ = race(self.drain(), self.hand_over_again()).await;
        let stop = async {
            self.context.handle.stop().await;
            self.ended().await
        };
        let ended = timeout_at(runtime, runtime.now() + STORAGE, stop).await.unwrap_or_else(|_| {
            tracing::error!("the storage did not finish within {} s", STORAGE.as_secs());
            DriverEnd::StorageFailed
        });
        self.context.telemetry.flush(runtime).await;
        ended
    }

    /// Lets the requests in progress come to their end: for a moment while new ones are still taken, then for
    /// [`DRAIN`].
    async fn drain(&self) {
        let Context { runtime, shutdown, .. } = &*self.context;
        let _ = timeout_at(runtime, runtime.now() + FAREWELL, shutdown.drained()).await;
        shutdown.begin();
        let mut accepts = self.accepts.clone();
        let drained = async {
            // The sender does not go before it has spoken.
            let _ = accepts.wait_for(|accepts| !accepts).await;
            shutdown.drained().await;
        };
        let mut drained = std::pin::pin!(drained);
        if timeout_at(runtime, runtime.now() + DRAIN, drained.as_mut()).await.is_ok() {
            return;
        }
        shutdown.call_last();
        if timeout_at(runtime, runtime.now() + LAST_ANSWERS, drained).await.is_err() {
            tracing::warn!("requests in progress were cut off after {} s", (DRAIN + LAST_ANSWERS).as_secs());
        }
    }

    /// Hands leadership over whenever this node has it, and never ends.
    async fn hand_over_again(&self) {
        let mut view = self.context.handle.view();
        loop {
            if view.look().leader == Some(self.context.identity.node) && self.has_others() {
                self.hand_over().await;
                self.context.runtime.sleep(SUCCESSOR_PAUSE).await;
            } else if view.changed().await.is_err() {
                // The node has ended; what is left to do is not to be ended by that.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Hands leadership over, so that the end of this node costs no election timeout. A successor that still catches up
    /// is waited for, within the limit. Gives the new leader, when this node led and there is one.
    async fn hand_over(&self) -> Option<NodeId> {
        let Context { runtime, handle, .. } = &*self.context;
        let deadline = runtime.now() + self.hand_over_limit;
        while runtime.now() < deadline {
            match handle.request(Request::Transfer(None), deadline).await {
                Answer::Reply(Reply::Transferred { leader }) => return Some(leader),
                Answer::Reply(Reply::Refused(Refusal::NoSuccessor)) if self.has_others() => {
                    runtime.sleep(SUCCESSOR_PAUSE).await;
                }
                Answer::Overloaded => runtime.sleep(SUCCESSOR_PAUSE).await,
                _ => return None,
            }
        }
        None
    }

    fn has_others(&self) -> bool {
        let view = self.context.handle.view().current();
        view.members.voters.iter().any(|id| *id != view.id)
    }
}
