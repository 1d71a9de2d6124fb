//! A backup: one checkpoint, told as one file (`docs/adr/0007-backup.md`).
//!
//! ```text
//!   0         512                512 + M          512 + M + T
//!   | header  | manifest, M bytes | tables, T bytes | the runs, from the oldest to the newest
//! ```
//!
//! Manifest and runs are the content of the checkpoint as it also travels to a follower. The tables are those of the
//! runs' files: a checksum for each 64 KiB of each run. They stand in front of what they cover, so that whoever
//! receives a backup can verify it block by block, go on from the last sound block, and name the place of a wrong
//! byte. Every byte is covered: the header by its own checksum, the manifest by the digest in the header, the tables by
//! a checksum there, and each run by its table and by the digest in the manifest.
//!
//! Two nodes that have the same checkpoint make the same file of it, to the byte.
//!
//! | file | what it holds |
//! |---|---|
//! | `header.rs` | the header |
//! | `source.rs` | a backup read from a checkpoint, and those that are being read |
//! | `verifier.rs` | a backup verified as it comes |

mod header;
mod source;
mod verifier;

pub use header::{Header, Origin, ParseTagError, Tag};
pub(crate) use header::{MAGIC, VERSION};
pub(crate) use source::Sources;
pub use source::{Answer, BackupJob, Opened, Unopened};
pub use verifier::{Flaw, Place, Verifier};

/// The length of the header, in bytes.
pub const HEADER_BYTES: usize = 512;

/// The unit in which runs are verified, in bytes.
pub const BLOCK_BYTES: u64 = crate::checkpoints::BLOCK_BYTES as u64;
