//! Clients: one request at a time, over a fresh connection, to any server; unknown outcomes stay unknown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{ETAG, HOST, HeaderMap};
use hyper::{Request, Response, StatusCode};
use quorate_node::ReadLevel;
use quorate_node::raft::Time;
use quorate_server::{Either, Net, race};

use super::network::HostNet;
use super::stage::FullStack;
use crate::history::{Call, Outcome};
use crate::identity::{HTTP_PORT, address};
use crate::plan::{FIRST_CLIENT, Host};
use crate::source::{RETRY_PAUSE, Source};
use crate::workload::{Ask, name_of};

/// A client.
pub(super) struct Client {
    stack: FullStack,
    net: HostNet,
    source: Source,
}

/// What came back, as far as anything did.
pub(super) enum Exchange {
    Answered(Response<Bytes>),
    /// No byte was sent.
    NotSent,
    /// It was sent, and what became of it is not known.
    Silence,
}

impl Client {
    pub(super) fn new(stack: &FullStack, number: u8, source: Source) -> Self {
        let net = HostNet::new(stack.clone(), FIRST_CLIENT + number);
        Client { stack: stack.clone(), net, source }
    }

    /// Makes its requests, then is done.
    pub(super) async fn work(mut self) {
        while let Some((pause, ask, to)) = self.source.next(self.stack.clock.now()) {
            self.stack.clock.sleep_until(self.stack.clock.now() + pause).await;
            self.request(ask, to).await;
        }
    }

    /// Makes one request, again and again elsewhere when it was definitely not done.
    async fn request(&mut self, ask: Ask, mut to: Host) {
        let invoked = self.stack.clock.now();
        self.stack.stage().open.insert(ask.client, (invoked, ask.clone()));
        let mut tries = 0;
        // Some try may have been done: that a later one was not says nothing of it.
        let mut may_be_done = false;
        let (outcome, revision) = loop {
            let (mut outcome, revision) = self.attempt(&ask, to).await;
            may_be_done |= outcome == Outcome::Unknown;
            if outcome == Outcome::Failed && may_be_done {
                outcome = Outcome::Unknown;
            }
            if matches!(outcome, Outcome::Failed | Outcome::Unknown) {
                self.source.was_no_help();
            }
            let again = match outcome {
                Outcome::Failed => tries < self.source.retries(),
                Outcome::Unknown => self.source.asks_again(&ask, tries),
                _ => false,
            };
            if !again {
                break (outcome, revision);
            }
            tries += 1;
            to = self.source.elsewhere(to);
            self.stack.clock.sleep_until(self.stack.clock.now() + RETRY_PAUSE).await;
        };
        self.source.settled(&outcome);
        let now = self.stack.clock.now();
        let stage = &mut *self.stack.stage();
        stage.open.remove(&ask.client);
        stage.world.hears(now, invoked, ask, outcome, revision);
    }

    async fn attempt(&self, ask: &Ask, to: Host) -> (Outcome, Option<u64>) {
        let clock = &self.stack.clock;
        let asked = clock.now();
        self.stack.stage().world.asks(asked, ask, to);
        let patience = clock.sleep_until(asked + self.source.patience());
        let exchange = match race(self.exchange(ask, to), patience).await {
            Either::Left(exchange) => exchange,
            Either::Right(()) => Exchange::Silence,
        };
        heard(&exchange, &ask.call, clock.now())
    }

    async fn exchange(&self, ask: &Ask, to: Host) -> Exchange {
        let at = format!("{}:{HTTP_PORT}", address(to));
        exchange(&self.net, &at, self.http_request(ask, &at)).await
    }

    fn http_request(&self, ask: &Ask, at: &str) -> Request<Full<Bytes>> {
        // The server's own word on what became of a request is worth more than a client's guess.
        let timeout = self.source.patience() * 9 / 10;
        let level = match ask.level {
            ReadLevel::Linearizable => "",
            ReadLevel::Lease => "&consistency=lease",
            ReadLevel::Stale => "&consistency=stale",
        };
        let path = match ask.call {
            Call::Swap { .. } => "/txn".to_owned(),
            _ => format!("/key/{}", ask.key),
        };
        let path = format!("{path}?timeout={}ms{level}", timeout.as_millis());
        let method = match ask.call {
            Call::Get => "GET",
            Call::Delete => "DELETE",
            Call::Put(_) => "PUT",
            Call::Swap { .. } => "POST",
        };
        let body = match ask.call {
            Call::Swap { .. } => Bytes::from(swap(ask)),
            _ => ask.value.as_ref().map_or_else(Bytes::new, |value| Bytes::copy_from_slice(value)),
        };
        let mut request = Request::builder().method(method).uri(path).header(HOST, at);
        if ask.is_named {
            request = request.header("idempotency-key", format!("{}.{}", ask.client, ask.number));
        }
        request.body(Full::new(body)).expect("a plain path and headers make a request")
    }
}

/// The body of a transaction that is a swap.
fn swap(ask: &Ask) -> String {
    let key = &ask.key;
    let value = STANDARD.encode(ask.value.as_deref().unwrap_or_default());
    let compare = match &ask.expected {
        Some(expected) => format!(r#""target":"value","op":"=","value":"{}""#, STANDARD.encode(expected)),
        None => r#""target":"mod_revision","op":"=","value":0"#.to_owned(),
    };
    format!(
        r#"{{"compare":[{{"key":"{key}",{compare}}}],"success":[{{"put":{{"key":"{key}","value":"{value}"}}}}],"failure":[]}}"#
    )
}

/// One request over a connection of its own.
pub(super) async fn exchange(net: &HostNet, at: &str, request: Request<Full<Bytes>>) -> Exchange {
    let Ok(stream) = net.dial(at).await else { return Exchange::NotSent };
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(stream).await else {
        return Exchange::NotSent;
    };
    let exchange = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        net.notes_who_passed_on(&head.headers);
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

/// What an exchange says about the request, and the revision that it names.
///
/// # Panics
/// On an answer that no request of ours can have deserved: a fault of the server.
fn heard(exchange: &Exchange, call: &Call, now: Time) -> (Outcome, Option<u64>) {
    let response = match exchange {
        Exchange::Answered(response) => response,
        Exchange::NotSent => return (Outcome::Failed, None),
        Exchange::Silence => return (Outcome::Unknown, None),
    };
    let at_nanoseconds = now.0 * 1_000;
    let revision = tag(response.headers());
    match (call, response.status()) {
        (Call::Get, StatusCode::OK) => {
            let value = Some(name_of(response.body()));
            (Outcome::Read { at_nanoseconds, value }, revision)
        }
        (Call::Get, StatusCode::NOT_FOUND) => (Outcome::Read { at_nanoseconds, value: None }, None),
        (Call::Swap { .. }, StatusCode::OK) => swapped(response.body(), at_nanoseconds),
        (Call::Put(_), StatusCode::OK) => (Outcome::Written { at_nanoseconds, revision }, revision),
        (Call::Delete, StatusCode::OK) => (Outcome::Written { at_nanoseconds, revision: None }, None),
        (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE) => (Outcome::Failed, None),
        // The body came too slowly over a bad link: nothing has been done with it.
        (_, StatusCode::REQUEST_TIMEOUT) => (Outcome::Failed, None),
        (_, StatusCode::GATEWAY_TIMEOUT) => (Outcome::Unknown, None),
        (_, status) => panic!("{call:?} was answered {status}: {}", String::from_utf8_lossy(response.body())),
    }
}

/// What the answer to a swap says.
fn swapped(body: &[u8], at_nanoseconds: u64) -> (Outcome, Option<u64>) {
    let answer: serde_json::Value =
        serde_json::from_slice(body).expect("a transaction is answered with JSON");
    let revision = answer["results"][0]["put"]["mod_revision"].as_u64();
    match answer["succeeded"].as_bool() {
        Some(true) => (Outcome::Written { at_nanoseconds, revision }, revision),
        Some(false) => (Outcome::Refused { at_nanoseconds }, None),
        None => panic!("a swap was answered {answer}"),
    }
}

fn tag(headers: &HeaderMap) -> Option<u64> {
    headers.get(ETAG)?.to_str().ok()?.trim_matches('"').parse().ok()
}
