//! Checks a definition against the protos and tells every fault with its path.
//!
//! Reading proto JSON would stop at the first fault and not say where it is.

use std::collections::HashMap;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use rekindle_proto::FILE_DESCRIPTOR_SET;
use serde_json::{Map, Value};

/// Every message and enum of the API, by full name with a dot before it.
#[derive(Debug)]
pub struct Schema {
    messages: HashMap<String, DescriptorProto>,
    enums: HashMap<String, EnumDescriptorProto>,
}

impl Schema {
    /// Reads the compiled protos.
    pub fn load() -> Self {
        let mut schema = Self { messages: HashMap::new(), enums: HashMap::new() };
        // The build wrote these bytes; a test decodes them.
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
        for file in set.file {
            let package = format!(".{}", file.package());
            for found in file.enum_type {
                schema.enums.insert(format!("{package}.{}", found.name()), found);
            }
            for found in file.message_type {
                schema.add(&package, found);
            }
        }
        schema
    }

    fn add(&mut self, scope: &str, message: DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        for nested in message.enum_type.clone() {
            self.enums.insert(format!("{name}.{}", nested.name()), nested);
        }
        for nested in message.nested_type.clone() {
            self.add(&name, nested);
        }
        self.messages.insert(name, message);
    }

    /// Every fault of a value as a message of `rekindle.v1`, each with its path.
    pub fn check(&self, message: &str, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.message(&format!(".rekindle.v1.{message}"), value, "", &mut faults);
        faults
    }

    fn message(&self, name: &str, value: &Value, path: &str, faults: &mut Vec<String>) {
        let Some(descriptor) = self.messages.get(name) else {
            return;
        };
        let Some(fields) = object(value, path, faults) else {
            return;
        };
        for (key, value) in fields {
            let path = join(path, key);
            let field = descriptor.field.iter().find(|field| field.json_name() == key || field.name() == key);
            match field {
                Some(field) => self.field(field, value, &path, faults),
                None => faults.push(format!("{path}: unknown field{}", hint(descriptor, key))),
            }
        }
    }

    fn field(&self, field: &FieldDescriptorProto, value: &Value, path: &str, faults: &mut Vec<String>) {
        if value.is_null() {
            return;
        }
        if let Some(entry) = self.map_entry(field) {
            for (key, value) in object(value, path, faults).into_iter().flatten() {
                self.single(entry, value, &join(path, key), faults);
            }
        } else if field.label() == Label::Repeated {
            let Value::Array(items) = value else {
                faults.push(format!("{path}: must be a list"));
                return;
            };
            for (at, item) in items.iter().enumerate() {
                self.single(field, item, &format!("{path}[{at}]"), faults);
            }
        } else {
            self.single(field, value, path, faults);
        }
    }

    /// The value field of a map's entries, if the field is a map.
    fn map_entry(&self, field: &FieldDescriptorProto) -> Option<&FieldDescriptorProto> {
        let entry = self.messages.get(field.type_name())?;
        entry
            .options
            .as_ref()
            .filter(|options| options.map_entry())
            .and_then(|_| entry.field.iter().find(|field| field.name() == "value"))
    }

    fn single(&self, field: &FieldDescriptorProto, value: &Value, path: &str, faults: &mut Vec<String>) {
        let expected = match field.r#type() {
            Type::Message | Type::Group if is_well_known(field.type_name()) => {
                well_known(field.type_name(), value)
            }
            Type::Message | Type::Group => {
                return self.message(field.type_name(), value, path, faults);
            }
            Type::Enum => self.enumeration(field.type_name(), value),
            Type::Bool => (!value.is_boolean()).then(|| "must be true or false".to_owned()),
            Type::String | Type::Bytes => (!value.is_string()).then(|| "must be text".to_owned()),
            _ => (!is_number(value)).then(|| "must be a number".to_owned()),
        };
        if let Some(fault) = expected {
            faults.push(format!("{path}: {fault}"));
        }
    }

    fn enumeration(&self, name: &str, value: &Value) -> Option<String> {
        let known = self.enums.get(name)?;
        let names = || known.value.iter().map(prost_types::EnumValueDescriptorProto::name);
        match value {
            Value::Number(_) => None,
            Value::String(word) if names().any(|name| name == word) => None,
            _ => {
                let names: Vec<&str> = names().skip(1).collect();
                Some(format!("must be one of {}", names.join(", ")))
            }
        }
    }
}

fn is_well_known(name: &str) -> bool {
    name.starts_with(".google.protobuf.")
}

/// The fault of a value of a well-known type, if it has one. Types without a check of their own
/// are left to the reading of proto JSON.
fn well_known(name: &str, value: &Value) -> Option<String> {
    let (is_right, fault) = match name {
        ".google.protobuf.Duration" => (is_duration(value), "must be seconds with an s, such as 1200s"),
        ".google.protobuf.Timestamp" => {
            (is_timestamp(value), "must be an instant such as 2026-01-31T08:00:00Z")
        }
        ".google.protobuf.Struct" => (value.is_object(), "must be a mapping"),
        _ => (true, ""),
    };
    (!is_right).then(|| fault.to_owned())
}

fn is_duration(value: &Value) -> bool {
    let seconds = value.as_str().and_then(|text| text.strip_suffix('s'));
    seconds.is_some_and(|seconds| seconds.parse::<f64>().is_ok_and(f64::is_finite))
}

fn is_timestamp(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok())
}

fn object<'a>(value: &'a Value, path: &str, faults: &mut Vec<String>) -> Option<&'a Map<String, Value>> {
    let fields = value.as_object();
    if fields.is_none() {
        faults.push(format!("{path}: must be a mapping"));
    }
    fields
}

/// Numbers may stand as text in proto JSON.
fn is_number(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => text.parse::<f64>().is_ok(),
        _ => false,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The field that was probably meant.
fn hint(descriptor: &DescriptorProto, key: &str) -> String {
    descriptor
        .field
        .iter()
        .map(|field| (distance(field.json_name(), key), field.json_name()))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}

/// How many letters have to be put in, taken out or exchanged (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_fault_is_told_with_its_path() {
        let faults = Schema::load().check(
            "Funnel",
            &json!({
                "displayName": 7,
                "subject": "SUBJECT_KIND_CAT",
                "conversionWindow": "7 days",
                "startsTime": "yesterday",
                "stages": [{"id": "a", "optional": "yes", "stall": {"aftre": "1s"}}],
                "ended": {},
                "whree": ""
            }),
        );
        let mut faults: Vec<&str> = faults.iter().map(String::as_str).collect();
        faults.sort_unstable();
        assert_eq!(
            faults,
            [
                "conversionWindow: must be seconds with an s, such as 1200s",
                "displayName: must be text",
                "ended: must be a list",
                "stages[0].optional: must be true or false",
                "stages[0].stall.aftre: unknown field; did you mean `after`?",
                "startsTime: must be an instant such as 2026-01-31T08:00:00Z",
                "subject: must be one of SUBJECT_KIND_CONVERSATION, SUBJECT_KIND_CUSTOMER",
                "whree: unknown field; did you mean `where`?",
            ]
        );
    }

    #[test]
    fn a_right_definition_has_no_faults_in_either_spelling_of_its_fields() {
        let schema = Schema::load();
        let workspace = json!({
            "default_zone": "Europe/Berlin",
            "calendars": {"office": {"hours": "Mo-Fr 09:00-18:00", "holidays": ["2026-01-01"]}},
            "sender": null
        });
        assert_eq!(schema.check("Workspace", &workspace), Vec::<String>::new());
        let wrong = json!({"calendars": {"office": {"hurs": ""}}});
        assert_eq!(
            schema.check("Workspace", &wrong),
            ["calendars.office.hurs: unknown field; did you mean `hours`?"]
        );
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
