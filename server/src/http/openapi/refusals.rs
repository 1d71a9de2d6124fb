//! The errors that an operation may end in, by status.

use std::collections::BTreeMap;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder};
use utoipa::openapi::{ContentBuilder, Object, Ref, Response, ResponseBuilder};

use super::formats::{number, one_of, revision, text};
use crate::http::request::Operation;

/// A status, and its code.
type Code = (u16, &'static str);

/// What is looked at in every head.
const EVERYWHERE: [Code; 13] = [
    (400, "malformed"),
    (400, "bad_query"),
    (401, "unauthenticated"),
    (403, "forbidden"),
    (403, "cross_origin"),
    (421, "not_leader"),
    (421, "wrong_host"),
    (429, "rate_limited"),
    (431, "headers_too_large"),
    (500, "internal"),
    (503, "overloaded"),
    (503, "shutting_down"),
    (508, "proxy_loop"),
];
/// Said before there is a route, and so by none.
const NOWHERE: [Code; 2] = [(404, "route_not_found"), (405, "method_not_allowed")];

const TARGET: [Code; 1] = [(414, "uri_too_long")];
const KEY: [Code; 3] = [(400, "key_empty"), (400, "key_not_utf8"), (414, "key_too_long")];
const WATCHED: [Code; 2] = [(400, "key_empty"), (414, "key_too_long")];
/// A node that is not back yet has nothing else to say.
const JOINED: [Code; 1] = [(503, "no_leader")];
/// What changes something, which the leader has to do.
const AT_LEADER: [Code; 1] = [(504, "outcome_unknown")];
const CHANGE: [Code; 1] = [(507, "disk_full")];
const ONCE: [Code; 2] = [(422, "idempotency_mismatch"), (503, "idempotency_full")];
const BODY: [Code; 2] = [(408, "body_too_slow"), (413, "request_too_large")];
const JSON_BODY: [Code; 1] = [(400, "bad_json")];
const VALUES: [Code; 1] = [(413, "value_too_large")];
const PAST: [Code; 1] = [(410, "compacted")];
const CONDITION: [Code; 1] = [(412, "precondition_failed")];
const LOCKED: [Code; 1] = [(423, "locked")];
const LEASE: [Code; 1] = [(404, "lease_not_found")];
const MEMBERS: [Code; 4] = [
    (404, "member_not_found"),
    (409, "change_in_progress"),
    (409, "not_caught_up"),
    (409, "would_lose_quorum"),
];

const JOIN_TOKEN: [Code; 4] = [
    (403, "join_token_needed"),
    (403, "join_token_invalid"),
    (403, "join_token_expired"),
    (403, "join_token_spent"),
];

/// All that share a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) name: String,
    codes: Vec<&'static str>,
    has_body: bool,
}

/// The refusals of what is no operation.
pub(super) fn nowhere() -> Vec<Refusal> {
    let refusal = |(status, code)| Refusal {
        status,
        name: format!("{status}.{code}"),
        codes: vec![code],
        has_body: true,
    };
    NOWHERE.into_iter().map(refusal).collect()
}

/// The refusals of an operation. Those to `HEAD` have no body.
pub(super) fn of(operation: Operation, has_body: bool) -> Vec<Refusal> {
    let mut by_status: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for (status, code) in codes(operation) {
        by_status.entry(status).or_default().push(code);
    }
    let refusal = |(status, mut codes): (u16, Vec<&'static str>)| {
        codes.sort_unstable();
        codes.dedup();
        let end = if has_body { "" } else { ".head" };
        Refusal { status, name: format!("{status}.{}{end}", codes.join(".")), codes, has_body }
    };
    by_status.into_iter().map(refusal).collect()
}

/// Every status and code that an operation may end in.
pub(super) fn codes(operation: Operation) -> Vec<Code> {
    use Operation as Of;
    let lists: &[&[Code]] = match operation {
        Of::Livez | Of::Version | Of::Readyz => &[&TARGET],
        Of::Hello | Of::OpenApi | Of::Metrics | Of::Status => &[&TARGET, &JOINED],
        Of::Record => &[&TARGET, &JOINED, &[(404, "not_recorded"), (503, "no_recording")]],
        Of::Lend => &[&TARGET, &JOINED, &[(404, "not_lent"), (404, "route_not_found")]],
        Of::Get => &[&KEY, &JOINED, &PAST, &CONDITION, &LOCKED],
        Of::List => &[&TARGET, &JOINED, &PAST],
        Of::Export | Of::Members | Of::Snapshot => &[&TARGET, &JOINED],
        Of::Watch => &[&TARGET, &JOINED, &WATCHED],
        Of::Backup => {
            &[&TARGET, &JOINED, &CONDITION, &[(416, "range_not_satisfiable"), (503, "no_checkpoint")]]
        }
        Of::Lease => &[&TARGET, &JOINED, &LEASE],
        Of::Put => &[&KEY, &JOINED, &AT_LEADER, &CHANGE, &ONCE, &BODY, &VALUES, &CONDITION, &LOCKED, &LEASE],
        Of::Delete => &[&KEY, &JOINED, &AT_LEADER, &CHANGE, &ONCE, &CONDITION, &LOCKED],
        Of::Lock | Of::Unlock => &[&KEY, &JOINED, &AT_LEADER, &CHANGE, &BODY, &JSON_BODY, &LOCKED],
        Of::Txn => &[
            &TARGET,
            &JOINED,
            &AT_LEADER,
            &CHANGE,
            &ONCE,
            &BODY,
            &JSON_BODY,
            &VALUES,
            &LEASE,
            &[(400, "duplicate_key")],
        ],
        Of::Import => &[&TARGET, &JOINED, &AT_LEADER, &CHANGE, &ONCE, &BODY, &JSON_BODY, &VALUES],
        Of::Grant => &[&TARGET, &JOINED, &AT_LEADER, &CHANGE, &ONCE, &BODY, &JSON_BODY],
        Of::KeepAlive | Of::Revoke => &[&TARGET, &JOINED, &AT_LEADER, &CHANGE, &ONCE, &LEASE],
        Of::Add => &[
            &TARGET,
            &JOINED,
            &AT_LEADER,
            &CHANGE,
            &BODY,
            &JSON_BODY,
            &MEMBERS,
            &JOIN_TOKEN,
            &[(409, "address_in_use"), (409, "address_unreachable")],
        ],
        Of::MakeJoinToken => &[
            &TARGET,
            &JOINED,
            &AT_LEADER,
            &CHANGE,
            &BODY,
            &JSON_BODY,
            &[(409, "change_in_progress"), (503, "join_tokens_full")],
        ],
        Of::SetMembers | Of::Promote | Of::Remove => {
            &[&TARGET, &JOINED, &AT_LEADER, &CHANGE, &BODY, &JSON_BODY, &MEMBERS]
        }
        // It needs no space.
        Of::Transfer => &[&TARGET, &JOINED, &AT_LEADER, &BODY, &JSON_BODY, &MEMBERS],
    };
    EVERYWHERE.iter().chain(lists.iter().copied().flatten()).copied().collect()
}

impl Refusal {
    pub(super) fn response(&self) -> Response {
        let links = self.codes.iter().map(|code| format!("`{code}`"));
        let description = format!("{}: see docs/ERRORS.md.", links.collect::<Vec<_>>().join(", "));
        let mut response = ResponseBuilder::new().description(description);
        for (name, form, description) in self.headers() {
            let header = HeaderBuilder::new().schema(Some(form)).description(Some(description)).build();
            response = response.header(name, header);
        }
        if !self.has_body {
            return response.build();
        }
        let body = ContentBuilder::new();
        let body = match self.codes.as_slice() {
            // What the holder said of itself.
            ["locked"] => body.schema(Some(Object::new())),
            codes => body.schema(Some(error_of(codes))),
        };
        response.content("application/json", body.build()).build()
    }
}

/// Headers, each with its form and what it says.
type Headers = Vec<(&'static str, ObjectBuilder, &'static str)>;

impl Refusal {
    fn headers(&self) -> Headers {
        let id = || text("").pattern(Some("^[0-9a-f]{32}$"));
        let mut headers: Headers = vec![
            ("Quorate-Error", one_of(&self.codes), "The code that is also in the body."),
            ("Quorate-History", id(), "The history that revisions count in."),
            ("X-Request-Id", text(""), "The request's name in the logs of the nodes that it went through."),
        ];
        if matches!(self.status, 404 | 412 | 422 | 423 | 503) {
            headers.push(("Quorate-Revision", revision(), "The store's revision, when it was looked at."));
        }
        let recorded = ["lease_not_found", "precondition_failed", "locked"];
        if recorded.iter().any(|code| self.codes.contains(code)) {
            headers.push((
                "Idempotency-Replayed",
                one_of(&["true"]),
                "It answered an earlier, equal request.",
            ));
        }
        let more: Headers = match self.status {
            404 if self.codes.contains(&"not_lent") => vec![
                ("Quorate-Node", id(), "Who does not have it."),
                ("Quorate-Cluster", id(), "The cluster of that node."),
            ],
            401 => vec![("WWW-Authenticate", one_of(&["Bearer"]), "What is asked for.")],
            405 => vec![("Allow", text("Methods with commas between them."), "Those that the path has.")],
            412 => vec![("ETag", text("A tag in quotes."), "The key's present tag, when it is there.")],
            416 => vec![("Content-Range", text("`bytes */N`."), "How long the whole is.")],
            421 => vec![("Quorate-Leader", text("A URL."), "Said to a peer: who leads, if it is known.")],
            429 => vec![("Retry-After", number(1, 60), "When to try again, in seconds.")],
            503 => vec![
                ("Retry-After", number(1, 60), "When to try again, in seconds."),
                ("Quorate-Lost", id(), "Who this node was, which is to come back under a new id."),
            ],
            _ => Vec::new(),
        };
        headers.extend(more);
        headers
    }
}

/// An error with one of these codes.
pub(super) fn error_of(codes: &[&'static str]) -> AllOfBuilder {
    let code = ObjectBuilder::new().property("code", one_of(codes));
    AllOfBuilder::new().item(Ref::from_schema_name("Error")).item(code)
}
