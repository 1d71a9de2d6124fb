//! Whether a JSON value is of the form that a schema of the document says. It knows what the document uses, and fails
//! on anything else. Not looked at are `format`, `contentEncoding` and `contentMediaType`: beside each of them stands a
//! pattern or a type that is.

use regex_lite::Regex;
use serde_json::{Map, Value};

/// What is wrong, with the place where.
pub(super) fn check(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Some(fields) = schema.as_object() else { return Err(format!("{place}: {schema} is no schema")) };
    for (keyword, wanted) in fields {
        let fits = match keyword.as_str() {
            "type" => is_any(value, wanted),
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => whole(value).is_none_or(|seen| seen >= whole(wanted).unwrap()),
            "maximum" => whole(value).is_none_or(|seen| seen <= whole(wanted).unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= length(wanted)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= length(wanted)),
            "maxItems" => value.as_array().is_none_or(|items| items.len() <= length(wanted)),
            "uniqueItems" => value.as_array().is_none_or(|items| {
                items.iter().enumerate().all(|(number, item)| !items[..number].contains(item))
            }),
            "pattern" => {
                value.as_str().is_none_or(|text| Regex::new(wanted.as_str().unwrap()).unwrap().is_match(text))
            }
            "required" => {
                let names = wanted.as_array().unwrap();
                names.iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "description" | "default" | "format" | "contentEncoding" | "contentMediaType" => true,
            keyword => {
                check_within(document, fields, (keyword, wanted), value, place)?;
                true
            }
        };
        if !fits {
            return Err(format!("{place}: {value} has not the {keyword} {wanted}"));
        }
    }
    Ok(())
}

fn whole(value: &Value) -> Option<i128> {
    value.as_u64().map(i128::from).or_else(|| value.as_i64().map(i128::from))
}

fn length(wanted: &Value) -> usize {
    usize::try_from(wanted.as_u64().unwrap()).unwrap()
}

/// The keywords that hold other schemas; `fields` are all of this one.
fn check_within(
    document: &Value,
    fields: &Map<String, Value>,
    (keyword, wanted): (&str, &Value),
    value: &Value,
    place: &str,
) -> Result<(), String> {
    match keyword {
        "$ref" => {
            let target = wanted.as_str().unwrap().strip_prefix('#').unwrap();
            check(document, document.pointer(target).unwrap(), value, place)
        }
        "properties" => {
            let present = wanted
                .as_object()
                .unwrap()
                .iter()
                .filter_map(|(name, schema)| Some((name, schema, value.get(name)?)));
            present.into_iter().try_for_each(|(name, schema, value)| {
                check(document, schema, value, &format!("{place}.{name}"))
            })
        }
        "items" => {
            let items = value.as_array().into_iter().flatten().enumerate();
            items
                .into_iter()
                .try_for_each(|(number, value)| check(document, wanted, value, &format!("{place}[{number}]")))
        }
        "additionalProperties" => {
            let is_described =
                |name: &str| fields.get("properties").is_some_and(|all| all.get(name).is_some());
            let others = value.as_object().into_iter().flatten().filter(|(name, _)| !is_described(name));
            others
                .into_iter()
                .try_for_each(|(name, value)| check(document, wanted, value, &format!("{place}.{name}")))
        }
        "propertyNames" => {
            let mut names =
                value.as_object().into_iter().flatten().map(|(name, _)| Value::from(name.as_str()));
            names.try_for_each(|name| check(document, wanted, &name, &format!("{place}'s {name}")))
        }
        "contentSchema" => {
            let content: Value = serde_json::from_str(value.as_str().unwrap()).unwrap();
            check(document, wanted, &content, place)
        }
        "allOf" => {
            wanted.as_array().unwrap().iter().try_for_each(|schema| check(document, schema, value, place))
        }
        "oneOf" => {
            let schemas = wanted.as_array().unwrap().iter();
            let results: Vec<_> = schemas.map(|schema| check(document, schema, value, place)).collect();
            match results.iter().filter(|result| result.is_ok()).count() {
                1 => Ok(()),
                _ => Err(format!("{place}: {value} is not exactly one of {results:?}")),
            }
        }
        other => Err(format!("{place}: nobody checks {other:?}")),
    }
}

/// Whether it is of the type, or of one of the types.
fn is_any(value: &Value, types: &Value) -> bool {
    match types {
        Value::Array(types) => types.iter().any(|name| is_a(value, name.as_str().unwrap())),
        name => is_a(value, name.as_str().unwrap()),
    }
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is no type of the document"),
    }
}

#[test]
fn what_does_not_fit_is_found() {
    use serde_json::json;
    let document = json!({"components": {"schemas": {"Name": {"type": "string", "minLength": 1}}}});
    let schema = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"$ref": "#/components/schemas/Name"},
            "numbers": {"type": "array", "items": {"type": ["integer", "null"], "minimum": 2, "maximum": 3}},
            "either": {"oneOf": [{"type": "string"}, {"enum": [1]}]},
            "packed": {"contentSchema": {"type": "integer"}},
            "digits": {"type": "string", "pattern": "^[0-9]+$", "maxLength": 2},
            "set": {"type": "array", "maxItems": 2, "uniqueItems": true},
            "closed": {"properties": {"a": {}}, "additionalProperties": false},
            "named": {"propertyNames": {"pattern": "^[a-z]$"}},
        },
    });
    let fits = |value| check(&document, &schema, &value, "body");
    for right in [
        json!({"name": "a", "numbers": [2, null, 3], "either": 1, "packed": "7", "more": true}),
        json!({"name": "ä", "digits": "07", "set": [1, 2], "closed": {"a": 1}, "named": {"b": 1}}),
    ] {
        assert_eq!(fits(right), Ok(()));
    }
    for wrong in [
        json!([]),
        json!({}),
        json!({"name": ""}),
        json!({"name": 1}),
        json!({"name": "a", "numbers": [1]}),
        json!({"name": "a", "numbers": [4]}),
        json!({"name": "a", "numbers": ["2"]}),
        json!({"name": "a", "numbers": [-1]}),
        json!({"name": "a", "digits": "7a"}),
        json!({"name": "a", "digits": "777"}),
        json!({"name": "a", "set": [1, 2, 3]}),
        json!({"name": "a", "set": [1, 1]}),
        json!({"name": "a", "closed": {"b": 1}}),
        json!({"name": "a", "named": {"B": 1}}),
        json!({"name": "a", "either": 2}),
        json!({"name": "a", "packed": "\"7\""}),
    ] {
        assert!(fits(wrong.clone()).is_err(), "{wrong}");
    }
}
