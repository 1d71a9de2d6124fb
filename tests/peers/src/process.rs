//! Processes: started, killed, and asked what they have used up.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// `/proc` counts in these, on every Linux of the architectures that Quorate is built for.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long anything that has to happen may take to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A command that may be run several times, one after the other; killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Not started yet. What it says goes to the file `log`.
    pub(crate) fn new(program: impl Into<PathBuf>, arguments: Vec<String>, log: PathBuf) -> Self {
        Self { program: program.into(), arguments, log, child: None }
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} can't be started", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It fails only for a process that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// # Panics
    /// When it was not started.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// Waits until `look` finds something; fails when the process ends before.
    pub(crate) fn wait_until<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
        wait_until(what, || {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok()?) {
                bail!("it ended with {status}; see {}", self.log.display());
            }
            Ok(look())
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Looks again and again until something is found.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(found) = look().with_context(|| what.to_owned())? {
            return Ok(found);
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    bail!("waited {} s in vain: {what}", PATIENCE.as_secs())
}

/// What processes have used up since they were started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Of all their threads, in the kernel and outside of it.
    pub(crate) cpu_us: f64,
    /// What went to the disk.
    pub(crate) disk_bytes: f64,
}

/// All of these processes together.
pub(crate) fn used(pids: &[u32]) -> Result<Used> {
    let mut sum = Used { cpu_us: 0.0, disk_bytes: 0.0 };
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program, in parentheses, may hold anything; utime and stime are fields 14 and 15.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        sum.cpu_us += ticks / TICKS_PER_SECOND * 1e6;
        sum.disk_bytes += number_after(&fs::read_to_string(format!("/proc/{pid}/io"))?, "\nwrite_bytes: ")?;
    }
    Ok(sum)
}

/// How much of a process is in memory, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(number_after(&status, "VmRSS:")? * 1024.0)
}

/// The number that follows these words.
pub(crate) fn number_after(text: &str, words: &str) -> Result<f64> {
    let rest = text.split_once(words).with_context(|| format!("there is no {words:?}"))?.1;
    let number = rest.split_whitespace().next().unwrap_or_default();
    number.parse().with_context(|| format!("{words:?} is followed by {number:?}"))
}

/// An address that nobody listens on, below the ports that outgoing connections get: a server that is down for a while
/// does not lose it.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 10_000)?;
    for _ in 0..10_000 {
        let port = 12_000 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
    }
    bail!("there is no free port")
}
