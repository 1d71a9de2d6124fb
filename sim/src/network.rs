//! The network: hosts, links that can be cut, and connections that behave like TCP's.
//!
//! What madsim's own TCP does not do and real TCP does: a connect across a cut hangs, bytes in flight over a cut wait
//! for it to heal, a machine that loses power says nothing while one whose process is killed resets its connections,
//! and a slow reader stops its writer.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use quorate_node::raft::Time;
use quorate_server::{Listener, Net, Runtime};
use tokio::sync::mpsc;

use crate::fired::Fired;
use crate::plan::DELAY;
use crate::random::Random;
use crate::runtime::SimRuntime;
use crate::stream::{Pipe, SimStream};

/// The most that a packet is delayed when nothing is wrong, in microseconds.
const USUAL_DELAY: u64 = 1_000;

/// How long a dial goes on without an answer.
const DIAL_PATIENCE: Duration = Duration::from_secs(3);

/// A machine: servers are 1, 2, …; clients above 100.
pub(crate) type Host = u8;

/// The whole network.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) runtime: SimRuntime,
    pub(crate) fired: Fired,
    state: Arc<Mutex<State>>,
}

pub(crate) struct State {
    pub(crate) pipes: BTreeMap<u64, Pipe>,
    next_pipe: u64,
    listeners: BTreeMap<String, (u64, Arrivals)>,
    next_listener: u64,
    /// Directions in which nothing passes, and the kind of fault that cut them.
    cuts: BTreeMap<(Host, Host), &'static str>,
    /// Machines without power: they answer nothing at all.
    dark: BTreeSet<Host>,
    /// The most that a packet is delayed, in microseconds.
    delay: u64,
    random: Random,
}

type Arrivals = mpsc::UnboundedSender<(SimStream, SocketAddr)>;

impl Network {
    pub(crate) fn new(runtime: SimRuntime, random: Random) -> Self {
        let state = State {
            pipes: BTreeMap::new(),
            next_pipe: 0,
            listeners: BTreeMap::new(),
            next_listener: 0,
            cuts: BTreeMap::new(),
            dark: BTreeSet::new(),
            delay: USUAL_DELAY,
            random,
        };
        Network { runtime, fired: Fired::default(), state: Arc::new(Mutex::new(state)) }
    }

    /// The network as `host` sees it.
    pub(crate) fn at(&self, host: Host) -> SimNet {
        SimNet { network: self.clone(), host }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nothing pass from `from` to `to`.
    pub(crate) fn cut(&self, from: Host, to: Host, kind: &'static str) {
        self.state().cuts.insert((from, to), kind);
    }

    /// Lets things pass from `from` to `to` again.
    pub(crate) fn mend(&self, from: Host, to: Host) {
        self.change(|state| {
            state.cuts.remove(&(from, to));
        });
    }

    /// Mends every cut and ends every delay.
    pub(crate) fn heal(&self) {
        self.change(|state| {
            state.cuts.clear();
            state.delay = USUAL_DELAY;
        });
    }

    /// Delays packets by up to this much.
    pub(crate) fn delay(&self, most: Duration) {
        self.state().delay = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
    }

    /// `host` is gone: with its power, without a word, or only its process, whose connections are reset.
    pub(crate) fn crash(&self, host: Host, loses_power: bool) {
        self.change(|state| {
            let prefix = format!("{}:", address(host));
            state.listeners.retain(|at, _| !at.starts_with(&prefix));
            if loses_power {
                state.dark.insert(host);
            }
            for pipe in state.pipes.values_mut().filter(|pipe| pipe.from == host || pipe.to == host) {
                if loses_power {
                    pipe.dark = true;
                } else {
                    pipe.reset = true;
                }
            }
        });
    }

    /// `host` runs again. It knows nothing of its old connections, and says so to those who still use them.
    pub(crate) fn restart(&self, host: Host) {
        self.change(|state| {
            state.dark.remove(&host);
            for pipe in state.pipes.values_mut().filter(|pipe| pipe.from == host || pipe.to == host) {
                if pipe.dark {
                    pipe.reset = true;
                }
            }
        });
    }

    /// When something sent now arrives.
    pub(crate) fn arrival(&self, state: &mut State, now: Time) -> Time {
        let most = state.delay;
        let micros = state.random.between(most / 5 + 1, most + 1);
        if micros > USUAL_DELAY + 1 {
            self.fired.note(DELAY);
        }
        now + Duration::from_micros(micros)
    }

    /// Changes something that streams wait for, and wakes them all.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers: Vec<Waker> = {
            let mut state = self.state();
            change(&mut state);
            state.pipes.values_mut().flat_map(Pipe::take_wakers).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// What cut this direction, if anything did.
    pub(crate) fn cut_by(&self, from: Host, to: Host) -> Option<&'static str> {
        self.cuts.get(&(from, to)).copied()
    }

    fn open_pipe(&mut self, from: Host, to: Host) -> u64 {
        self.next_pipe += 1;
        self.pipes.insert(self.next_pipe, Pipe::new(from, to));
        self.next_pipe
    }
}

/// The network as one machine sees it.
#[derive(Clone)]
pub(crate) struct SimNet {
    network: Network,
    host: Host,
}

impl Net for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;

    async fn listen(&self, at: &str) -> io::Result<SimListener> {
        let (arrivals, incoming) = mpsc::unbounded_channel();
        let mut state = self.network.state();
        if state.listeners.contains_key(at) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        state.next_listener += 1;
        let number = state.next_listener;
        state.listeners.insert(at.to_owned(), (number, arrivals));
        Ok(SimListener { network: self.network.clone(), at: at.to_owned(), number, incoming })
    }

    async fn dial(&self, at: &str) -> io::Result<SimStream> {
        let Some(to) = host_of(at) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{at} is no host here")));
        };
        let arrival = {
            let mut state = self.network.state();
            let now = self.network.runtime.now();
            let cut = state.cut_by(self.host, to).or(state.cut_by(to, self.host));
            cut.inspect(|kind| self.network.fired.note(kind));
            let reachable = cut.is_none() && !state.dark.contains(&to);
            reachable.then(|| self.network.arrival(&mut state, now).since(now))
        };
        let Some(trip) = arrival else {
            self.network.runtime.sleep(DIAL_PATIENCE).await;
            return Err(io::ErrorKind::TimedOut.into());
        };
        self.network.runtime.sleep(trip * 2).await;
        let mut state = self.network.state();
        let Some((_, arrivals)) = state.listeners.get(at) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let arrivals = arrivals.clone();
        let (there, back) = (state.open_pipe(self.host, to), state.open_pipe(to, self.host));
        let from = SocketAddr::from(([10, 0, 0, self.host], 40_000));
        let theirs = SimStream::new(self.network.clone(), there, back);
        drop(state);
        let ours = SimStream::new(self.network.clone(), back, there);
        if arrivals.send((theirs, from)).is_err() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(ours)
    }
}

/// Where connections to one address arrive.
pub(crate) struct SimListener {
    network: Network,
    at: String,
    number: u64,
    incoming: mpsc::UnboundedReceiver<(SimStream, SocketAddr)>,
}

impl Listener for SimListener {
    type Stream = SimStream;

    async fn accept(&mut self) -> io::Result<(SimStream, SocketAddr)> {
        match self.incoming.recv().await {
            Some(arrival) => Ok(arrival),
            // The machine crashed; whatever still runs of it is about to be dropped.
            None => std::future::pending().await,
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.at.parse().map_err(|_| io::ErrorKind::InvalidInput.into())
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut state = self.network.state();
        if state.listeners.get(&self.at).is_some_and(|(number, _)| *number == self.number) {
            state.listeners.remove(&self.at);
        }
    }
}

/// The address of a host, without a port.
pub(crate) fn address(host: Host) -> String {
    format!("10.0.0.{host}")
}

fn host_of(at: &str) -> Option<Host> {
    at.strip_prefix("10.0.0.")?.split_once(':')?.0.parse().ok()
}
