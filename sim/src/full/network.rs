//! The network as a machine sees it: listening and dialing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::header::{HeaderMap, VIA};
use quorate_node::raft::Time;
use quorate_server::{Listener, Net};
use tokio::sync::mpsc;

use super::stage::{FullStack, Stage};
use super::stream::SimStream;
use super::wires::{Arrivals, Place};
use crate::observe::Observation;
use crate::plan::Host;

/// How long is waited for an answer before it is dialed again, as Linux does; after the last one it is given up.
const DIAL_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// About how many bytes dialing takes, each way.
const DIAL_BYTES: usize = 60;

/// The network as one machine sees it.
#[derive(Clone)]
pub(super) struct HostNet {
    stack: FullStack,
    host: Host,
}

impl HostNet {
    pub(super) fn new(stack: FullStack, host: Host) -> Self {
        HostNet { stack, host }
    }

    /// An answer has come to this machine: who passed it on?
    pub(super) fn notes_who_passed_on(&self, headers: &HeaderMap) {
        let by = headers.get_all(VIA).iter().map(|via| String::from_utf8_lossy(via.as_bytes()).into_owned());
        let by: Vec<String> = by.collect();
        if !by.is_empty() {
            let now = self.stack.clock.now();
            self.stack.stage().world.judge.observe(now, Observation::PassedOn { to: self.host, by });
        }
    }

    /// Whether something sent now from one machine to another gets there, and when.
    fn trip(&self, from: Host, to: Host) -> Option<Time> {
        let Stage { world, wires, .. } = &mut *self.stack.stage();
        if let Some(kind) = world.net.cut(from, to).or_else(|| world.net.clogged(from, to)) {
            world.fired().note(kind);
            return None;
        }
        if wires.is_dark(from) || wires.is_dark(to) {
            return None;
        }
        let now = self.stack.clock.now();
        Some(world.net.packet(now, (from, to), DIAL_BYTES, &mut world.judge.fired).arrives)
    }

    /// One attempt; `None` when there is no answer.
    async fn try_dial(&self, place: Place) -> Option<io::Result<SimStream>> {
        let arrives = self.trip(self.host, place.0)?;
        self.stack.clock.sleep_until(arrives).await;
        let back = self.trip(place.0, self.host)?;
        let listener = self.stack.stage().wires.listener(place);
        let answer = listener.and_then(|listener| self.connect(place, &listener));
        self.stack.clock.sleep_until(back).await;
        Some(answer.ok_or_else(|| io::ErrorKind::ConnectionRefused.into()))
    }

    /// The dialed system has a connection before anybody accepts it. `None` when nobody will.
    fn connect(&self, place: Place, listener: &Arrivals) -> Option<SimStream> {
        let connection = self.stack.stage().wires.open(self.host, place);
        let ours = SimStream::new(self.stack.clone(), connection, 0);
        let theirs = SimStream::new(self.stack.clone(), connection, 1);
        let from = SocketAddr::from(([10, 0, 0, self.host], 40_000));
        listener.send((theirs, from)).ok().map(|()| ours)
    }
}

impl Net for HostNet {
    type Stream = SimStream;
    type Listener = HostListener;

    async fn listen(&self, at: &str) -> io::Result<HostListener> {
        let place = place_of(at)?;
        let (arrivals, incoming) = mpsc::unbounded_channel();
        let number = self.stack.stage().wires.listen(place, arrivals).ok_or(io::ErrorKind::AddrInUse)?;
        Ok(HostListener { stack: self.stack.clone(), place, number, incoming })
    }

    async fn dial(&self, at: &str) -> io::Result<SimStream> {
        let place = place_of(at)?;
        for pause in DIAL_PAUSES {
            let begun = self.stack.clock.now();
            if let Some(answer) = self.try_dial(place).await {
                return answer;
            }
            self.stack.clock.sleep_until(begun + pause).await;
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Where connections to one place arrive.
pub(super) struct HostListener {
    stack: FullStack,
    place: Place,
    number: u64,
    incoming: mpsc::UnboundedReceiver<(SimStream, SocketAddr)>,
}

impl Listener for HostListener {
    type Stream = SimStream;

    async fn accept(&mut self) -> io::Result<(SimStream, SocketAddr)> {
        match self.incoming.recv().await {
            Some(arrival) => Ok(arrival),
            // The process was killed; whatever still runs of it is about to be dropped.
            None => std::future::pending().await,
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([10, 0, 0, self.place.0], self.place.1)))
    }

    fn close(mut self) -> Vec<SimStream> {
        self.incoming.close();
        std::iter::from_fn(|| self.incoming.try_recv().ok()).map(|(stream, _)| stream).collect()
    }
}

impl Drop for HostListener {
    fn drop(&mut self) {
        self.stack.stage().wires.stop_listening(self.place, self.number);
    }
}

/// The machine and the port of an address.
fn place_of(at: &str) -> io::Result<Place> {
    let place = at.strip_prefix("10.0.0.").and_then(|rest| {
        let (host, port) = rest.split_once(':')?;
        Some((host.parse().ok()?, port.parse().ok()?))
    });
    place.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{at} is no address of this network"))
    })
}
