use super::*;
use quorate_node::raft::{Chunk, Digest, Members, NodeId, Payload, SnapshotMeta};

fn envelope(message: Message) -> Envelope {
    Envelope { from: NodeId(1), to: NodeId(2), term: Term(1), message }
}

/// An append of `count` entries from `first` on.
fn append(first: u64, count: u64, bytes: usize) -> Envelope {
    let entry = |index| Entry { id: LogId::new(1, index), payload: Payload::Command(vec![0; bytes].into()) };
    let entries = (first..first + count).map(entry).collect();
    envelope(Message::Append { prev: LogId::new(1, first - 1), entries, commit: Index(0) })
}

fn heartbeat(round: u64) -> Envelope {
    envelope(Message::Heartbeat { round, commit: Index(0) })
}

fn piece(offset: u64) -> Envelope {
    let (last, members) = (LogId::new(1, 9), Members::default());
    let (members_at, digest) = (LogId::ZERO, Digest::default());
    let meta = SnapshotMeta { last, members, members_at, bytes: 100, digest, state_hash: 0 };
    envelope(Message::Snapshot {
        meta: Box::new(meta),
        chunk: Chunk { offset, data: vec![0; 10].into(), done: false },
    })
}

fn poll(queue: &Queue) -> Poll<bool> {
    queue.poll_waiting(&mut Context::from_waker(Waker::noop()))
}

fn take_all(queue: &Queue, now: Time) -> Vec<Envelope> {
    std::iter::from_fn(|| queue.take(now)).inspect(|_| queue.has_left(now)).collect()
}

const START: Time = Time(1_000_000);

#[test]
fn everything_goes_in_the_order_it_was_sent_while_the_link_is_fast() {
    let queue = Queue::default();
    let sent = [append(1, 1, 500_000), heartbeat(1), append(2, 1, 10), append(3, 2, 500_000), heartbeat(2)];
    assert!(sent.iter().all(|envelope| queue.push(START, envelope.clone())));
    assert_eq!(queue.take_overdue(START), None);
    assert_eq!(take_all(&queue, START), sent);
    assert_eq!(poll(&queue), Poll::Pending);
}

#[test]
fn what_is_prompt_overtakes_bulk_once_it_has_waited_and_bulk_keeps_its_order() {
    let queue = Queue::default();
    let later = START + PATIENCE;
    for envelope in [append(1, 1, 60_000), append(2, 1, 10), heartbeat(1), heartbeat(2)] {
        assert!(queue.push(START, envelope));
    }
    assert!(queue.push(later, heartbeat(3)));
    assert_eq!(queue.take(later), Some(heartbeat(1)));
    assert_eq!(queue.take(later), Some(heartbeat(2)));
    assert_eq!(queue.take(later), Some(append(1, 1, 60_000)), "the third has not waited yet");
    assert_eq!(queue.take_overdue(later), None);
    assert_eq!(queue.take_overdue(later + PATIENCE), Some(heartbeat(3)), "between its pieces");
    assert_eq!(queue.take(later), Some(append(2, 1, 10)));
    assert_eq!(queue.take(later), None);
}

#[test]
fn a_repetition_of_what_is_on_its_way_over_a_slow_link_is_dropped() {
    let queue = Queue::default();
    let waits = |now| {
        let waits = poll(&queue).is_ready();
        (waits, take_all(&queue, now).len()).1
    };
    // While it waits, while it is written, and for a while afterwards.
    assert!(queue.push(START, append(1, 3, 10)) && queue.push(START, append(1, 3, 10)));
    assert!(queue.take(START).is_some());
    assert!(queue.push(START, append(1, 3, 10)) && queue.push(START, append(1, 2, 10)));
    assert_eq!(waits(START), 0);
    let left_at = START + PATIENCE;
    assert!(queue.push(START, append(4, 1, 10)));
    assert_eq!(take_all(&queue, left_at).len(), 1);
    assert!(queue.push(left_at, append(4, 1, 10)));
    assert_eq!(waits(left_at), 0);
    // More entries, another place, another term: all news.
    let in_next_term = Envelope { term: Term(2), ..append(4, 1, 10) };
    for news in [append(4, 2, 10), append(5, 1, 10), in_next_term] {
        assert!(queue.push(left_at, news));
    }
    assert_eq!(waits(left_at), 3);
    let forgotten = left_at + REPETITION + Duration::from_micros(1);
    assert!(queue.push(forgotten, append(4, 1, 10)));
    assert_eq!(waits(forgotten), 1);
    // The same for snapshots.
    assert!([0, 10, 0].iter().all(|offset| queue.push(forgotten, piece(*offset))));
    assert_eq!(waits(forgotten + PATIENCE), 2);
    assert!(queue.push(forgotten + PATIENCE, piece(10)));
    assert_eq!(waits(forgotten + PATIENCE), 0);
    queue.clear();
    assert!(queue.push(forgotten + PATIENCE, piece(10)), "the connection broke: it may be lost");
    assert_eq!(waits(forgotten + PATIENCE), 1);
}

#[test]
fn a_fast_link_repeats_what_it_is_told_to() {
    let queue = Queue::default();
    for _ in 0..2 {
        assert!(queue.push(START, append(1, 1, 10)));
        assert_eq!(take_all(&queue, START).len(), 1);
    }
}

#[test]
fn a_full_queue_drops_and_says_so() {
    let queue = Queue::default();
    assert!(queue.push(START, append(1, 1, 2 * BULK_BYTES)), "the first always fits");
    assert!(!queue.push(START, append(2, 1, 10)));
    for round in 0..PROMPT_MESSAGES as u64 {
        assert!(queue.push(START, heartbeat(round)));
    }
    assert!(!queue.push(START, heartbeat(0)));
    queue.clear();
    for index in 1..=BULK_MESSAGES as u64 {
        assert!(queue.push(START, append(index, 1, 0)));
    }
    assert!(!queue.push(START, append(5000, 1, 0)), "no more messages either");
    assert_eq!(poll(&queue), Poll::Ready(true));
    queue.close();
    assert_eq!(poll(&queue), Poll::Ready(false));
    assert_eq!(queue.take(START), None, "a closed queue holds nothing");
    assert!(!queue.push(START, append(3, 1, 10)) && !queue.push(START, heartbeat(1)), "nor takes anything");
}
