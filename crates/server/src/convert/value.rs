//! `google.protobuf.Struct` and properties.

use std::collections::{BTreeMap, HashMap};

use pbjson_types::value::Kind;
use pbjson_types::{ListValue, Struct, Value as Message};
use rekindle_core::value::{Properties, Value};
use rekindle_core::violation::Violations;

/// Reads a property map; notes every number that is infinite or none, by its path. Such a
/// number is left out.
pub fn properties(message: &Struct, field: &str, v: &mut Violations) -> Properties {
    map(&message.fields, field, v)
}

/// A property map as a message.
pub fn to_struct(properties: &Properties) -> Struct {
    Struct { fields: to_fields(properties) }
}

fn map(fields: &HashMap<String, Message>, path: &str, v: &mut Violations) -> BTreeMap<String, Value> {
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort_unstable();
    let entries = names.into_iter().filter_map(|name| {
        let path = format!("{path}.{}", name.chars().take(64).collect::<String>());
        value(&fields[name], &path, v).map(|value| (name.clone(), value))
    });
    entries.collect()
}

fn value(message: &Message, path: &str, v: &mut Violations) -> Option<Value> {
    match &message.kind {
        None | Some(Kind::NullValue(_)) => Some(Value::Null),
        Some(Kind::BoolValue(flag)) => Some(Value::Bool(*flag)),
        Some(Kind::NumberValue(number)) if number.is_finite() => Some(Value::Number(*number)),
        Some(Kind::NumberValue(_)) => {
            v.add(path, "not a finite number");
            None
        }
        Some(Kind::StringValue(text)) => Some(Value::Text(text.clone())),
        Some(Kind::StructValue(inner)) => Some(Value::Map(map(&inner.fields, path, v))),
        Some(Kind::ListValue(list)) => {
            let items = list.values.iter().enumerate();
            Some(Value::List(
                items.filter_map(|(at, item)| value(item, &format!("{path}[{at}]"), v)).collect(),
            ))
        }
    }
}

fn to_fields(entries: &BTreeMap<String, Value>) -> HashMap<String, Message> {
    entries.iter().map(|(key, value)| (key.clone(), to_message(value))).collect()
}

fn to_message(value: &Value) -> Message {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(*number),
        Value::Text(text) => Kind::StringValue(text.clone()),
        Value::List(items) => Kind::ListValue(ListValue { values: items.iter().map(to_message).collect() }),
        Value::Map(entries) => Kind::StructValue(Struct { fields: to_fields(entries) }),
    };
    Message { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_survive_the_message() {
        let json = r#"{"a":[1,2.5,null,true,"é"],"b":{"c":-3},"d":null}"#;
        let written: Properties = serde_json::from_str(json).expect("valid JSON");
        let mut v = Violations::new();
        assert_eq!(properties(&to_struct(&written), "properties", &mut v), written);
        assert!(v.is_empty());
    }

    #[test]
    fn numbers_that_are_none_are_named_by_their_path() {
        let infinite = Value::Map([("deep".into(), Value::List(vec![Value::Number(f64::INFINITY)]))].into());
        let written: Properties = [("a".into(), Value::Number(f64::NAN)), ("b".into(), infinite)].into();
        let mut v = Violations::new();
        properties(&to_struct(&written), "properties", &mut v);
        let fields: Vec<_> = v.into_vec().into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["properties.a", "properties.b.deep[0]"]);
    }
}
