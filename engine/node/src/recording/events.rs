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

use crate::Input;
use quorate_raft::Time;
use quorate_wire::codec::{self, Encoded};

const INPUT: u8 = 0;
const TURNED: u8 = 1;

const TIME_BYTES: usize = 8;

impl Encoded for Input {}

/// What happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It was given this.
    Input(Time, Box<Input>),
    /// It was polled until it had nothing more to say, and this is the fingerprint of what it said.
    Turned(u64),
}

pub(super) fn write_input(bytes: &mut Vec<u8>, now: Time, input: &Input) {
    bytes.push(INPUT);
    let length_at = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&now.0.to_le_bytes());
    codec::encode_into(input, bytes);
    // Longer ones can't be read back, and the reader says so.
    let length = u32::try_from(bytes.len() - length_at - 4).unwrap_or(u32::MAX);
    bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
}

pub(super) fn write_turned(bytes: &mut Vec<u8>, fingerprint: u64) {
    bytes.push(TURNED);
    bytes.extend_from_slice(&fingerprint.to_le_bytes());
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
        let mut bytes = Vec::new();
        for (number, (time, input)) in some().iter().enumerate() {
            write_input(&mut bytes, *time, input);
            write_turned(&mut bytes, number as u64);
        }
        let mut left = bytes.as_slice();
        for (number, (time, input)) in some().into_iter().enumerate() {
            assert_eq!(read(&mut left), Ok(Some(Event::Input(time, Box::new(input)))));
            assert_eq!(read(&mut left), Ok(Some(Event::Turned(number as u64))));
        }
        assert_eq!(read(&mut left), Ok(None));
    }

    #[test]
    fn what_is_cut_short_or_wrong_is_refused() {
        for (time, input) in some() {
            let mut bytes = Vec::new();
            write_input(&mut bytes, time, &input);
            for length in 1..bytes.len() {
                assert!(read(&mut &bytes[..length]).is_err(), "{length} bytes of {input:?}");
            }
        }
        let mut turned = Vec::new();
        write_turned(&mut turned, 1);
        assert!(read(&mut &turned[..8]).is_err());
        assert!(read(&mut [2; 20].as_slice()).is_err());
        assert!(read(&mut [0xff; 20].as_slice()).is_err());
    }
}
