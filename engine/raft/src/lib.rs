//! The sans-IO Raft core of Quorate.
//!
//! The contract with the host: **feed an input, then poll outputs until there are none. Every output may be
//! performed the moment it is polled.** What depends on durability is withheld inside the core until the host
//! reports that durability, and no message but a pre-vote leaves in a term that is not yet durable. Writes
//! among themselves, and applies and installs among themselves, are performed in the order issued; loads and
//! sends at any time: a load asks only for durable entries, a result whose ids no longer match is dropped,
//! and a lost send shows by the next heartbeat's answer.
//!
//! So "persist before you reply" (Raft paper, figure 2: "updated on stable storage before responding to
//! RPCs") lives here, where scripts and exhaustive search reach it, and no driver can get it wrong.
//!
//! There is no clock, no thread, no randomness but a seeded generator, and no I/O in this crate. References
//! are to Ongaro's thesis, *Consensus: Bridging Theory and Practice* (2014), unless another source is named.
#![no_std]

extern crate alloc;

mod bytes;
mod config;

mod entry;
mod event;
mod id;
mod io;
mod job;
mod log;
mod members;
mod members_bytes;
mod message;
mod quorum;
mod raft;
mod random;
mod status;
mod term_runs;
mod time;
mod tokens;
pub mod trace;

pub use config::{Cleanup, Config};
pub use entry::{Entry, Payload};
pub use event::{CampaignCause, Event, StepDownCause};
pub use id::{Index, LogId, NodeId, ParseIdError, ReadId, Term, WriteId, parse_id};
pub use io::{Found, HardState, Input, Output};
pub use job::{
    Chunk, Digest, Done, Job, Load, LoadSnapshot, Reader, Room, SnapshotMeta, StoreSnapshot, Write,
};
pub use members::{Contact, Learner, Members};
pub use message::{Envelope, Held, Message, Report};
use quorum::agreed;
pub use quorum::{Tally, committed_index, tally};
pub use raft::{
    BadOutline, ChangeError, OpenError, Outline, ProposeError, Raft, ReadError, ReadMode, TransferError,
};
pub use status::{PeerState, PeerStatus, Role, Status};
pub use term_runs::TermRuns;
pub use time::Time;
pub use tokens::{JoinToken, TokenFault, TokenHash};
