//! `POST /txn`.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quorate_node::kv::{Compare, Expiry, Op, Operand, Put, Relation, Revision, Txn};
use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::ApiError;
use super::json::{Object, parse};
use super::key::check_key;
use super::query::parse_lease;
use super::ttl::parse_ttl;
use crate::context::Limits;
use crate::http::openapi::formats;

/// How much of a key or value an error quotes.
const SHOWN_CHARACTERS: usize = 80;

/// The body of `POST /txn`.
#[derive(Deserialize, ToSchema)]
#[schema(as = Txn)]
#[serde(deny_unknown_fields)]
pub(crate) struct TxnBody {
    #[serde(default)]
    #[schema(value_type = Vec<CompareBody>, required = false, max_items = 128)]
    compare: Vec<Object<CompareBody>>,
    /// What is done when all comparisons hold.
    #[serde(default)]
    #[schema(required = false, max_items = 128)]
    success: Vec<OpBody>,
    /// What is done otherwise.
    #[serde(default)]
    #[schema(required = false, max_items = 128)]
    failure: Vec<OpBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompareBody {
    key: String,
    target: String,
    op: String,
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OpBody {
    Put(Object<PutBody>),
    Get(Object<KeyBody>),
    Delete(Object<KeyBody>),
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Put)]
#[serde(deny_unknown_fields)]
struct PutBody {
    #[schema(schema_with = formats::key)]
    key: String,
    #[schema(schema_with = formats::base64)]
    value: String,
    #[schema(schema_with = formats::optional_ttl, required = false)]
    ttl: Option<String>,
    #[schema(schema_with = formats::optional_lease, required = false)]
    lease: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Key)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    #[schema(schema_with = formats::key)]
    key: String,
}

/// What a value is compared to depends on what is compared, which no derivation sees.
impl PartialSchema for CompareBody {
    fn schema() -> RefOr<Schema> {
        let number = formats::number(0, u64::MAX).build().into();
        let targets: [(&[&str], RefOr<Schema>); 2] = [
            (&["value"], formats::base64()),
            (&["version", "create_revision", "mod_revision"], RefOr::T(number)),
        ];
        let mut form = OneOfBuilder::new();
        for (names, value) in targets {
            let fields = [
                ("key", formats::key()),
                ("target", formats::one_of(names).into()),
                ("op", formats::one_of(&["=", "!=", "<", ">"]).into()),
                ("value", value),
            ];
            form = form.item(closed(fields));
        }
        form.into()
    }
}

impl ToSchema for CompareBody {
    fn name() -> Cow<'static, str> {
        "Compare".into()
    }
}

/// It is exactly one of them, which no derivation says.
impl PartialSchema for OpBody {
    fn schema() -> RefOr<Schema> {
        let one = |name, schema: Cow<'static, str>| closed([(name, Ref::from_schema_name(schema).into())]);
        let form = OneOfBuilder::new().item(one("put", PutBody::name())).item(one("get", KeyBody::name()));
        form.item(one("delete", KeyBody::name())).into()
    }
}

impl ToSchema for OpBody {
    fn name() -> Cow<'static, str> {
        "Operation".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((PutBody::name().into_owned(), PutBody::schema()));
        schemas.push((KeyBody::name().into_owned(), KeyBody::schema()));
    }
}

/// An object with these fields and no others.
fn closed<const N: usize>(fields: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    let form =
        ObjectBuilder::new().additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    fields.into_iter().fold(form, |form, (name, schema)| form.property(name, schema).required(name))
}

/// Reads a transaction.
///
/// # Errors
/// `bad_json`, `duplicate_key`, `value_too_large`, `request_too_large`; a key that is none is `bad_json` too.
pub(super) fn parse_txn(body: &[u8], limits: &Limits) -> Result<Txn, ApiError> {
    let body: TxnBody = parse(body)?;
    let counts =
        [("compare", body.compare.len()), ("success", body.success.len()), ("failure", body.failure.len())];
    for (list, count) in counts {
        let limit = limits.txn_operations;
        if count > limit {
            return Err(ApiError::BadJson(format!(
                "{list:?} has {count} elements, the limit is {limit}: split the transaction, or raise \
                 --max-txn-operations"
            )));
        }
    }
    let mut reader = Reader { limits, decoded_bytes: 0 };
    let mut compare = Vec::new();
    for Object(body) in body.compare {
        compare.push(reader.compare(body)?);
    }
    let (success, failure) = (reader.ops(body.success)?, reader.ops(body.failure)?);
    let txn = Txn { compare, success, failure };
    let limit = limits.request_bytes;
    if reader.decoded_bytes > limit {
        return Err(ApiError::RequestTooLarge { limit, sent: Some(reader.decoded_bytes as u64) });
    }
    match txn.key_written_twice() {
        None => Ok(txn),
        Some(key) => Err(ApiError::DuplicateKey(shown(&String::from_utf8_lossy(key)))),
    }
}

struct Reader<'a> {
    limits: &'a Limits,
    decoded_bytes: usize,
}

impl Reader<'_> {
    fn compare(&mut self, body: CompareBody) -> Result<Compare, ApiError> {
        let CompareBody { key, target, op, value } = body;
        let relation = match &*op {
            "=" => Relation::Equal,
            "!=" => Relation::NotEqual,
            "<" => Relation::Less,
            ">" => Relation::Greater,
            _ => return Err(ApiError::BadJson(format!("\"op\" is {op:?}: give =, !=, < or >"))),
        };
        let number = || {
            let wanted = || {
                let seen = shown(&value.to_string());
                ApiError::BadJson(format!("the \"value\" for {target:?} is {seen}: give a whole number"))
            };
            whole_number(&value).ok_or_else(wanted)
        };
        let operand = match &*target {
            "value" => match &value {
                Value::String(text) => Operand::Value(self.value(&key, text)?),
                other => {
                    let seen = shown(&other.to_string());
                    return Err(ApiError::BadJson(format!(
                        "the \"value\" for \"value\" is {seen}: give a text of base64"
                    )));
                }
            },
            "version" => Operand::Version(number()?),
            "create_revision" => Operand::CreateRevision(Revision(number()?)),
            "mod_revision" => Operand::ModRevision(Revision(number()?)),
            _ => {
                return Err(ApiError::BadJson(format!(
                    "\"target\" is {target:?}: give value, version, create_revision or mod_revision"
                )));
            }
        };
        Ok(Compare { key: self.key(&key)?, relation, operand })
    }

    fn ops(&mut self, bodies: Vec<OpBody>) -> Result<Vec<Op>, ApiError> {
        bodies.into_iter().map(|body| self.op(body)).collect()
    }

    fn op(&mut self, body: OpBody) -> Result<Op, ApiError> {
        Ok(match body {
            OpBody::Get(Object(KeyBody { key })) => Op::Get { key: self.key(&key)? },
            OpBody::Delete(Object(KeyBody { key })) => Op::Delete { key: self.key(&key)? },
            OpBody::Put(Object(PutBody { key, value, ttl, lease })) => {
                let expiry = expiry(ttl.as_deref(), lease.as_deref())?;
                let value = self.value(&key, &value)?;
                Op::Put(Put { key: self.key(&key)?, value, expiry })
            }
        })
    }

    fn key(&mut self, key: &str) -> Result<Arc<[u8]>, ApiError> {
        check_key(key.as_bytes())
            .map_err(|error| ApiError::BadJson(format!("\"key\" is {:?}: {error}", shown(key))))?;
        self.decoded_bytes += key.len();
        Ok(key.as_bytes().into())
    }

    fn value(&mut self, key: &str, encoded: &str) -> Result<Arc<[u8]>, ApiError> {
        let value = STANDARD.decode(encoded).map_err(|error| {
            ApiError::BadJson(format!(
                "the \"value\" for the key {:?} is {:?}, no padded base64 ({error})",
                shown(key),
                shown(encoded)
            ))
        })?;
        let limit = self.limits.value_bytes;
        if value.len() > limit {
            let error = ApiError::ValueTooLarge { limit, sent: Some(value.len() as u64) };
            return Err(ApiError::EntryValueTooLarge(format!("the key {:?}: {error}", shown(key))));
        }
        self.decoded_bytes += value.len();
        Ok(value.into())
    }
}

/// A number without a fraction, as JSON counts: 7.0 is 7. Above 2^53 a number with a point may stand for several.
fn whole_number(value: &Value) -> Option<u64> {
    let with_point = || {
        let number = value.as_f64()?;
        let is_exact = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
        is_exact.then(|| format!("{:.0}", number.abs()).parse().ok()).flatten()
    };
    value.as_u64().or_else(with_point)
}

fn expiry(ttl: Option<&str>, lease: Option<&str>) -> Result<Expiry, ApiError> {
    let bad = |field: &str, seen: &str, wanted: &str| {
        ApiError::BadJson(format!("{field:?} is {:?}: give {wanted}", shown(seen)))
    };
    match (ttl, lease) {
        (None, None) => Ok(Expiry::Never),
        (Some(text), None) => {
            let ttl_ms = parse_ttl(text).map_err(|wanted| bad("ttl", text, wanted))?;
            Ok(Expiry::After { ttl_ms })
        }
        (None, Some(text)) => {
            let lease = parse_lease(text);
            let wanted = "the 16 hex digits that POST /leases answers";
            lease.map(Expiry::With).ok_or_else(|| bad("lease", text, wanted))
        }
        (Some(_), Some(_)) => {
            Err(ApiError::BadJson("a put has \"ttl\" and \"lease\": give one of them".to_owned()))
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use quorate_node::kv::LeaseId;

    fn parsed(body: &str) -> Result<Txn, ApiError> {
        parse_txn(body.as_bytes(), &Limits::default())
    }

    fn bytes(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn a_transaction_is_read() {
        let txn = parsed(
            r#"{"compare":[
                 {"key":"a","target":"mod_revision","op":"=","value":7},
                 {"key":"a","target":"create_revision","op":"<","value":8},
                 {"key":"a","target":"version","op":">","value":0},
                 {"key":"a","target":"value","op":"!=","value":"aGk="}],
                "success":[
                 {"put":{"key":"a","value":"aGk=","ttl":"30s"}},
                 {"put":{"key":"b","value":"","lease":"00000000000000a1"}},
                 {"get":{"key":"b"}},
                 {"delete":{"key":"c"}}],
                "failure":[{"put":{"key":"a","value":"aGk="}}]}"#,
        )
        .unwrap();
        let compare = |relation, operand| Compare { key: bytes("a"), relation, operand };
        let expected = [
            compare(Relation::Equal, Operand::ModRevision(Revision(7))),
            compare(Relation::Less, Operand::CreateRevision(Revision(8))),
            compare(Relation::Greater, Operand::Version(0)),
            compare(Relation::NotEqual, Operand::Value(bytes("hi"))),
        ];
        assert_eq!(txn.compare, expected);
        let put = |key, value, expiry| Op::Put(Put { key: bytes(key), value: bytes(value), expiry });
        let expected = [
            put("a", "hi", Expiry::After { ttl_ms: 30_000 }),
            put("b", "", Expiry::With(LeaseId(0xa1))),
            Op::Get { key: bytes("b") },
            Op::Delete { key: bytes("c") },
        ];
        assert_eq!(txn.success, expected);
        assert_eq!(txn.failure, [put("a", "hi", Expiry::Never)]);
        assert_eq!(parsed("{}").unwrap(), Txn::default());
    }

    #[test]
    fn whole_numbers_may_have_a_point() {
        let number = |text: &str| whole_number(&serde_json::from_str(text).unwrap());
        for (text, expected) in [("7.0", 7), ("7e2", 700), ("-0.0", 0), ("9007199254740992.0", 1 << 53)] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        assert_eq!(number("18446744073709551615"), Some(u64::MAX));
        for text in ["7.5", "-7.0", "9007199254740994.0", "1e300", "\"7\"", "null"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let op = |op: &str| format!(r#"{{"success":[{op}]}}"#);
        let compare = |rest: &str| format!(r#"{{"compare":[{{"key":"a",{rest}}}]}}"#);
        let many = vec![r#"{"get":{"key":"a"}}"#; 129].join(",");
        let long = "k".repeat(4097);
        let cases = [
            (String::new(), "bad_json", "not a JSON object"),
            ("[]".to_owned(), "bad_json", "not a JSON object"),
            (r#"{"succes":[]}"#.to_owned(), "bad_json", "unknown field `succes`"),
            (op(r#"{"get":{"key":"a","x":1}}"#), "bad_json", "unknown field `x`"),
            (op(r#"{"get":["a"]}"#), "bad_json", "a JSON object"),
            (op(r#"{"increment":{"key":"a"}}"#), "bad_json", "unknown variant"),
            (op(r#"{"get":{"key":"a"},"put":{"key":"a","value":""}}"#), "bad_json", "line"),
            (op(r#""get""#), "bad_json", "invalid type"),
            (op(r#"{"get":{"key":""}}"#), "bad_json", "the key is empty"),
            (op(&format!(r#"{{"get":{{"key":"{long}"}}}}"#)), "bad_json", "4097 bytes"),
            (op(r#"{"put":{"key":"a"}}"#), "bad_json", "missing field `value`"),
            (op(r#"{"put":{"key":"a","value":"aGk"}}"#), "bad_json", "\"aGk\""),
            (op(r#"{"put":{"key":"a","value":"-_-_"}}"#), "bad_json", "base64"),
            (op(r#"{"put":{"key":"a","value":"","ttl":"1ms"}}"#), "bad_json", "from 1s to 3650d"),
            (op(r#"{"put":{"key":"a","value":"","lease":"a1"}}"#), "bad_json", "16 hex digits"),
            (
                op(r#"{"put":{"key":"a","value":"","ttl":"1s","lease":"00000000000000a1"}}"#),
                "bad_json",
                "one of them",
            ),
            (compare(r#""target":"age","op":"=","value":1"#), "bad_json", "\"age\""),
            (compare(r#""target":"version","op":"==","value":1"#), "bad_json", "\"==\""),
            (compare(r#""target":"version","op":"=","value":"1""#), "bad_json", "whole number"),
            (compare(r#""target":"version","op":"=","value":-1"#), "bad_json", "-1"),
            (compare(r#""target":"value","op":"=","value":1"#), "bad_json", "text of base64"),
            (compare(r#""target":"version","op":"=""#), "bad_json", "missing field `value`"),
            (r#"{"compare":[["a","version","=",1]]}"#.to_owned(), "bad_json", "a JSON object"),
            (op(&many), "bad_json", "129 elements, the limit is 128"),
            (
                op(r#"{"put":{"key":"a","value":""}},{"delete":{"key":"a"}}"#),
                "duplicate_key",
                "the key \"a\"",
            ),
        ];
        for (body, code, expected) in cases {
            let error = parsed(&body).unwrap_err();
            assert_eq!(error.name().1, code, "{body:.200}");
            assert!(error.to_string().contains(expected), "{body:.200} gave {error}");
        }
        // Only writes of one list can collide.
        let fine = r#"{"success":[{"put":{"key":"a","value":""}},{"get":{"key":"a"}}],"failure":[{"delete":{"key":"a"}}]}"#;
        assert!(parsed(fine).is_ok());
        assert!(parsed(&op(&vec![r#"{"get":{"key":"a"}}"#; 128].join(","))).is_ok());
    }

    #[test]
    fn sizes_count_decoded() {
        let limits = Limits { value_bytes: 6, request_bytes: 8, ..Limits::default() };
        let of = |value: &str| {
            let body = format!(r#"{{"success":[{{"put":{{"key":"key","value":"{value}"}}}}]}}"#);
            parse_txn(body.as_bytes(), &limits).map(drop)
        };
        assert_eq!(of("aGVsbG8="), Ok(()));
        assert_eq!(of("aGVsbG8h"), Err(ApiError::RequestTooLarge { limit: 8, sent: Some(9) }));
        let error = of("aGVsbG8hIQ==").unwrap_err();
        assert_eq!(error.name().1, "value_too_large");
        assert!(error.to_string().contains("7 bytes, the limit is 6"), "{error}");
    }
}
