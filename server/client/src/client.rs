//! The calls.

use crate::address::Address;
use crate::answer::{Members, Status, Value};
use crate::consistency::Consistency;
use crate::endpoint::Endpoint;
use crate::error::{ClientError, Failed};
use crate::exchange::{Answer, Attempt, Call, Effect, Pool, attempt};
use bytes::Bytes;
use hyper::header::ETAG;
use hyper::{Method, Uri};
use hyper_util::client::legacy::{Builder, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// What stays as it is in a key's path. The dot does not: `.` and `..` would be taken for path segments on the way.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

const JSON: &str = "application/json; charset=utf-8";

/// The longest deadline that a server accepts in `?timeout=`.
pub(crate) const LONGEST_SERVER_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause before all endpoints are tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// A client of one cluster. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    endpoints: Vec<Endpoint>,
    timeout: Duration,
    pool: Pool,
}

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
}

impl Client {
    /// A client that tries `endpoints` in this order, and gives each call at most `timeout` in all. As long as somebody
    /// answers and nothing was done, it goes on trying until then; when nobody is there at all, one round is enough.
    ///
    /// # Panics
    /// When `endpoints` is empty.
    pub fn new(endpoints: Vec<Endpoint>, timeout: Duration) -> Self {
        assert!(!endpoints.is_empty(), "a client needs at least one endpoint");
        let share = timeout / u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // So that an endpoint that swallows connects leaves time for the others.
        connector.set_connect_timeout(Some(share));
        let pool = Builder::new(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Self { endpoints, timeout, pool }
    }

    /// The endpoints, in the order they are tried.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// How long a call may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Reads a key (linearizable).
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when there is no such key.
    pub async fn get(&self, key: &str) -> Result<Value, ClientError> {
        self.get_with(key, Consistency::Linearizable).await
    }

    /// Reads a key, as fresh as asked.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when there is no such key.
    pub async fn get_with(&self, key: &str, consistency: Consistency) -> Result<Value, ClientError> {
        let target = match consistency {
            Consistency::Linearizable => key_target(key),
            other => format!("{}?consistency={other}", key_target(key)),
        };
        let answer = self.call(read(target)).await.map_err(|error| match error {
            // The answer to a missing key has no body, and so no words.
            ClientError::NotFound(_) => ClientError::NotFound(format!("there is no key {key:?}")),
            other => other,
        })?;
        let tag = answer.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
        let mod_revision = tag.and_then(|tag| tag.trim_matches('"').parse().ok());
        Ok(Value { bytes: answer.body, mod_revision })
    }

    /// Writes a key. It is durable on a majority of the voters when this returns.
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] when it may or may not have been written.
    pub async fn put(&self, key: &str, value: Bytes) -> Result<(), ClientError> {
        let content_type = Some("application/octet-stream");
        self.call(Call { content_type, body: value, ..write(Method::PUT, key_target(key)) }).await.map(drop)
    }

    /// Deletes a key; a key that is not there is no error.
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] when it may or may not have been deleted.
    pub async fn delete(&self, key: &str) -> Result<(), ClientError> {
        self.call(write(Method::DELETE, key_target(key))).await.map(drop)
    }

    /// The view of the first endpoint that answers.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when none answers.
    pub async fn status(&self) -> Result<Status, ClientError> {
        let call = Call { takes_timeout: false, ..read("/raft/status".to_owned()) };
        let (endpoint, answer) = self.try_in_turn(&self.endpoints, &call).await?;
        parse(endpoint, &answer)
    }

    /// The view of one node.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when it does not answer.
    pub async fn status_of(&self, endpoint: &Endpoint) -> Result<Status, ClientError> {
        let call = Call { takes_timeout: false, ..read("/raft/status".to_owned()) };
        let (endpoint, answer) = self.try_in_turn(std::slice::from_ref(endpoint), &call).await?;
        parse(endpoint, &answer)
    }

    /// Who belongs to the cluster.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when no endpoint knows a leader.
    pub async fn members(&self) -> Result<Members, ClientError> {
        let call = read("/raft/members".to_owned());
        let (endpoint, answer) = self.try_in_turn(&self.endpoints, &call).await?;
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
        self.post_json(target, &body).await
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

    /// The whole store, in the format of `data.json`.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when no endpoint could answer in time.
    pub async fn export(&self) -> Result<Bytes, ClientError> {
        self.call(read("/data.json".to_owned())).await.map(|answer| answer.body)
    }

    /// Writes every entry of a `data.json`; keys that are not in it stay as they are.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when an entry can't be decoded (then nothing was written), or it is too large.
    pub async fn import(&self, data_json: Bytes) -> Result<(), ClientError> {
        let call = write(Method::POST, "/data.json".to_owned());
        self.call(Call { content_type: Some(JSON), body: data_json, ..call }).await.map(drop)
    }

    async fn post_json(&self, target: &str, body: &serde_json::Value) -> Result<(), ClientError> {
        let body = body.to_string().into();
        let call = Call { content_type: Some(JSON), body, ..write(Method::POST, target.to_owned()) };
        self.call(call).await.map(drop)
    }

    async fn call(&self, call: Call) -> Result<Answer, ClientError> {
        self.try_in_turn(&self.endpoints, &call).await.map(|(_, answer)| answer)
    }

    /// Tries the endpoints round by round. A write that may have been done ends that, and so does the deadline, or a
    /// round in which nobody was there.
    async fn try_in_turn<'a>(
        &self,
        endpoints: &'a [Endpoint],
        call: &Call,
    ) -> Result<(&'a Endpoint, Answer), ClientError> {
        let deadline = Instant::now() + self.timeout;
        let mut left = self.timeout;
        loop {
            let uris = endpoints.iter().map(|endpoint| uri(endpoint, &target(call, left, endpoints.len())));
            let uris = uris.collect::<Result<Vec<_>, _>>()?;
            let (failures, somebody_is_there) = match self.round(endpoints, uris, call, deadline).await? {
                Round::Done(endpoint, answer) => return Ok((endpoint, answer)),
                Round::Failed { failures, somebody_is_there } => (failures, somebody_is_there),
            };
            // What a node says of itself alone is said at once, or not.
            if !somebody_is_there || !call.takes_timeout || Instant::now() + PAUSE >= deadline {
                return Err(ClientError::Unavailable(failures));
            }
            tokio::time::sleep(PAUSE).await;
            left = deadline.saturating_duration_since(Instant::now());
        }
    }

    async fn round<'a>(
        &self,
        endpoints: &'a [Endpoint],
        uris: Vec<Uri>,
        call: &Call,
        deadline: Instant,
    ) -> Result<Round<'a>, ClientError> {
        let (mut failures, mut somebody_is_there) = (Vec::new(), false);
        for (tried, (endpoint, uri)) in endpoints.iter().zip(uris).enumerate() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let share = remaining / u32::try_from(endpoints.len() - tried).unwrap_or(u32::MAX);
            // A read leaves time for the endpoints after this one; a write that was sent can go nowhere else.
            let patience = if call.effect == Effect::Read { share } else { remaining };
            let failed = |problem| Failed { endpoint: endpoint.clone(), problem };
            match attempt(&self.pool, uri, call, patience).await {
                Attempt::Done(answer) => return Ok(Round::Done(endpoint, answer)),
                Attempt::Final(error) => return Err(error),
                Attempt::Strange(problem) => return Err(ClientError::NotQuorate(failed(problem))),
                Attempt::Lost(problem) if call.effect == Effect::Write => {
                    return Err(ClientError::OutcomeUnknown(failed(problem)));
                }
                Attempt::Lost(problem) | Attempt::NothingHappened(problem) => {
                    somebody_is_there = true;
                    failures.push(failed(problem));
                }
                Attempt::Unreachable(problem) => failures.push(failed(problem)),
            }
        }
        Ok(Round::Failed { failures, somebody_is_there })
    }
}

/// Asks the server to give up before we do: its honest "no leader" is worth more than our "outcome unknown".
fn target(call: &Call, left: Duration, endpoints: usize) -> String {
    let Call { target, takes_timeout, .. } = call;
    if !takes_timeout {
        return target.clone();
    }
    let share = (left / u32::try_from(endpoints).unwrap_or(u32::MAX)).min(LONGEST_SERVER_TIMEOUT);
    let milliseconds = (share.as_millis() * 9 / 10).max(1);
    let separator = if target.contains('?') { '&' } else { '?' };
    format!("{target}{separator}timeout={milliseconds}ms")
}

/// What came of trying every endpoint once.
enum Round<'a> {
    Done(&'a Endpoint, Answer),
    Failed { failures: Vec<Failed>, somebody_is_there: bool },
}

fn read(target: String) -> Call {
    call(Method::GET, target, Effect::Read)
}

fn write(method: Method, target: String) -> Call {
    call(method, target, Effect::Write)
}

fn call(method: Method, target: String, effect: Effect) -> Call {
    Call { method, target, takes_timeout: true, content_type: None, body: Bytes::new(), effect }
}

fn key_target(key: &str) -> String {
    format!("/key/{}", utf8_percent_encode(key, KEY))
}

fn uri(endpoint: &Endpoint, target: &str) -> Result<Uri, ClientError> {
    // Everything in the target is percent-encoded, so only its length can be wrong.
    format!("{endpoint}{target}").parse().map_err(|problem| ClientError::Refused {
        status: 414,
        code: "key_too_long".to_owned(),
        error: format!("a key has at most 4096 bytes; this one gives no URL at all: {problem}"),
    })
}

fn parse<T: DeserializeOwned>(endpoint: &Endpoint, answer: &Answer) -> Result<T, ClientError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let problem = format!("its answer can't be understood: {error}");
        ClientError::NotQuorate(Failed { endpoint: endpoint.clone(), problem })
    })
}
