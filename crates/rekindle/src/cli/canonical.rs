//! One way to write a JSON value, so that equal values are equal texts.

use serde_json::{Map, Value};

/// The same value with the keys of every object in order.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut pairs: Vec<(String, Value)> = fields.into_iter().collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().map(|(key, value)| (key, sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_in_order_at_every_depth() {
        let value: Value =
            serde_json::from_str(r#"{"b":[{"z":1,"a":2}],"a":{"y":null,"x":true}}"#).expect("JSON");
        assert_eq!(sorted(value).to_string(), r#"{"a":{"x":true,"y":null},"b":[{"a":2,"z":1}]}"#);
        assert_eq!(sorted(json!("text")), json!("text"));
    }
}
