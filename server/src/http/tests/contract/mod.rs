//! The contract as a table: each row a request, a situation and its answer, tried on the leader and through a follower.
//!
//! Each answer is also held to what `/openapi.json` says of the route: its status, its code and the form of its body.
//! The table is written down in `docs/ANSWERS.md`.
//!
//! | module | what it holds |
//! |---|---|
//! | `rows`, `trouble` | the rows: of a sound cluster, and of clusters that are not |
//! | `world` | the clusters |
//! | `schema` | whether a body has the form that the document says |
//! | `page` | the table as a page |

mod page;
mod rows;
mod schema;
mod trouble;
mod world;

use std::collections::BTreeSet;

use hyper::Method;
use serde_json::Value;

use super::cluster::Answer;
use crate::http::openapi::reading::{described, document, operations, path_of};
use rows::{EVERY_ROUTE, Row};
use trouble::Trouble;
use world::World;

/// Codes that any route may end in, and that stand in the rows of some.
const WHEREVER: [&str; 25] = [
    "bad_query",
    "body_too_slow",
    "change_in_progress",
    "cross_origin",
    "forbidden",
    "headers_too_large",
    "internal",
    "malformed",
    "member_not_found",
    "no_leader",
    "not_caught_up",
    "not_leader",
    "outcome_unknown",
    "overloaded",
    "proxy_loop",
    "rate_limited",
    "route_not_found",
    "shutting_down",
    "unauthenticated",
    "uri_too_long",
    "would_lose_quorum",
    "wrong_host",
    "no_checkpoint",
    "no_recording",
    "not_recorded",
];

/// Codes that no row has, and why.
const WITHOUT_ROW: [(&str, &str); 7] = [
    ("internal", "it is a bug"),
    ("body_too_slow", "it takes half a minute"),
    ("rate_limited", "a slow machine would not be too quick: the tests of tokens have it"),
    ("no_checkpoint", "these disks always take one"),
    ("no_recording", "nothing here is larger than what is kept"),
    ("not_recorded", "these nodes have a recorder"),
    ("join_tokens_full", "it takes a thousand of them, and the tests of the engine make those"),
];

/// Pairs of a route and a code or status that no row has, and why.
const PAIRS_WITHOUT_ROW: &[(&str, &str, &str)] = &[
    ("POST /key/{key}", "request_too_large", "the limit for values is below every other"),
    ("PUT /key/{key}", "request_too_large", "the same"),
    ("GET /raft/runs/{digest}", "200", "what is in a run is the business of peers, whose tests have it"),
    ("HEAD /raft/runs/{digest}", "200", "the same"),
    ("GET /raft/runs/{digest}/{first}", "200", "the same"),
    ("HEAD /raft/runs/{digest}/{first}", "200", "the same"),
    ("GET /raft/checkpoints", "not_lent", "the list is always there"),
    ("HEAD /raft/checkpoints", "not_lent", "the same"),
    ("GET /backup", "304", "each backup asked for makes another one: the tests of backups have it"),
    ("HEAD /backup", "304", "the same"),
    ("HEAD /backup", "206", "a range is of a body"),
    ("HEAD /backup", "range_not_satisfiable", "the same"),
    ("HEAD /readyz", "503", "as for GET"),
    ("DELETE /key/{key}", "disk_full", "it frees space: only when even the reserve for that is used up"),
    ("UNLOCK /key/{key}", "disk_full", "the same"),
    ("POST /leases/{id}/keepalive", "disk_full", "the same"),
    ("DELETE /leases/{id}", "disk_full", "the same"),
    ("POST /raft/join-tokens", "join_tokens_full", "it takes a thousand of them"),
    ("POST /raft/add", "disk_full", "it has space of its own: only when that is used up"),
    ("POST /raft/join-tokens", "disk_full", "the same"),
    ("POST /raft/promote", "disk_full", "the same"),
    ("POST /raft/remove", "disk_full", "the same"),
    ("POST /raft/members", "disk_full", "the same"),
];

fn all_rows() -> Vec<Row> {
    let troubles = Trouble::ALL.into_iter().flat_map(Trouble::rows);
    let everywhere = rows::of_every_route().into_iter().chain(rows::of_every_guarded_route());
    everywhere.chain(rows::of_a_sound_cluster()).chain(troubles).collect()
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(target) => document.pointer(target.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

/// Holds an answer to its row and to the document.
fn judge(document: &Value, row: &Row, (method, template): (&str, &str), answer: &Answer) {
    let what = format!("{method} {template}, {}: {answer:?}", row.situation);
    let (status, code) = (answer.status.as_u16(), answer.header("quorate-error"));
    assert_eq!((status, code), (row.status, row.code), "{what}");
    let is_error = code.is_some() && code != Some("locked") && method != "HEAD";
    if is_error {
        assert_eq!(answer.code(), row.code.unwrap(), "{what}");
    }
    assert_eq!(
        answer.header("retry-after").is_some(),
        matches!(status, 429 | 503) && code.is_some(),
        "{what}"
    );
    assert_eq!(answer.header("allow").is_some(), status == 405, "{what}");
    assert_eq!(answer.header("www-authenticate"), (status == 401).then_some("Bearer"), "{what}");
    assert!(answer.header("quorate-history").is_some(), "{what}");
    assert_eq!(answer.header("idempotency-replayed"), row.is_replayed.then_some("true"), "{what}");
    let Some(operation) = described(document, method, template) else {
        assert!(
            matches!(code, Some("route_not_found" | "method_not_allowed")),
            "{what}: it is not described"
        );
        return;
    };
    let response = operation["responses"].get(status.to_string());
    let response =
        resolved(document, response.unwrap_or_else(|| panic!("{what}: the status is not described")));
    if let (Some(code), Some(codes)) =
        (code, response["headers"]["Quorate-Error"]["schema"]["enum"].as_array())
    {
        assert!(codes.contains(&code.into()), "{what}: the code is not described");
    }
    let may_lack = code.is_some() || is_greeting(template, answer);
    judge_headers(document, &response["headers"], answer, may_lack, &what);
    if code.is_none() {
        for (name, value) in promised(method, template, status) {
            let seen = answer.header(name);
            assert!(
                seen.is_some() && (value.is_empty() || seen == Some(value)),
                "{what}: {name} is {seen:?}"
            );
        }
    }
    let Some(content) = response["content"].as_object() else {
        assert!(answer.body.is_empty(), "{what}: no body is described");
        return;
    };
    let kind = answer.header("content-type").unwrap().split(';').next().unwrap();
    let described = content.get(kind).unwrap_or_else(|| panic!("{what}: the type is not described"));
    if kind == "application/json" {
        let checked = schema::check(document, &described["schema"], &answer.json(), "body");
        assert_eq!(checked, Ok(()), "{what}");
    }
    if kind == "text/event-stream" {
        let schema = described["itemSchema"]["$ref"].as_str().and_then(|target| target.rsplit('/').next());
        assert_eq!(judge_events(schema.unwrap(), answer.text()).first().copied(), row.event, "{what}");
    }
}

/// What programs get at `/`, without all that comes with the page for browsers.
fn is_greeting(template: &str, answer: &Answer) -> bool {
    template == "/" && answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json"))
}

/// Holds headers to what the document says of them. They are all there, but in errors and the like.
fn judge_headers(document: &Value, described: &Value, answer: &Answer, may_lack: bool, what: &str) {
    let described = described.as_object().unwrap();
    for (name, header) in described {
        let schema = resolved(document, &header["schema"]);
        match answer.header(&name.to_lowercase()) {
            Some(text) => {
                let number = text.parse::<u64>().ok().filter(|_| schema["type"] == "integer");
                let value = number.map_or_else(|| Value::from(text), Value::from);
                assert_eq!(schema::check(document, schema, &value, name), Ok(()), "{what}");
            }
            None => assert!(may_lack || OPTIONAL.contains(&name.as_str()), "{what}: {name} is missing"),
        }
    }
    for name in answer.headers.keys().map(|name| name.as_str()).filter(|name| says_something(name)) {
        let mut names = described.keys();
        assert!(names.any(|known| known.eq_ignore_ascii_case(name)), "{what}: {name} is not described");
    }
}

/// Headers that an answer that is no error has only sometimes.
const OPTIONAL: [&str; 3] = ["Idempotency-Replayed", "Retry-After", "Quorate-Error"];

/// Whether a header is there for what the answer says, and not for HTTP.
fn says_something(name: &str) -> bool {
    let others = [
        "etag",
        "allow",
        "www-authenticate",
        "retry-after",
        "content-range",
        "accept-ranges",
        "idempotency-replayed",
        "x-content-type-options",
        "content-security-policy",
    ];
    name.starts_with("quorate-") || others.contains(&name)
}

/// A header and its value; any, when that is empty.
type Promise = (&'static str, &'static str);

/// What an answer that is no error is promised to have, whatever the document says of it.
fn promised(method: &str, template: &str, status: u16) -> &'static [Promise] {
    match (method, template, status) {
        ("GET" | "HEAD", "/key/{key}", 200) => &[
            ("etag", ""),
            ("quorate-revision", ""),
            ("content-type", "application/octet-stream"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox"),
        ],
        ("GET" | "HEAD", "/key/{key}", 304) | ("POST" | "PUT", "/key/{key}", 200) => {
            &[("etag", ""), ("quorate-revision", "")]
        }
        ("GET" | "HEAD", "/debug/recording", 200) => {
            &[("content-type", "application/octet-stream"), ("x-content-type-options", "nosniff")]
        }
        ("GET" | "HEAD", "/backup", 200 | 206) => &[("etag", ""), ("quorate-revision", "")],
        (_, "/key/{key}" | "/keys" | "/txn" | "/data.json" | "/watch", _) => &[("quorate-revision", "")],
        (_, "/leases" | "/leases/{id}" | "/leases/{id}/keepalive", _) => &[("quorate-revision", "")],
        ("POST", "/raft/add", _) => &[("quorate-cluster", "")],
        _ => &[],
    }
}

/// Holds the events of a stream to a schema of the document; their names.
fn judge_events<'a>(schema: &str, stream: &'a str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for event in stream.split_terminator("\n\n") {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let Some(name) = field("event: ") else { continue };
        let data = serde_json::from_str(field("data: ").unwrap()).unwrap();
        check_one(schema, name, field("id: "), &data);
        names.push(name);
    }
    names
}

/// Holds an event of a watch to the document.
pub(super) fn check_event(name: &str, id: &str, data: &Value) {
    check_one("Event", name, Some(id), data);
}

fn check_one(schema: &str, name: &str, id: Option<&str>, data: &Value) {
    let document = document();
    let kinds = document["components"]["schemas"][schema]["oneOf"].as_array().unwrap();
    let kind = kinds.iter().find(|kind| kind["properties"]["event"]["enum"][0] == name);
    let kind = kind.unwrap_or_else(|| panic!("{name:?} is not described"));
    let mut event = serde_json::json!({"event": name, "data": data.to_string()});
    if let Some(id) = id {
        event["id"] = id.into();
    }
    assert_eq!(schema::check(&document, kind, &event, "event"), Ok(()));
}

fn split(route: &'static str) -> (&'static str, &'static str) {
    route.split_once(' ').expect("a route is a method and a template")
}

async fn try_rows(world: &World, rows: &[Row]) {
    let document = document();
    for row in rows {
        let (method, template) = split(row.route);
        let answer = world.answer(row, &Method::from_bytes(method.as_bytes()).unwrap()).await;
        judge(&document, row, (method, template), &answer);
    }
}

#[tokio::test]
async fn every_row_of_a_sound_cluster_holds() {
    for leads in [true, false] {
        try_rows(&World::sound(leads).await, &rows::of_a_sound_cluster()).await;
    }
}

async fn try_everywhere(document: &Value, world: &World, rows: Vec<Row>) {
    for row in rows {
        for (method, template) in operations() {
            let query = if row.code == Some("bad_query") { "colour=red" } else { "" };
            let query = if template == "/watch" { format!("prefix=&{query}") } else { query.to_owned() };
            let target = format!("{}?{query}", path_of(template));
            let asked = Row { target: target.leak(), ..row.clone() };
            let answer = world.answer(&asked, &Method::from_bytes(method.as_bytes()).unwrap()).await;
            judge(document, &row, (method, template), &answer);
        }
    }
}

#[tokio::test]
async fn every_row_of_every_route_holds() {
    let document = document();
    for leads in [true, false] {
        try_everywhere(&document, &World::sound(leads).await, rows::of_every_route()).await;
        let guarded = World::troubled(Trouble::Guarded, leads).await;
        try_everywhere(&document, &guarded, rows::of_every_guarded_route()).await;
    }
}

#[tokio::test]
async fn every_row_of_trouble_holds() {
    for trouble in Trouble::ALL {
        for leads in [true, false] {
            try_rows(&World::troubled(trouble, leads).await, &trouble.rows()).await;
        }
    }
}

/// What the document says can happen, happens in a row.
#[test]
fn every_answer_of_the_document_has_a_row() {
    let document = document();
    let rows = all_rows();
    let tried: BTreeSet<(&str, String)> = rows
        .iter()
        .map(|row| (row.route, row.code.map_or_else(|| row.status.to_string(), str::to_owned)))
        .collect();
    let codes: BTreeSet<&str> = rows.iter().filter_map(|row| row.code).collect();
    let mut missing = Vec::new();
    for (method, template) in operations() {
        let route: &str = format!("{method} {template}").leak();
        for (status, response) in
            described(&document, method, template).unwrap()["responses"].as_object().unwrap()
        {
            let response = resolved(&document, response);
            let Some(named) = response["headers"]["Quorate-Error"]["schema"]["enum"].as_array() else {
                missing.push((route, status.clone()));
                continue;
            };
            for code in named.iter().map(|code| code.as_str().unwrap()) {
                assert!(codes.contains(code) || WITHOUT_ROW.iter().any(|(name, _)| *name == code), "{code}");
                if !WHEREVER.contains(&code) {
                    missing.push((route, code.to_owned()));
                }
            }
        }
    }
    let is_excused = |route: &str, what: &str| {
        PAIRS_WITHOUT_ROW.iter().any(|(excused, answer, _)| *excused == route && *answer == what)
    };
    missing.retain(|(route, what)| !tried.contains(&(*route, what.clone())) && !is_excused(route, what));
    assert_eq!(missing, []);
    for (route, what, why) in PAIRS_WITHOUT_ROW.iter().copied() {
        assert!(!tried.contains(&(route, what.to_owned())), "{route} {what} has a row: {why}");
    }
    for (code, why) in WITHOUT_ROW {
        assert!(!codes.contains(code), "{code} has a row: {why}");
    }
    assert!(rows.iter().filter(|row| row.route == EVERY_ROUTE).count() >= 8);
}
