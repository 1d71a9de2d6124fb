//! A collector of traces that takes what nodes post to it, or does not.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use quorate_tests::deadline::{PATIENCE, wait_until};

/// Collects for as long as the process lives.
pub(crate) struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    requests: usize,
    bodies: Vec<Vec<u8>>,
}

/// A span, as people look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) trace: String,
    pub(crate) span: String,
    /// Empty when it has none.
    pub(crate) parent: String,
    pub(crate) state: String,
    pub(crate) name: String,
    pub(crate) is_of_server: bool,
    pub(crate) is_error: bool,
    pub(crate) attributes: BTreeMap<String, String>,
    /// What it has in common with the others of its node.
    pub(crate) resource: BTreeMap<String, String>,
}

impl Seen {
    /// One of its attributes; empty when it has it not.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

impl Collector {
    /// Answers the first requests with these statuses, and takes whatever comes after that.
    pub(crate) fn start(refusals: &'static [u16]) -> Collector {
        Self::start_with(move |stream, taken| take(&stream, taken, refusals))
    }

    /// Takes connections, and never answers.
    pub(crate) fn start_silent() -> Collector {
        let held = Mutex::new(Vec::new());
        Self::start_with(move |stream, _| {
            held.lock().unwrap().push(stream);
            Ok(())
        })
    }

    fn start_with(answer: impl Fn(TcpStream, &Mutex<Taken>) -> io::Result<()> + Send + 'static) -> Collector {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::<Mutex<Taken>>::default();
        let shared = Arc::clone(&taken);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A node that ends in the middle leaves nothing to look at.
                let _ = answer(stream, &shared);
            }
        });
        Collector { address, taken }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it was asked to take something.
    pub(crate) fn requests(&self) -> usize {
        self.lock().requests
    }

    /// Whether a text is anywhere in what came.
    pub(crate) fn has_heard(&self, text: &str) -> bool {
        let is_in = |body: &[u8]| body.windows(text.len()).any(|window| window == text.as_bytes());
        self.lock().bodies.iter().any(|body| is_in(body))
    }

    /// The spans of a request, in the order of parents and children.
    pub(crate) fn spans_of(&self, request: &str) -> Vec<Seen> {
        let mut spans: Vec<Seen> = self.lock().bodies.iter().flat_map(|body| spans_in(body)).collect();
        spans.retain(|span| span.attribute("quorate.request_id") == request);
        let ids: Vec<String> = spans.iter().map(|span| span.span.clone()).collect();
        spans.sort_by_key(|span| ids.contains(&span.parent));
        spans
    }

    /// Waits until there are so many.
    #[track_caller]
    pub(crate) fn wait_for<const COUNT: usize>(&self, request: &str) -> [Seen; COUNT] {
        let what = format!("{COUNT} spans of {request}");
        wait_until(&what, PATIENCE, || self.spans_of(request).try_into().ok())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one request, and answers it.
fn take(mut stream: &TcpStream, taken: &Mutex<Taken>, refusals: &[u16]) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body)?;
    let mut taken = taken.lock().unwrap();
    let is_right = head.starts_with("post /v1/traces http/1.1\r\n")
        && head.contains("content-type: application/x-protobuf\r\n")
        && !head.contains("authorization");
    let status = if is_right { refusals.get(taken.requests).copied().unwrap_or(200) } else { 400 };
    taken.requests += 1;
    if status == 200 {
        taken.bodies.push(body);
    }
    write!(stream, "HTTP/1.1 {status} so\r\ncontent-length: 0\r\n\r\n")
}

fn spans_in(body: &[u8]) -> Vec<Seen> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut seen = Vec::new();
    for of_node in request.resource_spans {
        let resource = texts(&of_node.resource.unwrap().attributes);
        for span in of_node.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
            seen.push(Seen {
                trace: hex(&span.trace_id),
                span: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                is_of_server: span.kind == SpanKind::Server as i32,
                is_error: span.status.is_some_and(|status| status.code == StatusCode::Error as i32),
                attributes: texts(&span.attributes),
                resource: resource.clone(),
                state: span.trace_state,
                name: span.name,
            });
        }
    }
    seen
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{} is {other:?}", attribute.key),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
