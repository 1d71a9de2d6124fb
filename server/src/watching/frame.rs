//! The bytes of an event, as Server-Sent Events have them: `id`, `event` and one line of `data`.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use quorate_node::kv::{Change, Entry, EventId, EventKind, Revision};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::EntryAnswer;
use crate::http::openapi::formats;

/// A change, and the bytes that were made of it: once for all who are told, and once more for all who want to know what
/// was there before.
#[derive(Debug)]
pub(super) struct Event {
    change: Change,
    plain: Option<Bytes>,
    with_previous: Option<Bytes>,
}

/// Why a watcher must look at the whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetReason {
    /// It took its events so late that those it lacks are gone.
    Slow,
    /// The past that it asked for, or that this node jumped over, is gone.
    Compacted,
    /// What it saw was of another history.
    Restored,
}

/// What was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct PutData<'a> {
    #[serde(flatten)]
    entry: EntryAnswer<'a>,
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Option<EntryAnswer<'a>>>,
}

/// What is gone.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeleteData<'a> {
    #[schema(schema_with = formats::key)]
    key: Cow<'a, str>,
    revision: u64,
    #[schema(schema_with = formats::delete_reason)]
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Option<EntryAnswer<'a>>>,
}

/// Why the stream ends.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResetData {
    revision: u64,
    #[schema(schema_with = formats::reset_reason)]
    reason: &'static str,
}

impl Event {
    pub(super) fn new(change: Change) -> Event {
        Event { change, plain: None, with_previous: None }
    }

    pub(super) fn id(&self) -> EventId {
        self.change.id
    }

    pub(super) fn key(&self) -> &Arc<[u8]> {
        &self.change.key
    }

    pub(super) fn kind(&self) -> EventKind {
        self.change.kind
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let entry_bytes = |entry: &Option<Entry>| entry.as_ref().map_or(0, |entry| entry.value.len());
        let Change { key, entry, previous, .. } = &self.change;
        let made = [&self.plain, &self.with_previous].into_iter().flatten().map(Bytes::len).sum::<usize>();
        size_of::<Event>() + key.len() + entry_bytes(entry) + entry_bytes(previous) + made
    }

    pub(super) fn frame(&mut self, with_previous: bool) -> Bytes {
        let made = if with_previous { &mut self.with_previous } else { &mut self.plain };
        made.get_or_insert_with(|| frame(&self.change, with_previous)).clone()
    }
}

/// The bytes of a change.
pub(super) fn frame(change: &Change, with_previous: bool) -> Bytes {
    let EventId { revision, .. } = change.id;
    let entry_answer = |entry| EntryAnswer::new(&change.key, entry, true);
    let previous = with_previous.then(|| change.previous.as_ref().map(entry_answer));
    match change.kind {
        EventKind::Put => {
            let entry = change.entry.as_ref().expect("what was put is kept as long as that it was");
            let data = PutData { entry: entry_answer(entry), revision: revision.0, previous };
            write(change.id, "put", &data)
        }
        EventKind::Deleted | EventKind::Expired => {
            let key = String::from_utf8_lossy(&change.key);
            let reason = if change.kind == EventKind::Expired { "expired" } else { "deleted" };
            write(change.id, "delete", &DeleteData { key, revision: revision.0, reason, previous })
        }
    }
}

/// The last event of a stream that can't go on. The store is at `revision`: who reads all of it now may go on watching
/// from there, which is what a browser does by itself when the connection ends, because the event has that place.
pub(crate) fn reset(revision: Revision, reason: ResetReason) -> Bytes {
    let reason = match reason {
        ResetReason::Slow => "slow",
        ResetReason::Compacted => "compacted",
        ResetReason::Restored => "restored",
    };
    write(super::filter::end_of(revision), "reset", &ResetData { revision: revision.0, reason })
}

fn write(id: EventId, name: &str, data: &impl Serialize) -> Bytes {
    let EventId { revision, ordinal } = id;
    let mut bytes = format!("id: {revision}-{ordinal}\nevent: {name}\ndata: ").into_bytes();
    // JSON has no line ends but those that are asked for.
    serde_json::to_writer(&mut bytes, data).expect("texts and numbers are always JSON, and memory takes all");
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}

/// Keys are text: the server takes no others.
#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: EventKind) -> Change {
        let entry = |value: &[u8], mod_revision, version| Entry {
            value: value.into(),
            create_revision: Revision(3),
            mod_revision: Revision(mod_revision),
            version,
        };
        Change {
            id: EventId { revision: Revision(9), ordinal: 2 },
            kind,
            key: b"a\n\"\xc3\xa4".as_slice().into(),
            entry: (kind == EventKind::Put).then(|| entry(b"\xff\x00new", 9, 2)),
            previous: Some(entry(b"", 3, 1)),
        }
    }

    #[test]
    fn a_put_is_an_entry_and_a_revision() {
        let mut event = Event::new(change(EventKind::Put));
        let plain = concat!(
            "id: 9-2\nevent: put\n",
            r#"data: {"key":"a\n\"ä","value":"/wBuZXc=","create_revision":3,"mod_revision":9,"version":2,"revision":9}"#,
            "\n\n"
        );
        assert_eq!(event.frame(false), plain);
        let with_previous = plain.replace(
            "}\n\n",
            ",\"previous\":{\"key\":\"a\\n\\\"ä\",\"value\":\"\",\"create_revision\":3,\"mod_revision\":3,\"version\":1}}\n\n",
        );
        assert_eq!(event.frame(true), with_previous);
        // The same bytes, not equal ones.
        assert_eq!(event.frame(false).as_ptr(), event.frame(false).as_ptr());
        event.change.previous = None;
        event.with_previous = None;
        assert!(event.frame(true).ends_with(b",\"previous\":null}\n\n"));
    }

    #[test]
    fn a_deletion_says_why() {
        for (kind, reason) in [(EventKind::Deleted, "deleted"), (EventKind::Expired, "expired")] {
            let expected = format!(
                "id: 9-2\nevent: delete\ndata: {{\"key\":\"a\\n\\\"ä\",\"revision\":9,\"reason\":\"{reason}\"}}\n\n"
            );
            assert_eq!(frame(&change(kind), false), expected);
            assert!(frame(&change(kind), true).ends_with(b"\"version\":1}}\n\n"));
        }
    }

    #[test]
    fn a_reset_has_the_place_where_it_goes_on() {
        let expected = "id: 7-4294967295\nevent: reset\ndata: {\"revision\":7,\"reason\":\"compacted\"}\n\n";
        assert_eq!(reset(Revision(7), ResetReason::Compacted), expected);
    }
}
