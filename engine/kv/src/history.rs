//! The past: what every change replaced, from the newest back to a floor.
//!
//! An [`Event`] says which key changed, by which revision, and *what was there before*. So the past needs no copy of
//! its own: a key at revision N is what the first change after N replaced, or, without one, what is there now. The
//! oldest events can go at any time and in any number: nothing newer depends on them, and so there is never anything to
//! compact as a whole. Watches read the same events forwards; what a change *wrote* is what the next change of the key
//! replaced, or what is there now.
//!
//! What the replicas agree on ends at the floor. A node may hold events below it for readers that began when they were
//! still there: that is its own affair, no part of the state.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::ops::Bound;

use crate::changes::Ledger;
use crate::command::Revision;
use crate::hash::RowHash;
use crate::key_map::KeyMap;
use crate::rows::TABLE_HISTORY;
use crate::store::{Entry, Row};

/// What an event is counted for beside its key and the value it replaced, in bytes: about what it takes in memory.
const EVENT_BYTES: u64 = 200;

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// The revision that the change made.
    pub revision: Revision,
    /// Which of the changes of that revision, from 0.
    pub ordinal: u32,
}

impl EventId {
    pub(crate) const BYTES: usize = 12;

    pub(crate) fn encode(self) -> [u8; EventId::BYTES] {
        let mut bytes = [0; EventId::BYTES];
        bytes[..8].copy_from_slice(&self.revision.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.ordinal.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; EventId::BYTES]) -> EventId {
        let (revision, ordinal) = bytes.split_first_chunk::<8>().expect("8 of 12 bytes");
        let ordinal = ordinal.first_chunk::<4>().expect("4 bytes are left");
        EventId { revision: Revision(u64::from_be_bytes(*revision)), ordinal: u32::from_be_bytes(*ordinal) }
    }
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was written.
    Put = 0,
    /// It was taken out.
    Deleted = 1,
    /// Its time was over, or that of its lease.
    Expired = 2,
}

/// Which event of a store it is, counted since it was made or restored. Numbers mean nothing outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventNumber(u64);

impl EventNumber {
    /// No event.
    pub(crate) const NONE: EventNumber = EventNumber(u64::MAX);
}

/// One change of one key. Invariant: what was there before was written by a lower revision.
///
/// The events of a key are linked in both directions, so that none has to be looked for.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: EventId,
    pub(crate) kind: EventKind,
    pub(crate) key: Arc<[u8]>,
    pub(crate) previous: Option<Row>,
    older: EventNumber,
    newer: EventNumber,
}

impl PartialEq for Event {
    fn eq(&self, other: &Event) -> bool {
        (self.id, self.kind, &self.key, &self.previous) == (other.id, other.kind, &other.key, &other.previous)
    }
}

impl Eq for Event {}

impl Event {
    pub(crate) fn new(id: EventId, kind: EventKind, key: Arc<[u8]>, previous: Option<Row>) -> Event {
        Event { id, kind, key, previous, older: EventNumber::NONE, newer: EventNumber::NONE }
    }

    /// Its row's hash. The hash of what was there before stands for it, so no value is read again.
    pub(crate) fn hash(&self) -> u64 {
        RowHash::new(TABLE_HISTORY)
            .number(self.id.revision.0)
            .number(u64::from(self.id.ordinal))
            .number(self.kind as u64)
            .bytes(&self.key)
            .number(u64::from(self.previous.is_some()))
            .number(self.previous.as_ref().map_or(0, |row| row.hash))
            .finish()
    }

    /// Whether a key can be this since the event.
    fn leads_to(&self, after: Option<&Entry>) -> bool {
        let (EventKind::Put, Some(after)) = (self.kind, after) else {
            return self.kind != EventKind::Put && after.is_none();
        };
        let before = self.previous.as_ref().map(|row| &row.entry);
        let (create_revision, version) =
            before.map_or((self.id.revision, 0), |before| (before.create_revision, before.version));
        (after.mod_revision, after.create_revision, after.version)
            == (self.id.revision, create_revision, version + 1)
    }

    fn bytes(&self) -> u64 {
        let value_bytes = self.previous.as_ref().map_or(0, |row| row.entry.value.len());
        EVENT_BYTES + (self.key.len() + value_bytes) as u64
    }
}

/// A change, as a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it stands.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// To which key.
    pub key: Arc<[u8]>,
    /// What is there since; nothing when it was taken out.
    pub entry: Option<Entry>,
    /// What was there before.
    pub previous: Option<Entry>,
}

/// The past that was asked for is gone, or was never there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The oldest revision that can still be read. Changes can be followed from the one after it.
    pub oldest: Revision,
}

/// All events, in order.
///
/// Invariants: identifiers ascend; `events[n]` has the number `first + n`; those with a number below `live` are held
/// for readers only; `absent` has the latest event of each key that is not there and has one; `bytes` is what the live
/// events are counted for.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    events: VecDeque<Event>,
    first: u64,
    live: u64,
    absent: BTreeMap<Arc<[u8]>, EventNumber>,
    bytes: u64,
    held_bytes: u64,
    /// No event that is not here any more was newer than this.
    gone: Revision,
}

impl PartialEq for History {
    fn eq(&self, other: &History) -> bool {
        self.live_events().eq(other.live_events())
    }
}

impl Eq for History {}

impl History {
    pub(crate) fn starting_at(floor: Revision) -> History {
        History { gone: floor, ..History::default() }
    }

    pub(crate) fn live_events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().skip(self.held_count())
    }

    fn held_count(&self) -> usize {
        usize::try_from(self.live - self.first).expect("events lie in memory")
    }

    /// What all live events are counted for, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is held for readers alone, in bytes.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// The number that the next event will have.
    pub(crate) fn next_number(&self) -> EventNumber {
        EventNumber(self.first + self.events.len() as u64)
    }

    /// How many events there are, those held for readers included, and how many there were before.
    pub(crate) fn count(&self) -> u64 {
        self.next_number().0
    }

    /// Takes the next event. The row of a key that is there since says that this is its latest; of one that is not, it
    /// is noted here.
    pub(crate) fn push(&mut self, mut event: Event) {
        let last = self.events.back().map(|last| last.id);
        assert!(last.is_none_or(|last| last < event.id), "{:?} comes after {last:?}", event.id);
        let number = self.next_number();
        event.older = match &event.previous {
            Some(row) => row.last,
            None => self.absent.remove(&event.key).unwrap_or(EventNumber::NONE),
        };
        if event.kind != EventKind::Put {
            self.absent.insert(event.key.clone(), number);
        }
        self.bytes += event.bytes();
        let older = event.older;
        self.events.push_back(event);
        if let Some(older) = self.event_mut(older) {
            older.newer = number;
        }
    }

    /// The oldest event that is part of the state.
    pub(crate) fn oldest(&self) -> Option<&Event> {
        self.events.get(self.held_count())
    }

    /// The oldest event is no longer part of the state. It may be held still.
    pub(crate) fn drop_oldest(&mut self, ledger: &mut Ledger) -> Option<EventId> {
        let event = self.oldest()?;
        let (id, bytes) = (event.id, event.bytes());
        ledger.leave(event.hash());
        ledger.changes.drop_event(id);
        self.bytes -= bytes;
        self.held_bytes += bytes;
        self.live += 1;
        Some(id)
    }

    /// Lets go of what is no part of the state, but for what a reader at `held` needs.
    pub(crate) fn trim(&mut self, held: Option<Revision>) {
        while self.first < self.live {
            let Some(event) = self.events.front() else { return };
            if held.is_some_and(|held| event.id.revision > held) {
                return;
            }
            let event = self.events.pop_front().expect("it was looked at");
            self.first += 1;
            self.held_bytes -= event.bytes();
            self.gone = event.id.revision;
            if event.newer == EventNumber::NONE && event.kind != EventKind::Put {
                self.absent.remove(&event.key);
            }
        }
    }

    /// Lets go of everything, none of which is part of the state any more. Numbers go on: rows may still name old ones.
    pub(crate) fn forget_all(&mut self, revision: Revision) {
        self.trim(None);
        assert!(self.events.is_empty(), "{} events are still part of the state", self.events.len());
        self.gone = revision;
    }

    /// Whether the state at `revision` can be told here.
    pub(crate) fn reaches(&self, revision: Revision) -> bool {
        revision >= self.gone
    }

    /// The event of that number, unless it is gone.
    fn event(&self, number: EventNumber) -> Option<&Event> {
        self.events.get(usize::try_from(number.0.checked_sub(self.first)?).ok()?)
    }

    fn event_mut(&mut self, number: EventNumber) -> Option<&mut Event> {
        self.events.get_mut(usize::try_from(number.0.checked_sub(self.first)?).ok()?)
    }

    /// What `key` was at a revision that is reached, when `now` is its row now. Costs a step for each change since.
    pub(crate) fn at<'a>(
        &'a self,
        key: &[u8],
        revision: Revision,
        now: Option<&'a Row>,
    ) -> Option<&'a Entry> {
        let mut number = match now {
            Some(row) => row.last,
            None => *self.absent.get(key)?,
        };
        let mut row = now;
        while let Some(event) = self.event(number).filter(|event| event.id.revision > revision) {
            row = event.previous.as_ref();
            number = event.older;
        }
        row.map(|row| &row.entry)
    }

    /// An event that did not lead to what came after it: to what the next event of its key replaced, or, without one,
    /// to what is there now. Or one that replaced what was written since the oldest event, but not by any event.
    pub(crate) fn contradiction(&self, rows: &KeyMap) -> Option<EventId> {
        let wrong = self.events.iter().find(|event| {
            let after = match self.event(event.newer) {
                Some(newer) => newer.previous.as_ref(),
                None => rows.get(&event.key),
            };
            let is_first = self.event(event.older).is_none();
            let is_stray = event.previous.as_ref().is_some_and(|row| row.entry.mod_revision > self.gone);
            !event.leads_to(after.map(|row| &row.entry)) || (is_first && is_stray)
        });
        wrong.map(|event| event.id)
    }

    /// Links the events of a history that was restored, whose keys are in `rows`.
    pub(crate) fn link(&mut self, rows: &mut KeyMap) {
        self.absent.clear();
        for position in 0..self.events.len() {
            let number = EventNumber(self.first + position as u64);
            let key = self.events[position].key.clone();
            let older = match rows.get_mut(&key) {
                Some((_, row)) => core::mem::replace(&mut row.last, number),
                None => self.absent.insert(key, number).unwrap_or(EventNumber::NONE),
            };
            (self.events[position].older, self.events[position].newer) = (older, EventNumber::NONE);
            if let Some(older) = self.event_mut(older) {
                older.newer = number;
            }
        }
    }

    /// Whether a key that is there has events.
    pub(crate) fn knows(&self, row: &Row) -> bool {
        self.event(row.last).is_some()
    }

    /// The keys from `start` on that are not there and have events, in order.
    pub(crate) fn absent_keys_from(&self, start: Bound<&[u8]>) -> impl Iterator<Item = &Arc<[u8]>> {
        self.absent.range::<[u8], _>((start, Bound::Unbounded)).map(|(key, _)| key)
    }

    /// All events from `revision` on, the oldest first, each with what it wrote. `now` gives what a key is now.
    pub(crate) fn changes<'a>(
        &'a self,
        from: Revision,
        now: impl Fn(&[u8]) -> Option<&'a Entry> + 'a,
    ) -> impl Iterator<Item = Change> + 'a {
        let begin = self.events.partition_point(|event| event.id.revision < from);
        self.events.range(begin..).map(move |event| {
            let entry = match (event.kind, self.event(event.newer)) {
                (EventKind::Put, Some(newer)) => newer.previous.as_ref().map(|row| row.entry.clone()),
                (EventKind::Put, None) => now(&event.key).cloned(),
                (EventKind::Deleted | EventKind::Expired, _) => None,
            };
            let previous = event.previous.as_ref().map(|row| row.entry.clone());
            Change { id: event.id, kind: event.kind, key: event.key.clone(), entry, previous }
        })
    }
}
