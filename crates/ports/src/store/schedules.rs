//! When sequences come round by their schedules.

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use uuid::Uuid;

use crate::error::StoreResult;

/// The next time of a sequence, and how far it has come with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Sequence id.
    pub sequence: String,
    /// The time that the schedule names.
    pub fires_at: Timestamp,
    /// When to look at it; the time itself, or later where looking failed.
    pub look_at: Timestamp,
    /// The last subject that was taken in; `None` before the first.
    pub cursor: Option<Uuid>,
}

/// Schedules. A row is worked on by whoever has it locked; nothing leaves the database meanwhile, so
/// that no lease is needed.
#[async_trait]
pub trait Schedules {
    /// Schedules of a bucket to look at now, in whatever workspace, unlocked.
    async fn due_schedules(
        &mut self,
        bucket: i16,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<(Scope, String)>>;

    /// A schedule, its row locked; `None` when there is none, or somebody else has it locked.
    async fn lock_schedule(&mut self, sequence: &str) -> StoreResult<Option<ScheduleRow>>;

    /// The same, waiting for whoever has it locked.
    async fn await_schedule(&mut self, sequence: &str) -> StoreResult<Option<ScheduleRow>>;

    /// Writes a schedule, in the place of the one that is there.
    async fn save_schedule(&mut self, row: &ScheduleRow) -> StoreResult<()>;

    /// Removes a schedule, if there is one.
    async fn delete_schedule(&mut self, sequence: &str) -> StoreResult<()>;

    /// Subjects with a live journey in a funnel, in the order of their keys after one.
    async fn live_subjects(
        &mut self,
        funnel: &str,
        after: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Vec<Uuid>>;
}
