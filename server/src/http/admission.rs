//! What lets a node into the cluster, and how a join token is made.
//!
//! | what comes with the join | a new node | a member, with another address |
//! |---|---|---|
//! | a join token | may come in, and spends it in the entry that adds it | may, if it has spent it, or it is open |
//! | a token of the role admin, or a peer's certificate | may come in | may |
//! | nothing, and HTTP and peers listen on loopback alone | may come in | may |
//! | nothing, elsewhere, and nobody is asked for tokens | 403 | may: else nodes without certificates could not move |
//! | nothing, and tokens are asked for | 401 | 401 |
//!
//! The leader alone judges a join token, before it dials anybody back, and once more as it appends the change.

use hyper::Response;
use hyper::http::request::Parts;
use quorate_client::JoinTokenMade;
use quorate_node::raft::{NodeId, Time};
use quorate_node::{Entrance, ReadLevel, Request};

use super::app::{App, json};
use super::body::AnswerBody;
use super::error::ApiError;
use super::headers::QUORATE_JOIN_TOKEN;
use super::json::encode;
use super::leader::Operation;
use super::proxy::AttemptError;
use super::request::ttl_text;
use crate::net::Net;
use crate::runtime::Runtime;
use crate::tokens::{Asker, JoinToken};

/// What comes with a join.
#[derive(Debug)]
pub(super) enum Admission {
    /// A join token of this cluster.
    Token(JoinToken),
    /// What lets anybody in: who asks, or where the cluster listens.
    Granted,
    /// Nothing.
    Nothing,
}

/// A join token that is to be made.
pub(super) struct MakeJoinToken {
    pub(super) token: JoinToken,
    pub(super) ttl_ms: u64,
}

impl<R: Runtime, N: Net> App<R, N> {
    /// What comes with this join.
    ///
    /// # Errors
    /// `join_token_invalid` for what can be no token of this cluster.
    pub(super) fn admission(&self, head: &Parts, asker: &Asker) -> Result<Admission, ApiError> {
        let mut shown = head.headers.get_all(QUORATE_JOIN_TOKEN).iter();
        let Some(text) = shown.next() else {
            return Ok(match asker {
                Asker::Node | Asker::Holder(_) => Admission::Granted,
                Asker::Anybody if self.context.joins_are_open => Admission::Granted,
                Asker::Anybody | Asker::Newcomer => Admission::Nothing,
            });
        };
        let invalid = ApiError::JoinTokenInvalid;
        if shown.next().is_some() {
            return Err(invalid("the request has more than one".to_owned()));
        }
        let token = JoinToken::parse(text.to_str().unwrap_or_default());
        let token = token.map_err(|error| invalid(error.to_string()))?;
        let cluster = self.context.identity.cluster;
        if token.cluster != cluster {
            return Err(invalid(format!("it is for the cluster {}, and this is {cluster}", token.cluster)));
        }
        Ok(Admission::Token(token))
    }

    /// Whether the node `id` may come in with this. A node that leads no more would say of a new token that there is
    /// none, so it has to know first that it leads.
    pub(super) async fn judge(
        &self,
        admission: &Admission,
        id: NodeId,
        deadline: Time,
    ) -> Result<Entrance, ApiError> {
        let token = match admission {
            Admission::Granted => return Ok(Entrance::Open),
            Admission::Nothing => return Ok(Entrance::Shut),
            Admission::Token(token) => token,
        };
        let barrier = || Request::get([].into(), ReadLevel::Linearizable);
        self.ask_here(barrier, deadline).await?;
        let view = self.context.handle.status().await.ok_or(ApiError::ShuttingDown)?;
        let hash = token.hash();
        view.members.admits(&hash, id, view.time.0)?;
        Ok(Entrance::Token(hash))
    }

    pub(super) fn draw_join_token(&self) -> JoinToken {
        let mut secret = [0; 32];
        for part in secret.chunks_exact_mut(8) {
            part.copy_from_slice(&self.context.runtime.random().to_le_bytes());
        }
        JoinToken::new(self.context.identity.cluster, secret)
    }
}

impl<R: Runtime, N: Net> Operation<R, N> for MakeJoinToken {
    async fn perform(&self, app: &App<R, N>, deadline: Time) -> Result<Response<AnswerBody>, AttemptError> {
        let MakeJoinToken { token, ttl_ms } = self;
        let hash = token.hash();
        app.change_members_here(Request::AddToken { token: hash, ttl_ms: *ttl_ms }, deadline).await?;
        let ttl = ttl_text(*ttl_ms);
        tracing::info!(token = %hash, ttl, "a join token was made");
        let made = JoinTokenMade { token: token.reveal(), cluster: token.cluster.to_string(), ttl };
        Ok(json(encode(&made)))
    }
}
