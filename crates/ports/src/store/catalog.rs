//! Funnels and their revisions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::funnel::Funnel;
use uuid::Uuid;

use crate::error::StoreResult;
use crate::rows::{FillRow, FunnelRow, RevisionHead, RevisionRow};

/// Definitions.
#[async_trait]
pub trait Catalog {
    /// Every revision that events are folded into: the newest of each funnel, and
    /// older ones in which journeys are still live.
    async fn active_revisions(&mut self) -> StoreResult<Vec<RevisionHead>>;

    /// A revision by its key.
    async fn revision_by_key(&mut self, key: i64) -> StoreResult<Option<RevisionRow>>;

    /// A revision by its number.
    async fn revision(&mut self, funnel: &str, revision: i32) -> StoreResult<Option<RevisionRow>>;

    /// Revisions of a funnel, newest first.
    async fn revisions(&mut self, funnel: &str) -> StoreResult<Vec<RevisionRow>>;

    /// A funnel, its row locked when the unit of work may write.
    async fn funnel(&mut self, id: &str) -> StoreResult<Option<FunnelRow>>;

    /// Funnels in order of their ids, after `after`.
    async fn funnels(&mut self, after: &str, limit: u32) -> StoreResult<Vec<FunnelRow>>;

    /// Writes a new funnel row, or the next revision number of one.
    async fn save_funnel(&mut self, row: &FunnelRow) -> StoreResult<()>;

    /// Publishes a revision; the ones before are no longer the latest. A fill begins.
    async fn publish(
        &mut self,
        head: &RevisionHead,
        body: &Funnel,
        stage_map: &BTreeMap<String, String>,
    ) -> StoreResult<()>;

    /// Deletes a funnel with all its revisions, journeys and facts.
    async fn delete_funnel(&mut self, id: &str) -> StoreResult<()>;

    /// Progress of filling a revision, its row locked when the unit of work may write.
    async fn fill(&mut self, revision_key: i64) -> StoreResult<Option<FillRow>>;

    /// Fills that are at work.
    async fn running_fills(&mut self) -> StoreResult<Vec<FillRow>>;

    /// Writes a fill's progress.
    async fn save_fill(&mut self, fill: &FillRow) -> StoreResult<()>;

    /// The next subjects in key order after `after` (conversations or customers).
    async fn subjects_after(
        &mut self,
        customers: bool,
        after: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Vec<Uuid>>;

    /// Number of subjects.
    async fn count_subjects(&mut self, customers: bool) -> StoreResult<i64>;

    /// Number of live journeys of a funnel, over all revisions.
    async fn count_live(&mut self, funnel: &str) -> StoreResult<i64>;

    /// Notes that a revision's live journeys end now: those of other revisions of the funnel.
    async fn cancel_live(&mut self, funnel: &str, except: i64, now: Timestamp) -> StoreResult<()>;
}
