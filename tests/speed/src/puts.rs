//! The put that all is about.

use std::sync::Arc;

use quorate_kv::{Action, ClusterTime, Command, Order, Put};
use quorate_raft::{Entry, LogId, Payload};

/// How many keys there are.
pub(crate) const KEYS: usize = 100_000;
const VALUE_BYTES: usize = 256;

/// Command number `number`: a put, as a leader proposes it.
pub fn put(number: usize) -> Command {
    let action = Action::Put(Put::for_good(key(number).into(), Arc::from([7; VALUE_BYTES])));
    Command::Order(Order { time: ClusterTime(number as u64), once: None, forgets_past: false, action })
}

/// The key of that command.
pub(crate) fn key(number: usize) -> Vec<u8> {
    format!("key-{:08}", number % KEYS).into_bytes()
}

/// The entries of a log from `first` on, one put each.
pub fn entries(first: u64, count: usize) -> Vec<Entry> {
    let entry = |number: usize| {
        let command = quorate_wire::entry::encode_command(&put(number)).unwrap();
        Entry { id: LogId::new(1, first + number as u64), payload: Payload::Command(command.into()) }
    };
    (0..count).map(entry).collect()
}
