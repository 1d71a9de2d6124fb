//! Serde for shared byte strings, as *bytes*.
//!
//! Serde's own implementation for `Arc<[u8]>` is a sequence of numbers: one call for each byte, and two
//! buffers on the way in. As bytes a value of a mebibyte is one copy, out and in, where the format lends its
//! input.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

/// A key and its value.
pub(crate) type Pair = (Arc<[u8]>, Arc<[u8]>);

pub(crate) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
    deserializer.deserialize_bytes(SharedBytes)
}

struct SharedBytes;

impl<'de> Visitor<'de> for SharedBytes {
    type Value = Arc<[u8]>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a byte string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Arc<[u8]>, E> {
        Ok(Arc::from(bytes))
    }

    // Formats without byte strings of their own (JSON) write a sequence. No capacity is taken from the hint.
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Arc<[u8]>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
        }
        Ok(Arc::from(bytes))
    }
}

/// The same for a list of keys and values.
pub(crate) mod pairs {
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Pair;

    #[derive(Serialize, Deserialize)]
    struct Shared(#[serde(with = "super")] Arc<[u8]>);

    pub(crate) fn serialize<S: Serializer>(pairs: &[Pair], serializer: S) -> Result<S::Ok, S::Error> {
        // Cloning an `Arc` copies no byte.
        serializer.collect_seq(pairs.iter().map(|(key, value)| (Shared(key.clone()), Shared(value.clone()))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Pair>, D::Error> {
        let pairs = Vec::<(Shared, Shared)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(key, value)| (key.0, value.0)).collect())
    }
}

/// The same for a byte string that may not be there.
pub(crate) mod option {
    use alloc::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Shared(#[serde(with = "super")] Arc<[u8]>);

    pub(crate) fn serialize<S: Serializer>(
        bytes: &Option<Arc<[u8]>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.clone().map(Shared).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<[u8]>>, D::Error> {
        Ok(Option::<Shared>::deserialize(deserializer)?.map(|shared| shared.0))
    }
}
