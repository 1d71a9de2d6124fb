//! `/raft/add`, `/raft/promote` and `/raft/members`.

use bytes::Bytes;
use hyper::Response;
use hyper::http::request::Parts;
use quorate_client::{Member, Members, Transition};
use quorate_node::raft::{Contact, NodeId, Time};
use quorate_node::{Reply, Request, View};

use super::app::{App, json};
use super::body::{AnswerBody, BodyLimit, Upload};
use super::error::ApiError;
use super::headers::QUORATE_CLUSTER;
use super::json::{NewMember, SUCCESS, encode, parse_add, parse_member};
use super::leader::{News, Operation, unexpected};
use super::proxy::AttemptError;
use super::service::Terms;
use crate::net::Net;
use crate::peers::{Local, ProbeError, probe};
use crate::runtime::Runtime;

/// What a join is at the leader.
struct Add {
    member: NewMember,
    wait_for_voter: bool,
}

/// What a promotion is at the leader.
struct Promote(NodeId);

impl<R: Runtime, N: Net> App<R, N> {
    /// `POST /raft/add`.
    pub(super) async fn add(
        &self,
        head: &Parts,
        upload: Upload<'_>,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let body = self.read_json(upload).await?;
        let operation = Add { member: parse_add(&body)?, wait_for_voter: terms.query.wait_for_voter };
        self.at_leader(&self.asked(head, body, terms), &operation).await
    }

    /// `POST /raft/promote`.
    pub(super) async fn promote(
        &self,
        head: &Parts,
        upload: Upload<'_>,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let body = self.read_json(upload).await?;
        let operation = Promote(parse_member(&body)?);
        self.at_leader(&self.asked(head, body, terms), &operation).await
    }

    /// `GET /raft/members`. A read like others: any node can give it, once it has applied what was committed when it
    /// was asked.
    pub(super) async fn members(&self, terms: Terms) -> Result<Response<AnswerBody>, ApiError> {
        let barrier = || Request::Read { key: [].into(), level: terms.read_level() };
        self.ask_here(barrier, self.now() + terms.timeout).await?;
        let view = self.context.handle.status().await.ok_or(ApiError::ShuttingDown)?;
        Ok(json(encode(&members_of(&self.context.identity.cluster.to_string(), &view))))
    }

    async fn read_json(&self, upload: Upload<'_>) -> Result<Bytes, ApiError> {
        let limit = BodyLimit::Request(self.context.limits.request_bytes);
        upload.read(&self.context.runtime, limit).await
    }

    /// Changes the members. A change that is under way is mostly a promotion that takes milliseconds, so it is waited
    /// for.
    async fn change_members_here(&self, request: Request, deadline: Time) -> Result<(), AttemptError> {
        let mut news = News::new(self, deadline);
        loop {
            news.look();
            match self.change_here(request.clone(), deadline).await {
                Err(AttemptError::Failed(ApiError::ChangeInProgress)) => {}
                Err(error) => return Err(error),
                Ok(Reply::MembersChanged { .. }) => return Ok(()),
                Ok(other) => return Err(unexpected(&other).into()),
            }
            if news.wait().await.is_err() {
                return Err(ApiError::ChangeInProgress.into());
            }
        }
    }

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

    /// Waits for the leader to have made the learner a voter.
    async fn wait_for_voter(&self, id: NodeId, deadline: Time) -> Result<(), AttemptError> {
        let mut news = News::new(self, deadline);
        while !news.look().members.voters.contains(&id) {
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
        let NewMember { id, address, learner, url, name } = self.member.clone();
        let address = address.to_string();
        let known = app.context.handle.view().current().members.contacts.get(&id).cloned();
        if known.as_ref().is_none_or(|contact| contact.address != address) {
            app.call_back(&self.member, deadline).await?;
        }
        let known = known.unwrap_or_default();
        let contact = Contact { address, url: url.unwrap_or(known.url), name: name.unwrap_or(known.name) };
        let request = Request::AddLearner { id, learner, contact, replaces: None };
        app.change_members_here(request, deadline).await?;
        if self.wait_for_voter {
            app.wait_for_voter(id, deadline).await?;
        }
        let mut response = json(SUCCESS);
        // This is what the joiner believes.
        response.headers_mut().insert(QUORATE_CLUSTER, app.cluster.clone());
        Ok(response)
    }
}

impl<R: Runtime, N: Net> Operation<R, N> for Promote {
    async fn perform(&self, app: &App<R, N>, deadline: Time) -> Result<Response<AnswerBody>, AttemptError> {
        app.change_members_here(Request::Promote(self.0), deadline).await?;
        Ok(json(SUCCESS))
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
    let ids = |ids: &std::collections::BTreeSet<NodeId>| ids.iter().map(NodeId::to_string).collect();
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
