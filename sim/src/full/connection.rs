//! A connection: two directions, each with its own delays, bound and fate, which behave like TCP's.
//!
//! What madsim's own TCP does not do and real TCP does: bytes on a link that is cut wait until it heals, a slow reader
//! stops its writer, each half is closed by itself, a machine that lost its power says nothing while the system of one
//! whose process was killed closes its connections, and a close with bytes left unread is a reset.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::ReadBufCursor;
use quorate_node::raft::Time;

use super::timing::{Bell, TrueClock};
use crate::net_model::{Packet, RETRANSMISSION};
use crate::plan::Host;
use crate::random::Random;
use crate::world::World;

/// The most bytes on their way in one direction; more wait until the reader has taken some. Little, so that writers
/// often have to wait.
pub(super) const CAPACITY: usize = 64 << 10;

/// A write is taken only in part once in this many times.
const SHORT_WRITE_ONE_IN: u64 = 8;

/// About how many bytes an acknowledgement, a reset or the end of a stream takes.
const CONTROL_BYTES: usize = 60;

/// One of the two ends, as an index: the dialer's is 0.
pub(super) type Side = usize;

/// A connection between two machines.
#[derive(Debug)]
pub(super) struct Connection {
    ends: [End; 2],
    /// Between peers, whose frames carry checksums. HTTP has none: a bit flipped there would be taken for the
    /// client's own word, and no checker could tell.
    has_checksums: bool,
    /// A machine of it has lost power: nothing comes, and nothing that is sent is heard of.
    dark: bool,
}

/// One end, and what it has sent.
#[derive(Debug)]
struct End {
    host: Host,
    /// Nobody holds it any more.
    gone: bool,
    /// What it has sent and the other end has not read, in order.
    segments: VecDeque<Segment>,
    /// How many bytes these are, with those that nobody will ever read.
    bytes: usize,
    /// When the last of it arrives.
    last_arrival: Time,
    /// When its end arrives at the other end, after all segments.
    finished: Option<Time>,
    /// When the other end learns that there is no connection any more.
    reset: Option<Time>,
    /// What the other end does not get now has been counted.
    counted: bool,
    /// Rings when there is something to read here.
    reader: Arc<Bell>,
    /// Rings when there is room to write here.
    writer: Arc<Bell>,
}

/// Bytes on their way.
#[derive(Debug)]
struct Segment {
    arrives: Time,
    bytes: Vec<u8>,
    /// How many of them have been read.
    read: usize,
    /// A slow process has already made it late.
    late: bool,
}

impl Connection {
    /// # Panics
    /// In [`SimStream`](super::stream::SimStream), when it is used after its removal.
    pub(super) fn new([dialer, dialed]: [Host; 2], has_checksums: bool) -> Self {
        Connection { ends: [End::new(dialer), End::new(dialed)], has_checksums, dark: false }
    }

    pub(super) fn hosts(&self) -> [Host; 2] {
        [self.ends[0].host, self.ends[1].host]
    }

    pub(super) fn touches(&self, host: Host) -> bool {
        self.hosts().contains(&host)
    }

    /// What lets nothing arrive at `side` now: the kind of fault.
    fn held_by(&self, world: &World, side: Side) -> Option<&'static str> {
        let (from, to) = (self.ends[1 - side].host, self.ends[side].host);
        world.net.cut(from, to).or_else(|| world.net.clogged(from, to))
    }

    /// Reads what has arrived at `side`.
    pub(super) fn poll_read(
        &mut self,
        (world, clock, random): (&mut World, &TrueClock, &mut Random),
        side: Side,
        context: &Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let now = clock.now();
        let held_by = self.held_by(world, side);
        let reader = Arc::clone(&self.ends[side].reader);
        let host = self.ends[side].host;
        let sender = &mut self.ends[1 - side];
        if self.dark || held_by.is_some() {
            if let Some(kind) = held_by.filter(|_| sender.has_arrived(now) && !sender.counted) {
                sender.counted = true;
                world.fired().note(kind);
            }
            reader.await_with(context.waker());
            return Poll::Pending;
        }
        sender.counted = false;
        if let Some(late) = sender.make_late(world, random, host, now) {
            clock.ring(late, &reader);
        }
        let taken = sender.take(now, buffer);
        if taken > 0 {
            sender.writer.ring();
            return Poll::Ready(Ok(()));
        }
        if sender.segments.is_empty() && sender.finished.is_some_and(|at| at <= now) {
            return Poll::Ready(Ok(()));
        }
        if sender.reset.is_some_and(|at| at <= now) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        reader.await_with(context.waker());
        Poll::Pending
    }

    /// Sends some of `bytes` from `side`; how many.
    pub(super) fn poll_write(
        &mut self,
        (world, clock, random): (&mut World, &TrueClock, &mut Random),
        side: Side,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = clock.now();
        let knows_reset = self.ends[1 - side].reset.is_some_and(|at| at <= now) && !self.dark;
        if self.ends[side].finished.is_some() || (knows_reset && self.held_by(world, side).is_none()) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut room = (CAPACITY.saturating_sub(self.ends[side].bytes)).min(bytes.len());
        if room == 0 {
            self.ends[side].writer.await_with(context.waker());
            return if bytes.is_empty() { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        if room > 1 && random.one_in(SHORT_WRITE_ONE_IN) {
            room = random.below(room - 1) + 1;
        }
        self.ends[side].bytes += room;
        if self.dark {
            // The system sends it again and again, and nobody hears.
            return Poll::Ready(Ok(room));
        }
        let arrives = if self.ends[1 - side].gone {
            self.answer_with_reset(world, clock, side);
            return Poll::Ready(Ok(room));
        } else {
            self.send(world, clock, random, side, &bytes[..room])
        };
        clock.ring(arrives, &self.ends[1 - side].reader);
        self.break_at_random(world, random, now);
        Poll::Ready(Ok(room))
    }

    fn send(
        &mut self,
        world: &mut World,
        clock: &TrueClock,
        random: &mut Random,
        side: Side,
        bytes: &[u8],
    ) -> Time {
        let Packet { arrives, corrupt } = self.packet(world, clock, side, bytes.len());
        let mut bytes = bytes.to_vec();
        let mut arrives = arrives;
        if corrupt && self.has_checksums {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        } else if corrupt {
            // TCP's own checksum finds it, as it nearly always does.
            arrives = arrives + RETRANSMISSION;
        }
        self.ends[side].push(arrives, bytes)
    }

    fn packet(&self, world: &mut World, clock: &TrueClock, side: Side, bytes: usize) -> Packet {
        let link = (self.ends[side].host, self.ends[1 - side].host);
        world.net.packet(clock.now(), link, bytes, &mut world.judge.fired)
    }

    /// Nobody is there to take what `side` sends: the system at the other end says so.
    fn answer_with_reset(&mut self, world: &mut World, clock: &TrueClock, side: Side) {
        if self.ends[1 - side].reset.is_some() {
            return;
        }
        let there = self.packet(world, clock, side, CONTROL_BYTES).arrives.since(clock.now());
        let back = self.packet(world, clock, 1 - side, CONTROL_BYTES).arrives;
        self.tell_reset(clock, 1 - side, back + there);
    }

    /// `side`'s system tells the other end at `at` that there is no connection.
    fn tell_reset(&mut self, clock: &TrueClock, side: Side, at: Time) {
        let at = at.max(self.ends[side].last_arrival);
        self.ends[side].reset = Some(at);
        let told = &self.ends[1 - side];
        clock.ring(at, &told.reader);
        clock.ring(at, &told.writer);
    }

    /// Connections between peers may break for no reason, if the plan says so.
    fn break_at_random(&mut self, world: &World, random: &mut Random, now: Time) {
        let per_mille = world.plan.knobs.false_alarms;
        if per_mille > 0 && self.has_checksums && random.between(1, 1_000) <= per_mille.into() {
            self.abort(now);
        }
    }

    /// `side` sends no more.
    pub(super) fn finish(&mut self, world: &mut World, clock: &TrueClock, side: Side) {
        if self.ends[side].finished.is_some() || self.ends[side].reset.is_some() || self.dark {
            return;
        }
        let arrives =
            self.packet(world, clock, side, CONTROL_BYTES).arrives.max(self.ends[side].last_arrival);
        self.ends[side].finished = Some(arrives);
        clock.ring(arrives, &self.ends[1 - side].reader);
    }

    /// Nobody holds the end `side` any more; says whether nobody holds the other one either.
    pub(super) fn close(&mut self, world: &mut World, clock: &TrueClock, side: Side) -> bool {
        self.ends[side].gone = true;
        if self.ends[1 - side].gone {
            return true;
        }
        if self.dark {
            return false;
        }
        if self.ends[1 - side].segments.is_empty() {
            self.finish(world, clock, side);
        } else if self.ends[side].reset.is_none() {
            let arrives = self.packet(world, clock, side, CONTROL_BYTES).arrives;
            self.tell_reset(clock, side, arrives);
        }
        false
    }

    /// A machine of it loses power.
    pub(super) fn darken(&mut self) {
        self.dark = true;
    }

    /// `host` is back and knows nothing. What the other end has sent is sent again now, and answered with a reset.
    pub(super) fn lighten(&mut self, world: &mut World, clock: &TrueClock, host: Host) {
        self.dark = false;
        let side = if self.ends[0].host == host { 1 } else { 0 };
        if self.ends[side].bytes > 0 {
            self.answer_with_reset(world, clock, side);
        }
    }

    /// It breaks, and both ends know.
    pub(super) fn abort(&mut self, now: Time) {
        for end in &mut self.ends {
            end.segments.clear();
            end.bytes = 0;
            end.reset = Some(now);
        }
        for end in &self.ends {
            end.reader.ring();
            end.writer.ring();
        }
    }

    /// Wakes readers that can read now.
    pub(super) fn look_again(&self, world: &World, now: Time) {
        for side in [0, 1] {
            if self.ends[1 - side].has_arrived(now) && self.held_by(world, side).is_none() {
                self.ends[side].reader.ring();
                self.ends[side].writer.ring();
            }
        }
    }
}

impl End {
    fn new(host: Host) -> Self {
        End {
            host,
            gone: false,
            segments: VecDeque::new(),
            bytes: 0,
            last_arrival: Time(0),
            finished: None,
            reset: None,
            counted: false,
            reader: Arc::default(),
            writer: Arc::default(),
        }
    }

    /// Puts bytes on their way; one stream's bytes never overtake each other.
    fn push(&mut self, arrives: Time, bytes: Vec<u8>) -> Time {
        self.last_arrival = self.last_arrival.max(arrives);
        self.segments.push_back(Segment { arrives: self.last_arrival, bytes, read: 0, late: false });
        self.last_arrival
    }

    /// There is something that the other end could know by now.
    fn has_arrived(&self, now: Time) -> bool {
        let first = self.segments.front().map(|segment| segment.arrives);
        [first, self.finished, self.reset].into_iter().flatten().any(|at| at <= now)
    }

    /// If a slow process reads what has arrived, it does so later: when.
    fn make_late(&mut self, world: &mut World, random: &mut Random, reader: Host, now: Time) -> Option<Time> {
        let most = world.slowness(reader)?;
        self.segments.front().filter(|first| first.arrives <= now && !first.late)?;
        let micros = random.between(0, u64::try_from(most.as_micros()).unwrap_or(u64::MAX));
        let late = now + std::time::Duration::from_micros(micros);
        // What arrives before it gets round to it, it finds too.
        self.segments.iter_mut().for_each(|segment| segment.late = true);
        self.segments.front_mut()?.arrives = late;
        self.last_arrival = self.last_arrival.max(late);
        world.fired().note("slow process");
        Some(late)
    }

    /// Moves into `buffer` what has arrived and fits; how many bytes.
    fn take(&mut self, now: Time, mut buffer: ReadBufCursor<'_>) -> usize {
        let mut taken = 0;
        while let Some(first) = self.segments.front_mut().filter(|first| first.arrives <= now) {
            let unread = &first.bytes[first.read..];
            let count = unread.len().min(buffer.remaining());
            buffer.put_slice(&unread[..count]);
            first.read += count;
            taken += count;
            if first.read < first.bytes.len() {
                break;
            }
            self.segments.pop_front();
        }
        self.bytes -= taken;
        taken
    }
}
