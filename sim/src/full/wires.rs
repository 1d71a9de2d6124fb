//! All connections and listeners of the network: which there are, and what becomes of them when machines end and links
//! break.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use quorate_node::raft::Time;
use tokio::sync::mpsc;

use super::connection::{Connection, Side};
use super::stream::SimStream;
use super::timing::TrueClock;
use crate::identity::RAFT_PORT;
use crate::plan::{Host, Link, Plan};
use crate::random::Random;
use crate::world::World;

/// Where connections arrive.
pub(super) type Arrivals = mpsc::UnboundedSender<(SimStream, SocketAddr)>;

/// A host and a port.
pub(super) type Place = (Host, u16);

/// What there is between the machines.
#[derive(Debug)]
pub(super) struct Wires {
    connections: BTreeMap<u64, Connection>,
    opened: u64,
    listeners: BTreeMap<Place, (u64, Arrivals)>,
    listened: u64,
    /// Machines without power: they answer nothing at all.
    dark: BTreeSet<Host>,
    /// For all that streams draw.
    pub(super) random: Random,
}

impl Wires {
    pub(super) fn new(plan: &Plan) -> Self {
        Wires {
            connections: BTreeMap::new(),
            opened: 0,
            listeners: BTreeMap::new(),
            listened: 0,
            dark: BTreeSet::new(),
            random: Random::labelled(plan.seed, "streams"),
        }
    }

    /// Takes up a listener and numbers it; `None` when the place is taken.
    pub(super) fn listen(&mut self, at: Place, arrivals: Arrivals) -> Option<u64> {
        if self.listeners.contains_key(&at) {
            return None;
        }
        self.listened += 1;
        self.listeners.insert(at, (self.listened, arrivals));
        Some(self.listened)
    }

    /// The listener of this number listens no more. Another may have taken its place.
    pub(super) fn stop_listening(&mut self, at: Place, number: u64) {
        if self.listeners.get(&at).is_some_and(|(current, _)| *current == number) {
            self.listeners.remove(&at);
        }
    }

    pub(super) fn listener(&self, at: Place) -> Option<Arrivals> {
        self.listeners.get(&at).map(|(_, arrivals)| arrivals.clone())
    }

    pub(super) fn is_dark(&self, host: Host) -> bool {
        self.dark.contains(&host)
    }

    /// A connection from `dialer` to `dialed`; the dialer's end is side 0.
    pub(super) fn open(&mut self, dialer: Host, (dialed, port): Place) -> u64 {
        self.opened += 1;
        self.connections.insert(self.opened, Connection::new([dialer, dialed], port == RAFT_PORT));
        self.opened
    }

    /// A connection that a stream holds an end of.
    pub(super) fn connection(&mut self, number: u64) -> (&mut Connection, &mut Random) {
        let connection =
            self.connections.get_mut(&number).expect("a connection is there as long as an end of it");
        (connection, &mut self.random)
    }

    /// An end of a connection is dropped.
    pub(super) fn close(&mut self, world: &mut World, clock: &TrueClock, number: u64, side: Side) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.close(world, clock, side) {
            self.connections.remove(&number);
        }
    }

    /// The process of `host` is no more, or with it the whole machine, which then never says so.
    pub(super) fn unplug(&mut self, host: Host, power: bool) {
        self.listeners.retain(|(at, _), _| *at != host);
        if power {
            self.dark.insert(host);
            self.connections
                .values_mut()
                .filter(|connection| connection.touches(host))
                .for_each(Connection::darken);
        }
    }

    /// `host` has power. It knows nothing of its old connections, and says so to those who still send to it.
    pub(super) fn plug_in(&mut self, world: &mut World, clock: &TrueClock, host: Host) {
        if self.dark.remove(&host) {
            let touched = self.connections.values_mut().filter(|connection| connection.touches(host));
            touched.for_each(|connection| connection.lighten(world, clock, host));
        }
    }

    /// Links have changed: whoever waits for something that can arrive now is woken.
    pub(super) fn look_again(&self, world: &World, now: Time) {
        self.connections.values().for_each(|connection| connection.look_again(world, now));
    }

    /// Connections on these links break, and both ends are told. Says how many.
    pub(super) fn reset(&mut self, now: Time, links: &[Link]) -> usize {
        let hit = self.connections.values_mut().filter(|connection| {
            let [one, other] = connection.hosts();
            links.contains(&(one, other)) || links.contains(&(other, one))
        });
        hit.map(|connection| connection.abort(now)).count()
    }
}
