//! Marks: what the detector noticed, kept for ever.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::OrderKey;
use crate::funnel::OwedBy;
use crate::time::Timestamp;

/// What a silence became.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// About to become a stall.
    Warned,
    /// A stall.
    Stalled,
    /// An abandonment.
    Abandoned,
}

impl MarkKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warned => "warned",
            Self::Stalled => "stalled",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Why a mark started no run, or that it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkFate {
    /// Noticed in time: runs may start.
    Live,
    /// The instant had passed when the event that produced the silence was stored.
    History,
    /// A silence that a late event moved, or whose stage got another name, was marked before:
    /// its run goes on.
    TakenOver,
    /// A late event removed or moved the silence.
    Voided,
}

/// Identity of a mark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarkKey {
    /// Funnel id.
    pub funnel: String,
    /// Key of the subject.
    pub subject: Uuid,
    /// Stage id.
    pub stage: String,
    /// What the silence became.
    pub kind: MarkKind,
    /// Id of the event from which the clock ran.
    pub anchor: String,
}

/// A silence that was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Identity.
    pub key: MarkKey,
    /// Number of the revision whose rule it was.
    pub revision: i64,
    /// The anchor's place in the stream.
    pub anchor: OrderKey,
    /// Instant the rule names.
    pub due_at: Timestamp,
    /// Business time at which it was noticed.
    pub noticed_at: Timestamp,
    /// Whose turn it was.
    pub owed_by: OwedBy,
    /// The rule, for people: `stalled after 20m of customer silence, business time`.
    pub reason: String,
    /// What became of it.
    pub fate: MarkFate,
    /// When a late event took it back.
    pub voided_at: Option<Timestamp>,
    /// Customer of the subject, if known.
    pub customer: Option<Uuid>,
    /// Conversation of the subject, if the subject is one.
    pub conversation: Option<Uuid>,
}
