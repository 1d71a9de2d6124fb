//! How auditors ask servers over HTTP, and what answers come to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ETAG, HOST, HeaderMap, IF_MATCH, IF_NONE_MATCH};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};
use quorate_server::{Either, Entry, race};
use serde_json::{Value, json};

use super::clients::{Exchange, exchange};
use super::network::HostNet;
use super::stage::FullStack;
use crate::audit::{Account, Auditor, Errand, FIRST_AUDITOR, Found, Habits, PATIENCE};
use crate::identity::{HTTP_PORT, address};
use crate::observe::Observation;
use crate::plan::{FIRST_CLIENT, Host};
use crate::workload::{name_of, value_of};

/// What changes they see by a watch beside; and a request costs far more here than on the core stack.
pub(super) const HABITS: Habits = Habits { follows: false, longest_pause_ms: 1_200 };

/// An auditor at work.
pub(super) struct Auditing {
    stack: FullStack,
    net: HostNet,
    name: u8,
    auditor: Auditor,
    /// Up to which revision its watch has seen everything.
    watched: Arc<AtomicU64>,
    /// Where a list goes on: its revision, the last key that was given, and the cursor.
    cursor: Option<(u64, String, String)>,
}

impl Auditing {
    pub(super) fn new(stack: &FullStack, number: u8, auditor: Auditor, watched: &Arc<AtomicU64>) -> Self {
        let name = FIRST_AUDITOR + number;
        let net = HostNet::new(stack.clone(), FIRST_CLIENT + name);
        let watched = Arc::clone(watched);
        Auditing { stack: stack.clone(), net, name, auditor, watched, cursor: None }
    }

    /// Goes on until nobody lets it any more.
    pub(super) async fn work(mut self) {
        loop {
            let now = self.stack.clock.now();
            self.auditor.has_watched(self.watched.load(Ordering::Relaxed));
            let (number, errand, to) = self.auditor.asks(now);
            self.stack.observe(Observation::Errand { auditor: self.name, number, errand: errand.clone() });
            let account = self.runs(number, &errand, to).await;
            let pause = self.auditor.hears(&account, self.stack.clock.now());
            self.stack.observe(Observation::Account { auditor: self.name, number, account });
            self.stack.clock.sleep_until(self.stack.clock.now() + pause).await;
        }
    }

    async fn runs(&mut self, number: u64, errand: &Errand, to: Host) -> Account {
        let at = format!("{}:{HTTP_PORT}", address(to));
        let request = self.request(number, errand, &at);
        let patience = self.stack.clock.sleep_until(self.stack.clock.now() + PATIENCE);
        let exchange = match race(exchange(&self.net, &at, request), patience).await {
            Either::Left(exchange) => exchange,
            Either::Right(()) => Exchange::Silence,
        };
        match exchange {
            Exchange::NotSent => Account::Failed,
            Exchange::Silence => Account::Unknown,
            Exchange::Answered(response) => self.account(errand, &response),
        }
    }

    fn request(&self, number: u64, errand: &Errand, at: &str) -> Request<Full<Bytes>> {
        let (builder, body) = match errand {
            Errand::Past { key, revision } => {
                (get(&format!("/key/{key}"), &format!("consistency=stale&revision={revision}")), Bytes::new())
            }
            Errand::List { .. } => (get("/keys", &self.list(errand)), Bytes::new()),
            Errand::Transfer { expected, writes } => {
                (post("/txn"), Bytes::from(transfer(expected, writes).to_string()))
            }
            Errand::Guarded { key, value, seen } => {
                let builder = put(key, "");
                let builder = match seen {
                    0 => builder.header(IF_NONE_MATCH, "*"),
                    seen => builder.header(IF_MATCH, format!("\"{seen}\"")),
                };
                (builder, bytes(value))
            }
            Errand::Fleeting { key, value, ttl_ms } => (put(key, &format!("&ttl={ttl_ms}ms")), bytes(value)),
            Errand::Leased { key, value, lease } => {
                (put(key, &format!("&lease={}", lease_name(*lease))), bytes(value))
            }
            Errand::Grant { ttl_ms } => {
                (post("/leases"), Bytes::from(json!({ "ttl": format!("{ttl_ms}ms") }).to_string()))
            }
            Errand::KeepAlive { lease } => {
                (post(&format!("/leases/{}/keepalive", lease_name(*lease))), Bytes::new())
            }
            Errand::Revoke { lease } => {
                (builder(Method::DELETE, &format!("/leases/{}", lease_name(*lease)), ""), Bytes::new())
            }
            Errand::Follow { .. } | Errand::Watch { .. } => unreachable!("watchers do that"),
        };
        let builder = match errand.is_named() {
            true => builder.header("idempotency-key", format!("{}.{number}", self.name)),
            false => builder,
        };
        builder.header(HOST, at).body(Full::new(body)).expect("plain paths and headers make a request")
    }

    fn list(&self, errand: &Errand) -> String {
        let Errand::List { prefix, after, limit, revision, fresh } = errand else { return String::new() };
        let level = if *fresh { "linearizable" } else { "stale" };
        let mut query = format!("consistency={level}&limit={limit}");
        if let (Some(after), Some(revision)) = (after, revision) {
            if let Some((of, last, cursor)) = &self.cursor
                && of == revision
                && last == after
            {
                return format!("{query}&cursor={cursor}");
            }
            query += &format!("&after={after}");
        }
        if let Some(revision) = revision {
            query += &format!("&revision={revision}");
        }
        format!("{query}&prefix={prefix}")
    }

    /// What an answer to an errand comes to.
    ///
    /// # Panics
    /// On an answer that no request of ours can have deserved: a fault of the server.
    fn account(&mut self, errand: &Errand, response: &Response<Bytes>) -> Account {
        let is_replay = response.headers().contains_key("idempotency-replayed");
        let store = || number(response.headers(), "quorate-revision").expect("what was done has a revision");
        match (response.status(), errand) {
            (
                StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::INSUFFICIENT_STORAGE
                // The body came too slowly over a bad link: nothing has been done with it.
                | StatusCode::REQUEST_TIMEOUT,
                _,
            ) => Account::Failed,
            (StatusCode::GATEWAY_TIMEOUT, _) => Account::Unknown,
            (StatusCode::OK, Errand::Past { .. }) => {
                let written_at = tag(response.headers()).expect("a value that was read has a tag");
                let value = name_of(response.body());
                Account::Was { found: Some(Found { value, written_at, since: None }) }
            }
            (StatusCode::NOT_FOUND, Errand::Past { .. }) => Account::Was { found: None },
            (StatusCode::GONE, Errand::Past { .. } | Errand::List { .. }) => {
                let oldest = body(response)["oldest"].as_u64().expect("what is gone ends somewhere");
                Account::Gone { oldest, newest: None }
            }
            (
                StatusCode::BAD_REQUEST,
                Errand::Past { revision, .. } | Errand::List { revision: Some(revision), .. },
            ) if is_ahead(response, *revision) => Account::Ahead { newest: None },
            (StatusCode::OK, Errand::List { .. }) => self.listed(&body(response)),
            (StatusCode::OK, Errand::Transfer { .. }) => transferred(&body(response), is_replay),
            (
                StatusCode::OK,
                Errand::Guarded { .. } | Errand::Fleeting { .. } | Errand::Leased { .. },
            ) => {
                let revision = tag(response.headers()).expect("a value that was written has a tag");
                Account::Done { revision, is_replay }
            }
            (StatusCode::PRECONDITION_FAILED, Errand::Guarded { .. }) => {
                Account::Taken { revision: store(), there: tag(response.headers()), is_replay }
            }
            (StatusCode::OK, Errand::Grant { .. } | Errand::KeepAlive { .. }) => {
                let answer = body(response);
                let lease = answer["lease"].as_str().and_then(|lease| u64::from_str_radix(lease, 16).ok());
                Account::Lives { lease: lease.expect("a lease has a name") }
            }
            (
                StatusCode::NOT_FOUND,
                Errand::KeepAlive { .. } | Errand::Leased { .. } | Errand::Revoke { .. },
            ) => Account::NoLease,
            (StatusCode::OK, Errand::Revoke { .. }) => Account::Revoked { revision: store() },
            (status, _) => {
                panic!("{errand:?} was answered {status}: {}", String::from_utf8_lossy(response.body()))
            }
        }
    }

    fn listed(&mut self, answer: &Value) -> Account {
        let revision = answer["revision"].as_u64().expect("a list is of a revision");
        let keys = answer["keys"].as_array().into_iter().flatten().map(|entry| {
            let entry: Entry = serde_json::from_value(entry.clone()).expect("a list has entries");
            (entry.key.clone(), found(&entry))
        });
        let keys: Vec<(String, Found)> = keys.collect();
        let more = answer["more"].as_bool().expect("a list says whether it goes on");
        self.cursor = keys.last().filter(|_| more).map(|(last, _)| {
            let cursor = answer["next"].as_str().expect("a list that goes on says where");
            (revision, last.clone(), cursor.to_owned())
        });
        Account::Listed { revision, keys, more }
    }
}

fn builder(method: Method, path: &str, query: &str) -> Builder {
    // The server's own word on what became of a request is worth more than a client's guess.
    let timeout = PATIENCE * 9 / 10;
    Request::builder().method(method).uri(format!("{path}?timeout={}ms{query}", timeout.as_millis()))
}

fn get(path: &str, query: &str) -> Builder {
    builder(Method::GET, path, &format!("&{query}"))
}

fn post(path: &str) -> Builder {
    builder(Method::POST, path, "")
}

fn put(key: &str, query: &str) -> Builder {
    builder(Method::PUT, &format!("/key/{key}"), query)
}

fn bytes(value: &str) -> Bytes {
    Bytes::copy_from_slice(&value_of(value, 0))
}

fn lease_name(lease: u64) -> String {
    format!("{lease:016x}")
}

/// The body of a transaction that is a transfer.
fn transfer(expected: &[(String, Option<String>)], writes: &[(String, String)]) -> Value {
    let encoded = |value: &str| STANDARD.encode(value_of(value, 0));
    let compare = |(key, value): &(String, Option<String>)| match value {
        Some(value) => json!({ "key": key, "target": "value", "op": "=", "value": encoded(value) }),
        None => json!({ "key": key, "target": "mod_revision", "op": "=", "value": 0 }),
    };
    let put = |(key, value): &(String, String)| json!({ "put": { "key": key, "value": encoded(value) } });
    let get = |(key, _): &(String, Option<String>)| json!({ "get": { "key": key } });
    json!({
        "compare": expected.iter().map(compare).collect::<Vec<_>>(),
        "success": writes.iter().map(put).collect::<Vec<_>>(),
        "failure": expected.iter().map(get).collect::<Vec<_>>(),
    })
}

/// What the answer to a transaction says.
fn transferred(answer: &Value, is_replay: bool) -> Account {
    let revision = answer["revision"].as_u64().expect("a transaction has a revision");
    if answer["succeeded"] == true {
        return Account::Done { revision, is_replay };
    }
    let got = answer["results"].as_array().into_iter().flatten().map(|result| {
        let entry: Option<Entry> = serde_json::from_value(result["get"].clone()).expect("a get has an entry");
        entry.as_ref().map(found)
    });
    Account::Differs { revision, found: got.collect(), is_replay }
}

/// What an entry in JSON says.
pub(super) fn found(entry: &Entry) -> Found {
    Found {
        value: name_of(entry.value.as_deref().unwrap_or_default()),
        written_at: entry.mod_revision,
        since: Some((entry.create_revision, entry.version)),
    }
}

/// Whether the server has not come as far as a revision, which it calls a bad query.
fn is_ahead(response: &Response<Bytes>, revision: u64) -> bool {
    let error = body(response);
    let said = format!("the query parameter revision is {revision}, and the store is at ");
    error["code"] == "bad_query" && error["error"].as_str().is_some_and(|text| text.starts_with(&said))
}

fn body(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).expect("the answer is JSON")
}

fn tag(headers: &HeaderMap) -> Option<u64> {
    headers.get(ETAG)?.to_str().ok()?.trim_matches('"').parse().ok()
}

/// The number in a header.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
