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
    /// A line that is no text is one that nothing matches.
    pub(super) fn of(headers: &HeaderMap, level: ReadLevel) -> BackupCall {
        let lines = |name: &HeaderName| -> Vec<&str> {
            let values = headers.get_all(name).into_iter();
            values.map(|value| value.to_str().unwrap_or_default().trim()).collect()
        };
        let text = |name: &HeaderName| lines(name).first().map(|line| (*line).to_owned());
        // Several lines are one list (RFC 9110 §5.3), and in a list of tags `*` is as much as it is alone.
        let list = |name: &HeaderName| {
            let lines = lines(name);
            let any = lines.contains(&"*").then(|| "*".to_owned());
            any.or_else(|| (!lines.is_empty()).then(|| lines.join(", ")))
        };
        BackupCall {
            level,
            if_match: list(&IF_MATCH),
            if_none_match: list(&IF_NONE_MATCH),
            if_range: text(&IF_RANGE),
            range: text(&RANGE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn every_line_of_a_list_counts() {
        let cases: [(&[&[u8]], Option<&str>); 5] = [
            (&[], None),
            (&[b" \"a\" "], Some("\"a\"")),
            (&[b"\"a\"", b"\"b\", \"c\""], Some("\"a\", \"b\", \"c\"")),
            (&[b"\"a\"", b"*"], Some("*")),
            (&[b"\"\xff\"", b"\"b\""], Some(", \"b\"")),
        ];
        for (lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                let value = HeaderValue::from_bytes(line).expect("a line of a header");
                headers.append(IF_MATCH, value.clone());
                headers.append(IF_NONE_MATCH, value);
            }
            let call = BackupCall::of(&headers, ReadLevel::Stale);
            assert_eq!(call.if_match.as_deref(), expected, "{lines:?}");
            assert_eq!(call.if_none_match.as_deref(), expected, "{lines:?}");
        }
    }
}
