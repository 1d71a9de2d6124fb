//! What each operation is for, takes and answers.

use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Object, Ref, RefOr, Required, Response, ResponseBuilder, Schema};

use super::formats::{bytes, number, one_of, revision, text};
use super::refusals::error_of;
use super::schemas::Schemas;
use crate::http::json::EntryAnswer;
use crate::http::leases::LeaseState;
use crate::http::request::{
    AddBody, GrantBody, JoinTokenBody, MemberBody, MembersBody, Operation, TransferBody, TxnBody,
};
use crate::http::status::{Check, Readiness, Version};
use crate::http::writes::{LeaseAnswer, TxnAnswer};
use crate::watching::{DeleteData, PutData, ResetData};

/// An operation, described.
pub(super) struct Description {
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) body: Option<RequestBody>,
    /// What is no error.
    pub(super) answers: Vec<(u16, Response)>,
}

const STORE: &str = "keys and values";
const LEASES: &str = "leases";
const CLUSTER: &str = "the cluster";
const NODE: &str = "the node";
const PEERS: &str = "between nodes";

const JSON: &str = "application/json";
const OCTETS: &str = "application/octet-stream";
const HTML: &str = "text/html";
const EVENTS: &str = "text/event-stream";

/// Describes an operation, and gathers the types of its bodies.
pub(super) fn operation(operation: Operation, schemas: &mut Schemas) -> Description {
    match operation {
        Operation::Get
        | Operation::Put
        | Operation::Delete
        | Operation::Lock
        | Operation::Unlock
        | Operation::List
        | Operation::Txn
        | Operation::Export
        | Operation::Import
        | Operation::Watch
        | Operation::Backup => of_the_store(operation, schemas),
        Operation::Grant | Operation::Lease | Operation::KeepAlive | Operation::Revoke => {
            of_leases(operation, schemas)
        }
        Operation::Members
        | Operation::SetMembers
        | Operation::Add
        | Operation::MakeJoinToken
        | Operation::Promote
        | Operation::Remove
        | Operation::Transfer
        | Operation::Snapshot
        | Operation::Status => of_the_cluster(operation, schemas),
        Operation::Hello
        | Operation::Livez
        | Operation::Readyz
        | Operation::Version
        | Operation::OpenApi
        | Operation::Metrics
        | Operation::Record
        | Operation::Lend => of_a_node(operation, schemas),
    }
}

fn of_the_store(operation: Operation, schemas: &mut Schemas) -> Description {
    let described = |summary, body, answers| Description { tag: STORE, summary, body, answers };
    match operation {
        Operation::Get => {
            let value =
                tagged(revised(octets("The value."))).header("X-Content-Type-Options", fixed("nosniff"));
            let value = value.header("Content-Security-Policy", fixed("sandbox"));
            let known = tagged(revised(said("It is what `If-None-Match` names.")));
            let missing = revised(said("The key is not there. The body is empty."));
            described(
                "Reads a key.",
                None,
                vec![(200, value.build()), (304, known.build()), (404, missing.build())],
            )
        }
        Operation::Put => {
            let body = body_of("The value: any bytes.", OCTETS, bytes());
            let body = RequestBodyBuilder::from(body).required(Some(Required::False)).build();
            described("Writes a key.", Some(body), vec![(200, tagged(written(schemas)).build())])
        }
        Operation::Delete => described("Deletes a key.", None, vec![(200, written(schemas).build())]),
        Operation::Lock => described(
            "Takes the lock of a name, as Terraform asks.",
            Some(body_of("Who takes it.", JSON, holder())),
            vec![(200, revised(success(schemas)).build())],
        ),
        Operation::Unlock => {
            let body = body_of("Who gives it back; without a body it is taken away.", JSON, holder());
            let body = RequestBodyBuilder::from(body).required(Some(Required::False)).build();
            described("Gives a lock back.", Some(body), vec![(200, revised(success(schemas)).build())])
        }
        Operation::List => {
            let list = list(schemas);
            let answer = revised(answer_of("The keys in the order of their bytes.", JSON, list));
            described("Lists keys, of one revision.", None, vec![(200, answer.build())])
        }
        Operation::Txn => {
            let body = schemas.of::<TxnBody>();
            let answer = schemas.of::<TxnAnswer<'static>>();
            let answer = once(revised(answer_of("What was done.", JSON, answer)));
            described(
                "Compares, and carries out one of two lists.",
                Some(body_of("The transaction.", JSON, body)),
                vec![(200, answer.build())],
            )
        }
        Operation::Export => {
            let answer = revised(answer_of("Every key and value.", JSON, data_json(schemas)));
            described("Reads the whole store.", None, vec![(200, answer.build())])
        }
        Operation::Import => described(
            "Writes many keys under one revision.",
            Some(body_of("Keys and values.", JSON, data_json(schemas))),
            vec![(200, written(schemas).build())],
        ),
        Operation::Watch => described("Tells what happens to keys.", None, vec![(200, events(schemas))]),
        Operation::Backup => described("A checkpoint of this node, as one file.", None, backups()),
        other => unreachable!("{other:?} is not of the store"),
    }
}

fn of_leases(operation: Operation, schemas: &mut Schemas) -> Description {
    let described = |summary, body, answers| Description { tag: LEASES, summary, body, answers };
    let lease = schemas.of::<LeaseAnswer>();
    let answer = || once(revised(answer_of("The lease.", JSON, lease.clone())));
    match operation {
        Operation::Grant => {
            let body = schemas.of::<GrantBody>();
            described(
                "Begins a lease.",
                Some(body_of("How long it lives.", JSON, body)),
                vec![(200, answer().build())],
            )
        }
        Operation::KeepAlive => {
            described("Lets a lease live for its whole time again.", None, vec![(200, answer().build())])
        }
        Operation::Revoke => {
            described("Ends a lease, and deletes its keys.", None, vec![(200, written(schemas).build())])
        }
        Operation::Lease => {
            let state = schemas.of::<LeaseState>();
            let answer = revised(answer_of("The lease, and what remains of it.", JSON, state));
            described("Reads a lease.", None, vec![(200, answer.build())])
        }
        other => unreachable!("{other:?} is not of leases"),
    }
}

fn of_the_cluster(operation: Operation, schemas: &mut Schemas) -> Description {
    let described = |summary, body, answers| Description { tag: CLUSTER, summary, body, answers };
    let done = |schemas: &mut Schemas| vec![(200, success(schemas).build())];
    match operation {
        Operation::Members => {
            let members = schemas.of::<quorate_client::Members>();
            let answer = answer_of("The members.", JSON, members).build();
            described("Tells who belongs to the cluster.", None, vec![(200, answer)])
        }
        Operation::Status => {
            let status = schemas.of::<quorate_client::Status>();
            let answer = answer_of("The node's view; as events, of the whole cluster.", JSON, status);
            let answer = answer.content(EVENTS, overviews(schemas)).build();
            described("Tells how this node stands, or once a second how all do.", None, vec![(200, answer)])
        }
        Operation::SetMembers => {
            let body = schemas.of::<MembersBody>();
            described(
                "Makes these the members.",
                Some(body_of("All members afterwards.", JSON, body)),
                done(schemas),
            )
        }
        Operation::Add => {
            let body = schemas.of::<AddBody>();
            let answer =
                success(schemas).header("Quorate-Cluster", id_header("The cluster that was joined."));
            described(
                "Takes a node in, as a learner first.",
                Some(body_of("The node.", JSON, body)),
                vec![(200, answer.build())],
            )
        }
        Operation::MakeJoinToken => {
            let body = schemas.of::<JoinTokenBody>();
            let made = schemas.of::<quorate_client::JoinTokenMade>();
            let answer = answer_of("The token, which is shown this once.", JSON, made).build();
            described(
                "Makes a token that lets one node join, once.",
                Some(body_of("How long it can be used.", JSON, body)),
                vec![(200, answer)],
            )
        }
        Operation::Promote => {
            let body = schemas.of::<MemberBody>();
            described("Lets a learner vote.", Some(body_of("The member.", JSON, body)), done(schemas))
        }
        Operation::Remove => {
            let body = schemas.of::<MemberBody>();
            described("Takes a member out.", Some(body_of("The member.", JSON, body)), done(schemas))
        }
        Operation::Transfer => {
            let body = body_of("The member; without one, the best.", JSON, schemas.of::<TransferBody>());
            let body = RequestBodyBuilder::from(body).required(Some(Required::False)).build();
            described("Hands leadership over.", Some(body), done(schemas))
        }
        Operation::Snapshot => described("Has this node make a checkpoint.", None, done(schemas)),
        other => unreachable!("{other:?} is not of the cluster"),
    }
}

fn of_a_node(operation: Operation, schemas: &mut Schemas) -> Description {
    let described = |summary, answers| Description { tag: NODE, summary, body: None, answers };
    match operation {
        Operation::Hello => {
            let hello = ObjectBuilder::new().property("hello", one_of(&["world"])).required("hello");
            let greeting = answer_of("A greeting; for a browser, the dashboard.", JSON, hello);
            let page = ContentBuilder::new().schema(Some(text("HTML."))).build();
            let known = page_headers(said("It is the page that `If-None-Match` names."));
            described(
                "Greets, and shows browsers the dashboard.",
                vec![(200, page_headers(greeting.content(HTML, page)).build()), (304, known.build())],
            )
        }
        Operation::Livez => {
            let alive = ObjectBuilder::new().property("status", one_of(&["ok"])).required("status");
            described("Tells that the process runs.", vec![(200, answer_of("It does.", JSON, alive).build())])
        }
        Operation::Readyz => {
            let brief = schemas.of::<Readiness<String>>();
            let verbose = schemas.under::<Readiness<Check>>("ReadinessInDetail");
            let either = || OneOfBuilder::new().item(brief.clone()).item(verbose.clone());
            let (ready, not_ready) = (either(), either().item(error_of(&["overloaded", "shutting_down"])));
            let retry = header(number(1, 60), "With an error: when to try again, in seconds.");
            let not_ready = answer_of("It is not, or about to end.", JSON, not_ready)
                .header("Retry-After", retry)
                .header("Quorate-Error", fixed("shutting_down"));
            let ready = answer_of("It is.", JSON, ready).build();
            described(
                "Tells whether this node is ready to serve.",
                vec![(200, ready), (503, not_ready.build())],
            )
        }
        Operation::Version => {
            let version = schemas.of::<Version>();
            described("Tells the version.", vec![(200, answer_of("The version.", JSON, version).build())])
        }
        Operation::OpenApi => {
            let answer = answer_of("This document.", JSON, Object::with_type(Type::Object)).build();
            described("Describes the interface.", vec![(200, answer)])
        }
        Operation::Metrics => {
            let answer =
                answer_of("The text that Prometheus reads.", "text/plain", text("docs/METRICS.md lists it."));
            described("Tells a monitoring system how this node is.", vec![(200, answer.build())])
        }
        Operation::Record => {
            let answer = octets("The recording.").header("X-Content-Type-Options", fixed("nosniff"));
            described("What went into this node lately, to be replayed.", vec![(200, answer.build())])
        }
        Operation::Lend => {
            let answer = octets("The piece, or the names of all checkpoints.")
                .header("Quorate-Node", id_header("Who lends it."))
                .header("Quorate-Cluster", id_header("The cluster that it is of."));
            let summary = "Lends peers a piece of a checkpoint.";
            Description { tag: PEERS, summary, body: None, answers: vec![(200, answer.build())] }
        }
        other => unreachable!("{other:?} is not of a node"),
    }
}

fn said(description: &str) -> ResponseBuilder {
    let history = id_header("The history that revisions count in.");
    let name = header(text(""), "The request's name in the logs of the nodes that it went through.");
    ResponseBuilder::new()
        .description(description)
        .header("Quorate-History", history)
        .header("X-Request-Id", name)
}

fn answer_of(description: &str, kind: &str, schema: impl Into<RefOr<Schema>>) -> ResponseBuilder {
    said(description).content(kind, ContentBuilder::new().schema(Some(schema)).build())
}

fn octets(description: &str) -> ResponseBuilder {
    answer_of(description, OCTETS, bytes())
}

fn success(schemas: &mut Schemas) -> ResponseBuilder {
    let done = ObjectBuilder::new().property("status", one_of(&["success"])).required("status");
    answer_of("It is done.", JSON, schemas.named("Success", done))
}

/// A change of the store that is done.
fn written(schemas: &mut Schemas) -> ResponseBuilder {
    once(revised(success(schemas)))
}

fn revised(response: ResponseBuilder) -> ResponseBuilder {
    response.header("Quorate-Revision", header(revision(), "The store's revision."))
}

fn tagged(response: ResponseBuilder) -> ResponseBuilder {
    let form = text("").pattern(Some(r#"^"[0-9]+"$"#));
    response.header("ETag", header(form, "The revision at which the key was last written."))
}

/// What comes with the dashboard, and not with a greeting.
fn page_headers(response: ResponseBuilder) -> ResponseBuilder {
    let tag = header(text("").pattern(Some(r#"^"[0-9a-f]{32}"$"#)), "Names the page.");
    let policy = header(text("").pattern(Some("^default-src 'none'; ")), "What the page may do: little.");
    let response = response.header("ETag", tag).header("Content-Security-Policy", policy);
    response.header("X-Content-Type-Options", fixed("nosniff"))
}

fn once(response: ResponseBuilder) -> ResponseBuilder {
    let form = one_of(&["true"]);
    response.header("Idempotency-Replayed", header(form, "The answer is that of an earlier, equal request."))
}

fn header(form: ObjectBuilder, description: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(form)).description(Some(description)).build()
}

fn fixed(value: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(one_of(&[value]))).build()
}

fn id_header(description: &str) -> utoipa::openapi::Header {
    header(text("").pattern(Some("^[0-9a-f]{32}$")), description)
}

fn body_of(description: &str, kind: &str, schema: impl Into<RefOr<Schema>>) -> RequestBody {
    RequestBodyBuilder::new()
        .description(Some(description))
        .required(Some(Required::True))
        .content(kind, ContentBuilder::new().schema(Some(schema)).build())
        .build()
}

/// Whoever holds a lock may say more of itself than its name.
fn holder() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("ID", text("Who it is.").min_length(Some(1)))
        .required("ID")
}

fn list(schemas: &mut Schemas) -> Ref {
    let entry = schemas.of::<EntryAnswer<'static>>();
    let list = ObjectBuilder::new()
        .property("revision", revision())
        .required("revision")
        .property("keys", ArrayBuilder::new().items(entry))
        .required("keys")
        .property("more", ObjectBuilder::new().schema_type(Type::Boolean))
        .required("more")
        .property("next", text("What `cursor` takes to go on. It is there when `more` is true."));
    schemas.named("List", list)
}

fn data_json(schemas: &mut Schemas) -> Ref {
    let text = "A key, in base64url with padding.";
    let form = ObjectBuilder::new()
        .description(Some(format!("{text} Each with its value, in the same.")))
        .property_names(Some(base64url(1)))
        .additional_properties(Some(base64url(0)));
    schemas.named("DataJson", form)
}

/// Base64url as it stands in `data.json`; `least` bytes.
fn base64url(least: usize) -> Schema {
    let last = "([A-Za-z0-9_-][AQgw]==|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048]=)?";
    let form = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(format!("^([A-Za-z0-9_-]{{4}})*{last}$")))
        .min_length((least > 0).then_some(4));
    form.build().into()
}

fn events(schemas: &mut Schemas) -> Response {
    let kinds: [(&str, Ref); 3] = [
        ("put", schemas.of::<PutData<'static>>()),
        ("delete", schemas.of::<DeleteData<'static>>()),
        ("reset", schemas.of::<ResetData>()),
    ];
    let mut event = OneOfBuilder::new();
    for (name, data) in kinds {
        let id = text("Revision and number.").pattern(Some("^[0-9]+-[0-9]+$"));
        event = event.item(event_of(name, data).property("id", id).required("id"));
    }
    let event = schemas.named("Event", event);
    let stream = ContentBuilder::new().item_schema(Some(event)).build();
    revised(said("Events, for as long as the client listens.")).content(EVENTS, stream).build()
}

fn overviews(schemas: &mut Schemas) -> Content {
    let event = event_of("overview", schemas.of::<quorate_client::Overview>());
    let event = schemas.named("OverviewEvent", OneOfBuilder::new().item(event));
    ContentBuilder::new().item_schema(Some(event)).build()
}

fn event_of(name: &str, data: Ref) -> ObjectBuilder {
    let data =
        ObjectBuilder::new().schema_type(Type::String).content_media_type(JSON).content_schema(Some(data));
    ObjectBuilder::new()
        .property("event", one_of(&[name]))
        .required("event")
        .property("data", data)
        .required("data")
}

fn backups() -> Vec<(u16, Response)> {
    let tag = || header(text("").pattern(Some(r#"^"[0-9a-f]{32}"$"#)), "Names the bytes.");
    let file = |description: &str| {
        let file = revised(octets(description)).header("X-Content-Type-Options", fixed("nosniff"));
        file.header("ETag", tag()).header("Accept-Ranges", fixed("bytes"))
    };
    let range = header(text("").pattern(Some("^bytes [0-9]+-[0-9]+/[0-9]+$")), "Which bytes of how many.");
    let known = revised(said("It is what `If-None-Match` names.")).header("ETag", tag());
    vec![
        (200, file("The whole file.").build()),
        (206, file("The bytes that `Range` names.").header("Content-Range", range).build()),
        (304, known.build()),
    ]
}
