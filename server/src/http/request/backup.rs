//! `GET /backup`: which checkpoint, and which bytes of it.

use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use quorate_node::ReadLevel;

/// A read of a backup. What the headers mean depends on which checkpoints there are and how long they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupCall {
    /// How fresh it must be.
    pub level: ReadLevel,
    /// The tags of which it must have one, as they were given.
    pub if_match: Option<String>,
    /// The tags of those that the asker has already, as they were given.
    pub if_none_match: Option<String>,
    /// The tag without which the range means nothing.
    pub if_range: Option<String>,
    /// The bytes that are wanted.
    pub range: Option<String>,
}

impl BackupCall {
    /// A header that is no text is one that nothing matches.
    pub(super) fn of(headers: &HeaderMap, level: ReadLevel) -> BackupCall {
        let text = |name: &HeaderName| {
            let value = headers.get(name)?;
            Some(value.to_str().unwrap_or_default().trim().to_owned())
        };
        BackupCall {
            level,
            if_match: text(&IF_MATCH),
            if_none_match: text(&IF_NONE_MATCH),
            if_range: text(&IF_RANGE),
            range: text(&RANGE),
        }
    }
}
