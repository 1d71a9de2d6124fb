//! Where traces go.

use std::fmt;
use std::str::FromStr;

use hyper::http::uri::PathAndQuery;
use quorate_client::Endpoint;

/// What the protocol adds to the base URL for traces (OTLP, section "OTLP/HTTP Request").
const TRACES: &str = "/v1/traces";

/// The base URL of a receiver of OTLP over HTTP, an OpenTelemetry Collector for example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    endpoint: Endpoint,
    /// Without a slash at its end.
    base: String,
    traces: PathAndQuery,
}

impl Collector {
    /// Whom to dial.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What to ask there for traces.
    pub fn traces(&self) -> &PathAndQuery {
        &self.traces
    }
}

impl FromStr for Collector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let start = text.find("://").map_or(0, |at| at + "://".len());
        let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
        let endpoint: Endpoint = text[..end].parse().map_err(|error| format!("{error}"))?;
        let base = text[end..].trim_end_matches('/').to_owned();
        if base.contains(['?', '#']) {
            return Err("a base URL has no query; write for example http://127.0.0.1:4318".to_owned());
        }
        if base.ends_with(TRACES) {
            return Err(format!("{TRACES} is added to it; write the URL without that"));
        }
        let traces = PathAndQuery::try_from(format!("{base}{TRACES}"));
        let traces = traces.map_err(|error| format!("its path can't be asked for: {error}"))?;
        Ok(Collector { endpoint, base, traces })
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.endpoint, self.base)
    }
}

/// A collector, in builds that can send it something.
pub(super) fn parse_collector(text: &str) -> Result<Collector, String> {
    if !cfg!(feature = "otel") {
        return Err(
            "this build can't export traces: take one with the feature otel (`cargo build --release \
                    --package quorate-server --features otel`), or leave the setting out"
                .to_owned(),
        );
    }
    text.parse()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_path_for_traces_is_added_to_the_base() {
        for (text, shown, traces) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318", "/v1/traces"),
            ("http://[::1]:4318/", "http://[::1]:4318", "/v1/traces"),
            ("https://collector/otlp/", "https://collector:443/otlp", "/otlp/v1/traces"),
        ] {
            let collector: Collector = text.parse().unwrap();
            assert_eq!((&*collector.to_string(), collector.traces().as_str()), (shown, traces));
        }
    }

    #[test]
    fn what_is_no_base_url_says_what_to_write_instead() {
        for (text, expected) in [
            ("", "write for example http://"),
            ("127.0.0.1:4318", "write for example http://127.0.0.1:4318"),
            ("grpc://127.0.0.1:4317", "does not begin with http://"),
            ("http://user:word@a:1", "without \"user:word@\""),
            ("http://a:4318/v1/traces", "/v1/traces is added to it"),
            ("http://a:4318?x=/v1", "no query"),
            ("http://a:4318/x#y", "no query"),
            ("http://a:4318/two words", "can't be asked for"),
        ] {
            let message = text.parse::<Collector>().unwrap_err();
            assert!(message.contains(expected), "{text:?} gave {message:?}");
        }
    }
}
