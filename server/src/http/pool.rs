//! Connections to the leader that are kept for the next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use quorate_node::raft::Time;

/// How many connections are kept. More may be in use at a time: one for each request that is being forwarded.
const MAX_IDLE: usize = 256;

/// How old the last use of a kept connection may be. Well below the time after which a server closes an idle
/// connection: a request written just then would be lost, and nobody could tell whether it was done.
const MAX_IDLE_TIME: Duration = Duration::from_secs(20);

/// One connection to a peer.
pub(crate) type Line = SendRequest<Full<Bytes>>;

/// The connections to *one* peer at a time that no request uses. Asking for another peer's forgets them: the leader
/// has changed.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    url: String,
    lines: Vec<(Line, Time)>,
}

/// A connection in use. Dropping it closes the connection; [`Lease::give_back`] keeps it.
pub(crate) struct Lease {
    line: Line,
    url: Arc<str>,
    used_at: Time,
    pool: Arc<Pool>,
}

impl Pool {
    /// A kept connection to `url`, the one used last. It may have been closed at the other end by now.
    pub(crate) fn take(self: &Arc<Self>, url: &Arc<str>, now: Time) -> Option<Lease> {
        let mut idle = self.lock();
        if *idle.url != **url {
            idle.lines.clear();
            idle.url = url.to_string();
        }
        while let Some((line, used_at)) = idle.lines.pop() {
            if now.since(used_at) > MAX_IDLE_TIME {
                idle.lines.clear();
            } else if !line.is_closed() {
                return Some(Lease { line, url: Arc::clone(url), used_at: now, pool: Arc::clone(self) });
            }
        }
        None
    }

    /// Takes up a new connection to `url`.
    pub(crate) fn lease(self: &Arc<Self>, line: Line, url: &Arc<str>, now: Time) -> Lease {
        Lease { line, url: Arc::clone(url), used_at: now, pool: Arc::clone(self) }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The connection.
    pub(crate) fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    /// Keeps the connection for another request: the last answer has arrived whole.
    pub(crate) fn give_back(self) {
        let mut idle = self.pool.lock();
        if *idle.url == *self.url && idle.lines.len() < MAX_IDLE && !self.line.is_closed() {
            idle.lines.push((self.line, self.used_at));
        }
    }
}
