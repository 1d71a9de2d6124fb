//! A lease that is kept alive in the background.
//!
//! What makes it a lease is that its holder knows when to stop. The time counts from when the last keep-alive that was
//! answered was *sent*: the cluster can't have begun to count before that. When three quarters of the time to live
//! have passed without an answer, the lease is given up as lost, and the last quarter is for the holder to end what it
//! was doing before anybody else can begin.

use crate::client::{Client, PAUSE};
use crate::entry::LeaseId;
use crate::error::ClientError;
use crate::lease::Lease;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A lease that lives until this is dropped, and a time to live longer; or until [`KeptLease::lost`].
#[derive(Debug)]
pub struct KeptLease {
    client: Client,
    lease: Lease,
    state: watch::Receiver<State>,
    keeper: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct State {
    /// It certainly lives until then, unless it was revoked.
    lives_until: Instant,
    /// Why it is lost, when it is.
    lost: Option<String>,
}

impl KeptLease {
    pub(crate) fn start(client: &Client, lease: Lease, granted_at: Instant) -> Self {
        let (told, state) = watch::channel(State { lives_until: granted_at + lease.ttl, lost: None });
        // A keep-alive that hangs must leave time for the next one.
        let keeping = client.with_timeout(client.timeout().min(lease.ttl / 4));
        let keeper = tokio::spawn(keep(keeping, lease.clone(), granted_at, told));
        Self { client: client.clone(), lease, state, keeper }
    }

    /// Its name.
    pub fn id(&self) -> &LeaseId {
        &self.lease.id
    }

    /// How long it lives without being kept alive.
    pub fn ttl(&self) -> Duration {
        self.lease.ttl
    }

    /// Until when it certainly lives, unless somebody revokes it.
    pub fn lives_until(&self) -> Instant {
        self.state.borrow().lives_until
    }

    /// Whether it is known to be lost, or must be taken for it.
    pub fn is_lost(&self) -> bool {
        self.state.borrow().lost.is_some()
    }

    /// Waits until the lease is lost, and tells why: the cluster says so, or did not answer for three quarters of the
    /// time to live.
    pub async fn lost(&mut self) -> String {
        let lost = self.state.wait_for(|state| state.lost.is_some()).await;
        let why = lost.ok().and_then(|state| state.lost.clone());
        // The keeper says why before it ends, unless it was ended.
        why.unwrap_or_else(|| "nobody keeps it alive any more".to_owned())
    }

    /// Ends it, and deletes its keys.
    ///
    /// # Errors
    /// As [`Client::revoke`]; that it has ended already is no error.
    pub async fn revoke(self) -> Result<(), ClientError> {
        self.keeper.abort();
        match self.client.revoke(&self.lease.id).await {
            Err(ClientError::LeaseNotFound(_)) => Ok(()),
            revoked => revoked,
        }
    }
}

impl Drop for KeptLease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(client: Client, lease: Lease, granted_at: Instant, told: watch::Sender<State>) {
    let (mut confirmed_at, mut problem) = (granted_at, None);
    let mut next = granted_at + lease.ttl / 3;
    loop {
        let given_up_at = confirmed_at + lease.ttl * 3 / 4;
        tokio::time::sleep_until(next.min(given_up_at).into()).await;
        let asked_at = Instant::now();
        let left = given_up_at.saturating_duration_since(asked_at);
        let kept = tokio::time::timeout(left, client.keep_alive(&lease.id)).await;
        match kept {
            Ok(Ok(_)) => {
                (confirmed_at, problem) = (asked_at, None);
                next = asked_at + lease.ttl / 3;
                told.send_modify(|state| state.lives_until = asked_at + lease.ttl);
                continue;
            }
            Ok(Err(error @ ClientError::LeaseNotFound(_))) => {
                told.send_modify(|state| state.lost = Some(error.to_string()));
                return;
            }
            Ok(Err(error)) => problem = Some(error.to_string()),
            Err(_) => {}
        }
        next = Instant::now() + PAUSE.max(lease.ttl / 20);
        if Instant::now() >= given_up_at {
            let why = problem.unwrap_or_else(|| "no answer came".to_owned());
            let why = format!("it could not be kept alive for {:?}: {why}", lease.ttl * 3 / 4);
            told.send_modify(|state| state.lost = Some(why));
            return;
        }
    }
}
