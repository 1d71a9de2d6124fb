//! The deterministic key-value state machine of Quorate.
//!
//! This is what the log is *for*: every node feeds the same committed [`Command`]s in the same order to
//! [`Kv::apply`], and so every node holds the same state. Nothing else goes in: no clock, no random number,
//! no thread, no hash map that is gone through. Whatever two nodes hold after the same commands compares
//! equal, hashes equal ([`Kv::state_hash`]), and what changed between the same two commands is written to a
//! checkpoint as the same bytes ([`Kv::seal`]).
//!
//! The data model is etcd's. One store [`Revision`] grows by one with every command that changes something,
//! and each key's [`Entry`] remembers the revision it was created at, the one it was last written at, and how
//! often it was written since it was created. Compare-and-swap, entity tags and watches are all told in these
//! numbers. The past can be read as long as it is kept, and keys end with the time that leaders stamp on what they
//! propose ([ADR 8](../../../docs/adr/0008-store.md)).
//!
//! | module | what it holds |
//! |---|---|
//! | `command` | what goes in: [`Command`], [`Order`], [`Action`], [`Revision`], [`ClusterTime`] |
//! | `outcome` | what comes out: [`Outcome`] |
//! | `apply` | what each command does |
//! | `store` | [`Kv`]: what is read, what checkpoints are made of |
//! | `key_map` | the map of keys: found by a hash, gone through in order |
//! | `history` | the past: what every change replaced |
//! | `expiries` | leases, and keys that go by themselves |
//! | `answers` | answers remembered for their idempotency keys; their bytes in `outcome_bytes` |
//! | `locks` | locks with a name |
//! | `settings` | limits that all replicas agree on |
//! | `changes` | which rows have changed since the last checkpoint; of keys, in `changed_keys`; shared as `shared_blocks` says |
//! | `hash` | the hash of a row and of the whole state |
//! | [`rows`] | the bytes of rows, drawn one by one, and the writer of a run |
//! | [`manifest`] | which runs make a state, and what must come out |
//! | `restore` | [`Restore`]: a checkpoint read back, trusting none of it; row by row in `gathered` |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod answers;
mod apply;
mod bytes;
mod changed_keys;
mod changes;
mod command;
mod expiries;
mod gathered;
mod hash;
mod history;
mod key_map;
mod locks;
pub mod manifest;
mod outcome;
mod outcome_bytes;
mod restore;
pub mod rows;
mod settings;
mod shared_blocks;
mod store;

pub use answers::REMEMBERED_MS;
pub use command::{
    Action, ClusterTime, Command, Compare, Expiry, LeaseId, Once, Op, Operand, Order, Put, Relation,
    Revision, Txn,
};
pub use expiries::Lease;
pub use history::{Change, Compacted, EventId, EventKind};
pub use locks::Lock;
pub use manifest::{Boundary, Manifest, RunRef, Totals};
pub use outcome::{Applied, OpResult, Outcome};
pub use restore::{Restore, RestoreError, Restored};
pub use rows::{RowHead, RunWriter};
pub use settings::Settings;
pub use store::{Entry, Kv, Sealed};
