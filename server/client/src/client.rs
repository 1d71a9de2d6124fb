//! How a call finds an endpoint that answers it.

use crate::endpoint::Endpoint;
use crate::error::{ClientError, Failed};
use crate::exchange::{Answer, Attempt, Call, Effect, Extent, IDEMPOTENCY_KEY, Pool, attempt};
use crate::tls::{Connector, Tls};
use crate::token::Token;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::legacy::Builder;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// The longest deadline that a server accepts in `?timeout=`.
pub(crate) const LONGEST_SERVER_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause before all endpoints are tried again.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// A further round begins only with as much time left. A write sent with less would often end as unknown, when until
/// then it is known that nothing was done.
const LAST_CALL: Duration = Duration::from_millis(100);

/// A client of one cluster. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    endpoints: Vec<Endpoint>,
    timeout: Duration,
    pool: Pool,
    makes_keys: bool,
}

impl Client {
    /// A client that tries `endpoints` in this order, and gives each call at most `timeout` in all. As long as somebody
    /// answers and nothing was done, it goes on trying until then; when nobody is there at all, one round is enough.
    ///
    /// # Panics
    /// When `endpoints` is empty.
    pub fn new(endpoints: Vec<Endpoint>, timeout: Duration) -> Self {
        assert!(!endpoints.is_empty(), "a client needs at least one endpoint");
        let pool = pool(&endpoints, timeout, None);
        Self { endpoints, timeout, pool, makes_keys: true }
    }

    /// The same client, with connections of its own, which speaks TLS to endpoints whose scheme is `https`. Without
    /// this it can't reach them.
    #[must_use]
    pub fn with_tls(&self, tls: &Tls) -> Self {
        let token = self.pool.token.clone();
        Self { pool: Pool { token, ..pool(&self.endpoints, self.timeout, Some(tls)) }, ..self.clone() }
    }

    /// The same client, which shows a token to every endpoint.
    #[must_use]
    pub fn with_token(&self, token: &Token) -> Self {
        Self { pool: Pool { token: Some(token.clone()), ..self.pool.clone() }, ..self.clone() }
    }

    /// The same client, whose writes have no idempotency key unless one is given. So a write whose answer is lost is
    /// not sent again, and [`ClientError::OutcomeUnknown`] is told at once. It spares the cluster a row of about 100
    /// bytes a write, for ten minutes.
    #[must_use]
    pub fn without_idempotency_keys(&self) -> Self {
        Self { makes_keys: false, ..self.clone() }
    }

    /// The same client, which gives each call so much time.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The endpoints, in the order they are tried.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// How long a call may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) async fn call(&self, call: Call) -> Result<Answer, ClientError> {
        self.in_turn(&self.endpoints, call).await.map(|(_, answer)| answer)
    }

    /// Sends a call of which the answer is JSON.
    pub(crate) async fn call_for<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let (endpoint, answer): (_, Answer) = self.in_turn(&self.endpoints, call).await?;
        parse(endpoint, &answer)
    }

    /// Tries the endpoints round by round, until the deadline, or a round in which nobody was there. A write that may
    /// have been done is sent again only under its idempotency key; that, too, until the deadline.
    pub(crate) async fn in_turn<'a, T: Extent>(
        &self,
        endpoints: &'a [Endpoint],
        mut call: Call,
    ) -> Result<(&'a Endpoint, T), ClientError> {
        self.name(&mut call);
        let deadline = Instant::now() + self.timeout;
        let (mut left, mut may_be_done) = (self.timeout, None);
        loop {
            let uris = endpoints.iter().map(|endpoint| uri(endpoint, &target(&call, left, endpoints.len())));
            let uris = uris.collect::<Result<Vec<_>, _>>()?;
            let round = self.round(endpoints, uris, &mut call, &mut may_be_done, deadline).await?;
            let (failures, somebody_is_there) = match round {
                Round::Done(endpoint, answer) => return Ok((endpoint, answer)),
                Round::Failed { failures, somebody_is_there } => (failures, somebody_is_there),
            };
            // What a node says of itself alone is said at once, or not.
            let goes_on = call.takes_timeout && (somebody_is_there || may_be_done.is_some());
            if goes_on {
                tokio::time::sleep(PAUSE).await;
            }
            // Looked at after the pause, for that may have been longer than it should.
            left = deadline.saturating_duration_since(Instant::now());
            if !goes_on || left < LAST_CALL {
                return Err(
                    may_be_done.map_or(ClientError::Unavailable(failures), ClientError::OutcomeUnknown)
                );
            }
        }
    }

    /// Gives a call an idempotency key when it needs one.
    fn name(&self, call: &mut Call) {
        if call.effect == Effect::Once && !call.headers.contains_key(IDEMPOTENCY_KEY) {
            if self.makes_keys {
                let key = format!("{:032x}", rand::random::<u128>());
                call.headers
                    .insert(IDEMPOTENCY_KEY, HeaderValue::try_from(key).expect("hex digits are valid"));
            } else {
                call.effect = Effect::Single;
            }
        }
    }

    async fn round<'a, T: Extent>(
        &self,
        endpoints: &'a [Endpoint],
        uris: Vec<Uri>,
        call: &mut Call,
        may_be_done: &mut Option<Failed>,
        deadline: Instant,
    ) -> Result<Round<'a, T>, ClientError> {
        let (mut failures, mut somebody_is_there) = (Vec::new(), false);
        for (tried, (endpoint, uri)) in endpoints.iter().zip(uris).enumerate() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let share = remaining / u32::try_from(endpoints.len() - tried).unwrap_or(u32::MAX);
            // What may be repeated leaves time for the endpoints after this one.
            let patience = if call.effect == Effect::Single { remaining } else { share };
            let mut came = attempt(&self.pool, uri.clone(), call, patience).await;
            // A full table refuses the key, not the write. Without a key it is sent once, and not again; so not when
            // an earlier try of it may still arrive.
            if matches!(came, Attempt::KeysFull(_)) && may_be_done.is_none() {
                call.forget_key();
                let remaining = deadline.saturating_duration_since(Instant::now());
                came = attempt(&self.pool, uri, call, remaining).await;
            }
            let failed = |problem| Failed { endpoint: endpoint.clone(), problem };
            match came {
                Attempt::Done(answer) => return Ok(Round::Done(endpoint, answer)),
                Attempt::Final(error) => return Err(refused(error, may_be_done.take())),
                Attempt::Strange(problem) => {
                    return Err(refused(ClientError::NotQuorate(failed(problem)), may_be_done.take()));
                }
                Attempt::Lost(problem) if call.effect == Effect::Single => {
                    return Err(ClientError::OutcomeUnknown(failed(problem)));
                }
                Attempt::Lost(problem) => {
                    somebody_is_there = true;
                    if call.effect == Effect::Once {
                        *may_be_done = Some(failed(problem.clone()));
                    }
                    failures.push(failed(problem));
                }
                Attempt::NothingHappened(problem) | Attempt::KeysFull(problem) => {
                    somebody_is_there = true;
                    failures.push(failed(problem));
                }
                Attempt::Unreachable(problem) => failures.push(failed(problem)),
            }
        }
        Ok(Round::Failed { failures, somebody_is_there })
    }
}

fn pool(endpoints: &[Endpoint], timeout: Duration, tls: Option<&Tls>) -> Pool {
    let share = timeout / u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
    // Less than the request has: so it is told what took so long, and known that nothing was sent.
    let connector = Connector::new(tls, share * 9 / 10);
    let connections = Builder::new(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    Pool { connections, token: None }
}

/// What a refusal means when an earlier try of the same request may still arrive. One that is remembered under the key,
/// or that any node gives at any time, holds for both; another one says nothing about the earlier try.
fn refused(error: ClientError, may_be_done: Option<Failed>) -> ClientError {
    match (error, may_be_done) {
        (ClientError::Refused { status: 500.., .. } | ClientError::NotQuorate(_), Some(failed)) => {
            ClientError::OutcomeUnknown(failed)
        }
        (error, _) => error,
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
enum Round<'a, T> {
    Done(&'a Endpoint, T),
    Failed { failures: Vec<Failed>, somebody_is_there: bool },
}

pub(crate) fn uri(endpoint: &Endpoint, target: &str) -> Result<Uri, ClientError> {
    // Everything in the target is percent-encoded, so only its length can be wrong.
    format!("{endpoint}{target}").parse().map_err(|problem| ClientError::Refused {
        status: 414,
        code: "key_too_long".to_owned(),
        error: format!("a key has at most 4096 bytes; this one gives no URL at all: {problem}"),
    })
}

pub(crate) fn parse<T: DeserializeOwned>(endpoint: &Endpoint, answer: &Answer) -> Result<T, ClientError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let problem = format!("its answer can't be understood: {error}");
        ClientError::NotQuorate(Failed { endpoint: endpoint.clone(), problem })
    })
}
