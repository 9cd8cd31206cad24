//! What applying a document does, or would do.

use serde::Serialize;
use serde_json::Value;

use super::diff;
use crate::cli::Failure;
use crate::cli::canonical::sorted;
use crate::cli::kind::Kind;
use crate::cli::output;

/// Fields that only the server writes.
const OUTPUT_ONLY: [&str; 9] = [
    "createTime",
    "disableReason",
    "disableTime",
    "etag",
    "name",
    "revision",
    "startTime",
    "state",
    "updateTime",
];

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was not there.
    Create,
    /// It was another.
    Update,
    /// It was so already.
    Keep,
}

impl Action {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Keep => "unchanged",
        }
    }
}

/// What applying one document does.
#[derive(Debug)]
pub struct Change {
    /// The kind of the resource.
    pub kind: Kind,
    /// Its full name.
    pub name: String,
    /// What is done.
    pub action: Action,
    /// The difference, line by line; empty when there is none.
    pub diff: String,
    /// Whether the server has checked it.
    pub checked: bool,
}

impl Change {
    /// The change between two definitions of a resource; `before` is absent when it is not there.
    pub fn between(kind: Kind, name: String, before: Option<Value>, after: Value) -> Self {
        let is_new = before.is_none();
        let old = before.map_or_else(String::new, pretty);
        let diff = diff::lines(&old, &pretty(after));
        let action = if is_new {
            Action::Create
        } else if diff.is_empty() {
            Action::Keep
        } else {
            Action::Update
        };
        Self { kind, name, action, diff, checked: true }
    }

    /// One line that says what is done.
    pub fn headline(&self) -> String {
        format!("{} {}", self.action.word(), self.name)
    }
}

/// The resources that a dry run would have created, and the calendars it would have added.
#[derive(Debug, Default)]
pub struct Pending(Vec<String>);

impl Pending {
    /// Remembers one, by name.
    pub fn add(&mut self, name: String) {
        self.0.push(name);
    }

    /// Whether a definition names one of them, so that the server cannot check it yet.
    pub fn is_named_in(&self, definition: &Value) -> bool {
        match definition {
            Value::String(text) => self.0.contains(text),
            Value::Array(items) => items.iter().any(|item| self.is_named_in(item)),
            Value::Object(fields) => fields.values().any(|value| self.is_named_in(value)),
            _ => false,
        }
    }
}

/// A resource as its definition: proto JSON without what only the server writes.
pub fn definition(resource: &impl Serialize) -> Result<Value, Failure> {
    let mut value = output::value(resource)?;
    if let Value::Object(fields) = &mut value {
        fields.retain(|key, _| !OUTPUT_ONLY.contains(&key.as_str()));
    }
    Ok(value)
}

fn pretty(value: Value) -> String {
    // A value made of text keys always has a JSON text.
    serde_json::to_string_pretty(&sorted(value)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rekindle_proto::v1;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_the_server_writes_is_no_change() {
        let stored = v1::Funnel {
            name: "workspaces/default/funnels/a".to_owned(),
            display_name: "A".to_owned(),
            etag: "x".to_owned(),
            revision: 3,
            ..Default::default()
        };
        let wanted = v1::Funnel { display_name: "A".to_owned(), ..Default::default() };
        let change = Change::between(
            Kind::Funnel,
            "a".to_owned(),
            Some(definition(&stored).expect("JSON")),
            definition(&wanted).expect("JSON"),
        );
        assert_eq!(change.action, Action::Keep);
    }

    #[test]
    fn a_definition_that_names_a_pending_resource_is_found_at_any_depth() {
        let mut pending = Pending::default();
        pending.add("workspaces/default/destinations/mail".to_owned());
        let names_it =
            json!({"steps": [{"sendEmail": {"destination": "workspaces/default/destinations/mail"}}]});
        assert!(pending.is_named_in(&names_it));
        assert!(!pending.is_named_in(&json!({"steps": []})));
    }
}
