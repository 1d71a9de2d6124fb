//! The manifest: which runs make a state, and what must come out.
//!
//! The content of a checkpoint is one stream of bytes: the manifest, then its runs from the oldest to the newest. The
//! newest run that has a row decides it. All numbers are unsigned and little-endian.
//!
//! ```text
//! manifest, 64 bytes and 40 for each run
//!   0        8         10      12          16         24     32            40      48      56              64
//!   | magic  | version | tail  | run count | revision | rows | state hash  | term  | index | command bytes | runs
//!   magic          8 bytes  51 55 4F 52 41 54 4B 56, "QUORATKV"
//!   version        u16      2; a reader takes 1 as well, whose runs hold keys alone, and refuses all others
//!   tail           u16      1 when the newest run is a tail: it says what changed since the boundary; else 0
//!   run count      u32      at most 1,024
//!   revision       u64      the store's revision, at most 2^63 − 1
//!   rows           u64      how many rows the state has
//!   state hash     u64      [`Kv::state_hash`](crate::Kv::state_hash) of the state
//!   term, index    u64      the slot of the last boundary, up to which all runs but a tail reach
//!   command bytes  u64      the commands applied since that boundary
//!
//! run, 40 bytes
//!   0         32       40
//!   | digest  | bytes  |
//!   digest         BLAKE3 of the run; its name
//!   bytes          u64, its length, not 0
//! ```

use alloc::vec::Vec;

use crate::command::Revision;
use crate::restore::RestoreError;

pub(crate) const MAGIC: [u8; 8] = *b"QUORATKV";
pub(crate) const VERSION: u16 = 2;

/// What the rows of all runs must amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The store's revision.
    pub revision: Revision,
    /// How many rows there are.
    pub rows: u64,
    /// The hash of the state.
    pub state_hash: u64,
}

/// Where the host last took the changed rows away, and how far it has come since. The store only keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boundary {
    /// The term of the last slot before the boundary; zero at the very beginning.
    pub term: u64,
    /// Its index.
    pub index: u64,
    /// The commands applied since, in bytes.
    pub command_bytes: u64,
}

/// A run, as a manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunRef {
    /// The BLAKE3 of its bytes.
    pub digest: [u8; 32],
    /// Its length in bytes.
    pub bytes: u64,
}

/// Which runs make a state, and what must come out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// What must come out.
    pub totals: Totals,
    /// The last boundary.
    pub boundary: Boundary,
    /// Whether the newest run is a tail: it says what changed since the boundary.
    pub has_tail: bool,
    /// The runs, from the oldest to the newest.
    pub runs: Vec<RunRef>,
}

impl Manifest {
    /// The version of the content: of the manifest proper, and of the rows in its runs.
    pub const VERSION: u16 = VERSION;
    /// The bytes before the runs: they tell how many there are.
    pub const HEAD_BYTES: usize = 64;
    /// The bytes of a run.
    pub const RUN_BYTES: usize = 40;
    /// The most runs.
    pub const MAX_RUNS: usize = 1024;

    /// The length of the manifest itself, in bytes.
    pub fn bytes(&self) -> u64 {
        (Manifest::HEAD_BYTES + Manifest::RUN_BYTES * self.runs.len()) as u64
    }

    /// The length of manifest and runs together, in bytes.
    pub fn content_bytes(&self) -> u64 {
        self.runs.iter().fold(self.bytes(), |sum, run| sum.saturating_add(run.bytes))
    }

    /// The runs up to the boundary: all but the tail.
    pub fn chain(&self) -> &[RunRef] {
        &self.runs[..self.runs.len() - usize::from(self.has_tail)]
    }

    /// Writes the manifest.
    ///
    /// # Panics
    /// When there are more than [`Manifest::MAX_RUNS`] runs, or a tail but no run.
    pub fn encode(&self) -> Vec<u8> {
        let count = self.runs.len();
        assert!(
            count <= Manifest::MAX_RUNS && count >= usize::from(self.has_tail),
            "a manifest of {count} runs"
        );
        let mut bytes = Vec::with_capacity(Manifest::HEAD_BYTES + Manifest::RUN_BYTES * count);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&u16::from(self.has_tail).to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        let Totals { revision, rows, state_hash } = self.totals;
        let Boundary { term, index, command_bytes } = self.boundary;
        for number in [revision.0, rows, state_hash, term, index, command_bytes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for run in &self.runs {
            bytes.extend_from_slice(&run.digest);
            bytes.extend_from_slice(&run.bytes.to_le_bytes());
        }
        bytes
    }

    /// Reads a manifest from the beginning of `bytes`, which may go on with runs; nothing while it is incomplete.
    ///
    /// # Errors
    /// [`RestoreError`]: it is none, or of another version, or a field holds what it can't hold.
    pub fn decode(bytes: &[u8]) -> Result<Option<Manifest>, RestoreError> {
        let Some((head, rest)) = bytes.split_first_chunk::<{ Manifest::HEAD_BYTES }>() else {
            return Ok(None);
        };
        let mut fields = Fields(head);
        let magic = fields.array();
        if magic != MAGIC {
            return Err(RestoreError::NotASnapshot { found: magic });
        }
        let version = u16::from_le_bytes(fields.array());
        if !(1..=VERSION).contains(&version) {
            return Err(RestoreError::UnknownVersion { found: version });
        }
        let tail = u16::from_le_bytes(fields.array());
        let count = fields.u32();
        let totals =
            Totals { revision: Revision(fields.u64()), rows: fields.u64(), state_hash: fields.u64() };
        let boundary = Boundary { term: fields.u64(), index: fields.u64(), command_bytes: fields.u64() };
        let malformed = |expected, found| Err(RestoreError::Malformed { offset: 0, expected, found });
        if tail > 1 {
            return malformed("0 or 1 as the manifest's tail", u64::from(tail));
        }
        if !(u64::from(tail)..=Manifest::MAX_RUNS as u64).contains(&count) {
            return malformed("at most 1024 runs, and one at least with a tail", count);
        }
        if totals.revision > Revision::MAX {
            return malformed("a revision below 2^63", totals.revision.0);
        }
        let count = usize::try_from(count).expect("it is at most 1024");
        let Some(names) = rest.get(..count * Manifest::RUN_BYTES) else { return Ok(None) };
        let mut fields = Fields(names);
        let runs: Vec<RunRef> =
            (0..count).map(|_| RunRef { digest: fields.array(), bytes: fields.u64() }).collect();
        let mut sum = 0_u64;
        for run in &runs {
            match sum.checked_add(run.bytes) {
                Some(more) if run.bytes > 0 && more < u64::MAX / 2 => sum = more,
                _ => return malformed("runs of 1 to 2^63 bytes together", run.bytes),
            }
        }
        Ok(Some(Manifest { totals, boundary, has_tail: tail == 1, runs }))
    }
}

/// Takes fixed-size fields off the front of bytes whose length was checked before.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the length was checked");
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u64 {
        u64::from(u32::from_le_bytes(self.array()))
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}
