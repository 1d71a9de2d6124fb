//! Whether a JSON value is of the form that a schema of the document says. It knows what the document uses, and fails
//! on anything else.

use serde_json::Value;

/// What is wrong, with the place where.
pub(super) fn check(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Some(fields) = schema.as_object() else { return Err(format!("{place}: {schema} is no schema")) };
    for (keyword, wanted) in fields {
        let fits = match keyword.as_str() {
            "type" => is_any(value, wanted),
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_u64().is_none_or(|seen| seen >= wanted.as_u64().unwrap()),
            "maximum" => value.as_u64().is_none_or(|seen| seen <= wanted.as_u64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= wanted.as_u64().unwrap()),
            "required" => {
                let names = wanted.as_array().unwrap();
                names.iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "maxLength" | "maxItems" | "uniqueItems" | "format" | "pattern" | "propertyNames" => true,
            "description" | "default" | "contentEncoding" | "contentMediaType" => true,
            keyword => {
                check_within(document, (keyword, wanted), value, place)?;
                true
            }
        };
        if !fits {
            return Err(format!("{place}: {value} has not the {keyword} {wanted}"));
        }
    }
    Ok(())
}

/// The keywords that hold other schemas.
fn check_within(
    document: &Value,
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
            let fields = value.as_object().into_iter().flatten();
            fields
                .into_iter()
                .try_for_each(|(name, value)| check(document, wanted, value, &format!("{place}.{name}")))
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
        },
    });
    let fits = |value| check(&document, &schema, &value, "body");
    assert_eq!(
        fits(json!({"name": "a", "numbers": [2, null, 3], "either": 1, "packed": "7", "more": true})),
        Ok(())
    );
    for wrong in [
        json!([]),
        json!({}),
        json!({"name": ""}),
        json!({"name": 1}),
        json!({"name": "a", "numbers": [1]}),
        json!({"name": "a", "numbers": [4]}),
        json!({"name": "a", "numbers": ["2"]}),
        json!({"name": "a", "either": 2}),
        json!({"name": "a", "packed": "\"7\""}),
    ] {
        assert!(fits(wrong.clone()).is_err(), "{wrong}");
    }
}
