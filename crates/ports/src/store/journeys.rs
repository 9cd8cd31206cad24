//! Journeys with their attempts and silences: what the fold writes.

use async_trait::async_trait;
use uuid::Uuid;

use crate::error::StoreResult;
use crate::rows::{JourneyKey, JourneyRow, JourneyWrite, TimerSet};

/// The fold's rows.
#[async_trait]
pub trait Journeys {
    /// Journeys of these revisions and subjects.
    async fn load_journeys(&mut self, revisions: &[i64], subjects: &[Uuid]) -> StoreResult<Vec<JourneyRow>>;

    /// Writes journeys with what changed of their attempts and silences.
    async fn save_journeys(&mut self, writes: &[JourneyWrite]) -> StoreResult<()>;

    /// Takes `live` from journeys (first) so that others may have it.
    async fn retire(&mut self, keys: &[JourneyKey]) -> StoreResult<()>;

    /// Forgets journeys with all they wrote: the fill folds them anew.
    async fn forget(&mut self, revision: i64, subjects: &[Uuid]) -> StoreResult<()>;

    /// Sets timers; one that is set earlier already stays.
    async fn set_timers(&mut self, timers: &[TimerSet]) -> StoreResult<()>;
}
