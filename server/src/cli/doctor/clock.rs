//! Whether the clocks can be used.
//!
//! Consensus asks nothing of them. Leases, expiry and lease reads count on their speed, and certificates on the time of
//! day.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::{Finding, Health};

/// How long both clocks are watched.
const WATCHED: Duration = Duration::from_millis(500);
/// A lease read is safe while no clock is a ninth quicker than another: a twentieth is not far from it.
const LARGEST_DRIFT: f64 = 0.05;

/// Where those that keep the time right leave a trace.
const KEEPERS: [(&str, &str); 4] = [
    ("/run/systemd/timesync/synchronized", "systemd-timesyncd"),
    ("/run/chrony", "chrony"),
    ("/run/chrony.d", "chrony"),
    ("/var/lib/ntp/ntp.drift", "ntpd"),
];

pub(super) fn finding() -> Finding {
    let (monotonic, wall) = (Instant::now(), SystemTime::now());
    std::thread::sleep(WATCHED);
    let passed = monotonic.elapsed();
    judge(passed, wall.elapsed().ok(), keeper(Path::new("/")))
}

fn keeper(root: &Path) -> Option<&'static str> {
    let is_there = |path: &str| root.join(path.trim_start_matches('/')).exists();
    KEEPERS.iter().find(|(path, _)| is_there(path)).map(|(_, name)| *name)
}

/// `wall` is what passed on the clock that shows the time of day; nothing when it went backwards.
fn judge(passed: Duration, wall: Option<Duration>, keeper: Option<&str>) -> Finding {
    let Some(wall) = wall else {
        return Finding::new("clock", Health::Warning, "the time of day was set back while it was watched");
    };
    let drift = wall.as_secs_f64() / passed.as_secs_f64() - 1.0;
    if drift.abs() > LARGEST_DRIFT {
        let detail = format!(
            "the time of day runs at {:.1} % of the monotonic clock: it is being set, or one of the two is broken; don't \
             use lease reads before that is mended",
            100.0 * (1.0 + drift)
        );
        return Finding::new("clock", Health::Warning, detail);
    }
    let kept = keeper.map_or_else(
        || "nothing was seen that keeps it right (in a container that is the host's business)".to_owned(),
        |name| format!("{name} keeps it right"),
    );
    Finding::new("clock", Health::Ok, format!("it runs evenly; {kept}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_clock_that_is_being_set_is_no_clock_for_leases() {
        let passed = Duration::from_millis(1000);
        let health = |wall: Option<u64>| judge(passed, wall.map(Duration::from_millis), None).health;
        assert_eq!(health(Some(1000)), Health::Ok);
        assert_eq!(health(Some(960)), Health::Ok);
        assert_eq!(health(Some(940)), Health::Warning);
        assert_eq!(health(Some(1100)), Health::Warning);
        assert_eq!(health(None), Health::Warning);
    }

    #[test]
    fn who_keeps_it_right_is_named() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(keeper(root.path()), None);
        std::fs::create_dir_all(root.path().join("run/chrony")).unwrap();
        assert_eq!(keeper(root.path()), Some("chrony"));
        let finding = judge(Duration::from_secs(1), Some(Duration::from_secs(1)), keeper(root.path()));
        assert!(finding.detail.contains("chrony"), "{}", finding.detail);
    }
}
