//! How long operations take, on a clock that only the host moves.

use quorate_raft::Time;

use super::faults::Operation;
use crate::random::Random;

const PAGE_BYTES: usize = 4096;

/// A range of durations in microseconds, both ends included; each operation draws one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Microseconds {
    /// The shortest.
    pub least: u64,
    /// The longest; less than `least` counts as `least`.
    pub most: u64,
}

impl Microseconds {
    /// From `least` to `most`.
    pub const fn between(least: u64, most: u64) -> Microseconds {
        Microseconds { least, most }
    }

    fn draw(self, random: &mut Random) -> u64 {
        if self.most <= self.least {
            return self.least;
        }
        self.least + random.next() % (self.most - self.least).saturating_add(1)
    }
}

/// How fast a disk is. The default takes no time for anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// A read, before [`Pace::page`].
    pub read: Microseconds,
    /// A write, before [`Pace::page`].
    pub write: Microseconds,
    /// What each 4 KiB, begun or whole, adds to a read or a write; drawn once an operation.
    pub page: Microseconds,
    /// A sync of a file or of a directory: both wait for the medium.
    pub sync: Microseconds,
    /// A creation, rename, removal, listing, or new directory.
    pub name: Microseconds,
}

/// When an operation starts and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: Time,
    pub(super) end: Time,
}

/// A disk's clock. Operations follow one another: each starts when the one before it ended, or later.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    pace: Pace,
    random: Random,
    /// What every duration is multiplied by.
    factor: u64,
    /// The host's time, as far as it told. What ended by then can no more be undone.
    now: Time,
    /// When the last operation ended; never before `now`.
    clock: Time,
    stalled_until: Time,
}

impl Default for Timing {
    fn default() -> Timing {
        let start = Time::default();
        Timing {
            pace: Pace::default(),
            random: Random::new(0),
            factor: 1,
            now: start,
            clock: start,
            stalled_until: start,
        }
    }
}

impl Timing {
    pub(super) fn set_pace(&mut self, pace: Pace, seed: u64) {
        self.pace = pace;
        self.random = Random::new(seed);
    }

    pub(super) fn slow(&mut self, factor: u64) {
        self.factor = factor;
    }

    pub(super) fn stall(&mut self, until: Time) {
        self.stalled_until = until;
    }

    pub(super) fn begin(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.clock = self.clock.max(now);
    }

    pub(super) fn now(&self) -> Time {
        self.now
    }

    pub(super) fn clock(&self) -> Time {
        self.clock
    }

    /// Whether what ends at the end of `span` may still be undone.
    pub(super) fn is_ahead(&self, span: Span) -> bool {
        span.end > self.now
    }

    /// Whoever kept the disk busy later than `at` is dead.
    pub(super) fn cut(&mut self, at: Time) {
        self.clock = self.clock.min(at);
    }

    /// The time that the next operation takes, and whether a stall made it longer.
    pub(super) fn charge(&mut self, operation: Operation, bytes: usize) -> (Span, bool) {
        let (pace, random) = (self.pace, &mut self.random);
        let micros = match operation {
            Operation::Read => pace.read.draw(random).saturating_add(pages(pace, bytes, random)),
            Operation::Write => pace.write.draw(random).saturating_add(pages(pace, bytes, random)),
            Operation::Sync | Operation::SyncDirectory => pace.sync.draw(random),
            Operation::Name => pace.name.draw(random),
        };
        let start = self.clock;
        let healthy = Time(start.0.saturating_add(micros.saturating_mul(self.factor)));
        let stalled = start < self.stalled_until && healthy < self.stalled_until;
        self.clock = if stalled { self.stalled_until } else { healthy };
        (Span { start, end: self.clock }, stalled)
    }
}

fn pages(pace: Pace, bytes: usize, random: &mut Random) -> u64 {
    pace.page.draw(random).saturating_mul(bytes.div_ceil(PAGE_BYTES) as u64)
}
