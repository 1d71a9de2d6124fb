//! Who belongs to the cluster, and who leads it: `/raft/members`, `/raft/promote`, `/raft/remove`, `/raft/transfer`.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::Response;
use hyper::http::request::Parts;
use quorate_client::{Member, Members, Transition};
use quorate_node::raft::{NodeId, Time};
use quorate_node::{ReadLevel, Refusal, Reply, Request, View};

use super::adding::Add;
use super::admission::MakeJoinToken;
use super::app::{App, json};
use super::body::{AnswerBody, BodyLimit, Upload};
use super::error::ApiError;
use super::json::{SUCCESS, encode};
use super::leader::{News, NotChanged, Operation, unexpected};
use super::proxy::AttemptError;
use super::request::{MemberCall, MemberChange, MemberSets};
use super::service::Terms;
use crate::net::Net;
use crate::runtime::Runtime;
use crate::tokens::Asker;

/// How long a node is waited for that has not caught up or was not heard. A leader that took office a moment ago does
/// not know yet how far the others are, and who is there at all.
const CATCH_UP: Duration = Duration::from_secs(1);

/// A change of the members that the leader makes as it is asked.
struct Change(Request);

/// A hand-over of leadership: to this node, or to the best.
struct Transfer(Option<NodeId>);

impl<R: Runtime, N: Net> App<R, N> {
    /// `POST /raft/add`, `/raft/join-tokens`, `/raft/promote`, `/raft/remove`, `/raft/members`, `/raft/transfer`.
    pub(super) async fn change_members(
        &self,
        head: &Parts,
        call: MemberCall,
        (upload, asker): (Upload<'_>, &Asker),
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let limit = BodyLimit::Request(self.context.limits.request_bytes);
        let body = upload.read(&self.context.runtime, limit).await?;
        let change = call.with_body(&body)?;
        let asked = self.asked(head, body, terms);
        let change = match change {
            MemberChange::Add { member, wait_for_voter } => {
                let admission = self.admission(head, asker)?;
                return self.at_leader(&asked, &Add { member, wait_for_voter, admission }).await;
            }
            MemberChange::MakeJoinToken { ttl_ms } => {
                let token = self.draw_join_token();
                return self.at_leader(&asked, &MakeJoinToken { token, ttl_ms }).await;
            }
            MemberChange::Transfer(to) => return self.at_leader(&asked, &Transfer(to)).await,
            MemberChange::Promote(id) => Request::Promote(id),
            MemberChange::Remove(id) => Request::Remove(id),
            MemberChange::SetMembers(MemberSets { voters, learners }) => {
                Request::SetMembers { voters, learners }
            }
        };
        self.at_leader(&asked, &Change(change)).await
    }

    /// `GET /raft/members`. A read like others: any node can give it, once it has applied what was committed when it
    /// was asked.
    pub(super) async fn members(
        &self,
        level: ReadLevel,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let barrier = || Request::get([].into(), level);
        self.ask_here(barrier, self.now() + terms.timeout).await?;
        let view = self.context.handle.status().await.ok_or(ApiError::ShuttingDown)?;
        Ok(json(encode(&members_of(&self.context.identity.cluster.to_string(), &view))))
    }

    /// Changes the members. A change that is under way is mostly a promotion that takes milliseconds, so it is waited
    /// for, and so is a node that will have caught up soon.
    pub(super) async fn change_members_here(
        &self,
        request: Request,
        deadline: Time,
    ) -> Result<(), NotChanged> {
        match self.ask_until_settled(&request, deadline).await? {
            Reply::MembersChanged { .. } => Ok(()),
            other => Err(unexpected(&other).into()),
        }
    }

    /// Asks this node, which leads, again while it says that something else has to come first.
    async fn ask_until_settled(&self, request: &Request, deadline: Time) -> Result<Reply, NotChanged> {
        let mut news = News::new(self, deadline);
        let caught_up_by = self.now() + CATCH_UP;
        loop {
            let has_others = news.look().members.voters.len() > 1;
            let refusal = match self.change_here(request.clone(), deadline).await {
                Err(NotChanged::Refused(refusal)) => refusal,
                other => return other,
            };
            let passes = match refusal {
                Refusal::ChangeInProgress => true,
                Refusal::NotCaughtUp(_) => self.now() < caught_up_by,
                Refusal::WouldLoseQuorum | Refusal::NoSuccessor => has_others && self.now() < caught_up_by,
                _ => false,
            };
            if !passes || news.wait().await.is_err() {
                return Err(NotChanged::Refused(refusal));
            }
        }
    }
}

impl<R: Runtime, N: Net> Operation<R, N> for Change {
    async fn perform(&self, app: &App<R, N>, deadline: Time) -> Result<Response<AnswerBody>, AttemptError> {
        app.change_members_here(self.0.clone(), deadline).await?;
        Ok(json(SUCCESS))
    }
}

impl<R: Runtime, N: Net> Operation<R, N> for Transfer {
    async fn perform(&self, app: &App<R, N>, deadline: Time) -> Result<Response<AnswerBody>, AttemptError> {
        match app.ask_until_settled(&Request::Transfer(self.0), deadline).await? {
            Reply::Transferred { leader } => match self.0 {
                Some(wanted) if wanted != leader => Err(ApiError::NotCaughtUp(format!(
                    "the node {leader} took over before {wanted} did: ask again if it should still be {wanted}"
                ))
                .into()),
                _ => Ok(json(SUCCESS)),
            },
            other => Err(unexpected(&other).into()),
        }
    }
}

fn members_of(cluster: &str, view: &View) -> Members {
    let members = view.members.contacts.iter().map(|(id, contact)| Member {
        id: id.to_string(),
        name: text_or_none(&contact.name),
        address: contact.address.clone(),
        url: text_or_none(&contact.url),
        role: if view.members.is_voter(*id) { "voter" } else { "learner" }.to_owned(),
        leader: view.leader == Some(*id),
    });
    let ids = |ids: &BTreeSet<NodeId>| ids.iter().map(NodeId::to_string).collect();
    Members {
        cluster: cluster.to_owned(),
        index: view.members_at.index.0,
        members: members.collect(),
        joint: view.members.is_joint().then(|| Transition {
            incoming: ids(&view.members.voters),
            outgoing: ids(&view.members.outgoing),
        }),
    }
}

/// A text that may be empty, as JSON's null.
pub(super) fn text_or_none(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
