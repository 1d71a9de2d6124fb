//! What waits to be sent to one peer.
//!
//! Raft wants two things of a link that pull in opposite directions: throughput for megabytes of entries, and
//! promptness for the few bytes of a heartbeat or a vote, whose delay costs an election. So messages are of two
//! sorts. *Bulk* is what carries entries or pieces of snapshots: it always keeps its order, for an append that
//! overtakes another is refused. All else is *prompt*: it goes in the order it was sent, until it has waited for
//! [`PATIENCE`]; then it overtakes whatever bulk is before it. (Overtaking always would be wrong: a heartbeat that
//! overtakes an append makes it look lost.)
//!
//! Where heartbeats do overtake, on a slow link, their answers tell the core again and again that what it sent has not
//! arrived, and it sends that again. A connection loses nothing while it stands, so a repetition of what waits, or
//! left a moment ago, is dropped here; else a slow link would carry everything several times.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quorate_node::raft::{Entry, Envelope, Index, LogId, Message, Term, Time};

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// How many prompt messages may wait, each of about a hundred bytes. They are answers, heartbeats and votes: more
/// than these are stale.
const PROMPT_MESSAGES: usize = 4096;

/// How much bulk may wait, in bytes: a little more than the core's window for one peer.
const BULK_BYTES: usize = 16 << 20;

/// How many bulk messages may wait.
const BULK_MESSAGES: usize = 1024;

/// How long a prompt message stays behind bulk that was sent before it. Far longer than a fast link needs for what
/// the core has under way, far shorter than an election timeout.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// How long after overtaken bulk left here its repetition is dropped: about the time in which answers may still arrive
/// that know nothing of it. If the peer did not take it all the same, it comes again after that.
const REPETITION: Duration = Duration::from_secs(1);

/// Of how much overtaken bulk it is remembered that it left: as much as the core has under way.
const REMEMBERED: usize = 64;

/// What waits to be sent to one peer. Filled by the driver, emptied by one link.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// Whether there is a connection to send on.
    connected: AtomicBool,
}

/// Invariants: `bulk_bytes` is the weight of all in `bulk`; orders grow within each queue and are never the same.
#[derive(Debug, Default)]
struct Waiting {
    prompt: VecDeque<Queued>,
    bulk: VecDeque<Queued>,
    bulk_bytes: usize,
    /// The bulk that is being written, and when it was pushed.
    under_way: Option<(Time, Cargo)>,
    /// Bulk that left lately and could have been overtaken, oldest first, and when it left.
    left: VecDeque<(Time, Cargo)>,
    pushed: u64,
    closed: bool,
    /// The link, when it waits.
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Queued {
    order: u64,
    at: Time,
    /// About how many bytes, if it is bulk.
    weight: usize,
    envelope: Envelope,
}

/// What bulk carries, as far as it can be told from its beginning and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cargo {
    /// Entries.
    Entries { term: Term, prev: LogId, last: Index },
    /// A piece of a snapshot.
    Piece { term: Term, last: LogId, offset: u64 },
}

impl Cargo {
    fn of(envelope: &Envelope) -> Option<Cargo> {
        let term = envelope.term;
        match &envelope.message {
            Message::Append { prev, entries, .. } => {
                let last = entries.last().map_or(prev.index, |entry| entry.id.index);
                Some(Cargo::Entries { term, prev: *prev, last })
            }
            Message::Snapshot { meta, chunk } => {
                Some(Cargo::Piece { term, last: meta.last, offset: chunk.offset })
            }
            _ => None,
        }
    }

    /// Whether whoever has this needs not have the other.
    fn covers(&self, other: &Cargo) -> bool {
        match (self, other) {
            (Cargo::Entries { term, prev, last }, Cargo::Entries { last: others, .. }) => {
                let same = Cargo::Entries { term: *term, prev: *prev, last: *others };
                same == *other && others <= last
            }
            _ => self == other,
        }
    }
}

impl Queue {
    /// Adds a message; false when the queue is full and it was dropped, which Raft allows.
    pub(crate) fn push(&self, now: Time, envelope: Envelope) -> bool {
        let weight = bulk_weight(&envelope.message);
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        let queued = Queued { order: waiting.pushed, at: now, weight: weight.unwrap_or(0), envelope };
        match weight {
            None if waiting.prompt.len() >= PROMPT_MESSAGES => return false,
            None => waiting.prompt.push_back(queued),
            Some(weight) => {
                if waiting.repeats(now, &queued.envelope) {
                    return true;
                }
                let is_full = waiting.bulk.len() >= BULK_MESSAGES
                    || (waiting.bulk_bytes > 0 && waiting.bulk_bytes + weight > BULK_BYTES);
                if is_full {
                    return false;
                }
                waiting.bulk_bytes += weight;
                waiting.bulk.push_back(queued);
            }
        }
        waiting.pushed += 1;
        wake(waiting);
        true
    }

    /// Takes the next message: a prompt one that has waited too long, or else the one that was pushed first.
    pub(super) fn take(&self, now: Time) -> Option<Envelope> {
        let mut waiting = self.lock();
        let prompt = waiting.prompt.front();
        let bulk = waiting.bulk.front();
        let is_prompt = match (prompt, bulk) {
            (Some(prompt), Some(bulk)) => prompt.order < bulk.order || prompt.is_overdue(now),
            (prompt, _) => prompt.is_some(),
        };
        if is_prompt {
            return waiting.prompt.pop_front().map(|queued| queued.envelope);
        }
        let Queued { at, envelope, weight, .. } = waiting.bulk.pop_front()?;
        waiting.bulk_bytes -= weight;
        waiting.under_way = Cargo::of(&envelope).map(|cargo| (at, cargo));
        Some(envelope)
    }

    /// Takes the next prompt message, if it has waited too long for the rest of a large one.
    pub(super) fn take_overdue(&self, now: Time) -> Option<Envelope> {
        let mut waiting = self.lock();
        let queued = waiting.prompt.pop_front_if(|prompt| prompt.is_overdue(now))?;
        Some(queued.envelope)
    }

    /// The bulk that was taken last is written, to its end.
    pub(super) fn has_left(&self, now: Time) {
        let mut waiting = self.lock();
        let Some((pushed_at, cargo)) = waiting.under_way.take() else { return };
        if now.since(pushed_at) >= PATIENCE {
            waiting.left.push_back((now, cargo));
            if waiting.left.len() > REMEMBERED {
                waiting.left.pop_front();
            }
        }
    }

    /// Forgets everything: the peer can't be reached, and what waits will be stale when it can. What has left on a
    /// connection that broke may not have arrived.
    pub(crate) fn clear(&self) {
        let mut waiting = self.lock();
        waiting.prompt.clear();
        waiting.bulk.clear();
        waiting.bulk_bytes = 0;
        waiting.under_way = None;
        waiting.left.clear();
    }

    /// Nobody will push any more, or nobody take: the link ends. What waits is forgotten, and what is pushed from now
    /// on dropped: the driver may hold on to this queue for as long as the peer stays away.
    pub(crate) fn close(&self) {
        self.clear();
        let mut waiting = self.lock();
        waiting.closed = true;
        wake(waiting);
    }

    /// There is a connection to send on now, or no longer.
    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    /// Whether there is a connection to send on.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Whether the link has ended or should.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Ready when something waits (true) or the queue is closed (false).
    pub(crate) fn poll_waiting(&self, context: &mut Context<'_>) -> Poll<bool> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Poll::Ready(false);
        }
        if !waiting.prompt.is_empty() || !waiting.bulk.is_empty() {
            return Poll::Ready(true);
        }
        waiting.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether all that this brings is on its way already.
    fn repeats(&mut self, now: Time, envelope: &Envelope) -> bool {
        while self.left.pop_front_if(|(at, _)| now.since(*at) > REPETITION).is_some() {}
        let Some(cargo) = Cargo::of(envelope) else { return false };
        let waits = self.bulk.iter().filter_map(|queued| Cargo::of(&queued.envelope));
        let left = self.left.iter().chain(&self.under_way).map(|(_, cargo)| *cargo);
        left.chain(waits).any(|known| known.covers(&cargo))
    }
}

impl Queued {
    fn is_overdue(&self, now: Time) -> bool {
        now.since(self.at) >= PATIENCE
    }
}

/// Wakes the link, outside of the lock.
fn wake(mut waiting: MutexGuard<'_, Waiting>) {
    let waker = waiting.waker.take();
    drop(waiting);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// About how many bytes a message takes, if it is bulk; `None` for a prompt one.
pub(super) fn bulk_weight(message: &Message) -> Option<usize> {
    match message {
        Message::Append { entries, .. } | Message::Tell { entries, .. } => {
            Some(entries.iter().map(Entry::weight).sum())
        }
        Message::Snapshot { chunk, .. } => Some(chunk.data.len()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
