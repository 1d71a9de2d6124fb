//! How many requests a token is good for in a second.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_node::raft::Time;

const SECOND: u64 = 1_000_000_000;

/// Requests in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(NonZeroU32);

impl Rate {
    const MOST: u32 = 1_000_000;

    /// # Errors
    /// What to give instead.
    pub(crate) fn new(requests: u32) -> Result<Rate, String> {
        match NonZeroU32::new(requests) {
            Some(rate) if requests <= Rate::MOST => Ok(Rate(rate)),
            _ => Err(format!(
                "{requests} requests a second: give 1 to {}, or leave it out for any number",
                Rate::MOST
            )),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Keeps to a rate: a second's worth may come at once, and after that one each time its turn is there.
///
/// It is the generic cell rate algorithm (ITU-T I.371, annex A), which needs one number and no timer: the time at which
/// all that came would have come at the rate.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// In nanoseconds of the runtime's clock.
    due: AtomicU64,
}

impl Pace {
    /// Whether another request may come now.
    pub(crate) fn allows(&self, rate: Rate, now: Time) -> bool {
        let now = now.0.saturating_mul(1000);
        let each = SECOND / u64::from(rate.0.get());
        let next = |due: u64| Some(due.max(now) + each).filter(|due| *due <= now + SECOND);
        self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn count(pace: &Pace, rate: u32, now: u64) -> u32 {
        let rate = Rate::new(rate).unwrap();
        (0..10_000).take_while(|_| pace.allows(rate, Time(now))).count().try_into().unwrap()
    }

    #[test]
    fn a_seconds_worth_may_come_at_once_and_then_each_in_its_turn() {
        for rate in [1, 2, 3, 7, 200] {
            let pace = Pace::default();
            assert_eq!(count(&pace, rate, 5_000_000), rate);
            assert_eq!(count(&pace, rate, 5_000_000 + 999_999 / u64::from(rate)), 0, "{rate}");
            assert_eq!(count(&pace, rate, 5_000_001 + 1_000_000 / u64::from(rate)), 1, "{rate}");
            assert_eq!(count(&pace, rate, 60_000_000), rate, "what was not used is not saved up");
        }
    }

    #[test]
    fn a_rate_is_from_one_to_a_million() {
        assert!(Rate::new(0).is_err() && Rate::new(1_000_001).is_err());
        assert_eq!(Rate::new(1_000_000).unwrap().to_string(), "1000000");
    }
}
