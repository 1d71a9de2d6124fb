//! The keys that every load writes and reads.

/// How many there are.
pub(crate) const KEYS: usize = 100_000;
/// The size of one.
pub(crate) const KEY_BYTES: usize = 12;
/// The size of a value.
pub(crate) const VALUE_BYTES: usize = 256;
/// What a put brings.
pub(crate) const PAYLOAD_BYTES: usize = KEY_BYTES + VALUE_BYTES;

/// The name of a key. `load.lua` and `clusters.rs` write it so, too.
pub(crate) fn name(key: usize) -> String {
    format!("key-{key:08}")
}

/// Keys at random: Knuth's generator, as any order of the keys is as good as another.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The number of one of so many.
    pub(crate) fn one_of(&mut self, keys: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % keys
    }
}
