//! Traces of requests, for OpenTelemetry: in builds with the feature `otel`. In others nothing of this is there, and
//! requests pass through a type that does nothing.
//!
//! A request is a span at each node that it comes to. The span's parent is the one that the request names in
//! `traceparent`, and that header names this span when the request goes on to the leader: so what a client, a follower
//! and a leader did with one request is one trace.
//!
//! | module | what it holds |
//! |---|---|
//! | `spans` | a span from its request's head to its answer's, and what is said in it |
//! | `trace_context` | `traceparent` and `tracestate`, read and written |
//! | `queue` | where spans wait to be sent; what finds no room there is dropped |
//! | `exporter` | the task that sends them |
//! | `off` | what other builds have |

#[cfg(feature = "otel")]
mod exporter;
#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod queue;
#[cfg(feature = "otel")]
mod spans;
#[cfg(feature = "otel")]
mod trace_context;

#[cfg(not(feature = "otel"))]
pub use off::Telemetry;
#[cfg(feature = "otel")]
pub use spans::Telemetry;
