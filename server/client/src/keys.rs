//! Reading, writing and deleting one key. Each is a request that is described step by step, and sent when awaited.

use crate::answer::{Value, Written};
use crate::client::Client;
use crate::consistency::Consistency;
use crate::entry::{Entry, LeaseId};
use crate::error::ClientError;
use crate::exchange::{Answer, Call, IDEMPOTENCY_KEY};
use crate::lease::ttl_text;
use crate::query::Target;
use bytes::Bytes;
use hyper::Method;
use hyper::header::{ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

/// What a request that is awaited runs as.
pub(crate) type Sent<'a, T> = Pin<Box<dyn Future<Output = Result<T, ClientError>> + Send + 'a>>;

impl Client {
    /// Reads a key, linearizable unless asked otherwise.
    ///
    /// ```no_run
    /// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::ClientError> {
    /// let now = client.get("greeting").await?;
    /// if let Some(revision) = now.mod_revision {
    ///     let before = client.get("greeting").revision(revision - 1).await?;
    ///     println!("{:?}, before {:?}", now.bytes, before.bytes);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when there is no such key; [`ClientError::Compacted`] of a past that is gone.
    pub fn get<'a>(&'a self, key: &'a str) -> Get<'a> {
        Get { client: self, key, consistency: Consistency::Linearizable, revision: None }
    }

    /// Writes a key. It is durable on a majority of the voters when this returns.
    ///
    /// ```no_run
    /// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::ClientError> {
    /// # use std::time::Duration;
    /// client.put("greeting", "hello".into()).await?;
    /// client.put("session/7", "alice".into()).ttl(Duration::from_secs(30)).await?;
    /// let seen = client.get("greeting").await?.mod_revision.unwrap_or(0);
    /// client.put("greeting", "good day".into()).if_match(seen).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] when it may or may not have been written; [`ClientError::PreconditionFailed`],
    /// [`ClientError::LeaseNotFound`], [`ClientError::Locked`].
    pub fn put<'a>(&'a self, key: &'a str, value: Bytes) -> Put<'a> {
        Put { client: self, key, value, conditions: Conditions::default(), ttl: None, lease: None }
    }

    /// Deletes a key; a key that is not there is no error.
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] when it may or may not have been deleted; [`ClientError::PreconditionFailed`],
    /// [`ClientError::Locked`].
    pub fn delete<'a>(&'a self, key: &'a str) -> Delete<'a> {
        Delete { client: self, key, conditions: Conditions::default() }
    }
}

/// A read of one key; see [`Client::get`].
#[derive(Clone, Debug)]
#[must_use = "nothing is read before it is awaited"]
pub struct Get<'a> {
    client: &'a Client,
    key: &'a str,
    consistency: Consistency,
    revision: Option<u64>,
}

impl<'a> Get<'a> {
    /// As fresh as this.
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// As it was at this revision of the store.
    pub fn revision(mut self, revision: u64) -> Self {
        self.revision = Some(revision);
        self
    }

    /// Reads it with its revisions.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn entry(self) -> Result<Entry, ClientError> {
        // The key itself, if it is there, is the first of those from it on.
        let mut list = self.client.list().consistency(self.consistency).range(self.key, "").limit(1);
        if let Some(revision) = self.revision {
            list = list.revision(revision);
        }
        let first = list.begin().await?.next().await?;
        first.filter(|entry| entry.key == self.key).ok_or_else(|| no_such_key(self.key))
    }

    async fn send(self) -> Result<Value, ClientError> {
        let mut target = Target::key(self.key);
        target.add_some("consistency", named(self.consistency));
        target.add_some("revision", self.revision);
        let answer = self.client.call(Call::read(target.text())).await.map_err(|error| match error {
            // The answer to a missing key has no body, and so no words.
            ClientError::NotFound(_) => no_such_key(self.key),
            other => other,
        })?;
        Ok(Value { mod_revision: mod_revision(&answer), bytes: answer.body })
    }
}

impl<'a> IntoFuture for Get<'a> {
    type Output = Result<Value, ClientError>;
    type IntoFuture = Sent<'a, Value>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// The default is not written.
pub(crate) fn named(consistency: Consistency) -> Option<Consistency> {
    (consistency != Consistency::Linearizable).then_some(consistency)
}

fn no_such_key(key: &str) -> ClientError {
    ClientError::NotFound(format!("there is no key {key:?}"))
}

fn mod_revision(answer: &Answer) -> Option<u64> {
    answer.header(ETAG).and_then(|tag| tag.trim_matches('"').parse().ok())
}

/// What must hold for a write, and the name under which it is done once.
#[derive(Clone, Debug, Default)]
struct Conditions {
    headers: HeaderMap,
    bad_key: Option<String>,
}

impl Conditions {
    fn if_match(&mut self, mod_revision: u64) {
        let tag = HeaderValue::try_from(format!("\"{mod_revision}\""));
        self.headers.insert(IF_MATCH, tag.expect("digits are a header value"));
    }

    fn idempotency_key(&mut self, key: &str) {
        match HeaderValue::from_str(key) {
            Ok(value) => drop(self.headers.insert(IDEMPOTENCY_KEY, value)),
            Err(_) => self.bad_key = Some(key.to_owned()),
        }
    }

    fn call(self, method: Method, target: Target) -> Result<Call, ClientError> {
        match self.bad_key {
            None => Ok(Call { headers: self.headers, ..Call::write(method, target.text()) }),
            Some(key) => Err(ClientError::Refused {
                status: 400,
                code: "malformed".to_owned(),
                error: format!("the idempotency key {key:?} can't be a header: use visible ASCII"),
            }),
        }
    }
}

/// A write of one key; see [`Client::put`].
#[derive(Clone, Debug)]
#[must_use = "nothing is written before it is awaited"]
pub struct Put<'a> {
    client: &'a Client,
    key: &'a str,
    value: Bytes,
    conditions: Conditions,
    ttl: Option<Duration>,
    lease: Option<LeaseId>,
}

impl<'a> Put<'a> {
    /// Only if the key was last written by this revision.
    pub fn if_match(mut self, mod_revision: u64) -> Self {
        self.conditions.if_match(mod_revision);
        self
    }

    /// Only if there is no such key.
    pub fn if_absent(mut self) -> Self {
        self.conditions.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        self
    }

    /// It goes by itself after this time: 1 s to 10 years.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// It goes when this lease ends.
    pub fn lease(mut self, lease: &LeaseId) -> Self {
        self.lease = Some(lease.clone());
        self
    }

    /// The name under which it is done at most once: 1 to 128 visible ASCII characters. Who repeats the same write with
    /// it within ten minutes, even from another process, gets the answer of the first.
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.conditions.idempotency_key(key);
        self
    }

    async fn send(self) -> Result<Written, ClientError> {
        let mut target = Target::key(self.key);
        target.add_some("ttl", self.ttl.map(ttl_text));
        target.add_some("lease", self.lease);
        let call = self.conditions.call(Method::PUT, target)?;
        let answer = self.client.call(call.with_body("application/octet-stream", self.value)).await?;
        let is_replay = answer.header("idempotency-replayed") == Some("true");
        Ok(Written { mod_revision: mod_revision(&answer), is_replay })
    }
}

impl<'a> IntoFuture for Put<'a> {
    type Output = Result<Written, ClientError>;
    type IntoFuture = Sent<'a, Written>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A deletion of one key; see [`Client::delete`].
#[derive(Clone, Debug)]
#[must_use = "nothing is deleted before it is awaited"]
pub struct Delete<'a> {
    client: &'a Client,
    key: &'a str,
    conditions: Conditions,
}

impl<'a> Delete<'a> {
    /// Only if the key was last written by this revision.
    pub fn if_match(mut self, mod_revision: u64) -> Self {
        self.conditions.if_match(mod_revision);
        self
    }

    /// As [`Put::idempotency_key`].
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.conditions.idempotency_key(key);
        self
    }

    async fn send(self) -> Result<(), ClientError> {
        let call = self.conditions.call(Method::DELETE, Target::key(self.key))?;
        self.client.call(call).await.map(drop)
    }
}

impl<'a> IntoFuture for Delete<'a> {
    type Output = Result<(), ClientError>;
    type IntoFuture = Sent<'a, ()>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
