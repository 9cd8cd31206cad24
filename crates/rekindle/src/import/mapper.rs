//! Makes an event of a row.

use std::collections::HashSet;

use pbjson_types::{Struct, Value as ProtoValue};
use rekindle_proto::v1;
use serde_json::{Map, Value};

use super::field::Field;
use super::mapping::Mapping;
use super::{instant, scalar};

/// A wrong field: its name, and what is wrong with it.
pub type Fault = (String, String);

/// Makes the event that a row tells, or names every field that is wrong. The id stays empty where
/// the row has none.
pub fn event(mapping: &Mapping, line: u64, row: &Map<String, Value>) -> Result<v1::Event, Vec<Fault>> {
    let mut reading = Reading { mapping, row, used: HashSet::new(), faults: Vec::new() };
    let mut event = v1::Event {
        id: reading.text(Field::Id),
        r#type: reading.text(Field::Type),
        conversation: reading.text(Field::Conversation),
        customer: reading.text(Field::Customer),
        occur_time: reading.instant(),
        sequence: reading.value(Field::Sequence, scalar::integer).unwrap_or(0),
        author_type: reading.value(Field::Author, scalar::author).unwrap_or_default().into(),
        public: reading.value(Field::Public, scalar::boolean),
        automated: reading.value(Field::Automated, scalar::boolean).unwrap_or(false),
        closing: reading.value(Field::Closing, scalar::boolean).unwrap_or(false),
        text: reading.text(Field::Text),
        ..Default::default()
    };
    event.properties = reading.properties();
    if mapping.number_lines {
        event.sequence = i64::try_from(line).unwrap_or(i64::MAX);
    }
    reading.require(Field::Type, !event.r#type.is_empty());
    reading.require(Field::OccurredAt, event.occur_time.is_some());
    reading.require(Field::Conversation, !event.conversation.is_empty() || !event.customer.is_empty());
    if reading.faults.is_empty() { Ok(event) } else { Err(reading.faults) }
}

struct Reading<'a> {
    mapping: &'a Mapping,
    row: &'a Map<String, Value>,
    /// Keys at the top of the row that became something.
    used: HashSet<&'a str>,
    faults: Vec<Fault>,
}

impl<'a> Reading<'a> {
    /// The value of a field: from the row, else the same as in every row.
    fn value<T>(&mut self, field: Field, read: impl Fn(&Value) -> Result<Option<T>, String>) -> Option<T> {
        let row = self.row;
        let found = self.mapping.sources.get(&field).into_iter().flatten().find_map(|source| at(row, source));
        if let Some((key, _)) = found {
            self.used.insert(key);
        }
        let constant = self.mapping.constants.get(&field);
        let from_row = match found {
            Some((_, value)) => read(value),
            None => Ok(None),
        };
        let result = match (from_row, constant) {
            (Ok(None), Some(constant)) => read(&Value::String(constant.clone())),
            (from_row, _) => from_row,
        };
        match result {
            Ok(value) => value,
            Err(fault) => {
                self.faults.push((field.name().to_owned(), fault));
                None
            }
        }
    }

    fn text(&mut self, field: Field) -> String {
        self.value(field, scalar::text).unwrap_or_default()
    }

    fn instant(&mut self) -> Option<pbjson_types::Timestamp> {
        let mapping = self.mapping;
        let format = mapping.time_format.as_deref();
        self.value(Field::OccurredAt, |value| {
            let Some(text) = scalar::text(value)? else {
                return Ok(None);
            };
            instant::parse(&text, &mapping.zone, format)
                .map(|instant| Some(instant::to_proto(instant)))
                .map_err(|fault| format!("`{text}` {fault}"))
        })
    }

    fn require(&mut self, field: Field, is_there: bool) {
        let name = field.name();
        if !is_there && !self.faults.iter().any(|(faulty, _)| faulty == name) {
            let what = match field {
                Field::Conversation => "is missing, and so is the customer",
                _ => "is missing",
            };
            self.faults.push((name.to_owned(), what.to_owned()));
        }
    }

    /// All properties: an object that holds them, single ones, the same in every row, and, when
    /// there is no such object, whatever nothing else has used.
    fn properties(&mut self) -> Option<Struct> {
        let mapping = self.mapping;
        let row = self.row;
        let mut properties: Map<String, Value> = Map::new();
        for (key, value) in &mapping.constant_properties {
            properties.insert(key.clone(), Value::String(value.clone()));
        }
        let whole = self.whole();
        let has_whole = whole.is_some();
        for (key, value) in whole.into_iter().flatten() {
            if !mapping.skip.contains(key) {
                self.put(&mut properties, key, key, value);
            }
        }
        for (key, source) in &mapping.properties {
            if let Some((top, value)) = at(row, source) {
                self.used.insert(top);
                self.put(&mut properties, key, source, value);
            }
        }
        if mapping.rest && !has_whole {
            for (key, value) in row {
                if !self.used.contains(key.as_str()) && !mapping.skip.contains(key) {
                    self.put(&mut properties, key, key, value);
                }
            }
        }
        if properties.is_empty() {
            return None;
        }
        Some(Struct { fields: properties.into_iter().map(|(key, value)| (key, proto(value))).collect() })
    }

    /// The object that holds all properties, if the row has one.
    fn whole(&mut self) -> Option<&'a Map<String, Value>> {
        let row = self.row;
        let sources = self.mapping.sources.get(&Field::Properties)?;
        let (key, value) = sources.iter().find_map(|source| at(row, source))?;
        match value {
            Value::Object(fields) => {
                self.used.insert(key);
                Some(fields)
            }
            Value::Null => None,
            _ if self.mapping.named.contains(key) => {
                let fault = "must be an object".to_owned();
                self.faults.push((Field::Properties.name().to_owned(), fault));
                None
            }
            // A column that happens to be called so.
            _ => None,
        }
    }

    /// Puts a property where it has a value, read as number or truth value where that was said.
    fn put(&mut self, properties: &mut Map<String, Value>, key: &str, source: &str, value: &Value) {
        let read = if self.mapping.numbers.contains(source) {
            scalar::number(value).map(|number| number.map(Value::Number))
        } else if self.mapping.booleans.contains(source) {
            scalar::boolean(value).map(|truth| truth.map(Value::Bool))
        } else {
            Ok(Some(value.clone()).filter(|value| !is_absent(value)))
        };
        match read {
            Ok(Some(value)) => {
                properties.insert(key.to_owned(), value);
            }
            Ok(None) => {}
            Err(fault) => self.faults.push((format!("properties.{key}"), fault)),
        }
    }
}

fn is_absent(value: &Value) -> bool {
    matches!(value, Value::Null) || value.as_str().is_some_and(str::is_empty)
}

/// The value behind a source: a key, or a dotted path; with the key at the top.
fn at<'a>(row: &'a Map<String, Value>, source: &str) -> Option<(&'a str, &'a Value)> {
    if let Some((key, value)) = row.get_key_value(source) {
        return Some((key, value));
    }
    let (top, path) = source.split_once('.')?;
    let (key, value) = row.get_key_value(top)?;
    path.split('.').try_fold(value, |value, key| value.get(key)).map(|value| (key.as_str(), value))
}

fn proto(value: Value) -> ProtoValue {
    match value {
        Value::Null => ProtoValue::from(()),
        Value::Bool(truth) => ProtoValue::from(truth),
        // Every JSON number has a nearest double; serde_json refuses those beyond its range.
        Value::Number(number) => ProtoValue::from(number.as_f64().unwrap_or_default()),
        Value::String(text) => ProtoValue::from(text),
        Value::Array(items) => ProtoValue::from(items.into_iter().map(proto).collect::<Vec<_>>()),
        Value::Object(fields) => ProtoValue::from(Struct {
            fields: fields.into_iter().map(|(key, value)| (key, proto(value))).collect(),
        }),
    }
}

#[cfg(test)]
#[path = "mapper_tests.rs"]
mod tests;
