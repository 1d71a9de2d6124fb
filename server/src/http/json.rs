//! The JSON that goes out.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use quorate_node::kv::Entry;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::formats;

/// The answer to a change that is done.
pub(crate) const SUCCESS: &[u8] = br#"{"status":"success"}"#;
/// The answer of `/`.
pub(crate) const HELLO: &[u8] = br#"{"hello":"world"}"#;
/// The answer of `/livez`.
pub(crate) const ALIVE: &[u8] = br#"{"status":"ok"}"#;
/// All of the answer to plain HTTP where TLS is spoken. Its end is that of the connection.
pub(crate) const PLAIN_TO_TLS: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\n",
    "content-type: application/json; charset=utf-8\r\n",
    "quorate-error: malformed\r\n",
    "connection: close\r\n",
    "\r\n",
    r#"{"error":"plain HTTP came to a port that speaks HTTPS: write https:// in place of http://","code":"malformed"}"#,
);

/// A key and what is under it.
#[derive(Serialize, ToSchema)]
#[schema(as = Entry)]
pub(crate) struct EntryAnswer<'a> {
    #[schema(schema_with = formats::key)]
    key: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = formats::base64, required = false)]
    value: Option<String>,
    create_revision: u64,
    mod_revision: u64,
    version: u64,
}

impl<'a> EntryAnswer<'a> {
    /// With its value or without.
    pub(crate) fn new(key: &'a [u8], entry: &Entry, with_value: bool) -> EntryAnswer<'a> {
        EntryAnswer {
            // Keys are checked before they are written; one from elsewhere is shown as well as it can be.
            key: String::from_utf8_lossy(key),
            value: with_value.then(|| STANDARD.encode(&entry.value)),
            create_revision: entry.create_revision.0,
            mod_revision: entry.mod_revision.0,
            version: entry.version,
        }
    }
}

/// Writes an answer.
pub(crate) fn encode(answer: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(answer).expect("structs with fields of text and numbers are always JSON"))
}
