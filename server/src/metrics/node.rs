//! The node, watched by its driver.

use std::collections::VecDeque;
use std::sync::Arc;

use quorate_node::raft::{Done, Event, Index, Job, LogId, Term, Time, WriteId};
use quorate_node::{Input, Node, Output, View};

use super::Metrics;
use super::cells::{Counter, Histogram, LONG, Level, SHORT};

/// Of so many writes and batches it is noted when they began, at most: what waits for a majority is bounded by the
/// core.
const MOST_NOTED: usize = 4096;

/// What the node did.
#[derive(Debug)]
pub(crate) struct NodeMetrics {
    /// How often it ran for office.
    pub(crate) elections: Counter,
    /// How often it led, or followed, in a term in which it had not known a leader.
    pub(crate) leader_changes: Counter,
    /// How often it stopped leading.
    pub(crate) step_downs: Counter,
    /// Entries that were given to the log.
    pub(crate) appended: Counter,
    /// Their weight in bytes.
    pub(crate) appended_bytes: Counter,
    /// From when a write was given to the storage to when it was durable.
    pub(crate) persist: Histogram,
    /// From when this node appended a batch, as the leader, to when a majority had it.
    pub(crate) replication: Histogram,
    /// How long applying a batch took.
    pub(crate) apply: Histogram,
    /// How long the driver was at it before it could look for new work again.
    pub(crate) turns: Histogram,
    pub(crate) checkpoints: Counter,
    pub(crate) checkpoints_lost: Counter,
    /// From when a checkpoint was due to when it was durable.
    pub(crate) checkpoint: Histogram,
    /// The size of the newest in bytes.
    pub(crate) checkpoint_bytes: Level,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        NodeMetrics {
            elections: Counter::default(),
            leader_changes: Counter::default(),
            step_downs: Counter::default(),
            appended: Counter::default(),
            appended_bytes: Counter::default(),
            persist: Histogram::new(SHORT),
            replication: Histogram::new(SHORT),
            apply: Histogram::new(SHORT),
            turns: Histogram::new(SHORT),
            checkpoints: Counter::default(),
            checkpoints_lost: Counter::default(),
            checkpoint: Histogram::new(LONG),
            checkpoint_bytes: Level::default(),
        }
    }
}

/// How a node stands, and what only its driver knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) view: View,
    pub(crate) leases: usize,
    /// Of keys and values that are there now.
    pub(crate) live_bytes: u64,
    /// Of the past, counted and not.
    pub(crate) history_bytes: u64,
    pub(crate) oldest_revision: u64,
    /// Answers that are kept for repeated requests.
    pub(crate) answers: usize,
    /// Requests that wait for the node.
    pub(crate) waiting: usize,
    /// Requests that wait for the log.
    pub(crate) proposals: usize,
    /// What the flight recorder holds.
    pub(crate) recorder_bytes: usize,
}

/// Watches a node as it is driven. Nothing that it notes changes what is done.
#[derive(Debug)]
pub(crate) struct NodeWatch {
    metrics: Arc<Metrics>,
    /// The term in which this node leads, and the batches that it appended and no majority has yet: the last entry of
    /// each, and when that was.
    leads_in: Option<Term>,
    appended: VecDeque<(Index, Time)>,
    /// Writes that are not durable yet, and when the storage was given them.
    writes: VecDeque<(WriteId, Time)>,
    /// Checkpoints that are being written, and when they were due.
    checkpoints: VecDeque<(LogId, Time)>,
}

impl NodeWatch {
    pub(crate) fn new(metrics: Arc<Metrics>) -> NodeWatch {
        NodeWatch {
            metrics,
            leads_in: None,
            appended: VecDeque::new(),
            writes: VecDeque::new(),
            checkpoints: VecDeque::new(),
        }
    }

    /// The node is about to take this.
    pub(crate) fn input(&mut self, now: Time, input: &Input) {
        match input {
            Input::Done(Done::Written(last)) => {
                while let Some((_, given)) = self.writes.pop_front_if(|(id, _)| *id <= *last) {
                    self.metrics.node.persist.observe(now.since(given));
                }
            }
            Input::Done(Done::SnapshotTaken(meta)) => {
                self.metrics.node.checkpoints.count();
                self.metrics.node.checkpoint_bytes.set(meta.bytes);
                if let Some(due) = self.checkpoint_ended(meta.last) {
                    self.metrics.node.checkpoint.observe(now.since(due));
                }
            }
            Input::Done(Done::SnapshotLost(last)) => {
                self.metrics.node.checkpoints_lost.count();
                self.checkpoint_ended(*last);
            }
            _ => {}
        }
    }

    /// The node asks for this.
    pub(crate) fn output(&mut self, now: Time, output: &Output, node: &Node) {
        match output {
            Output::Job(Job::Write(write)) => {
                if self.writes.len() < MOST_NOTED {
                    self.writes.push_back((write.id, now));
                }
                let Some(last) = write.append.last() else { return };
                self.metrics.node.appended.add(write.append.len() as u64);
                self.metrics
                    .node
                    .appended_bytes
                    .add(write.append.iter().map(|entry| entry.weight() as u64).sum());
                self.follow_office(node.raft().leads_in());
                if self.leads_in.is_some() && self.appended.len() < MOST_NOTED {
                    self.appended.push_back((last.id.index, now));
                }
            }
            Output::Checkpoint(checkpoint) => self.checkpoints.push_back((checkpoint.last, now)),
            Output::Event(event) => self.event(event),
            _ => {}
        }
    }

    /// The node has nothing more to say in this turn.
    pub(crate) fn turned(&mut self, now: Time, node: &Node) {
        self.follow_office(node.raft().leads_in());
        let committed = node.raft().committed();
        while let Some((_, at)) = self.appended.pop_front_if(|(last, _)| *last <= committed) {
            self.metrics.node.replication.observe(now.since(at));
        }
    }

    /// A batch was applied.
    pub(crate) fn applied(&self, began: Time, now: Time) {
        self.metrics.node.apply.observe(now.since(began));
    }

    /// A turn is over.
    pub(crate) fn turn_ended(&self, began: Time, now: Time) {
        self.metrics.node.turns.observe(now.since(began));
    }

    fn event(&self, event: &Event) {
        match event {
            Event::Campaign { .. } => self.metrics.node.elections.count(),
            Event::BecameLeader { .. } | Event::Follows { .. } => self.metrics.node.leader_changes.count(),
            Event::SteppedDown { .. } => self.metrics.node.step_downs.count(),
            _ => {}
        }
    }

    /// What was appended in another term may never be committed as it was.
    fn follow_office(&mut self, leads_in: Option<Term>) {
        if self.leads_in != leads_in {
            self.leads_in = leads_in;
            self.appended.clear();
        }
    }

    fn checkpoint_ended(&mut self, last: LogId) -> Option<Time> {
        let at = self.checkpoints.iter().position(|(known, _)| *known == last)?;
        self.checkpoints.remove(at).map(|(_, due)| due)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::idle_node::idle_node;
    use quorate_node::raft::{CampaignCause, Digest, Members, NodeId, SnapshotMeta, StepDownCause};
    use std::time::Duration;

    fn watch() -> (Arc<Metrics>, NodeWatch) {
        let metrics = Arc::<Metrics>::default();
        (Arc::clone(&metrics), NodeWatch::new(metrics))
    }

    /// It may be committed, but not because this node saw to it.
    #[test]
    fn what_was_appended_in_an_office_that_is_over_is_not_measured() {
        let (metrics, mut watch) = watch();
        watch.leads_in = Some(Term(3));
        watch.appended.push_back((Index(0), Time(5)));
        watch.turned(Time(9), &idle_node());
        assert_eq!((watch.appended.len(), metrics.node.replication.distribution().count), (0, 0));
    }

    #[test]
    fn what_is_committed_is_measured_from_when_it_was_appended() {
        let (metrics, mut watch) = watch();
        for (index, at) in [(0, 1_000), (0, 3_000), (7, 4_000)] {
            watch.appended.push_back((Index(index), Time(at)));
        }
        watch.turned(Time(6_000), &idle_node());
        let seen = metrics.node.replication.distribution();
        assert_eq!((watch.appended.len(), seen.count, seen.sum), (1, 2, 0.008));
    }

    #[test]
    fn a_write_is_durable_with_the_last_of_those_that_shared_its_sync() {
        let (metrics, mut watch) = watch();
        watch.writes.extend([
            (WriteId(1), Time(1_000)),
            (WriteId(2), Time(2_000)),
            (WriteId(3), Time(3_000)),
        ]);
        watch.input(Time(5_000), &Input::Done(Done::Written(WriteId(2))));
        let seen = metrics.node.persist.distribution();
        assert_eq!((watch.writes.len(), seen.count, seen.sum), (1, 2, 0.007));
    }

    #[test]
    fn a_checkpoint_is_measured_from_when_it_was_due() {
        let (metrics, mut watch) = watch();
        let (first, second) = (LogId::new(1, 10), LogId::new(1, 20));
        watch.checkpoints.extend([(first, Time(0)), (second, Time(1_000_000))]);
        let (members, digest) = (Members::default(), Digest::default());
        let meta = SnapshotMeta { last: second, members, members_at: first, bytes: 7, digest, state_hash: 0 };
        watch.input(Time(3_000_000), &Input::Done(Done::SnapshotTaken(Box::new(meta))));
        watch.input(Time(9_000_000), &Input::Done(Done::SnapshotLost(first)));
        let node = &metrics.node;
        assert_eq!((node.checkpoints.total(), node.checkpoints_lost.total()), (1, 1));
        let seen = node.checkpoint.distribution();
        assert_eq!((node.checkpoint_bytes.value(), seen.count, seen.sum), (7, 1, 2.0));
        assert!(watch.checkpoints.is_empty());
    }

    #[test]
    fn events_are_counted() {
        let (metrics, mut watch) = watch();
        let (node, term) = (idle_node(), Term(2));
        for event in [
            Event::Campaign { term, cause: CampaignCause::NoLeader },
            Event::BecameLeader { term },
            Event::SteppedDown { term, cause: StepDownCause::NoQuorum },
            Event::Follows { term, leader: NodeId(2) },
        ] {
            watch.output(Time(0), &Output::Event(event), &node);
        }
        let NodeMetrics { elections, leader_changes, step_downs, .. } = &metrics.node;
        assert_eq!([elections, leader_changes, step_downs].map(Counter::total), [1, 2, 1]);
    }

    #[test]
    fn what_is_measured_is_no_longer_than_it_was() {
        let (metrics, watch) = watch();
        watch.applied(Time(10), Time(12));
        watch.turn_ended(Time(10), Time(9));
        assert_eq!(metrics.node.apply.distribution().sum, Duration::from_micros(2).as_secs_f64());
        assert_eq!(metrics.node.turns.distribution().sum, 0.0);
    }
}
