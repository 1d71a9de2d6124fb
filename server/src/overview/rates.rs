//! What happened between two looks, from how often durations fell into which bucket.

use std::time::Duration;

use quorate_client::{Activity, Detail, Durations, Rate};

/// What a node did in the time between two looks at it.
pub(super) fn activity(before: &Detail, after: &Detail, between: Duration) -> Activity {
    Activity {
        reads: rate(&before.reads, &after.reads, between),
        writes: rate(&before.writes, &after.writes, between),
        syncs: rate(&before.syncs, &after.syncs, between),
    }
}

fn rate(before: &Durations, after: &Durations, between: Duration) -> Rate {
    let counts = more(before, after);
    let total: f64 = counts.iter().sum();
    let seconds = between.as_secs_f64();
    let quantile = |part: f64| (total > 0.0).then(|| quantile(&after.bounds_us, &counts, part * total));
    Rate {
        per_second: if seconds > 0.0 { total / seconds } else { 0.0 },
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
    }
}

/// How many more there are in each bucket. A node that was started again counts from zero again, and one of another
/// release may have other buckets.
fn more(before: &Durations, after: &Durations) -> Vec<f64> {
    let goes_on = before.bounds_us == after.bounds_us
        && before.counts.len() == after.counts.len()
        && before.counts.iter().zip(&after.counts).all(|(before, after)| before <= after);
    let earlier = before.counts.iter().copied().filter(|_| goes_on).chain(std::iter::repeat(0));
    let pairs = after.counts.iter().zip(earlier);
    pairs.map(|(after, before)| f64::from(u32::try_from(after - before).unwrap_or(u32::MAX))).collect()
}

/// In milliseconds, what so many are not above: within a bucket they are taken to lie evenly. Of the last bucket only
/// its lower bound is known.
fn quantile(bounds_us: &[u64], counts: &[f64], rank: f64) -> f64 {
    let (mut below, mut lower) = (0.0, 0.0);
    for (bound, count) in bounds_us.iter().zip(counts) {
        let upper = Duration::from_micros(*bound).as_secs_f64() * 1000.0;
        if below + count >= rank && *count > 0.0 {
            return lower + (upper - lower) * (rank - below) / count;
        }
        below += count;
        lower = upper;
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn durations(counts: &[u64]) -> Durations {
        Durations { bounds_us: vec![1_000, 2_000, 4_000], counts: counts.to_vec() }
    }

    #[test]
    fn only_what_is_new_counts() {
        let rate = rate(&durations(&[100, 7, 0, 1]), &durations(&[100, 17, 0, 1]), SECOND * 2);
        assert_eq!((rate.per_second, rate.p50_ms, rate.p99_ms), (5.0, Some(1.5), Some(1.99)));
    }

    #[test]
    fn the_slowest_of_a_few_shows() {
        let seen = rate(&durations(&[0; 4]), &durations(&[98, 0, 2, 0]), SECOND);
        assert_eq!((seen.p50_ms.map(f64::round), seen.p99_ms), (Some(1.0), Some(3.0)));
        let beyond = rate(&durations(&[0; 4]), &durations(&[0, 0, 0, 3]), SECOND);
        assert_eq!((beyond.p50_ms, beyond.p99_ms), (Some(4.0), Some(4.0)), "only the bound is known");
    }

    #[test]
    fn where_nothing_happened_nothing_took_long() {
        let quiet = rate(&durations(&[5, 5, 5, 5]), &durations(&[5, 5, 5, 5]), SECOND);
        assert_eq!(quiet, Rate { per_second: 0.0, p50_ms: None, p99_ms: None });
    }

    /// Whatever a node answers, it does no harm.
    #[test]
    fn a_node_that_counts_otherwise_is_taken_as_new() {
        let other = Durations { bounds_us: vec![1_000], counts: vec![1] };
        let restarted = rate(&durations(&[9, 9, 9, 9]), &durations(&[2, 0, 0, 0]), SECOND);
        assert_eq!((restarted.per_second, restarted.p50_ms), (2.0, Some(0.5)));
        assert_eq!(rate(&durations(&[9; 4]), &other, SECOND).per_second, 1.0);
        assert_eq!(rate(&other, &durations(&[1, 1, 0, 0]), Duration::ZERO).per_second, 0.0);
        let none = Durations { bounds_us: Vec::new(), counts: vec![u64::MAX] };
        assert_eq!(rate(&other, &none, SECOND).p99_ms, Some(0.0));
    }
}
