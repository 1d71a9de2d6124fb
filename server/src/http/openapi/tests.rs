//! What the document says is what the server does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use regex_lite::Regex;
use serde_json::Value;

use super::openapi_json;
use super::reading::{assert_committed, described, document, operations, path_of};
use crate::http::request::parse_head;

#[test]
fn the_committed_document_is_the_served_one() {
    assert_committed("openapi.json", &openapi_json());
}

/// Every method of every path is described when the parser knows it, and only then.
#[test]
fn the_document_has_the_methods_that_the_parser_has() {
    let document = document();
    let methods = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "LOCK", "UNLOCK",
        "COPY",
    ];
    for template in document["paths"].as_object().unwrap().keys() {
        for method in methods {
            let query = (template == "/watch").then_some("prefix=a");
            let method_ = Method::from_bytes(method.as_bytes()).unwrap();
            let parsed = parse_head(&method_, &path_of(template), query, &HeaderMap::new());
            let is_described = described(&document, method, template).is_some();
            match parsed {
                Ok(_) => assert!(is_described, "{method} {template} is not described"),
                Err(error) => {
                    assert_eq!(error.name().1, "method_not_allowed", "{method} {template}: {error}");
                    assert!(!is_described, "{method} {template} is described, and refused");
                }
            }
        }
    }
}

/// A value that each query parameter takes, and what has to be with it.
fn value_of(name: &str) -> &'static str {
    match name {
        "timeout" | "ttl" => "30s",
        "consistency" => "stale",
        "wait" => "voter",
        "verbose" | "previous" | "values" => "true",
        "revision" | "limit" | "from" => "7",
        "lease" => "00000000000000a1",
        "events" => "put,delete",
        // Of a list that ended at "a".
        "cursor" => "AQ",
        _ => "a",
    }
}

#[test]
fn the_parser_takes_the_parameters_that_are_described_and_no_others() {
    let document = document();
    for (method, template) in operations() {
        let operation = described(&document, method, template).unwrap();
        let (method, path) = (Method::from_bytes(method.as_bytes()).unwrap(), path_of(template));
        let needed = if template == "/watch" { "prefix=a&" } else { "" };
        let parse = |query: &str| {
            let query = if query.starts_with("prefix=") || query.starts_with("key=") {
                query.to_owned()
            } else {
                format!("{needed}{query}")
            };
            parse_head(&method, &path, Some(&query), &HeaderMap::new())
        };
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] != "query" {
                continue;
            }
            let query = format!("{name}={}", value_of(name));
            match parse(&query) {
                Ok(_) => {}
                // A cursor is refused for what it is, not for its name.
                Err(error) if name == "cursor" => assert!(error.to_string().contains("\"next\""), "{error}"),
                Err(error) => panic!("{method} {template}?{query}: {error}"),
            }
            if let Some(values) = parameter["schema"]["enum"].as_array() {
                for value in values {
                    let query = format!("{name}={}", value.as_str().unwrap());
                    assert!(parse(&query).is_ok(), "{method} {template}?{query}");
                }
                assert!(parse(&format!("{name}=nonsense")).is_err(), "{method} {template}?{name}");
            }
        }
        let error = parse("colour=red").unwrap_err();
        assert_eq!(error.name().1, "bad_query", "{method} {template}");
        // Its text lists what it takes.
        let text = error.to_string();
        let described: BTreeSet<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let taken: BTreeSet<&str> =
            text.split_once("it takes ").unwrap().1.split(", ").filter(|name| *name != "none").collect();
        assert_eq!(described, taken, "{method} {template}");
    }
}

/// What a parser reads fits the pattern that the document has for it, and what it refuses for its form does not.
#[test]
fn patterns_are_as_wide_as_the_parsers() {
    let ttls = ["30s", "3650d", "1h30m", "1.5s", "1500ms", "5000000us", "007s"];
    let timeouts = ["5s", "05s", "1m", "60s", "60000ms", "0060000ms"];
    // The second is that of a reset.
    let events = ["7-0", "7-4294967295", "9223372036854775807-0", ""];
    let read: [(&str, &str, &str, &[&str]); 3] = [
        ("PUT", "/key/{key}", "ttl", &ttls),
        ("GET", "/key/{key}", "timeout", &timeouts),
        ("GET", "/watch", "last-event-id", &events),
    ];
    let refused: [&[&str]; 3] = [
        &["30", "s", "1.s", "1.1234567s", "1h 30m", "", "1w", ".5s"],
        &["61s", "60001ms", "0s", "1.5s", "2m", "ms", "1h", ""],
        &["7", "7-", "-7", "a-0", "7-0-0"],
    ];
    let document = document();
    for ((method, template, name, read), refused) in read.into_iter().zip(refused) {
        let parameters = described(&document, method, template).unwrap()["parameters"].as_array().unwrap();
        let parameter = parameters.iter().find(|parameter| parameter["name"] == name).unwrap();
        let pattern = Regex::new(parameter["schema"]["pattern"].as_str().unwrap()).unwrap();
        let is_read = |text: &str| {
            let (mut headers, mut query) = (HeaderMap::new(), "prefix=".to_owned());
            match parameter["in"].as_str() {
                Some("header") => {
                    headers.insert("last-event-id", text.parse().unwrap());
                }
                _ => query = format!("{name}={}", text.replace(' ', "%20")),
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            parse_head(&method, &path_of(template), Some(&query), &headers).is_ok()
        };
        for text in read {
            assert!(is_read(text) && pattern.is_match(text), "{name} {text:?}");
        }
        for text in refused {
            assert!(!is_read(text) && !pattern.is_match(text), "{name} {text:?}");
        }
    }
}

/// As `error.rs` writes them.
fn codes_in_the_source() -> BTreeSet<(u16, String)> {
    let statuses: BTreeMap<String, u16> = (400..600)
        .filter_map(|number| {
            let reason = StatusCode::from_u16(number).ok()?.canonical_reason()?;
            Some((reason.to_uppercase().replace([' ', '-'], "_"), number))
        })
        .collect();
    let source = include_str!("../error.rs");
    let pairs = source.split("(StatusCode::").skip(1).filter_map(|pair| {
        let (status, rest) = pair.split_once(',')?;
        let code = rest.split_once(')')?.0.trim().strip_prefix('"')?.strip_suffix('"')?;
        Some((statuses[status], code.to_owned()))
    });
    pairs.collect()
}

#[test]
fn the_document_has_every_code_under_its_status() {
    let document = document();
    let mut described = BTreeSet::new();
    for (name, response) in document["components"]["responses"].as_object().unwrap() {
        let status: u16 = name.split('.').next().unwrap().parse().unwrap();
        let codes = response["headers"]["Quorate-Error"]["schema"]["enum"].as_array().unwrap();
        described.extend(codes.iter().map(|code| (status, code.as_str().unwrap().to_owned())));
    }
    let source = codes_in_the_source();
    assert!(source.len() > 30, "{source:?}");
    assert_eq!(described, source);
}

/// What is referred to is there, and what is there is referred to.
#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    found.insert(target.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let mut there = BTreeSet::new();
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            there.insert(format!("#/components/{kind}/{name}"));
        }
    }
    let unused: Vec<_> = there.difference(&found).map(String::as_str).collect();
    assert_eq!(
        unused,
        ["#/components/responses/404.route_not_found", "#/components/responses/405.method_not_allowed"],
        "only those belong to no operation"
    );
    assert_eq!(found.difference(&there).collect::<Vec<_>>(), Vec::<&String>::new());
}
