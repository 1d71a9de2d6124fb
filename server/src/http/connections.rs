//! How many connections there are, and which one makes room for the next.
//!
//! 1. Somebody opens ten thousand connections and asks nothing, or begins a thousand requests and ends none.
//! 2. There are as many as `--max-connections` allows.
//! 3. Somebody else connects. The connection that has waited longest for a request is closed for them.
//!
//! So idle connections keep nobody out. Only when a request is under way on each of them is a newcomer refused; it is
//! told so, as long as not too many have to be told.
//!
//! | a connection is | from | and |
//! |---|---|---|
//! | idle | its beginning, and when its answer was handed to the system | makes room |
//! | busy | the head of a request | |
//! | answered | when all of an answer is in our own buffer: what a slow client has not taken yet would be cut off | |
//! | over | when it makes room | serves nobody any more |

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// So many more may be told that there are too many.
const MOST_REFUSED: usize = 256;

const IDLE: u8 = 0;
const BUSY: u8 = 1;
const ANSWERED: u8 = 2;
const OVER: u8 = 3;

/// All connections of a node.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    /// Counts how often a connection became idle.
    turns: Arc<AtomicU64>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Those that are served.
    lines: BTreeMap<u64, Arc<Line>>,
    /// How many of them are not to make room.
    kept: usize,
    /// How many others are told that there are too many.
    refused: usize,
    next: u64,
}

/// What is known of one connection, to those who serve it.
#[derive(Debug)]
pub(super) struct Line {
    state: AtomicU8,
    /// Its turn when it became idle: who has a lower one has been so for longer.
    idle_since: AtomicU64,
    turns: Arc<AtomicU64>,
    /// How many requests have begun on it.
    requests: AtomicU64,
    makes_room: Notify,
    is_refused: bool,
}

/// One connection's place, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
    line: Arc<Line>,
}

/// A request is under way, until all of its answer was given out.
#[derive(Debug)]
pub(super) struct Busy(Arc<Line>);

impl Connections {
    pub(super) fn new(most: usize) -> Connections {
        Connections { most, turns: Arc::default(), open: Mutex::default() }
    }

    /// A place for a new connection; none when there are far too many.
    pub(super) fn open(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.lock();
        let is_refused = open.kept >= self.most && !open.close_idlest();
        if is_refused && open.refused >= MOST_REFUSED {
            return None;
        }
        let line = Arc::new(Line {
            state: AtomicU8::new(IDLE),
            idle_since: AtomicU64::new(self.turns.fetch_add(1, Ordering::Relaxed)),
            turns: Arc::clone(&self.turns),
            requests: AtomicU64::new(0),
            makes_room: Notify::new(),
            is_refused,
        });
        let number = open.next;
        open.next += 1;
        if is_refused {
            open.refused += 1;
        } else {
            open.kept += 1;
            open.lines.insert(number, Arc::clone(&line));
        }
        Some(Place { connections: Arc::clone(self), number, line })
    }

    /// How many there are, without those who are only told that there are too many.
    pub(super) fn count(&self) -> usize {
        self.lock().kept
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the connection that has been idle for longest, if one is.
    fn close_idlest(&mut self) -> bool {
        loop {
            let idle = self.lines.values().filter(|line| line.state.load(Ordering::Relaxed) == IDLE);
            let Some(line) = idle.min_by_key(|line| line.idle_since.load(Ordering::Relaxed)) else {
                return false;
            };
            // A request may have come just now.
            if line.step(IDLE, OVER) {
                line.makes_room.notify_one();
                self.kept -= 1;
                return true;
            }
        }
    }
}

impl Line {
    fn step(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// All that was written on it is with the system now.
    pub(super) fn flushed(&self) {
        if self.state.load(Ordering::Relaxed) == ANSWERED {
            self.idle_since.store(self.turns.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
            // The next request may have come before.
            self.step(ANSWERED, IDLE);
        }
    }

    /// How many requests have begun on it, and whether one is under way.
    pub(super) fn progress(&self) -> (u64, bool) {
        (self.requests.load(Ordering::Acquire), self.state.load(Ordering::Acquire) == BUSY)
    }

    /// Whether an answer is on its way to the client.
    pub(super) fn is_answering(&self) -> bool {
        self.state.load(Ordering::Acquire) == ANSWERED
    }

    /// Ready when it is closed for somebody else.
    pub(super) async fn makes_room(&self) {
        self.makes_room.notified().await;
    }
}

impl Place {
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// A request has begun; none, when this connection makes room or should not be here.
    pub(super) fn begin(&self) -> Option<Busy> {
        self.line.requests.fetch_add(1, Ordering::AcqRel);
        let may = !self.line.is_refused && (self.line.step(IDLE, BUSY) || self.line.step(ANSWERED, BUSY));
        may.then(|| Busy(Arc::clone(&self.line)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        if self.line.is_refused {
            open.refused -= 1;
            return;
        }
        open.lines.remove(&self.number);
        // Whoever was closed for somebody else was counted out then.
        open.kept -= usize::from(self.line.state.load(Ordering::Relaxed) != OVER);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        assert!(self.0.step(BUSY, ANSWERED), "nothing else ends a request");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn answer(place: &Place) {
        drop(place.begin().unwrap());
        place.line().flushed();
    }

    fn is_closed(place: &Place) -> bool {
        pin!(place.line().makes_room()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_connection_that_is_idle_for_longest_makes_room() {
        let connections = Arc::new(Connections::new(3));
        let [first, second, third] = [(); 3].map(|()| connections.open().unwrap());
        answer(&first);
        let fourth = connections.open().unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(is_closed), [false, true, false, false]);
        assert!(second.begin().is_none(), "it is closed by now");
        drop(second);
        let fifth = connections.open().unwrap();
        assert_eq!([&first, &third, &fourth, &fifth].map(is_closed), [false, true, false, false]);
    }

    #[test]
    fn a_newcomer_is_refused_only_while_all_others_have_something_to_do() {
        let connections = Arc::new(Connections::new(2));
        let [first, second] = [(); 2].map(|()| connections.open().unwrap());
        let (of_first, of_second) = (first.begin().unwrap(), second.begin().unwrap());
        let third = connections.open().unwrap();
        assert!(third.begin().is_none());
        assert_eq!([&first, &second, &third].map(is_closed), [false; 3]);
        // Its answer is not with the system yet, of whatever client it is.
        drop(of_first);
        second.line().flushed();
        let refused = connections.open().unwrap();
        assert!(refused.begin().is_none());
        assert_eq!([&first, &second].map(is_closed), [false; 2]);
        first.line().flushed();
        let fourth = connections.open().unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(is_closed), [true, false, false, false]);
        assert!(fourth.begin().is_some());
        drop(of_second);
    }

    /// Requests that come without waiting for answers.
    #[test]
    fn the_next_request_may_begin_before_the_last_answer_is_flushed() {
        let connections = Arc::new(Connections::new(1));
        let place = connections.open().unwrap();
        for _ in 0..2 {
            drop(place.begin().unwrap());
        }
        let busy = place.begin().unwrap();
        place.line().flushed();
        assert!(connections.open().unwrap().begin().is_none(), "a part of an answer was flushed");
        drop(busy);
        place.line().flushed();
        assert!(connections.open().unwrap().begin().is_some());
    }

    #[test]
    fn far_too_many_are_not_even_told() {
        let connections = Arc::new(Connections::new(1));
        let first = connections.open().unwrap();
        let _busy = first.begin().unwrap();
        let told: Vec<_> = (0..MOST_REFUSED).map(|_| connections.open().unwrap()).collect();
        assert!(connections.open().is_none());
        drop(told);
        assert!(connections.open().is_some());
    }

    #[test]
    fn requests_are_counted() {
        let connections = Arc::new(Connections::new(1));
        let place = connections.open().unwrap();
        assert_eq!(place.line().progress(), (0, false));
        let busy = place.begin().unwrap();
        assert_eq!(place.line().progress(), (1, true));
        drop(busy);
        assert_eq!(place.line().progress(), (1, false));
    }
}
