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
use crate::record::{FLAG_LAST, FLAG_REPAIR, HEADER_BYTES, Header, Identity, Kind, mask};
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
    let start = header.offset + HEADER_BYTES;
    let mut payload = file.get(start as usize..header.end() as usize)?.to_vec();
    mask(&mut payload, header.segment, start);
    match entry::decode_payload(&payload) {
        Ok(Payload::Members(members)) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, Draft};
    use quorate_raft::{Contact, Digest, Entry, NodeId};

    const NUMBER: SegmentNumber = SegmentNumber(1);
    const START: u32 = 8192;

    fn header(last: LogId, previous: Link) -> SegmentHeader {
        SegmentHeader {
            version: 1,
            number: NUMBER,
            id: 9,
            bytes: 16 << 10,
            batch: 1,
            last,
            commit_hint: Index(0),
            members_at: LogId::ZERO,
            members: Members::default(),
            previous,
        }
    }

    fn begun(snapshot: Option<&SnapshotMeta>) -> Replay {
        Replay::begin(&header(LogId::ZERO, Link::default()), snapshot)
    }

    fn checkpoint(last: LogId, members_at: LogId, members: Members) -> SnapshotMeta {
        SnapshotMeta { last, members, members_at, bytes: 0, digest: Digest([0; 32]), state_hash: 0 }
    }

    /// Records of one segment, each linked to the one before: kind, flags, term and index, latest membership entry.
    fn records(written: &[(Kind, u8, (u64, u64), u64)]) -> Vec<Record> {
        let (mut previous, mut offset) = (Identity::default(), START);
        let mut records = Vec::new();
        for &(kind, flags, (term, index), members_index) in written {
            let header = Header {
                payload_checksum: 0,
                length: 1,
                offset,
                segment: 9,
                batch: 2,
                id: LogId::new(term, index),
                commit_hint: Index(0),
                members_index: Index(members_index),
                previous,
                kind,
                flags,
            };
            previous = header.identity(offset);
            records.push(Record { header, checksum: offset, payload: Condition::Sound });
            offset += 512;
        }
        records
    }

    fn identity(record: &Record) -> Identity {
        record.header.identity(record.checksum)
    }

    /// Replays all but the headers of `lost`.
    fn replay(mut replay: Replay, records: &[Record], lost: std::ops::Range<usize>) -> Replay {
        let mut items: Vec<Item> = records.iter().copied().map(Item::Record).collect();
        if let Some(first) = records[lost.clone()].first() {
            let gap = Item::Gap { from: first.header.offset, header: Condition::Rotten };
            items.splice(lost, [gap]);
        }
        replay.items(NUMBER, &items, &[]);
        replay
    }

    fn damaged(replay: &Replay) -> Vec<u64> {
        replay.damaged.iter().map(|index| index.0).collect()
    }

    const LAST: u8 = FLAG_LAST;

    #[test]
    fn one_lost_header_is_known_also_when_a_term_begins_with_it() {
        let records = records(&[
            (Kind::Noop, LAST, (1, 1), 0),
            (Kind::Noop, LAST, (2, 2), 0),
            (Kind::Noop, LAST, (2, 3), 0),
        ]);
        let within = replay(begun(None), &records, 1..2);
        assert_eq!(
            (within.terms.last(), damaged(&within), within.unknown),
            (LogId::new(2, 3), vec![2], None)
        );

        // At a segment's end the next segment's header tells, if the place where the scan ended is the record's own.
        let link = Link { segment: NUMBER, record: identity(&records[1]) };
        let next = header(LogId::new(2, 2), link);
        let end = |segment, offset| Link { segment, record: Identity { offset, ..Identity::default() } };
        for (end, known) in [
            (end(NUMBER, START + 512), true),
            (end(NUMBER, START + 1024), false),
            (end(SegmentNumber(3), START + 512), false),
        ] {
            let mut at_end = replay(begun(None), &records[..1], 0..0);
            at_end.segment(&next, end);
            let found = (at_end.terms.last(), damaged(&at_end), at_end.unknown);
            let expected = if known {
                (LogId::new(2, 2), vec![2], None)
            } else {
                (LogId::new(1, 1), vec![], Some(Index(2)))
            };
            assert_eq!(found, expected, "{end:?}");
        }
    }

    /// A start may have bridged a loss, found a worse one behind it, and begun a segment that names the record before
    /// the first.
    #[test]
    fn a_segment_that_counts_slots_behind_the_record_it_names_keeps_them() {
        let records = records(&[(Kind::Noop, LAST, (1, 1), 0), (Kind::Noop, LAST, (1, 2), 0)]);
        let mut replay = replay(begun(None), &records, 0..0);
        let link = Link { segment: NUMBER, record: identity(&records[1]) };
        replay.segment(&header(LogId::new(1, 4), link), Link::default());
        assert_eq!(
            (replay.terms.last(), damaged(&replay), replay.unknown),
            (LogId::new(1, 4), vec![3, 4], None)
        );
    }

    /// A new membership entry names itself as the latest one, which says nothing of those before it.
    #[test]
    fn behind_a_loss_a_membership_entry_does_not_tell_whether_another_is_lost() {
        for (kind, flags, id, known) in [
            (Kind::Members, LAST, (2, 2), false),
            (Kind::Members, 0, (2, 2), false),
            (Kind::Members, LAST | FLAG_REPAIR, (1, 2), true),
            (Kind::Members, FLAG_REPAIR, (1, 2), true),
            (Kind::Command, LAST, (1, 5), true),
        ] {
            let records = records(&[
                (Kind::Noop, LAST, (1, 1), 0),
                (Kind::Members, LAST, (1, 2), 2),
                (Kind::Noop, 0, (1, 3), 2),
                (Kind::Noop, LAST, (1, 4), 2),
                (kind, flags, id, 2),
            ]);
            let replay = replay(begun(None), &records, 2..4);
            let expected = (!known).then_some(Index(3));
            assert_eq!(replay.unknown, expected, "{kind:?}, flags {flags}");
            assert!(!known || damaged(&replay) == [3, 4], "{kind:?}, flags {flags}");
        }
    }

    #[test]
    fn a_mark_stands_for_the_record_before_it() {
        let mut written = records(&[
            (Kind::Noop, LAST, (1, 1), 0),
            (Kind::Noop, 0, (1, 2), 0),
            (Kind::Noop, LAST, (1, 3), 0),
            (Kind::Mark, LAST, (1, 3), 0),
        ]);
        let behind_loss = replay(begun(None), &written, 1..3);
        assert_eq!(behind_loss.previous, Link { segment: NUMBER, record: identity(&written[2]) });
        assert!(behind_loss.closed);
        // The record is where it is, wherever the mark is.
        let mark = written.pop().unwrap();
        let mut replay = replay(begun(None), &written, 0..0);
        replay.items(SegmentNumber(2), &[Item::Record(mark)], &[]);
        assert_eq!(replay.previous, Link { segment: NUMBER, record: identity(&written[2]) });
    }

    #[test]
    fn a_batch_is_closed_by_the_record_that_says_so() {
        let records = records(&[(Kind::Noop, 0, (1, 1), 0), (Kind::Noop, LAST, (1, 2), 0)]);
        assert!(!replay(begun(None), &records[..1], 0..0).closed);
        assert!(replay(begun(None), &records, 0..0).closed);
    }

    #[test]
    fn a_loss_right_behind_the_checkpoint_costs_nothing_before_it() {
        let written: Vec<_> = (1..=5).map(|index| (Kind::Noop, LAST, (1, index), 0)).collect();
        let meta = checkpoint(LogId::new(1, 2), LogId::ZERO, Members::default());
        let replay = replay(begun(Some(&meta)), &records(&written), 2..4);
        assert_eq!((replay.terms.base(), replay.terms.last()), (LogId::ZERO, LogId::new(1, 5)));
        assert_eq!((damaged(&replay), replay.unknown), (vec![3, 4], None));
    }

    #[test]
    fn there_is_a_gap_only_where_the_checkpoint_ends_before_the_log_begins() {
        let first = header(LogId::new(1, 5), Link::default());
        for (last, gap) in [(4, Some(LogId::new(1, 5))), (5, None), (6, None)] {
            let meta = checkpoint(LogId::new(1, last), LogId::ZERO, Members::default());
            let replay = Replay::begin(&first, Some(&meta));
            assert_eq!(replay.behind_gap, gap, "a checkpoint of slot {last}");
            assert_eq!(replay.terms.last(), LogId::new(1, 5));
        }
    }

    #[test]
    fn a_lost_membership_entry_is_known_from_the_checkpoint_or_covered_by_it() {
        let records = records(&[(Kind::Noop, LAST, (1, 1), 0), (Kind::Members, LAST, (1, 2), 2)]);
        let replay = replay(begun(None), &records, 0..0);
        let members = Members::founder(NodeId(7), Contact::default());
        let with = |last, at| checkpoint(LogId::new(1, last), LogId::new(1, at), members.clone());
        let known = replay.membership(Some(&with(5, 2))).unwrap();
        assert_eq!(known, [(LogId::new(1, 2), members.clone())]);
        assert_eq!(replay.membership(Some(&with(2, 1))).unwrap(), [], "covered");
        for newest in [Some(with(1, 1)), None] {
            let lost = replay.membership(newest.as_ref());
            assert!(
                matches!(lost, Err(OpenError::MembershipLost { id }) if id == LogId::new(1, 2)),
                "{lost:?}"
            );
        }
    }

    #[test]
    fn there_is_no_slot_zero() {
        for kind in [Kind::Noop, Kind::Truncate] {
            let replay = replay(begun(None), &records(&[(kind, LAST, (1, 0), 0)]), 0..0);
            assert_eq!((replay.terms.base(), replay.unknown), (LogId::ZERO, Some(Index(1))), "{kind:?}");
        }
    }

    #[test]
    fn behind_a_loss_each_record_tells_the_slot_before_it_if_it_can() {
        let behind = |kind, flags, id| {
            let [_, mark, record] = records(&[
                (kind, flags, id, 0),
                (Kind::Mark, LAST, (3, 3), 0),
                (Kind::Noop, LAST, (9, 9), 0),
            ])[..] else {
                unreachable!()
            };
            let linked = Header { previous: mark.header.previous, ..record.header };
            (anchor(&mark.header), anchor(&linked))
        };
        let mark = Some(LogId::new(3, 3));
        assert_eq!(behind(Kind::Command, LAST, (1, 5)), (mark, Some(LogId::new(1, 5))));
        assert_eq!(behind(Kind::Truncate, LAST, (1, 5)), (mark, Some(LogId::new(1, 4))));
        assert_eq!(behind(Kind::Command, FLAG_REPAIR, (1, 5)), (mark, None));
    }

    #[test]
    fn a_rotten_membership_entry_says_nothing_even_if_it_can_be_decoded() {
        let members = Members::founder(NodeId(7), Contact::default());
        let id = LogId::new(1, 1);
        let entry = Entry { id, payload: Payload::Members(members.clone()) };
        let draft =
            Draft { kind: Kind::Members, flags: 0, id, commit_hint: Index(0), members_index: Index(1) };
        let mut batch = Batch::default();
        batch.begin(2, 9, START, Identity::default());
        batch.push(draft, Some(&entry));
        let (written, _) = batch.finish();
        let (header, checksum) = Header::decode(written, 9, START).unwrap();
        let file = [&vec![0; START as usize], written].concat();
        let read = |payload| read_members(&Record { header, checksum, payload }, &file);
        assert_eq!(read(Condition::Sound), Some(members));
        assert_eq!((read(Condition::Rotten), read(Condition::Unwritten)), (None, None));
    }
}
