//! A link's queue, filled by one thread and emptied by another.

use loom::future::block_on;
use loom::thread;
use quorate_node::raft::{Envelope, Message, NodeId, Term, Time};
use std::future::poll_fn;
use std::sync::Arc;

use crate::orders::in_every_order;
use crate::queue::Queue;

fn message(term: u64) -> Envelope {
    Envelope { from: NodeId(1), to: NodeId(2), term: Term(term), message: Message::TimeoutNow }
}

/// The link is woken for all that is pushed, and takes it in order; and for the end.
pub fn what_is_pushed_is_taken_and_the_end_is_heard() -> usize {
    in_every_order(|| {
        let queue = Arc::new(Queue::default());
        let pushing = Arc::clone(&queue);
        let driver = thread::spawn(move || {
            assert!(pushing.push(Time(0), message(1)));
            assert!(pushing.push(Time(0), message(2)));
        });
        let mut taken = Vec::new();
        while taken.len() < 2 {
            assert!(block_on(poll_fn(|context| queue.poll_waiting(context))));
            taken.extend(queue.take(Time(0)).map(|envelope| envelope.term.0));
        }
        assert_eq!(taken, [1, 2]);
        driver.join().expect("who pushes does not panic");
        let closing = Arc::clone(&queue);
        let driver = thread::spawn(move || closing.close());
        assert!(!block_on(poll_fn(|context| queue.poll_waiting(context))));
        driver.join().expect("who closes does not panic");
        assert!(queue.is_closed() && !queue.push(Time(0), message(3)));
    })
}
