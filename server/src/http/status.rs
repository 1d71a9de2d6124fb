//! What a node says about itself: `/`, `/livez`, `/readyz`, `/version`, `/metrics` and `/raft/status`.

use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use quorate_client::{Leader, Peer, Status};
use quorate_node::View;
use quorate_node::raft::{PeerState, PeerStatus, Role};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::{App, json, with_type};
use super::body::AnswerBody;
use super::error::ApiError;
use super::headers::JSON;
use super::joining::WaitsFor;
use super::json::encode;
use super::membership::text_or_none;
use super::openapi::formats;
use crate::announce::is_outside;
use crate::context::Context;
use crate::metrics::{self, Scrape};
use crate::net::Net;
use crate::overview::detail_of;
use crate::runtime::Runtime;

/// How many committed entries a node may have yet to apply and still count as caught up. Under load there are always
/// some.
const CAUGHT_UP_ENTRIES: u64 = 1000;

/// `GET /version`.
#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    version: &'static str,
}

/// `GET /readyz`.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness<C> {
    #[schema(schema_with = formats::check_status)]
    status: &'static str,
    checks: Checks<C>,
}

/// What makes a node ready to serve.
#[derive(Serialize, ToSchema)]
struct Checks<C> {
    leader: C,
    caught_up: C,
    disk: C,
    membership: C,
}

/// One check's result.
#[derive(Serialize, ToSchema)]
pub(super) struct Check {
    #[schema(schema_with = formats::check_status)]
    status: &'static str,
    detail: String,
}

impl Check {
    fn new(is_ok: bool, detail: String) -> Check {
        Check { status: if is_ok { "ok" } else { "failed" }, detail }
    }
}

impl Checks<Check> {
    fn of(view: &View, disk: &str) -> Self {
        let leader = match view.leader {
            Some(id) => Check::new(true, format!("{id} leads in term {}", view.term)),
            None => Check::new(
                false,
                format!(
                    "no leader is known in term {}: is a majority up, and is this node still a member?",
                    view.term
                ),
            ),
        };
        let behind = view.commit.0.saturating_sub(view.applied.0);
        let caught_up = Check::new(
            view.leader.is_some() && !view.restoring && behind <= CAUGHT_UP_ENTRIES,
            format!("applied up to {} of {} known to be committed", view.applied, view.commit),
        );
        let mut detail = format!("{} damaged log entries; {disk}", view.damaged);
        if view.short_of_room {
            // No reason to send nobody here: reads and deletes go on.
            detail += ", and the disk is full: writes that need space are refused";
        }
        let disk = Check::new(view.damaged == 0, detail);
        let membership = Check::new(view.members.contains(view.id), membership_detail(view));
        Checks { leader, caught_up, disk, membership }
    }

    /// Those of a node that can't serve yet.
    fn waiting(waits: &WaitsFor) -> Self {
        let (waits, disk) = match waits {
            WaitsFor::Cluster => (
                "this node is still joining its cluster".to_owned(),
                Check::new(true, "nothing is stored yet".to_owned()),
            ),
            WaitsFor::Pieces(_) => (
                "this node mends its checkpoints before it serves".to_owned(),
                Check::new(false, "its checkpoints are damaged: see the log".to_owned()),
            ),
            WaitsFor::Successor(former) => (
                format!("this node was {}, and is to come back under a new id", former.identity.node),
                Check::new(false, "its state is lost: see the log".to_owned()),
            ),
        };
        let waits = || Check::new(false, waits.clone());
        Checks { leader: waits(), caught_up: waits(), disk, membership: waits() }
    }

    fn are_ok(&self) -> bool {
        [&self.leader, &self.caught_up, &self.disk, &self.membership].iter().all(|check| check.status == "ok")
    }

    fn brief(&self) -> Checks<&'static str> {
        Checks {
            leader: self.leader.status,
            caught_up: self.caught_up.status,
            disk: self.disk.status,
            membership: self.membership.status,
        }
    }
}

fn membership_detail(view: &View) -> String {
    let count = view.members.count();
    if is_outside(view) {
        return format!(
            "no member: the cluster has {count} others, as far as this node's log goes. If it was removed, end it; with \
             an empty data dir and --join it can come back"
        );
    }
    match (view.members.is_voter(view.id), view.members.contains(view.id)) {
        (true, _) => format!("a voter of {count} members"),
        (false, true) => format!("a learner of {count} members"),
        (false, false) => "this node has not heard yet who the members are".to_owned(),
    }
}

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET /raft/status`.
    pub(super) async fn status(&self, verbose: bool) -> Result<Response<AnswerBody>, ApiError> {
        let view = self.context.handle.status().await.ok_or(ApiError::ShuttingDown)?;
        Ok(json(encode(&own_status(&self.context, &view, verbose))))
    }

    /// `GET /metrics`.
    pub(super) async fn metrics(&self) -> Result<Response<AnswerBody>, ApiError> {
        let scrape =
            Scrape::read(&self.context, self.connections.count()).await.ok_or(ApiError::ShuttingDown)?;
        let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
        Ok(with_type(StatusCode::OK, kind, AnswerBody::Whole(metrics::text(scrape).into())))
    }

    /// `GET /readyz`.
    pub(super) async fn readyz(&self, verbose: bool) -> Result<Response<AnswerBody>, ApiError> {
        let view = self.context.handle.status().await.ok_or(ApiError::ShuttingDown)?;
        let disk = self.context.disk.describe(self.now());
        let mut checks = Checks::of(&view, &disk);
        if self.context.shutdown.is_leaving() {
            checks.leader = Check::new(false, "this node is ending: send requests to another".to_owned());
        }
        Ok(readiness(checks, verbose))
    }
}

/// `GET /version`.
pub(super) fn version() -> Response<AnswerBody> {
    json(encode(&Version { version: env!("CARGO_PKG_VERSION") }))
}

/// `GET /readyz` before this node serves.
pub(super) fn joining_readiness(waits: &WaitsFor, verbose: bool) -> Response<AnswerBody> {
    readiness(Checks::waiting(waits), verbose)
}

fn readiness(checks: Checks<Check>, verbose: bool) -> Response<AnswerBody> {
    let (code, status) =
        if checks.are_ok() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    let body = if verbose {
        encode(&Readiness { status, checks })
    } else {
        encode(&Readiness { status, checks: checks.brief() })
    };
    with_type(code, JSON, AnswerBody::Whole(body))
}

/// How this node stands, which has this view of it.
pub(crate) fn own_status<R: Runtime, N>(context: &Context<R, N>, view: &View, verbose: bool) -> Status {
    let contact = |id| view.members.contacts.get(&id);
    let role = match view.role {
        Role::Leader => "leader",
        Role::Candidate => "candidate",
        Role::Follower => "follower",
        Role::Learner => "learner",
    };
    Status {
        id: view.id.to_string(),
        name: contact(view.id).and_then(|contact| text_or_none(&contact.name)),
        role: role.to_owned(),
        term: view.term.0,
        leader: view.leader.map(|id| Leader {
            id: id.to_string(),
            url: contact(id).and_then(|contact| text_or_none(&contact.url)),
        }),
        commit: view.commit.0,
        applied: view.applied.0,
        last: view.last.index.0,
        snapshot: view.snapshot.index.0,
        revision: view.revision.0,
        cluster: context.identity.cluster.to_string(),
        history: context.identity.history.to_string(),
        peers: (view.role == Role::Leader).then(|| view.peers.iter().map(peer).collect()),
        detail: verbose.then(|| detail_of(context, view)),
    }
}

fn peer(peer: &PeerStatus) -> Peer {
    let state = match peer.state {
        PeerState::Probe => "probe",
        PeerState::Pipeline => "pipeline",
        PeerState::Snapshot => "snapshot",
        PeerState::Down => "down",
    };
    Peer { id: peer.id.to_string(), match_index: peer.matched.0, state: state.to_owned() }
}
