//! Whether a JSON value is of the form that a schema of the document says. It knows what the document uses, and fails
//! on anything else.

use serde_json::Value;

/// What is wrong, with the place where.
pub(super) fn check(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Some(fields) = schema.as_object() else { return Err(format!("{place}: {schema} is no schema")) };
    let wrong = |what: String| Err(format!("{place}: {value} {what}"));
    for (keyword, wanted) in fields {
        match keyword.as_str() {
            "$ref" => {
                let target = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                check(document, document.pointer(target).unwrap(), value, place)?;
            }
            "type" => {
                let types: Vec<&str> = match wanted {
                    Value::Array(types) => types.iter().map(|name| name.as_str().unwrap()).collect(),
                    name => vec![name.as_str().unwrap()],
                };
                if !types.iter().any(|name| is_a(value, name)) {
                    return wrong(format!("is not of the type {wanted}"));
                }
            }
            "enum" if !wanted.as_array().unwrap().contains(value) => {
                return wrong(format!("is none of {wanted}"));
            }
            "minimum" if value.as_u64().is_some_and(|number| number < wanted.as_u64().unwrap()) => {
                return wrong(format!("is below {wanted}"));
            }
            "maximum" if value.as_u64().is_some_and(|number| number > wanted.as_u64().unwrap()) => {
                return wrong(format!("is above {wanted}"));
            }
            "required" => {
                for name in wanted.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        return wrong(format!("has no {name}"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(document, schema, value, &format!("{place}.{name}"))?;
                    }
                }
            }
            "items" => {
                for (number, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, wanted, value, &format!("{place}[{number}]"))?;
                }
            }
            "additionalProperties" if wanted.is_object() => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    check(document, wanted, value, &format!("{place}.{name}"))?;
                }
            }
            "allOf" => {
                for schema in wanted.as_array().unwrap() {
                    check(document, schema, value, place)?;
                }
            }
            "oneOf" => {
                let schemas = wanted.as_array().unwrap().iter();
                let results: Vec<_> = schemas.map(|schema| check(document, schema, value, place)).collect();
                if results.iter().filter(|result| result.is_ok()).count() != 1 {
                    return wrong(format!("is not exactly one of {results:?}"));
                }
            }
            "minLength" if value.as_str().is_some_and(|text| text.len() < number(wanted)) => {
                return wrong(format!("is shorter than {wanted}"));
            }
            "enum" | "minimum" | "maximum" | "minLength" | "maxLength" | "maxItems" | "uniqueItems" => {}
            "description" | "format" | "pattern" | "propertyNames" | "default" | "contentEncoding" => {}
            other => return Err(format!("{place}: nobody checks {other:?}")),
        }
    }
    Ok(())
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
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
        },
    });
    let fits = |value| check(&document, &schema, &value, "body");
    assert_eq!(fits(json!({"name": "a", "numbers": [2, null, 3], "either": 1, "more": true})), Ok(()));
    for wrong in [
        json!([]),
        json!({}),
        json!({"name": ""}),
        json!({"name": 1}),
        json!({"name": "a", "numbers": [1]}),
        json!({"name": "a", "numbers": [4]}),
        json!({"name": "a", "numbers": ["2"]}),
        json!({"name": "a", "either": 2}),
    ] {
        assert!(fits(wrong.clone()).is_err(), "{wrong}");
    }
}
