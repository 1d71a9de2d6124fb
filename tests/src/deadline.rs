//! Waiting for what another process does: look again and again, until a deadline.

use std::time::{Duration, Instant};

/// Far longer than anything takes that works; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

/// Tries until `attempt` gives something, and returns it.
///
/// # Panics
/// After `limit`, naming what was waited for.
#[track_caller]
pub fn wait_until<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(start.elapsed() < limit, "gave up after {limit:?} waiting for {what}");
        pause_between_attempts();
    }
}

/// The one place in the tests that sleeps: between two looks at what another process does, which needs the
/// processor in the meantime.
pub(crate) fn pause_between_attempts() {
    std::thread::sleep(BETWEEN_ATTEMPTS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_later_is_waited_for() {
        let mut attempts = 0;
        let third = wait_until("the third attempt", PATIENCE, || {
            attempts += 1;
            (attempts == 3).then_some(attempts)
        });
        assert_eq!(third, 3);
    }

    #[test]
    #[should_panic(expected = "waiting for what never comes")]
    fn what_never_comes_fails_with_its_name() {
        wait_until("what never comes", Duration::from_millis(1), || None::<()>);
    }
}
