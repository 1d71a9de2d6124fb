//! What the answers to `GET /backup` have to do with the storage, and with each other.
//!
//! A backup is read through the storage's queue, a piece at a time, so that writes come first. While it is read its
//! checkpoint is pinned there ([`Pinned`]); an answer that breaks off leaves the pin for a minute, for whoever comes
//! back to go on. At most [`MOST`] are sent at a time, and all of them together keep to one pace.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quorate_node::raft::{Index, Time};
use quorate_storage::Job;
use quorate_storage::backup::{BackupJob, Opened, Origin, Tag, Unopened};
use tokio::sync::mpsc;

use crate::runtime::{Runtime, timeout_at};
use crate::storage_port::StorageLine;

/// How many are sent at a time.
pub(crate) const MOST: usize = 2;

/// How many that broke off stay pinned at a time.
const MOST_LINGERING: usize = 2;

/// How long a reader may take nothing, and how long the checkpoint of one that broke off stays pinned.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How much is read at a time at most, in bytes; less at a slow pace, so that something comes four times a second.
const PIECE_BYTES: std::ops::RangeInclusive<u64> = 4 << 10..=256 << 10;
const PIECES_PER_SECOND: u64 = 4;

/// Spreads bytes over time.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    /// When all that was let through before has had its time.
    free_at: Time,
}

impl Pace {
    /// # Panics
    /// At no bytes a second: nothing would ever pass.
    pub(crate) fn new(bytes_per_second: u64) -> Pace {
        assert!(bytes_per_second > 0, "nothing would ever pass");
        Pace { bytes_per_second, free_at: Time(0) }
    }

    /// From when on so many bytes may pass for which somebody asks at `now`.
    pub(crate) fn turn(&mut self, now: Time, bytes: u64) -> Time {
        let turn = self.free_at.max(now);
        let microseconds = u128::from(bytes) * 1_000_000 / u128::from(self.bytes_per_second);
        self.free_at = turn + Duration::from_micros(u64::try_from(microseconds).unwrap_or(u64::MAX));
        turn
    }
}

/// What all answers share.
#[derive(Debug)]
pub struct Backups {
    line: StorageLine,
    origin: Origin,
    running: AtomicUsize,
    lingering: AtomicUsize,
    pace: Mutex<Pace>,
    piece_bytes: u64,
}

/// The right to send one; another may have it when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Backups>);

/// A checkpoint that stays readable as long as this lives.
pub(crate) struct Pinned {
    line: StorageLine,
    /// What was opened.
    pub(crate) opened: Opened,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Pinned").field(&self.opened).finish()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.line.send(Job::Backup(BackupJob::Close(self.opened.tag)));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backups {
    /// Of the storage at the end of that line.
    pub(crate) fn new(line: StorageLine, origin: Origin, bytes_per_second: u64) -> Arc<Backups> {
        Arc::new(Backups {
            line,
            origin,
            running: AtomicUsize::new(0),
            lingering: AtomicUsize::new(0),
            pace: Mutex::new(Pace::new(bytes_per_second)),
            piece_bytes: (bytes_per_second / PIECES_PER_SECOND)
                .clamp(*PIECE_BYTES.start(), *PIECE_BYTES.end()),
        })
    }

    /// The right to send one; nothing when [`MOST`] have it.
    pub(crate) fn slot(self: &Arc<Self>) -> Option<Slot> {
        take_one(&self.running, MOST).then(|| Slot(Arc::clone(self)))
    }

    /// Opens and pins the newest checkpoint, or that one. Nothing when the storage has ended.
    pub(crate) async fn open(&self, wanted: Option<Tag>) -> Option<Result<Pinned, Unopened>> {
        let (origin, line) = (self.origin, self.line.clone());
        self.line
            .ask(|answer| {
                // The pin is made where it is opened: if nobody waits any more, it is dropped there.
                let pinned = move |opened: Result<Opened, Unopened>| {
                    answer(opened.map(|opened| Pinned { line, opened }));
                };
                Job::Backup(BackupJob::Open { origin, wanted, answer: Box::new(pinned) })
            })
            .await
    }

    /// Opens and pins the newest checkpoint that covers nothing beyond `last`. Nothing when the storage has ended.
    pub(crate) async fn open_up_to(&self, last: Index) -> Option<Result<Pinned, Unopened>> {
        let (origin, line) = (self.origin, self.line.clone());
        self.line
            .ask(|answer| {
                let pinned = move |opened: Result<Opened, Unopened>| {
                    answer(opened.map(|opened| Pinned { line, opened }));
                };
                Job::Backup(BackupJob::OpenUpTo { origin, last, answer: Box::new(pinned) })
            })
            .await
    }

    /// The next piece of a file up to `end`, once it is its turn; nothing when it can't be read.
    pub(crate) async fn piece<R: Runtime>(
        &self,
        runtime: &R,
        tag: Tag,
        offset: u64,
        end: u64,
    ) -> Option<Vec<u8>> {
        let bytes = self.piece_bytes.min(end - offset);
        let turn = self.pace.lock().unwrap_or_else(PoisonError::into_inner).turn(runtime.now(), bytes);
        if turn > runtime.now() {
            runtime.sleep(turn.since(runtime.now())).await;
        }
        self.read(tag, offset, bytes).await
    }

    /// Sends a range of the file to `sink`, until that is done, or the other side is gone or takes nothing for a
    /// minute.
    pub(crate) async fn pump<R: Runtime>(
        self: Arc<Self>,
        runtime: R,
        (_slot, pin): (Slot, Pinned),
        range: Range<u64>,
        sink: mpsc::Sender<Bytes>,
    ) {
        let tag = pin.opened.tag;
        let mut offset = range.start;
        while offset < range.end {
            let Some(piece) = self.piece(&runtime, tag, offset, range.end).await else {
                tracing::warn!(%tag, offset, "a backup breaks off: its checkpoint can't be read there, or had to make room on a full disk");
                return;
            };
            offset += piece.len() as u64;
            match timeout_at(&runtime, runtime.now() + PATIENCE, sink.send(piece.into())).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return self.linger(&runtime, pin),
                Err(_) => {
                    tracing::warn!(%tag, offset, "a backup was given up: its reader took nothing for a minute");
                    return;
                }
            }
        }
    }

    async fn read(&self, tag: Tag, offset: u64, bytes: u64) -> Option<Vec<u8>> {
        let read = |answer| Job::Backup(BackupJob::Read { tag, offset, bytes, answer });
        self.line.ask(read).await.flatten()
    }

    /// Keeps what somebody may come back for.
    fn linger<R: Runtime>(self: Arc<Self>, runtime: &R, pin: Pinned) {
        if take_one(&self.lingering, MOST_LINGERING) {
            let over = runtime.sleep(PATIENCE);
            runtime.spawn(async move {
                over.await;
                drop(pin);
                self.lingering.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

/// Counts one more, if that is not above `most`.
fn take_one(count: &AtomicUsize, most: usize) -> bool {
    let one_more = |count: usize| (count < most).then_some(count + 1);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::atomic::AtomicU64;
    use std::task::{Context, Poll, Waker};

    use quorate_node::kv::Revision;
    use quorate_node::raft::LogId;
    use quorate_node::wire::{ClusterId, HistoryId};

    /// In bytes and virtual time: the tenth of ten pieces of a tenth of a second has its turn after nine of them.
    #[test]
    fn no_more_passes_than_the_pace_allows() {
        let mut pace = Pace::new(1000);
        let start = Time(5_000_000);
        let turns: Vec<u64> = (0..10).map(|_| pace.turn(start, 100).0 - start.0).collect();
        assert_eq!(turns, (0..10).map(|piece| piece * 100_000).collect::<Vec<_>>());
        // Whoever comes later than its turn does not get what was not used.
        let late = start + Duration::from_secs(60);
        assert_eq!((pace.turn(late, 3000), pace.turn(late, 1)), (late, late + Duration::from_secs(3)));
        assert_eq!(Pace::new(1).turn(Time(0), u64::MAX), Time(0));
    }

    const TAG: Tag = Tag([7; 16]);
    const ORIGIN: Origin = Origin { cluster: ClusterId(1), history: HistoryId(2) };

    #[test]
    fn only_so_many_are_sent_at_a_time() {
        let (jobs, _storage) = mpsc::unbounded_channel();
        let backups = Backups::new(StorageLine::new(&jobs), ORIGIN, 1);
        let slots: Vec<_> = (0..MOST).map(|_| backups.slot()).collect();
        assert!(slots.iter().all(Option::is_some) && backups.slot().is_none());
        drop(slots);
        assert!(backups.slot().is_some());
    }

    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Time passes as soon as somebody waits for it; what is spawned waits until the test lets it run.
    #[derive(Clone, Default)]
    struct Hasty {
        now: Arc<AtomicU64>,
        spawned: Arc<Mutex<Vec<Task>>>,
    }

    impl Runtime for Hasty {
        fn now(&self) -> Time {
            Time(self.now.load(Ordering::Relaxed))
        }

        fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
            self.spawned.lock().unwrap().push(Box::pin(future));
        }

        fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
            let (now, microseconds) = (Arc::clone(&self.now), u64::try_from(duration.as_micros()).unwrap());
            async move {
                now.fetch_add(microseconds, Ordering::Relaxed);
            }
        }

        fn random(&self) -> u64 {
            0
        }
    }

    /// A storage with one checkpoint of so many bytes, as far as it is asked for; says how often it was closed.
    fn serve(storage: &mut mpsc::UnboundedReceiver<Vec<Job>>, file_bytes: u64) -> usize {
        let mut closed = 0;
        while let Ok(jobs) = storage.try_recv() {
            for job in jobs {
                match job {
                    Job::Backup(BackupJob::Open { answer, .. }) => answer(Ok(Opened {
                        tag: TAG,
                        file_bytes,
                        revision: Revision(1),
                        last: LogId::new(1, 1),
                    })),
                    Job::Backup(BackupJob::Read { tag: TAG, offset, bytes, answer }) => {
                        let bytes = usize::try_from(bytes.min(file_bytes - offset)).unwrap();
                        answer(Some(vec![0; bytes]));
                    }
                    Job::Backup(BackupJob::Close(TAG)) => closed += 1,
                    _ => panic!("nobody asks for anything else"),
                }
            }
        }
        closed
    }

    /// Runs a future and the storage in turns, until it is done; how often something was closed.
    fn run<T>(
        future: impl Future<Output = T>,
        storage: &mut mpsc::UnboundedReceiver<Vec<Job>>,
    ) -> (T, usize) {
        let (mut future, mut closed) = (pin!(future), 0);
        loop {
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            closed += serve(storage, 10_000_000);
            if let Poll::Ready(done) = polled {
                return (done, closed);
            }
        }
    }

    #[test]
    fn who_takes_nothing_for_a_minute_loses_the_pin_at_once() {
        let (jobs, mut storage) = mpsc::unbounded_channel();
        let (backups, runtime) = (Backups::new(StorageLine::new(&jobs), ORIGIN, u64::MAX), Hasty::default());
        let pin = run(backups.open(None), &mut storage).0.unwrap().unwrap();
        let (sender, mut reader) = mpsc::channel(1);
        let slot = backups.slot().unwrap();
        let pump = Arc::clone(&backups).pump(runtime.clone(), (slot, pin), 0..10_000_000, sender);
        assert_eq!(run(pump, &mut storage).1, 1, "it is closed");
        assert_eq!((runtime.now(), runtime.spawned.lock().unwrap().len()), (Time(60_000_000), 0));
        assert!(reader.try_recv().is_ok() && reader.try_recv().is_err(), "what was made is still there");
        assert_eq!(backups.running.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_broke_off_stays_pinned_for_a_minute_and_only_two_such() {
        let (jobs, mut storage) = mpsc::unbounded_channel();
        let (backups, runtime) = (Backups::new(StorageLine::new(&jobs), ORIGIN, u64::MAX), Hasty::default());
        for closed_at_once in [0, 0, 1] {
            let pin = run(backups.open(None), &mut storage).0.unwrap().unwrap();
            let (sender, reader) = mpsc::channel(1);
            drop(reader);
            let slot = backups.slot().unwrap();
            let pump = Arc::clone(&backups).pump(runtime.clone(), (slot, pin), 0..10_000_000, sender);
            assert_eq!(run(pump, &mut storage).1, closed_at_once);
        }
        let lingering = std::mem::take(&mut *runtime.spawned.lock().unwrap());
        assert_eq!(lingering.len(), 2);
        for one in lingering {
            let before = runtime.now();
            assert_eq!(run(one, &mut storage).1, 1, "closed in the end");
            assert_eq!(runtime.now(), before + PATIENCE);
        }
        assert_eq!(backups.lingering.load(Ordering::Relaxed), 0);
    }

    /// Whoever asked is gone before the answer came: nobody would ever close it.
    #[test]
    fn what_is_opened_for_nobody_is_closed() {
        let (jobs, mut storage) = mpsc::unbounded_channel();
        let backups = Backups::new(StorageLine::new(&jobs), ORIGIN, 1);
        let mut open = Box::pin(backups.open(None));
        assert!(open.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(open);
        assert_eq!(serve(&mut storage, 10), 1, "opened, and closed");
        // A storage that has ended is asked for nothing.
        drop((jobs, storage));
        assert!(pin!(backups.open(None)).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
