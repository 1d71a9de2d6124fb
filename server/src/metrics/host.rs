//! The process and the machine that it runs on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::disk::{AREAS, DiskTimes};
use crate::real::wall_clock_seconds;
use crate::tls::Keyring;

/// What metrics tell of besides the server itself. A simulated server has none of it.
#[derive(Clone)]
pub(crate) struct Machine {
    /// Where the node's files are.
    pub(crate) data_dir: PathBuf,
    /// When the process began, in seconds since 1970.
    pub(crate) began_seconds: u64,
    /// What its storage did.
    pub(crate) disk: Arc<DiskTimes>,
    /// Its certificates.
    pub(crate) keyring: Arc<Keyring>,
}

/// What was read of the machine at some moment. What can't be read is left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readings {
    pub(crate) began_seconds: u64,
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_files: Option<u64>,
    /// How many may be open; none when nothing bounds them.
    pub(crate) most_files: Option<u64>,
    /// How much there is in each area of the data dir.
    pub(crate) data_bytes: Vec<(&'static str, u64)>,
    /// How much room the file system of the data dir has.
    pub(crate) file_system: Option<FileSystem>,
    /// Each certificate, and when it ends, in seconds since 1970.
    pub(crate) certificates: Vec<(&'static str, u64)>,
}

/// A file system's size, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileSystem {
    pub(crate) bytes: u64,
    /// What this process may still use.
    pub(crate) free_bytes: u64,
}

impl fmt::Debug for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Machine").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl Machine {
    /// A process that begins now.
    pub(crate) fn new(data_dir: &Path, keyring: Arc<Keyring>) -> Machine {
        Machine {
            data_dir: data_dir.to_owned(),
            began_seconds: wall_clock_seconds(),
            disk: Arc::default(),
            keyring,
        }
    }

    /// Reads all of it, which takes some system calls: not for a thread that others wait for.
    pub(crate) fn read(&self) -> Readings {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Readings {
            began_seconds: self.began_seconds,
            #[expect(
                clippy::cast_precision_loss,
                reason = "seconds and nanoseconds of a process are far below 2^52"
            )]
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            resident_bytes: resident_bytes(),
            open_files: std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            most_files: getrlimit(Resource::Nofile).current,
            data_bytes: self.data_bytes(),
            file_system: file_system(&self.data_dir),
            certificates: self.keyring.ends(),
        }
    }

    fn data_bytes(&self) -> Vec<(&'static str, u64)> {
        let areas = AREAS.into_iter().filter(|area| self.data_dir.join(area).is_dir());
        areas.map(|area| (area, bytes_in(&self.data_dir.join(area)))).collect()
    }
}

/// What the files of a directory have. One may go while this looks.
fn bytes_in(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(|file| file.is_file())
        .map(|file| file.len())
        .sum()
}

fn file_system(directory: &Path) -> Option<FileSystem> {
    let system = rustix::fs::statvfs(directory).ok()?;
    Some(FileSystem {
        bytes: system.f_blocks.saturating_mul(system.f_frsize),
        free_bytes: system.f_bavail.saturating_mul(system.f_frsize),
    })
}

/// Linux says it in kB of 1024 bytes.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_bytes_of_a_directory_are_those_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"12345").unwrap();
        std::fs::write(folder.path().join("b"), b"67").unwrap();
        std::fs::create_dir(folder.path().join("c")).unwrap();
        assert_eq!(bytes_in(folder.path()), 7);
        assert_eq!(bytes_in(&folder.path().join("none")), 0);
        let FileSystem { bytes, free_bytes } = file_system(folder.path()).unwrap();
        assert!(bytes >= free_bytes && bytes > 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes().unwrap() > 1 << 20);
    }
}
