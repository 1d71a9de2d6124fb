//! Tests of replay: records made by hand, and what is known when some are lost.

use super::*;
use crate::batch::{Batch, Draft};
use crate::record::Form;
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
            form: Form::Whole,
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
    assert_eq!((within.terms.last(), damaged(&within), within.unknown), (LogId::new(2, 3), vec![2], None));

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
    assert_eq!((replay.terms.last(), damaged(&replay), replay.unknown), (LogId::new(1, 4), vec![3, 4], None));
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
        assert!(matches!(lost, Err(OpenError::MembershipLost { id }) if id == LogId::new(1, 2)), "{lost:?}");
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
    let entry = Entry { id, payload: Payload::Members(Box::new(members.clone())) };
    let draft = Draft { kind: Kind::Members, flags: 0, id, commit_hint: Index(0), members_index: Index(1) };
    let mut batch = Batch::default();
    batch.begin(2, 9, 3, START, Identity::default());
    batch.push(draft, Some(&entry));
    let (written, _) = batch.finish();
    let (header, checksum) = Header::decode(written, 9, START).unwrap();
    let file = [&vec![0; START as usize], written].concat();
    let read = |payload| read_members(&Record { header, checksum, payload }, &file);
    assert_eq!(read(Condition::Sound), Some(members));
    assert_eq!((read(Condition::Rotten), read(Condition::Unwritten)), (None, None));
}
