//! What figures ask of the store.

use rekindle_core::Timestamp;
use rekindle_core::funnel::Property;
pub use rekindle_core::metrics::{AttemptFact, SilenceFact, StandingFact};
use rekindle_core::predicate::Predicate;

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
