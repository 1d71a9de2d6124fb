//! The bytes that `codec` draws, written without a detour.
//!
//! They are bincode's: it reads them, and a test has it write the same. To write them takes no library, and each number
//! is one store instead of a chain of calls that each may fail: a node writes every command twice, once for the log and
//! once for its flight recorder.

use core::fmt;
use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// From so many bytes on a byte string is given room of its own: what follows it would else move it once more.
const LONG_BYTES: usize = 256;

/// What mostly follows a long byte string.
const REST_BYTES: usize = 128;

/// A value that has no bytes in this layout: a sequence that does not know its length, a character, a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unencodable;

impl fmt::Display for Unencodable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that the codec has no bytes for")
    }
}

impl core::error::Error for Unencodable {}

impl Error for Unencodable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Unencodable
    }
}

/// Appends to `bytes`.
pub(crate) struct Encoder<'a, F> {
    pub(crate) bytes: &'a mut Vec<u8>,
    /// Strings of at least so many bytes are left out when `takes` takes them, who is told where they would stand.
    pub(crate) least: usize,
    pub(crate) takes: F,
}

impl<F: FnMut(usize, &[u8]) -> bool> Encoder<'_, F> {
    fn length(&mut self, length: usize) {
        self.bytes.extend_from_slice(&(length as u64).to_le_bytes());
    }

    fn string(&mut self, string: &[u8]) {
        self.length(string.len());
        if string.len() >= self.least && (self.takes)(self.bytes.len(), string) {
            return;
        }
        if string.len() >= LONG_BYTES {
            self.bytes.reserve(string.len() + REST_BYTES);
        }
        self.bytes.extend_from_slice(string);
    }

    fn variant(&mut self, position: u32) {
        self.bytes.extend_from_slice(&position.to_le_bytes());
    }
}

/// Numbers of a fixed size.
macro_rules! numbers {
    ($($method:ident: $number:ty),*) => {
        $(
            #[inline]
            fn $method(self, number: $number) -> Result<(), Unencodable> {
                self.bytes.extend_from_slice(&number.to_le_bytes());
                Ok(())
            }
        )*
    };
}

impl<'a, 'b, F: FnMut(usize, &[u8]) -> bool> Serializer for &'b mut Encoder<'a, F> {
    type Ok = ();
    type Error = Unencodable;
    type SerializeSeq = &'b mut Encoder<'a, F>;
    type SerializeTuple = &'b mut Encoder<'a, F>;
    type SerializeTupleStruct = &'b mut Encoder<'a, F>;
    type SerializeTupleVariant = &'b mut Encoder<'a, F>;
    type SerializeMap = &'b mut Encoder<'a, F>;
    type SerializeStruct = &'b mut Encoder<'a, F>;
    type SerializeStructVariant = &'b mut Encoder<'a, F>;

    numbers!(
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128
    );

    fn serialize_bool(self, is_true: bool) -> Result<(), Unencodable> {
        self.serialize_u8(is_true.into())
    }

    fn serialize_f32(self, _: f32) -> Result<(), Unencodable> {
        Err(Unencodable)
    }

    fn serialize_f64(self, _: f64) -> Result<(), Unencodable> {
        Err(Unencodable)
    }

    fn serialize_char(self, _: char) -> Result<(), Unencodable> {
        Err(Unencodable)
    }

    fn serialize_str(self, string: &str) -> Result<(), Unencodable> {
        self.string(string.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Unencodable> {
        self.string(bytes);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unencodable> {
        self.serialize_u8(0)
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Unencodable> {
        self.bytes.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unencodable> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unencodable> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        position: u32,
        _: &'static str,
    ) -> Result<(), Unencodable> {
        self.variant(position);
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unencodable> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        position: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unencodable> {
        self.variant(position);
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Unencodable> {
        self.length(length.ok_or(Unencodable)?);
        Ok(self)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, Unencodable> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Unencodable> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        position: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unencodable> {
        self.variant(position);
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Self, Unencodable> {
        self.serialize_seq(length)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unencodable> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        position: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unencodable> {
        self.variant(position);
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// What holds others: those stand one after the other, with nothing between and nothing behind.
macro_rules! holders {
    ($($holder:ident :: $method:ident $(($name:ty))?),*) => {
        $(
            impl<F: FnMut(usize, &[u8]) -> bool> $holder for &mut Encoder<'_, F> {
                type Ok = ();
                type Error = Unencodable;

                #[inline]
                fn $method<T: ?Sized + Serialize>(
                    &mut self,
                    $(_: $name,)?
                    value: &T,
                ) -> Result<(), Unencodable> {
                    value.serialize(&mut **self)
                }

                #[inline]
                fn end(self) -> Result<(), Unencodable> {
                    Ok(())
                }
            }
        )*
    };
}

holders!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
    SerializeStruct::serialize_field(&'static str),
    SerializeStructVariant::serialize_field(&'static str)
);

impl<F: FnMut(usize, &[u8]) -> bool> SerializeMap for &mut Encoder<'_, F> {
    type Ok = ();
    type Error = Unencodable;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Unencodable> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unencodable> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Unencodable> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use serde::{Deserialize, Serialize};
    use std::collections::{BTreeMap, BTreeSet};
    use std::ops::Bound;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    enum Shape {
        Unit,
        One(u16),
        Two(i8, String),
        Named { flag: bool, list: Vec<Shape> },
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Pair(i32, i64);

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Wrapped(u128);

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Nothing;

    /// Whatever serde has a word for.
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Everything {
        shapes: Vec<Shape>,
        pair: Pair,
        wrapped: Wrapped,
        nothing: Nothing,
        unit: (),
        tuple: (u8, u32, i16, i128),
        array: [u8; 5],
        none: Option<u64>,
        some: Option<Option<u64>>,
        map: BTreeMap<u64, String>,
        set: BTreeSet<String>,
        bound: Bound<usize>,
        text: String,
        duration: Duration,
        boxed: Box<isize>,
    }

    fn everything(length: usize) -> Everything {
        let named = |list| Shape::Named { flag: true, list };
        let inner = vec![Shape::Unit, Shape::One(7), Shape::Two(-1, "two".repeat(length))];
        Everything {
            shapes: vec![named(inner), named(Vec::new()), Shape::Unit],
            pair: Pair(-2, i64::MIN),
            wrapped: Wrapped(u128::MAX - 1),
            nothing: Nothing,
            unit: (),
            tuple: (1, 2, -3, i128::MIN),
            array: [1, 2, 3, 4, 5],
            none: None,
            some: Some(Some(9)),
            map: (0..4).map(|number| (number, number.to_string())).collect(),
            set: (0..4).map(|number| number.to_string()).collect(),
            bound: Bound::Excluded(11),
            text: "t".repeat(length),
            duration: Duration::from_nanos(1_234_567_890_123),
            boxed: Box::new(-5),
        }
    }

    fn written(value: &impl Serialize, mut bytes: Vec<u8>) -> Result<Vec<u8>, Unencodable> {
        let takes = |_: usize, _: &[u8]| false;
        value.serialize(&mut Encoder { bytes: &mut bytes, least: usize::MAX, takes }).map(|()| bytes)
    }

    #[test]
    fn bincode_writes_the_same_and_reads_it() {
        let config = bincode::config::standard().with_little_endian().with_fixed_int_encoding();
        for length in [0, 1, LONG_BYTES - 1, LONG_BYTES, 10_000] {
            let value = everything(length);
            let bytes = written(&value, vec![0xee]).unwrap();
            assert_eq!(bytes[1..], bincode::serde::encode_to_vec(&value, config).unwrap());
            let (read, _) = bincode::serde::decode_from_slice::<Everything, _>(&bytes[1..], config).unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn what_has_no_bytes_is_refused() {
        assert_eq!(written(&'c', Vec::new()), Err(Unencodable));
        assert_eq!(written(&1.0_f64, Vec::new()), Err(Unencodable));
        assert_eq!(written(&1.0_f32, Vec::new()), Err(Unencodable));
    }

    #[test]
    fn a_long_string_is_moved_once() {
        let bytes = written(&(7_u64, "v".repeat(100_000), [1_u64; 10]), Vec::new()).unwrap();
        let capacity = bytes.capacity();
        assert!(capacity < bytes.len() + 2 * REST_BYTES, "{capacity} for {} bytes", bytes.len());
    }
}
