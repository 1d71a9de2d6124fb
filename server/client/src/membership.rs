//! The calls about the cluster itself.

use crate::address::Address;
use crate::answer::{JoinTokenMade, Members, Status};
use crate::client::{Client, parse, uri};
use crate::endpoint::Endpoint;
use crate::error::{ClientError, Failed};
use crate::exchange::{Answer, Call, answer};
use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use std::time::Duration;

const JOIN_TOKEN: HeaderName = HeaderName::from_static("quorate-join-token");

/// A node that is to join (`POST /raft/add`).
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Its node id: 32 hex digits, dashes and `urn:uuid:` allowed.
    pub id: String,
    /// Where its peers can dial it.
    pub address: Address,
    /// Stay a learner, and never be promoted.
    pub learner: bool,
    /// Return only once it is a voter.
    pub wait_for_voter: bool,
    /// The join token that lets it in; mark it as sensitive, so that it is not printed.
    pub join_token: Option<HeaderValue>,
}

impl Client {
    /// The view of the first endpoint that answers.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when none answers.
    pub async fn status(&self) -> Result<Status, ClientError> {
        let call = Call { takes_timeout: false, ..Call::read("/raft/status".to_owned()) };
        let (endpoint, answer): (_, Answer) = self.in_turn(self.endpoints(), call).await?;
        parse(endpoint, &answer)
    }

    /// The view of one node.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when it does not answer.
    pub async fn status_of(&self, endpoint: &Endpoint) -> Result<Status, ClientError> {
        let call = Call { takes_timeout: false, ..Call::read("/raft/status".to_owned()) };
        let only = std::slice::from_ref(endpoint);
        let (endpoint, answer): (_, Answer) = self.in_turn(only, call).await?;
        parse(endpoint, &answer)
    }

    /// What one node answers to `GET` of a path, with a query if need be: the status and the body, whatever they are.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when it does not answer.
    pub async fn answer_of(&self, endpoint: &Endpoint, path: &str) -> Result<(u16, Bytes), ClientError> {
        let call = Call { takes_timeout: false, ..Call::read(path.to_owned()) };
        let at = uri(endpoint, path)?;
        match answer(self.pool(), at, &call, self.timeout()).await {
            Ok(answer) => Ok((answer.status.as_u16(), answer.body)),
            Err(problem) => {
                Err(ClientError::Unavailable(vec![Failed { endpoint: endpoint.clone(), problem }]))
            }
        }
    }

    /// Who belongs to the cluster.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when no endpoint knows a leader.
    pub async fn members(&self) -> Result<Members, ClientError> {
        let call = Call::read("/raft/members".to_owned());
        let (endpoint, answer): (_, Answer) = self.in_turn(self.endpoints(), call).await?;
        parse(endpoint, &answer)
    }

    /// Adds a member; the same id at the same address again is no error.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the code `address_in_use`, `change_in_progress` … when the leader says no.
    pub async fn add(&self, member: &NewMember) -> Result<(), ClientError> {
        let mut body = serde_json::json!({ "ID": member.id, "Address": member.address.to_string() });
        if member.learner {
            body["Role"] = "learner".into();
        }
        let target = if member.wait_for_voter { "/raft/add?wait=voter" } else { "/raft/add" };
        let mut call = post(target, &body);
        if let Some(token) = &member.join_token {
            call.headers.insert(JOIN_TOKEN, token.clone());
        }
        self.call(call).await.map(drop)
    }

    /// Makes a join token that lives for so long, a second to thirty days. What nobody hears of expires by itself.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when no endpoint knows a leader, or there are too many.
    pub async fn make_join_token(&self, ttl: Duration) -> Result<JoinTokenMade, ClientError> {
        let body = serde_json::json!({ "ttl": format!("{}ms", ttl.as_millis()) });
        let call = Call::write_once(Method::POST, "/raft/join-tokens".to_owned());
        self.call_for(call.with_json(body.to_string().into())).await
    }

    /// Makes a learner a voter; one that is no error.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when it is no member; [`ClientError::Refused`] with the code `not_caught_up` …
    pub async fn promote(&self, id: &str) -> Result<(), ClientError> {
        self.post_json("/raft/promote", &serde_json::json!({ "ID": id })).await
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when it is no member; [`ClientError::Refused`] with the code `would_lose_quorum` …
    pub async fn remove(&self, id: &str) -> Result<(), ClientError> {
        self.post_json("/raft/remove", &serde_json::json!({ "ID": id })).await
    }

    /// Makes these the voters and those the learners; all are members, and whoever is not named leaves.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when one is no member; [`ClientError::Refused`] with the code `would_lose_quorum` …
    pub async fn set_members(&self, voters: &[String], learners: &[String]) -> Result<(), ClientError> {
        let body = serde_json::json!({ "voters": voters, "learners": learners });
        self.post_json("/raft/members", &body).await
    }

    /// Hands leadership over, to a voter or to the best.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when it is no member; [`ClientError::Refused`] with the code `not_caught_up` …
    pub async fn transfer(&self, to: Option<&str>) -> Result<(), ClientError> {
        let body = to.map_or_else(|| serde_json::json!({}), |id| serde_json::json!({ "ID": id }));
        self.post_json("/raft/transfer", &body).await
    }

    async fn post_json(&self, target: &str, body: &serde_json::Value) -> Result<(), ClientError> {
        self.call(post(target, body)).await.map(drop)
    }
}

/// These routes know no idempotency keys. What is repeated by hand does no harm: what is so already is a success.
fn post(target: &str, body: &serde_json::Value) -> Call {
    Call::write_once(Method::POST, target.to_owned()).with_json(body.to_string().into())
}
