//! `GET /keys`: which keys, and the cursor that goes on with them.
//!
//! ```text
//! cursor = base64url, without padding, of
//!   0x01 · check (8) · query (16) · revision (8) · limit (8, 0 for none) · values (1)
//!        · 0x00, or 0x01 · length (2) · end · the last key that was given
//! ```
//!
//! Numbers are little-endian. `check` is the beginning of the BLAKE3 hash of all that follows it, so that a cursor that
//! was cut or mistyped is not taken for another; `query` is the beginning of the hash of the range that was asked for
//! first.

use std::ops::Bound;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quorate_node::kv::Revision;
use quorate_node::{List, ReadLevel};

use super::ApiError;
use super::key::MAX_KEY_BYTES;
use super::query::Query;

const VERSION: u8 = 1;

/// A list of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListCall {
    /// Where it begins and ends, and at which revision. Its own limit is that of a page.
    pub list: List,
    /// The most keys that are wanted, of how many pages they may be.
    pub limit: Option<usize>,
    /// Whether values are wanted.
    pub values: bool,
    /// How fresh it must be.
    pub level: ReadLevel,
    /// Names the range that was asked for first.
    query: [u8; 16],
}

struct Range {
    start: Bound<Arc<[u8]>>,
    end: Option<Arc<[u8]>>,
}

impl ListCall {
    /// # Errors
    /// `bad_query`.
    pub(super) fn of(query: &Query) -> Result<ListCall, ApiError> {
        let range = Range::of(query)?;
        if let Some(cursor) = &query.cursor {
            return ListCall::continued(cursor, query, range.as_ref());
        }
        let range = range.unwrap_or(Range { start: Bound::Unbounded, end: None });
        let name = range.name();
        let list = List { start: range.start, end: range.end, limit: usize::MAX, revision: query.revision };
        Ok(ListCall {
            list,
            limit: query.limit,
            values: query.values.unwrap_or(true),
            level: query.level,
            query: name,
        })
    }

    /// Goes on where a cursor points. The first query may be given again, and then it must be that.
    fn continued(cursor: &str, query: &Query, range: Option<&Range>) -> Result<ListCall, ApiError> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let mut list = bytes.and_then(|bytes| decode(&bytes)).ok_or_else(|| {
            ApiError::BadQuery(
                "the query parameter cursor is not one that this server gave: take it from \"next\" as it is, or begin \
                 anew without it"
                    .to_owned(),
            )
        })?;
        if range.is_some_and(|range| range.name() != list.query) {
            return Err(ApiError::BadQuery(
                "the cursor belongs to a list of another range: give the same prefix, start, end and after again, or \
                 none of them"
                    .to_owned(),
            ));
        }
        let of = list.list.revision.unwrap_or_default();
        if let Some(revision) = query.revision.filter(|revision| *revision != of) {
            return Err(ApiError::BadQuery(format!(
                "the cursor belongs to a list at revision {of}, and the query parameter revision is {revision}: leave \
                 that out"
            )));
        }
        list.level = query.level;
        list.limit = query.limit.or(list.limit);
        list.values = query.values.unwrap_or(list.values);
        Ok(list)
    }

    /// What goes on with this list, which is one at `revision`, behind `last`.
    pub fn cursor(&self, revision: Revision, last: &[u8]) -> String {
        let mut rest = self.query.to_vec();
        rest.extend_from_slice(&revision.0.to_le_bytes());
        rest.extend_from_slice(&(self.limit.unwrap_or(0) as u64).to_le_bytes());
        rest.push(u8::from(self.values));
        match &self.list.end {
            None => rest.push(0),
            Some(end) => {
                let length = u16::try_from(end.len()).expect("it is no longer than a key, and was checked");
                rest.push(1);
                rest.extend_from_slice(&length.to_le_bytes());
                rest.extend_from_slice(end);
            }
        }
        rest.extend_from_slice(last);
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&check(&rest));
        bytes.extend_from_slice(&rest);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn check(rest: &[u8]) -> [u8; 8] {
    *blake3::hash(rest).as_bytes().first_chunk().expect("a hash has 32 bytes")
}

fn decode(bytes: &[u8]) -> Option<ListCall> {
    let (&VERSION, bytes) = bytes.split_first()? else { return None };
    let (checked, rest) = bytes.split_first_chunk::<8>()?;
    if *checked != check(rest) {
        return None;
    }
    let (query, rest) = rest.split_first_chunk::<16>()?;
    let (revision, rest) = rest.split_first_chunk::<8>()?;
    let (limit, rest) = rest.split_first_chunk::<8>()?;
    let (values, rest) = rest.split_first()?;
    let (has_end, mut rest) = rest.split_first()?;
    let mut end = None;
    if *has_end == 1 {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (bytes, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        (end, rest) = (Some(bytes.into()), after);
    }
    let revision = Revision(u64::from_le_bytes(*revision));
    let limit = usize::try_from(u64::from_le_bytes(*limit)).ok()?;
    let list = List { start: Bound::Excluded(rest.into()), end, limit: usize::MAX, revision: Some(revision) };
    Some(ListCall {
        list,
        limit: Some(limit).filter(|limit| *limit > 0),
        values: *values == 1,
        level: ReadLevel::Linearizable,
        query: *query,
    })
}

impl Range {
    /// The range that a query names, if it does.
    fn of(query: &Query) -> Result<Option<Range>, ApiError> {
        let Query { prefix, start, end, after, .. } = query;
        let parts = [("prefix", prefix), ("start", start), ("end", end), ("after", after)];
        for (name, part) in parts {
            if let Some(part) = part.as_ref().filter(|part| part.len() > MAX_KEY_BYTES) {
                let bytes = part.len();
                return Err(ApiError::BadQuery(format!(
                    "the query parameter {name} has {bytes} bytes, a key has at most {MAX_KEY_BYTES}: shorten it"
                )));
            }
        }
        if prefix.is_some() && (start.is_some() || end.is_some()) {
            return Err(ApiError::BadQuery(
                "prefix names a range, and so do start and end: give one or the other".to_owned(),
            ));
        }
        if parts.iter().all(|(_, part)| part.is_none()) {
            return Ok(None);
        }
        let bytes = |text: &String| -> Arc<[u8]> { text.as_bytes().into() };
        let first = prefix.as_ref().or(start.as_ref()).map(bytes).unwrap_or_default();
        let start = match after.as_ref().map(bytes) {
            Some(after) if after >= first => Bound::Excluded(after),
            _ => Bound::Included(first),
        };
        let end = match prefix {
            Some(prefix) => behind(prefix.as_bytes()),
            None => end.as_ref().map(bytes),
        };
        Ok(Some(Range { start, end }))
    }

    fn name(&self) -> [u8; 16] {
        let (kind, start): (u8, &[u8]) = match &self.start {
            Bound::Unbounded => (0, &[]),
            Bound::Included(start) => (u8::from(!start.is_empty()), start),
            Bound::Excluded(start) => (2, start),
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[kind]).update(&(start.len() as u64).to_le_bytes()).update(start);
        if let Some(end) = &self.end {
            hasher.update(&[1]).update(end);
        }
        *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
    }
}

/// The first of all the byte strings that come behind those with this prefix, if there is one.
pub(crate) fn behind(prefix: &[u8]) -> Option<Arc<[u8]>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn query(set: impl FnOnce(&mut Query)) -> Query {
        let mut query = Query::default();
        set(&mut query);
        query
    }

    fn given(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn bytes(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn ranges_are_half_open_and_prefixes_are_ranges() {
        let cases = [
            (query(|_| ()), Bound::Unbounded, None),
            (query(|q| q.prefix = given("")), Bound::Included(bytes("")), None),
            (query(|q| q.prefix = given("a/")), Bound::Included(bytes("a/")), Some(bytes("a0"))),
            (query(|q| q.start = given("b")), Bound::Included(bytes("b")), None),
            (query(|q| q.end = given("b")), Bound::Included(bytes("")), Some(bytes("b"))),
            (query(|q| q.after = given("b")), Bound::Excluded(bytes("b")), None),
            (query(|q| (q.start, q.after) = (given("b"), given("a"))), Bound::Included(bytes("b")), None),
            (query(|q| (q.start, q.after) = (given("b"), given("b"))), Bound::Excluded(bytes("b")), None),
            (
                query(|q| (q.prefix, q.after) = (given("a"), given("ab"))),
                Bound::Excluded(bytes("ab")),
                Some(bytes("b")),
            ),
        ];
        for (query, start, end) in cases {
            let list = ListCall::of(&query).unwrap().list;
            assert_eq!((list.start, list.end), (start, end), "{query:?}");
        }
        assert_eq!(behind(b"a\xff\xff"), Some(b"b"[..].into()));
        assert_eq!((behind(b"\xff"), behind(b"")), (None, None));
    }

    #[test]
    fn what_makes_no_range_is_refused() {
        let long = "k".repeat(4097);
        let bad = [
            query(|q| (q.prefix, q.start) = (given("a"), given("a"))),
            query(|q| (q.prefix, q.end) = (given("a"), given("b"))),
            query(|q| q.prefix = given(&long)),
            query(|q| q.end = given(&long)),
            query(|q| q.cursor = given("x")),
            query(|q| q.cursor = given("%%%")),
            query(|q| q.cursor = given("AQ")),
        ];
        for query in bad {
            assert_eq!(ListCall::of(&query).unwrap_err().name().1, "bad_query", "{query:?}");
        }
    }

    #[test]
    fn a_cursor_goes_on_with_its_own_query_only() {
        let first = query(|q| {
            (q.prefix, q.limit, q.values) = (given("a/"), Some(2), Some(false));
            q.revision = Some(Revision(7));
        });
        let list = ListCall::of(&first).unwrap();
        let cursor = list.cursor(Revision(7), b"a/2");
        let next = ListCall::of(&query(|q| q.cursor = given(&cursor))).unwrap();
        assert_eq!(
            (&next.list.start, next.list.revision),
            (&Bound::Excluded(bytes("a/2")), Some(Revision(7)))
        );
        assert_eq!((&next.list.end, next.limit, next.values), (&list.list.end, Some(2), false));
        // The same query again, or a part of it that is no range.
        let again = Query { cursor: given(&cursor), limit: Some(5), ..first };
        assert_eq!(ListCall::of(&again), Ok(ListCall { limit: Some(5), ..next.clone() }));
        assert_eq!(next.cursor(Revision(7), b"a/2"), cursor);

        let others = [
            query(|q| (q.cursor, q.prefix) = (given(&cursor), given("b/"))),
            query(|q| (q.cursor, q.prefix) = (given(&cursor), given(""))),
            query(|q| (q.cursor, q.start) = (given(&cursor), given("a/"))),
            query(|q| (q.cursor, q.revision) = (given(&cursor), Some(Revision(8)))),
        ];
        for other in others {
            assert_eq!(ListCall::of(&other).unwrap_err().name().1, "bad_query", "{other:?}");
        }
        for at in 0..cursor.len() {
            let mut wrong = cursor.clone().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(ListCall::of(&query(|q| q.cursor = Some(wrong))).is_err(), "byte {at}");
            assert!(ListCall::of(&query(|q| q.cursor = given(&cursor[..at]))).is_err(), "{at} bytes");
        }
    }
}
