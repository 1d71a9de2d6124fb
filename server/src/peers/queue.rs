//! What waits to be sent to one peer.
//!
//! Raft wants two things of a link that pull in opposite directions: throughput for megabytes of entries, and
//! promptness for the few bytes of a heartbeat or a vote, whose delay costs an election. So there are two queues.
//! Whatever fits into one write goes in the order it was sent; only what does *not* fit is overtaken by small messages.
//! (Overtaking always would be wrong: a heartbeat that overtakes an append makes it look lost.)

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quorate_node::raft::{Entry, Envelope, Message};

/// How many small messages may wait. They are answers, heartbeats and votes: more than these are stale.
const SMALL_MESSAGES: usize = 4096;

/// How many bytes of large messages may wait, a little more than the core's window for one peer.
const LARGE_BYTES: usize = 16 << 20;

/// A message that weighs more than this waits with the large ones, in bytes.
const SMALL_BYTES: usize = 1024;

/// What waits to be sent to one peer. Filled by the driver, emptied by one link.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// Whether there is a connection to send on.
    connected: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    small: VecDeque<Queued>,
    large: VecDeque<Queued>,
    large_bytes: usize,
    pushed: u64,
    closed: bool,
    /// The link, when it waits.
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Queued {
    order: u64,
    weight: usize,
    envelope: Envelope,
}

impl Queue {
    /// Adds a message; false when the queue is full and it was dropped, which Raft allows.
    pub(crate) fn push(&self, envelope: Envelope) -> bool {
        let weight = weight(&envelope.message);
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        let queued = Queued { order: waiting.pushed, weight, envelope };
        if weight <= SMALL_BYTES {
            if waiting.small.len() >= SMALL_MESSAGES {
                return false;
            }
            waiting.small.push_back(queued);
        } else {
            if waiting.large_bytes > 0 && waiting.large_bytes + weight > LARGE_BYTES {
                return false;
            }
            waiting.large_bytes += weight;
            waiting.large.push_back(queued);
        }
        waiting.pushed += 1;
        wake(waiting);
        true
    }

    /// Takes what should go into one write of about `bytes`: every small message, and large ones until it is full, but
    /// at least one, so that a very large one is not overtaken for ever; in the order they were pushed.
    pub(crate) fn take(&self, bytes: usize) -> Vec<Envelope> {
        let mut waiting = self.lock();
        let mut taken: Vec<Queued> = waiting.small.drain(..).collect();
        let mut total: usize = taken.iter().map(|queued| queued.weight).sum();
        let mut is_first = true;
        while let Some(next) = waiting.large.pop_front_if(|next| is_first || total + next.weight <= bytes) {
            waiting.large_bytes -= next.weight;
            total += next.weight;
            is_first = false;
            taken.push(next);
        }
        drop(waiting);
        taken.sort_unstable_by_key(|queued| queued.order);
        taken.into_iter().map(|queued| queued.envelope).collect()
    }

    /// Forgets everything: the peer can't be reached, and what waits will be stale when it can.
    pub(crate) fn clear(&self) -> usize {
        let mut waiting = self.lock();
        let count = waiting.small.len() + waiting.large.len();
        waiting.small.clear();
        waiting.large.clear();
        waiting.large_bytes = 0;
        count
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
        if !waiting.small.is_empty() || !waiting.large.is_empty() {
            return Poll::Ready(true);
        }
        waiting.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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

/// About how many bytes a message takes, without what all messages have.
fn weight(message: &Message) -> usize {
    match message {
        Message::Append { entries, .. } | Message::Tell { entries, .. } => {
            entries.iter().map(Entry::weight).sum()
        }
        Message::Snapshot { chunk, .. } => chunk.data.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_node::raft::{Index, LogId, NodeId, Payload, Term};

    fn envelope(message: Message) -> Envelope {
        Envelope { from: NodeId(1), to: NodeId(2), term: Term(1), message }
    }

    fn append(index: u64, bytes: usize) -> Envelope {
        let payload = Payload::Command(vec![0; bytes].into());
        let entries = vec![Entry { id: LogId::new(1, index), payload }];
        envelope(Message::Append { prev: LogId::new(1, index - 1), entries, commit: Index(0) })
    }

    fn heartbeat(round: u64) -> Envelope {
        envelope(Message::Heartbeat { round, commit: Index(0) })
    }

    fn poll(queue: &Queue) -> Poll<bool> {
        queue.poll_waiting(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_fits_into_one_write_keeps_its_order() {
        let queue = Queue::default();
        let sent = [append(1, 5_000), heartbeat(1), append(2, 10), append(3, 5_000), heartbeat(2)];
        assert!(sent.iter().all(|envelope| queue.push(envelope.clone())));
        assert_eq!(queue.take(100_000), sent);
        assert_eq!(poll(&queue), Poll::Pending);
    }

    #[test]
    fn small_messages_overtake_what_does_not_fit() {
        let queue = Queue::default();
        for message in [append(1, 60_000), append(2, 60_000), append(3, 200_000), heartbeat(1)] {
            assert!(queue.push(message));
        }
        assert_eq!(queue.take(100_000), [append(1, 60_000), heartbeat(1)]);
        assert_eq!(queue.take(100_000), [append(2, 60_000)]);
        assert!(queue.push(append(4, 900)), "small, and not nothing");
        assert_eq!(
            queue.take(100_000),
            [append(3, 200_000), append(4, 900)],
            "what fits nowhere goes all the same"
        );
        assert!(queue.take(100_000).is_empty());
    }

    #[test]
    fn a_full_queue_drops_and_says_so() {
        let queue = Queue::default();
        assert!(queue.push(append(1, 2 * LARGE_BYTES)), "the first always fits");
        assert!(!queue.push(append(2, 2_000)));
        for round in 0..SMALL_MESSAGES as u64 {
            assert!(queue.push(heartbeat(round)));
        }
        assert!(!queue.push(heartbeat(0)));
        assert_eq!(queue.clear(), SMALL_MESSAGES + 1);
        assert!(queue.push(append(2, 2_000)));
        assert_eq!(poll(&queue), Poll::Ready(true));
        queue.close();
        assert_eq!(poll(&queue), Poll::Ready(false));
        assert!(queue.take(100_000).is_empty(), "a closed queue holds nothing");
        assert!(!queue.push(append(3, 2_000)), "nor takes anything");
    }
}
