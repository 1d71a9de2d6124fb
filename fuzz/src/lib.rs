//! Fuzz targets, as plain functions: `cargo fuzz run <target>` searches for inputs that make one panic, and
//! [`replay`] runs the inputs already known, in `corpus/<target>/`, under any compiler.
//!
//! A target does more than not to panic: what was accepted must mean the same when it is written and read
//! again, and must not depend on how the input was cut into pieces.
//!
//! A new target is a function here, a row in [`TARGETS`], a binary in `fuzz_targets/`, and a few small
//! inputs. An input that broke something is minimised (`cargo fuzz tmin`) and stays in the corpus, named
//! after the fault.
#![forbid(unsafe_code)]

mod house;
mod raft;
mod replay;
mod snapshot;
mod wire;

pub use house::{backup_decode, data_json, request_parse, wal_decode};
pub use raft::raft_inputs;
pub use replay::{ReplayError, Target, replay, replay_arguments};
pub use snapshot::snapshot_decode;
pub use wire::{recording_decode, wire_decode};

/// Every target by its name, which is that of its binary and of its folder in the corpus.
pub const TARGETS: [(&str, Target); 8] = [
    ("backup_decode", backup_decode),
    ("data_json", data_json),
    ("raft_inputs", raft_inputs),
    ("recording_decode", recording_decode),
    ("request_parse", request_parse),
    ("snapshot_decode", snapshot_decode),
    ("wal_decode", wal_decode),
    ("wire_decode", wire_decode),
];
