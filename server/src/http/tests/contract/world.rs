//! What stands for the `{…}` of the rows: the cluster at hand.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Method;
use quorate_node::kv;
use quorate_node::raft::NodeId;
use quorate_node::wire::ClusterId;

use super::rows::Row;
use super::trouble::Trouble;
use crate::context::{Identity, Limits};
use crate::http::tests::cluster::{Answer, CLUSTER, Cluster, HISTORY, LIMITS, Settings, listen, soon};
use crate::peers::{Inbound, Local};
use crate::real::{RealNet, RealRuntime};
use crate::runtime::Runtime;
use crate::tokens::{Entry, Guard, JoinToken, Role, Token};

/// Small, so that what is above them is small too.
const SMALL: Limits = Limits { value_bytes: 1_000, request_bytes: 2_000, ..LIMITS };

/// Whoever has a token.
struct Holder {
    id: u8,
    role: Role,
    prefix: &'static str,
}

const READER: Holder = Holder { id: 1, role: Role::Read, prefix: "team/" };
const WRITER: Holder = Holder { id: 2, role: Role::Write, prefix: "team/" };
const ADMIN: Holder = Holder { id: 3, role: Role::Admin, prefix: "" };

impl Holder {
    fn token(&self) -> Token {
        Token::new([self.id; 8], [self.id; 32])
    }

    fn entry(&self) -> Entry {
        let (token, prefixes) = (self.token(), vec![self.prefix.to_owned()]);
        let hash = token.hashed([self.id; 16]);
        let name = self.role.name().to_owned();
        Entry { id: token.id, name, role: self.role, prefixes, rate: None, hash }
    }
}

/// Knows these, and asks for them everywhere.
fn guard() -> Guard {
    let entries = [READER, WRITER, ADMIN].map(|holder| holder.entry()).to_vec();
    Guard::of(Path::new("none"), entries, true, [7; 32])
}

/// A cluster, and the node of it that is asked.
pub(super) struct World {
    cluster: Cluster,
    at: usize,
    /// Each placeholder, and what stands for it.
    names: Vec<(&'static str, String)>,
    trouble: Option<Trouble>,
    /// Answers peers as a node does that is new to the cluster. It does nothing else.
    _newcomer: Inbound,
}

const NEWCOMER: NodeId = NodeId(0x9b);

impl World {
    /// A cluster in which all is well, and its leader or a follower.
    pub(super) async fn sound(leads: bool) -> World {
        let cluster = Cluster::start_with(3, Settings { limits: SMALL, ..Settings::default() }).await;
        World::of(cluster, leads, None).await
    }

    /// A cluster that has a trouble.
    pub(super) async fn troubled(trouble: Trouble, leads: bool) -> World {
        let mut settings = Settings { limits: SMALL, ..Settings::default() };
        // A cluster a role, of which there are few.
        let (stands_still, is_full): (&'static AtomicBool, &'static AtomicBool) =
            (Box::leak(Box::default()), Box::leak(Box::default()));
        match trouble {
            Trouble::NoPast => settings.store = kv::Settings { history_revisions: 2, ..settings.store },
            Trouble::NoRoom => settings.is_full = Some(is_full),
            Trouble::NoNames => settings.store = kv::Settings { answers: 0, ..settings.store },
            Trouble::NoMemory => settings.limits.pending_bytes = 1,
            Trouble::Busy => settings.pending_requests = 0,
            Trouble::Stuck => {
                settings.stands_still = Some(stands_still);
                // A leader that hears nobody's disk leads on for so long.
                settings.last_election_timeout = Some(Duration::from_secs(120));
            }
            Trouble::Guarded => settings.guard = Some(guard),
            Trouble::Closed => settings.joins_are_open = false,
            Trouble::OneDown | Trouble::Alone | Trouble::Ending => {}
        }
        let cluster = Cluster::start_with(3, settings).await;
        if trouble == Trouble::Stuck {
            hand_over_to_the_last(&cluster).await;
        }
        let mut world = World::of(cluster, leads, Some(trouble)).await;
        let others = [1, 2].map(|steps| (world.at + steps) % 3);
        match trouble {
            Trouble::NoPast => {
                for number in 0..20_u8 {
                    world.cluster.ask(world.at, Method::PUT, "/key/a", &[number]).await;
                }
            }
            Trouble::OneDown => {
                world.cluster.servers[world.third().await].stop().await;
            }
            Trouble::Alone => {
                for other in others {
                    world.cluster.servers[other].stop().await;
                }
                world.cluster.ask_until(world.at, "/readyz", 503).await;
            }
            Trouble::NoRoom => {
                is_full.store(true, Ordering::SeqCst);
                world.fill().await;
            }
            Trouble::Closed => world.make_join_tokens().await,
            Trouble::Stuck => stands_still.store(true, Ordering::SeqCst),
            _ => {}
        }
        world
    }

    async fn of(cluster: Cluster, leads: bool, trouble: Option<Trouble>) -> World {
        let [leader, follower] = cluster.both().await;
        let at = if leads { leader } else { follower };
        let (peers, address) = listen().await;
        let identity = Identity { node: NEWCOMER, cluster: CLUSTER, history: HISTORY };
        let newcomer = Inbound::start::<_, RealNet>(&RealRuntime::start(), peers, Local::member(identity));
        let mut world = World { cluster, at, names: Vec::new(), trouble, _newcomer: newcomer };
        let third = world.third().await;
        let id = |at: usize| NodeId(at as u128 + 1).to_string();
        let (listener, nobody) = listen().await;
        drop(listener);
        let quoted =
            |all: &[usize]| all.iter().map(|at| format!("\"{}\"", id(*at))).collect::<Vec<_>>().join(",");
        let base64_of_zeros = |bytes: usize| "AAAA".repeat(bytes / 3);
        world.names = vec![
            ("{at}", at.to_string()),
            ("{own}", id(at)),
            ("{leader}", id(leader)),
            // Up, whatever else is down, and not the leader.
            ("{up}", id(follower)),
            ("{down}", id(third)),
            ("{all}", quoted(&[0, 1, 2])),
            ("{all but one}", quoted(&[leader, if leads { follower } else { at }])),
            ("{stranger}", NodeId(0x99).to_string()),
            ("{another stranger}", NodeId(0x9a).to_string()),
            ("{reader}", READER.token().reveal()),
            ("{writer}", WRITER.token().reveal()),
            ("{admin}", ADMIN.token().reveal()),
            ("{no token}", Token::new([9; 8], [9; 32]).reveal()),
            ("{forged join token}", JoinToken::new(CLUSTER, [9; 32]).reveal()),
            ("{another's join token}", JoinToken::new(ClusterId(0xf), [9; 32]).reveal()),
            ("{half a join token}", JoinToken::new(CLUSTER, [9; 32]).reveal()[..60].to_owned()),
            ("{guessed}", Token::new([ADMIN.id; 8], [9; 32]).reveal()),
            ("{own address}", world.cluster.servers[at].context.contact.address.clone()),
            ("{nobody}", nobody),
            ("{newcomer}", NEWCOMER.to_string()),
            ("{newcomer's address}", address),
            ("{128 gets}", [r#"{"get":{"key":"a"}}"#; 128].join(",")),
            ("{129 gets}", [r#"{"get":{"key":"a"}}"#; 129].join(",")),
            ("{digest}", "ab".repeat(32)),
            ("{4097 bytes}", "k".repeat(4_097)),
            ("{1001 bytes}", "v".repeat(1_001)),
            ("{4001 bytes}", "b".repeat(4_001)),
            ("{40 kB}", "a".repeat(40_000)),
            ("{900 in base64}", base64_of_zeros(900)),
            ("{1002 in base64}", base64_of_zeros(1_002)),
        ];
        world.learn().await;
        world
    }

    /// What only the cluster can tell.
    async fn learn(&mut self) {
        let granted = self.cluster.ask(self.at, Method::POST, "/leases", br#"{"ttl":"1h"}"#).await;
        let lease =
            if granted.status == 200 { granted.json()["lease"].as_str().map(str::to_owned) } else { None };
        self.names.push(("{lease}", lease.unwrap_or_else(|| "00000000000000a1".to_owned())));
        let (at, cluster) = (self.at, &self.cluster);
        let prefix = format!("/key/{at}/tagged");
        // What an answer lacks is that of no answer, and no row of such a cluster speaks of it.
        let header = |answer: &Answer, name| answer.header(name).unwrap_or("0").to_owned();
        let put = cluster.ask(at, Method::PUT, &prefix, b"1").await;
        let other = cluster.ask(at, Method::PUT, &format!("{prefix}/too"), b"1").await;
        let list = cluster.ask(at, Method::GET, &format!("/keys?prefix={at}/tagged&limit=1"), b"").await;
        cluster
            .ask(at, Method::from_bytes(b"LOCK").unwrap(), &format!("/key/{at}/held"), br#"{"ID":"me"}"#)
            .await;
        let next = list.json()["next"].as_str().unwrap_or("AQ").to_owned();
        self.names.extend([
            ("{its tag}", header(&put, "etag")),
            ("{revision}", header(&put, "quorate-revision")),
            ("{the other's tag}", header(&other, "etag")),
            ("{cursor}", next),
        ]);
        if self.trouble.is_none() {
            let backup = self.cluster.ask(self.at, Method::GET, "/backup", b"").await;
            self.names.push(("{tag}", backup.header("etag").unwrap().to_owned()));
            let checkpoints = self.cluster.ask(self.at, Method::GET, "/raft/checkpoints", b"").await;
            self.names.push(("{checkpoint}", checkpoints.text().lines().next().unwrap().to_owned()));
        }
    }

    /// One that can be used, and one whose time is over.
    async fn make_join_tokens(&mut self) {
        let made = async |body: &str| {
            let made = self.cluster.ask(self.at, Method::POST, "/raft/join-tokens", body.as_bytes()).await;
            made.json()["token"].as_str().unwrap().to_owned()
        };
        let (token, old) = (made(r#"{"ttl":"1h"}"#).await, made(r#"{"ttl":"1s"}"#).await);
        let hash = JoinToken::parse(&old).unwrap().hash();
        let leader = &self.cluster.servers[self.cluster.leader().await].context.handle;
        soon(async {
            loop {
                let view = leader.status().await.unwrap();
                if view.members.tokens[&hash].ends_ms <= view.time.0 {
                    return;
                }
                RealRuntime::start().sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        self.names.extend([("{join token}", token), ("{old join token}", old)]);
    }

    /// Writes until every node has noticed that its disk is full, and the one leads again that did.
    async fn fill(&self) {
        let leader = self.cluster.leader().await;
        let id = NodeId(leader as u128 + 1);
        soon(async {
            loop {
                let mut are_full = true;
                for node in 0..3 {
                    self.cluster.ask(self.at, Method::PUT, "/key/filling", b"1").await;
                    let ready = self.cluster.ask(node, Method::GET, "/readyz?verbose", b"").await;
                    are_full &= ready.text().contains("the disk is full");
                }
                if self.cluster.leader().await != leader {
                    let body = format!(r#"{{"ID":"{id}"}}"#);
                    self.cluster.ask(self.at, Method::POST, "/raft/transfer", body.as_bytes()).await;
                } else if are_full {
                    return;
                }
                RealRuntime::start().sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// The node that is neither asked nor, if another is, the leader.
    async fn third(&self) -> usize {
        let [leader, follower] = self.cluster.both().await;
        let other = if self.at == leader { follower } else { leader };
        (0..3).find(|node| *node != self.at && *node != other).unwrap()
    }

    /// What waits for its deadline has a short one. On a slow machine it may be over before anybody who leads was
    /// asked: that is not what the row is about, so it is asked again, with more patience.
    pub(super) async fn answer(&self, row: &Row, method: &Method) -> Answer {
        let mut answer = self.answer_within("300ms", row, method).await;
        for patience in ["3s", "30s"] {
            if row.target.contains("{patience}") && answer.header("quorate-error") == Some("no_leader") {
                answer = self.answer_within(patience, row, method).await;
            }
        }
        answer
    }

    async fn answer_within(&self, patience: &str, row: &Row, method: &Method) -> Answer {
        let (target, body) = (self.filled(row.target).replace("{patience}", patience), self.filled(row.body));
        let headers: Vec<_> = row.headers.iter().map(|(name, value)| (*name, self.filled(value))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if row.event.is_some() {
            return self.cluster.ask_for_event(self.at, &target, &headers).await;
        }
        let mut line = self.cluster.open(self.at).await;
        let shutdown = &self.cluster.servers[self.at].context.shutdown;
        // The node goes on while somebody holds this.
        let _guard = shutdown.guard();
        if self.trouble == Some(Trouble::Ending) {
            shutdown.begin();
        }
        self.cluster.ask_on(&mut line, self.at, method.clone(), &target, &headers, body.as_bytes()).await
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.names {
            if text.contains(name) {
                text = text.replace(name, value);
            }
        }
        text
    }
}

/// Has the last node lead.
async fn hand_over_to_the_last(cluster: &Cluster) {
    let body = format!(r#"{{"ID":"{}"}}"#, NodeId(3));
    soon(async {
        while cluster.leader().await != 2 {
            cluster.ask(0, Method::POST, "/raft/transfer", body.as_bytes()).await;
        }
    })
    .await;
}
