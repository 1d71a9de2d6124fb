//! A connection that is dialed, and dialed again.

use std::sync::Arc;
use std::time::Duration;

use quorate_node::raft::NodeId;
use quorate_node::wire::hello::Purpose;
use tracing::{debug, info, warn};

use super::delivery::Delivery;
use super::handshake::{Call, call};
use super::queue::Queue;
use super::session::{Heard, Session, SessionEnd};
use super::{Local, PeerCounters, PeerEvent};
use crate::net::Net;
use crate::runtime::Runtime;

/// How long dialing and the handshake may take together.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause after a first failure, doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The task behind one outgoing link. It dials when something waits, so a peer to whom nothing is to be said is left
/// in peace, and ends when its queue is closed.
pub(super) struct Link<R, N> {
    pub(super) runtime: R,
    pub(super) net: N,
    pub(super) local: Arc<Local>,
    pub(super) peer: NodeId,
    pub(super) address: String,
    pub(super) queue: Arc<Queue>,
    pub(super) deliver: Delivery,
    pub(super) counters: Arc<PeerCounters>,
}

impl<R: Runtime, N: Net> Link<R, N> {
    pub(super) async fn run(self) {
        let mut failures = 0;
        // What was last said about this peer, so that a peer that stays away costs one line, not one a second.
        let mut said = None;
        while std::future::poll_fn(|context| self.queue.poll_waiting(context)).await {
            let trouble = match self.connect_and_talk(&mut failures, &mut said).await {
                Ok(SessionEnd::Unwanted) => return,
                Ok(end) => end.to_string(),
                Err(error) => error.to_string(),
            };
            self.counters.broken_links.count();
            // What waits will be stale by the time the peer is back; Raft sends what is then needed.
            self.queue.clear();
            // A driver that lags will learn of it from missing answers.
            self.deliver.try_event(PeerEvent::Unreachable(self.peer));
            if said.as_ref() == Some(&trouble) {
                debug!(peer = %self.peer, address = self.address, trouble, "no link to a peer");
            } else {
                warn!(peer = %self.peer, address = self.address, trouble, "no link to a peer");
                said = Some(trouble);
            }
            self.runtime.sleep(pause(failures, self.runtime.random())).await;
            failures = failures.saturating_add(1);
        }
    }

    async fn connect_and_talk(
        &self,
        failures: &mut u32,
        said: &mut Option<String>,
    ) -> Result<SessionEnd, super::handshake::HandshakeError> {
        let deadline = self.runtime.now() + PATIENCE;
        let wanted = Call { purpose: Purpose::Peer, peer: self.peer, address: &self.address, deadline };
        let (stream, decoder) = call(&self.runtime, &self.net, &self.local, &wanted).await?;
        info!(peer = %self.peer, address = self.address, "link to a peer");
        self.counters.connections.count();
        *failures = 0;
        *said = None;
        let session = Session {
            runtime: &self.runtime,
            local: &self.local,
            peer: self.peer,
            queue: &self.queue,
            deliver: &self.deliver,
            counters: &self.counters,
            heard: Heard::default(),
        };
        self.queue.set_connected(true);
        let end = session.run(stream, decoder).await;
        self.queue.set_connected(false);
        if end.is_malformed() {
            self.counters.malformed_frames.count();
        }
        Ok(end)
    }
}

/// Exponential, with the upper half at random, so that nodes that lost each other do not meet in step.
fn pause(failures: u32, random: u64) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    let half = longest / 2;
    half + Duration::from_micros(random % u64::try_from(half.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_their_bounds() {
        for random in [0, 1, u64::MAX / 3, u64::MAX] {
            assert!((25..50).contains(&pause(0, random).as_millis()));
            assert!((50..100).contains(&pause(1, random).as_millis()));
            assert!((500..1000).contains(&pause(5, random).as_millis()));
            assert!((500..1000).contains(&pause(u32::MAX, random).as_millis()));
        }
    }
}
