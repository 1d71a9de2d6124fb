//! From the bytes of a watch to its events.

use crate::entry::Entry;
use crate::sse::{Parser, RawEvent};
use crate::watch::{Event, EventId};
use bytes::Bytes;
use serde::Deserialize;

/// Reads the events of a watch off the pieces of its answer's body, however that is cut. [`Watch`](crate::Watch) does
/// all of it; this is for those who have a connection of their own.
#[derive(Debug, Default)]
pub struct EventReader {
    parser: Parser,
}

impl EventReader {
    /// Takes from `piece` what belongs to the next event, and returns that when it is whole, with its id, which a reset
    /// lacks. When there is none, all of `piece` is taken. Kinds that are not known are passed over: a newer server may
    /// have more.
    ///
    /// # Errors
    /// What no server of ours would say.
    pub fn next(&mut self, piece: &mut Bytes) -> Result<Option<(Event, Option<EventId>)>, String> {
        while let Some(raw) = self.parser.next(piece).map_err(|_| "its events are no text".to_owned())? {
            if let Some(event) = understand(&raw)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}

#[derive(Deserialize)]
struct PutData {
    #[serde(flatten)]
    entry: Entry,
    revision: u64,
    #[serde(default)]
    previous: Option<Entry>,
}

#[derive(Deserialize)]
struct DeleteData {
    key: String,
    revision: u64,
    reason: String,
    #[serde(default)]
    previous: Option<Entry>,
}

#[derive(Deserialize)]
struct ResetData {
    revision: u64,
    reason: String,
}

fn understand(raw: &RawEvent) -> Result<Option<(Event, Option<EventId>)>, String> {
    let id =
        || EventId::parse(&raw.id).ok_or_else(|| format!("the id {:?} of an event makes no sense", raw.id));
    let bad = |error| format!("the event {:?} makes no sense: {error}", raw.name);
    match raw.name.as_str() {
        "put" => {
            let PutData { entry, revision, previous } = serde_json::from_str(&raw.data).map_err(bad)?;
            Ok(Some((Event::Put { entry, revision, previous }, Some(id()?))))
        }
        "delete" => {
            let DeleteData { key, revision, reason, previous } =
                serde_json::from_str(&raw.data).map_err(bad)?;
            Ok(Some((Event::Delete { key, revision, reason, previous }, Some(id()?))))
        }
        "reset" => {
            let ResetData { revision, reason } = serde_json::from_str(&raw.data).map_err(bad)?;
            Ok(Some((Event::Reset { revision, reason }, None)))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn what_is_not_known_is_passed_over_and_what_makes_no_sense_is_not() {
        let next = |text: &'static str| EventReader::default().next(&mut Bytes::from_static(text.as_bytes()));
        let reset = "event: reset\ndata: {\"revision\":7,\"reason\":\"slow\"}\n\n";
        let expected = Some((Event::Reset { revision: 7, reason: "slow".to_owned() }, None));
        assert_eq!(next(reset).unwrap(), expected);
        let unknown =
            "id: 7-0\nevent: news\ndata: {}\n\nevent: reset\ndata: {\"revision\":7,\"reason\":\"slow\"}\n\n";
        assert_eq!(next(unknown).unwrap(), expected);
        let delete =
            "id: 7-x\nevent: delete\ndata: {\"key\":\"a\",\"revision\":7,\"reason\":\"expired\"}\n\n";
        assert!(next(delete).unwrap_err().contains("7-x"));
        assert!(next("event: reset\ndata: {}\n\n").unwrap_err().contains("revision"));
    }
}
