//! openraft. Its nodes are tasks that call each other, so the loop is its own: the runtime has one thread, as the other
//! engines have.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::{Stream, StreamExt};
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::entry::RaftEntry;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{EntryResponder, IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    BasicNode, Config, LogState, OptionalSend, Raft, RaftLogReader, RaftNetworkFactory, RaftNetworkV2,
    RaftSnapshotBuilder, SnapshotPolicy,
};

use super::{MOST_ENTRIES, NODES};
use crate::keys::PAYLOAD_BYTES;

/// Shared, as in Quorate's core: a copy of an entry does not copy its content.
#[derive(Clone, Debug)]
pub(super) struct Command(Arc<[u8]>);

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}

openraft::declare_raft_types!(
    pub(super) Types:
        D = Command,
        R = (),
);

/// Entries in a second.
pub(super) fn measure(batch: usize, time: Duration) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(turns(batch, time))
}

async fn turns(batch: usize, time: Duration) -> Result<f64> {
    let config = Config {
        heartbeat_interval: 50,
        election_timeout_min: 500,
        election_timeout_max: 1_000,
        max_payload_entries: 4_096,
        snapshot_policy: SnapshotPolicy::Never,
        ..Config::default()
    };
    let config = Arc::new(config.validate()?);
    let network = Network::default();
    let mut counters = Vec::new();
    for id in 0..NODES as u64 {
        let machine = Machine::default();
        counters.push(Arc::clone(&machine.commands));
        let raft = Raft::new(id, Arc::clone(&config), network.clone(), LogStore::default(), machine).await?;
        network.lock().insert(id, raft);
    }
    let leader = network.raft(0);
    leader
        .initialize((0..NODES as u64).map(|id| (id, BasicNode::default())).collect::<BTreeMap<_, _>>())
        .await?;
    leader.wait(Some(Duration::from_secs(10))).current_leader(0, "the first node leads").await?;

    let payload = [b'x'; PAYLOAD_BYTES];
    let (began, mut done) = (Instant::now(), 0);
    while began.elapsed() < time && done < MOST_ENTRIES {
        let commands: Vec<Command> = (0..batch).map(|_| Command(Arc::from(payload.as_slice()))).collect();
        let mut answers = leader.client_write_many(commands).await?;
        while let Some(answer) = answers.next().await {
            answer??;
        }
        done += batch as u64;
    }
    while counters.iter().any(|commands| commands.load(Ordering::Relaxed) < done) {
        tokio::task::yield_now().await;
    }
    let per_second = done as f64 / began.elapsed().as_secs_f64();
    for id in 0..NODES as u64 {
        network.raft(id).shutdown().await?;
    }
    Ok(per_second)
}

type Node = Raft<Types, Machine>;

/// Calls of one node to another.
#[derive(Clone, Default)]
struct Network {
    nodes: Arc<Mutex<BTreeMap<u64, Node>>>,
}

impl Network {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn raft(&self, id: u64) -> Node {
        self.lock()[&id].clone()
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _: &BasicNode) -> Link {
        Link { network: self.clone(), target }
    }
}

struct Link {
    network: Network,
    target: u64,
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let answer = self.network.raft(self.target).append_entries(request).await;
        answer.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer = self.network.raft(self.target).vote(request).await;
        answer.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
    }

    async fn full_snapshot(
        &mut self,
        _: VoteOf<Types>,
        _: SnapshotOf<Types, ()>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(Unreachable::from_string("no snapshot was taken")))
    }
}

/// What a node remembers: entries, whose place is their index, and its vote.
type Memory = (Vec<EntryOf<Types>>, Option<VoteOf<Types>>);

/// A log in memory.
#[derive(Clone, Default)]
struct LogStore {
    log: Arc<Mutex<Memory>>,
}

impl LogStore {
    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        let bounds = (range.start_bound().map(|&at| at as usize), range.end_bound().map(|&at| at as usize));
        let (entries, _) = &*self.lock();
        let end = match bounds.1 {
            std::ops::Bound::Included(end) => end + 1,
            std::ops::Bound::Excluded(end) => end,
            std::ops::Bound::Unbounded => entries.len(),
        };
        let start = match bounds.0 {
            std::ops::Bound::Included(start) => start,
            std::ops::Bound::Excluded(start) => start + 1,
            std::ops::Bound::Unbounded => 0,
        };
        let end = end.min(entries.len());
        Ok(entries[start.min(end)..end].to_vec())
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        Ok(self.lock().1)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        Ok(LogState { last_purged_log_id: None, last_log_id: self.lock().0.last().map(RaftEntry::log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        self.lock().1 = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.lock().0.extend(entries);
        flushed.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        self.lock().0.truncate(last.map_or(0, |last| last.index as usize + 1));
        Ok(())
    }

    async fn purge(&mut self, _: LogIdOf<Types>) -> Result<(), io::Error> {
        Err(io::Error::other("no snapshot was taken"))
    }
}

/// Counts what is applied.
#[derive(Default)]
struct Machine {
    commands: Arc<AtomicU64>,
    last: Option<LogIdOf<Types>>,
    members: StoredMembershipOf<Types>,
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = NoSnapshots;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        Ok((self.last, self.members.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            self.last = Some(entry.log_id());
            match entry.payload {
                openraft::EntryPayload::Blank => {}
                openraft::EntryPayload::Normal(_) => {
                    self.commands.fetch_add(1, Ordering::Relaxed);
                }
                openraft::EntryPayload::Membership(members) => {
                    self.members = StoredMembershipOf::<Types>::new(self.last, members);
                }
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> NoSnapshots {
        NoSnapshots
    }

    async fn install_snapshot(&mut self, _: &SnapshotMetaOf<Types>, (): ()) -> Result<(), io::Error> {
        Err(io::Error::other("no snapshot was taken"))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, ()>>, io::Error> {
        Ok(None)
    }
}

struct NoSnapshots;

impl RaftSnapshotBuilder<Types> for NoSnapshots {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, ()>, io::Error> {
        Err(io::Error::other("no snapshots are taken"))
    }
}
