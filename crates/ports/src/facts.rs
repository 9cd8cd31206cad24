//! What figures ask of the store.

use rekindle_core::Timestamp;
use rekindle_core::fold::silence::EndedBy;
use rekindle_core::funnel::Property;
pub use rekindle_core::metrics::{AttemptFact, SilenceFact, StandingFact};
use rekindle_core::predicate::Predicate;
use rekindle_core::sequence::Progress;
use rekindle_core::sequence::arm::Arm;
use uuid::Uuid;

/// How a breakdown reads its property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// From the event that started the attempt.
    OnEntryEvent(Property),
    /// As declared and kept with the attempt, at this place.
    Declared(usize),
    /// The attribute as it is now.
    Now(Property),
}

/// A run that began, and what became of the silence that started it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFact {
    /// Revision of the sequence.
    pub revision: i32,
    /// Treated or held out.
    pub arm: Arm,
    /// The customer, if known.
    pub customer: Option<Uuid>,
    /// Conversation or customer.
    pub subject: Uuid,
    /// The conversation it is about, if it is about one.
    pub conversation: Option<Uuid>,
    /// What it remembers of its way.
    pub progress: Progress,
    /// When the silence came due.
    pub due_at: Timestamp,
    /// When its first message was delivered, or would have been.
    pub reached_at: Option<Timestamp>,
    /// When the silence ended, and what ended it.
    pub ended: Option<(Timestamp, EndedBy)>,
    /// Whether it goes on.
    pub is_running: bool,
    /// Whether a late event took the silence back, and none took its place.
    pub is_void: bool,
}

/// A message that was delivered to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchFact {
    /// The customer, or the conversation, whichever was asked for.
    pub subject: Uuid,
    /// When it was delivered.
    pub at: Timestamp,
    /// Sequence whose message it was.
    pub sequence: String,
    /// Id of the step that sent it.
    pub step: String,
}

/// Which rows.
#[derive(Debug, Clone)]
pub struct FactQuery {
    /// Key of the revision.
    pub revision: i64,
    /// Attempts that start at or after; journeys that entered at or after.
    pub from: Option<Timestamp>,
    /// Attempts that start before; journeys that entered before.
    pub until: Option<Timestamp>,
    /// The instant of the question: nothing that starts later exists.
    pub as_of: Timestamp,
    /// A rule over the entry event and the attributes as they are now.
    pub filter: Option<Predicate>,
    /// Values to return with each attempt.
    pub groups: Vec<Reading>,
}
