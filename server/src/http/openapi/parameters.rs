//! What a request's path, query and headers may hold.

use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use utoipa::openapi::path::{Parameter as Described, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::{RefOr, Required, Schema};

use super::formats;
use crate::http::headers::{IDEMPOTENCY_KEY, QUORATE_HISTORY, QUORATE_JOIN_TOKEN, X_REQUEST_ID};
use crate::http::request::{LAST_EVENT_ID, MAX_IDEMPOTENCY_KEY_BYTES, Operation, Parameter};

/// All parameters of an operation.
pub(super) fn of(template: &str, operation: Operation) -> Vec<Described> {
    let names = template.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    let mut all: Vec<Described> = names.map(in_path).collect();
    all.extend(operation.parameters().iter().map(|parameter| in_query(*parameter)));
    all.extend(headers(operation));
    all
}

fn in_path(name: &str) -> Described {
    let (form, description) = match name {
        "key" => (formats::key(), "Percent-encoded; `%2F` and `/` are the same."),
        "id" => (formats::lease(), "The lease."),
        "name" => (
            shaped(formats::text("").pattern(Some("^[0-9a-f]{16}-[0-9a-f]{16}$"))),
            "Index and term of the last slot.",
        ),
        "digest" => {
            (shaped(formats::text("").pattern(Some("^[0-9a-f]{64}$"))), "The name of the run: its digest.")
        }
        "first" => (shaped(formats::number(0, u32::MAX.into())), "The first block."),
        other => unreachable!("{other:?} stands in no path"),
    };
    parameter(name, ParameterIn::Path, form, description)
}

fn in_query(which: Parameter) -> Described {
    let (form, description) = match which {
        Parameter::Timeout => (formats::timeout(), "Until when to try."),
        Parameter::Consistency => {
            let levels = formats::one_of(&["linearizable", "lease", "stale"]);
            (levels.default(Some("linearizable".into())), "How fresh the answer must be.")
        }
        Parameter::Wait => (formats::one_of(&["voter"]), "Answer only when the new member votes."),
        Parameter::Verbose => (formats::one_of(&["", "true", "false"]), "Answer in detail."),
        Parameter::Revision => (formats::revision(), "As it was then. Not later than the store is."),
        Parameter::Ttl => (formats::ttl_text(), "How long the key lives. Not together with `lease`."),
        Parameter::Lease => (formats::lease_text(), "The lease that the key goes with. Not with `ttl`."),
        Parameter::Holder => (
            formats::text("").min_length(Some(1)),
            "Only while the holder of that name has the key's lock, as Terraform asks.",
        ),
        Parameter::Prefix => {
            (formats::text(""), "Keys that begin with it. Not together with `start`, `end` or `key`.")
        }
        Parameter::Start => (formats::text(""), "The first key."),
        Parameter::End => (formats::text("").min_length(Some(1)), "The first key that is left out again."),
        Parameter::After => (formats::text("").min_length(Some(1)), "Only keys behind it."),
        Parameter::Limit => (formats::number(1, u64::MAX), "At most so many."),
        Parameter::Values => (formats::one_of(&["true", "false"]), "Whether values are wanted."),
        Parameter::Cursor => {
            (formats::text("").min_length(Some(1)), "Where to go on: `next` of the answer before, as it is.")
        }
        Parameter::Key => (
            formats::text("").min_length(Some(1)).max_length(Some(crate::http::request::MAX_KEY_BYTES)),
            "The key that is watched. This or `prefix`.",
        ),
        Parameter::From => (formats::number(0, u64::MAX), "Everything from this revision on."),
        Parameter::Events => {
            (formats::one_of(&["put", "delete", "put,delete", "delete,put"]), "Only these kinds.")
        }
        Parameter::Previous => {
            (formats::one_of(&["", "true", "false"]), "Whether events tell what was there before.")
        }
    };
    parameter(which.name(), ParameterIn::Query, shaped(form), description)
}

/// The headers that mean something, besides those of HTTP itself.
fn headers(operation: Operation) -> Vec<Described> {
    let header = |name: &HeaderName, form: ObjectBuilder, description| {
        parameter(name.as_str(), ParameterIn::Header, shaped(form), description)
    };
    // A write is refused when a condition of it can't be read; to a read it names nothing.
    let is_read = matches!(operation, Operation::Get | Operation::Backup | Operation::Hello);
    let tags = || {
        let form = formats::text("Tags in quotes, with commas between them, or `*`.");
        if is_read { form } else { form.pattern(Some(r#"^(\*|"[0-9]{1,19}"(, "[0-9]{1,19}")*)$"#)) }
    };
    let mut all = Vec::new();
    if operation.takes(&IF_MATCH) {
        all.push(header(
            &IF_MATCH,
            tags(),
            "Only if what is there has one of these tags, or is there at all.",
        ));
    }
    if operation.takes(&IF_NONE_MATCH) {
        all.push(header(&IF_NONE_MATCH, tags(), "Only if what is there has none of these tags."));
    }
    if operation.takes(&IDEMPOTENCY_KEY) {
        let form = formats::text("").min_length(Some(1)).max_length(Some(MAX_IDEMPOTENCY_KEY_BYTES));
        all.push(header(&IDEMPOTENCY_KEY, form, "Makes it safe to repeat the request as it is."));
    }
    let form = formats::text("Visible ASCII, at most 128 bytes.");
    all.push(header(
        &X_REQUEST_ID,
        form,
        "The request's name in logs, and in its answer. Any other is replaced.",
    ));
    match operation {
        Operation::Backup => {
            // What is no range, or no tag of ours, is ignored.
            let range = formats::text("`bytes=N-`, `bytes=N-M` or `bytes=-N`.");
            all.push(header(&RANGE, range, "The bytes that are wanted, with `If-Range` or `If-Match`."));
            all.push(header(&IF_RANGE, formats::text(""), "The tag of the backup that the range is of."));
        }
        Operation::Add => {
            let token = formats::text("As `POST /raft/join-tokens` answered it.");
            all.push(header(&QUORATE_JOIN_TOKEN, token, "What lets the node in: it is spent by that."));
        }
        Operation::Watch => {
            let id = formats::text("").pattern(Some("^([0-9]{1,19}-[0-9]{1,10})?$"));
            all.push(header(&LAST_EVENT_ID, id, "Everything behind this event. It counts before `from`."));
            let history = formats::text("").pattern(Some("^[0-9a-f]{32}$"));
            all.push(header(&QUORATE_HISTORY, history, "The history in which the client saw what it saw."));
        }
        _ => {}
    }
    all
}

fn shaped(form: ObjectBuilder) -> RefOr<Schema> {
    RefOr::T(form.build().into())
}

fn parameter(name: &str, place: ParameterIn, form: RefOr<Schema>, description: &str) -> Described {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(form))
        .build()
}
