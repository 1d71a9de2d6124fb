//! Clients: one request at a time, to any node, over a fresh connection; unknown outcomes stay unknown.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{ETAG, HOST, HeaderMap};
use hyper::{Request, Response, StatusCode};
use quorate_server::{Either, Net, Runtime, race, timeout_at};

use crate::history::{Call, Operation, Outcome};
use crate::network::{Host, Network, address};
use crate::observe::Observer;
use crate::plan::Plan;
use crate::random::Random;
use crate::runtime::SimRuntime;

/// The port of HTTP on every server.
pub(crate) const HTTP_PORT: u16 = 8080;

/// How long a client waits for an answer; the server is told to give up earlier.
const PATIENCE: Duration = Duration::from_secs(4);

/// One client.
pub(crate) struct Client {
    pub(crate) number: u8,
    pub(crate) network: Network,
    pub(crate) observer: Observer,
    pub(crate) history: Arc<Mutex<Vec<Operation>>>,
}

/// What came back, as far as anything did.
enum Exchange {
    Answered(Response<Bytes>),
    /// No byte was sent.
    NotSent,
    /// It was sent, and what became of it is not known.
    Silence,
}

impl Client {
    /// Makes the plan's requests, then is done.
    pub(crate) async fn work(self, plan: Arc<Plan>) {
        let mut random = Random::labelled(plan.seed, &format!("client {}", self.number));
        for count in 0..plan.requests {
            let pause = Duration::from_millis(random.between(1, 300));
            self.runtime().sleep(pause).await;
            let to = Host::try_from(random.between(1, plan.servers.into())).unwrap_or(1);
            let key = format!("key-{}", random.between(1, plan.keys));
            let call = match random.between(1, 10) {
                1 => Call::Delete,
                2..=5 => Call::Put(format!("{}.{count}", self.number)),
                _ => Call::Get,
            };
            self.ask(to, key, call).await;
        }
    }

    /// Makes one request and records it.
    pub(crate) async fn ask(&self, to: Host, key: String, call: Call) {
        let invoked = self.runtime().now();
        let exchange = timeout_at(self.runtime(), invoked + PATIENCE, self.exchange(to, &key, &call)).await;
        let answered = self.runtime().now();
        let outcome = outcome(&call, &exchange.unwrap_or(Exchange::Silence), answered.0 * 1_000);
        self.observer.note(
            answered,
            format!("client {} asked {to} since {invoked}: {call:?} {key}: {outcome:?}", self.number),
        );
        let operation = Operation {
            client: self.number.into(),
            key,
            call,
            invoked_nanoseconds: invoked.0 * 1_000,
            outcome,
        };
        self.history.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    fn runtime(&self) -> &SimRuntime {
        &self.network.runtime
    }

    async fn exchange(&self, to: Host, key: &str, call: &Call) -> Exchange {
        let at = format!("{}:{HTTP_PORT}", address(to));
        let Ok(stream) = self.network.at(100 + self.number).dial(&at).await else { return Exchange::NotSent };
        let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(stream).await else {
            return Exchange::NotSent;
        };
        let request = Request::builder().uri(format!("/key/{key}?timeout=3s")).header(HOST, at);
        let request = match call {
            Call::Get => request.method("GET").body(Full::default()),
            Call::Delete => request.method("DELETE").body(Full::default()),
            Call::Put(value) => request.method("PUT").body(Full::new(Bytes::from(value.clone()))),
        };
        let request = request.expect("a plain path and headers make a request");
        let exchange = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>(Response::from_parts(head, body.collect().await?.to_bytes()))
        };
        let mut exchange = std::pin::pin!(exchange);
        let mut connection = std::pin::pin!(connection);
        let answered = match race(exchange.as_mut(), connection.as_mut()).await {
            Either::Left(answered) => answered,
            Either::Right(_) => exchange.await,
        };
        answered.map_or(Exchange::Silence, Exchange::Answered)
    }
}

/// What an exchange says about its operation. Anything that is not a clear answer is unknown.
fn outcome(call: &Call, exchange: &Exchange, at_nanoseconds: u64) -> Outcome {
    let response = match exchange {
        Exchange::Answered(response) => response,
        Exchange::NotSent => return Outcome::Failed,
        Exchange::Silence => return Outcome::Unknown,
    };
    match (call, response.status()) {
        (Call::Get, StatusCode::OK) => {
            let value = String::from_utf8_lossy(response.body()).into_owned();
            Outcome::Read { at_nanoseconds, value: Some(value) }
        }
        (Call::Get, StatusCode::NOT_FOUND) => Outcome::Read { at_nanoseconds, value: None },
        (Call::Put(_), StatusCode::OK) => {
            Outcome::Written { at_nanoseconds, revision: tag(response.headers()) }
        }
        (Call::Delete, StatusCode::OK) => Outcome::Written { at_nanoseconds, revision: None },
        (_, StatusCode::SERVICE_UNAVAILABLE) => Outcome::Failed,
        _ => Outcome::Unknown,
    }
}

fn tag(headers: &HeaderMap) -> Option<u64> {
    headers.get(ETAG)?.to_str().ok()?.trim_matches('"').parse().ok()
}
