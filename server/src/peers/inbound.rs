//! Connections that arrive.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_node::raft::NodeId;
use quorate_node::wire::frame::FrameDecoder;
use quorate_node::wire::hello::{Hello, Purpose};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::{debug, info, warn};

use super::delivery::Delivery;
use super::handshake::welcome;
use super::queue::Queue;
use super::session::{Heard, Session};
use super::{Local, PeerCounters, PeerEvent};
use crate::net::{Listener, Net};
use crate::runtime::{Either, Runtime, race, timeout_at};
use crate::said::Said;

/// How many connections may be open at once. A cluster needs one a member; the rest is room for strangers.
const CONNECTIONS: usize = 256;

/// How long a dialer may take to say hello.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause after a failed accept: mostly a lack of file descriptors, which does not pass by itself.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The receiving side of all peer links, running. It answers probes from the start, and peers as soon as it is settled
/// to which cluster the node belongs.
#[derive(Debug)]
pub struct Inbound {
    /// Who this node is.
    pub local: Arc<Local>,
    pub(crate) deliver: Delivery,
    pub(crate) events: mpsc::Receiver<PeerEvent>,
    pub(crate) counters: Arc<PeerCounters>,
}

impl Inbound {
    /// Starts to accept. It ends with whoever takes the events.
    pub fn start<R: Runtime, N: Net>(runtime: &R, listener: N::Listener, local: Local) -> Inbound {
        let (deliver, events) = Delivery::new();
        let local = Arc::new(local);
        let counters = Arc::new(PeerCounters::default());
        let door = Arc::new(Door {
            runtime: runtime.clone(),
            local: Arc::clone(&local),
            deliver: deliver.clone(),
            counters: Arc::clone(&counters),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            present: Mutex::default(),
            said: Said::default(),
        });
        runtime.spawn(door.accept::<N>(listener));
        Inbound { local, deliver, events, counters }
    }
}

struct Door<R> {
    runtime: R,
    local: Arc<Local>,
    deliver: Delivery,
    counters: Arc<PeerCounters>,
    places: Arc<Semaphore>,
    /// Who is connected. Dropping the sender ends that connection: a peer that dials again has lost the old one, even
    /// if this side has not noticed.
    present: Mutex<BTreeMap<NodeId, oneshot::Sender<()>>>,
    /// The last refusal that was logged.
    said: Said,
}

impl<R: Runtime> Door<R> {
    async fn accept<N: Net>(self: Arc<Self>, mut listener: N::Listener) {
        loop {
            match race(self.deliver.closed(), listener.accept()).await {
                Either::Left(()) => return,
                Either::Right(Ok((stream, from))) => {
                    self.runtime.spawn(Arc::clone(&self).receive::<N>(stream, from));
                }
                Either::Right(Err(error)) => {
                    warn!(%error, "could not accept a peer's connection");
                    self.runtime.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn receive<N: Net>(self: Arc<Self>, mut stream: N::Stream, from: SocketAddr) {
        let Ok(_place) = self.places.try_acquire() else {
            self.refuse(from, &format!("{CONNECTIONS} connections are open already"));
            return;
        };
        let deadline = self.runtime.now() + PATIENCE;
        match timeout_at(&self.runtime, deadline, welcome(&mut stream, &self.local)).await {
            Err(_) => self.refuse(from, "no hello in time"),
            Ok(Err(error)) => self.refuse(from, &error.to_string()),
            Ok(Ok((hello, decoder))) => match hello.purpose {
                Purpose::Probe => debug!(peer = %hello.from, "answered a probe"),
                Purpose::Peer => self.talk::<N>(stream, decoder, &hello).await,
            },
        }
    }

    async fn talk<N: Net>(&self, stream: N::Stream, decoder: FrameDecoder, hello: &Hello) {
        let (presence, mut superseded) = oneshot::channel();
        self.present().insert(hello.from, presence);
        let queue = Arc::new(Queue::default());
        let connected = PeerEvent::Connected { peer: hello.from, replies: Arc::clone(&queue) };
        if self.deliver.event(connected).await.is_err() {
            return;
        }
        let session = Session {
            runtime: &self.runtime,
            local: &self.local,
            peer: hello.from,
            queue: &queue,
            deliver: &self.deliver,
            counters: &self.counters,
            heard: Heard::default(),
        };
        let unwanted = race(&mut superseded, self.deliver.closed());
        if let Either::Right(end) = race(unwanted, session.run(stream, decoder)).await {
            if end.is_malformed() {
                self.counters.malformed_frames.count();
                warn!(peer = %hello.from, reason = %end, "closed a peer's connection");
            } else {
                info!(peer = %hello.from, reason = %end, "a peer's connection ended");
            }
        }
        queue.close();
        // What was said on it lately may be lost. A driver that lags will miss the answers.
        self.deliver.try_event(PeerEvent::Unreachable(hello.from));
        // Not when a newer connection of the same peer has taken the place.
        if superseded.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            self.present().remove(&hello.from);
        }
    }

    /// One line for each new reason; the same one over and over, as a dialer tries again, is only counted.
    fn refuse(&self, from: SocketAddr, reason: &str) {
        self.counters.refused_handshakes.count();
        if self.said.is_new(reason) {
            warn!(%from, reason, "refused a peer's connection");
        } else {
            debug!(%from, reason, "refused a peer's connection");
        }
    }

    fn present(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, oneshot::Sender<()>>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
