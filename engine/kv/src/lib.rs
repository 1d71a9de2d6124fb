//! The deterministic key-value state machine of Quorate.
//!
//! This is what the log is *for*: every node feeds the same committed [`Command`]s in the same order to
//! [`Kv::apply`], and so every node holds the same state. Nothing else goes in: no clock, no random number,
//! no thread, no hash map with a seed of its own. Whatever two nodes hold after the same commands compares
//! equal, hashes equal ([`Kv::state_hash`]), and what changed between the same two commands is written to a
//! checkpoint as the same bytes ([`Kv::seal`]).
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
//! | [`rows`] | the bytes of rows, drawn one by one, and the writer of a run |
//! | [`manifest`] | which runs make a state, and what must come out |
//! | `restore` | [`Restore`]: a checkpoint read back, trusting none of it |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bytes;
mod command;
mod hash;
pub mod manifest;
mod restore;
pub mod rows;
mod store;

pub use command::{Command, Outcome, Revision};
pub use manifest::{Boundary, Manifest, RunRef, Totals};
pub use restore::{Restore, RestoreError, Restored};
pub use rows::{RowHead, RunWriter};
pub use store::{Entry, Kv, Sealed};
