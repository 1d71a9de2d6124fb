//! Rows of a checkpoint that are no keys: gathered from all runs, the newest deciding, then made into what they say.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use crate::answers::{Answer, Answers};
use crate::changes::{Body, Changes, row_hash};
use crate::command::{ClusterTime, LeaseId, Revision};
use crate::expiries::{Expiries, Lease, Until};
use crate::history::{Event, EventId, EventKind, History};
use crate::locks::{Lock, Locks};
use crate::manifest::Fields;
use crate::rows::{
    ENTRY_HEAD_BYTES, EVENT_HEAD_BYTES, RowHead, TABLE_ANSWERS, TABLE_EXPIRIES, TABLE_HISTORY, TABLE_KEYS,
    TABLE_LEASES, TABLE_LOCKS, TABLE_META,
};
use crate::settings::Meta;
use crate::store::{Entry, Kv, Row};

/// What is wrong with a row: what ought to be there, and a number that was found.
pub(crate) type Wrong = (&'static str, u64);

/// Rows by table.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    meta: Meta,
    events: BTreeMap<EventId, Event>,
    leases: BTreeMap<LeaseId, (u64, ClusterTime)>,
    until: BTreeMap<Arc<[u8]>, Until>,
    answers: BTreeMap<Arc<[u8]>, Answer>,
    locks: BTreeMap<Arc<[u8]>, Lock>,
}

/// What a head alone can tell: so a broken length is noticed before gigabytes are waited for.
pub(crate) fn check_head(head: &RowHead) -> Result<(), Wrong> {
    let (key_bytes, body_bytes) = (head.key_bytes as usize, head.body_bytes as usize);
    // The length of the key, the least of the body, and whether it is the most, too.
    let (key, least, is_exact) = match head.table {
        TABLE_META => (Some(0), Meta::BYTES, true),
        TABLE_KEYS => (None, ENTRY_HEAD_BYTES, false),
        TABLE_HISTORY => (Some(EventId::BYTES), EVENT_HEAD_BYTES, false),
        TABLE_LEASES => (Some(8), Lease::BYTES, true),
        TABLE_EXPIRIES => (None, Until::BYTES, true),
        TABLE_ANSWERS => (None, Answer::HEAD_BYTES, false),
        TABLE_LOCKS => (None, 4, false),
        unknown => return Err(("a table from 0 to 6", u64::from(unknown))),
    };
    if key.is_some_and(|key| key != key_bytes) {
        return Err(("a row's key as long as its table has them", u64::from(head.key_bytes)));
    }
    let fits = if is_exact { body_bytes == least } else { body_bytes >= least };
    if !head.is_tombstone && !fits {
        return Err(("a row's body as long as its table has them", u64::from(head.body_bytes)));
    }
    Ok(())
}

/// The body of a row in the table of keys.
pub(crate) fn entry(body: &[u8], at: Revision) -> Result<Entry, Wrong> {
    let Some((head, value)) = body.split_first_chunk::<ENTRY_HEAD_BYTES>() else {
        return Err(("an entry of at least 24 bytes", body.len() as u64));
    };
    let mut fields = Fields(head);
    let (create_revision, mod_revision) = (Revision(fields.u64()), Revision(fields.u64()));
    let entry = Entry { value: Arc::from(value), create_revision, mod_revision, version: fields.u64() };
    match entry.unsound(at) {
        Some(wrong) => Err(wrong),
        None => Ok(entry),
    }
}

impl Gathered {
    /// Takes a row whose head was checked. `tail` notes what has changed, when the row is one of a tail.
    pub(crate) fn take(
        &mut self,
        head: &RowHead,
        key: Arc<[u8]>,
        body: &[u8],
        tail: Option<&mut Changes>,
    ) -> Result<(), Wrong> {
        if head.table == TABLE_HISTORY {
            return self.take_event(head.is_tombstone, &key, body, tail);
        }
        if let Some(tail) = tail {
            let body = (!head.is_tombstone).then(|| Body::Bytes(body.into()));
            tail.set(head.table, key.clone(), body);
        }
        if head.is_tombstone {
            self.drop_row(head.table, &key);
            return Ok(());
        }
        match head.table {
            TABLE_META => self.meta = Meta::decode(body.first_chunk().expect("the head was checked")),
            TABLE_LEASES => {
                let mut fields = Fields(body);
                let row = (fields.u64(), ClusterTime(fields.u64()));
                self.leases.insert(lease_id(&key), row);
            }
            TABLE_EXPIRIES => {
                let until = Until::decode(body.first_chunk().expect("the head was checked"));
                let until = until.ok_or(("0 or 1 as what a key goes with", u64::from(body[0])))?;
                self.until.insert(key, until);
            }
            TABLE_ANSWERS => {
                let wrong = ("an answer as it was written (its length given)", body.len() as u64);
                self.answers.insert(key, Answer::decode(body).ok_or(wrong)?);
            }
            _ => {
                let wrong = ("a lock as it was written (its length given)", body.len() as u64);
                self.locks.insert(key, Lock::decode(body).ok_or(wrong)?);
            }
        }
        Ok(())
    }

    fn drop_row(&mut self, table: u8, key: &[u8]) {
        match table {
            TABLE_META => self.meta = Meta::default(),
            TABLE_LEASES => drop(self.leases.remove(&lease_id(key))),
            TABLE_EXPIRIES => drop(self.until.remove(key)),
            TABLE_ANSWERS => drop(self.answers.remove(key)),
            _ => drop(self.locks.remove(key)),
        }
    }

    fn take_event(
        &mut self,
        is_tombstone: bool,
        key: &[u8],
        body: &[u8],
        tail: Option<&mut Changes>,
    ) -> Result<(), Wrong> {
        let id = EventId::decode(key.first_chunk().expect("the head was checked"));
        // The history loses at one end and grows at the other. What a tail says is counted on to do so.
        if is_tombstone {
            if self.events.first_key_value().is_some_and(|(first, _)| *first < id) {
                return Err(("the oldest event as one that is gone (its revision given)", id.revision.0));
            }
            tail.into_iter().for_each(|tail| tail.drop_written_event(id));
            self.events.remove(&id);
            return Ok(());
        }
        if self.events.last_key_value().is_some_and(|(last, _)| *last >= id) {
            return Err(("an event above those of older runs (its revision given)", id.revision.0));
        }
        let event = event(id, body)?;
        tail.into_iter().for_each(|tail| tail.add_event(event.clone()));
        self.events.insert(id, event);
        Ok(())
    }

    /// Makes what the rows say a part of the store, whose keys are there.
    pub(crate) fn finish(self, kv: &mut Kv) -> Result<(), Wrong> {
        if self.meta.floor > kv.revision {
            return Err(("an oldest revision up to the store's", self.meta.floor.0));
        }
        if self.meta.time > ClusterTime::MAX {
            return Err(("a cluster time below 2^62", self.meta.time.0));
        }
        if let Some(answer) = self.answers.values().find(|answer| answer.given > self.meta.time) {
            return Err(("an answer given up to the store's time", answer.given.0));
        }
        kv.meta = self.meta;
        Gathered::fill_history(self.events, kv)?;
        if let Some(stray) = self.until.keys().find(|key| kv.get(key).is_none()) {
            return Err(("a key that is there as one that goes (its length given)", stray.len() as u64));
        }
        kv.expiries = Expiries::restored(self.leases, self.until)
            .map_err(|lease| ("a lease that is there as one that a key goes with", lease.0))?;
        (kv.answers, kv.locks) = (Answers::restored(self.answers), Locks(self.locks));
        for (table, key, body) in kv.expiries.rows().chain(kv.answers.rows()).chain(kv.locks.rows()) {
            kv.ledger.enter(row_hash(table, &key, &body));
        }
        Ok(())
    }
}

impl Gathered {
    /// Every revision has its events, from the oldest that is kept to the store's, and they lead to the keys that are
    /// there.
    fn fill_history(events: BTreeMap<EventId, Event>, kv: &mut Kv) -> Result<(), Wrong> {
        let (floor, revision) = (kv.meta.floor, kv.revision);
        let first = events.first_key_value().map(|(id, _)| id.revision);
        let reach = first.map_or(revision, |first| floor.max(Revision(first.0.saturating_sub(1))));
        // Version 1 had neither a past nor a floor that says so.
        let has_no_past = floor == Revision::ZERO && events.is_empty();
        if reach != floor && !has_no_past {
            return Err(("events of every revision since the oldest", reach.0));
        }
        kv.history = History::starting_at(reach);
        let mut last: Option<EventId> = None;
        for (id, event) in events {
            if id.revision > revision {
                return Err(("an event up to the store's revision", id.revision.0));
            }
            let follows = match last {
                // The first ones of the floor's own revision may be gone.
                None => id.ordinal == 0 || id.revision <= floor,
                Some(last) if id.revision == last.revision => Some(id.ordinal) == last.ordinal.checked_add(1),
                Some(last) => id.revision.0 == last.revision.0 + 1 && id.ordinal == 0,
            };
            if !follows {
                return Err(("an event right after the one before (its revision given)", id.revision.0));
            }
            last = Some(id);
            kv.ledger.enter(event.hash());
            kv.history.push(event);
        }
        if let Some(last) = last.filter(|last| last.revision != revision) {
            return Err(("events up to the store's revision", last.revision.0));
        }
        kv.history.link(&mut kv.rows);
        if let Some(id) = kv.history.contradiction(&kv.rows) {
            return Err(("an event that leads to what is there (its revision given)", id.revision.0));
        }
        let mut since = kv.rows.iter().filter(|(_, row)| row.entry.mod_revision > reach);
        match since.find(|(_, row)| !kv.history.knows(row)) {
            Some((_, row)) => Err(("an event that wrote what is there", row.entry.mod_revision.0)),
            None => Ok(()),
        }
    }
}

fn event(id: EventId, body: &[u8]) -> Result<Event, Wrong> {
    let (head, rest) = body.split_first_chunk::<EVENT_HEAD_BYTES>().expect("the head was checked");
    let [kind, had, key_bytes @ ..] = *head;
    let kind = match kind {
        0 => EventKind::Put,
        1 => EventKind::Deleted,
        2 => EventKind::Expired,
        unknown => return Err(("0, 1 or 2 as the kind of an event", u64::from(unknown))),
    };
    let key_bytes = u32::from_le_bytes(key_bytes);
    let Some((key, before)) = rest.split_at_checked(key_bytes as usize) else {
        return Err(("an event's key that ends where its row does", u64::from(key_bytes)));
    };
    let key: Arc<[u8]> = Arc::from(key);
    let previous = match had {
        0 if before.is_empty() && kind == EventKind::Put => None,
        1 => {
            let lower = Revision(id.revision.0.saturating_sub(1));
            Some(Row::new(&key, entry(before, lower)?))
        }
        _ => return Err(("what was there before, or nothing and a put", u64::from(had))),
    };
    Ok(Event::new(id, kind, key, previous))
}

fn lease_id(key: &[u8]) -> LeaseId {
    LeaseId(u64::from_be_bytes(*key.first_chunk().expect("the head was checked")))
}
