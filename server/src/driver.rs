//! The driver: one task that owns the node.
//!
//! The node is sans-IO; this is its host. A *turn* is: take everything that waits (bounded), feed it, then poll outputs
//! until there are none, and perform each. Taking everything at once is what makes the system fast: sixty-four requests
//! that wait become one append, one record batch, one sync and one message a peer.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quorate_node::kv::RunWriter;
use quorate_node::raft::{Done, Time};
use quorate_node::recording::{Recorder, Recording};
use quorate_node::{Checkpoint, Input, Node, Output, View};
use quorate_storage::{Content, Draft, Job};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::answers::Answers;
use crate::handle::{Answer, Ask, Handle};
use crate::inspector::Inspector;
use crate::log_lines;
use crate::metrics::{Figures, Metrics, NodeWatch};
use crate::net::Net;
use crate::peers::{Links, PeerEvent};
use crate::runtime::Runtime;
use crate::storage_port::StoragePort;
use crate::watch;
use crate::watching::Watches;

/// How many inputs of a kind one turn takes, so that no kind starves another.
const TURN: usize = 1024;

/// How many requests may wait for their turn; more are refused as overload.
const WAITING_ASKS: usize = 8192;

/// How often the storage is told to tend its disk.
const PULSE: Duration = Duration::from_millis(500);
const PULSES_PER_SECOND: u64 = 2;

/// A disk that has been busy for so long stands still.
const STANDS_STILL: Duration = Duration::from_millis(250);

/// Why the driver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverEnd {
    /// It was asked to, and the storage finished its work.
    Stopped,
    /// The storage ended by itself: a fatal error, which it has logged. The process must end too. What was pending
    /// is unknown, never failed.
    StorageFailed,
    /// The node can't go on, as it has logged. As with the storage, the process must end.
    NodeFailed,
}

/// Owns the node and runs its turns.
pub(crate) struct Driver<R: Runtime, N: Net> {
    runtime: R,
    node: Node,
    storage: StoragePort,
    events: mpsc::Receiver<PeerEvent>,
    asks: mpsc::Receiver<Ask>,
    links: Links<R, N>,
    answers: Answers,
    view: watch::Sender<Arc<View>>,
    alarm: Alarm,
    taken: Taken,
    /// A look at the node was asked for, to be given at the end of the turn.
    looks: Vec<oneshot::Sender<View>>,
    pulse_at: Time,
    /// The log says that the disk stands still.
    disk_stands_still: bool,
    end: Option<DriverEnd>,
    inspector: Option<Box<dyn Inspector>>,
    recorder: Option<Recorder>,
    /// What is remembered was asked for, to be given at the end of the turn.
    recordings: Vec<oneshot::Sender<Option<Recording>>>,
    /// How the node stands in figures was asked for, likewise.
    figures: Vec<oneshot::Sender<Figures>>,
    observer: NodeWatch,
    watches: Arc<Watches>,
}

/// What one turn took. The vectors are kept, for their memory.
#[derive(Default)]
struct Taken {
    dones: Vec<Vec<Done>>,
    events: Vec<PeerEvent>,
    asks: Vec<Ask>,
}

impl<R: Runtime, N: Net> Driver<R, N> {
    /// A driver that has yet to run, and the line to it.
    pub(crate) fn new(
        runtime: R,
        node: Node,
        storage: StoragePort,
        events: mpsc::Receiver<PeerEvent>,
        links: Links<R, N>,
        (inspector, recorder): (Option<Box<dyn Inspector>>, Option<Recorder>),
        (metrics, watches): (Arc<Metrics>, Arc<Watches>),
    ) -> (Self, Handle) {
        let (ask_sender, asks) = mpsc::channel(WAITING_ASKS);
        let view = watch::Sender::new(Arc::new(node.view()));
        let handle = Handle::new(ask_sender, view.subscribe());
        let driver = Driver {
            runtime,
            node,
            storage,
            events,
            asks,
            links,
            answers: Answers::default(),
            view,
            alarm: Alarm::default(),
            taken: Taken::default(),
            looks: Vec::new(),
            pulse_at: Time(0),
            disk_stands_still: false,
            end: None,
            inspector,
            recorder,
            recordings: Vec::new(),
            figures: Vec::new(),
            observer: NodeWatch::new(metrics),
            watches,
        };
        (driver, handle)
    }

    /// Runs until it is told to stop or the storage ends.
    pub(crate) async fn run(mut self) -> DriverEnd {
        self.links.follow(&self.node.view().members);
        self.perform(self.runtime.now());
        loop {
            match self.end {
                Some(DriverEnd::Stopped) => break,
                Some(end) => return end,
                None => {}
            }
            self.set_alarm();
            if !self.take().await {
                return DriverEnd::StorageFailed;
            }
            self.turn();
        }
        self.finish_storage().await;
        DriverEnd::Stopped
    }

    /// Waits for something to do and takes all there is; false when the storage has ended.
    async fn take(&mut self) -> bool {
        poll_fn(|context| {
            let dones = self.storage.dones.poll_recv_many(context, &mut self.taken.dones, TURN);
            if dones == Poll::Ready(0) {
                return Poll::Ready(false);
            }
            // Neither of these two can be closed: the links hold a sender of events, this driver's context a handle.
            let events = self.events.poll_recv_many(context, &mut self.taken.events, TURN);
            let asks = self.asks.poll_recv_many(context, &mut self.taken.asks, TURN);
            let alarm = self.alarm.poll(context);
            if dones.is_ready() || events.is_ready() || asks.is_ready() || alarm.is_ready() {
                return Poll::Ready(true);
            }
            Poll::Pending
        })
        .await
    }

    fn turn(&mut self) {
        let now = self.runtime.now();
        let mut taken = std::mem::take(&mut self.taken);
        for done in taken.dones.drain(..).flatten() {
            self.feed(now, Input::Done(done));
        }
        for event in taken.events.drain(..) {
            self.hear(now, event);
        }
        for ask in taken.asks.drain(..) {
            self.ask(now, ask);
        }
        self.taken = taken;
        if self.node.deadline().is_some_and(|deadline| deadline <= now) {
            self.feed(now, Input::Timeout);
        }
        self.pulse(now);
        self.perform(now);
        // After the outputs: a reply that came just in time counts. So does one that says that nothing was done.
        let overdue = self.answers.overdue(now);
        for id in &overdue {
            self.feed(now, Input::Cancel(*id));
        }
        self.perform(now);
        for id in overdue {
            self.answers.give(id, Answer::DeadlinePassed);
        }
        self.give_looks();
        self.watches.publish(self.node.kv());
        self.observer.turn_ended(now, self.runtime.now());
    }

    /// What the storage can't do by itself, for want of a clock.
    fn pulse(&mut self, now: Time) {
        if now < self.pulse_at {
            return;
        }
        self.pulse_at = now + PULSE;
        let StoragePort { jobs, health, scrub_bytes_per_second, .. } = &self.storage;
        if health.ask_to_tend() {
            // If the storage has ended, the next `take` finds out.
            let _ = jobs.send(vec![Job::Tend { scrub_bytes: scrub_bytes_per_second / PULSES_PER_SECOND }]);
        }
        let still = health.under_way(now).is_some_and(|age| age >= STANDS_STILL);
        if still != self.disk_stands_still {
            self.disk_stands_still = still;
            log_lines::disk_stands_still(&health.describe(now), still);
        }
    }

    fn feed(&mut self, now: Time, input: Input) {
        if let Some(inspector) = &mut self.inspector {
            inspector.input(&input);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.input(now, &input);
        }
        self.observer.input(now, &input);
        self.node.handle(now, input);
    }

    fn hear(&mut self, now: Time, event: PeerEvent) {
        match event {
            PeerEvent::Message(envelope, _room) => self.feed(now, Input::Message(envelope)),
            PeerEvent::Unreachable(id) => self.feed(now, Input::Unreachable(id)),
            PeerEvent::Connected { peer, replies } => self.links.connected(peer, replies),
        }
    }

    fn ask(&mut self, now: Time, ask: Ask) {
        match ask {
            Ask::Request { request, deadline, answer } => {
                let id = self.answers.expect(deadline, answer);
                self.feed(now, Input::Request { id, request });
            }
            Ask::Status(look) => self.looks.push(look),
            Ask::Recording(wanted) => self.recordings.push(wanted),
            Ask::Figures(wanted) => self.figures.push(wanted),
            Ask::Stop => self.end = Some(DriverEnd::Stopped),
        }
    }

    /// Polls the node until it has nothing more, and performs what it wants.
    fn perform(&mut self, now: Time) {
        let mut jobs = Vec::new();
        let mut changed = false;
        while let Some(output) = self.poll() {
            self.observer.output(now, &output, &self.node);
            if let Some(inspector) = &mut self.inspector {
                inspector.output(&output);
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.output(&output);
            }
            match output {
                Output::Send(envelope) => self.links.send(envelope),
                Output::Job(job) => jobs.push(Job::Core(job)),
                Output::Checkpoint(checkpoint) => jobs.push(checkpoint_job(*checkpoint)),
                Output::Reply { id, reply } => self.answers.give(id, Answer::Reply(reply)),
                Output::Changed => changed = true,
                Output::Event(event) => log_lines::event(&event),
                Output::Failed(reason) => {
                    error!(reason, "this node can't go on");
                    self.end = Some(DriverEnd::NodeFailed);
                }
            }
        }
        if !jobs.is_empty() {
            // If the storage has ended, the next `take` finds out.
            let _ = self.storage.jobs.send(jobs);
        }
        self.observer.turned(now, &self.node);
        if let Some(inspector) = &mut self.inspector {
            inspector.turned(&mut self.node);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.turned(&self.node);
        }
        if changed {
            let view = Arc::new(self.node.view());
            self.links.follow(&view.members);
            self.view.replace(view);
        }
    }

    /// Polls the node, and measures it when it applies something.
    fn poll(&mut self) -> Option<Output> {
        let applied = self.node.raft().applied().index;
        if self.node.raft().committed() <= applied {
            return self.node.poll();
        }
        let began = self.runtime.now();
        let output = self.node.poll();
        if self.node.raft().applied().index > applied {
            self.observer.applied(began, self.runtime.now());
        }
        output
    }

    fn give_looks(&mut self) {
        if !self.looks.is_empty() {
            let view = self.node.view();
            for look in self.looks.drain(..) {
                let _ = look.send(view.clone());
            }
        }
        for wanted in self.recordings.drain(..).filter(|wanted| !wanted.is_closed()) {
            let recording = self.recorder.as_ref().and_then(|recorder| recorder.recording(&self.node));
            let _ = wanted.send(recording);
        }
        for wanted in std::mem::take(&mut self.figures) {
            let _ = wanted.send(self.figures_now());
        }
    }

    fn figures_now(&self) -> Figures {
        let kv = self.node.kv();
        let (counted, other) = kv.history_bytes();
        Figures {
            view: self.node.view(),
            leases: kv.leases(),
            live_bytes: kv.live_bytes(),
            history_bytes: counted + other,
            oldest_revision: kv.oldest_revision().0,
            answers: kv.answers(),
            waiting: self.answers.count(),
            proposals: self.node.proposals(),
            recorder_bytes: self.recorder.as_ref().map_or(0, Recorder::bytes),
        }
    }

    fn set_alarm(&mut self) {
        let wanted =
            [self.node.deadline(), self.answers.deadline(), Some(self.pulse_at)].into_iter().flatten().min();
        if let Some(wanted) = wanted {
            self.alarm.set(&self.runtime, wanted);
        }
    }

    /// Lets the storage finish. What is still pending is abandoned by dropping it, which its callers read as unknown.
    async fn finish_storage(self) {
        let StoragePort { jobs, mut dones, .. } = self.storage;
        drop(jobs);
        while dones.recv().await.is_some() {}
    }
}

/// What a node calls a checkpoint storage calls a draft of one.
pub fn checkpoint_job(checkpoint: Checkpoint) -> Job {
    let Checkpoint { last, members, members_at, base, tail_bytes, totals, rows } = checkpoint;
    let rows = Content::in_parts(rows, RunWriter::let_go);
    Job::Checkpoint(Draft { last, members, members_at, base, tail_bytes, totals, rows })
}

/// One timer, moved as rarely as possible: deadlines mostly move *later* (each heartbeat moves the election timeout),
/// and ringing early is harmless, so it is only set anew for an earlier one.
#[derive(Default)]
struct Alarm {
    armed: Option<Armed>,
}

struct Armed {
    rings_at: Time,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Alarm {
    fn set(&mut self, runtime: &impl Runtime, wanted: Time) {
        if self.armed.as_ref().is_none_or(|armed| wanted < armed.rings_at) {
            let sleep = Box::pin(runtime.sleep(wanted.since(runtime.now())));
            self.armed = Some(Armed { rings_at: wanted, sleep });
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.armed {
            None => Poll::Pending,
            Some(armed) => armed.sleep.as_mut().poll(context).map(|()| self.armed = None),
        }
    }
}
