//! What a build without the feature `otel` has: requests leave no spans.

use hyper::Response;
use hyper::http::request::Parts;

use crate::config::ServeConfig;
use crate::context::Identity;
use crate::net::Net;
use crate::runtime::Runtime;

/// Makes no spans. Made as in other builds, by [`Default`].
#[derive(Debug, Default)]
pub struct Telemetry(());

/// No span.
pub(crate) struct RequestSpan;

impl Telemetry {
    pub(crate) fn start<R: Runtime, N: Net>(_: &ServeConfig, _: Identity, _: (&R, &N)) -> Telemetry {
        Telemetry(())
    }

    #[expect(clippy::unused_self, reason = "other builds look into it")]
    pub(crate) fn begin(&self, _: &mut Parts) -> RequestSpan {
        RequestSpan
    }

    pub(crate) async fn flush<R: Runtime>(&self, _: &R) {}
}

impl RequestSpan {
    pub(crate) fn end<B>(self, _: &Response<B>) {}
}
