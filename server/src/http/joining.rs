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
use super::hello::{hello, wants_page};
use super::json::ALIVE;
use super::lending::Lender;
use super::linger::Linger;
use super::request::{Call, parse_head, route_of};
use super::status::{joining_readiness, version};
use crate::net::Listener;
use crate::runtime::{HyperTimer, Runtime, race};
use crate::shutdown::Shutdown;
use crate::tokens::{Guard, Sender};

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
    loop {
        match reception.listener.accept().await {
            Ok((stream, from)) => {
                let sender = Sender { address: from.ip(), certified: L::certified(&stream) };
                let who = (sender, reception.guard.clone());
                runtime.spawn(serve_connection(stream, who, runtime.clone(), over.clone(), waits.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                runtime.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection<R: Runtime, S>(
    stream: S,
    (sender, guard): (Sender, Option<Arc<Guard>>),
    runtime: R,
    over: Shutdown,
    waits: WaitsFor,
) where
    S: Read + Write + Unpin + Send + 'static,
{
    let unread = Arc::new(AtomicBool::new(false));
    let stream = Linger::new(stream, runtime.clone(), Arc::clone(&unread));
    let service = service_fn(|request: Request<Incoming>| {
        unread.store(!request.body().is_end_stream(), Ordering::Relaxed);
        let (runtime, guard, sender, waits) = (&runtime, guard.as_deref(), &sender, &waits);
        async move {
            let answered = match admit(runtime, guard, &request, sender).await {
                Ok(()) => answer(&request, waits),
                Err(error) => Err(error),
            };
            Ok::<_, Infallible>(answered.unwrap_or_else(|error| refusal(&error)))
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(HyperTimer::new(runtime.clone())).header_read_timeout(HEAD_TIMEOUT).keep_alive(false);
    // Its error matters to nobody: the client sees it too.
    let _ = race(pin!(builder.serve_connection(stream, service)), over.begun()).await;
}

/// What is lent here is the same as later, and so are those who may have it.
async fn admit<R: Runtime, B>(
    runtime: &R,
    guard: Option<&Guard>,
    request: &Request<B>,
    sender: &Sender,
) -> Result<(), ApiError> {
    let Some(guard) = guard else { return Ok(()) };
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let asker = guard.admit(runtime, route_of(method, uri.path())?.operation.need(), headers, sender).await?;
    asker.must_reach(&parse_head(method, uri.path(), uri.query(), headers)?.call.reach())
}

fn answer<B>(request: &Request<B>, waits: &WaitsFor) -> Result<Response<AnswerBody>, ApiError> {
    let uri = request.uri();
    let head = parse_head(request.method(), uri.path(), uri.query(), request.headers())?;
    match head.call {
        // What waits is said by the page, when it asks on.
        Call::Hello if wants_page(request.headers()) => Ok(hello(request.headers())),
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
