//! Which runs are merged: a function of their sizes, and so of the log alone.
//!
//! Every row is written again each time that its run is merged, and every run is one more place to look for the rows
//! that a node lacks; both should be few. Runs above the oldest are merged like the digits of a number to the base
//! [`RATIO`] carry: a row moves up once for each power of it. The oldest is as large as the state; it is only merged
//! when a quarter of it is news, which bounds what the disk holds beyond the state, and what each change costs.

/// How much runs must have grown.
pub(crate) const RATIO: u64 = 4;

/// Where a merge has to begin: that run and all newer ones become one. `sizes` are those of the runs of a boundary,
/// from the oldest to the newest, in bytes.
pub(crate) fn merge_from(sizes: &[u64]) -> Option<usize> {
    let (oldest, _) = sizes.split_first()?;
    let mut newer: u64 = sizes.iter().sum();
    for (number, bytes) in sizes.iter().enumerate() {
        newer -= bytes;
        let due = if number == 0 {
            newer.saturating_mul(RATIO) >= *oldest
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
    use super::*;

    #[test]
    fn one_run_or_none_is_never_merged() {
        assert_eq!(merge_from(&[]), None);
        assert_eq!(merge_from(&[0]), None);
        assert_eq!(merge_from(&[100]), None);
    }

    #[test]
    fn the_oldest_is_merged_when_a_quarter_is_news() {
        assert_eq!(merge_from(&[100, 24]), None);
        assert_eq!(merge_from(&[100, 25]), Some(0));
        assert_eq!(merge_from(&[100, 20, 4]), None);
        assert_eq!(merge_from(&[100, 20, 5]), Some(0));
        assert_eq!(merge_from(&[u64::MAX / 2, 1]), None);
    }

    #[test]
    fn a_newer_one_is_merged_when_what_follows_is_thrice_as_much() {
        assert_eq!(merge_from(&[1000, 10, 10, 10]), None);
        assert_eq!(merge_from(&[1000, 10, 10, 10, 10]), Some(1));
        assert_eq!(merge_from(&[1000, 40, 10, 10, 9]), None);
        assert_eq!(merge_from(&[1000, 40, 2, 6]), Some(2));
    }

    /// What each boundary adds, and what is written in all by the time that the state was written over.
    fn written(state: u64, run: u64, boundaries: u64) -> (Vec<usize>, u64) {
        let (mut sizes, mut counts, mut bytes) = (vec![state], Vec::new(), 0);
        for _ in 0..boundaries {
            sizes.push(run);
            bytes += run;
            if let Some(from) = merge_from(&sizes) {
                let merged: u64 = if from == 0 { state } else { sizes[from..].iter().sum() };
                sizes.truncate(from);
                sizes.push(merged);
                bytes += merged;
            }
            counts.push(sizes.len());
        }
        (counts, bytes)
    }

    /// A hundredth of the state changes between boundaries, or a thousandth, or a ten-thousandth.
    #[test]
    fn runs_are_few_and_a_change_is_written_a_few_times() {
        for share in [100, 1000, 10_000] {
            let (counts, bytes) = written(1_000_000, 1_000_000 / share, share * 4);
            let most = counts.iter().max().unwrap();
            let digits = u64::from((share / RATIO).ilog(RATIO) + 1);
            assert!(*most as u64 <= 1 + 3 * digits + 1, "{most} runs at a share of 1/{share}");
            let times = bytes as f64 / 4_000_000.0;
            assert!(times < 1.0 + 4.5 + digits as f64, "each change is written {times} times at 1/{share}");
        }
    }

    /// Whatever the sizes: what is left is no longer due, so one merge a boundary is enough.
    #[test]
    fn after_a_merge_nothing_is_due() {
        let some = [1, 2, 3, 7, 8, 24, 25, 26, 100];
        for a in some {
            for b in some {
                for c in some {
                    for d in some {
                        let mut sizes = vec![a, b, c, d];
                        while let Some(from) = merge_from(&sizes) {
                            let merged = sizes[from..].iter().sum();
                            assert!(from < sizes.len() - 1, "{sizes:?} from {from}: a merge of one");
                            sizes.truncate(from);
                            sizes.push(merged);
                        }
                        assert!(sizes.windows(2).all(|pair| pair[1] < pair[0] * (RATIO - 1)), "{sizes:?}");
                    }
                }
            }
        }
    }
}
