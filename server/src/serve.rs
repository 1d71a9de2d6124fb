//! A node's life: from a data dir to a running server, and to its end.
//!
//! | the data dir | `--bootstrap` | `--join` | neither | both |
//! |---|---|---|---|---|
//! | holds a member | serves | serves | serves | serves |
//! | holds no member yet | founds, serves | joins, serves | says which to use | refuses |
//! | holds one whose checkpoints are damaged | mends them | mends them, may ask that URL | mends them | mends them |
//! | holds one that has lost its state | comes back | comes back, may ask that URL | comes back | comes back |
//!
//! Nothing is written before everything that could be refused was looked at, sockets included.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate_client::Address;
use quorate_client::tls::TlsFileError;
use quorate_node::raft::{Cleanup, Config, Contact, LogId, NodeId, OpenError};
use quorate_node::wire::{ClusterId, HistoryId};
use quorate_node::{NodeConfig, kv};
use quorate_storage::data_dir::{self, DataDir, DataDirError};
use quorate_storage::{FileDisk, Storage};
use tracing::{info, warn};

use crate::comeback::{self, ComebackError, Former};
use crate::compare::{Divergence, differing_rows};
use crate::config::{OpenPortError, ServeConfig};
use crate::context::{Identity, Limits};
use crate::driver::DriverEnd;
use crate::founding::{Pairs, first_entries, write_first};
use crate::http::{Reception, WaitsFor, serve_joining};
use crate::join::{JoinRefused, Joined, join, own_token, own_token_if_any};
use crate::log_lines;
use crate::metrics::{Machine, Metrics};
use crate::net::Listener;
use crate::open_files::room_for;
use crate::opening::{lender, open_member, open_storage, storage_options, take_dir};
use crate::peers::{Inbound, Local};
use crate::real::{
    RealNet, RealRuntime, Termination, at_each_hangup, block_on, wall_clock_seconds, when_free,
};
use crate::runtime::{Either, Runtime, race, random_id, timeout_at};
use crate::server::{Parts, Server};
use crate::shutdown::Shutdown;
use crate::supervisor;
use crate::telemetry::Telemetry;
use crate::tls::{Keyring, TlsListener, TlsNet};
use crate::tokens::{Credentials, Guard, TokenFileError};

/// The first content, in the seed's format.
const DATA_JSON: &str = "data.json";

/// The network of a process: TCP, with TLS as far as there are keys.
pub(crate) type ServeNet = TlsNet<RealRuntime, RealNet>;

/// Where its connections arrive.
pub(crate) type ServeListener = TlsListener<RealRuntime, RealNet>;

/// How long a node that has diverged may take to find out in what.
const DIFFING: Duration = Duration::from_secs(60);

/// What it is called once it is in the log.
const IMPORTED: &str = "data.json.imported";

/// Why a node could not be served, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data dir can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// There is no member in the data dir, and nobody said where it should come from.
    #[error(
        "the data dir {0} holds no node: give --bootstrap to found a new cluster, or --join URL to join the one of \
         the node at that URL"
    )]
    NeitherFoundedNorJoined(String),
    /// There is no member in the data dir, and two things were said.
    #[error("--bootstrap founds a new cluster and --join enters another one: give only one of them")]
    BootstrapAndJoin,
    /// A joiner has nothing to bring along.
    #[error(
        "{0} would be lost: a node that joins takes over the cluster's content; move the file away, or import it into \
         the cluster with `quorate import`"
    )]
    JoinWithDataJson(String),
    /// `quorate bootstrap` is for once.
    #[error("the data dir {0} holds node {1} already: it was founded or has joined before")]
    AlreadyFounded(String, NodeId),
    /// The first content can't be taken.
    #[error("{path}: {reason}; nothing was written: mend the file, or move it away")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of tokens can't be used.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// The cluster does not take the node in, and never will.
    #[error(transparent)]
    Join(#[from] JoinRefused),
    /// A port would let anybody in.
    #[error(transparent)]
    Open(#[from] OpenPortError),
    /// The files of TLS can't be used.
    #[error(transparent)]
    Tls(#[from] TlsFileError),
    /// A socket can't be had.
    #[error(
        "can't listen for {what} at {address}: {source}; stop what uses the address, or give another with --{flag}"
    )]
    Listen {
        /// HTTP or peers.
        what: &'static str,
        /// The address.
        address: Address,
        /// The setting that names it.
        flag: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The node's files can't be read.
    #[error("the data dir can't be opened: {0}")]
    Storage(#[from] quorate_storage::OpenError),
    /// The node has lost what it must not forget, and can't come back by itself.
    #[error(transparent)]
    Comeback(#[from] ComebackError),
    /// The disk failed while the cluster was founded.
    #[error(transparent)]
    Disk(#[from] quorate_storage::Fatal),
    /// The node's state is not that of its cluster.
    #[error(
        "the state in {} is not that of the other members, so this node does not serve it: {what}. Keep the data dir for \
         a report; the node may join again with an empty one (--join). Whoever knows better removes {}",
        dir.display(),
        dir.join("diverged.txt").display()
    )]
    Diverged {
        /// The data dir.
        dir: PathBuf,
        /// Where it differs.
        what: String,
    },
    /// What the files say makes no sense.
    #[error("the data dir can't be opened: {0}")]
    Node(#[from] OpenError),
    /// The process can't be set up.
    #[error("the process can't be set up: {0}")]
    Process(io::Error),
    /// The node ended by itself.
    #[error("the node had to stop, as the log says: start it again once the cause is gone")]
    Failed,
}

impl ServeError {
    /// The exit code that the contract has for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            ServeError::BootstrapAndJoin => 2,
            ServeError::AlreadyFounded(..) => 4,
            ServeError::Listen { .. }
            | ServeError::Disk(_)
            | ServeError::Process(_)
            | ServeError::Failed
            | ServeError::Storage(
                quorate_storage::OpenError::Disk(_) | quorate_storage::OpenError::Unread { .. },
            ) => 1,
            _ => 78,
        }
    }
}

/// Runs a node until it is told to end by SIGTERM or SIGINT, or has to.
pub fn run(config: ServeConfig) -> Result<(), ServeError> {
    block_on(serve(config)).map_err(ServeError::Process)?
}

/// Founds a cluster of one node offline.
pub fn bootstrap(config: &ServeConfig) -> Result<(), ServeError> {
    let mut dir = when_free(|| DataDir::open(&config.data_dir))?;
    if let Some(Identity { node, .. }) = member(&dir) {
        return Err(ServeError::AlreadyFounded(config.data_dir.display().to_string(), node));
    }
    let content = first_content(config, &dir)?;
    let contact = contact(config, config.listen.port(), config.raft_listen.port());
    found(config, &RealRuntime::start(), &mut dir, contact, content).map(drop)
}

async fn serve(config: ServeConfig) -> Result<(), ServeError> {
    let mut termination = Termination::watch().map_err(ServeError::Process)?;
    let open = config.refuse_open()?;
    if !open.is_empty() {
        let ports = open.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        warn!(ports, "--insecure was given: whoever reaches these ports may do everything");
    }
    let runtime = RealRuntime::start();
    let (mut dir, loss) = take_dir(&config)?;
    let origin = origin(&config, &dir, loss)?;
    let (guard, credentials) = load_tokens(&config)?;
    let net = network(&config, runtime, guard.as_ref(), Arc::new(credentials))?;
    let http = net.listen_http(&config.listen.to_string()).await;
    let http = http.map_err(|error| no_socket("HTTP", &config.listen, "listen", error))?;
    let peers = net.listen_peers(&config.raft_listen.to_string()).await;
    let peers = peers.map_err(|error| no_socket("peers", &config.raft_listen, "raft-listen", error))?;
    let place = (&runtime, &net);
    let http = Reception { listener: http, guard };
    supervisor::starting();
    let server =
        match race(termination.arrived(), start(&config, place, &mut dir, origin, (http, peers))).await {
            Either::Left(signal) => {
                info!(signal, "ends before it has begun");
                return Ok(());
            }
            Either::Right(server) => server?,
        };
    supervisor::ready();
    let ended = match race(server.ended(), termination.arrived()).await {
        Either::Left(_) => Err(ServeError::Failed),
        Either::Right(signal) => {
            info!(signal, "ends");
            supervisor::stopping();
            match race(server.stop(), termination.arrived()).await {
                Either::Left(DriverEnd::Stopped) => Ok(()),
                Either::Left(_) => Err(ServeError::Failed),
                Either::Right(signal) => {
                    info!(signal, "ends at once");
                    Ok(())
                }
            }
        }
    };
    match server.divergence() {
        None => ended,
        Some(divergence) => Err(explain(&dir, &server, divergence, termination.arrived()).await?),
    }
}

/// Who is asked for tokens, if anybody is, and the token of this node itself.
pub(crate) fn load_tokens(config: &ServeConfig) -> Result<(Option<Arc<Guard>>, Credentials), ServeError> {
    let guard = config.tokens.as_deref().map(|path| {
        // Not from the runtime, whose randomness a simulation foretells.
        Guard::load(path, config.probes_need_token, rand::random())
    });
    let guard = guard.transpose()?.map(Arc::new);
    Ok((guard, Credentials::load(config.node_token_file.as_deref())?))
}

/// The network, with the keys that the files hold now, and will hold when somebody says SIGHUP; the tokens change with
/// them.
fn network(
    config: &ServeConfig,
    runtime: RealRuntime,
    guard: Option<&Arc<Guard>>,
    credentials: Arc<Credentials>,
) -> Result<ServeNet, ServeError> {
    let keyring = Arc::new(Keyring::load(config, wall_clock_seconds())?);
    // Also where there is nothing to read again: a signal that nobody expects ends the process.
    let (keys, tokens, own) = (Arc::clone(&keyring), guard.cloned(), Arc::clone(&credentials));
    let read_again = move || {
        if !keys.is_empty() {
            keys.reload(wall_clock_seconds());
        }
        if let Some(tokens) = &tokens {
            tokens.reload();
        }
        own.reload();
    };
    let reload = move || supervisor::while_reloading(&read_again);
    at_each_hangup(reload).map_err(ServeError::Process)?;
    runtime.spawn(Arc::clone(&keyring).warn_daily(runtime, wall_clock_seconds));
    let shows_certificate = config.tls.http.is_some() && config.tls.peers.is_some();
    if guard.is_some() && !shows_certificate && config.node_token_file.is_none() {
        warn!(
            "clients need a token, and nodes can't show each other a certificate over HTTP: without --node-token-file, with \
             a token of the role admin, this node can't join others, nor mend its checkpoints with theirs"
        );
    }
    Ok(TlsNet::new(runtime, RealNet, keyring, credentials))
}

/// Remembers that the node has diverged, finds out in what, and remembers that, too.
async fn explain(
    dir: &DataDir,
    server: &Server<RealRuntime, ServeNet>,
    divergence: Divergence,
    told_to_end: impl Future<Output = &'static str>,
) -> Result<ServeError, ServeError> {
    let Divergence { slot, peer, .. } = &divergence;
    let since = format!("compared after {slot} with {peer} and a majority");
    dir.mark_diverged(&since)?;
    let runtime = server.context.runtime;
    let place = (dir.path(), server.context.identity);
    let rows = differing_rows((&runtime, &server.context.net), place, *slot, peer);
    let rows = timeout_at(&runtime, runtime.now() + DIFFING, rows);
    let rows = match race(rows, told_to_end).await {
        Either::Left(Ok(Ok(rows))) => rows,
        Either::Left(Ok(Err(reason))) => format!("which rows differ could not be found out: {reason}"),
        Either::Left(Err(_)) | Either::Right(_) => {
            "which rows differ could not be found out in time".to_owned()
        }
    };
    let what = format!("{since}; {rows}");
    dir.mark_diverged(&what)?;
    Ok(ServeError::Diverged { dir: dir.path().to_owned(), what })
}

/// Where the node comes from.
pub(crate) enum Origin {
    /// It is a member already.
    Member(Identity),
    /// It founds a cluster with this content.
    Founds(Pairs),
    /// It joins one.
    Joins,
    /// It was a member, and has lost what it must not forget.
    ComesBack(Former),
}

/// Decides by the table above.
fn origin(config: &ServeConfig, dir: &DataDir, loss: Option<String>) -> Result<Origin, ServeError> {
    match (member(dir), loss) {
        (Some(identity), Some(loss)) => {
            let former = Former::find(dir, identity, loss, &config.join);
            former.demand_others(dir)?;
            return Ok(Origin::ComesBack(former));
        }
        (Some(identity), None) => return Ok(Origin::Member(identity)),
        (None, _) => {}
    }
    match (config.bootstrap, !config.join.is_empty()) {
        (false, false) => Err(ServeError::NeitherFoundedNorJoined(config.data_dir.display().to_string())),
        (true, true) => Err(ServeError::BootstrapAndJoin),
        (true, false) => Ok(Origin::Founds(first_content(config, dir)?)),
        (false, true) if dir.data_json()?.is_some() => {
            Err(ServeError::JoinWithDataJson(dir.path().join(DATA_JSON).display().to_string()))
        }
        (false, true) => Ok(Origin::Joins),
    }
}

/// The member that the data dir holds. An id without a cluster is none yet: a founding or a joining was interrupted.
fn member(dir: &DataDir) -> Option<Identity> {
    let identity = dir.identity()?;
    Some(Identity { node: identity.node, cluster: identity.cluster?, history: identity.history? })
}

async fn start(
    config: &ServeConfig,
    (runtime, net): (&RealRuntime, &ServeNet),
    dir: &mut DataDir,
    origin: Origin,
    (mut http, peers): (Reception<ServeListener>, ServeListener),
) -> Result<Server<RealRuntime, ServeNet>, ServeError> {
    let port = |listener: &ServeListener| listener.local_address().map(|address| address.port());
    let http_port = port(&http.listener).map_err(ServeError::Process)?;
    let contact = contact(config, http_port, port(&peers).map_err(ServeError::Process)?);
    let machine = Machine::new(dir.path(), Arc::clone(net.keyring()));
    let (origin, opened) =
        open_member(config, (dir, &machine.disk), (runtime, net), origin, &mut http).await?;
    let (identity, inbound) = match origin {
        Origin::Member(identity) => (identity, inbound(runtime, peers, Local::member(identity))),
        Origin::Founds(content) => {
            let identity = found(config, runtime, dir, contact.clone(), content)?;
            (identity, inbound(runtime, peers, Local::member(identity)))
        }
        Origin::Joins => {
            let token = own_token(config)?;
            let node = node_id(runtime, dir)?;
            // The leader calls back before it takes anybody in.
            let inbound = inbound(runtime, peers, Local::joining(node));
            let joined = join(runtime, net, &config.join, (node, &contact), token.as_ref());
            let Joined { cluster, history } =
                answering(runtime, &mut http, joined, WaitsFor::Cluster).await?;
            (Identity { node, cluster, history }, inbound)
        }
        Origin::ComesBack(former) => {
            come_back((runtime, net), dir, &former, (&mut http, peers), (config, &contact)).await?
        }
    };
    let (storage, found) = match opened {
        Some(opened) => opened,
        None => open_storage(config, (dir, &machine.disk), runtime)?,
    };
    if dir.successor().is_some() {
        dir.succeed()?;
    } else if member(dir).is_none() {
        // Only now: a data dir that names its cluster and has no term and vote has lost them.
        settle(dir, identity)?;
    }
    info!(
        node = %identity.node, cluster = %identity.cluster, history = %identity.history, url = contact.url,
        peers = contact.address, last = %found.terms.last(), "serves"
    );
    log_lines::found(&found);
    let parts = Parts {
        config: node_config(config, identity, runtime.random()),
        runtime: *runtime,
        net: net.clone(),
        storage,
        found,
        identity,
        contact,
        limits: limits(config),
        inbound,
        http: http.listener,
        guard: http.guard,
        joins_are_open: config.joins_are_open(),
        inspector: None,
        metrics: Metrics::on(machine),
        telemetry: Telemetry::start(config, identity, (runtime, net)),
    };
    if parts.joins_are_open {
        info!("no token is asked for, on loopback alone: any process on this machine may join a node");
    }
    Ok(Server::start(parts)?)
}

/// The bounds on what is taken in. Connections are as many as there may be open files for.
fn limits(config: &ServeConfig) -> Limits {
    let connections = room_for(config.max_connections);
    Limits {
        value_bytes: config.max_value_bytes,
        request_bytes: config.max_request_bytes,
        pending_bytes: config.max_pending_bytes,
        connections,
        // Some are left for those who watch nothing: probes, other nodes, whoever wants to know what is wrong.
        watchers: config.max_watchers.min(connections - connections / 5),
        txn_operations: config.max_txn_operations,
        backup_bytes_per_second: config.backup_bytes_per_second,
        flight_recorder_bytes: config.flight_recorder_bytes,
    }
}

fn node_config(config: &ServeConfig, identity: Identity, seed: u64) -> NodeConfig {
    let raft = Config {
        election_timeout: config.election_timeout,
        heartbeat_interval: config.heartbeat_interval,
        snapshot_bytes_per_second: config.snapshot_bytes_per_second,
        cleanup: config
            .remove_dead_voters_after
            .map(|after| Cleanup { after, least_voters: config.min_voters }),
        ..Config::new(identity.node, seed)
    };
    NodeConfig {
        raft,
        checkpoint_entries: config.snapshot_entries,
        checkpoint_bytes: NodeConfig::CHECKPOINT_BYTES,
        pending_requests: config.max_pending_requests,
        settings: kv::Settings {
            history_revisions: config.history_revisions,
            history_bytes: config.history_bytes,
            answers: config.idempotency_keys,
            answer_bytes: config.idempotency_bytes,
        },
    }
}

/// The steps of [`crate::comeback`].
async fn come_back(
    (runtime, net): (&RealRuntime, &ServeNet),
    dir: &mut DataDir,
    former: &Former,
    (http, peers): (&mut Reception<ServeListener>, ServeListener),
    (config, contact): (&ServeConfig, &Contact),
) -> Result<(Identity, Inbound), ServeError> {
    let waits = WaitsFor::Successor(lender(dir, former));
    comeback::announce(former, dir.path());
    answering(runtime, http, former.find_leader(runtime, net), waits.clone()).await?;
    let node = match dir.successor() {
        Some(node) => node,
        None => NodeId(random_id(runtime)),
    };
    dir.begin_succession(node)?;
    let identity = Identity { node, ..former.identity };
    let token = own_token_if_any(config);
    // It belongs to one history of one cluster already, so no other can take it in.
    let inbound = inbound(runtime, peers, Local::member(identity));
    answering(runtime, http, former.ask(runtime, net, (node, contact), token.as_ref()), waits).await?;
    let place = dir.set_former_aside()?;
    info!(place = %place.display(), "what the former node left was set aside");
    Ok((identity, inbound))
}

/// Answers HTTP while `joined` is waited for, so that nobody hangs who asks.
pub(crate) async fn answering<T>(
    runtime: &RealRuntime,
    http: &mut Reception<ServeListener>,
    joined: impl Future<Output = T>,
    waits: WaitsFor,
) -> T {
    let over = Shutdown::default();
    let joined = match race(joined, serve_joining(runtime, http, &over, &waits)).await {
        Either::Left(joined) => joined,
        Either::Right(never) => match never {},
    };
    over.begin();
    joined
}

fn inbound(runtime: &RealRuntime, peers: ServeListener, local: Local) -> Inbound {
    Inbound::start::<_, ServeNet>(runtime, peers, local)
}

fn no_socket(what: &'static str, address: &Address, flag: &'static str, source: io::Error) -> ServeError {
    ServeError::Listen { what, address: address.clone(), flag, source }
}

/// What others are told.
fn contact(config: &ServeConfig, http_port: u16, raft_port: u16) -> Contact {
    Contact {
        address: config.advertised_raft(raft_port).to_string(),
        url: config.advertised_url(http_port).to_string(),
        name: config.name.clone().unwrap_or_default(),
    }
}

/// The node's id, durable. An attempt that was interrupted has left one.
fn node_id(runtime: &RealRuntime, dir: &mut DataDir) -> Result<NodeId, DataDirError> {
    if let Some(identity) = dir.identity() {
        return Ok(identity.node);
    }
    let node = NodeId(random_id(runtime));
    dir.identify(data_dir::Identity { node, cluster: None, history: None })?;
    Ok(node)
}

/// From here on the data dir holds a member.
fn settle(dir: &mut DataDir, identity: Identity) -> Result<(), DataDirError> {
    let Identity { node, cluster, history } = identity;
    dir.identify(data_dir::Identity { node, cluster: Some(cluster), history: Some(history) })
}

/// The content of `data.json`, if there is one: all of it, or none. An attempt that was interrupted may have put it
/// aside; in a dir without a member there is no other way for it to be there.
fn first_content(config: &ServeConfig, dir: &DataDir) -> Result<Pairs, ServeError> {
    let unusable =
        |path: &Path, reason: String| ServeError::Content { path: path.display().to_string(), reason };
    for name in [DATA_JSON, IMPORTED] {
        let path = dir.path().join(name);
        match std::fs::read(&path) {
            Ok(bytes) => {
                return crate::http::parse_import(&bytes, config.max_value_bytes)
                    .map_err(|error| unusable(&path, error.to_string()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(&path, error.to_string())),
        }
    }
    Ok(Pairs::new())
}

/// Founds a cluster; the steps are those of [`crate::founding`].
fn found(
    config: &ServeConfig,
    runtime: &RealRuntime,
    dir: &mut DataDir,
    contact: Contact,
    content: Pairs,
) -> Result<Identity, ServeError> {
    let node = node_id(runtime, dir)?;
    let entries = first_entries(node, contact, content)
        .map_err(|error| ServeError::Content { path: DATA_JSON.to_owned(), reason: error.to_string() })?;
    let (mut storage, found) = Storage::open(FileDisk::new(dir.path()), storage_options(config, runtime))?;
    write_first(&mut storage, found.terms.last() == LogId::ZERO, entries)?;
    drop(storage);
    dir.retire_data_json()?;
    let cluster = ClusterId(random_id(runtime));
    let history = HistoryId(random_id(runtime));
    let identity = Identity { node, cluster, history };
    settle(dir, identity)?;
    info!(%node, %cluster, "founded a cluster");
    Ok(identity)
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
