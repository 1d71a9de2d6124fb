//! A whole Quorate node without I/O: Raft, state machine and pending requests.

/// The layers below, for hosts, which depend on this crate and not on them.
#[doc(inline)]
pub use {quorate_kv as kv, quorate_raft as raft, quorate_wire as wire};
