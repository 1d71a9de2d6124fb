//! Recordings of real nodes, replayed: `cargo sim --replay FILE`.
//!
//! One node runs here, and nothing around it: its peers, its disk and its clients are the inputs that were recorded. No
//! checker judges it, for they need a whole cluster; what is compared is that the node says and comes to what it did
//! where the recording was taken.
//!
//! | file | what it does |
//! |---|---|
//! | `file.rs` | reads a recording, verified |
//! | `run.rs` | replays it, and observes |

mod file;
mod run;

pub use file::{Recorded, RecordedError};
pub use run::{Rerun, replay_recording};

/// Whether a file with these first bytes was meant to be a recording.
pub(crate) fn is_recording(bytes: &[u8]) -> bool {
    quorate_node::wire::recording::begins_one(bytes)
}
