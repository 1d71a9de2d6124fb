//! The bytes of an [`Outcome`], as an answer that is remembered holds them. Numbers are little-endian.
//!
//! ```text
//! outcome        u8 kind, then
//!   0 put          u64 revision
//!   1 deleted      u64 count, u64 revision
//!   2 imported     u64 count, u64 revision
//!   3 transaction  u8 succeeded, u64 revision, u32 number of results, each: u8 kind, then
//!                    0 put      u64 mod_revision
//!                    1 got      u8 whether it was there; then an entry: u64 create_revision, u64 mod_revision,
//!                               u64 version, bytes value
//!                    2 deleted  u64 count
//!                    3 holder   u8 whether there is one; then bytes
//!   4 lease        u64 lease, u64 time to live in milliseconds
//!   5 revoked      u64 count, u64 revision
//!   6 no lease     u64 lease
//!   7 lease exists
//!   8 locked       bytes
//!   9 key written twice
//!   10 done
//! bytes          u32 length, then the bytes
//! ```
//!
//! That the table was full, or that a key was another request's, is never remembered.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::{LeaseId, Revision};
use crate::outcome::{OpResult, Outcome};
use crate::store::Entry;

/// Appends the bytes of `outcome`.
///
/// # Panics
/// When it is one that is never remembered.
pub(crate) fn encode(outcome: &Outcome, to: &mut Vec<u8>) {
    match outcome {
        Outcome::Put { revision } => numbers(to, 0, &[revision.0]),
        Outcome::Deleted { count, revision } => numbers(to, 1, &[*count, revision.0]),
        Outcome::Imported { count, revision } => numbers(to, 2, &[*count, revision.0]),
        Outcome::Txn { succeeded, revision, results } => {
            to.extend_from_slice(&[3, u8::from(*succeeded)]);
            to.extend_from_slice(&revision.0.to_le_bytes());
            to.extend_from_slice(&length(results.len()));
            results.iter().for_each(|result| encode_result(result, to));
        }
        Outcome::Lease { lease, ttl_ms } => numbers(to, 4, &[lease.0, *ttl_ms]),
        Outcome::Revoked { count, revision } => numbers(to, 5, &[*count, revision.0]),
        Outcome::LeaseNotFound { lease } => numbers(to, 6, &[lease.0]),
        Outcome::LeaseExists => to.push(7),
        Outcome::Locked { info } => {
            to.push(8);
            bytes(to, info);
        }
        Outcome::KeyWrittenTwice => to.push(9),
        Outcome::Done => to.push(10),
        Outcome::AnotherRequest | Outcome::AnswersFull => panic!("{outcome:?} is no answer to remember"),
    }
}

fn encode_result(result: &OpResult, to: &mut Vec<u8>) {
    match result {
        OpResult::Put { mod_revision } => numbers(to, 0, &[mod_revision.0]),
        OpResult::Got(None) => to.extend_from_slice(&[1, 0]),
        OpResult::Got(Some(entry)) => {
            to.push(1);
            numbers(to, 1, &[entry.create_revision.0, entry.mod_revision.0, entry.version]);
            bytes(to, &entry.value);
        }
        OpResult::Deleted { count } => numbers(to, 2, &[*count]),
        OpResult::Holder(None) => to.extend_from_slice(&[3, 0]),
        OpResult::Holder(Some(info)) => {
            to.extend_from_slice(&[3, 1]);
            bytes(to, info);
        }
    }
}

fn numbers(to: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    to.push(kind);
    numbers.iter().for_each(|number| to.extend_from_slice(&number.to_le_bytes()));
}

fn bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&length(bytes.len()));
    to.extend_from_slice(bytes);
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("the log's codec takes no command of 4 GiB").to_le_bytes()
}

/// Reads what [`encode`] wrote; nothing when it is not that, to the last byte.
pub(crate) fn decode(bytes: &[u8]) -> Option<Outcome> {
    let mut reader = Reader(bytes);
    let outcome = reader.outcome()?;
    reader.0.is_empty().then_some(outcome)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn outcome(&mut self) -> Option<Outcome> {
        Some(match self.u8()? {
            0 => Outcome::Put { revision: self.revision()? },
            1 => Outcome::Deleted { count: self.u64()?, revision: self.revision()? },
            2 => Outcome::Imported { count: self.u64()?, revision: self.revision()? },
            3 => {
                let (succeeded, revision) = (self.flag()?, self.revision()?);
                // No room is reserved by what a number says.
                let count = self.u32()?;
                let results = (0..count).map(|_| self.result()).collect::<Option<Vec<OpResult>>>()?;
                Outcome::Txn { succeeded, revision, results }
            }
            4 => Outcome::Lease { lease: LeaseId(self.u64()?), ttl_ms: self.u64()? },
            5 => Outcome::Revoked { count: self.u64()?, revision: self.revision()? },
            6 => Outcome::LeaseNotFound { lease: LeaseId(self.u64()?) },
            7 => Outcome::LeaseExists,
            8 => Outcome::Locked { info: self.bytes()? },
            9 => Outcome::KeyWrittenTwice,
            10 => Outcome::Done,
            _ => return None,
        })
    }

    fn result(&mut self) -> Option<OpResult> {
        Some(match self.u8()? {
            0 => OpResult::Put { mod_revision: self.revision()? },
            1 if self.flag()? => OpResult::Got(Some(Entry {
                create_revision: self.revision()?,
                mod_revision: self.revision()?,
                version: self.u64()?,
                value: self.bytes()?,
            })),
            1 => OpResult::Got(None),
            2 => OpResult::Deleted { count: self.u64()? },
            3 if self.flag()? => OpResult::Holder(Some(self.bytes()?)),
            3 => OpResult::Holder(None),
            _ => return None,
        })
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn revision(&mut self) -> Option<Revision> {
        self.u64().map(Revision)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn bytes(&mut self) -> Option<Arc<[u8]>> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Arc::from(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn shared(text: &str) -> Arc<[u8]> {
        Arc::from(text.as_bytes())
    }

    fn all() -> Vec<Outcome> {
        let revision = Revision(7);
        let entry =
            Entry { value: shared("v"), create_revision: Revision(1), mod_revision: revision, version: 2 };
        let results = vec![
            OpResult::Put { mod_revision: revision },
            OpResult::Got(None),
            OpResult::Got(Some(entry)),
            OpResult::Deleted { count: 1 },
            OpResult::Holder(None),
            OpResult::Holder(Some(shared("me"))),
        ];
        vec![
            Outcome::Put { revision },
            Outcome::Deleted { count: 1, revision },
            Outcome::Imported { count: 3, revision },
            Outcome::Txn { succeeded: true, revision, results },
            Outcome::Lease { lease: LeaseId(u64::MAX), ttl_ms: 1000 },
            Outcome::Revoked { count: 2, revision },
            Outcome::LeaseNotFound { lease: LeaseId(3) },
            Outcome::LeaseExists,
            Outcome::Locked { info: shared("") },
            Outcome::KeyWrittenTwice,
            Outcome::Done,
        ]
    }

    #[test]
    fn what_was_written_is_read_and_nothing_shorter_or_longer() {
        for outcome in all() {
            let mut bytes = Vec::new();
            encode(&outcome, &mut bytes);
            assert_eq!(decode(&bytes), Some(outcome));
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None, "{bytes:?} cut to {cut}");
            }
            bytes.push(0);
            assert_eq!(decode(&bytes), None);
        }
    }

    #[test]
    fn a_kind_or_flag_that_there_is_not_is_refused() {
        assert_eq!(decode(&[11]), None);
        assert_eq!(decode(&[3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(decode(&[3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4]), None);
        // Four thousand million results: nothing is reserved for them.
        assert_eq!(decode(&[3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]), None);
    }
}
