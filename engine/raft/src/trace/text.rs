//! The words of a line.

use super::{Configuration, Configured, Match, Slot};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// Stands for nothing, and for an empty list.
const NOTHING: &str = "-";

/// A value that is one word of a line.
pub(super) trait Word: Sized {
    /// What stands between two of them in a list.
    const BETWEEN: char = ',';

    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result;

    fn read(word: &str) -> Option<Self>;
}

/// Reads the word of a field.
pub(super) fn field<T: Word>(
    line: &str,
    name: &'static str,
    word: Option<&str>,
) -> Result<T, ParseLineError> {
    word.and_then(|word| word.strip_prefix(name)?.strip_prefix('='))
        .and_then(T::read)
        .ok_or_else(|| ParseLineError { line: line.to_string(), wanted: name })
}

/// The text is no line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLineError {
    /// What was given.
    pub line: String,
    /// What was wanted and is not there.
    pub wanted: &'static str,
}

impl ParseLineError {
    pub(super) fn verb(line: &str) -> Self {
        ParseLineError { line: line.to_string(), wanted: "a node, a colon and a step" }
    }

    pub(super) fn rest(line: &str) -> Self {
        ParseLineError { line: line.to_string(), wanted: "nothing after the last field" }
    }
}

impl fmt::Display for ParseLineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is no line of a trace: {} is wanted", self.line, self.wanted)
    }
}

impl core::error::Error for ParseLineError {}

impl Word for u64 {
    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }

    fn read(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

/// A node's id, in hex like everywhere, without leading zeros.
impl Word for u128 {
    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:x}")
    }

    fn read(word: &str) -> Option<Self> {
        u128::from_str_radix(word, 16).ok()
    }
}

impl Word for bool {
    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if *self { "yes" } else { "no" })
    }

    fn read(word: &str) -> Option<Self> {
        match word {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    }
}

impl<T: Word> Word for Option<T> {
    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => value.write(formatter),
            None => formatter.write_str(NOTHING),
        }
    }

    fn read(word: &str) -> Option<Self> {
        if word == NOTHING { Some(None) } else { T::read(word).map(Some) }
    }
}

impl<T: Word> Word for Vec<T> {
    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.write_str(NOTHING);
        }
        self.iter().enumerate().try_for_each(|(number, value)| {
            if number > 0 {
                write!(formatter, "{}", T::BETWEEN)?;
            }
            value.write(formatter)
        })
    }

    fn read(word: &str) -> Option<Self> {
        if word == NOTHING { Some(Vec::new()) } else { word.split(T::BETWEEN).map(T::read).collect() }
    }
}

/// As log ids are written: `term/index`.
impl Word for Slot {
    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.term, self.index)
    }

    fn read(word: &str) -> Option<Self> {
        let (term, index) = word.split_once('/')?;
        Some(Slot { term: Word::read(term)?, index: Word::read(index)? })
    }
}

impl Word for Match {
    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.write(formatter)?;
        write!(formatter, ":{}", self.index)
    }

    fn read(word: &str) -> Option<Self> {
        let (node, index) = word.split_once(':')?;
        Some(Match { node: Word::read(node)?, index: Word::read(index)? })
    }
}

/// Voters, outgoing voters and learners, with bars between them.
impl Word for Configuration {
    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.voters.write(formatter)?;
        formatter.write_str("|")?;
        self.outgoing.write(formatter)?;
        formatter.write_str("|")?;
        self.learners.write(formatter)
    }

    fn read(word: &str) -> Option<Self> {
        let mut lists = word.split('|').map(Vec::read);
        let configuration =
            Configuration { voters: lists.next()??, outgoing: lists.next()??, learners: lists.next()?? };
        lists.next().is_none().then_some(configuration)
    }
}

impl Word for Configured {
    const BETWEEN: char = ';';

    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.write(formatter)?;
        formatter.write_str(":")?;
        self.configuration.write(formatter)
    }

    fn read(word: &str) -> Option<Self> {
        let (at, configuration) = word.split_once(':')?;
        Some(Configured { at: Word::read(at)?, configuration: Word::read(configuration)? })
    }
}
