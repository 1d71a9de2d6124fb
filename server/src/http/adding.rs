//! `/raft/add`: how a node becomes a member.
//!
//! | id | address | what happens |
//! |---|---|---|
//! | known | its own | nothing, and success: the answer to a join may have been lost |
//! | known | another, nobody's | the member's address changes |
//! | new | nobody's | a new learner |
//! | new | another member's, where the new id answers and that member is not heard | it was wiped: one change takes it out and the new one in |
//! | any but a member's that it replaces | its own, and a member that is not heard is named as `Replaces` | the same, whatever that member's address was |
//! | new | any, and one that is no member is named as `Replaces` | refused: it was removed, and is not to come back by itself |
//! | any | any, where another id answers, or nobody | refused |
//! | known | another member's | refused |
//!
//! What lets a new one in is in `admission`.

use hyper::Response;
use quorate_node::raft::{Contact, Learner, NodeId, PeerState, PeerStatus, Time};
use quorate_node::{Entrance, Refusal, Request};

use super::admission::Admission;
use super::app::{App, json};
use super::body::AnswerBody;
use super::error::ApiError;
use super::headers::QUORATE_CLUSTER;
use super::json::SUCCESS;
use super::leader::{News, NotChanged, Operation};
use super::proxy::AttemptError;
use super::request::NewMember;
use crate::net::Net;
use crate::peers::{Local, ProbeError, probe};
use crate::runtime::Runtime;

/// What a join is at the leader.
pub(super) struct Add {
    pub(super) member: NewMember,
    pub(super) wait_for_voter: bool,
    pub(super) admission: Admission,
}

/// A node that may be added.
struct Newcomer {
    id: NodeId,
    learner: Learner,
    contact: Contact,
    /// The member whose place it takes.
    replaces: Option<NodeId>,
    /// What lets it in.
    entrance: Entrance,
}

impl Newcomer {
    fn request(&self, replaces: Option<NodeId>) -> Request {
        let Newcomer { id, learner, contact, entrance, .. } = self;
        Request::AddLearner {
            id: *id,
            learner: *learner,
            contact: contact.clone(),
            replaces,
            entrance: *entrance,
        }
    }
}

impl<R: Runtime, N: Net> App<R, N> {
    /// Dials a newcomer back: an address that does not work, or where somebody else answers, must not get into the log.
    async fn call_back(&self, member: &NewMember, deadline: Time) -> Result<(), ApiError> {
        let context = &self.context;
        let local = Local::member(context.identity);
        let address = member.address.to_string();
        let NewMember { id, .. } = member;
        match probe(&context.runtime, &context.net, &local, *id, &address, deadline).await {
            Ok(()) => Ok(()),
            Err(ProbeError::WrongNode { seen }) => Err(ApiError::AddressInUse(format!(
                "at {address} node {seen} answers, not {id}: give the address of node {id}"
            ))),
            Err(error) => Err(ApiError::AddressUnreachable(format!(
                "node {id} does not answer at {address}: {error}: it must run, and be reached from the leader"
            ))),
        }
    }

    /// Adds a newcomer that has answered at its address. Whoever else is known by that address is not there any more:
    /// when it is not heard from elsewhere either, it leaves in the same change. So does the one that it says it
    /// replaces, wherever that one was.
    async fn add_here(&self, newcomer: &Newcomer, deadline: Time) -> Result<(), NotChanged> {
        let Newcomer { id, contact, replaces, .. } = newcomer;
        let by = match *replaces {
            Some(former) => former,
            None => match self.change_members_here(newcomer.request(None), deadline).await {
                Err(NotChanged::Refused(Refusal::AddressInUse { by })) => by,
                done => return done,
            },
        };
        let mut news = News::new(self, deadline);
        // One that was wiped a moment ago still counts as heard for an election timeout.
        while self.hears(by).await {
            if news.wait().await.is_err() {
                if replaces.is_some() {
                    return Err(NotChanged::Failed(ApiError::AddressInUse(format!(
                        "the member {by} is heard, so node {id} can't take its place: end {by}, or remove it"
                    ))));
                }
                return Err(NotChanged::Failed(ApiError::AddressInUse(format!(
                    "{} is the address of the member {by}, which is heard from elsewhere, and node {id} answers there: \
                     restart {by}, so that it tells its new address, or remove it",
                    contact.address
                ))));
            }
        }
        match self.change_members_here(newcomer.request(Some(by)), deadline).await {
            Err(NotChanged::Refused(Refusal::WouldLoseQuorum)) if replaces.is_some() => {
                Err(NotChanged::Failed(ApiError::WouldLoseQuorum(format!(
                    "without the member {by} the voters who are heard would be no majority, so node {id} can't take its \
                     place now: bring other voters back first"
                ))))
            }
            Err(NotChanged::Refused(Refusal::WouldLoseQuorum)) => {
                Err(NotChanged::Failed(ApiError::AddressInUse(format!(
                    "{} is the address of the member {by}, and without that one the voters who are heard would be no \
                     majority, so node {id} can't take its place now: bring other voters back first",
                    contact.address
                ))))
            }
            Ok(()) => {
                let address = &contact.address;
                tracing::info!(node = %id, replaced = %by, address, "took the place of a node that is gone");
                Ok(())
            }
            other => other,
        }
    }

    /// Whether this leader hears the member, wherever it is. Itself it always does.
    async fn hears(&self, member: NodeId) -> bool {
        let view = self.context.handle.status().await;
        let peers = view.map(|view| view.peers).unwrap_or_default();
        let is_up = |peer: &PeerStatus| peer.id == member && peer.state != PeerState::Down;
        member == self.context.identity.node || peers.iter().any(is_up)
    }

    /// Waits for the leader to have made the learner a voter.
    async fn wait_for_voter(&self, id: NodeId, deadline: Time) -> Result<(), NotChanged> {
        let mut news = News::new(self, deadline);
        loop {
            let members = &news.look().members;
            if members.voters.contains(&id) {
                break;
            }
            if members.learners.get(&id) == Some(&Learner::Standing) {
                let what = format!("node {id} is a member already, and to stay a learner: promote it");
                return Err(ApiError::NotCaughtUp(what).into());
            }
            if news.wait().await.is_err() {
                let what = format!(
                    "node {id} is a learner now and has not caught up in time: it becomes a voter when it has; \
                     look at GET /raft/members, or ask again with a longer timeout"
                );
                return Err(ApiError::NotCaughtUp(what).into());
            }
        }
        // A change counts for majorities when it is in the log, but it is done when it is committed.
        self.change_members_here(Request::Promote(id), deadline).await
    }
}

impl<R: Runtime, N: Net> Operation<R, N> for Add {
    async fn perform(&self, app: &App<R, N>, deadline: Time) -> Result<Response<AnswerBody>, AttemptError> {
        let NewMember { id, address, url, name, learner, replaces } = self.member.clone();
        let address = address.to_string();
        let entrance = app.judge(&self.admission, id, deadline).await?;
        let members = app.context.handle.view().current().members.clone();
        let known = members.contacts.get(&id).cloned();
        if known.is_none() && entrance == Entrance::Shut {
            return Err(ApiError::JoinTokenNeeded(id).into());
        }
        let (replaces, gone): (Option<NodeId>, _) = match replaces {
            Some(former) if !members.contains(former) => (None, Some(former)),
            replaces => (replaces, None),
        };
        // A member that was removed is not to come back by itself, under another id. When the newcomer is known, it has
        // asked before, and took the place.
        if let Some(former) = gone.filter(|_| known.is_none()) {
            return Err(ApiError::MemberNotFound(former.to_string()).into());
        }
        if known.as_ref().is_none_or(|contact| contact.address != address) {
            app.call_back(&self.member, deadline).await?;
        }
        let is_new = known.is_none();
        let known = known.unwrap_or_default();
        let contact = Contact { address, url: url.unwrap_or(known.url), name: name.unwrap_or(known.name) };
        if is_new || replaces.is_some() {
            // Who takes the place of a standing learner is to be no more than that.
            let is_standing = |former| members.learners.get(&former) == Some(&Learner::Standing);
            let learner = if replaces.is_some_and(is_standing) { Learner::Standing } else { learner };
            app.add_here(&Newcomer { id, learner, contact, replaces, entrance }, deadline).await?;
        } else {
            let known = Newcomer { id, learner, contact, replaces: None, entrance };
            app.change_members_here(known.request(None), deadline).await?;
        }
        if self.wait_for_voter {
            app.wait_for_voter(id, deadline).await?;
        }
        let mut response = json(SUCCESS);
        // This is what the joiner believes.
        response.headers_mut().insert(QUORATE_CLUSTER, app.cluster.clone());
        Ok(response)
    }
}
