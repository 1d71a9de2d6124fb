//! The task that sends spans to the collector.
//!
//! It sends batches, one at a time, each on a connection of its own: one a second or so, more only when spans come by
//! the hundred. A batch that the collector can't take now is kept and sent again, ever less often; meanwhile the queue
//! fills up, and what finds no room there is dropped. So a collector that is down costs a dial now and then.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::queue::Account;
use crate::config::Collector;
use crate::join::{ANSWER_BYTES, NOTHING_STRANGE, round_trip};
use crate::net::Net;
use crate::runtime::{Runtime, race, timeout_at};
use crate::said::Said;
use crate::watch;

/// How many spans are sent together, at most.
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const GATHERING: Duration = Duration::from_secs(1);

/// How long the collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pauses before a batch is sent again: from the first, doubling, to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// What a task that sends spans is made of.
pub(super) struct Exporter<R, N> {
    pub(super) runtime: R,
    pub(super) net: N,
    pub(super) collector: Collector,
    /// What all spans of this node have in common.
    pub(super) resource: ResourceAttributesWithSchema,
    pub(super) spans: mpsc::Receiver<SpanData>,
    pub(super) account: Arc<Account>,
    /// Set when what waits is to be sent now, and nothing after that.
    pub(super) ending: watch::Receiver<bool>,
    /// Set when it was.
    pub(super) ended: watch::Sender<bool>,
    /// Why the collector did not take the last batch.
    pub(super) said: Said,
}

/// Why the collector did not take a batch.
enum Failure {
    /// It may take it later.
    NotNow(String),
    /// It never will.
    Refused(String),
}

impl<R: Runtime, N: Net> Exporter<R, N> {
    /// Sends spans until the end, and then what is left.
    pub(super) async fn run(mut self) {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                break;
            }
            self.deliver(batch).await;
        }
        self.ended.replace(true);
    }

    /// The spans that come within a moment of the next one. None at the end.
    async fn gather(&mut self) -> Vec<SpanData> {
        let Exporter { spans, runtime, ending, .. } = self;
        let mut batch = Vec::new();
        race(spans.recv_many(&mut batch, BATCH), is_set(ending)).await;
        let fill = async {
            let mut room = BATCH - batch.len();
            while room > 0 {
                match spans.recv_many(&mut batch, room).await {
                    // Nobody is left who makes any.
                    0 => break,
                    more => room -= more,
                }
            }
        };
        race(fill, race(runtime.sleep(GATHERING), is_set(ending))).await;
        batch
    }

    /// Sends a batch, again and again until the collector takes it, or says that it never will, or the end has come.
    async fn deliver(&self, batch: Vec<SpanData>) {
        let spans = batch.len() as u64;
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let message = Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
        let mut pause = FIRST_PAUSE;
        loop {
            let is_last = self.ending.current();
            match self.post(message.clone()).await {
                Ok(rejected) => {
                    let rejected = rejected.min(spans);
                    self.account.sent(spans - rejected);
                    if rejected > 0 {
                        self.tell("it rejects some of them");
                        self.account.dropped(rejected);
                    } else if self.said.is_new("") {
                        info!(dropped = self.account.lost(), "the collector takes spans again");
                    }
                    return;
                }
                Err(Failure::NotNow(reason)) if !is_last => {
                    self.tell(&reason);
                    race(self.runtime.sleep(pause), is_set(&self.ending)).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
                Err(Failure::NotNow(reason) | Failure::Refused(reason)) => {
                    self.tell(&reason);
                    self.account.dropped(spans);
                    return;
                }
            }
        }
    }

    /// One line for each new reason.
    fn tell(&self, reason: &str) {
        if self.said.is_new(reason) {
            warn!(collector = %self.collector, reason, "the collector does not take spans");
        }
    }

    /// Sends a message once. Gives how many of its spans the collector rejected while it took the others.
    async fn post(&self, message: Bytes) -> Result<u64, Failure> {
        let request = Request::post(Uri::from(self.collector.traces().clone()))
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(Full::new(message))
            .expect(NOTHING_STRANGE);
        let answered = round_trip(&self.net, self.collector.endpoint(), request, ANSWER_BYTES);
        let answer = match timeout_at(&self.runtime, self.runtime.now() + PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Failure::NotNow(error.to_string())),
            Err(_) => return Err(Failure::NotNow(format!("no answer within {} s", PATIENCE.as_secs()))),
        };
        match answer.status() {
            status if status.is_success() => {}
            // These, and no others, ask for another try (OTLP, section "Failures").
            status @ (StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT) => return Err(Failure::NotNow(format!("it answered {status}"))),
            status => return Err(Failure::Refused(format!("it answered {status}"))),
        }
        let answer = ExportTraceServiceResponse::decode(answer.into_body()).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

async fn is_set(flag: &watch::Receiver<bool>) {
    // Nobody is left who could set it: that is the end, too.
    let _ = flag.clone().wait_for(|is_set| *is_set).await;
}
