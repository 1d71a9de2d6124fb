//! Which runs are merged, and by when: a function of their sizes, and so of the log alone.
//!
//! Every row is written again each time that its run is merged, and every run is one more place to look for the rows
//! that a node lacks; both should be few. Runs above the oldest are merged like the digits of a number to the base
//! [`RATIO`] carry: a row moves up once for each power of it. The oldest is as large as the state; it is only merged
//! when a quarter of it is news, which bounds what the disk holds beyond the state, and what each change costs.
//!
//! A merge is given time, or all nodes would do it at once while clients wait: it is over when a [`PACE`]th of it has
//! come in behind it. Nothing has to be remembered for that. What is merged is the shortest row of runs, from the
//! oldest on, that is ready; runs that come later don't change it, and what waits behind it is counted in their bytes.
//! These are looked at in the same way by themselves, so that they are few, too.

use std::ops::Range;

/// How much runs must have grown.
pub(crate) const RATIO: u64 = 4;

/// So many bytes are merged, at most, for each that comes in; more than five, which is what the oldest run needs.
pub(crate) const PACE: u64 = 8;

/// A merge that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Which runs, by their numbers.
    pub(crate) runs: Range<usize>,
    /// What they hold, in bytes.
    pub(crate) bytes: u64,
    /// What newer runs hold, in bytes.
    pub(crate) newer_bytes: u64,
}

impl Planned {
    /// Whether the manifest of the next boundary names what comes of it.
    pub(crate) fn is_due(&self) -> bool {
        self.newer_bytes >= self.room_bytes()
    }

    /// How much of it should be done by now, in bytes, when it was begun with `since_bytes` of newer ones: its share of
    /// what is left is the share that has come in since.
    pub(crate) fn owed_bytes(&self, since_bytes: u64) -> u64 {
        if self.is_due() {
            return self.bytes;
        }
        let come = u128::from(self.newer_bytes.saturating_sub(since_bytes));
        let whole = u128::from(self.room_bytes().saturating_sub(since_bytes).max(1));
        u64::try_from(u128::from(self.bytes) * come / whole).unwrap_or(self.bytes).min(self.bytes)
    }

    fn room_bytes(&self) -> u64 {
        self.bytes.div_ceil(PACE)
    }
}

/// The merges of the runs of a boundary, the oldest first; no two share a run. `sizes` are those of the runs, from the
/// oldest to the newest, in bytes.
pub(crate) fn plan(sizes: &[u64]) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut start = 0;
    while let Some(runs) = first_merge(sizes, start) {
        start = runs.end;
        let bytes = sizes[runs.clone()].iter().sum();
        planned.push(Planned { runs, bytes, newer_bytes: sizes[start..].iter().sum() });
    }
    planned
}

/// Of the runs from `start` on, those that were ready first.
fn first_merge(sizes: &[u64], start: usize) -> Option<Range<usize>> {
    (start + 1..=sizes.len()).find_map(|end| {
        let from = merge_from(&sizes[start..end], start == 0)?;
        Some(start + from..end)
    })
}

/// Where a merge has to begin: that run and all newer ones become one.
fn merge_from(sizes: &[u64], has_oldest: bool) -> Option<usize> {
    let mut newer: u64 = sizes.iter().sum();
    for (number, bytes) in sizes.iter().enumerate() {
        newer -= bytes;
        let due = if number == 0 && has_oldest {
            newer.saturating_mul(RATIO) >= *bytes
        } else {
            newer >= bytes.saturating_mul(RATIO - 1)
        };
        if due && newer > 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn first(sizes: &[u64]) -> Option<usize> {
        merge_from(sizes, true)
    }

    #[test]
    fn one_run_or_none_is_never_merged() {
        assert_eq!(first(&[]), None);
        assert_eq!(first(&[0]), None);
        assert_eq!(first(&[100]), None);
    }

    #[test]
    fn the_oldest_is_merged_when_a_quarter_is_news() {
        assert_eq!(first(&[100, 24]), None);
        assert_eq!(first(&[100, 25]), Some(0));
        assert_eq!(first(&[100, 20, 4]), None);
        assert_eq!(first(&[100, 20, 5]), Some(0));
        assert_eq!(first(&[u64::MAX / 2, 1]), None);
    }

    #[test]
    fn a_newer_one_is_merged_when_what_follows_is_thrice_as_much() {
        assert_eq!(first(&[1000, 10, 10, 10]), None);
        assert_eq!(first(&[1000, 10, 10, 10, 10]), Some(1));
        assert_eq!(first(&[1000, 40, 10, 10, 9]), None);
        assert_eq!(first(&[1000, 40, 2, 6]), Some(2));
    }

    #[test]
    fn a_merge_is_over_when_an_eighth_of_it_has_come_in_behind_it() {
        let of =
            |sizes: &[u64]| plan(sizes).iter().map(|it| (it.runs.clone(), it.is_due())).collect::<Vec<_>>();
        assert_eq!(of(&[1000, 250]), [(0..2, false)]);
        assert_eq!(of(&[1000, 250, 100, 56]), [(0..2, false)]);
        assert_eq!(of(&[1000, 250, 100, 57]), [(0..2, true)]);
        // Those behind it are looked at by themselves.
        assert_eq!(of(&[1000, 250, 10, 10, 10, 10]), [(0..2, false), (2..6, false)]);
        assert_eq!(of(&[1000, 250, 10, 10, 10, 10, 5]), [(0..2, false), (2..6, true)]);
        let owed = |newer_bytes, since| Planned { runs: 0..2, bytes: 800, newer_bytes }.owed_bytes(since);
        assert_eq!(
            [owed(0, 0), owed(25, 0), owed(50, 0), owed(100, 0), owed(900, 0)],
            [0, 200, 400, 800, 800]
        );
        // Begun anew when half the time is over, it has the other half.
        assert_eq!([owed(50, 50), owed(75, 50), owed(40, 50), owed(100, 50)], [0, 400, 0, 800]);
    }

    /// What is seen of a store whose rows are changed one after the other, run by run.
    #[derive(Default)]
    struct Course {
        most_runs: usize,
        most_bytes: u64,
        written: u64,
        /// What was merged after one boundary.
        most_at_once: u64,
        dropped: u64,
    }

    fn course(state: u64, run: u64, boundaries: u64) -> Course {
        let mut course = Course::default();
        let (mut runs, mut named) = (vec![(0, state)], 1);
        // By the first and the last run: since when, and how much is done.
        let mut under_way: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
        for _ in 0..boundaries {
            runs.push((named, run));
            named += 1;
            course.most_runs = course.most_runs.max(runs.len());
            course.most_bytes = course.most_bytes.max(runs.iter().map(|(_, bytes)| bytes).sum());
            let planned = plan(&runs.iter().map(|(_, bytes)| *bytes).collect::<Vec<_>>());
            let (mut before, mut at_once) = (std::mem::take(&mut under_way), 0);
            for merge in &planned {
                let key = (runs[merge.runs.start].0, runs[merge.runs.end - 1].0);
                let (since, done) = before.remove(&key).unwrap_or((merge.newer_bytes, 0));
                let owed = merge.owed_bytes(since).max(done);
                at_once += owed - done;
                under_way.insert(key, (since, owed));
            }
            course.dropped += before.values().map(|(_, done)| done).sum::<u64>();
            course.written += run + at_once;
            course.most_at_once = course.most_at_once.max(at_once);
            for merge in planned.into_iter().rev().filter(Planned::is_due) {
                under_way.remove(&(runs[merge.runs.start].0, runs[merge.runs.end - 1].0));
                let bytes = if merge.runs.start == 0 { state } else { merge.bytes };
                runs.splice(merge.runs, [(named, bytes)]);
                named += 1;
            }
        }
        course
    }

    /// A hundredth of the state changes between boundaries, or a thousandth, or a ten-thousandth.
    #[test]
    fn runs_are_few_and_a_change_is_written_a_few_times_and_never_much_at_once() {
        for share in [100, 1000, 10_000] {
            let run = 1_000_000 / share;
            let Course { most_runs, most_bytes, written, most_at_once, dropped } =
                course(1_000_000, run, share * 4);
            let digits = u64::from((share / RATIO).ilog(RATIO) + 1);
            assert!(most_runs as u64 <= 5 + 6 * digits, "{most_runs} runs at a share of 1/{share}");
            assert!(most_bytes <= 1_420_000, "{most_bytes} bytes in the runs of a state of a million");
            let times = written as f64 / 4_000_000.0;
            assert!(times < 1.0 + 4.5 + digits as f64, "each change is written {times} times at 1/{share}");
            assert!(most_at_once <= 4 * PACE * run, "{most_at_once} bytes after a run of {run}");
            assert_eq!(dropped, 0, "of what was merged");
        }
    }

    /// Sizes, and what comes later.
    fn sizes() -> impl Strategy<Value = Vec<u64>> {
        let size = prop_oneof![0..3_u64, 0..100_u64, 0..10_000_u64, Just(u64::MAX / 64)];
        proptest::collection::vec(size, 0..24)
    }

    proptest! {
        #[test]
        fn merges_are_of_several_neighbours_and_share_none(sizes in sizes()) {
            let planned = plan(&sizes);
            prop_assert!(planned.iter().all(|merge| merge.runs.len() >= 2 && merge.runs.end <= sizes.len()));
            prop_assert!(planned.windows(2).all(|two| two[0].runs.end <= two[1].runs.start));
        }

        /// What is under way is not given up for what comes in.
        #[test]
        fn later_runs_change_no_merge(sizes in sizes(), more in sizes()) {
            let longer: Vec<u64> = sizes.iter().chain(&more).copied().collect();
            let (before, after) = (plan(&sizes), plan(&longer));
            for (one, other) in before.iter().zip(&after) {
                prop_assert_eq!(&one.runs, &other.runs);
                prop_assert!(one.newer_bytes <= other.newer_bytes);
                prop_assert!(one.owed_bytes(0) <= other.owed_bytes(0));
            }
            prop_assert!(before.len() <= after.len());
        }

        /// Whatever the sizes: once enough has come in nothing is left to do but what came last.
        #[test]
        fn every_merge_ends(mut sizes in sizes()) {
            for _ in 0..64 {
                let Some(due) = plan(&sizes).into_iter().next() else { break };
                sizes.splice(due.runs, [due.bytes]);
            }
            prop_assert_eq!(plan(&sizes), []);
            let is_settled = |two: &[u64]| two[1] == 0 || two[1] < two[0] * (RATIO - 1);
            prop_assert!(sizes.windows(2).all(is_settled), "{:?}", sizes);
        }
    }
}
