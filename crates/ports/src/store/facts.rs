//! What figures are computed from.

use std::collections::HashMap;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::event::Event;
use uuid::Uuid;

use crate::error::StoreResult;
use crate::facts::{AttemptFact, FactQuery, RunFact, SilenceFact, StandingFact, TouchFact};
use crate::rows::NameKind;

/// Raw rows of figures.
#[async_trait]
pub trait Facts {
    /// Attempts, ordered by subject and start.
    async fn attempt_facts(&mut self, query: &FactQuery) -> StoreResult<Vec<AttemptFact>>;

    /// Journeys of the revision known at the question's instant, whatever their entry.
    async fn standing_facts(&mut self, query: &FactQuery) -> StoreResult<Vec<StandingFact>>;

    /// Silences of the revision that had become due at the question's instant.
    async fn silence_facts(&mut self, query: &FactQuery) -> StoreResult<Vec<SilenceFact>>;

    /// Ends of episodes: for each (subject, episode) the instant the next one began.
    async fn episode_ends(&mut self, revision: i64) -> StoreResult<HashMap<(Uuid, u32), Timestamp>>;

    /// Runs of a sequence that began at or after, and before, these instants, oldest first.
    async fn run_facts(
        &mut self,
        sequence: &str,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> StoreResult<Vec<RunFact>>;

    /// CSAT answers after an instant and by another, in the order of their streams, each with the
    /// one of the subjects whose it is: those in a conversation, or all of a customer, in their
    /// conversations and in none.
    async fn csat_answers(
        &mut self,
        kind: NameKind,
        subjects: &[Uuid],
        after: Timestamp,
        by: Timestamp,
    ) -> StoreResult<Vec<(Uuid, Event)>>;

    /// Messages of runs of customers, or about conversations, that were delivered at or after, and
    /// before, these instants, oldest first. What goes to our own side is not among them.
    async fn touches(
        &mut self,
        kind: NameKind,
        subjects: &[Uuid],
        from: Timestamp,
        before: Timestamp,
    ) -> StoreResult<Vec<TouchFact>>;

    /// Names of subjects.
    async fn names(&mut self, kind: NameKind, keys: &[Uuid]) -> StoreResult<HashMap<Uuid, String>>;
}
