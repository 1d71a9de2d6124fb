//! A flight recorder: what goes into a node, remembered so that it can be done again.
//!
//! A node is a function of its inputs, so they are all that has to be remembered, from a moment on at which the whole
//! node is known ([ADR 10](../../../docs/adr/0010-flight-recorder.md)). Whether a replay does the same is told by
//! fingerprints, taken whenever the node had nothing more to say.
//!
//! | file | what it holds |
//! |---|---|
//! | `recorder.rs` | [`Recorder`]: the ring, which a host feeds; [`Recording`]: what it remembers |
//! | `events.rs` | an input or a fingerprint as bytes, and back |
//! | `tape.rs` | the ring's memory: bytes, and between them what is shared with the node |
//! | `fingerprint.rs` | one number of many outputs |
//! | `rebuild.rs` | [`Rebuild`]: from a recording's base and a checkpoint to a node |
//! | `replay.rs` | [`replay`]: the same inputs once more |
//!
//! What a recording is as a file is drawn in `quorate-wire`.

mod events;
mod fingerprint;
mod rebuild;
mod recorder;
mod replay;
mod tape;

pub use rebuild::{BadRecording, Rebuild};
pub use recorder::{End, Head, Recorder, Recording, Segment};
pub use replay::{Diverged, Replayed, Step, replay};
