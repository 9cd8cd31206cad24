//! Events as they come in: what is accepted, and what is said about the rest.

use sha2::{Digest, Sha256};
use unicode_normalization::{UnicodeNormalization, is_nfc};
use uuid::Uuid;

use crate::event::{Author, RESERVED_PREFIX};
use crate::time::Timestamp;
use crate::value::{Properties, Value};
use crate::violation::{Violation, Violations};

/// Longest id, type and key, in bytes.
pub const MOST_NAME: usize = 128;
/// Most properties of an event.
pub const MOST_KEYS: usize = 64;
/// Longest text property, in bytes.
pub const MOST_VALUE: usize = 1_024;
/// Longest message text, in bytes.
pub const MOST_TEXT: usize = 32 * 1_024;
/// Deepest nesting of properties.
pub const MOST_DEPTH: usize = 8;
/// Largest event, in bytes of its names, text and properties.
pub const MOST_EVENT: usize = 64 * 1_024;

/// An event as a client sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The client's id, unique in the workspace.
    pub id: String,
    /// The client's id of the conversation.
    pub conversation: Option<String>,
    /// The client's id of the customer.
    pub customer: Option<String>,
    /// What happened.
    pub kind: String,
    /// When.
    pub occurred_at: Timestamp,
    /// Breaks ties between equal instants; 0 when absent.
    pub sequence: i64,
    /// Who caused it; implied by the type when absent.
    pub author: Option<Author>,
    /// Whether the customer can see it; notes are not, all else is, when absent.
    pub public: Option<bool>,
    /// Whether a machine wrote it; bot messages are, all else is not, when absent.
    pub automated: Option<bool>,
    /// Whether it closes the exchange.
    pub closing: bool,
    /// A message's text.
    pub text: Option<String>,
    /// The client's properties.
    pub properties: Properties,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IngestReport {
    /// Events stored now.
    pub accepted: u64,
    /// Events that were stored before, or stand twice in the batch.
    pub duplicates: u64,
    /// Events that were not stored.
    pub rejections: Vec<Rejection>,
    /// Subjects that a late attribute concerns and that the fill job will fold again.
    pub refold_pending: u64,
}

/// An event that was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its place in the batch.
    pub index: usize,
    /// Its id, as sent.
    pub id: String,
    /// Why.
    pub reason: RejectionReason,
    /// Every wrong field.
    pub violations: Vec<Violation>,
}

/// Why an event was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionReason {
    /// Fields are wrong.
    Invalid,
    /// Another event has this id; the stored one stays.
    IdReused,
    /// Its conversation or customer was erased.
    SubjectErased,
}

impl NewEvent {
    /// Everything that is wrong with it, by field.
    pub fn check(&self) -> Vec<Violation> {
        let mut v = Violations::new();
        name(&self.id, "id", &mut v);
        name(&self.kind, "type", &mut v);
        if let Some(conversation) = &self.conversation {
            name(conversation, "conversation", &mut v);
        }
        if let Some(customer) = &self.customer {
            name(customer, "customer", &mut v);
        }
        v.require(
            self.conversation.is_some() || self.customer.is_some(),
            "conversation",
            "an event belongs to a conversation, a customer, or both",
        );
        v.require(
            !self.kind.starts_with(RESERVED_PREFIX) && self.kind != "customer_merged",
            "type",
            "is reserved",
        );
        v.require(
            self.kind != crate::event::CONVERSATION_UPDATED || self.conversation.is_some(),
            "conversation",
            "conversation_updated needs a conversation",
        );
        v.require(
            self.kind != crate::event::CUSTOMER_UPDATED || self.customer.is_some(),
            "customer",
            "customer_updated needs a customer",
        );
        v.require(self.occurred_at.is_acceptable(), "occurTime", "outside the years 2000 to 2099");
        if let Some(body) = &self.text {
            v.require(body.len() <= MOST_TEXT, "text", format!("longer than {MOST_TEXT} bytes"));
            v.require(!body.contains('\0'), "text", "contains NUL");
        }
        check_properties(&self.properties, "properties", &mut v);
        self.check_scores(&mut v);
        v.require(self.size() <= MOST_EVENT, "", format!("larger than {MOST_EVENT} bytes"));
        v.into_vec()
    }

    /// The same event with its texts in Unicode normal form C.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        for text in [&mut self.conversation, &mut self.customer, &mut self.text].into_iter().flatten() {
            normalize(text);
        }
        normalize(&mut self.id);
        normalize(&mut self.kind);
        let properties = std::mem::take(&mut self.properties);
        self.properties =
            properties.into_iter().map(|(key, value)| (nfc(key), value_in_nfc(value))).collect();
        self
    }

    /// Digest of what the event says: a redelivery has the same, a reused id does not.
    pub fn digest(&self) -> Uuid {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        field(self.conversation.as_deref().unwrap_or("\0").as_bytes());
        field(self.customer.as_deref().unwrap_or("\0").as_bytes());
        field(self.kind.as_bytes());
        field(&self.occurred_at.0.to_le_bytes());
        field(self.text.as_deref().unwrap_or("\0").as_bytes());
        // Properties are ordered by key and hold finite numbers, so their JSON is canonical.
        field(serde_json::to_string(&self.properties).unwrap_or_default().as_bytes());
        let digest = hash.finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Uuid::from_bytes(half)
    }

    fn check_scores(&self, v: &mut Violations) {
        if self.kind == "ces_answer" {
            let fits = matches!(self.properties.get("score"), Some(Value::Number(score)) if (1.0..=7.0).contains(score) && score.fract() == 0.0);
            v.require(fits, "properties.score", "a CES score is a whole number from 1 to 7");
        } else if self.kind == "csat_answer" {
            let fits = matches!(self.properties.get("score"), Some(Value::Number(_)));
            v.require(fits, "properties.score", "a CSAT answer needs a number");
        } else if self.kind == "resolution"
            && let Some(disposition) = self.properties.get("disposition")
        {
            let fits = matches!(disposition, Value::Text(word) if word == "full" || word == "partial");
            v.require(fits, "properties.disposition", "takes full or partial");
        }
    }

    fn size(&self) -> usize {
        let names = [&self.conversation, &self.customer, &self.text].into_iter().flatten().map(String::len);
        let properties = self.properties.iter().map(|(key, value)| key.len() + value_size(value));
        self.id.len() + self.kind.len() + names.sum::<usize>() + properties.sum::<usize>()
    }
}

/// Checks a property or attribute map.
pub fn check_properties(properties: &Properties, field: &str, v: &mut Violations) {
    v.require(properties.len() <= MOST_KEYS, field, format!("more than {MOST_KEYS} keys"));
    for (key, value) in properties {
        let path = format!("{field}.{}", key.chars().take(64).collect::<String>());
        let printable = !key.is_empty() && key.len() <= MOST_NAME && !key.chars().any(char::is_control);
        v.require(printable, &path, format!("a key takes 1 to {MOST_NAME} bytes without control characters"));
        v.require(value.depth() <= MOST_DEPTH, &path, format!("nested deeper than {MOST_DEPTH}"));
        if value.depth() <= MOST_DEPTH {
            check_value(value, &path, v);
        }
    }
}

fn check_value(value: &Value, path: &str, v: &mut Violations) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => v.require(number.is_finite(), path, "not a finite number"),
        Value::Text(text) => {
            v.require(text.len() <= MOST_VALUE, path, format!("longer than {MOST_VALUE} bytes"));
            v.require(!text.contains('\0'), path, "contains NUL");
        }
        Value::List(items) => items.iter().for_each(|item| check_value(item, path, v)),
        Value::Map(entries) => {
            for (key, value) in entries {
                v.require(!key.contains('\0'), path, "a key contains NUL");
                check_value(value, path, v);
            }
        }
    }
}

/// Checks an id or type: 1 to 128 printable bytes.
pub fn name(text: &str, field: &str, v: &mut Violations) {
    let printable = !text.is_empty() && text.len() <= MOST_NAME && !text.chars().any(char::is_control);
    v.require(printable, field, format!("takes 1 to {MOST_NAME} bytes without control characters"));
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::Text(text) => text.len(),
        Value::List(items) => items.iter().map(value_size).sum(),
        Value::Map(entries) => entries.iter().map(|(key, value)| key.len() + value_size(value)).sum(),
    }
}

fn normalize(text: &mut String) {
    if !is_nfc(text) {
        *text = text.nfc().collect();
    }
}

fn nfc(mut text: String) -> String {
    normalize(&mut text);
    text
}

fn value_in_nfc(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(nfc(text)),
        Value::List(items) => Value::List(items.into_iter().map(value_in_nfc).collect()),
        Value::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (nfc(key), value_in_nfc(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> NewEvent {
        NewEvent {
            id: "e1".into(),
            conversation: Some("c1".into()),
            customer: None,
            kind: "customer_message".into(),
            occurred_at: Timestamp::EARLIEST,
            sequence: 0,
            author: None,
            public: None,
            automated: None,
            closing: false,
            text: None,
            properties: Properties::new(),
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let event = NewEvent {
            id: String::new(),
            kind: "rekindle.mark".into(),
            conversation: Some("a\u{7}".into()),
            occurred_at: Timestamp(0),
            text: Some("\0".into()),
            properties: [("n".into(), Value::Number(f64::NAN))].into(),
            ..message()
        };
        let fields: Vec<_> = event.check().into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["id", "conversation", "type", "occurTime", "text", "properties.n"]);
    }

    #[test]
    fn a_ces_answer_of_0_or_8_is_refused() {
        for (score, accepted) in [(0.0, false), (1.0, true), (7.0, true), (8.0, false)] {
            let event = NewEvent {
                kind: "ces_answer".into(),
                properties: [("score".into(), Value::Number(score))].into(),
                ..message()
            };
            assert_eq!(event.check().is_empty(), accepted, "score {score}");
        }
    }

    #[test]
    fn the_digest_tells_other_content_and_not_another_sequence() {
        let redelivered = NewEvent { sequence: 7, ..message() };
        let reused = NewEvent { text: Some("other".into()), ..message() };
        assert_eq!(message().digest(), redelivered.digest());
        assert_ne!(message().digest(), reused.digest());
    }
}
