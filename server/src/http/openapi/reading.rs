//! The document as tests read it, and the pages that are made of the code.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::Value;

use super::openapi_json;
use crate::http::request::PATHS;

/// Writes the pages that are made of the code, instead of comparing them.
const REGENERATE: &str = "QUORATE_REGENERATE";

pub(crate) fn document() -> Value {
    serde_json::from_slice(&openapi_json()).unwrap()
}

/// Method and template of every operation that there is.
pub(crate) fn operations() -> Vec<(&'static str, &'static str)> {
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
pub(crate) fn described<'a>(document: &'a Value, method: &str, template: &str) -> Option<&'a Value> {
    let item = document["paths"].get(template)?;
    item.get(method.to_lowercase()).or_else(|| item.get("additionalOperations")?.get(method))
}

/// A path of this form.
pub(crate) fn path_of(template: &str) -> String {
    let lease = "00000000000000a1";
    let name = "0000000000000fa0-0000000000000002";
    let digest = "ab".repeat(32);
    let named =
        [("{key}", "a%2Fb"), ("{id}", lease), ("{name}", name), ("{digest}", &*digest), ("{first}", "17")];
    named.iter().fold(template.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// Compares a page of `docs/` to what the code makes.
pub(crate) fn assert_committed(name: &str, made: &[u8]) {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(&place, made).unwrap();
    }
    let committed = std::fs::read(&place).unwrap_or_default();
    assert!(
        committed == made,
        "docs/{name} is not what the code says; `{REGENERATE}=1 cargo test -p quorate-server committed` writes it"
    );
}
