//! What is counted and measured with, where it happens.
//!
//! All of it is relaxed atomics: no lock, no allocation, and nobody waits. So different numbers may be a moment apart.
//! (The library that writes the answer has histograms too, but each is behind a lock.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(crate) fn count(&self) {
        self.add(1);
    }

    /// So many more.
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much there is of something now.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicU64);

impl Level {
    /// So much.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// One more, until what is returned is dropped.
    pub(crate) fn hold(&self) -> Hold<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Hold(self)
    }

    /// How much now.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those that a [`Level`] counts.
#[derive(Debug)]
pub(crate) struct Hold<'a>(&'a Level);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// For what should take a few milliseconds: the upper bounds of buckets, in microseconds.
pub(crate) const SHORT: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// For what may take minutes, likewise.
pub(crate) const LONG: &[u64] = &[
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
];

/// How long something took, each time.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what is above them all.
    counts: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

/// What a [`Histogram`] held at some moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Distribution {
    /// All durations together, in seconds.
    pub(crate) sum: f64,
    /// How many there were.
    pub(crate) count: u64,
    /// The upper bound of each bucket, in seconds, and how many are in it and in none before.
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// `bounds` are the upper bounds of the buckets, in microseconds, and grow.
    pub(crate) fn new(bounds: &'static [u64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, counts, sum_micros: AtomicU64::new(0) }
    }

    /// It took so long this time.
    pub(crate) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|bound| *bound < micros);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The upper bounds of all buckets but the last, in microseconds.
    pub(crate) fn bounds(&self) -> &'static [u64] {
        self.bounds
    }

    /// How many are in each bucket and in none before.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// All of it.
    pub(crate) fn distribution(&self) -> Distribution {
        let bounds = self.bounds.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.counts()).collect();
        Distribution {
            sum: seconds(self.sum_micros.load(Ordering::Relaxed)),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::new(&[1_000, 2_000]);
        for micros in [0, 1_000, 1_001, 2_000, 2_001, 9_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let Distribution { sum, count, buckets } = histogram.distribution();
        assert_eq!(buckets, [(0.001, 2), (0.002, 2), (f64::INFINITY, 2)]);
        assert_eq!((sum, count), (9.006_002, 6));
    }

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let level = Level::default();
        let first = level.hold();
        {
            let _second = level.hold();
            assert_eq!(level.value(), 2);
        }
        drop(first);
        assert_eq!(level.value(), 0);
    }

    #[test]
    fn bounds_grow() {
        for bounds in [SHORT, LONG] {
            assert!(bounds.is_sorted_by(|one, next| one < next), "{bounds:?}");
        }
    }
}
