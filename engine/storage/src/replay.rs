//! From records to the log they made, also across damage.
//!
//! Records are linked: each names the one before. Where a link names a record that was not read, something was lost
//! there, and one of these holds, in this order:
//!
//! 1. *The checkpoint covers it.* The log begins anew behind the loss.
//! 2. *Exactly one header is lost*: the link's offset is the very place where it should stand. All of it but the
//!    payload is known from the link.
//! 3. *Both sides are of one term*: slot a of term t before, slot b > a of term t behind. A term has one leader, whose
//!    log only grows, and who holds slot b of term t shares with us every slot up to it (log matching, thesis §3.5). So
//!    what was lost never replaced a slot up to a, and slots a+1 to b are all of term t. Their payloads are lost.
//! 4. *Otherwise* a term is unknown, and the log ends here as far as anybody can tell: `unknown`. What was lost may
//!    have replaced slots before it, too, but only under a leader of a later term than the last slot's; when the node
//!    was in a later term, only what was known to be committed is believed.
//!
//! In case 3 a lost slot might have been a change of membership. The records behind tell: each names the latest
//! membership entry. When that one was lost too, it's case 4.

use std::collections::{BTreeMap, BTreeSet};

use quorate_raft::{Index, LogId, Members, Payload, SnapshotMeta, Term, TermRuns};
use quorate_wire::entry;

use crate::error::OpenError;
use crate::places::{Place, Places};
use crate::record::{FLAG_LAST, FLAG_REPAIR, Header, Identity, Kind, mask};
use crate::scan::{Condition, Item, Record};
use crate::segment::{Link, SegmentHeader, SegmentNumber};

/// No honest loss spans more slots than this; a forged one could otherwise fill the memory.
const MAX_LOST_SLOTS: u64 = 1 << 24;

/// A membership entry of the log; without its content when that is lost.
#[derive(Clone, Debug)]
pub(crate) struct MembersSlot {
    pub(crate) id: LogId,
    pub(crate) members: Option<Members>,
}

/// The log as far as it has been replayed.
///
/// Invariants: `places` has a place for each slot of `terms`; `damaged` and `members` lie within them.
#[derive(Debug)]
pub(crate) struct Replay {
    /// The last slot that the newest checkpoint covers.
    floor: LogId,
    /// The latest membership entry there.
    floor_members: Index,
    pub(crate) terms: TermRuns,
    pub(crate) places: Places,
    pub(crate) members: Vec<MembersSlot>,
    /// The configurations that segment headers repeat.
    pub(crate) copies: BTreeMap<LogId, Members>,
    /// The index of the latest membership entry at or below the base, when known.
    base_members: Option<Index>,
    pub(crate) damaged: BTreeSet<Index>,
    /// What the next record names as the one before it.
    pub(crate) previous: Link,
    /// The last of these that was come to without a leap over a loss: what a segment names that is begun where the log
    /// became unknown, so that the next reader has it in hand there.
    pub(crate) resume: Link,
    pub(crate) commit_hint: Index,
    /// Where the log ends, although it did not end there.
    pub(crate) unknown: Option<Index>,
    /// Whether the last record closes its batch.
    pub(crate) closed: bool,
    /// The slot before the log's first, when the checkpoint ends before that.
    pub(crate) behind_gap: Option<LogId>,
}

impl Replay {
    /// Begins with the first segment of a log that `snapshot` is the newest checkpoint of.
    pub(crate) fn begin(first: &SegmentHeader, snapshot: Option<&SnapshotMeta>) -> Replay {
        let floor = snapshot.map_or(LogId::ZERO, |meta| meta.last);
        let mut replay = Replay {
            floor,
            floor_members: snapshot.map_or(Index::default(), |meta| meta.members_at.index),
            terms: TermRuns::new(first.last),
            places: Places::new(first.last.index),
            members: Vec::new(),
            copies: BTreeMap::from([(first.members_at, first.members.clone())]),
            base_members: Some(first.members_at.index),
            damaged: BTreeSet::new(),
            previous: first.previous,
            resume: first.previous,
            commit_hint: first.commit_hint,
            unknown: None,
            closed: true,
            behind_gap: None,
        };
        if let Some(meta) = snapshot.filter(|meta| meta.last.index < first.last.index) {
            // The newer checkpoints that allowed the log's beginning to be dropped are gone. What lies between is a
            // loss like any other.
            replay.restart(meta.last, Some(meta.members_at.index));
            replay.bridge(Some(first.last), Some(first.members_at.index));
            replay.behind_gap = Some(first.last);
        }
        replay
    }

    /// Goes on with the next segment. `end` is where the scan of the one before ended, or its last gap began.
    pub(crate) fn segment(&mut self, header: &SegmentHeader, end: Link) {
        self.copies.insert(header.members_at, header.members.clone());
        if self.unknown.is_some() {
            return;
        }
        let link = &header.previous;
        let sole = link.segment == end.segment && link.record.offset == end.record.offset;
        let chained = link == &self.previous || (sole && self.apply_lost(&link.record));
        if chained && self.terms.holds(header.last) {
            // An earlier recovery may have believed less of what came before.
            self.drop_from(header.last.index.next());
        } else {
            self.bridge(Some(header.last), Some(header.members_at.index));
        }
        if self.unknown.is_none() {
            self.previous = header.previous;
            self.resume = if chained { header.previous } else { self.resume };
            self.closed = true;
            self.commit_hint = self.commit_hint.max(header.commit_hint);
        }
    }

    /// Replays what a scan of the segment found. `file` is the segment's content.
    pub(crate) fn items(&mut self, number: SegmentNumber, items: &[Item], file: &[u8]) {
        let mut lost_from = None;
        for item in items {
            if self.unknown.is_some() {
                return;
            }
            match item {
                Item::Gap { from, .. } => {
                    lost_from = Some(*from);
                    self.closed = false;
                }
                Item::Record(record) => self.record(number, record, lost_from.take(), file),
            }
        }
    }

    fn record(&mut self, number: SegmentNumber, record: &Record, lost_from: Option<u32>, file: &[u8]) {
        let header = &record.header;
        if header.previous != self.previous.record {
            let sole = lost_from == Some(header.previous.offset);
            if sole && self.apply_lost(&header.previous) {
                if self.unknown.is_none() {
                    self.come_to(Link { segment: number, record: header.previous });
                }
            } else {
                let is_members = header.kind == Kind::Members && header.flags & FLAG_REPAIR == 0;
                self.bridge(anchor(header), Some(header.members_index).filter(|_| !is_members));
            }
            if self.unknown.is_some() {
                return;
            }
        }
        // Only here: behind an unknown loss it may speak of slots that the loss had replaced.
        self.commit_hint = self.commit_hint.max(header.commit_hint);
        if header.kind == Kind::Mark {
            if header.previous != self.previous.record {
                self.come_to(Link { segment: number, record: header.previous });
            }
            self.closed = true;
            return;
        }
        let place = Place { segment: number, offset: header.offset };
        if header.flags & FLAG_REPAIR != 0 {
            self.apply_repair(record, place, file);
        } else if header.kind == Kind::Truncate {
            self.truncate(header.id, Some(header.members_index));
        } else {
            let members = read_members(record, file);
            let sound = record.payload == Condition::Sound;
            self.slot(header.kind, header.id, place, members, sound, header.members_index);
        }
        if self.unknown.is_none() {
            self.come_to(Link { segment: number, record: header.identity(record.checksum) });
            self.closed = header.flags & FLAG_LAST != 0;
        }
    }

    fn come_to(&mut self, link: Link) {
        (self.previous, self.resume) = (link, link);
    }

    /// The latest membership entry, when known.
    fn members_index(&self) -> Option<Index> {
        self.members.last().map(|slot| slot.id.index).or(self.base_members)
    }

    /// Applies a record of which only its successor's link is left. False when it makes no sense.
    fn apply_lost(&mut self, lost: &Identity) -> bool {
        match lost.kind {
            Some(kind) if lost.is_append() => {
                if lost.id.index <= self.terms.base().index {
                    return false;
                }
                self.slot(kind, lost.id, Place::LOST, None, false, Index::default());
                true
            }
            Some(Kind::Truncate) => {
                self.truncate(lost.id, None);
                true
            }
            Some(kind) => kind.is_slot(),
            None => false,
        }
    }

    /// Crosses a loss of more than one header. `behind` is the last slot of the log right behind it, when known,
    /// `members_index` the latest membership entry there.
    fn bridge(&mut self, behind: Option<LogId>, members_index: Option<Index>) {
        if let Some(behind) = behind.filter(|id| id.index <= self.floor.index) {
            return self.restart(behind, members_index);
        }
        if self.terms.last().index < self.floor.index {
            self.restart(self.floor, Some(self.floor_members));
        }
        let last = self.terms.last();
        let same_term = behind.filter(|id| id.term == last.term && id.index >= last.index);
        let known = self.members_index().is_some() && self.members_index() == members_index;
        let count = same_term.map_or(u64::MAX, |id| id.index.0 - last.index.0);
        if !known || count > MAX_LOST_SLOTS {
            self.give_up();
            return;
        }
        for _ in 0..count {
            let id = LogId { term: last.term, index: self.terms.last().index.next() };
            self.push(id, Place::LOST, false);
        }
    }

    /// The log ends here as far as anybody can tell.
    pub(crate) fn give_up(&mut self) {
        self.unknown = Some(self.terms.last().index.next());
    }

    /// What was lost behind the log's end may have replaced slots before it, unless the node, which was in term
    /// `term`, had still the leader of the last slot's term. Committed slots are never replaced.
    pub(crate) fn doubt(&mut self, term: Term) {
        if self.unknown.is_some() && self.terms.last().term < term {
            self.drop_from(self.commit_hint.max(self.floor.index).max(self.terms.base().index).next());
            self.give_up();
        }
    }

    /// The membership entries of the log. One whose payload is lost is known from a segment header or from the
    /// checkpoint; one that the checkpoint covers is not needed.
    ///
    /// # Errors
    /// [`OpenError::MembershipLost`].
    pub(crate) fn membership(
        &self,
        newest: Option<&SnapshotMeta>,
    ) -> Result<Vec<(LogId, Members)>, OpenError> {
        let mut found = Vec::new();
        for slot in &self.members {
            let from_snapshot = newest.filter(|meta| meta.members_at == slot.id).map(|meta| &meta.members);
            let known = slot.members.as_ref().or_else(|| self.copies.get(&slot.id)).or(from_snapshot);
            match known {
                Some(members) => found.push((slot.id, members.clone())),
                None if newest.is_some_and(|meta| slot.id.index <= meta.last.index) => {}
                None => return Err(OpenError::MembershipLost { id: slot.id }),
            }
        }
        Ok(found)
    }

    /// Lets the log begin after `base`.
    pub(crate) fn restart(&mut self, base: LogId, base_members: Option<Index>) {
        self.terms = TermRuns::new(base);
        self.places = Places::new(base.index);
        self.members.clear();
        self.damaged.clear();
        self.base_members = base_members;
    }

    fn slot(
        &mut self,
        kind: Kind,
        id: LogId,
        place: Place,
        members: Option<Members>,
        sound: bool,
        members_index: Index,
    ) {
        if id.index <= self.terms.base().index {
            // The first segment began when the log was longer than it became. Compaction dropped the ones before it,
            // so a checkpoint covers that old end and this slot too.
            return match id.index {
                Index(0) => self.give_up(),
                _ => self.restart(id, Some(members_index)),
            };
        }
        let before = self.terms.term(id.index.previous());
        if before.is_none_or(|term| id.term < term) {
            return self.give_up();
        }
        self.drop_from(id.index);
        self.push(id, place, sound);
        if kind == Kind::Members {
            self.members.push(MembersSlot { id, members });
        }
    }

    fn push(&mut self, id: LogId, place: Place, sound: bool) {
        self.terms.push(id);
        self.places.push(place);
        if !sound {
            self.damaged.insert(id.index);
        }
    }

    /// What a truncation record says: `from.index` is the first slot that goes. `members_index` is the latest
    /// membership entry then, when known.
    fn truncate(&mut self, from: LogId, members_index: Option<Index>) {
        if from.index == Index(0) {
            self.give_up();
        } else if from.index <= self.terms.base().index {
            // As with a slot at or below the base.
            self.restart(LogId { term: from.term, index: from.index.previous() }, members_index);
        } else {
            self.drop_from(from.index);
        }
    }

    fn drop_from(&mut self, from: Index) {
        if from <= self.terms.last().index {
            self.terms.truncate(from);
            self.places.truncate(from);
            self.damaged.split_off(&from);
            self.members.retain(|slot| slot.id.index < from);
        }
    }

    fn apply_repair(&mut self, record: &Record, place: Place, file: &[u8]) {
        let id = record.header.id;
        if record.payload == Condition::Sound && id.index > self.terms.base().index && self.terms.holds(id) {
            self.places.set(id.index, place);
            self.damaged.remove(&id.index);
            if let Some(slot) = self.members.iter_mut().find(|slot| slot.id == id) {
                slot.members = read_members(record, file);
            }
        }
    }
}

/// The last slot of the log right before this record was written, when the record tells.
fn anchor(header: &Header) -> Option<LogId> {
    let previous = &header.previous;
    if header.kind == Kind::Mark {
        Some(header.id)
    } else if previous.is_append() {
        Some(previous.id)
    } else if previous.kind == Some(Kind::Truncate) {
        Some(LogId { term: previous.id.term, index: previous.id.index.previous() })
    } else {
        None
    }
}

/// What a membership record says, when its payload is sound.
pub(crate) fn read_members(record: &Record, file: &[u8]) -> Option<Members> {
    let header = &record.header;
    if header.kind != Kind::Members || record.payload != Condition::Sound {
        return None;
    }
    let start = header.payload_start();
    let mut payload = file.get(start as usize..header.end() as usize)?.to_vec();
    mask(&mut payload, header.segment, start);
    match entry::decode_payload(&payload) {
        Ok(Payload::Members(members)) => Some(*members),
        _ => None,
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
