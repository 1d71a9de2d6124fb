//! Cluster time, as a leader counts it.
//!
//! A leader begins at the latest stamp that it has applied, and adds the time in which it was awake. No node's wall
//! clock has a part in it, so none can make it jump; while nobody leads it stands still, and so it does while the
//! leader's process is stopped: of a gap between two inputs no more counts than an election timeout, after which others
//! would have taken over. What this is good for: nothing ends before its holder could have kept it alive.

use quorate_kv::ClusterTime;
use quorate_raft::{Term, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Counts while its node leads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Clock {
    microseconds: u64,
    /// The term in which this node leads, if it does.
    term: Option<Term>,
    /// The time of the last input.
    seen: Time,
    /// The most that counts between two inputs.
    most: Duration,
}

impl Clock {
    pub(crate) fn new(most: Duration, now: Time) -> Clock {
        Clock { microseconds: 0, term: None, seen: now, most }
    }

    /// It is `now`, the node leads in `term` or not at all, and the store's latest stamp is `stamp`.
    pub(crate) fn advance(&mut self, now: Time, term: Option<Term>, stamp: ClusterTime) {
        let awake = now.since(self.seen).min(self.most);
        self.seen = self.seen.max(now);
        if term.is_some() && term == self.term {
            self.microseconds += u64::try_from(awake.as_micros()).unwrap_or(u64::MAX / 2);
        } else {
            self.microseconds = 0;
            self.term = term;
        }
        self.microseconds = self.microseconds.max(stamp.0.saturating_mul(1000));
    }

    /// The cluster time.
    pub(crate) fn now(&self) -> ClusterTime {
        ClusterTime(self.microseconds / 1000)
    }

    /// When it will be `time`, if this node leads and stays awake.
    pub(crate) fn reaches(&self, time: ClusterTime) -> Option<Time> {
        self.term?;
        let left = time.0.saturating_mul(1000).saturating_sub(self.microseconds);
        Some(self.seen + Duration::from_micros(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn clock() -> Clock {
        Clock::new(Duration::from_secs(1), Time(0))
    }

    #[test]
    fn it_stands_still_while_nobody_leads() {
        let mut clock = clock();
        clock.advance(Time(100 * SECOND), None, ClusterTime(5));
        clock.advance(Time(200 * SECOND), None, ClusterTime(5));
        assert_eq!(clock.now(), ClusterTime(5));
        assert_eq!(clock.reaches(ClusterTime(6)), None);
    }

    #[test]
    fn a_leader_begins_at_the_stamp_and_counts_from_there() {
        let mut clock = clock();
        clock.advance(Time(100 * SECOND), Some(Term(2)), ClusterTime(5_000));
        assert_eq!(clock.now(), ClusterTime(5_000));
        clock.advance(Time(100 * SECOND + 1_500), Some(Term(2)), ClusterTime(5_000));
        assert_eq!(clock.now(), ClusterTime(5_001));
        assert_eq!(clock.reaches(ClusterTime(6_000)), Some(Time(101 * SECOND)));
        assert_eq!(clock.reaches(ClusterTime(0)), Some(Time(100 * SECOND + 1_500)));
        // What an earlier leader stamped is applied only now.
        clock.advance(Time(100 * SECOND + 1_500), Some(Term(2)), ClusterTime(9_000));
        assert_eq!(clock.now(), ClusterTime(9_000));
    }

    #[test]
    fn of_a_pause_an_election_timeout_counts() {
        let mut clock = clock();
        clock.advance(Time(0), Some(Term(2)), ClusterTime(0));
        clock.advance(Time(3600 * SECOND), Some(Term(2)), ClusterTime(0));
        assert_eq!(clock.now(), ClusterTime(1_000));
    }

    #[test]
    fn who_leads_again_begins_at_the_stamp_again() {
        let mut clock = clock();
        clock.advance(Time(0), Some(Term(2)), ClusterTime(0));
        clock.advance(Time(SECOND), Some(Term(2)), ClusterTime(0));
        clock.advance(Time(SECOND), None, ClusterTime(7));
        clock.advance(Time(2 * SECOND), Some(Term(4)), ClusterTime(7));
        assert_eq!(clock.now(), ClusterTime(7));
        // A clock that is set back counts as one that stands still.
        clock.advance(Time(SECOND), Some(Term(4)), ClusterTime(7));
        assert_eq!(clock.now(), ClusterTime(7));
    }
}
