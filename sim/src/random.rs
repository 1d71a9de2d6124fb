//! A small seeded generator: xorshift64*, from Marsaglia's family, frozen so that seeds keep meaning.

/// Pseudo-random numbers; equal seeds give equal numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator; any seed will do.
    pub fn new(seed: u64) -> Self {
        // The state must never be zero, and close seeds should not give close numbers.
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.bits();
        random
    }

    /// A generator for one concern of a seed, so that drawing more for one does not reshuffle the others.
    pub fn labelled(seed: u64, label: &str) -> Self {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self::new(label.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, fold))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        assert!(least <= most, "there is no number from {least} to {most}");
        least + (self.bits() >> 16) % (most - least + 1)
    }

    /// True once in `in_how_many` times.
    pub fn one_in(&mut self, in_how_many: u64) -> bool {
        self.between(1, in_how_many) == 1
    }

    /// A number below `bound`, which must not be zero.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "there is no number below zero");
        // The modulo's bias is far below what any test here could notice.
        usize::try_from(self.bits() >> 16).expect("48 bits fit") % bound
    }
}
