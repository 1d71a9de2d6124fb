//! The deterministic key-value state machine of Quorate.
//!
//! This is what the log is *for*: every node feeds the same committed [`Command`]s in the same order to
//! [`Kv::apply`], and so every node holds the same state. Nothing else goes in: no clock, no random number,
//! no thread, no hash map with a seed of its own. Whatever two nodes hold after the same commands compares
//! equal, hashes equal ([`Kv::state_hash`]), and is written to a checkpoint as the same bytes
//! ([`Kv::snapshot`]).
//!
//! The data model is etcd's. One store [`Revision`] grows by one with every command that changes something,
//! and each key's [`Entry`] remembers the revision it was created at, the one it was last written at, and how
//! often it was written since it was created. Compare-and-swap, entity tags and watches are all told in these
//! numbers.
//!
//! | module | what it holds |
//! |---|---|
//! | `command` | [`Command`] in, [`Outcome`] out, [`Revision`] |
//! | `store` | [`Kv`]: the ordered map and the rules of its revisions |
//! | `hash` | the hash of a row and of the whole state |
//! | [`snapshot`] | the bytes of a checkpoint, drawn one by one, and the writer |
//! | `restore` | [`Restore`]: a checkpoint read back, trusting none of it |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bytes;
mod command;
mod hash;
mod restore;
pub mod snapshot;
mod store;

pub use command::{Command, Outcome, Revision};
pub use restore::{Restore, RestoreError};
pub use snapshot::SnapshotWriter;
pub use store::{Entry, Kv};
