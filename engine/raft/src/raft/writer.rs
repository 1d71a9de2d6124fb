//! What is on its way to the disk.

use crate::{Entry, HardState, Index, LogId, SnapshotMeta, Time, Write, WriteId};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Collects changes into writes and knows what is durable.
///
/// A race it must survive, as a numbered story:
/// 1. entries 5 and 6 of term 1 are issued as write 1;
/// 2. a new leader truncates from 5 and appends its own 5 as write 2;
/// 3. `Written(1)` arrives. Slot 5 of term 1 was durable and is no more; slot 5 of term 2 is not durable yet.
///    Durable is 4, not 6: each write remembers the end of the log after it, and a later truncation lowers it.
///
/// Invariants: `written <= issued`; no end in flight lies above the end of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Writer {
    draft: Draft,
    issued: WriteId,
    written: WriteId,
    in_flight: VecDeque<InFlight>,
    /// The end of the log after the last issued write.
    issued_end: Index,
    durable: Index,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Draft {
    hard: Option<HardState>,
    install: Option<Box<SnapshotMeta>>,
    truncate_from: Option<Index>,
    repair: Vec<Entry>,
    append: Vec<Entry>,
    compact_to: Option<Index>,
}

impl Draft {
    fn is_empty(&self) -> bool {
        let Draft { hard, install, truncate_from, repair, append, compact_to } = self;
        append.is_empty()
            && repair.is_empty()
            && hard.is_none()
            && install.is_none()
            && truncate_from.is_none()
            && compact_to.is_none()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct InFlight {
    id: WriteId,
    /// The end of the log once this is durable, lowered by later truncations.
    end: Index,
    issued_at: Time,
}

impl Writer {
    pub(super) fn new(durable: Index) -> Self {
        Writer {
            draft: Draft::default(),
            issued: WriteId(0),
            written: WriteId(0),
            in_flight: VecDeque::new(),
            issued_end: durable,
            durable,
        }
    }

    /// The end of the durable part of the log.
    pub(super) fn durable(&self) -> Index {
        self.durable
    }

    /// Everything up to here is durable.
    pub(super) fn written(&self) -> WriteId {
        self.written
    }

    /// The write that will carry what is noted now.
    pub(super) fn next_id(&self) -> WriteId {
        self.issued.next()
    }

    /// When the oldest unfinished write was issued.
    pub(super) fn oldest_issue(&self) -> Option<Time> {
        self.in_flight.front().map(|write| write.issued_at)
    }

    pub(super) fn hard(&mut self, hard: HardState) {
        self.draft.hard = Some(hard);
    }

    pub(super) fn append(&mut self, entry: Entry) {
        self.draft.append.push(entry);
    }

    pub(super) fn repair(&mut self, entry: Entry) {
        self.draft.repair.push(entry);
    }

    pub(super) fn truncate(&mut self, from: Index) {
        self.draft.append.retain(|entry| entry.id.index < from);
        self.draft.repair.retain(|entry| entry.id.index < from);
        if from <= self.issued_end {
            self.draft.truncate_from =
                Some(self.draft.truncate_from.map_or(from, |earlier| earlier.min(from)));
            self.lower_ends(from.previous());
        }
    }

    /// The log is replaced by a snapshot that is already durable, so its end is durable at once.
    pub(super) fn install(&mut self, meta: Box<SnapshotMeta>) {
        let end = meta.last.index;
        self.draft = Draft { hard: self.draft.hard, install: Some(meta), ..Draft::default() };
        self.issued_end = end;
        self.durable = end;
        for write in &mut self.in_flight {
            write.end = end;
        }
    }

    pub(super) fn compact(&mut self, to: LogId) {
        self.draft.compact_to = Some(to.index);
    }

    /// The next write, when there is something to write.
    pub(super) fn take(&mut self, now: Time, commit_hint: Index) -> Option<Write> {
        if self.draft.is_empty() {
            return None;
        }
        let draft = core::mem::take(&mut self.draft);
        self.issued = self.issued.next();
        if let Some(last) = draft.append.last() {
            self.issued_end = last.id.index;
        }
        self.in_flight.push_back(InFlight { id: self.issued, end: self.issued_end, issued_at: now });
        Some(Write {
            id: self.issued,
            hard: draft.hard,
            commit_hint,
            install: draft.install,
            truncate_from: draft.truncate_from,
            repair: draft.repair,
            append: draft.append,
            compact_to: draft.compact_to,
        })
    }

    /// Takes note that `id` and all before it are durable. False when nothing of the kind was issued.
    pub(super) fn finish(&mut self, id: WriteId) -> bool {
        if id > self.issued {
            return false;
        }
        while let Some(write) = self.in_flight.pop_front_if(|write| write.id <= id) {
            self.written = write.id;
            self.durable = write.end;
        }
        true
    }

    fn lower_ends(&mut self, end: Index) {
        self.issued_end = self.issued_end.min(end);
        self.durable = self.durable.min(end);
        for write in &mut self.in_flight {
            write.end = write.end.min(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    fn entry(term: u64, index: u64) -> Entry {
        Entry { id: LogId::new(term, index), payload: Payload::Noop }
    }

    #[test]
    fn a_late_answer_does_not_make_the_new_entry_durable() {
        let mut writer = Writer::new(Index(4));
        writer.append(entry(1, 5));
        writer.append(entry(1, 6));
        let first = writer.take(Time(0), Index(0)).map(|write| write.id);
        writer.truncate(Index(5));
        writer.append(entry(2, 5));
        let second = writer.take(Time(0), Index(0)).map(|write| (write.id, write.truncate_from));
        assert_eq!(first, Some(WriteId(1)));
        assert_eq!(second, Some((WriteId(2), Some(Index(5)))));
        assert!(writer.finish(WriteId(1)));
        assert_eq!(writer.durable(), Index(4));
        assert!(writer.finish(WriteId(2)));
        assert_eq!(writer.durable(), Index(5));
    }

    #[test]
    fn what_was_never_issued_cannot_finish() {
        let mut writer = Writer::new(Index(0));
        assert!(!writer.finish(WriteId(1)));
        assert!(writer.take(Time(0), Index(0)).is_none());
    }

    #[test]
    fn a_truncation_within_the_draft_never_reaches_the_disk() {
        let mut writer = Writer::new(Index(0));
        writer.append(entry(1, 1));
        writer.append(entry(1, 2));
        writer.truncate(Index(2));
        let written = writer.take(Time(0), Index(0)).map(|write| (write.truncate_from, write.append));
        assert_eq!(written, Some((None, [entry(1, 1)].into())));
    }

    #[test]
    fn a_copy_of_what_is_truncated_never_reaches_the_disk() {
        let mut writer = Writer::new(Index(5));
        for index in 2..=5 {
            writer.repair(entry(1, index));
        }
        writer.truncate(Index(4));
        let repaired = writer.take(Time(0), Index(0)).map(|write| write.repair);
        assert_eq!(repaired, Some([entry(1, 2), entry(1, 3)].into()));
    }

    #[test]
    fn a_snapshot_takes_the_place_of_the_log_and_not_of_the_term() {
        let mut writer = Writer::new(Index(5));
        let hard = HardState { term: crate::Term(3), vote: None };
        let meta = SnapshotMeta {
            last: LogId::new(2, 9),
            members: crate::Members::default(),
            members_at: LogId::new(1, 1),
            bytes: 0,
            digest: crate::Digest::default(),
            state_hash: 0,
        };
        writer.hard(hard);
        writer.append(entry(1, 6));
        writer.install(Box::new(meta.clone()));
        let write = writer.take(Time(0), Index(0));
        let written = write.map(|write| (write.hard, write.install, write.append.len()));
        assert_eq!(written, Some((Some(hard), Some(Box::new(meta)), 0)));
        assert_eq!(writer.durable(), Index(9));
    }
}
