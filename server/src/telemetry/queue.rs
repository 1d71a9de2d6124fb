//! Where spans wait to be sent: a bounded queue, which nobody ever waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::mpsc;
use tracing::warn;

/// What becomes of spans.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// They are in the queue, or being sent.
    waiting: AtomicU64,
    /// They will never be sent.
    dropped: AtomicU64,
}

/// The end of the queue that spans are put in at.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    account: Arc<Account>,
}

impl Queue {
    /// A queue for so many spans, and the end that they are taken from.
    pub(super) fn new(places: usize, account: Arc<Account>) -> (Queue, mpsc::Receiver<SpanData>) {
        let (spans, taken) = mpsc::channel(places);
        (Queue { spans, account }, taken)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        self.account.waiting.fetch_add(1, Ordering::Relaxed);
        if self.spans.try_send(span).is_err() {
            self.account.dropped(1);
        }
    }

    /// Whoever empties the queue is told in another way, for which no thread has to wait (`Telemetry::flush`).
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Account {
    /// So many have reached the collector.
    pub(super) fn sent(&self, spans: u64) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }

    /// So many never will. The first time, that is said.
    pub(super) fn dropped(&self, spans: u64) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        if self.dropped.fetch_add(spans, Ordering::Relaxed) == 0 {
            warn!("spans are dropped, as the collector does not take them; how many is said at the end");
        }
    }

    /// How many were dropped until now.
    pub(super) fn lost(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many will have been dropped if the process ends now.
    pub(super) fn unsent(&self) -> u64 {
        self.lost() + self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

    use super::*;

    /// Makes spans, of which two find a place.
    fn make(spans: usize, sampler: Sampler) -> (Arc<Account>, mpsc::Receiver<SpanData>) {
        let account = Arc::<Account>::default();
        let (queue, taken) = Queue::new(2, Arc::clone(&account));
        let provider = SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(queue).build();
        let tracer = provider.tracer("test");
        (0..spans).for_each(|number| drop(tracer.start(number.to_string())));
        (account, taken)
    }

    #[test]
    fn what_finds_no_place_is_counted() {
        let (account, mut taken) = make(5, Sampler::AlwaysOn);
        assert_eq!((account.lost(), account.unsent()), (3, 5));
        let names = [taken.try_recv(), taken.try_recv()].map(|span| span.unwrap().name);
        assert_eq!(names, ["0", "1"]);
        assert!(taken.try_recv().is_err());
        account.sent(2);
        assert_eq!((account.lost(), account.unsent()), (3, 3));
    }

    #[test]
    fn what_is_not_sampled_does_not_wait() {
        let (account, mut taken) = make(5, Sampler::AlwaysOff);
        assert_eq!(account.unsent(), 0);
        assert!(taken.try_recv().is_err());
    }
}
