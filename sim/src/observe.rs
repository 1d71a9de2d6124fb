//! The course of events and its hash.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_node::raft::Time;

/// Takes note of everything that happens, in order. The hash is over what is observed only, never over how it came
/// about: it is the same for one source revision and seed, whatever the machine or the build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observer {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    hash: u64,
    count: u64,
    lines: Vec<String>,
}

impl Default for State {
    fn default() -> Self {
        // FNV-1a's offset basis.
        State { hash: 0xcbf2_9ce4_8422_2325, count: 0, lines: Vec::new() }
    }
}

impl Observer {
    pub(crate) fn note(&self, at: Time, what: impl Into<String>) {
        let line = format!("{at} {}", what.into());
        let mut state = self.state();
        for byte in line.bytes().chain([b'\n']) {
            state.hash = (state.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        state.count += 1;
        state.lines.push(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.state().hash
    }

    pub(crate) fn count(&self) -> u64 {
        self.state().count
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.state().lines.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
