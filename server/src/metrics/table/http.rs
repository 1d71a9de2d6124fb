//! Requests.

use super::{Row, counter, gauge, histogram};
use crate::metrics::http::CLASSES;

pub(super) const ROWS: &[Row] = &[
        counter(
            "quorate_http_requests_total",
            "Answers to requests, by what was asked for and the class of the status. `none` is what no route is for.",
            |scrape, to| {
                for (name, operation) in scrape.metrics.http.operations() {
                    for (class, answers) in CLASSES.into_iter().zip(&operation.answers) {
                        to.put_for(&[name, class], answers);
                    }
                }
            },
        )
        .by(&["operation", "class"]),
        histogram(
            "quorate_http_request_duration_seconds",
            "From the head of a request to the head of its answer, by what was asked for; of operations that were asked \
             for since the node began.",
            |scrape, to| {
                for (name, operation) in scrape.metrics.http.operations() {
                    let durations = operation.durations.distribution();
                    if durations.count > 0 {
                        to.put_for(&[name], durations);
                    }
                }
            },
        )
        .by(&["operation"]),
        gauge("quorate_http_connections", "Connections that are served, of `--max-connections`.", |scrape, to| {
            to.put(scrape.connections);
        }),
        gauge("quorate_http_requests_in_flight", "Requests whose answer has not begun.", |scrape, to| {
            to.put(scrape.metrics.http.in_flight.value());
        }),
        counter(
            "quorate_http_refusals_total",
            "Requests that this node refused for want of rights, or because it or its cluster was in trouble, by the \
             code of the error.",
            |scrape, to| {
                for (code, total) in scrape.metrics.http.refusals() {
                    to.put_for(&[code], total);
                }
            },
        )
        .by(&["code"]),
        counter(
            "quorate_http_passed_on_total",
            "Attempts to pass a request on to the leader: `answered`; `not_sent`, for want of a connection; `not_taken`, \
             because the other node does not lead or ends; `unknown`, when it broke on the way.",
            |scrape, to| {
                for (result, total) in scrape.metrics.http.results() {
                    to.put_for(&[result], total);
                }
            },
        )
        .by(&["result"]),
        counter(
            "quorate_http_wrong_tokens_total",
            "Requests with a token that is none, or whose secret is wrong.",
            |scrape, to| to.put(scrape.wrong_tokens),
        ),
        gauge(
            "quorate_tls_certificate_expiry_timestamp_seconds",
            "When this node's certificate ends, or one between it and its CA, in seconds since 1970: that of its HTTP \
             port (`http`), and that among peers (`peers`).",
            |scrape, to| {
                for (name, end) in scrape.machine.iter().flat_map(|machine| &machine.certificates) {
                    to.put_for(&[name], *end);
                }
            },
        )
        .by(&["certificate"]),
];
