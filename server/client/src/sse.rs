//! Server-Sent Events, as far as Quorate's servers write them: `id`, `event` and `data` lines, comments, and an empty
//! line behind each event (WHATWG HTML, section 9.2).

use bytes::{Buf, Bytes};

/// The longest event; a server's largest value is far smaller, even in base64.
const MOST_EVENT_BYTES: usize = 256 << 20;

/// One event, as it stood in the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawEvent {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Makes lines of pieces, and events of lines.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: RawEvent,
}

/// A line is no UTF-8, or there is no end of an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Parser {
    /// Takes from `piece` what belongs to the next event, and returns that when it is whole; else the piece is empty
    /// then.
    pub(crate) fn next(&mut self, piece: &mut Bytes) -> Result<Option<RawEvent>, Malformed> {
        while piece.has_remaining() {
            let end = piece.iter().position(|byte| *byte == b'\n');
            let part = piece.split_to(end.unwrap_or(piece.len()));
            self.line.extend_from_slice(&part);
            if self.line.len() + self.event.data.len() > MOST_EVENT_BYTES {
                return Err(Malformed);
            }
            if end.is_none() {
                break;
            }
            piece.advance(1);
            let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| Malformed)?;
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if line.is_empty() && self.event != RawEvent::default() {
                return Ok(Some(std::mem::take(&mut self.event)));
            }
            self.field(line);
        }
        Ok(None)
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => value.clone_into(&mut self.event.id),
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // A comment has no name.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn events_are_found_in_pieces_of_any_size() {
        let text = ": hello\n\nid: 7-0\nevent: put\ndata: {\"a\":\ndata: 1}\n\n: alive\r\n\r\nevent:reset\r\ndata:x\r\n\r\nid: 8";
        let event = |id: &str, name: &str, data: &str| RawEvent {
            id: id.into(),
            name: name.into(),
            data: data.into(),
        };
        let expected = [event("7-0", "put", "{\"a\":\n1}"), event("", "reset", "x")];
        for size in [1, 2, 3, 10, text.len()] {
            let (mut parser, mut found) = (Parser::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                let mut piece = Bytes::copy_from_slice(piece);
                while let Some(event) = parser.next(&mut piece).unwrap() {
                    found.push(event);
                }
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_text_is_malformed() {
        assert_eq!(Parser::default().next(&mut Bytes::from_static(b"id: \xff\n")), Err(Malformed));
    }
}
