//! Output a line a record, for pipes: tabs part the fields, and nothing in a field can be taken for a tab or an end.

use std::fmt::Write as _;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::json_line;

/// stdout, as long as somebody reads it.
#[derive(Debug)]
pub(crate) struct Lines {
    stdout: BufWriter<Stdout>,
}

/// Whether somebody reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    /// It went away, and has had enough.
    Gone,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self { stdout: BufWriter::new(io::stdout()) }
    }

    /// Writes a line; it may stay in memory for a while.
    pub(crate) fn line(&mut self, text: &str) -> Result<Reader, Failure> {
        self.text(text)?;
        self.text("\n")
    }

    /// Writes `value` as a line of JSON; it may stay in memory for a while.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<Reader, Failure> {
        self.text(&json_line(value)?)
    }

    /// Writes lines that have their ends; they may stay in memory for a while.
    pub(crate) fn text(&mut self, text: &str) -> Result<Reader, Failure> {
        reader(self.stdout.write_all(text.as_bytes()))
    }

    /// Writes what is in memory.
    pub(crate) fn flush(&mut self) -> Result<Reader, Failure> {
        reader(self.stdout.flush())
    }
}

fn reader(written: io::Result<()>) -> Result<Reader, Failure> {
    match written {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::failed(format!("stdout can't be written: {error}"))),
    }
}

/// Bytes as one field of a line: as they are where they are printable UTF-8, else as `\\`, `\t`, `\n`, `\r` or `\xNN`.
pub(crate) fn field(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '\t' => text.push_str("\\t"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                control if control.is_ascii_control() => escape(&mut text, control as u8),
                other => text.push(other),
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(&mut text, *byte));
    }
    text
}

fn escape(text: &mut String, byte: u8) {
    write!(text, "\\x{byte:02x}").expect("a text takes what is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_one_and_can_be_told_from_others() {
        let cases: [(&[u8], &str); 6] = [
            (b"", ""),
            ("schl\u{fc}ssel a/b".as_bytes(), "schl\u{fc}ssel a/b"),
            (b"a\tb\nc\rd", "a\\tb\\nc\\rd"),
            (b"a\\tb", "a\\\\tb"),
            (b"\x00\x1b\x7f", "\\x00\\x1b\\x7f"),
            (b"\xffa\xc3", "\\xffa\\xc3"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(field(bytes), expected);
        }
    }
}
