//! A span from its request's head to its answer's, and what is said in it.
//!
//! Names are those of the semantic conventions for HTTP. Paths, queries and bodies are in none of them: they hold keys
//! and values. Nor is whatever else a client could have put a secret into, but for the request's own name and
//! `tracestate`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::http::request::Parts;
use hyper::{Method, Response};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use tracing::{info, warn};

use super::exporter::Exporter;
use super::queue::{Account, Queue};
use super::trace_context;
use crate::config::ServeConfig;
use crate::context::Identity;
use crate::http::{QUORATE_ERROR, X_REQUEST_ID, template_of};
use crate::net::Net;
use crate::runtime::{Runtime, timeout_at};
use crate::said::Said;
use crate::watch;

/// How many spans may wait to be sent. One takes about a kilobyte.
const PLACES: usize = 2048;

/// How long the end of a node waits for the last spans to be sent.
const FLUSHING: Duration = Duration::from_secs(1);

/// The methods that HTTP has, and those that our routes have besides.
const METHODS: [&str; 11] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "LOCK", "UNLOCK"];

/// What the conventions call a method that is none of those: whoever made it up may not make up a name of ours.
const OTHER_METHOD: &str = "_OTHER";

/// Makes spans, when there is somewhere to send them.
#[derive(Debug, Default)]
pub struct Telemetry(Option<Tracing>);

struct Tracing {
    tracer: SdkTracer,
    scheme: &'static str,
    account: Arc<Account>,
    /// Set when what waits is to be sent now.
    ending: watch::Sender<bool>,
    /// Set when it was.
    ended: watch::Receiver<bool>,
}

/// A request's span. It ends when it is dropped, if it has not been ended: then nobody waited for the answer.
pub(crate) struct RequestSpan(Option<Span>);

impl Telemetry {
    /// Starts the task that sends spans, when the settings say where to.
    pub(crate) fn start<R: Runtime, N: Net>(
        config: &ServeConfig,
        identity: Identity,
        (runtime, net): (&R, &N),
    ) -> Telemetry {
        let Some(collector) = config.otlp_endpoint.clone() else { return Telemetry::default() };
        info!(%collector, "sends traces");
        let account = Arc::<Account>::default();
        let (queue, spans) = Queue::new(PLACES, Arc::clone(&account));
        let resource = resource(identity);
        let common = ResourceAttributesWithSchema::from(&resource);
        let provider =
            SdkTracerProvider::builder().with_resource(resource).with_span_processor(queue).build();
        let scope = InstrumentationScope::builder("quorate").with_version(env!("CARGO_PKG_VERSION")).build();
        let (ending, told_to_end) = watch::channel(false);
        let (tell_ended, ended) = watch::channel(false);
        let exporter = Exporter {
            runtime: runtime.clone(),
            net: net.clone(),
            collector,
            resource: common,
            spans,
            account: Arc::clone(&account),
            ending: told_to_end,
            ended: tell_ended,
            said: Said::default(),
        };
        runtime.spawn(exporter.run());
        let scheme = if config.tls.http.is_some() { "https" } else { "http" };
        Telemetry(Some(Tracing { tracer: provider.tracer_with_scope(scope), scheme, account, ending, ended }))
    }

    /// Begins the span of a request, and names it in the head as the parent of what others do for it.
    pub(crate) fn begin(&self, head: &mut Parts) -> RequestSpan {
        let Some(tracing) = &self.0 else { return RequestSpan(None) };
        let method = method_name(&head.method);
        let route = template_of(head.uri.path());
        let mut attributes =
            vec![KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", tracing.scheme)];
        attributes.extend(route.map(|route| KeyValue::new("http.route", route)));
        let request = head.headers.get(X_REQUEST_ID).and_then(|name| name.to_str().ok());
        attributes.extend(request.map(|name| KeyValue::new("quorate.request_id", name.to_owned())));
        let span = SpanBuilder::from_name(span_name(method, route))
            .with_kind(SpanKind::Server)
            .with_attributes(attributes);
        let from = trace_context::read(&head.headers);
        let from = from.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let span = tracing.tracer.build_with_context(span, &from);
        trace_context::write(span.span_context(), &mut head.headers);
        RequestSpan(Some(span))
    }

    /// Sends the spans that wait, within [`FLUSHING`]; none that comes later. Says how many were never sent.
    pub(crate) async fn flush<R: Runtime>(&self, runtime: &R) {
        let Some(tracing) = &self.0 else { return };
        tracing.ending.replace(true);
        let mut ended = tracing.ended.clone();
        // When it is not done in time, the account says what that costs.
        let _ = timeout_at(runtime, runtime.now() + FLUSHING, ended.wait_for(|ended| *ended)).await;
        let unsent = tracing.account.unsent();
        if unsent > 0 {
            warn!(spans = unsent, "spans were dropped: the collector did not take them");
        }
    }
}

impl RequestSpan {
    /// Ends it with the answer's head.
    pub(crate) fn end<B>(self, response: &Response<B>) {
        let Some(mut span) = self.0 else { return };
        let status = response.status();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        // What a client did wrong is no error of a server's.
        if status.is_server_error() {
            let code = response.headers().get(QUORATE_ERROR).and_then(|code| code.to_str().ok());
            span.set_attribute(KeyValue::new("error.type", code.unwrap_or(status.as_str()).to_owned()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

impl fmt::Debug for Tracing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tracing").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Who makes these spans. `OTEL_RESOURCE_ATTRIBUTES` adds to it.
fn resource(identity: Identity) -> Resource {
    Resource::builder_empty()
        .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())])
        .with_service_name("quorate")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", identity.node.to_string()),
            KeyValue::new("quorate.cluster", identity.cluster.to_string()),
        ])
        .build()
}

fn method_name(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| method == known).unwrap_or(OTHER_METHOD)
}

fn span_name(method: &'static str, route: Option<&'static str>) -> String {
    let method = if method == OTHER_METHOD { "HTTP" } else { method };
    route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use opentelemetry_sdk::trace::{Sampler, SpanData};
    use tokio::sync::mpsc;

    use super::*;

    /// One that sends nothing, and the spans that it would send.
    fn telemetry() -> (Telemetry, mpsc::Receiver<SpanData>) {
        let account = Arc::<Account>::default();
        let (queue, spans) = Queue::new(1, Arc::clone(&account));
        let provider =
            SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_span_processor(queue);
        let (ending, ended) = watch::channel(false);
        let tracer = provider.build().tracer("test");
        (Telemetry(Some(Tracing { tracer, scheme: "http", account, ending, ended })), spans)
    }

    fn head() -> Parts {
        Request::get("/keys?prefix=secret").body(()).unwrap().into_parts().0
    }

    fn attribute(span: &SpanData, name: &str) -> Option<String> {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
        found.map(|attribute| attribute.value.as_str().into_owned())
    }

    #[test]
    fn what_the_server_could_not_do_is_an_error() {
        let (telemetry, mut spans) = telemetry();
        for (status, code, expected) in [
            (200, "", None),
            (404, "route_not_found", None),
            (503, "no_leader", Some("no_leader")),
            (500, "", Some("500")),
        ] {
            let mut response = Response::builder().status(status);
            if !code.is_empty() {
                response = response.header(QUORATE_ERROR, code);
            }
            telemetry.begin(&mut head()).end(&response.body(()).unwrap());
            let span = spans.try_recv().unwrap();
            assert_eq!(attribute(&span, "http.response.status_code"), Some(status.to_string()));
            assert_eq!(attribute(&span, "error.type").as_deref(), expected);
            assert_eq!(span.status != Status::Unset, expected.is_some(), "{status}");
        }
    }

    #[test]
    fn a_request_without_an_answer_leaves_a_span() {
        let (telemetry, mut spans) = telemetry();
        drop(telemetry.begin(&mut head()));
        let span = spans.try_recv().unwrap();
        assert_eq!((&*span.name, attribute(&span, "http.response.status_code")), ("GET /keys", None));
    }

    #[test]
    fn a_span_s_name_has_the_route_and_never_the_key() {
        for (method, path, expected) in [
            ("PUT", "/key/secret", "PUT /key/{key}"),
            ("LOCK", "/key/secret/of/mine", "LOCK /key/{key}"),
            ("GET", "/leases/00000000000000a1", "GET /leases/{id}"),
            ("POST", "/leases/00000000000000a1/keepalive", "POST /leases/{id}/keepalive"),
            ("GET", "/", "GET /"),
            ("GET", "/nowhere/secret", "GET"),
            ("SECRET", "/keys", "HTTP /keys"),
            ("get", "/nowhere", "HTTP"),
        ] {
            let method = method_name(&Method::from_bytes(method.as_bytes()).unwrap());
            assert_eq!(span_name(method, template_of(path)), expected, "{path}");
        }
    }
}
