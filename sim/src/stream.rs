//! A connection: two pipes, each with its own delay, bound and fate.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};
use madsim::time::Sleep;
use quorate_node::raft::Time;
use quorate_server::Runtime;

use crate::network::{Host, Network};

/// The most bytes on their way in one direction; more wait until the reader has taken some.
const CAPACITY: usize = 256 << 10;

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) from: Host,
    pub(crate) to: Host,
    /// What is on its way, with the time it arrives; an empty one is the end.
    segments: VecDeque<(Time, Vec<u8>)>,
    bytes: usize,
    /// An end has lost power: nothing comes, and nothing that is sent is heard of.
    pub(crate) dark: bool,
    /// An end is gone and said so.
    pub(crate) reset: bool,
    reader_gone: bool,
    writer_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    pub(crate) fn new(from: Host, to: Host) -> Self {
        Pipe {
            from,
            to,
            segments: VecDeque::new(),
            bytes: 0,
            dark: false,
            reset: false,
            reader_gone: false,
            writer_gone: false,
            reader: None,
            writer: None,
        }
    }

    pub(crate) fn take_wakers(&mut self) -> impl Iterator<Item = Waker> + use<> {
        [self.reader.take(), self.writer.take()].into_iter().flatten()
    }

    fn send(&mut self, arrival: Time, bytes: &[u8]) {
        // One stream's bytes never overtake each other.
        let arrival = self.segments.back().map_or(arrival, |last| arrival.max(last.0));
        self.bytes += bytes.len();
        self.segments.push_back((arrival, bytes.to_vec()));
    }
}

/// One end of a connection.
pub(crate) struct SimStream {
    network: Network,
    /// The pipe read from.
    incoming: u64,
    /// The pipe written to.
    outgoing: u64,
    ended: bool,
    /// Wakes the reader when the next bytes arrive.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl SimStream {
    pub(crate) fn new(network: Network, incoming: u64, outgoing: u64) -> Self {
        SimStream { network, incoming, outgoing, ended: false, alarm: None }
    }

    /// What can be read now: bytes, the end, an error; or when to look again.
    fn take(&mut self, context: &Context<'_>, room: usize) -> Result<Taken, io::Error> {
        let now = self.network.runtime.now();
        let mut state = self.network.state();
        let cut = state.pipes.get(&self.incoming).and_then(|pipe| state.cut_by(pipe.from, pipe.to));
        let Some(pipe) = state.pipes.get_mut(&self.incoming) else { return Ok(Taken::Bytes(Vec::new())) };
        if pipe.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        pipe.reader = Some(context.waker().clone());
        if pipe.dark {
            return Ok(Taken::Nothing(None));
        }
        if let Some(kind) = cut {
            if !pipe.segments.is_empty() {
                self.network.fired.note(kind);
            }
            return Ok(Taken::Nothing(None));
        }
        let Some((arrival, segment)) = pipe.segments.front_mut() else { return Ok(Taken::Nothing(None)) };
        if *arrival > now {
            return Ok(Taken::Nothing(Some(*arrival)));
        }
        if segment.is_empty() {
            return Ok(Taken::Bytes(Vec::new()));
        }
        let rest = segment.split_off(room.min(segment.len()));
        let bytes = std::mem::replace(segment, rest);
        if segment.is_empty() {
            pipe.segments.pop_front();
        }
        pipe.bytes -= bytes.len();
        let writer = pipe.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Ok(Taken::Bytes(bytes))
    }
}

enum Taken {
    /// None: the end.
    Bytes(Vec<u8>),
    /// Until the time given, or until somebody wakes the reader.
    Nothing(Option<Time>),
}

impl Read for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.take(context, buffer.remaining())? {
                Taken::Bytes(bytes) => {
                    self.alarm = None;
                    buffer.put_slice(&bytes);
                    return Poll::Ready(Ok(()));
                }
                Taken::Nothing(None) => return Poll::Pending,
                Taken::Nothing(Some(arrival)) => {
                    let wait = arrival.since(self.network.runtime.now());
                    let mut alarm = Box::pin(madsim::time::sleep(wait));
                    if alarm.as_mut().poll(context).is_pending() {
                        self.alarm = Some(alarm);
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl Write for SimStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let now = self.network.runtime.now();
        let mut state = self.network.state();
        let arrival = self.network.arrival(&mut state, now);
        let Some(pipe) = state.pipes.get_mut(&self.outgoing) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if pipe.reset || pipe.reader_gone || self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = CAPACITY.saturating_sub(pipe.bytes).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            pipe.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        if room > 0 {
            pipe.send(arrival, &bytes[..room]);
        }
        let reader = pipe.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl SimStream {
    /// Says that no more bytes will come.
    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = self.network.runtime.now();
        let mut state = self.network.state();
        let arrival = self.network.arrival(&mut state, now);
        let Some(pipe) = state.pipes.get_mut(&self.outgoing) else { return };
        pipe.send(arrival, &[]);
        let reader = pipe.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.end();
        let mut state = self.network.state();
        let mut wakers = Vec::new();
        if let Some(pipe) = state.pipes.get_mut(&self.incoming) {
            pipe.reader_gone = true;
            wakers.extend(pipe.take_wakers());
        }
        if let Some(pipe) = state.pipes.get_mut(&self.outgoing) {
            pipe.writer_gone = true;
        }
        for pipe in [self.incoming, self.outgoing] {
            if state.pipes.get(&pipe).is_some_and(|pipe| pipe.reader_gone && pipe.writer_gone) {
                state.pipes.remove(&pipe);
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}
