//! The server's `Runtime`: the clock of its host, madsim's tasks, and numbers from the seed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quorate_node::raft::Time;
use quorate_server::Runtime;

use super::stage::FullStack;
use super::timing::Sleep;
use crate::plan::Host;
use crate::random::Random;

/// How long somebody sleeps at a time whose clock is wrong, before it looks at it again.
const LOOK: Duration = Duration::from_millis(100);

/// What one life of a server lives by. Tasks belong to the simulated process of whoever spawns them.
#[derive(Clone)]
pub(super) struct HostRuntime {
    stack: FullStack,
    host: Host,
    random: Arc<Mutex<Random>>,
}

impl HostRuntime {
    pub(super) fn new(stack: FullStack, host: Host, random: Random) -> Self {
        HostRuntime { stack, host, random: Arc::new(Mutex::new(random)) }
    }

    /// When it is worth looking whether the host's clock shows `due`; `None` when it does.
    fn next_look(&self, due: Time) -> Option<Time> {
        let now = self.stack.clock.now();
        let clock = self.stack.stage().world.machine(self.host).clock;
        let left = due.since(clock.at(now));
        if left.is_zero() {
            return None;
        }
        // A clock that is wrong may be set right in the meantime.
        Some(
            now + if clock.truly(left) == Some(left) {
                left
            } else {
                clock.truly(left).unwrap_or(LOOK).min(LOOK)
            },
        )
    }
}

impl Runtime for HostRuntime {
    fn now(&self) -> Time {
        let now = self.stack.clock.now();
        self.stack.stage().world.machine(self.host).clock.at(now)
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(madsim::task::spawn(future));
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        HostSleep { runtime: self.clone(), due: self.now() + duration, sleep: None }
    }

    fn random(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).bits()
    }
}

/// Waits until a host's clock shows a time.
struct HostSleep {
    runtime: HostRuntime,
    due: Time,
    sleep: Option<Sleep>,
}

impl Future for HostSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(Pin::new(sleep).poll(context));
            }
            let Some(look) = self.runtime.next_look(self.due) else { return Poll::Ready(()) };
            self.sleep = Some(self.runtime.stack.clock.sleep_until(look));
        }
    }
}
