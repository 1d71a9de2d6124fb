//! Events by time; those of one time in the order in which they were added.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use quorate_node::raft::{Done, Envelope, Time};
use quorate_node::{Reply, Request};

use crate::plan::Host;
use crate::workload::Ask;

/// Something that happens.
#[derive(Debug)]
pub(crate) struct Event {
    /// Where; nowhere for what clients and operators do.
    pub(crate) host: Option<Host>,
    /// A slow process has already made it late.
    pub(crate) late: bool,
    pub(crate) what: What,
}

/// What happens.
#[derive(Debug)]
pub(crate) enum What {
    /// A message arrives.
    Deliver(Box<Envelope>),
    /// The node's deadline has come.
    Alarm { life: u32 },
    /// The storage has done what it was doing.
    StorageDone { life: u32, dones: Vec<Done> },
    /// The storage is to tend its disk.
    Pulse { life: u32 },
    /// The storage has failed.
    StorageFailed { life: u32 },
    /// A server that was asked to end hands leadership over.
    HandOver { life: u32 },
    /// A server that was asked to end, by the plan's fault of this number, has.
    Stopped { life: u32, number: usize },
    /// A client's request arrives.
    Request { attempt: u64, ask: Box<Ask> },
    /// A client hangs up.
    HangUp { client: u8, attempt: u64 },
    /// An operator asks for this server to be taken in.
    Invite(Host),
    /// An operator tries to have the plan's order of this number carried out.
    Order { number: usize, until: Time },
    /// An operator makes all of the core voters again.
    RestoreMembers,
    /// An auditor's request arrives.
    Errand { auditor: u8, attempt: u64, request: Box<Request> },
    /// An auditor has paused for long enough.
    Audit { auditor: u8 },
    /// A client has paused for long enough.
    Wake { client: u8 },
    /// A client hears what came of its request.
    Answer { client: u8, attempt: u64, answer: Answer },
    /// A client has waited for long enough.
    GiveUp { client: u8, attempt: u64 },
}

/// What a client hears.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What the node said.
    Reply(Box<Reply>),
    /// Nobody listens there.
    Refused,
    /// The connection broke after the request was sent.
    Broken,
}

/// Events to come.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BinaryHeap<Reverse<Scheduled>>,
    added: u64,
}

#[derive(Debug)]
struct Scheduled {
    at: Time,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl Queue {
    pub(crate) fn put(&mut self, at: Time, event: Event) {
        self.added += 1;
        self.events.push(Reverse(Scheduled { at, number: self.added, event }));
    }

    /// Something will happen at a host.
    pub(crate) fn at_host(&mut self, at: Time, host: Host, what: What) {
        self.put(at, Event { host: Some(host), late: false, what });
    }

    /// Something will happen outside of all hosts.
    pub(crate) fn outside(&mut self, at: Time, what: What) {
        self.put(at, Event { host: None, late: false, what });
    }

    pub(crate) fn next_at(&self) -> Option<Time> {
        self.events.peek().map(|Reverse(scheduled)| scheduled.at)
    }

    /// # Panics
    /// When there is none.
    pub(crate) fn pop(&mut self) -> Event {
        self.events.pop().expect("the caller has seen an event").0.event
    }
}
