//! Serde for shared bytes: one length and one copy, not an element at a time. It asks for bytes that may be borrowed:
//! owned ones would be copied once into a vector and once more to where they are shared.

use alloc::sync::Arc;
use core::fmt;
use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

pub(crate) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
    deserializer.deserialize_bytes(BytesVisitor)
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Arc<[u8]>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Arc::from(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use serde::de::value::{BytesDeserializer, Error, U32Deserializer};

    #[test]
    fn bytes_are_read_and_nothing_else() {
        let read = deserialize(BytesDeserializer::<Error>::new(b"value"));
        assert_eq!(read.as_deref(), Ok(&b"value"[..]));
        let wrong = deserialize(U32Deserializer::<Error>::new(7)).unwrap_err();
        assert_eq!(wrong.to_string(), "invalid type: integer `7`, expected bytes");
    }
}
