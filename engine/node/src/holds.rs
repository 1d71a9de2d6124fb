//! Revisions that readers here still read at.

use quorate_kv::{Kv, Revision};
use quorate_raft::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// So long after a page a reader may come back for the next.
const HELD_FOR: Duration = Duration::from_secs(30);

/// Of what is no part of the state any more no more is kept than this, in bytes: then the oldest reader loses.
const HELD_BYTES: u64 = 32 << 20;

/// When each was last read at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Holds(BTreeMap<Revision, Time>);

impl Holds {
    /// Somebody reads at `revision` and will go on.
    pub(crate) fn read_at(&mut self, revision: Revision, now: Time, kv: &mut Kv) {
        self.0.insert(revision, now);
        self.settle(kv);
    }

    /// Lets go of what nobody came back for, and of what has become too much.
    pub(crate) fn tick(&mut self, now: Time, kv: &mut Kv) {
        if self.0.is_empty() {
            return;
        }
        let before = self.0.len();
        self.0.retain(|_, read| now.since(*read) < HELD_FOR);
        if before != self.0.len() {
            self.settle(kv);
        }
        while kv.history_bytes().1 > HELD_BYTES && self.0.pop_first().is_some() {
            self.settle(kv);
        }
    }

    pub(crate) fn settle(&self, kv: &mut Kv) {
        kv.hold(self.0.first_key_value().map(|(revision, _)| *revision));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_kv::{Action, ClusterTime, Command, Order, Put, Settings};

    fn apply(kv: &mut Kv, action: Action) {
        kv.apply(&Command::Order(Order { time: ClusterTime(0), once: None, forgets_past: false, action }));
    }

    fn put(kv: &mut Kv, bytes: usize) {
        let (key, value) = (b"k".as_slice().into(), vec![0; bytes].into());
        apply(kv, Action::Put(Put { key, value, expiry: quorate_kv::Expiry::Never }));
    }

    fn forgetful() -> Kv {
        let mut kv = Kv::new();
        apply(&mut kv, Action::Configure(Settings { history_revisions: 1, ..Settings::default() }));
        kv
    }

    #[test]
    fn a_reader_that_comes_back_in_time_reads_on() {
        let (mut kv, mut holds) = (forgetful(), Holds::default());
        put(&mut kv, 1);
        holds.read_at(Revision(1), Time(0), &mut kv);
        (0..10).for_each(|_| put(&mut kv, 1));
        holds.tick(Time(29_999_999), &mut kv);
        assert!(kv.get_at(b"k", Revision(1)).is_ok());
        holds.read_at(Revision(1), Time(29_999_999), &mut kv);
        holds.tick(Time(59_999_998), &mut kv);
        assert!(kv.get_at(b"k", Revision(1)).is_ok());
        holds.tick(Time(59_999_999), &mut kv);
        assert!(kv.get_at(b"k", Revision(1)).is_err());
    }

    #[test]
    fn the_oldest_reader_loses_when_too_much_is_held() {
        let (mut kv, mut holds) = (forgetful(), Holds::default());
        put(&mut kv, 1 << 20);
        holds.read_at(Revision(1), Time(0), &mut kv);
        (0..20).for_each(|_| put(&mut kv, 1 << 20));
        holds.read_at(Revision(21), Time(0), &mut kv);
        (0..20).for_each(|_| put(&mut kv, 1 << 20));
        holds.tick(Time(1), &mut kv);
        assert!(kv.get_at(b"k", Revision(1)).is_err());
        assert!(kv.get_at(b"k", Revision(21)).is_ok());
    }
}
