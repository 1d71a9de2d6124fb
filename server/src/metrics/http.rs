//! Requests, counted.

use std::time::Duration;

use super::cells::{Counter, Histogram, Level, SHORT};
use crate::http::Operation;

/// Of an answer's status, what is told apart.
pub(crate) const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Codes of refusals that tell of a client without rights, or of a server in trouble.
pub(crate) const REFUSALS: [&str; 18] = [
    "unauthenticated",
    "forbidden",
    "cross_origin",
    "join_token_needed",
    "join_token_invalid",
    "join_token_expired",
    "join_token_spent",
    "join_tokens_full",
    "no_leader",
    "overloaded",
    "rate_limited",
    "idempotency_full",
    "shutting_down",
    "no_checkpoint",
    "no_recording",
    "outcome_unknown",
    "disk_full",
    "internal",
];

/// What requests there were.
#[derive(Debug)]
pub(crate) struct HttpMetrics {
    /// One for each operation, and one for what is none.
    operations: Box<[OperationMetrics]>,
    /// Requests that are not answered yet.
    pub(crate) in_flight: Level,
    refusals: [Counter; REFUSALS.len()],
    passed_on: [Counter; PassedOn::ALL.len()],
}

/// What requests there were for one operation.
#[derive(Debug)]
pub(crate) struct OperationMetrics {
    /// Answers, by [`CLASSES`].
    pub(crate) answers: [Counter; CLASSES.len()],
    /// How long each took until its answer began.
    pub(crate) durations: Histogram,
}

/// What came of sending a request to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PassedOn {
    /// An answer.
    Answered,
    /// It could not be sent.
    NotSent,
    /// The other node did nothing: it does not lead, or ends.
    NotTaken,
    /// No answer, and nobody knows what became of it.
    Unknown,
}

impl PassedOn {
    pub(crate) const ALL: [PassedOn; 4] =
        [PassedOn::Answered, PassedOn::NotSent, PassedOn::NotTaken, PassedOn::Unknown];

    /// As the label says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            PassedOn::Answered => "answered",
            PassedOn::NotSent => "not_sent",
            PassedOn::NotTaken => "not_taken",
            PassedOn::Unknown => "unknown",
        }
    }
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let operation = || OperationMetrics { answers: Default::default(), durations: Histogram::new(SHORT) };
        HttpMetrics {
            operations: (0..=Operation::ALL.len()).map(|_| operation()).collect(),
            in_flight: Level::default(),
            refusals: Default::default(),
            passed_on: Default::default(),
        }
    }
}

impl HttpMetrics {
    /// A request was answered, after so long.
    pub(crate) fn answered(&self, operation: Option<Operation>, status: u16, after: Duration) {
        let of = operation.map_or(Operation::ALL.len(), |operation| operation as usize);
        let metrics = &self.operations[of];
        let class = usize::from(status / 100).saturating_sub(2).min(CLASSES.len() - 1);
        metrics.answers[class].count();
        metrics.durations.observe(after);
    }

    /// A request was refused with this code.
    pub(crate) fn refused(&self, code: &str) {
        if let Some(at) = REFUSALS.iter().position(|name| *name == code) {
            self.refusals[at].count();
        }
    }

    /// A request was passed on, or was to be.
    pub(crate) fn passed_on(&self, result: PassedOn) {
        self.passed_on[result as usize].count();
    }

    /// Each operation with its name; `none` for what is none.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&'static str, &OperationMetrics)> {
        let names = Operation::ALL.iter().map(|operation| operation.name()).chain(["none"]);
        names.zip(&self.operations)
    }

    /// How long answers to these operations took.
    pub(crate) fn durations(
        &self,
        operations: impl Iterator<Item = Operation>,
    ) -> impl Iterator<Item = &Histogram> {
        operations.map(|operation| &self.operations[operation as usize].durations)
    }

    /// How many refusals there were with each code.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REFUSALS.into_iter().zip(&self.refusals).map(|(code, counter)| (code, counter.total()))
    }

    /// How many requests were passed on with each result.
    pub(crate) fn results(&self) -> impl Iterator<Item = (&'static str, u64)> {
        PassedOn::ALL.iter().map(|result| (result.name(), self.passed_on[*result as usize].total()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::reading::document;

    #[test]
    fn an_answer_counts_for_its_operation_and_class() {
        let metrics = HttpMetrics::default();
        let after = Duration::from_millis(3);
        metrics.answered(Some(Operation::Get), 200, after);
        metrics.answered(Some(Operation::Get), 404, after);
        metrics.answered(None, 404, after);
        let totals = |name: &str| {
            let (_, metrics) = metrics.operations().find(|(other, _)| *other == name).expect("it is there");
            metrics.answers.each_ref().map(Counter::total)
        };
        assert_eq!(totals("get"), [1, 0, 1, 0]);
        assert_eq!(totals("none"), [0, 0, 1, 0]);
        assert_eq!(totals("put"), [0; 4]);
    }

    /// 401, 403, 429 and 5xx but `proxy_loop`, which is a mistake in the settings and fails every request.
    #[test]
    fn every_code_of_those_kinds_is_counted() {
        let document = document();
        let mut codes = Vec::new();
        for (name, response) in document["components"]["responses"].as_object().expect("they are there") {
            let status = name.split('.').next().and_then(|status| status.parse().ok());
            if status.is_some_and(|status: u16| matches!(status, 401 | 403 | 429 | 500..)) {
                let named = &response["headers"]["Quorate-Error"]["schema"]["enum"];
                codes.extend(
                    named
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|code| code.as_str().map(str::to_owned)),
                );
            }
        }
        codes.sort_unstable();
        codes.dedup();
        let mut counted: Vec<&str> = REFUSALS.into_iter().chain(["proxy_loop"]).collect();
        counted.sort_unstable();
        assert_eq!(codes, counted);
    }
}
