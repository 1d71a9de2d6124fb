//! The hash of a row, and of the state: how nodes find out that they diverged.
//!
//! The state's hash must not depend on the order in which rows came to be, and must cost only what changed.
//! So it is the *sum* of the hashes of all rows, modulo 2^64: a write subtracts the old row and adds the new
//! one. Sums of good hashes collide no more often by accident than the hashes themselves. Against an
//! adversary a 64-bit sum is worth nothing, and needn't be: it is there to catch our own mistakes and bad
//! memory.
//!
//! The function is frozen: it stands in the footer of every snapshot. Words are read little-endian, so that
//! all machines agree.

/// Odd constants with as many ones as zeros and no pattern (the golden ratio, and primes from xxHash64).
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
const SEED: u64 = 0xC2B2_AE3D_27D4_EB4F;
const FINAL: u64 = 0x1656_67B1_9E37_79F9;

/// The hash of one row. Fields are fed in a fixed order; byte strings bring their length along, so that a
/// byte that moves from one field to the next changes the hash.
#[derive(Clone, Copy)]
pub(crate) struct RowHash(u64);

impl RowHash {
    pub(crate) fn new(table: u8) -> RowHash {
        RowHash(SEED).number(u64::from(table))
    }

    pub(crate) fn number(self, word: u64) -> RowHash {
        // The rotation keeps two equal words in a row from cancelling each other out.
        RowHash(fold(self.0.rotate_left(23) ^ word, MULTIPLIER))
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> RowHash {
        let hash = self.number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        let hash = words.iter().fold(hash, |hash, word| hash.number(u64::from_le_bytes(*word)));
        if rest.is_empty() {
            return hash;
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash.number(u64::from_le_bytes(last))
    }

    pub(crate) fn finish(self) -> u64 {
        fold(self.0 ^ FINAL, MULTIPLIER)
    }
}

/// The running sum over all rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowSum(u64);

impl RowSum {
    pub(crate) fn add(&mut self, row: u64) {
        self.0 = self.0.wrapping_add(row);
    }

    pub(crate) fn remove(&mut self, row: u64) {
        self.0 = self.0.wrapping_sub(row);
    }

    /// Mixes in what no row tells: the number of rows and the store's revision.
    pub(crate) fn state_hash(self, rows: u64, revision: u64) -> u64 {
        RowHash(SEED).number(self.0).number(rows).number(revision).finish()
    }
}

/// Both halves of the 128-bit product, so that every bit of the input reaches every bit of the output.
fn fold(left: u64, right: u64) -> u64 {
    let (low, high) = left.carrying_mul(right, 0);
    low ^ high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_frozen() {
        let hash = RowHash::new(1).bytes(b"key").number(7).bytes(b"a longer value").finish();
        assert_eq!(hash, 1373581500992457544);
        assert_eq!(RowSum::default().state_hash(0, 0), 13819354397760033354);
    }

    #[test]
    fn a_byte_that_moves_to_the_next_field_changes_the_hash() {
        let one = RowHash::new(1).bytes(b"ab").bytes(b"c").finish();
        let other = RowHash::new(1).bytes(b"a").bytes(b"bc").finish();
        assert_ne!(one, other);
        assert_ne!(RowHash::new(1).bytes(b"").finish(), RowHash::new(1).bytes(b"\0").finish());
    }

    #[test]
    fn a_sum_forgets_what_was_removed() {
        let mut sum = RowSum::default();
        sum.add(u64::MAX);
        sum.add(17);
        sum.remove(u64::MAX);
        let mut same = RowSum::default();
        same.add(17);
        assert_eq!(sum, same);
    }
}
