//! One who looks at the cluster for all who look on.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use quorate_client::Overview;

use super::look::{Counted, look};
use crate::context::Context;
use crate::net::Net;
use crate::runtime::{Either, Runtime, race};
use crate::watch;

/// The time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The least time between two looks, when a change of leaders makes for one in between.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// Where those who look on find the one who looks for them.
#[derive(Debug, Default)]
pub(crate) struct Overviews {
    live: Mutex<Weak<Live>>,
}

/// What was seen last. Who looks holds it, and lets go for an instant after each pause: when nobody else has it then,
/// nobody looks on any more.
#[derive(Debug)]
struct Live {
    seen: watch::Sender<Seen>,
}

#[derive(Clone, Debug)]
enum Seen {
    Nothing,
    /// An event, as it is sent.
    Now(Bytes),
    /// Nothing more comes: this node has stopped.
    Over,
}

/// Somebody who looks on. What they do not take in time they miss: they are always given the newest.
#[derive(Debug)]
pub(crate) struct Onlooker {
    _live: Arc<Live>,
    seen: watch::Receiver<Seen>,
    is_new: bool,
}

impl Overviews {
    /// One more who looks on.
    pub(crate) fn join<R: Runtime, N: Net>(&self, context: &Arc<Context<R, N>>) -> Onlooker {
        let mut present = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let live = present.upgrade().unwrap_or_else(|| {
            let live = Arc::new(Live { seen: watch::Sender::new(Seen::Nothing) });
            *present = Arc::downgrade(&live);
            context.runtime.spawn(look_on(Arc::clone(context), Arc::clone(&live)));
            live
        });
        Onlooker { seen: live.seen.subscribe(), _live: live, is_new: true }
    }
}

impl Onlooker {
    /// The next event; none when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !std::mem::take(&mut self.is_new) {
                self.seen.changed().await.ok()?;
            }
            match self.seen.look() {
                Seen::Nothing => {}
                Seen::Now(event) => return Some(event),
                Seen::Over => return None,
            }
        }
    }
}

/// Looks until nobody looks on, or this node has stopped.
async fn look_on<R: Runtime, N: Net>(context: Arc<Context<R, N>>, mut live: Arc<Live>) {
    let mut counted = Counted::default();
    let mut views = context.handle.view();
    loop {
        let overview = look(&context, &mut counted).await;
        let is_over = overview.is_none();
        live.seen.replace(overview.map_or(Seen::Over, |overview| Seen::Now(event(&overview))));
        if is_over {
            return;
        }
        context.runtime.sleep(LEAST_PAUSE).await;
        // An election shows at once.
        if let Either::Right(Err(_)) = race(context.runtime.sleep(PAUSE - LEAST_PAUSE), views.changed()).await
        {
            // The driver is gone: the next look tells.
            context.runtime.sleep(LEAST_PAUSE).await;
        }
        // Whoever came meanwhile found this one: there are never two.
        let left = Arc::downgrade(&live);
        drop(live);
        let Some(still) = left.upgrade() else { return };
        live = still;
    }
}

/// As a Server-Sent Event.
fn event(overview: &Overview) -> Bytes {
    let json =
        serde_json::to_string(overview).expect("structs with fields of text and numbers are always JSON");
    Bytes::from(format!("event: overview\ndata: {json}\n\n"))
}
