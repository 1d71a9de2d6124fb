//! An input or a fingerprint as bytes, and back.
//!
//! ```text
//! an input          0      1        5       13
//!                   | 0    | length | time  | the input, as the codec writes it |
//!   length   u32    of the time and the input, in bytes
//!   time     u64    when it was given, in microseconds
//!
//! a fingerprint     0      1              9
//!                   | 1    | fingerprint  |
//! ```
//!
//! All numbers are little-endian. A fingerprint follows the inputs after which the node was polled until it had nothing
//! more to say.

use super::tape::{Chunk, SHARED_FROM};
use crate::node::Base;
use crate::{Input, Request};
use quorate_kv::{Action, Op};
use quorate_raft::{Done, Entry, Message, Payload, Time};
use quorate_wire::codec::{self, Encoded};
use std::sync::Arc;

const INPUT: u8 = 0;
const TURNED: u8 = 1;

const TIME_BYTES: usize = 8;
/// Kind, length and time.
const HEAD_BYTES: usize = 1 + 4 + TIME_BYTES;

/// What a base takes, about, but for the entries that the core has in memory.
const BASE_BYTES: usize = 4 << 10;

impl Encoded for Input {}

/// What happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It was given this.
    Input(Time, Box<Input>),
    /// It was polled until it had nothing more to say, and this is the fingerprint of what it said.
    Turned(u64),
}

/// Long byte strings are shared with the input.
pub(super) fn write_input(chunk: &mut Chunk, now: Time, input: &Input) {
    let length_before = chunk.length();
    let (bytes, _) = chunk.parts();
    let begin = bytes.len();
    let mut head = [0; HEAD_BYTES];
    head[0] = INPUT;
    head[HEAD_BYTES - TIME_BYTES..].copy_from_slice(&now.0.to_le_bytes());
    bytes.extend_from_slice(&head);
    write_sharing(chunk, input, || values(input));
    // Longer ones can't be read back, and the reader says so.
    let length = chunk.length() - length_before - (HEAD_BYTES - TIME_BYTES);
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let (bytes, _) = chunk.parts();
    bytes[begin + 1..begin + 5].copy_from_slice(&length.to_le_bytes());
}

/// A base, as the codec writes it. Long byte strings are shared with the entries in it.
pub(super) fn write_base(base: &Base) -> Chunk {
    let mut chunk = Chunk::default();
    let (bytes, _) = chunk.parts();
    bytes.reserve(base.raft().lengths_bytes() + BASE_BYTES);
    write_sharing(&mut chunk, base, || commands(base.raft().whole()));
    let (bytes, _) = chunk.parts();
    bytes.shrink_to_fit();
    chunk
}

/// Writes `value`, and shares those long byte strings in it that are among `values`, which are in the codec's order.
fn write_sharing<'a, T: Encoded, V: Iterator<Item = &'a Arc<[u8]>>>(
    chunk: &mut Chunk,
    value: &T,
    values: impl Fn() -> V,
) {
    let (bytes, shared) = chunk.parts();
    let long = || values().filter(|value| value.len() >= SHARED_FROM).peekable();
    // Mostly there is none.
    let mut left = None;
    codec::encode_except(value, bytes, SHARED_FROM, |at, string| {
        // A long string that is none of them, as a key may be, stands between them.
        let found = left.get_or_insert_with(long).next_if(|value| std::ptr::eq(&***value, string));
        found.into_iter().for_each(|value| shared.insert(at, value));
        found.is_some()
    });
}

/// The byte strings of an input that may be long, in the codec's order. One that is missing here is copied.
fn values(input: &Input) -> impl Iterator<Item = &Arc<[u8]>> {
    let (mut one, mut lists, mut entries) = (None, [[].as_slice(); 2], [].as_slice());
    match input {
        Input::Request { request: Request::Write { action: Action::Put(put), .. }, .. } => {
            one = Some(&put.value);
        }
        Input::Request { request: Request::Write { action: Action::Txn(txn), .. }, .. } => {
            lists = [&txn.success, &txn.failure];
        }
        Input::Message(envelope) => match &envelope.message {
            Message::Append { entries: some, .. } | Message::Tell { entries: some, .. } => entries = some,
            Message::Snapshot { chunk, .. } => one = Some(&chunk.data),
            _ => {}
        },
        Input::Done(Done::Loaded { entries: some, .. }) => entries = some,
        Input::Done(Done::SnapshotLoaded { chunk, .. }) => one = chunk.as_ref().map(|chunk| &chunk.data),
        _ => {}
    }
    let written = lists.into_iter().flatten().filter_map(|op| match op {
        Op::Put(put) => Some(&put.value),
        Op::Get { .. } | Op::Delete { .. } | Op::Holder { .. } => None,
    });
    one.into_iter().chain(written).chain(commands(entries))
}

fn commands(entries: &[Entry]) -> impl Iterator<Item = &Arc<[u8]>> {
    entries.iter().filter_map(|entry| match &entry.payload {
        Payload::Command(bytes) => Some(bytes),
        Payload::Noop | Payload::Members(_) => None,
    })
}

pub(super) fn write_turned(chunk: &mut Chunk, fingerprint: u64) {
    let mut event = [0; 1 + size_of::<u64>()];
    event[0] = TURNED;
    event[1..].copy_from_slice(&fingerprint.to_le_bytes());
    chunk.parts().0.extend_from_slice(&event);
}

/// Takes the first event off `bytes`; nothing when there are none left.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(bytes: &mut &[u8]) -> Result<Option<Event>, String> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    let cut_short = || format!("an event of kind {kind} that ends after {} bytes", rest.len());
    match *kind {
        INPUT => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut_short)?;
            let length = u32::from_le_bytes(*length) as usize;
            let (event, rest) = rest.split_at_checked(length).ok_or_else(cut_short)?;
            let (time, input) = event.split_first_chunk::<TIME_BYTES>().ok_or_else(cut_short)?;
            let input = codec::decode::<Input>(input).map_err(|error| error.to_string())?;
            *bytes = rest;
            Ok(Some(Event::Input(Time(u64::from_le_bytes(*time)), Box::new(input))))
        }
        TURNED => {
            let (fingerprint, rest) = rest.split_first_chunk::<8>().ok_or_else(cut_short)?;
            *bytes = rest;
            Ok(Some(Event::Turned(u64::from_le_bytes(*fingerprint))))
        }
        unknown => Err(format!("an event of kind {unknown}: expected 0 (input) or 1 (fingerprint)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Query, ReadLevel, Request, RequestId};
    use quorate_kv::{Action, Expiry, Put};
    use quorate_raft::{Done, WriteId};

    fn some() -> Vec<(Time, Input)> {
        let put = Put { key: b"k".as_slice().into(), value: vec![7; 300].into(), expiry: Expiry::Never };
        let write = Request::write(Action::Put(put));
        let query = Query::Key { key: b"key".as_slice().into(), revision: None };
        let read = Request::Read { query, level: ReadLevel::Lease };
        vec![
            (Time(1), Input::Timeout),
            (Time(2), Input::Request { id: RequestId(3), request: write }),
            (Time(2), Input::Request { id: RequestId(4), request: read }),
            (Time(u64::MAX), Input::Done(Done::Written(WriteId(9)))),
            (Time(5), Input::Cancel(RequestId(3))),
        ]
    }

    #[test]
    fn what_was_written_is_read() {
        let mut chunk = Chunk::default();
        for (number, (time, input)) in some().iter().enumerate() {
            write_input(&mut chunk, *time, input);
            write_turned(&mut chunk, number as u64);
        }
        let mut left = chunk.parts().0.as_slice();
        for (number, (time, input)) in some().into_iter().enumerate() {
            assert_eq!(read(&mut left), Ok(Some(Event::Input(time, Box::new(input)))));
            assert_eq!(read(&mut left), Ok(Some(Event::Turned(number as u64))));
        }
        assert_eq!(read(&mut left), Ok(None));
    }

    #[test]
    fn what_is_cut_short_or_wrong_is_refused() {
        for (time, input) in some() {
            let mut chunk = Chunk::default();
            write_input(&mut chunk, time, &input);
            let (bytes, _) = chunk.parts();
            for length in 1..bytes.len() {
                assert!(read(&mut &bytes[..length]).is_err(), "{length} bytes of {input:?}");
            }
        }
        let mut turned = Chunk::default();
        write_turned(&mut turned, 1);
        assert!(read(&mut &turned.parts().0[..8]).is_err());
        assert!(read(&mut [2; 20].as_slice()).is_err());
        assert!(read(&mut [0xff; 20].as_slice()).is_err());
    }
}
