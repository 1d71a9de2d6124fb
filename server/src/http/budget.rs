//! How much of request bodies is held in memory.
//!
//! A request has a limit, and requests have one together: a thousand clients with 4 MiB each, while nobody leads,
//! would otherwise fill the memory with bodies that wait. A body counts from its first byte to its request's answer,
//! whether it arrives, waits for a leader, for the log, or for the leader that it was passed on to. Who comes when
//! the budget is used up is refused at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::ApiError;

/// What all requests together may hold.
#[derive(Debug)]
pub(super) struct Budget {
    limit_bytes: usize,
    held_bytes: AtomicUsize,
}

/// What one request holds of it, until this is dropped.
#[derive(Debug)]
pub(super) struct Held<'a> {
    budget: &'a Budget,
    bytes: AtomicUsize,
}

impl Budget {
    pub(super) fn new(limit_bytes: usize) -> Budget {
        Budget { limit_bytes, held_bytes: AtomicUsize::new(0) }
    }

    /// A request that holds nothing yet.
    pub(super) fn hold(&self) -> Held<'_> {
        Held { budget: self, bytes: AtomicUsize::new(0) }
    }
}

impl Held<'_> {
    /// So many bytes have come.
    ///
    /// # Errors
    /// `overloaded`.
    pub(super) fn add(&self, bytes: usize) -> Result<(), ApiError> {
        let Budget { limit_bytes, held_bytes } = self.budget;
        let fits = |held: usize| held.checked_add(bytes).filter(|held| held <= limit_bytes);
        match held_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => {
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => Err(ApiError::TooMuchHeld { limit: *limit_bytes }),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget.held_bytes.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_gives_back_another_may_take() {
        let budget = Budget::new(10);
        let (one, other) = (budget.hold(), budget.hold());
        assert_eq!((one.add(4), one.add(4)), (Ok(()), Ok(())));
        assert_eq!(other.add(3), Err(ApiError::TooMuchHeld { limit: 10 }));
        assert_eq!(other.add(usize::MAX), Err(ApiError::TooMuchHeld { limit: 10 }));
        assert_eq!(other.add(2), Ok(()));
        drop(one);
        assert_eq!(other.add(8), Ok(()));
        assert_eq!(other.add(1), Err(ApiError::TooMuchHeld { limit: 10 }));
        drop(other);
        assert_eq!(budget.hold().add(10), Ok(()));
    }
}
