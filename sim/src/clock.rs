//! A host's clock: as wrong as the plan says.

use std::time::Duration;

use quorate_node::raft::Time;

/// What true time is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostClock {
    /// Since then it has run at `rate`.
    since: Time,
    /// What it showed then.
    showed: Time,
    /// Thousandths of true time; 1000 is right, 0 is stopped.
    rate: u64,
}

/// The rate of a clock that is right.
pub(crate) const RIGHT: u64 = 1_000;

impl HostClock {
    /// A clock that is ahead, and right otherwise.
    pub(crate) fn ahead(by: Duration) -> Self {
        HostClock { since: Time(0), showed: Time(0) + by, rate: RIGHT }
    }

    /// A clock that shows this at `since` and runs at so many thousandths from then on.
    pub(crate) fn showing(since: Time, showed: Time, rate: u64) -> Self {
        HostClock { since, showed, rate }
    }

    /// At how many thousandths of true time it runs.
    pub(crate) fn rate(&self) -> u64 {
        self.rate
    }

    /// What it shows at `now`.
    pub(crate) fn at(&self, now: Time) -> Time {
        Time(self.showed.0 + now.0.saturating_sub(self.since.0).saturating_mul(self.rate) / RIGHT)
    }

    /// When it will show `shown`, if it goes on like this; `None` when it is stopped.
    pub(crate) fn when(&self, shown: Time) -> Option<Time> {
        let left = shown.0.saturating_sub(self.showed.0);
        if left == 0 {
            return Some(self.since);
        }
        (self.rate > 0).then(|| Time(self.since.0 + left.saturating_mul(RIGHT).div_ceil(self.rate)))
    }

    /// How long `duration` of this clock takes in truth.
    pub(crate) fn truly(&self, duration: Duration) -> Option<Duration> {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        (self.rate > 0).then(|| Duration::from_micros(micros.saturating_mul(RIGHT).div_ceil(self.rate)))
    }

    /// From `now` on it runs at so many thousandths of true time.
    pub(crate) fn run_at(&mut self, now: Time, rate: u64) {
        *self = HostClock { since: now, showed: self.at(now), rate };
    }

    /// It leaps.
    pub(crate) fn jump(&mut self, now: Time, by_ms: i64) {
        let shows = self.at(now).0.saturating_add_signed(by_ms.saturating_mul(1_000));
        *self = HostClock { since: now, showed: Time(shows), rate: self.rate };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_as_wrong_as_it_is_told_to_be() {
        let mut clock = HostClock::ahead(Duration::from_secs(5));
        assert_eq!(clock.at(Time(1_000)), Time(5_001_000));
        clock.run_at(Time(1_000), 500);
        assert_eq!(clock.at(Time(3_000)), Time(5_002_000), "half as fast");
        assert_eq!(clock.when(Time(5_002_000)), Some(Time(3_000)));
        assert_eq!(clock.truly(Duration::from_micros(10)), Some(Duration::from_micros(20)));
        clock.jump(Time(3_000), -1);
        assert_eq!(clock.at(Time(3_000)), Time(5_001_000));
        clock.run_at(Time(3_000), 0);
        assert_eq!((clock.at(Time(9_000)), clock.when(Time(5_001_001))), (Time(5_001_000), None));
    }
}
