//! `GET /watch`: what is watched, and from where on.

use hyper::header::{HeaderMap, HeaderName};
use quorate_node::kv::{EventId, Revision};
use quorate_node::raft::NodeId;
use quorate_node::wire::HistoryId;

use super::ApiError;
use super::key::{MAX_KEY_BYTES, check_key};
use super::query::{Query, bad_value};
use crate::http::headers::QUORATE_HISTORY;
use crate::watching::{Kinds, Scope, Watch};

/// The event that was seen last.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A watch as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchCall {
    pub(crate) watch: Watch,
    /// What is behind this place; without one, what comes.
    pub(crate) after: Option<EventId>,
    /// The history of what was seen before, when the client says it.
    pub(crate) history: Option<HistoryId>,
}

impl WatchCall {
    /// # Errors
    /// `bad_query`; `key_empty` and `key_too_long`; `malformed` when the id of the last event is none.
    pub(super) fn of(asked: Query, headers: &HeaderMap) -> Result<WatchCall, ApiError> {
        let from = asked.from.as_deref().map(parse_from).transpose()?;
        let watch = Watch {
            scope: parse_scope(asked.key, asked.prefix)?,
            kinds: asked.events.as_deref().map_or(Ok(Kinds::ALL), parse_kinds)?,
            previous: asked.previous.as_deref().map_or(Ok(false), parse_previous)?,
        };
        // A browser that comes back sends the id, and the same query as the first time.
        let after = last_event_id(headers)?.or(from);
        Ok(WatchCall { watch, after, history: seen_history(headers)? })
    }
}

fn parse_scope(key: Option<String>, prefix: Option<String>) -> Result<Scope, ApiError> {
    match (key, prefix) {
        (Some(key), None) => {
            check_key(key.as_bytes())?;
            Ok(Scope::Key(key.into_bytes().into()))
        }
        (None, Some(prefix)) if prefix.len() > MAX_KEY_BYTES => Err(ApiError::KeyTooLong(prefix.len())),
        (None, Some(prefix)) => Ok(Scope::Prefix(prefix.into_bytes().into())),
        (None, None) => Err(ApiError::BadQuery(
            "what is to be watched is not said: give key= or prefix= (prefix= alone is every key)".to_owned(),
        )),
        (Some(_), Some(_)) => {
            Err(ApiError::BadQuery("both key= and prefix= are given: give one of them".to_owned()))
        }
    }
}

fn parse_kinds(text: &str) -> Result<Kinds, ApiError> {
    let mut kinds = Kinds { puts: false, deletes: false };
    for name in text.split(',') {
        match name {
            "put" => kinds.puts = true,
            "delete" => kinds.deletes = true,
            _ => return Err(bad_value("events", Some(text), "put, delete, or both with a comma between")),
        }
    }
    Ok(kinds)
}

fn parse_previous(text: &str) -> Result<bool, ApiError> {
    match text {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(bad_value("previous", Some(text), "true or false, or no value")),
    }
}

/// The place before all events of a revision.
fn parse_from(text: &str) -> Result<EventId, ApiError> {
    let revision = number(text).ok_or_else(|| bad_value("from", Some(text), "a revision, for example 7"))?;
    // Nothing is at revision 0.
    Ok(EventId { revision: Revision(revision.saturating_sub(1)), ordinal: u32::MAX })
}

/// The place of the event that was seen last. A browser that has seen none sends none, or an empty one.
fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, ApiError> {
    let Some(header) = headers.get(LAST_EVENT_ID).filter(|header| !header.is_empty()) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(header.as_bytes());
    let id = text.split_once('-').and_then(|(revision, ordinal)| {
        let ordinal = u32::try_from(number(ordinal)?).ok()?;
        Some(EventId { revision: Revision(number(revision)?), ordinal })
    });
    id.map(Some).ok_or_else(|| {
        ApiError::Malformed(format!(
            "the header {LAST_EVENT_ID} is {text:?}: give the id of an event of a watch, for example 7-0"
        ))
    })
}

fn seen_history(headers: &HeaderMap) -> Result<Option<HistoryId>, ApiError> {
    let Some(header) = headers.get(QUORATE_HISTORY) else { return Ok(None) };
    let text = String::from_utf8_lossy(header.as_bytes());
    // All ids are written alike.
    text.parse::<NodeId>().map(|id| Some(HistoryId(id.0))).map_err(|_| {
        ApiError::Malformed(format!(
            "the header {QUORATE_HISTORY} is {text:?}: give the history that answers name, 32 hex digits"
        ))
    })
}

fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::super::query::DEFAULT_TIMEOUT;
    use super::super::routes::Operation;
    use super::super::{Call, Head};
    use super::*;
    use hyper::header::HeaderValue;
    use std::time::Duration;

    fn place(revision: u64, ordinal: u32) -> Option<EventId> {
        Some(EventId { revision: Revision(revision), ordinal })
    }

    fn parsed(query: &str, last_event_id: Option<&'static str>) -> Result<Head, ApiError> {
        let mut headers = HeaderMap::new();
        if let Some(id) = last_event_id {
            headers.insert(LAST_EVENT_ID, HeaderValue::from_static(id));
        }
        let asked = Query::parse(Some(query), Operation::Watch.parameters())?;
        Ok(Head { timeout: asked.timeout, call: Call::Watch(WatchCall::of(asked, &headers)?) })
    }

    #[test]
    fn good_watches() {
        let key = |key: &[u8]| Scope::Key(key.into());
        let prefix = |prefix: &[u8]| Scope::Prefix(prefix.into());
        let (all, end) = (Kinds::ALL, u32::MAX);
        let puts = Kinds { puts: true, deletes: false };
        let cases = [
            ("key=a%2Fb", None, key(b"a/b"), all, false, None),
            ("prefix=", None, prefix(b""), all, false, None),
            ("prefix", None, prefix(b""), all, false, None),
            ("prefix=a&from=7&events=put", None, prefix(b"a"), puts, false, place(6, end)),
            ("prefix=a&from=0&previous", None, prefix(b"a"), all, true, place(0, end)),
            ("prefix=a&from=18446744073709551615", None, prefix(b"a"), all, false, place(u64::MAX - 1, end)),
            ("key=a&from=7&previous=true", Some("9-3"), key(b"a"), all, true, place(9, 3)),
            ("key=a&events=delete,put&previous=false", Some(""), key(b"a"), all, false, None),
        ];
        for (query, id, scope, kinds, previous, after) in cases {
            let watch = Watch { scope, kinds, previous };
            let call = Call::Watch(WatchCall { watch, after, history: None });
            let expected = Head { call, timeout: DEFAULT_TIMEOUT };
            assert_eq!(parsed(query, id), Ok(expected), "{query} {id:?}");
        }
        assert_eq!(parsed("key=a&timeout=1s", None).map(|asked| asked.timeout), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn bad_watches_are_refused_and_say_why() {
        let long = format!("prefix={}", "a".repeat(4097));
        let cases = [
            ("", None, "bad_query", "key= or prefix="),
            ("key=a&prefix=a", None, "bad_query", "one of them"),
            ("key=a&key=a", None, "bad_query", "twice"),
            ("key=a&since=1", None, "bad_query", "\"since\""),
            ("key=", None, "key_empty", "empty"),
            ("key=%ff", None, "bad_query", "UTF-8"),
            (&long, None, "key_too_long", "4097"),
            ("key=a&from=-1", None, "bad_query", "\"-1\""),
            ("key=a&from=", None, "bad_query", "a revision"),
            ("key=a&from=18446744073709551616", None, "bad_query", "a revision"),
            ("key=a&events=", None, "bad_query", "put, delete"),
            ("key=a&events=put,,delete", None, "bad_query", "put, delete"),
            ("key=a&events=expire", None, "bad_query", "put, delete"),
            ("key=a&previous=1", None, "bad_query", "true or false"),
            ("key=a&timeout=0s", None, "bad_query", "timeout"),
            ("key=a", Some("7"), "malformed", "\"7\""),
            ("key=a", Some("7-"), "malformed", "7-0"),
            ("key=a", Some("+7-0"), "malformed", "7-0"),
            ("key=a", Some("7-4294967296"), "malformed", "7-0"),
        ];
        for (query, id, code, expected) in cases {
            let error = parsed(query, id).unwrap_err();
            assert_eq!(error.name().1, code, "{query} {id:?}");
            assert!(error.to_string().contains(expected), "{query} {id:?} gave {error}");
        }
    }
}
