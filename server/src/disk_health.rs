//! What is known of the disk from outside the storage: how long its syncs take, whether it stands still, what it lost.
//!
//! Whoever owns the storage writes it down, the driver, readiness and the log read it.

use std::time::Duration;

use quorate_node::raft::Time;
use quorate_storage::Finding;

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, PoisonError};

/// Of so many writes the durations are kept.
const RECENT: usize = 1024;

/// One disk's condition.
#[derive(Debug)]
pub struct DiskHealth {
    /// The disk's name: the directory on it.
    name: String,
    /// When the work under way began, and one more; zero when there is none.
    since: AtomicU64,
    recent: Mutex<Recent>,
    /// The storage was asked to tend its disk, and has not done so yet.
    is_tended: AtomicBool,
    found: AtomicU64,
    mended: AtomicU64,
}

/// The last durations, the oldest overwritten first.
#[derive(Debug, Default)]
struct Recent {
    durations: Vec<Duration>,
    next: usize,
}

impl DiskHealth {
    pub(crate) fn new(name: &str) -> Self {
        DiskHealth {
            name: name.to_owned(),
            since: AtomicU64::new(0),
            recent: Mutex::default(),
            is_tended: AtomicBool::new(false),
            found: AtomicU64::new(0),
            mended: AtomicU64::new(0),
        }
    }

    /// The directory on the disk.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The storage begins with what it was given.
    pub fn begin(&self, now: Time) {
        self.since.store(now.0.saturating_add(1), Ordering::Relaxed);
    }

    /// The storage has done it. What `wrote` and synced counts among the durations.
    pub fn end(&self, now: Time, wrote: bool) {
        let since = self.since.swap(0, Ordering::Relaxed);
        if wrote && since > 0 {
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).note(now.since(Time(since - 1)));
        }
    }

    /// For how long the storage has been at what it does; none when it waits for work.
    pub fn under_way(&self, now: Time) -> Option<Duration> {
        let since = self.since.load(Ordering::Relaxed);
        (since > 0).then(|| now.since(Time(since - 1)))
    }

    /// In what time 99 of 100 of the last writes were done and synced; none before the first.
    pub fn sync_p99(&self) -> Option<Duration> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).p99()
    }

    /// One line for people.
    pub fn describe(&self, now: Time) -> String {
        let p99 = self.sync_p99().map_or_else(
            || "nothing was synced yet".to_owned(),
            |p99| format!("99 % of the last syncs took up to {:.1} ms", milliseconds(p99)),
        );
        let under_way = self.under_way(now).filter(|age| *age >= Duration::from_millis(100));
        let under_way = under_way
            .map_or(String::new(), |age| format!(", and it has been busy for {:.0} ms", milliseconds(age)));
        format!("the disk of {}: {p99}{under_way}", self.name)
    }

    /// True when the storage is to be asked to tend its disk: not twice before it has done so.
    pub(crate) fn ask_to_tend(&self) -> bool {
        !self.is_tended.swap(true, Ordering::Relaxed)
    }

    /// The storage has done what it was asked for.
    pub fn tended(&self) {
        // A store would do as well, but loom does not see that it comes after the request it answers.
        self.is_tended.swap(false, Ordering::Relaxed);
    }

    /// Something was bad at rest.
    pub fn note(&self, finding: &Finding) {
        let counter = match finding {
            Finding::Slot { .. } | Finding::HeaderLost { .. } | Finding::RunLost { .. } => &self.found,
            Finding::HeaderMended { .. } | Finding::StableMended { .. } | Finding::ManifestMended { .. } => {
                &self.mended
            }
            // Nothing is wrong with the disk.
            Finding::UnknownContent { .. } => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many slots, headers and runs were found bad at rest, and how many headers, manifests and files of term and
    /// vote were mended.
    pub fn findings(&self) -> (u64, u64) {
        (self.found.load(Ordering::Relaxed), self.mended.load(Ordering::Relaxed))
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Recent {
    fn note(&mut self, duration: Duration) {
        if self.durations.len() < RECENT {
            self.durations.push(duration);
        } else {
            self.durations[self.next] = duration;
            self.next = (self.next + 1) % RECENT;
        }
    }

    fn p99(&self) -> Option<Duration> {
        let mut sorted = self.durations.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len().checked_sub(1)? * 99).div_ceil(100)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_a_hundred_shows_and_old_ones_are_forgotten() {
        let health = DiskHealth::new("/data");
        assert_eq!((health.sync_p99(), health.under_way(Time(5))), (None, None));
        for micros in 1..=100 {
            health.begin(Time(0));
            health.end(Time(micros * 1000), true);
        }
        assert_eq!(health.sync_p99(), Some(Duration::from_millis(100)));
        for _ in 0..RECENT {
            health.begin(Time(7));
            health.end(Time(1007), true);
        }
        assert_eq!(health.sync_p99(), Some(Duration::from_millis(1)));
    }

    #[test]
    fn what_is_under_way_is_told() {
        let health = DiskHealth::new("/data");
        health.begin(Time(0));
        assert_eq!(health.under_way(Time(250_000)), Some(Duration::from_millis(250)));
        assert!(
            health
                .describe(Time(250_000))
                .contains("the disk of /data: nothing was synced yet, and it has been busy for 250 ms")
        );
        health.end(Time(250_000), true);
        assert_eq!(health.under_way(Time(300_000)), None);
        assert_eq!(
            health.describe(Time(300_000)),
            "the disk of /data: 99 % of the last syncs took up to 250.0 ms"
        );
    }

    #[test]
    fn nobody_is_asked_twice() {
        let health = DiskHealth::new("/data");
        assert!(health.ask_to_tend() && !health.ask_to_tend());
        health.tended();
        assert!(health.ask_to_tend());
    }
}
