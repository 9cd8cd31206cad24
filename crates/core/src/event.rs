//! Events, their order, and what their types mean.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::{MINUTE, Timestamp};
use crate::value::{Properties, Value};

/// How far ahead of its receipt an event may be stamped before the receipt time counts instead.
pub const FUTURE_TOLERANCE: i64 = 5 * MINUTE;

/// Who caused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The person the conversation is with.
    Customer,
    /// A human on our side.
    Agent,
    /// A machine that converses.
    Bot,
    /// A machine that keeps records.
    System,
}

impl Author {
    /// The word rules use: `event.author == "customer"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Agent => "agent",
            Self::Bot => "bot",
            Self::System => "system",
        }
    }

    /// The author an event type implies; types we do not know are the customer's.
    pub fn implied_by(kind: &str) -> Self {
        match kind {
            "agent_message" | "note" | "transfer" | "escalation" | "resolution" => Self::Agent,
            "bot_message" => Self::Bot,
            "assignment" | "reopen" | CONVERSATION_UPDATED | CUSTOMER_UPDATED | "customer_merged" => {
                Self::System
            }
            _ => Self::Customer,
        }
    }
}

/// Type of the event that carries new conversation attributes.
pub const CONVERSATION_UPDATED: &str = "conversation_updated";
/// Type of the event that carries new customer attributes.
pub const CUSTOMER_UPDATED: &str = "customer_updated";
/// Type of the event that carries an answer to how satisfied the customer is.
pub const CSAT_ANSWER: &str = "csat_answer";
/// Types with this prefix are ours and enter no fold.
pub const RESERVED_PREFIX: &str = "rekindle.";

/// An event as stored. Its properties never change.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The client's id, unique in the workspace.
    pub id: String,
    /// What happened, such as `customer_message`.
    pub kind: String,
    /// Key of the conversation it belongs to, if any.
    pub conversation: Option<Uuid>,
    /// Key of the customer it names, if it names one.
    pub customer: Option<Uuid>,
    /// When the client says it happened.
    pub occurred_at: Timestamp,
    /// The instant that counts: `occurred_at`, or the receipt when that is too far ahead.
    pub effective_at: Timestamp,
    /// When it was first stored, on the business clock.
    pub received_at: Timestamp,
    /// The client's tie-breaker between equal instants; 0 when absent.
    pub sequence: i64,
    /// Who caused it.
    pub author: Author,
    /// Whether the customer can see it.
    pub public: bool,
    /// Whether a machine wrote it without a human.
    pub automated: bool,
    /// Whether it closes the exchange ("thanks, bye"): nobody owes a word after it.
    pub closing: bool,
    /// A message's text.
    pub text: Option<String>,
    /// The client's own properties; for attribute events, the attributes.
    pub properties: Properties,
}

impl Event {
    /// The place of the event in its subject's stream.
    pub fn order(&self) -> OrderKey {
        OrderKey { at: self.effective_at, sequence: self.sequence, id: self.id.clone() }
    }

    /// Whether it is one of the two kinds that carry attributes.
    pub fn carries_attributes(&self) -> bool {
        self.kind == CONVERSATION_UPDATED || self.kind == CUSTOMER_UPDATED
    }

    /// Whether it is a message that can change whose turn it is.
    pub fn is_public_message(&self) -> bool {
        self.public && !self.automated && matches!(self.kind.as_str(), "customer_message" | "agent_message")
    }

    /// The score that an answer gives, if it gives one.
    pub fn score(&self) -> Option<f64> {
        match self.properties.get("score") {
            Some(Value::Number(score)) => Some(*score),
            _ => None,
        }
    }

    /// Whether the customer came back: something the customer did, not a machine.
    pub fn is_return(&self) -> bool {
        self.author == Author::Customer && !self.automated
    }
}

/// Decides once, when an event is first stored, which instant counts.
///
/// Returns `occurred_at`, or `received_at` if the former is more than
/// [`FUTURE_TOLERANCE`] ahead of it, and whether it was clamped so.
pub fn effective_instant(occurred_at: Timestamp, received_at: Timestamp) -> (Timestamp, bool) {
    if occurred_at.since(received_at) > FUTURE_TOLERANCE { (received_at, true) } else { (occurred_at, false) }
}

/// The order of events in a stream: instant, client sequence, then id by bytes.
///
/// Written as `[at, sequence, id]`: checkpoints hold a dozen of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey {
    /// Effective instant.
    pub at: Timestamp,
    /// Client sequence.
    pub sequence: i64,
    /// Event id, compared by bytes.
    pub id: String,
}

impl Serialize for OrderKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.at, self.sequence, &self.id).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OrderKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (at, sequence, id) = Deserialize::deserialize(deserializer)?;
        Ok(Self { at, sequence, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_five_minutes_ahead_counts_and_a_later_one_does_not() {
        let received = Timestamp(1_000 * MINUTE);
        let edge = received.plus(FUTURE_TOLERANCE);
        assert_eq!(effective_instant(edge, received), (edge, false));
        assert_eq!(effective_instant(edge.plus(1), received), (received, true));
    }

    #[test]
    fn a_place_in_a_stream_is_written_as_an_array_and_read_back() {
        let key = OrderKey { at: Timestamp(12), sequence: 3, id: "a".into() };
        let written = serde_json::to_string(&key).expect("it has a form");
        assert_eq!(written, r#"[12,3,"a"]"#);
        assert_eq!(serde_json::from_str::<OrderKey>(&written).expect("readable"), key);
    }

    #[test]
    fn equal_instants_order_by_sequence_and_then_by_bytes_of_the_id() {
        let key = |sequence, id: &str| OrderKey { at: Timestamp(0), sequence, id: id.into() };
        assert!(key(1, "b") < key(2, "a"));
        assert!(key(1, "Z") < key(1, "a"));
    }
}
