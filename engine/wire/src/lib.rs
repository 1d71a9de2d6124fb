//! Codec and checksummed frames for Quorate's messages, log records and checkpoints.
//!
//! Everything that leaves a process, for a peer or for a disk, gets its bytes here. Two kinds of layout meet:
//! what must outlive the codec (frames, the handshake, the kind of a log payload) is specified by hand, byte
//! by byte, in the docs of its module; what is inside is [`codec`]'s. So the codec can be replaced by a
//! version number.
//!
//! | module | what it lays out |
//! |---|---|
//! | [`checkpoint`] | manifests and rows, as `quorate-kv` draws them |
//! | [`codec`] | messages, membership, commands: everything that is a serde type |
//! | `encoder` | how `codec` writes |
//! | [`entry`] | the payload of a log entry, as the write-ahead log and peers' messages carry it |
//! | [`frame`] | a checksummed, length-delimited piece of a peer link, and its incremental decoder |
//! | [`hello`] | the handshake that opens a peer link |
//! | [`id`] | [`ClusterId`] and [`HistoryId`] |
//! | [`recording`] | the file of a flight recording, and its incremental decoder |
//!
//! Nothing here trusts its input: decoding arbitrary bytes gives a value or a typed error, never a panic, and
//! memory is taken only in proportion to what was really received.

pub mod codec;
mod encoder;
pub mod entry;
pub mod frame;
pub mod hello;
pub mod id;
pub mod recording;

/// The bytes of a checkpoint's manifest and of the rows in its runs. Who stores checkpoints needs to know no more of
/// the state machine.
pub mod checkpoint {
    pub use quorate_kv::manifest::{Boundary, Manifest, RunRef, Totals};
    pub use quorate_kv::rows::{BadRowHead, ROW_HEAD_BYTES, RowHead};
    pub use quorate_kv::{RestoreError, Revision};
}

pub use codec::{DecodeError, Encoded};
pub use frame::{Frame, FrameDecoder, FrameError, FrameKind};
pub use hello::{Answer, Hello, HelloError, Purpose, Verdict};
pub use id::{ClusterId, HistoryId};
