//! `GET /openapi.json`: the HTTP interface as an OpenAPI document.
//!
//! It is made of what the server itself goes by: the table of routes and their query parameters
//! ([`super::request`]), the types that bodies are parsed to and answers written from, and the codes of
//! [`ApiError`](super::request::ApiError). What no type says, `describe` says, and tests hold it to the parser.
//!
//! | module | what it holds |
//! |---|---|
//! | `describe` | what each operation is for, takes and answers |
//! | `parameters`, `formats` | parameters, and the forms that texts and numbers have |
//! | `refusals` | the errors that each operation may end in |
//! | `schemas` | the types of bodies, gathered |
//! | `reading` | the document as tests read it |

mod describe;
pub(crate) mod formats;
mod parameters;
#[cfg(test)]
pub(crate) mod reading;
mod refusals;
mod schemas;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use bytes::Bytes;
use utoipa::openapi::path::{OperationBuilder, PathItemBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, HttpMethod, Info, License, OpenApi, OpenApiBuilder, OpenApiVersion, PathsBuilder, Ref,
    RefOr, Response,
};

use super::error::ErrorBody;
use super::request::{Need, Operation, PATHS, Path};
use describe::Description;
use refusals::Refusal;
use schemas::Schemas;

static JSON: LazyLock<Bytes> = LazyLock::new(|| {
    let mut text = document().to_pretty_json().expect("the document has only texts and numbers");
    text.push('\n');
    Bytes::from(text)
});

/// The document, as it is served and as `docs/openapi.json` holds it.
pub(crate) fn openapi_json() -> Bytes {
    JSON.clone()
}

/// What the document calls a token.
const TOKEN: &str = "token";

fn token() -> SecurityScheme {
    let text = "Asked for by nodes with `--tokens`. The roles are `read`, `write` and `admin`; each may what those before it \
                may.";
    let form = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("q1.ID.SECRET");
    SecurityScheme::Http(form.description(Some(text)).build())
}

fn document() -> OpenApi {
    let mut schemas = Schemas::default();
    let mut refusals: Vec<Refusal> = Vec::new();
    let mut paths = PathsBuilder::new();
    for path in &PATHS {
        let mut item = PathItemBuilder::new();
        for (method, operation) in path.methods {
            let description = describe::operation(*operation, &mut schemas);
            let known = |method: &str, body: bool| {
                described(path, method, *operation, &description, body, &mut refusals)
            };
            item = add(item, method, known);
        }
        paths = paths.path(path.template, item.build());
    }
    schemas.of::<ErrorBody<'static>>();
    refusals.extend(refusals::nowhere());
    let mut components = ComponentsBuilder::new().schemas_from_iter(schemas.into_named());
    for refusal in refusals {
        components = components.response(refusal.name.clone(), refusal.response());
    }
    components = components.security_scheme(TOKEN, token());
    let mut info = Info::new("Quorate", env!("CARGO_PKG_VERSION"));
    info.description =
        Some("A consistent store. Every route works on every node; docs/HTTP.md tells more.".to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    OpenApiBuilder::new()
        // The first version that has room for methods of other names: LOCK and UNLOCK.
        .openapi(OpenApiVersion::Version32)
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

/// Adds a method to a path; to `GET` belongs `HEAD`.
fn add(
    item: PathItemBuilder,
    method: &str,
    mut described: impl FnMut(&str, bool) -> OperationBuilder,
) -> PathItemBuilder {
    match method {
        "GET" => {
            let item = item.operation(HttpMethod::Get, described(method, true));
            item.operation(HttpMethod::Head, described("HEAD", false))
        }
        "POST" => item.operation(HttpMethod::Post, described(method, true)),
        "PUT" => item.operation(HttpMethod::Put, described(method, true)),
        "DELETE" => item.operation(HttpMethod::Delete, described(method, true)),
        other => item.additional_operation(other, described(other, true)),
    }
}

/// What has to be shown where tokens are asked for; nothing is fine where they are not.
fn securities(operation: Operation) -> Vec<SecurityRequirement> {
    let (Need::Probe(role)
    | Need::Role(role)
    | Need::RoleOrPage(role)
    | Need::RoleOrNode(role)
    | Need::Join(role)) = operation.need();
    vec![SecurityRequirement::default(), SecurityRequirement::new(TOKEN, [role.name()])]
}

fn described(
    path: &Path,
    method: &str,
    operation: Operation,
    description: &Description,
    has_body: bool,
    refusals: &mut Vec<Refusal>,
) -> OperationBuilder {
    let name = format!("{} {}", method, path.template);
    let mut described = OperationBuilder::new()
        .tag(description.tag)
        .securities(Some(securities(operation)))
        .operation_id(Some(name))
        .summary(Some(description.summary))
        .parameters(Some(parameters::of(path.template, operation)))
        .request_body(description.body.clone());
    for (status, answer) in &description.answers {
        let answer = if has_body { answer.clone() } else { without_body(answer.clone()) };
        described = described.response(status.to_string(), answer);
    }
    for refusal in refusals::of(operation, has_body) {
        // Where an answer has the status of a refusal, it speaks of both.
        if description.answers.iter().all(|(status, _)| *status != refusal.status) {
            let reference = Ref::from_response_name(&refusal.name);
            described = described.response(refusal.status.to_string(), RefOr::Ref(reference));
            if !refusals.contains(&refusal) {
                refusals.push(refusal);
            }
        }
    }
    described
}

fn without_body(mut answer: Response) -> Response {
    answer.content.clear();
    answer
}
