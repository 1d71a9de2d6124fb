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

/// Where those who look on find what is seen for them.
#[derive(Debug, Default)]
pub(crate) struct Overviews {
    live: Mutex<Weak<Live>>,
}

/// What those who look on share. Who looks for them holds it, too, and lets go for an instant after each pause: when
/// nobody else has it then, nobody looks on any more.
///
/// Nobody but who looks can say anything: when they are gone, whatever they have died of, all others hear the end.
#[derive(Debug)]
struct Live {
    /// The event that was seen last, as it is sent; none before the first.
    seen: watch::Receiver<Option<Bytes>>,
}

/// One who looks for all.
struct Looker {
    seen: watch::Sender<Option<Bytes>>,
    live: Arc<Live>,
}

/// Somebody who looks on. What they do not take in time they miss: they are always given the newest.
#[derive(Debug)]
pub(crate) struct Onlooker {
    _live: Arc<Live>,
    seen: watch::Receiver<Option<Bytes>>,
}

impl Overviews {
    /// One more who looks on.
    pub(crate) fn join<R: Runtime, N: Net>(&self, context: &Arc<Context<R, N>>) -> Onlooker {
        self.join_or(|looker| context.runtime.spawn(looker.look_on(Arc::clone(context))))
    }

    /// The same; where nobody looks, or nobody any more, `begin` has somebody do it.
    fn join_or(&self, begin: impl FnOnce(Looker)) -> Onlooker {
        let mut present = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let live = present.upgrade().filter(|live| !live.seen.is_closed()).unwrap_or_else(|| {
            let (sender, seen) = watch::channel(None);
            let live = Arc::new(Live { seen });
            *present = Arc::downgrade(&live);
            begin(Looker { seen: sender, live: Arc::clone(&live) });
            live
        });
        // It has seen nothing yet, so what was seen last is the first that it is given.
        Onlooker { seen: live.seen.clone(), _live: live }
    }
}

impl Onlooker {
    /// The next event; none when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        self.seen.changed().await.ok()?;
        self.seen.look()
    }
}

impl Looker {
    /// Looks until nobody looks on, or this node has stopped.
    async fn look_on<R: Runtime, N: Net>(self, context: Arc<Context<R, N>>) {
        let Looker { seen, mut live } = self;
        let mut counted = Counted::default();
        let mut views = context.handle.view();
        while let Some(overview) = look(&context, &mut counted).await {
            seen.replace(Some(event(&overview)));
            context.runtime.sleep(LEAST_PAUSE).await;
            // An election shows at once.
            let rest = context.runtime.sleep(PAUSE - LEAST_PAUSE);
            if let Either::Right(Err(_)) = race(rest, views.changed()).await {
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
}

/// As a Server-Sent Event.
fn event(overview: &Overview) -> Bytes {
    let json =
        serde_json::to_string(overview).expect("structs with fields of text and numbers are always JSON");
    Bytes::from(format!("event: overview\ndata: {json}\n\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::pin::pin;
    use std::task::{Context as Waking, Poll, Waker};

    /// Polls once, without a runtime.
    fn next(onlooker: &mut Onlooker) -> Poll<Option<Bytes>> {
        pin!(onlooker.next()).poll(&mut Waking::from_waker(Waker::noop()))
    }

    /// 1. Whoever looks for all dies of a bug, between two events.
    /// 2. All who look on hear the end, so that they can come again.
    /// 3. The first who does has somebody else look.
    #[test]
    fn when_the_looker_dies_all_hear_the_end_and_the_next_onlooker_has_another_look() {
        let (overviews, mut looker) = (Overviews::default(), None);
        let mut first = overviews.join_or(|begun| looker = Some(begun));
        let mut second = overviews.join_or(|_| panic!("somebody looks already"));
        assert_eq!(next(&mut first), Poll::Pending);
        looker.as_ref().unwrap().seen.replace(Some(Bytes::from_static(b"1")));
        drop(looker.take());
        assert_eq!(next(&mut first), Poll::Ready(Some(Bytes::from_static(b"1"))));
        assert_eq!(next(&mut first), Poll::Ready(None));

        let mut third = overviews.join_or(|begun| looker = Some(begun));
        looker.as_ref().unwrap().seen.replace(Some(Bytes::from_static(b"2")));
        assert_eq!(next(&mut third), Poll::Ready(Some(Bytes::from_static(b"2"))));
        assert_eq!(next(&mut third), Poll::Pending);
        assert_eq!(next(&mut second), Poll::Ready(Some(Bytes::from_static(b"1"))), "it took its time");
        assert_eq!(next(&mut second), Poll::Ready(None));
    }
}
