//! The events of the last turns.

use std::collections::VecDeque;

use quorate_node::kv::{EventId, Revision};

use super::filter::end_of;
use super::frame::Event;
use super::hub::Bound;

/// The newest events. Invariant: all that there are behind `after`, in order, and `bytes` is what they take.
#[derive(Debug)]
pub(super) struct Recent {
    most: Bound,
    after: EventId,
    events: VecDeque<(Event, usize)>,
    bytes: usize,
}

impl Recent {
    pub(super) fn new(most: Bound) -> Recent {
        Recent { most, after: end_of(Revision::ZERO), events: VecDeque::new(), bytes: 0 }
    }

    /// Lets go of all. Those up to `revision` will not be among the next.
    pub(super) fn restart(&mut self, revision: Revision) {
        *self = Recent { after: end_of(revision), ..Recent::new(self.most) };
    }

    pub(super) fn push(&mut self, event: Event) {
        let bytes = event.bytes();
        self.bytes += bytes;
        self.events.push_back((event, bytes));
        while self.events.len() > self.most.events || self.bytes > self.most.bytes {
            let Some((oldest, bytes)) = self.events.pop_front() else { return };
            self.bytes -= bytes;
            self.after = oldest.id();
        }
    }

    /// All events behind a place; `None` when not all of them are here.
    pub(super) fn after(&mut self, place: EventId) -> Option<impl Iterator<Item = &mut Event>> {
        if place < self.after {
            return None;
        }
        let first = self.events.partition_point(|(event, _)| event.id() <= place);
        Some(self.events.range_mut(first..).map(|(event, _)| event))
    }
}
