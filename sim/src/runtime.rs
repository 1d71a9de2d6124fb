//! The server's `Runtime`, on madsim.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use madsim::time::Instant;
use quorate_node::raft::Time;
use quorate_server::Runtime;

use crate::random::Random;

/// Virtual time, madsim's tasks, and numbers from the seed. Tasks belong to the simulated machine of whoever spawns.
#[derive(Clone, Debug)]
pub(crate) struct SimRuntime {
    started: Instant,
    random: Arc<Mutex<Random>>,
}

impl SimRuntime {
    pub(crate) fn new(started: Instant, random: Random) -> Self {
        SimRuntime { started, random: Arc::new(Mutex::new(random)) }
    }

    /// The beginning of the world: time is counted from here on every host.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }
}

impl Runtime for SimRuntime {
    fn now(&self) -> Time {
        Time(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(madsim::task::spawn(future));
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        madsim::time::sleep(duration)
    }

    fn random(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).bits()
    }
}
