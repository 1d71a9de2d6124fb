//! How much memory a process takes, as Linux counts it (`proc_pid_status(5)`).

use std::fs;

/// What it holds now, in bytes.
///
/// # Panics
/// When there is no such process any more.
#[track_caller]
pub fn resident_bytes(pid: u32) -> u64 {
    field(pid, "VmRSS:").expect("the process runs")
}

/// The most that it held at a time since [`forget_peak`], or since it began, in bytes; nothing when it has ended.
pub fn peak_bytes(pid: u32) -> Option<u64> {
    field(pid, "VmHWM:")
}

/// Has [`peak_bytes`] begin anew.
///
/// # Panics
/// When the system does not allow that.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the process is a child of this one");
}

fn field(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let text = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = text.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}
