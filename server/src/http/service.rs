//! From a connection to requests, and from a request to its handler.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Waking, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use quorate_node::raft::Time;

use super::app::{App, json, refusal};
use super::body::{AnswerBody, BrokenBody, Upload};
use super::checks::check_head;
use super::connections::{Busy, Place};
use super::error::ApiError;
use super::headers::{QUORATE_HISTORY, QUORATE_TIMEOUT, X_REQUEST_ID};
use super::hello::hello;
use super::json::ALIVE;
use super::linger::Linger;
use super::log::{log_answer, log_refusal};
use super::openapi::openapi_json;
use super::paced::Paced;
use super::proxy::speaks_for_node;
use super::request::{Call, Operation, Route, parse_routed, parse_timeout, route_of};
use super::status::version;
use crate::context::Context;
use crate::net::{Listener, Net};
use crate::runtime::{Either, Runtime, race};
use crate::shutdown::ShutdownGuard;
use crate::tokens::{Asker, Sender};

/// How long nothing is accepted after an error. Mostly the process has too many files open, and accepting again at once
/// would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection on which nothing goes on is kept once the shutdown has begun. A request that is on its way is
/// told that this node ends; without that its client could not know that nothing was done.
const LAST_WORD: Duration = Duration::from_millis(100);

/// How long a connection that makes room for another may still take to end.
const PARTING: Duration = Duration::from_secs(1);

/// How long a watcher may then still take to receive what has happened before that.
const LAST_EVENTS: Duration = Duration::from_millis(250);

/// Accepts connections and serves them, until the shutdown begins.
pub(crate) async fn serve<R: Runtime, N: Net>(context: Arc<Context<R, N>>, mut listener: N::Listener) {
    let on_loopback = listener.local_address().is_ok_and(|address| address.ip().is_loopback());
    let app = Arc::new(App::new(Arc::clone(&context), on_loopback));
    let runtime = &context.runtime;
    loop {
        match race(context.shutdown.begun(), listener.accept()).await {
            Either::Left(()) => break,
            Either::Right(Ok((stream, from))) => spawn_connection(stream, from.ip(), &app),
            Either::Right(Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                runtime.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    context.watches.close();
    // Who is in the system's queue already must be told that this node ends: a client that is reset instead could not
    // know that nothing was done.
    for stream in listener.close() {
        spawn_connection(stream, IpAddr::V4(Ipv4Addr::UNSPECIFIED), &app);
    }
}

fn spawn_connection<R: Runtime, N: Net>(stream: N::Stream, address: IpAddr, app: &Arc<App<R, N>>) {
    let Some(place) = app.connections.open() else {
        // Not even to tell them is worth it.
        tracing::debug!(%address, "a connection was closed: there are far too many");
        return;
    };
    let guard = app.context.shutdown.guard();
    let sender = Sender { address, certified: N::Listener::certified(&stream) };
    app.context.runtime.spawn(serve_connection((stream, sender, place), Arc::clone(app), guard));
}

/// Serves one connection to its end. After the shutdown has begun, the request under way is finished and the connection
/// closed.
///
/// The guard was taken when the connection was accepted: between that and this task's first turn the server must not
/// believe that it has nothing left to do.
async fn serve_connection<R: Runtime, N: Net>(
    (stream, sender, place): (N::Stream, Sender, Place),
    app: Arc<App<R, N>>,
    _guard: ShutdownGuard,
) {
    let runtime = &app.context.runtime;
    let unread = Arc::new(AtomicBool::new(false));
    let is_endless = AtomicBool::new(false);
    let stream = Paced::new(stream, runtime, Arc::clone(place.line()));
    let stream = Linger::new(stream, runtime.clone(), Arc::clone(&unread));
    let service = service_fn(|request| {
        let (app, sender, unread, is_endless) = (&app, &sender, &unread, &is_endless);
        let busy = place.begin();
        async move {
            let response = app.answer(request, sender, unread, busy.is_some()).await;
            is_endless.store(matches!(response.body(), AnswerBody::Endless(_)), Ordering::Relaxed);
            Ok::<_, Infallible>(response.map(|body| Answering { body, _busy: busy }))
        }
    });
    let mut builder = http1::Builder::new();
    // `Paced` keeps time, with fewer timers.
    builder.header_read_timeout(None);
    let mut connection = pin!(builder.serve_connection(stream, service));
    let over = async {
        app.context.shutdown.begun().await;
        runtime.sleep(LAST_WORD).await;
    };
    let ended = match race(race(connection.as_mut(), place.line().makes_room()), over).await {
        Either::Left(Either::Left(ended)) => ended,
        Either::Left(Either::Right(())) => {
            tracing::debug!("an idle HTTP connection is closed: there are too many");
            connection.as_mut().graceful_shutdown();
            match race(connection.as_mut(), runtime.sleep(PARTING)).await {
                Either::Left(ended) => ended,
                Either::Right(()) => return,
            }
        }
        Either::Right(()) => {
            connection.as_mut().graceful_shutdown();
            if is_endless.load(Ordering::Relaxed) {
                // Whoever takes nothing would not take the end either.
                match race(connection.as_mut(), runtime.sleep(LAST_EVENTS)).await {
                    Either::Left(ended) => ended,
                    Either::Right(()) => return,
                }
            } else {
                connection.await
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

/// The body of an answer, until whose end the connection is busy.
struct Answering {
    body: AnswerBody,
    _busy: Option<Busy>,
}

impl Body for Answering {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Waking<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is done for a request, on the heap.
type Rare<'a> = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, ApiError>> + Send + 'a>>;

/// What every request brings along, besides its head and body.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// How long it may take. The time starts when the request has arrived whole: a body over a slow line must not use
    /// up the time that the cluster has for it.
    pub(super) timeout: Duration,
    /// Whether a peer passed it on.
    pub(super) is_forwarded: bool,
    /// Whether a node asks, by its certificate, and not a client.
    pub(super) is_for_node: bool,
}

impl<R: Runtime, N: Net> App<R, N> {
    /// Who has no place came when there were too many connections.
    async fn answer(
        &self,
        request: Request<Incoming>,
        sender: &Sender,
        unread: &AtomicBool,
        has_place: bool,
    ) -> Response<AnswerBody> {
        let began = self.now();
        let _in_flight = self.context.metrics.http.in_flight.hold();
        let (mut head, incoming) = request.into_parts();
        let id = self.name(&mut head.headers);
        let span = self.context.telemetry.begin(&mut head);
        let route = route_of(&head.method, head.uri.path());
        let operation = route.as_ref().ok().map(|route| route.operation);
        let held = self.budget.hold();
        let upload = Upload::new(incoming, unread, &held, &self.context.shutdown);
        let answered = if has_place {
            self.call(&head, route, sender, upload).await
        } else {
            Err(ApiError::TooManyConnections { most: self.context.limits.connections })
        };
        let mut response = answered.unwrap_or_else(|error| self.refuse(&id, &error));
        let closes = !has_place || unread.load(Ordering::Relaxed);
        // Not before all is known: so an answer to `/metrics` does not tell of itself.
        self.note(&id, &head, operation, response.status(), began);
        span.end(&response);
        self.sign(response.headers_mut(), id, closes);
        response
    }

    /// Gives a request its name, under which it goes to the leader, too.
    fn name(&self, headers: &mut HeaderMap) -> HeaderValue {
        let id = self.request_ids.of(headers);
        headers.insert(X_REQUEST_ID, id.clone());
        id
    }

    fn refuse(&self, id: &HeaderValue, error: &ApiError) -> Response<AnswerBody> {
        self.context.metrics.http.refused(error.name().1);
        log_refusal(id, error);
        refusal(error)
    }

    /// Counts an answer, and says in the log that it was given.
    fn note(
        &self,
        id: &HeaderValue,
        head: &Parts,
        operation: Option<Operation>,
        status: StatusCode,
        began: Time,
    ) {
        let after = self.now().since(began);
        self.context.metrics.http.answered(operation, status.as_u16(), after);
        log_answer(id, &head.headers, operation, status, after);
    }

    /// Adds what every answer says.
    fn sign(&self, headers: &mut HeaderMap, id: HeaderValue, closes: bool) {
        headers.insert(X_REQUEST_ID, id);
        headers.insert(QUORATE_HISTORY, self.history.clone());
        // Whoever keeps a connection to a node that ends could send a request on it in the moment in which it is
        // closed, and never know what became of it.
        if closes || self.context.shutdown.is_leaving() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Finds out whether it may be done, and what it is, and does it.
    async fn call(
        &self,
        head: &Parts,
        route: Result<Route<'_>, ApiError>,
        sender: &Sender,
        upload: Upload<'_>,
    ) -> Result<Response<AnswerBody>, ApiError> {
        if self.context.shutdown.has_begun() {
            return Err(ApiError::ShuttingDown);
        }
        let is_forwarded = check_head(head, &self.hosts, self.context.identity.node)?.is_some();
        let (route, uri) = (route?, &head.uri);
        let asker = self.admit(route.operation, head, sender).await?;
        let asked = parse_routed(route, &head.method, uri.path(), uri.query(), &head.headers)?;
        asker.must_reach(&asked.call.reach())?;
        let is_for_node = matches!(asker, Asker::Node);
        let terms = Terms { is_for_node, ..self.terms(head, asked.timeout, is_forwarded)? };
        self.perform(head, asked.call, (upload, &asker), terms).await
    }

    async fn perform(
        &self,
        head: &Parts,
        call: Call,
        (upload, asker): (Upload<'_>, &Asker),
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        // Reads and writes of keys are most of what is asked. The others have futures of their own on the heap: a
        // request's future is as large as its largest part, and is moved for each request.
        let rare: Rare<'_> = match call {
            Call::Get(get) => return self.get(get, terms).await,
            Call::Write(write) => return self.write(head, write, (upload, asker), terms).await,
            Call::Hello => return Ok(hello(&head.headers)),
            Call::Livez => return Ok(json(ALIVE)),
            Call::Version => return Ok(version()),
            Call::OpenApi => return Ok(json(openapi_json())),
            Call::Status { verbose: _, live: true } => return self.live(head, asker),
            Call::Watch(watch) => Box::pin(self.watch(head, watch, asker, terms)),
            Call::List(list) => Box::pin(self.list(list, terms)),
            Call::Lease { lease, level } => Box::pin(self.lease(head, lease, level, terms)),
            Call::Export(level) => Box::pin(self.export(level, terms)),
            Call::Backup(backup) => Box::pin(async move { self.backup(head, &backup, terms).await }),
            Call::Readyz { verbose } => Box::pin(self.readyz(verbose)),
            Call::Metrics => Box::pin(self.metrics()),
            Call::Record => Box::pin(self.record(head)),
            Call::Status { verbose, live: false } => Box::pin(self.status(verbose)),
            Call::Members(level) => Box::pin(self.members(level, terms)),
            Call::ChangeMembers(change) => {
                Box::pin(self.change_members(head, change, (upload, asker), terms))
            }
            Call::Snapshot => Box::pin(self.snapshot(terms)),
            Call::Lend(wanted) => Box::pin(self.lend(wanted)),
        };
        rare.await
    }

    /// Who asks, as far as anybody wants to know.
    async fn admit(&self, operation: Operation, head: &Parts, sender: &Sender) -> Result<Asker, ApiError> {
        let Some(guard) = &self.context.guard else {
            let is_node = sender.certified.is_proven() && speaks_for_node(&head.headers);
            return Ok(if is_node { Asker::Node } else { Asker::Anybody });
        };
        guard.admit(&self.context.runtime, operation.need(), &head.headers, sender).await
    }

    /// A peer says how long it will wait in a header of its own: the query stays as the client wrote it.
    fn terms(&self, head: &Parts, timeout: Duration, is_forwarded: bool) -> Result<Terms, ApiError> {
        let mut timeout = timeout;
        if is_forwarded {
            // A peer of another history may have found its old leader's address taken over by this node.
            if head.headers.get(QUORATE_HISTORY) != Some(&self.history) {
                return Err(ApiError::NotLeader { leader_url: None });
            }
            if let Some(given) = head.headers.get(QUORATE_TIMEOUT).and_then(|value| value.to_str().ok()) {
                timeout = parse_timeout(given)?;
            }
        }
        Ok(Terms { timeout, is_forwarded, is_for_node: false })
    }
}
