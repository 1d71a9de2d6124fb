//! Who is told of what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;
use quorate_node::kv::{EventId, Kv, Revision};

use super::filter::{Watch, before, end_of, next_revision};
use super::frame::Event;
use super::index::Index;
use super::pages::Pages;
use super::recent::Recent;

/// How much of something is kept at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// What may wait for one watcher; one event may always.
const QUEUE: Bound = Bound { events: 256, bytes: 256 << 10 };

/// What is kept of the last turns.
const RECENT: Bound = Bound { events: 4096, bytes: 4 << 20 };

/// An empty queue keeps room for so many events.
const KEPT_ROOM: usize = 8;

/// Names a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WatcherId(pub(super) u64);

/// All watchers of this node.
#[derive(Debug)]
pub struct Watches {
    state: Mutex<State>,
    pub(super) pages: Arc<Pages>,
    pub(super) delivered: AtomicU64,
    pub(super) resets: AtomicU64,
    overflows: AtomicU64,
}

/// A place among the watchers, for who is told of something else than keys, until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Watches>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.lock().seats -= 1;
    }
}

/// How the watchers of a node stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchCounts {
    /// How many there are.
    pub watchers: usize,
    /// How many of them have fallen behind, or asked for the past, and are not level yet.
    pub behind: usize,
    /// How many events wait in queues.
    pub queued: usize,
    /// How many events were sent, ever.
    pub delivered: u64,
    /// How often a queue was full, ever.
    pub overflows: u64,
    /// How many watchers were told to begin anew, ever.
    pub resets: u64,
}

/// Why a watcher reads history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It asked for the past.
    Asked,
    /// It did not take what was in its queue.
    Slow,
    /// This node has changes that were made at once, and was told only the result.
    Jumped,
}

/// What there is for a watcher.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given {
    Frame(Bytes),
    /// Nothing yet: it will be woken.
    Nothing,
    /// Nothing more: it has to read what is behind this place.
    ReadOn {
        after: EventId,
        cause: Cause,
    },
    /// Nothing ever: the node ends.
    Closed,
}

/// Invariants: all events up to `position` were told; `index` has the watchers that are live, and no others.
#[derive(Debug)]
struct State {
    queue: Bound,
    position: Revision,
    next_id: u64,
    watchers: BTreeMap<WatcherId, Watcher>,
    /// How many places are taken by others.
    seats: usize,
    index: Index,
    recent: Recent,
    closed: bool,
}

/// Invariants: it was given, or has in its queue, all that it wants up to `after`, or, while live, up to the hub's
/// position; `queue_bytes` is the length of all in `queue`.
#[derive(Debug)]
struct Watcher {
    watch: Arc<Watch>,
    after: EventId,
    place: Place,
    queue: VecDeque<Bytes>,
    queue_bytes: usize,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Place {
    Live,
    Behind(Cause),
}

impl Default for Watches {
    fn default() -> Watches {
        Watches::bounded(QUEUE, RECENT)
    }
}

impl Watches {
    pub(super) fn bounded(queue: Bound, recent: Bound) -> Watches {
        let state = State {
            queue,
            position: Revision::ZERO,
            next_id: 0,
            watchers: BTreeMap::new(),
            seats: 0,
            index: Index::default(),
            recent: Recent::new(recent),
            closed: false,
        };
        Watches {
            state: Mutex::new(state),
            pages: Arc::default(),
            delivered: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
        }
    }

    /// How they stand.
    pub fn counts(&self) -> WatchCounts {
        let state = self.lock();
        let watchers = || state.watchers.values();
        WatchCounts {
            watchers: state.places(),
            behind: watchers().filter(|watcher| matches!(watcher.place, Place::Behind(_))).count(),
            queued: watchers().map(|watcher| watcher.queue.len()).sum(),
            delivered: self.delivered.load(Ordering::Relaxed),
            overflows: self.overflows.load(Ordering::Relaxed),
            resets: self.resets.load(Ordering::Relaxed),
        }
    }

    /// All events up to here were told.
    pub(crate) fn position(&self) -> Revision {
        self.lock().position
    }

    /// The driver's turn is over, and this is the store now.
    pub(crate) fn publish(&self, kv: &Kv) {
        let mut wakers = Vec::new();
        let overflows = {
            let mut state = self.lock();
            if state.position == kv.revision() {
                return;
            }
            state.advance(kv, &mut wakers)
        };
        self.overflows.fetch_add(overflows, Ordering::Relaxed);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Nothing more is told: the node ends. What is in queues is still given.
    pub(crate) fn close(&self) {
        let mut wakers = Vec::new();
        {
            let mut state = self.lock();
            state.closed = true;
            wakers.extend(state.watchers.values_mut().filter_map(|watcher| watcher.waker.take()));
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// A watcher of what is behind a place; without one, of what is told from now on. Also where the hub is.
    pub(super) fn register(
        &self,
        watch: &Arc<Watch>,
        after: Option<EventId>,
        most: usize,
    ) -> Option<(WatcherId, Revision)> {
        let mut state = self.lock();
        if state.places() >= most {
            return None;
        }
        let id = WatcherId(state.next_id);
        state.next_id += 1;
        let position = state.position;
        let after = after.unwrap_or(end_of(position));
        let watcher = Watcher {
            watch: Arc::clone(watch),
            after,
            place: Place::Behind(Cause::Asked),
            queue: VecDeque::new(),
            queue_bytes: 0,
            waker: None,
        };
        state.watchers.insert(id, watcher);
        state.join(id, after);
        Some((id, position))
    }

    /// A place for who is told of something else than keys, if there is one.
    pub(crate) fn seat(self: &Arc<Self>, most: usize) -> Option<Seat> {
        let mut state = self.lock();
        if state.places() >= most {
            return None;
        }
        state.seats += 1;
        Some(Seat(Arc::clone(self)))
    }

    /// The watcher has been given all up to a place. Whether the hub tells it what comes behind that: else it has to
    /// read on.
    pub(super) fn join(&self, id: WatcherId, after: EventId) -> bool {
        self.lock().join(id, after)
    }

    /// What there is for the watcher now.
    pub(super) fn take(&self, id: WatcherId, context: &Context<'_>) -> Given {
        let mut state = self.lock();
        let closed = state.closed;
        let watcher = state.watchers.get_mut(&id).expect("a watcher is there until it is removed");
        if let Some(frame) = watcher.take_frame() {
            return Given::Frame(frame);
        }
        if closed {
            return Given::Closed;
        }
        match watcher.place {
            Place::Behind(cause) => Given::ReadOn { after: watcher.after, cause },
            Place::Live => {
                if !watcher.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    watcher.waker = Some(context.waker().clone());
                }
                Given::Nothing
            }
        }
    }

    pub(super) fn remove(&self, id: WatcherId) {
        let mut state = self.lock();
        if let Some(watcher) = state.watchers.remove(&id) {
            state.index.remove(&watcher.watch.scope, id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many places are taken.
    fn places(&self) -> usize {
        self.watchers.len() + self.seats
    }

    /// Tells what is new in `kv`. How many queues were full.
    fn advance(&mut self, kv: &Kv, wakers: &mut Vec<Waker>) -> u64 {
        let newest = kv.revision();
        let mut overflows = 0;
        if self.watchers.is_empty() {
            self.recent.restart(newest);
        } else {
            match kv.changes(next_revision(end_of(self.position))) {
                Ok(changes) => {
                    for change in changes {
                        overflows += self.tell(Event::new(change), wakers);
                    }
                }
                // A checkpoint took the place of the log, or more was changed in one turn than is kept.
                Err(_) => self.jump(newest, wakers),
            }
        }
        self.position = newest;
        overflows
    }

    fn tell(&mut self, mut event: Event, wakers: &mut Vec<Waker>) -> u64 {
        let mut full = Vec::new();
        let key = Arc::clone(event.key());
        for id in self.index.watchers(&key) {
            let watcher = self.watchers.get_mut(&id).expect("the index has only watchers that there are");
            if !watcher.watch.wants_kind(event.kind()) {
                continue;
            }
            if !watcher.put(&mut event, self.queue) {
                full.push(id);
            }
            wakers.extend(watcher.waker.take());
        }
        for id in &full {
            self.index.remove(&self.watchers[id].watch.scope, *id);
        }
        self.recent.push(event);
        full.len() as u64
    }

    fn jump(&mut self, newest: Revision, wakers: &mut Vec<Waker>) {
        let position = end_of(self.position);
        for watcher in self.watchers.values_mut().filter(|watcher| matches!(watcher.place, Place::Live)) {
            watcher.after = watcher.after.max(position);
            watcher.place = Place::Behind(Cause::Jumped);
            wakers.extend(watcher.waker.take());
        }
        self.index = Index::default();
        self.recent.restart(newest);
    }

    fn join(&mut self, id: WatcherId, after: EventId) -> bool {
        let Some(events) = self.recent.after(after) else { return false };
        let watcher = self.watchers.get_mut(&id).expect("a watcher is there until it is removed");
        watcher.after = after;
        watcher.place = Place::Live;
        let watch = Arc::clone(&watcher.watch);
        for event in events.filter(|event| watch.wants(event.key(), event.kind())) {
            // When there is no room for all, it reads on after these.
            if !watcher.put(event, self.queue) {
                return true;
            }
        }
        self.index.insert(&watcher.watch.scope, id);
        true
    }
}

impl Watcher {
    /// Puts an event that is wanted into the queue. When there is no room the watcher is behind from here on: false.
    fn put(&mut self, event: &mut Event, most: Bound) -> bool {
        if event.id() <= self.after {
            return true;
        }
        let frame = event.frame(self.watch.previous);
        let has_room = self.queue_bytes + frame.len() <= most.bytes && self.queue.len() < most.events;
        if !has_room && !self.queue.is_empty() {
            self.after = before(event.id());
            self.place = Place::Behind(Cause::Slow);
            return false;
        }
        self.queue_bytes += frame.len();
        self.queue.push_back(frame);
        true
    }

    fn take_frame(&mut self) -> Option<Bytes> {
        let frame = self.queue.pop_front()?;
        self.queue_bytes -= frame.len();
        if self.queue.is_empty() {
            self.queue.shrink_to(KEPT_ROOM);
        }
        Some(frame)
    }
}
