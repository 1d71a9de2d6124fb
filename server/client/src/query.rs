//! How keys and parameters are written in a request's target.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::{Display, Write};

/// What stays as it is. The dot does not: `.` and `..` would be taken for path segments on the way.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// A path, and parameters behind it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    text: String,
    separator: char,
}

impl Target {
    /// A path that needs no encoding.
    pub(crate) fn new(path: &str) -> Target {
        Target { text: path.to_owned(), separator: '?' }
    }

    /// The path of a key.
    pub(crate) fn key(key: &str) -> Target {
        Target { text: format!("/key/{}", utf8_percent_encode(key, KEPT)), separator: '?' }
    }

    pub(crate) fn add(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        write!(self.text, "{}{name}={}", self.separator, utf8_percent_encode(&value, KEPT))
            .expect("a text takes what is written to it");
        self.separator = '&';
    }

    /// Adds a parameter, if there is one.
    pub(crate) fn add_some(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    pub(crate) fn text(self) -> String {
        self.text
    }
}
