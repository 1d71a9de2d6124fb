//! The forms that texts and numbers have, as schemas.

use quorate_node::kv::Revision;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::http::request::MAX_KEY_BYTES;

pub(crate) fn number(minimum: u64, maximum: u64) -> ObjectBuilder {
    let most = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(most(minimum))).maximum(Some(most(maximum)))
}

pub(crate) fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description).filter(|description| !description.is_empty()))
}

pub(crate) fn one_of(values: &[&str]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values.iter().copied()))
}

/// Any bytes.
pub(crate) fn bytes() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(utoipa::openapi::SchemaFormat::Custom("binary".to_owned())))
        .content_media_type("application/octet-stream")
}

/// A key, decoded.
pub(crate) fn key() -> RefOr<Schema> {
    let form = text("1 to 4,096 bytes of UTF-8.").min_length(Some(1)).max_length(Some(MAX_KEY_BYTES));
    RefOr::T(form.build().into())
}

/// A value in JSON.
pub(crate) fn base64() -> RefOr<Schema> {
    RefOr::T(base64_text().build().into())
}

/// A value in JSON, where it may be left out.
pub(crate) fn base64_text() -> ObjectBuilder {
    // The last digits before the padding have bits that stand for nothing: they are zero.
    let last = "([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?";
    text("Base64 with padding (RFC 4648 §4).")
        .pattern(Some(format!("^([A-Za-z0-9+/]{{4}})*{last}$")))
        .content_encoding("base64")
}

/// How long a key or a lease lives.
pub(crate) fn ttl() -> RefOr<Schema> {
    RefOr::T(ttl_text().build().into())
}

/// The same, in a body in which it may be left out.
pub(crate) fn optional_ttl() -> RefOr<Schema> {
    RefOr::T(or_null(ttl_text()).build().into())
}

pub(crate) fn ttl_text() -> ObjectBuilder {
    text("From 1s to 3650d: `30s`, `1h30m`, `1.5s`.")
        .pattern(Some(r"^([0-9]+(\.[0-9]{1,6})?(d|h|m|s|ms|us))+$"))
}

pub(crate) fn timeout() -> ObjectBuilder {
    text("From 1ms to 60s.")
        .pattern(Some("^0*(([1-9][0-9]{0,3}|[1-5][0-9]{4}|60000)ms|([1-9]|[1-5][0-9]|60)s|1m)$"))
        .default(Some("5s".into()))
}

pub(crate) fn lease_text() -> ObjectBuilder {
    text("As `POST /leases` answered it.").pattern(Some("^[0-9a-fA-F]{16}$"))
}

/// The name of a lease.
pub(crate) fn lease() -> RefOr<Schema> {
    RefOr::T(lease_text().build().into())
}

/// The name of a lease, where it may be left out.
pub(crate) fn optional_lease() -> RefOr<Schema> {
    RefOr::T(or_null(lease_text()).build().into())
}

pub(crate) fn revision() -> ObjectBuilder {
    number(0, Revision::MAX.0).description(Some("A revision of the store, as `Quorate-Revision` shows one."))
}

/// Why a key is gone.
pub(crate) fn delete_reason() -> RefOr<Schema> {
    one_of(&["deleted", "expired"]).into()
}

/// Why a watch ends.
pub(crate) fn reset_reason() -> RefOr<Schema> {
    one_of(&["slow", "compacted", "restored"]).into()
}

/// How a check ended.
pub(crate) fn check_status() -> RefOr<Schema> {
    one_of(&["ok", "failed"]).into()
}

/// The id of a node.
pub(crate) fn node_id() -> RefOr<Schema> {
    RefOr::T(node_id_text().build().into())
}

/// The id of a node, where it may be left out.
pub(crate) fn optional_node_id() -> RefOr<Schema> {
    RefOr::T(or_null(node_id_text()).build().into())
}

/// The ids of nodes.
pub(crate) fn node_ids() -> RefOr<Schema> {
    let array = utoipa::openapi::ArrayBuilder::new().items(node_id_text()).unique_items(true);
    RefOr::T(array.build().into())
}

fn node_id_text() -> ObjectBuilder {
    let digits = "[0-9a-fA-F]";
    let dashed = format!("{digits}{{8}}-{digits}{{4}}-{digits}{{4}}-{digits}{{4}}-{digits}{{12}}");
    text("A UUID: 32 hex digits, also with dashes, and with `urn:uuid:` before it.")
        .pattern(Some(format!("^(urn:uuid:)?({digits}{{32}}|{dashed})$")))
}

/// Where peers dial a node.
pub(crate) fn address() -> RefOr<Schema> {
    RefOr::T(text("`host:port`").pattern(Some("^.+:[0-9]{1,5}$")).build().into())
}

fn or_null(form: ObjectBuilder) -> ObjectBuilder {
    form.schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}
