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
use crate::http::openapi::openapi_json;
use crate::http::request::PATHS;
use rows::{EVERY_ROUTE, Row};
use trouble::Trouble;
use world::World;

/// Codes that any route may end in, and that stand in the rows of some.
const WHEREVER: [&str; 22] = [
    "bad_query",
    "body_too_slow",
    "change_in_progress",
    "cross_origin",
    "disk_full",
    "headers_too_large",
    "idempotency_full",
    "internal",
    "malformed",
    "member_not_found",
    "no_leader",
    "not_caught_up",
    "not_leader",
    "outcome_unknown",
    "overloaded",
    "proxy_loop",
    "route_not_found",
    "shutting_down",
    "uri_too_long",
    "would_lose_quorum",
    "wrong_host",
    "no_checkpoint",
];

/// Codes that no row has, and why.
const WITHOUT_ROW: [(&str, &str); 3] = [
    ("internal", "it is a bug"),
    ("body_too_slow", "it takes half a minute"),
    ("no_checkpoint", "these disks always take one"),
];

/// Pairs of a route and a code or status that no row has, and why.
const PAIRS_WITHOUT_ROW: [(&str, &str, &str); 13] = [
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
];

fn document() -> Value {
    serde_json::from_slice(&openapi_json()).unwrap()
}

fn all_rows() -> Vec<Row> {
    let troubles = Trouble::ALL.into_iter().flat_map(Trouble::rows);
    rows::of_every_route().into_iter().chain(rows::of_a_sound_cluster()).chain(troubles).collect()
}

/// Method and template of every operation.
fn operations() -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    for path in &PATHS {
        for (method, _) in path.methods {
            all.push((*method, path.template));
            if *method == "GET" {
                all.push(("HEAD", path.template));
            }
        }
    }
    all
}

/// What the document says of an operation.
fn described<'a>(document: &'a Value, method: &str, template: &str) -> Option<&'a Value> {
    let item = document["paths"].get(template)?;
    item.get(method.to_lowercase()).or_else(|| item.get("additionalOperations")?.get(method))
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
    assert_eq!(answer.header("retry-after").is_some(), status == 503 && code.is_some(), "{what}");
    assert_eq!(answer.header("allow").is_some(), status == 405, "{what}");
    assert!(answer.header("quorate-history").is_some(), "{what}");
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
    for name in answer.headers.keys().map(|name| name.as_str()).filter(|name| says_something(name)) {
        let mut names = response["headers"].as_object().unwrap().keys();
        assert!(
            names.any(|described| described.eq_ignore_ascii_case(name)),
            "{what}: {name} is not described"
        );
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
}

/// Whether a header is there for what the answer says, and not for HTTP.
fn says_something(name: &str) -> bool {
    let others = ["etag", "allow", "retry-after", "content-range", "accept-ranges", "idempotency-replayed"];
    name.starts_with("quorate-") || others.contains(&name)
}

/// Holds an event of a watch to the document.
pub(super) fn check_event(name: &str, id: &str, data: &Value) {
    let document = document();
    let kinds = document["components"]["schemas"]["Event"]["oneOf"].as_array().unwrap();
    let kind = kinds.iter().find(|kind| kind["properties"]["event"]["enum"][0] == name);
    let kind = kind.unwrap_or_else(|| panic!("{name:?} is not described"));
    let event = serde_json::json!({"event": name, "id": id, "data": data.to_string()});
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

#[tokio::test]
async fn every_row_of_every_route_holds() {
    let document = document();
    for leads in [true, false] {
        let world = World::sound(leads).await;
        for row in rows::of_every_route() {
            for (method, template) in operations() {
                let query = if row.code == Some("bad_query") { "colour=red" } else { "" };
                let query = if template == "/watch" { format!("prefix=&{query}") } else { query.to_owned() };
                let path = template.replace("{key}", "a").replace("{id}", "00000000000000a1");
                let path =
                    path.replace("{name}", "00000000000000ff-0000000000000002").replace("{first}", "0");
                let target = format!("{path}?{query}");
                let asked = Row { target: target.leak(), ..row.clone() };
                let answer = world.answer(&asked, &Method::from_bytes(method.as_bytes()).unwrap()).await;
                judge(&document, &row, (method, template), &answer);
            }
        }
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
    for (route, what, why) in PAIRS_WITHOUT_ROW {
        assert!(!tried.contains(&(route, what.to_owned())), "{route} {what} has a row: {why}");
    }
    for (code, why) in WITHOUT_ROW {
        assert!(!codes.contains(code), "{code} has a row: {why}");
    }
    assert!(rows.iter().filter(|row| row.route == EVERY_ROUTE).count() >= 8);
}
