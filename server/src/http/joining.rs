//! What a node answers while it waits for others: that it lives, and that it can't serve yet. One that was a member and
//! has lost its state says so, and who it was: so others of that kind can tell whether a quorum is left. What is sound
//! of its checkpoints it lends, and so nodes that are all damaged mend each other.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

use super::app::{json, refusal};
use super::body::AnswerBody;
use super::error::ApiError;
use super::headers::X_REQUEST_ID;
use super::hello::{hello, wants_page};
use super::json::ALIVE;
use super::lending::Lender;
use super::linger::Linger;
use super::log::{log_answer, log_refusal};
use super::request::{Call, Route, parse_routed, route_of};
use super::request_ids::RequestIds;
use super::status::{joining_readiness, version};
use crate::net::Listener;
use crate::runtime::{HyperTimer, Runtime, race};
use crate::shutdown::Shutdown;
use crate::tokens::{Asker, Guard, Sender};

/// How long a request's head may take. Each connection is for one request, so that none is left when the node has
/// joined and answers for real.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long nothing is accepted after an error, as afterwards.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where HTTP connections arrive, and who asks them for tokens.
#[derive(Debug)]
pub(crate) struct Reception<L> {
    pub(crate) listener: L,
    pub(crate) guard: Option<Arc<Guard>>,
}

/// What a node waits for.
#[derive(Clone, Debug)]
pub(crate) enum WaitsFor {
    /// To be taken into a cluster.
    Cluster,
    /// For pieces of its checkpoints.
    Pieces(Lender),
    /// To be taken in under a new id: it has lost its state.
    Successor(Lender),
}

impl WaitsFor {
    fn refusal(&self) -> ApiError {
        match self {
            WaitsFor::Cluster => ApiError::Joining,
            WaitsFor::Pieces(_) => ApiError::Mending,
            WaitsFor::Successor(former) => ApiError::ComingBack { former: former.identity.node },
        }
    }
}

/// Answers at `reception` for as long as it is polled; what was accepted ends with `over`.
pub(crate) async fn serve_joining<R: Runtime, L>(
    runtime: &R,
    reception: &mut Reception<L>,
    over: &Shutdown,
    waits: &WaitsFor,
) -> Infallible
where
    L: Listener<Stream: Read + Write + Unpin + Send + 'static>,
{
    let waiting = Arc::new(Waiting {
        runtime: runtime.clone(),
        guard: reception.guard.clone(),
        waits: waits.clone(),
        request_ids: RequestIds::new(runtime.random()),
    });
    loop {
        match reception.listener.accept().await {
            Ok((stream, from)) => {
                let sender = Sender { address: from.ip(), certified: L::certified(&stream) };
                runtime.spawn(serve_connection((stream, sender), Arc::clone(&waiting), over.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                runtime.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection<R: Runtime, S>(
    (stream, sender): (S, Sender),
    waiting: Arc<Waiting<R>>,
    over: Shutdown,
) where
    S: Read + Write + Unpin + Send + 'static,
{
    let unread = Arc::new(AtomicBool::new(false));
    let runtime = &waiting.runtime;
    let stream = Linger::new(stream, runtime.clone(), Arc::clone(&unread));
    let service = service_fn(|request: Request<Incoming>| {
        unread.store(!request.body().is_end_stream(), Ordering::Relaxed);
        let (waiting, sender) = (&waiting, &sender);
        async move { Ok::<_, Infallible>(waiting.answer(&request, sender).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(HyperTimer::new(runtime.clone())).header_read_timeout(HEAD_TIMEOUT).keep_alive(false);
    // Its error matters to nobody: the client sees it too.
    let _ = race(pin!(builder.serve_connection(stream, service)), over.begun()).await;
}

/// A node that waits, as its connections know it.
struct Waiting<R> {
    runtime: R,
    guard: Option<Arc<Guard>>,
    waits: WaitsFor,
    request_ids: RequestIds,
}

impl<R: Runtime> Waiting<R> {
    /// Each has a name and its lines in the log, as at a node that serves. Nobody counts them yet.
    async fn answer<B>(&self, request: &Request<B>, sender: &Sender) -> Response<AnswerBody> {
        let began = self.runtime.now();
        let id = self.request_ids.of(request.headers());
        let route = route_of(request.method(), request.uri().path());
        let operation = route.as_ref().ok().map(|route| route.operation);
        let mut response = self.call(request, route, sender).await.unwrap_or_else(|error| {
            log_refusal(&id, &error);
            refusal(&error)
        });
        let after = self.runtime.now().since(began);
        log_answer(&id, request.headers(), operation, response.status(), after);
        response.headers_mut().insert(X_REQUEST_ID, id);
        response
    }

    /// What is lent here is the same as later, and so are those who may have it.
    async fn call<B>(
        &self,
        request: &Request<B>,
        route: Result<Route<'_>, ApiError>,
        sender: &Sender,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let route = route?;
        let asker = match &self.guard {
            Some(guard) => guard.admit(&self.runtime, route.operation.need(), headers, sender).await?,
            None => Asker::Anybody,
        };
        let asked = parse_routed(route, method, uri.path(), uri.query(), headers)?;
        asker.must_reach(&asked.call.reach())?;
        let waits = &self.waits;
        match asked.call {
            // What waits is said by the page, when it asks on.
            Call::Hello if wants_page(headers) => Ok(hello(headers)),
            Call::Livez => Ok(json(ALIVE)),
            Call::Version => Ok(version()),
            Call::Readyz { verbose } => Ok(joining_readiness(waits, verbose)),
            Call::Lend(wanted) => match waits {
                WaitsFor::Pieces(lender) | WaitsFor::Successor(lender) => lender.lend(&wanted),
                WaitsFor::Cluster => Err(waits.refusal()),
            },
            _ => Err(waits.refusal()),
        }
    }
}
