//! One watcher's way: through history until it is level, then with the hub, and back when it falls behind.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;

use bytes::Bytes;
use quorate_node::kv::{EventId, Revision};

use super::filter::{Watch, end_of, next_revision};
use super::frame::{ResetReason, frame, reset};
use super::hub::{Cause, Given, WatcherId, Watches};
use super::pages::{Page, Pages};

/// Follows what is watched. Whoever has it does what [`Follower::step`] says; dropped, it watches no more.
#[derive(Debug)]
pub(crate) struct Follower {
    watches: Arc<Watches>,
    id: WatcherId,
    watch: Arc<Watch>,
    reading: Option<Reading>,
    last_word: Option<Bytes>,
    ended: bool,
}

/// All up to `after` was given. What comes behind it is in `page`, from the change with the number `next` on.
#[derive(Debug)]
struct Reading {
    after: EventId,
    cause: Cause,
    page: Option<Arc<Page>>,
    next: usize,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send these bytes.
    Send(Bytes),
    /// Wait to be woken.
    Wait,
    /// Read what has changed from this revision on, and say what came of it before the next step.
    Read {
        /// Where to begin.
        from: Revision,
    },
    /// There is nothing more.
    End,
}

impl Follower {
    /// One who wants what is behind `after`, or, without it, what comes from now on; and the revision at which that
    /// began. None when there are `most` already.
    pub(crate) fn new(
        watches: Arc<Watches>,
        watch: Watch,
        after: Option<EventId>,
        most: usize,
    ) -> Option<(Follower, Revision)> {
        let watch = Arc::new(watch);
        let (id, position) = watches.register(&watch, after, most)?;
        let follower = Follower { watches, id, watch, reading: None, last_word: None, ended: false };
        Some((follower, position))
    }

    pub(crate) fn step(&mut self, context: &Context<'_>) -> Step {
        loop {
            if self.ended {
                return self.last_word.take().map_or(Step::End, Step::Send);
            }
            if let Some(reading) = &mut self.reading {
                if let Some(frame) = reading.next_frame(&self.watch) {
                    self.watches.delivered.fetch_add(1, Ordering::Relaxed);
                    return Step::Send(frame);
                }
                if self.watches.is_closed() {
                    return Step::End;
                }
                if !self.watches.join(self.id, reading.after) {
                    return Step::Read { from: next_revision(reading.after) };
                }
                self.reading = None;
            }
            match self.watches.take(self.id, context) {
                Given::Frame(frame) => {
                    self.watches.delivered.fetch_add(1, Ordering::Relaxed);
                    return Step::Send(frame);
                }
                Given::Nothing => return Step::Wait,
                Given::ReadOn { after, cause } => {
                    self.reading = Some(Reading { after, cause, page: None, next: 0 });
                }
                Given::Closed => return Step::End,
            }
        }
    }

    /// This is what was to be read.
    pub(crate) fn take_page(&mut self, page: Arc<Page>) {
        if let Some(reading) = &mut self.reading {
            (reading.page, reading.next) = (Some(page), 0);
        }
    }

    /// What was to be read is gone; the store is at `revision`.
    pub(crate) fn take_loss(&mut self, revision: Revision) {
        let is_slow = self.reading.as_ref().is_some_and(|reading| reading.cause == Cause::Slow);
        let reason = if is_slow { ResetReason::Slow } else { ResetReason::Compacted };
        self.watches.resets.fetch_add(1, Ordering::Relaxed);
        self.last_word = Some(reset(revision, reason));
        self.end();
    }

    /// Who reads history looks here first.
    pub(crate) fn pages(&self) -> Arc<Pages> {
        Arc::clone(&self.watches.pages)
    }

    /// Nothing can be read any more.
    pub(crate) fn end(&mut self) {
        self.watches.remove(self.id);
        self.ended = true;
    }
}

impl Reading {
    /// The next event of the page that is wanted.
    fn next_frame(&mut self, watch: &Watch) -> Option<Bytes> {
        let page = self.page.as_ref()?;
        for change in &page.changes[self.next..] {
            self.next += 1;
            if change.id > self.after && watch.wants(&change.key, change.kind) {
                self.after = change.id;
                return Some(frame(change, watch.previous));
            }
        }
        self.after = self.after.max(end_of(page.upto));
        self.page = None;
        None
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.watches.remove(self.id);
    }
}
