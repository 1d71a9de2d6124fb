//! `If-Match` and `If-None-Match` (RFC 9110 §13.1), and the tags in them.

use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use quorate_node::kv::{Compare, Operand, Relation, Revision};

use super::ApiError;

/// The tags of a header. Of all the tags there can be, only those that this server makes name anything: a key's
/// `mod_revision` in quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// `*`: whatever is there.
    any: bool,
    /// Those that are compared byte by byte.
    strong: Vec<Revision>,
    /// Those marked `W/`: they name the same, perhaps not in each byte.
    weak: Vec<Revision>,
}

impl Tags {
    /// The tags that `If-None-Match` of a read names. What can't be read names nothing: then the value is sent.
    pub(super) fn known(headers: &HeaderMap) -> Tags {
        let mut tags = Tags::default();
        for value in headers.get_all(IF_NONE_MATCH) {
            // Tags before the mistake count.
            let _ = tags.add(value.as_bytes());
        }
        tags
    }

    /// Whether they name what was written at this revision: weakly, as for `If-None-Match`.
    pub fn name(&self, mod_revision: Revision) -> bool {
        self.any || self.strong.contains(&mod_revision) || self.weak.contains(&mod_revision)
    }

    fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, ApiError> {
        let mut tags = None;
        for value in headers.get_all(name) {
            let tags: &mut Tags = tags.get_or_insert_default();
            tags.add(value.as_bytes()).map_err(|Unreadable| {
                let seen = String::from_utf8_lossy(value.as_bytes());
                ApiError::Malformed(format!(
                    "the header {name} is {seen:?}: give tags in quotes as ETag shows them, for example \"7\", with \
                     commas between them, or * alone"
                ))
            })?;
        }
        Ok(tags)
    }

    /// Adds the tags of one header line.
    fn add(&mut self, value: &[u8]) -> Result<(), Unreadable> {
        let mut rest = value.trim_ascii();
        if rest == b"*" {
            self.any = true;
            return Ok(());
        }
        let mut is_empty = true;
        while let Some(at) = rest.iter().position(|byte| *byte != b',' && !byte.is_ascii_whitespace()) {
            let (is_weak, tag) = match rest[at..].strip_prefix(b"W/") {
                Some(tag) => (true, tag),
                None => (false, &rest[at..]),
            };
            let tag = tag.strip_prefix(b"\"").ok_or(Unreadable)?;
            let end = tag.iter().position(|byte| *byte == b'"').ok_or(Unreadable)?;
            let list = if is_weak { &mut self.weak } else { &mut self.strong };
            list.extend(revision_of(&tag[..end]));
            rest = tag[end + 1..].trim_ascii_start();
            is_empty = false;
            if !rest.is_empty() && rest[0] != b',' {
                return Err(Unreadable);
            }
        }
        if is_empty { Err(Unreadable) } else { Ok(()) }
    }
}

struct Unreadable;

/// The revision that a tag of ours names.
fn revision_of(opaque: &[u8]) -> Option<Revision> {
    let text = str::from_utf8(opaque).ok()?;
    let revision: u64 = text.parse().ok()?;
    (revision.to_string() == text).then_some(Revision(revision))
}

/// What must hold for a write to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

impl Conditions {
    /// # Errors
    /// `malformed`: a condition that can't be read must not be taken for none.
    pub(super) fn of(headers: &HeaderMap) -> Result<Conditions, ApiError> {
        Ok(Conditions {
            if_match: Tags::of(headers, &IF_MATCH)?,
            if_none_match: Tags::of(headers, &IF_NONE_MATCH)?,
        })
    }

    /// What is compared of `key`; nothing when there is no condition.
    pub(super) fn compares(&self, key: &Arc<[u8]>) -> Vec<Compare> {
        let compare = |relation, operand| Compare { key: Arc::clone(key), relation, operand };
        let matched = self.if_match.as_ref().map(|tags| match tags.any {
            true => compare(Relation::NotEqual, Operand::Version(0)),
            // A weak tag does not say that the bytes are the same.
            false => compare(Relation::Equal, Operand::ModRevisionIn(tags.strong.clone())),
        });
        let not_matched = self.if_none_match.as_ref().map(|tags| match tags.any {
            true => compare(Relation::Equal, Operand::Version(0)),
            false => {
                let tags = tags.strong.iter().chain(&tags.weak).copied().collect();
                compare(Relation::NotEqual, Operand::ModRevisionIn(tags))
            }
        });
        matched.into_iter().chain(not_matched).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use hyper::header::HeaderValue;
    use quorate_node::kv::{Action, Command, Kv, Order, Outcome, Put, Txn};

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn a_tag_that_is_known_is_found_among_others() {
        let cases: [(&[&str], bool); 13] = [
            (&["\"7\""], true),
            (&["W/\"7\""], true),
            (&["*"], true),
            (&["\"1\", \"7\""], true),
            (&["\"1\",W/\"7\" "], true),
            (&["\"1\"", "\"7\""], true),
            (&["\"a,b\" , \"7\""], true),
            (&["\"17\""], false),
            (&["\"07\""], false),
            (&["7"], false),
            (&[""], false),
            (&["w/\"7\""], false),
            (&[], false),
        ];
        for (lines, is_known) in cases {
            let tags = Tags::known(&headers(&IF_NONE_MATCH, lines));
            assert_eq!(tags.name(Revision(7)), is_known, "{lines:?}");
        }
    }

    #[test]
    fn a_condition_that_cannot_be_read_is_refused() {
        for line in ["", "7", "\"7", "\"7\" \"8\"", "w/\"7\"", "*, \"7\"", "\"7\", *", "\"7\"x", ",", "W/7"] {
            for name in [IF_MATCH, IF_NONE_MATCH] {
                let error = Conditions::of(&headers(&name, &[line])).unwrap_err();
                assert_eq!(error.name().1, "malformed", "{line}");
                assert!(error.to_string().contains(name.as_str()), "{error}");
            }
        }
    }

    /// What each condition comes to, on a key that was written at revision 2 and on one that is not there.
    #[test]
    fn conditions_mean_what_the_standard_says() {
        let cases = [
            (IF_MATCH, "\"2\"", true, false),
            (IF_MATCH, "\"1\"", false, false),
            (IF_MATCH, "\"1\", \"2\"", true, false),
            (IF_MATCH, "W/\"2\"", false, false),
            (IF_MATCH, "\"two\"", false, false),
            (IF_MATCH, "*", true, false),
            (IF_NONE_MATCH, "\"2\"", false, true),
            (IF_NONE_MATCH, "W/\"2\"", false, true),
            (IF_NONE_MATCH, "\"1\"", true, true),
            (IF_NONE_MATCH, "*", false, true),
        ];
        let key = |name: &str| -> Arc<[u8]> { name.as_bytes().into() };
        let order = |action| {
            Command::Order(Order { time: Default::default(), once: None, forgets_past: false, action })
        };
        let mut store = Kv::new();
        for name in ["before", "there"] {
            store.apply(&order(Action::Put(Put::for_good(key(name), key("value")))));
        }
        for (name, line, when_there, when_missing) in cases {
            let conditions = Conditions::of(&headers(&name, &[line])).unwrap();
            for (on, expected) in [("there", when_there), ("missing", when_missing)] {
                let txn = Txn { compare: conditions.compares(&key(on)), ..Txn::default() };
                match store.apply(&order(Action::Txn(txn))).outcome {
                    Outcome::Txn { succeeded, .. } => assert_eq!(succeeded, expected, "{name}: {line} {on}"),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(Conditions::of(&HeaderMap::new()).unwrap().compares(&key("there")).is_empty());
    }
}
