//! The payload of a log entry, as the write-ahead log stores it, and the client's command inside.
//!
//! Term and index are not here: they stand in the record's header, where recovery needs them even when the
//! payload is lost. The command stands bare, so that its bytes are copied once on each way, and its length is
//! the record's.
//!
//! ```text
//!   0      1
//!   | kind | content |
//!   kind 0   no-op; no content
//!   kind 1   command; the content is the command as proposed, for the state machine alone to read
//!   kind 2   members; the content is the configuration, as `codec` writes a Members
//! ```

use quorate_kv::Command;
use quorate_raft::{Entry, Members, Payload};

use crate::codec::{self, DecodeError};

/// The most bytes an encoded command may have: half of what a message may, because an entry travels whole.
pub const MAX_COMMAND_BYTES: usize = codec::MAX_BYTES / 2;

const KIND_NOOP: u8 = 0;
const KIND_COMMAND: u8 = 1;
const KIND_MEMBERS: u8 = 2;

/// A command too large for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a command of {bytes} bytes: at most {MAX_COMMAND_BYTES} fit into one log entry; split it")]
pub struct CommandTooLarge {
    /// The size it would have, encoded.
    pub bytes: usize,
}

/// The payload of `entry`, without its term and index.
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_entry_into(entry, &mut bytes);
    bytes
}

/// Appends the payload of `entry` to `bytes`; a command is copied once.
pub fn encode_entry_into(entry: &Entry, bytes: &mut Vec<u8>) {
    match &entry.payload {
        Payload::Noop => bytes.push(KIND_NOOP),
        Payload::Command(command) => {
            bytes.reserve(1 + command.len());
            bytes.push(KIND_COMMAND);
            bytes.extend_from_slice(command);
        }
        Payload::Members(members) => {
            bytes.push(KIND_MEMBERS);
            codec::encode_into(&**members, bytes);
        }
    }
}

/// Reads what [`encode_entry`] wrote.
///
/// # Errors
/// [`DecodeError`] when the bytes are no payload. A command is not looked into.
pub fn decode_payload(bytes: &[u8]) -> Result<Payload, DecodeError> {
    let Some((kind, content)) = bytes.split_first() else { return Err(DecodeError::EmptyPayload) };
    match *kind {
        KIND_NOOP if content.is_empty() => Ok(Payload::Noop),
        KIND_NOOP => {
            let type_name = "no-op payload";
            Err(DecodeError::Trailing { type_name, consumed: 1, given: bytes.len() })
        }
        KIND_COMMAND => Ok(Payload::Command(content.into())),
        KIND_MEMBERS => codec::decode::<Members>(content).map(|members| Payload::Members(Box::new(members))),
        found => Err(DecodeError::UnknownPayloadKind { found }),
    }
}

/// The bytes of a command, to be proposed.
///
/// # Errors
/// [`CommandTooLarge`] beyond [`MAX_COMMAND_BYTES`]: a follower would refuse the message that carries it.
pub fn encode_command(command: &Command) -> Result<Vec<u8>, CommandTooLarge> {
    let bytes = codec::encode(command);
    if bytes.len() > MAX_COMMAND_BYTES {
        return Err(CommandTooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// Reads what [`encode_command`] wrote.
///
/// # Errors
/// [`DecodeError`]. In a committed entry that is a bug, or another release's format: whoever applies it must
/// stop, because the other nodes may have understood it.
pub fn decode_command(bytes: &[u8]) -> Result<Command, DecodeError> {
    codec::decode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_raft::LogId;

    fn entry(payload: Payload) -> Entry {
        Entry { id: LogId::new(3, 4), payload }
    }

    #[test]
    fn a_command_stands_bare_after_its_kind() {
        let command = entry(Payload::Command(b"any bytes".as_slice().into()));
        assert_eq!(encode_entry(&command), b"\x01any bytes");
        assert_eq!(decode_payload(b"\x01any bytes"), Ok(command.payload));
        assert_eq!(decode_payload(b"\x00"), Ok(Payload::Noop));
    }

    #[test]
    fn what_is_no_payload_is_refused_by_name() {
        assert_eq!(decode_payload(b""), Err(DecodeError::EmptyPayload));
        assert_eq!(decode_payload(b"\x03"), Err(DecodeError::UnknownPayloadKind { found: 3 }));
        assert!(matches!(decode_payload(b"\x00\x00"), Err(DecodeError::Trailing { .. })));
        assert!(matches!(decode_payload(b"\x02\x00"), Err(DecodeError::Malformed { .. })));
    }

    #[test]
    fn a_command_beyond_the_limit_is_refused() {
        let put = |bytes: usize| Command::Put { key: [1].into(), value: vec![0; bytes].into() };
        let most = MAX_COMMAND_BYTES - 21;
        assert!(encode_command(&put(most)).is_ok());
        assert_eq!(encode_command(&put(most + 1)), Err(CommandTooLarge { bytes: MAX_COMMAND_BYTES + 1 }));
    }
}
