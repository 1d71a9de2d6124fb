//! How quick the disk is, and what room it has.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use super::{Finding, Health};
use crate::config::ServeConfig;

/// So many writes are made, unless they take too long.
const SYNCS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(5);
/// What is written each time: a batch of the log.
const BATCH: [u8; 4096] = [0x51; 4096];
/// Beyond this writes are slow for people: etcd's and Consul's guides name the same.
const SLOW: Duration = Duration::from_millis(10);

pub(super) fn findings(config: &ServeConfig) -> Vec<Finding> {
    let place = existing(&config.data_dir);
    vec![latency(&place, config.election_timeout), space(&place, config)]
}

/// The directory, or the closest above it that is there.
fn existing(path: &Path) -> PathBuf {
    let above = path.ancestors().find(|above| above.is_dir());
    above.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn latency(place: &Path, election_timeout: Duration) -> Finding {
    match tempfile::tempfile_in(place).and_then(measure) {
        Ok(taken) => judge(&taken, election_timeout),
        Err(error) => Finding::new(
            "disk latency",
            Health::Failed,
            format!("{}: nothing can be written there: {error}", place.display()),
        ),
    }
}

/// How long each write took until it was durable, in order of size.
fn measure(mut file: File) -> io::Result<Vec<Duration>> {
    // As the log has it: a file that is as long as it will be, and written over.
    for _ in 0..SYNCS {
        file.write_all(&BATCH)?;
    }
    file.sync_all()?;
    file.rewind()?;
    let (began, mut taken) = (Instant::now(), Vec::new());
    while taken.len() < SYNCS && began.elapsed() < PATIENCE {
        let before = Instant::now();
        file.write_all(&BATCH)?;
        file.sync_data()?;
        taken.push(before.elapsed());
    }
    taken.sort_unstable();
    Ok(taken)
}

/// `taken` has at least one and is in order.
fn judge(taken: &[Duration], election_timeout: Duration) -> Finding {
    let of = |hundredths: usize| taken[(taken.len() - 1) * hundredths / 100];
    let (half, most) = (of(50), of(99));
    let seen = format!("a write of 4 KiB is durable in {half:.2?} (median), {most:.2?} (99 of 100)");
    if most > election_timeout / 2 {
        let detail = format!(
            "{seen}: half of the election timeout is gone before a vote is; raise it, or take another disk"
        );
        return Finding::new("disk latency", Health::Failed, detail);
    }
    if most > SLOW {
        let detail = format!("{seen}: each write of a client waits for that on a majority of the nodes");
        return Finding::new("disk latency", Health::Warning, detail);
    }
    Finding::new("disk latency", Health::Ok, seen)
}

fn space(place: &Path, config: &ServeConfig) -> Finding {
    match statvfs(place) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            judge_space(free, found.f_blocks.saturating_mul(found.f_frsize), config.segment_bytes.into())
        }
        Err(error) => Finding::new(
            "disk space",
            Health::Failed,
            format!("{}: it can't be seen: {error}", place.display()),
        ),
    }
}

fn judge_space(free: u64, all: u64, segment: u64) -> Finding {
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let seen = format!("{} of {} are free", gib(free), gib(all));
    // A segment that is written, three in reserve, and as much again for a checkpoint.
    let least = segment.saturating_mul(8);
    if free < least {
        let detail = format!(
            "{seen}, and the log alone wants {}: free some, or give a smaller --segment-bytes",
            gib(least)
        );
        return Finding::new("disk space", Health::Failed, detail);
    }
    if free < all / 10 {
        return Finding::new("disk space", Health::Warning, format!("{seen}: less than a tenth"));
    }
    Finding::new("disk space", Health::Ok, seen)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(500);

    fn health(slowest_ms: u64) -> Health {
        let mut taken = vec![Duration::from_micros(300); 90];
        taken.extend([Duration::from_millis(slowest_ms); 10]);
        judge(&taken, TIMEOUT).health
    }

    #[test]
    fn a_disk_is_judged_by_its_slow_writes() {
        assert_eq!([1, 10, 11, 250, 251].map(health), {
            use Health::{Failed, Ok, Warning};
            [Ok, Ok, Warning, Warning, Failed]
        });
    }

    #[test]
    fn the_disk_is_measured_where_the_data_dir_will_be() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(existing(&folder.path().join("a/b")), folder.path());
        assert_eq!(existing(Path::new("surely-not-there")), Path::new("."));
        let taken = measure(tempfile::tempfile_in(folder.path()).unwrap()).unwrap();
        assert!(!taken.is_empty() && taken.is_sorted());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn room_is_for_the_log_and_some_more() {
        let (mib, segment) = (1 << 20, 16 << 20);
        assert_eq!(judge_space(127 * mib, 200 * mib, segment).health, Health::Failed);
        assert_eq!(judge_space(128 * mib, 200 * mib, segment).health, Health::Ok);
        assert_eq!(judge_space(128 * mib, 2000 * mib, segment).health, Health::Warning);
    }
}
