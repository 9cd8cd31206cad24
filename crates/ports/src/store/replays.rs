//! Replays: failures that are done again, as jobs that outlive whoever began them.

use async_trait::async_trait;
use rekindle_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::StoreResult;

/// What a replay is about. Messages that failed or expired, and runs that could not be worked on;
/// tests of destinations belong to no run and are never among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// One message, by the id of its delivery.
    Delivery(String),
    /// One run: itself, if it failed, and its messages.
    Run(Uuid),
    /// All failures of a period.
    Failures(Failures),
}

/// Failures of a period. Where a destination is named, only messages are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failures {
    /// Ended at this instant or later.
    pub from: Option<Timestamp>,
    /// Ended before this instant.
    pub until: Option<Timestamp>,
    /// Of this sequence.
    pub sequence: Option<String>,
    /// To this destination.
    pub destination: Option<String>,
}

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A run that could not be worked on.
    #[default]
    Run,
    /// A message that failed or expired.
    Delivery,
}

/// How far a replay has come: runs first, so that what belongs to them goes with them; then
/// messages; each in the order of their ends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplayPlace {
    /// What it looks at.
    pub of: FailureKind,
    /// The end and the id of the last that it looked at; `None` before the first.
    pub after: Option<(Timestamp, String)>,
}

/// What a replay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayState {
    /// At work, or waiting for a worker.
    Running,
    /// Through.
    Done,
    /// Stopped by somebody: what was replayed stays so.
    Cancelled,
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRow {
    /// Id.
    pub id: Uuid,
    /// What it is about.
    pub covers: Covers,
    /// What it does.
    pub state: ReplayState,
    /// Failures there were when it began.
    pub total: i64,
    /// Those of them that are done again.
    pub replayed: i64,
    /// Those that were looked at and left as they are.
    pub skipped: i64,
    /// How far it has come.
    pub place: ReplayPlace,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

impl ReplayRow {
    /// Failures that were looked at so far.
    pub fn done(&self) -> i64 {
        self.replayed + self.skipped
    }
}

/// Replays. A row is worked on by whoever has it locked; nothing leaves the database meanwhile, so
/// that no lease is needed.
#[async_trait]
pub trait Replays {
    /// A replay, its row locked when the unit of work may write.
    async fn replay(&mut self, id: Uuid) -> StoreResult<Option<ReplayRow>>;

    /// A replay, its row locked; `None` when there is none, or somebody else has it locked.
    async fn lock_replay(&mut self, id: Uuid) -> StoreResult<Option<ReplayRow>>;

    /// Replays that are at work, oldest first; their rows are not locked.
    async fn running_replays(&mut self) -> StoreResult<Vec<ReplayRow>>;

    /// Replays, newest first, after the one that began at an instant and has an id.
    async fn replays(
        &mut self,
        before: Option<&(Timestamp, Uuid)>,
        limit: u32,
    ) -> StoreResult<Vec<ReplayRow>>;

    /// Writes a replay, in the place of the one that is there.
    async fn save_replay(&mut self, row: &ReplayRow) -> StoreResult<()>;

    /// How many failures there are now of what a replay is about.
    async fn count_failures(&mut self, covers: &Covers) -> StoreResult<i64>;

    /// Failures of the kind at which a replay stands, behind its place, in the order of their ends;
    /// each with its end and its id.
    async fn failures(
        &mut self,
        covers: &Covers,
        place: &ReplayPlace,
        limit: u32,
    ) -> StoreResult<Vec<(Timestamp, String)>>;
}
