//! The real world: the one module that uses tokio's clock, scheduler and sockets, signals, and a thread.
//!
//! Everything else in the crate goes through the seams [`Runtime`] and [`Net`], and so runs under simulation too.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this module is where they are allowed"
)]

use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_node::raft::Time;
use quorate_storage::data_dir::DataDirError;
use quorate_storage::{Disk, Storage, give_back};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::net::{Listener, Net};
use crate::runtime::{Either, Runtime, race};
use crate::storage_loop::{Clock, run_storage};
use crate::storage_port::StorageEnd;

/// tokio, and the operating system's randomness.
#[derive(Clone, Copy, Debug)]
pub struct RealRuntime {
    started: Duration,
}

impl RealRuntime {
    /// A clock that starts now. Tasks are spawned on the tokio runtime of the caller.
    pub fn start() -> Self {
        RealRuntime { started: since_boot() }
    }
}

/// A clock that nobody sets and that, on Linux, goes on while the machine is suspended: a leader that wakes must not
/// take its lease for a fresh one. (`Instant` is CLOCK_MONOTONIC there, which stands still.)
fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let shown = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(shown.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(shown.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

impl Runtime for RealRuntime {
    fn now(&self) -> Time {
        let elapsed = since_boot().saturating_sub(self.started);
        Time(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(future);
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep(duration)
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

/// TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealNet;

impl Net for RealNet {
    type Stream = TokioIo<TcpStream>;
    type Listener = RealListener;

    async fn listen(&self, address: &str) -> io::Result<RealListener> {
        TcpListener::bind(address).await.map(RealListener)
    }

    async fn dial(&self, address: &str) -> io::Result<Self::Stream> {
        prepared(TcpStream::connect(address).await?)
    }
}

/// Where TCP connections arrive.
#[derive(Debug)]
pub struct RealListener(TcpListener);

impl Listener for RealListener {
    type Stream = TokioIo<TcpStream>;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        Ok((prepared(stream)?, from))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn close(self) -> Vec<Self::Stream> {
        // Not there in every sandbox: without it a client that comes right now may be reset.
        #[cfg(target_os = "linux")]
        if let Err(error) = socket2::SockRef::from(&self.0).attach_filter(&DROP_NEW_CONNECTIONS) {
            tracing::debug!(%error, "the system does not take SO_ATTACH_FILTER");
        }
        // Not through tokio, which believes the queue empty until it has asked the system again.
        let Ok(listener) = self.0.into_std() else { return Vec::new() };
        let waiting = std::iter::from_fn(|| listener.accept().ok());
        waiting.filter_map(|(stream, _)| prepared(from_std(stream).ok()?).ok()).collect()
    }
}

/// A packet filter (BPF) that drops a segment whose flags say SYN and not ACK: it asks for a connection. Who sent it
/// asks again, a second later, and then finds that nobody listens, or the node that was started in the meantime; a
/// listener that is closed without this resets all who got through since it last looked.
#[cfg(target_os = "linux")]
const DROP_NEW_CONNECTIONS: [socket2::SockFilter; 5] = [
    // The byte of the TCP header that holds the flags (RFC 9293, section 3.1): `ldb [13]`, `and #0x12`.
    socket2::SockFilter::new(0x30, 0, 0, 13),
    socket2::SockFilter::new(0x54, 0, 0, 0x12),
    // `jeq #0x02`, and the two verdicts: no byte of the segment passes, or all.
    socket2::SockFilter::new(0x15, 0, 1, 0x02),
    socket2::SockFilter::new(0x06, 0, 0, 0),
    socket2::SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// About how many bytes the system takes from us before it can send them. Without a bound it takes megabytes, and what
/// is written to a slow connection next waits for them all. What is sent and not acknowledged does not count, so that a
/// fast connection over a long distance is as fast as ever.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 64 << 10;

fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

/// Every message is small and waited for: Nagle's algorithm would hold it back for an acknowledgement.
fn prepared(stream: TcpStream) -> io::Result<TokioIo<TcpStream>> {
    stream.set_nodelay(true)?;
    // It makes slow links smoother, and is not there in every sandbox: without it a connection is as good as any.
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES) {
        tracing::debug!(%error, "the system does not take TCP_NOTSENT_LOWAT");
    }
    Ok(TokioIo::new(stream))
}

/// Runs `future` to its end, and with it all that it spawns.
///
/// One thread runs everything but the storage: the node is one task anyway, and each hop to another thread costs more
/// than parsing a request does.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(future);
    // Name look-ups run on threads of their own, and can take as long as they like: nobody waits for them any more.
    runtime.shutdown_background();
    Ok(ended)
}

/// Takes a data dir that another process may hold for a moment more: `quorate doctor` and its kind look at one, and a
/// node that was killed holds it until the system has cleaned up after it. A start must not end for that.
///
/// # Errors
/// Those of `take`; that somebody holds it only after a second.
pub(crate) fn when_free<T>(mut take: impl FnMut() -> Result<T, DataDirError>) -> Result<T, DataDirError> {
    const PATIENCE: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_millis(20);
    let deadline = since_boot() + PATIENCE;
    loop {
        match take() {
            Err(DataDirError::LookedAt { .. } | DataDirError::Locked { .. }) if since_boot() < deadline => {
                thread::sleep(PAUSE);
            }
            taken => return taken,
        }
    }
}

/// Does something at each SIGHUP, off the threads that others wait for.
pub(crate) fn at_each_hangup(work: impl Fn() + Send + Sync + 'static) -> io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    let work = std::sync::Arc::new(work);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let work = std::sync::Arc::clone(&work);
            off_thread(move || work()).await;
        }
    });
    Ok(())
}

/// The clock on the wall, in seconds since 1970: what certificates end by.
pub(crate) fn wall_clock_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Watches for SIGTERM and SIGINT.
pub(crate) struct Termination {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Termination {
    /// Takes over both signals from here on.
    pub(crate) fn watch() -> io::Result<Self> {
        Ok(Termination {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Ready when one of them arrives; its name.
    pub(crate) async fn arrived(&mut self) -> &'static str {
        match race(self.terminate.recv(), self.interrupt.recv()).await {
            Either::Left(_) => "SIGTERM",
            Either::Right(_) => "SIGINT",
        }
    }
}

impl Clock for RealRuntime {
    fn time(&self) -> Time {
        self.now()
    }

    fn nap(&self) {
        /// Far less than a write takes.
        const NAP: Duration = Duration::from_micros(100);
        thread::sleep(NAP);
    }
}

/// Gives the storage a thread of its own, which ends when the port is dropped or with a fatal error.
pub(crate) fn spawn_storage<D>(
    storage: Storage<D>,
    end: StorageEnd,
    clock: RealRuntime,
) -> io::Result<JoinHandle<()>>
where
    D: Disk + Send + 'static,
    D::File: Send,
{
    thread::Builder::new().name("storage".to_owned()).spawn(move || run_storage(storage, end, &clock))
}

/// Does what may take long on another thread, while this one goes on.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// The rest after each piece of a file that is given back: some 300 MB/s.
const CLOSER_RESTS: Duration = Duration::from_millis(3);

/// Closes files on a thread of its own, for whoever must not wait for the system.
pub(crate) fn spawn_closer() -> io::Result<impl Fn(File) + Send + Sync> {
    let (sender, files) = std::sync::mpsc::channel();
    thread::Builder::new().name("closer".to_owned()).spawn(move || {
        for file in files {
            give_back(&file, || thread::sleep(CLOSER_RESTS));
        }
    })?;
    // Without the thread it is closed here.
    Ok(move |file| drop(sender.send(file)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// As a look-up of a name goes on when its time is over.
    #[test]
    fn nobody_waits_for_what_goes_on_in_another_thread() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let begun = block_on(async {
            tokio::task::spawn_blocking(move || ended.recv());
            "done"
        });
        assert_eq!(begun.unwrap(), "done");
        drop(end);
    }
}
