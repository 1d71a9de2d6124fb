//! Wrong tokens, counted: by the address that they come from and by whose secret they are guesses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_node::raft::Time;

use super::secret::TokenId;

/// How long a wrong token counts.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// So many wrong ones are looked at in that time; then none.
const MOST: u32 = 10;

/// So many addresses and tokens are told apart; the others share one count.
const MOST_COUNTED: usize = 4096;

/// Who guesses, and whose secret; without a token it is none's that there is.
type Guesser = (IpAddr, Option<TokenId>);

/// The wrong tokens of the last minute.
#[derive(Default)]
pub(super) struct Attempts(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    since: Time,
    wrong: BTreeMap<Guesser, u32>,
    /// How many were wrong since a line in the log said so; `None` when the next one is to be said at once.
    unsaid: Option<u32>,
}

impl Attempts {
    /// Counts an attempt, before anybody knows whether it is wrong: who breaks off has made one too. `false`: there
    /// were so many wrong ones that no more are looked at for now.
    pub(super) fn begin(&self, now: Time, from: IpAddr, id: Option<TokenId>) -> bool {
        let mut counts = self.counts(now);
        let guesser = counts.counted((network(from), id));
        let wrong = counts.wrong.entry(guesser).or_default();
        *wrong = wrong.saturating_add(1);
        *wrong <= MOST
    }

    /// It was right after all.
    pub(super) fn forgive(&self, now: Time, from: IpAddr, id: Option<TokenId>) {
        let mut counts = self.counts(now);
        let guesser = counts.counted((network(from), id));
        if let Some(wrong) = counts.wrong.get_mut(&guesser) {
            *wrong = wrong.saturating_sub(1);
            if *wrong == 0 {
                counts.wrong.remove(&guesser);
            }
        }
    }

    /// Whether a wrong one is to be said now; otherwise [`Attempts::unsaid`] will tell of it.
    pub(super) fn is_news(&self) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut counts.unsaid {
            Some(unsaid) => {
                *unsaid = unsaid.saturating_add(1);
                false
            }
            none => {
                *none = Some(0);
                true
            }
        }
    }

    /// How many were wrong since the last line. When there were none, the next one is news again.
    pub(super) fn unsaid(&self) -> Option<u32> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unsaid = counts.unsaid.filter(|unsaid| *unsaid > 0);
        counts.unsaid = unsaid.map(|_| 0);
        unsaid
    }

    fn counts(&self, now: Time) -> MutexGuard<'_, Counts> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.wrong.is_empty() || now.since(counts.since) >= WINDOW {
            counts.since = now;
            counts.wrong.clear();
        }
        counts
    }
}

impl Counts {
    fn counted(&self, guesser: Guesser) -> Guesser {
        let has_room = self.wrong.len() < MOST_COUNTED || self.wrong.contains_key(&guesser);
        if has_room { guesser } else { (IpAddr::V6(Ipv6Addr::UNSPECIFIED), None) }
    }
}

/// Whoever has an IPv6 address has the 2^64 beside it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const START: Time = Time(5_000_000);

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    fn id(text: &str) -> Option<TokenId> {
        TokenId::parse(text)
    }

    #[test]
    fn ten_in_a_minute_are_enough_for_one_address_and_token() {
        let (attempts, some) = (Attempts::default(), id("00000000000000a1"));
        for number in 0..10 {
            assert!(attempts.begin(START, address(1), some), "{number}");
        }
        assert!(!attempts.begin(START, address(1), some));
        assert!(attempts.begin(START, address(2), some));
        assert!(attempts.begin(START, address(1), None));
        assert!(!attempts.begin(START + Duration::from_secs(59), address(1), some));
        assert!(attempts.begin(START + Duration::from_secs(60), address(1), some));
    }

    #[test]
    fn what_was_right_does_not_count() {
        let attempts = Attempts::default();
        for _ in 0..100 {
            assert!(attempts.begin(START, address(1), None));
            attempts.forgive(START, address(1), None);
        }
    }

    #[test]
    fn the_first_is_said_at_once_and_the_others_together() {
        let attempts = Attempts::default();
        assert_eq!([(); 3].map(|()| attempts.is_news()), [true, false, false]);
        assert_eq!(attempts.unsaid(), Some(2));
        assert!(!attempts.is_news(), "there was a line just now");
        assert_eq!((attempts.unsaid(), attempts.unsaid()), (Some(1), None));
        assert!(attempts.is_news());
    }

    #[test]
    fn a_flood_of_addresses_shares_a_count() {
        let attempts = Attempts::default();
        for number in 0..5000_u32 {
            attempts.begin(START, IpAddr::V4(Ipv4Addr::from_bits(number)), None);
        }
        assert!(attempts.counts(START).wrong.len() <= MOST_COUNTED + 1);
        assert!(!attempts.begin(START, address(9), None), "a new one is not told apart");
        assert!(attempts.begin(START, IpAddr::V4(Ipv4Addr::from_bits(7)), None));
    }

    #[test]
    fn neighbours_of_an_ipv6_address_are_the_same() {
        let attempts = Attempts::default();
        for host in 0..10_u128 {
            attempts.begin(START, IpAddr::V6(Ipv6Addr::from_bits((1 << 64) | host)), None);
        }
        assert!(!attempts.begin(START, IpAddr::V6(Ipv6Addr::from_bits((1 << 64) | 99)), None));
        assert!(attempts.begin(START, IpAddr::V6(Ipv6Addr::from_bits(2 << 64)), None));
    }
}
